"""`minicaffe trace`: the page that it writes, what the net reads, and its errors."""

from pathlib import Path

import numpy as np
import pytest
from extras import needs
from net_tools import inputs, layer
from traced import IMAGES, TWO_LAYERS, assert_holds, data_of

from minicaffe import Net, kernels
from minicaffe import pycaffe as caffe
from minicaffe.cli.__main__ import main
from minicaffe.io import npz

LENET = Path(__file__).parents[2] / "examples" / "fashion_mnist" / "lenet_train_test.prototxt"
SOLVER = ('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 random_seed: 3 max_iter: 100 '
          'test_iter: 1 test_interval: 1 snapshot: 1 snapshot_prefix: "s"')


@pytest.fixture
def net(tmp_path, monkeypatch):
    """The folder in which the command runs, with a few nets and a solver."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path
    (folder / "net.prototxt").write_text('name: "two" ' + TWO_LAYERS)
    (folder / "images.prototxt").write_text(IMAGES)
    (folder / "solver.prototxt").write_text(SOLVER)
    return folder


def trace(folder, *args):
    """Run the command; return the data of its page."""
    assert main(["trace", *args, "--out", "t.html"]) == 0
    return data_of((folder / "t.html").read_text(encoding="utf-8"))


def top(data, name, way="forward"):
    """The number of the array that a blob holds after the layer that makes it."""
    blob = next(i for i, blob in enumerate(data["blobs"]) if blob["name"] == name)
    return next(value["data"] for moment in data["moments"] if moment["pass"] == way for value in moment["values"]
                if value["blob"] == blob and value["role"] == "top")


def test_a_net_alone_is_one_pass(net, capsys):
    data = trace(net, "net.prototxt")
    assert (data["net"], data["phase"], data["solver"]) == ("two", "TRAIN", None)
    assert {moment["pass"] for moment in data["moments"]} == {"forward", "backward"}
    assert data["notes"] == ["The input blobs x and t hold random numbers, drawn with seed 1, because no --data was "
                             "given."]
    said = capsys.readouterr().out
    assert "t.html: 6 layers, 12 passes of a layer" in said
    assert data["notes"][0] in said


def test_a_solver_names_the_net_too(net):
    data = trace(net, "--solver", "solver.prototxt", "--iterations", "3")
    assert (data["net"], data["solver"]["type"], data["solver"]["iterations"]) == ("two", "SGD", 3)
    updates = [moment["iteration"] for moment in data["moments"] if moment["pass"] == "update"]
    assert updates == [0] * 4 + [1] * 4 + [2] * 4
    assert not list(net.glob("s*.caffemodel"))


def test_the_net_that_is_given_replaces_the_solvers(net):
    data = trace(net, "images.prototxt", "--solver", "solver.prototxt", "--proofs", "0")
    assert [layer["name"] for layer in data["layers"]][:4] == ["data", "label", "conv", "relu"]
    assert data["tolerance"] == "No slopes were measured for this page."


def test_the_same_command_writes_the_same_bytes(net):
    main(["trace", "--solver", "solver.prototxt", "--out", "a.html"])
    main(["trace", "--solver", "solver.prototxt", "--out", "b.html"])
    assert (net / "a.html").read_bytes().replace(b"a.html", b"b.html") == (net / "b.html").read_bytes()


def test_another_seed_gives_other_numbers(net):
    one, two = (trace(net, "net.prototxt", "--seed", seed) for seed in "12")
    assert one["arrays"][top(one, "x")] != two["arrays"][top(two, "x")]


def test_weights_and_arrays_are_those_of_the_files(net):
    made = caffe.Net("net.prototxt")
    made.save("w.npz")
    x, t = (np.random.default_rng(i).standard_normal((3, n)).astype(np.float32) for i, n in enumerate((3, 4)))
    npz.write("in.npz", [("x", x), ("t", t)])
    data = trace(net, "net.prototxt", "--weights", "w.npz", "--data", "in.npz", "--phase", "TEST")
    assert data["notes"] == []
    assert_holds(data, top(data, "x"), x)
    assert_holds(data, top(data, "t"), t)
    engine = kernels.engine()
    kernels.use_engine("plain")
    judge = Net("net.prototxt", 1, weights="w.npz")
    for name, values in (("x", x), ("t", t)):
        judge.blobs[name].reshape(values.shape)
        judge.blobs[name].data[...] = values
    judge.replay = False
    judge.forward()
    kernels.use_engine(engine)
    assert_holds(data, top(data, "y"), judge.blobs["y"].data)


def test_one_array_or_an_image_is_for_the_only_input(net):
    (net / "one.prototxt").write_text(inputs(x=(1, 3, 4, 6)) + layer("ReLU", "x", "y"))
    x = np.arange(72, dtype=np.float32).reshape(1, 3, 4, 6)
    np.save("x.npy", x)
    data = trace(net, "one.prototxt", "--data", "x.npy")
    assert_holds(data, top(data, "x"), x)
    assert "No layer runs backward: the net has no loss, or nothing in it learns." in data["notes"]
    cv2 = needs("cv2")
    cv2.imwrite("x.png", x[0].transpose(1, 2, 0).astype(np.uint8))
    data = trace(net, "one.prototxt", "--data", "x.png")
    assert_holds(data, top(data, "x"), x)
    assert data["notes"][:2] == [
        "x holds x.png: colour, channels in the order blue, green, red; resized to 4×6.",
        "The net does not say how images are prepared, and no flag does: pixels from 0 to 255, nothing subtracted."]


def test_an_image_is_prepared_as_the_nets_comment_says(net):
    cv2 = needs("cv2")
    x = np.arange(72, dtype=np.uint8).reshape(3, 4, 6)
    cv2.imwrite("x.png", x.transpose(1, 2, 0))
    text = inputs(x=(1, 3, 4, 6)) + layer("ReLU", "x", "y")
    (net / "one.prototxt").write_text("# preprocessing: --mean 1,2,3 --scale 0.5\n" + text)
    data = trace(net, "one.prototxt", "--data", "x.png")
    assert_holds(data, top(data, "x"), ((x - np.float32([1, 2, 3])[:, None, None]) / 2)[None])
    assert "The preprocessing is that of the net's comment." in data["notes"]
    assert "minus 1, 2, 3; times 0.5" in data["notes"][0]


def test_a_solver_in_place_of_the_net_is_taken_as_the_solver(net):
    data = trace(net, "solver.prototxt")
    assert data["solver"]["type"] == "SGD"
    assert data["command"] == "minicaffe trace --solver solver.prototxt --out t.html"


def test_batch_and_size_are_those_of_the_flags_where_the_source_is_not_there(net):
    data = trace(net, str(LENET), "--batch", "2", "--size", "1x20x20", "--proofs", "0")
    assert data["blobs"][0]["shape"] == [2, 1, 20, 20]
    assert data["blobs"][0]["image"] is True
    assert any("its source was not read" in note for note in data["notes"])
    labels = data["arrays"][top(data, "label")]["values"]
    assert all(label in range(10) for label in labels)


ERRORS = {
    "no net": ([], "trace needs a net, or a --solver that names one"),
    "updates without a solver": (["net.prototxt", "--iterations", "2"], "--iterations counts updates, which need a "
                                 "--solver"),
    "a phase beside a solver": (["--solver", "solver.prototxt", "--phase", "TEST"], "--solver trains, so the phase is "
                                "TRAIN"),
    "a missing file": (["nat.prototxt"], "net.prototxt"),
    "an array of another name": (["net.prototxt", "--data", "wrong.npz"], "--data brings an array 'xx', but the net "
                                 "reads no such blob"),
    "an array of another shape": (["net.prototxt", "--data", "shape.npz"], "layer 'loss' (EuclideanLoss)"),
    "a missing label": (["data.prototxt", "--data", "label.npz"], "--data brings 'x', but not 'label', which layer "
                        "'both' (DummyData) puts out with it"),
    "an image of another size": (["sized.prototxt", "--data", "right.png"], "the image has the shape (3, 2, 2), and "
                                 "the input 'x' takes (3, 4, 6)"),
    "a phase beside a solver in place of the net": (["solver.prototxt", "--phase", "TEST"], "--solver trains, so the "
                                                    "phase is TRAIN"),
    "no image input": (["net.prototxt", "--data", "wrong.png"], "an image is for a net with one Input of images"),
    "no .npy": (["one.prototxt", "--data", "broken.npy"], "broken.npy"),
    "two inputs for one array": (["net.prototxt", "--data", "broken.npy"], "an .npy is for a net that reads one blob"),
    "both ways of giving a batch": (["net.prototxt", "--data", "shape.npz", "--batch", "2"], "--batch and --data both"),
    "a page that cannot be written": (["net.prototxt", "--out", "nowhere/t.html"], "--out"),
    "a page that is no page": (["net.prototxt", "--out", "t.pdf"], "--out t.pdf: a page ends in .html or .htm, got "
                               "'.pdf'"),
    "a page without an ending": (["net.prototxt", "--out", "t"], "--out t: a page ends in .html or .htm, got no "
                                 "ending"),
    "a broken weight file": (["net.prototxt", "--weights", "broken.npy"], "broken.npy"),
}


@pytest.mark.parametrize("mistake", ERRORS)
def test_a_mistake_is_one_message_that_names_it(net, capsys, mistake):
    args, expected = ERRORS[mistake]
    npz.write("wrong.npz", [("xx", np.zeros(3, np.float32))])
    npz.write("shape.npz", [("x", np.zeros((2, 3), np.float32)), ("t", np.zeros((2, 9), np.float32))])
    npz.write("label.npz", [("x", np.zeros((2, 3), np.float32))])
    (net / "data.prototxt").write_text(layer("DummyData", "", "x label", "dummy_data_param { shape { dim: 2 dim: 3 } "
                                             "shape { dim: 2 } }", name="both") + layer("ReLU", "x", "y"))
    (net / "one.prototxt").write_text(inputs(x=(2, 3)) + layer("ReLU", "x", "y"))
    (net / "broken.npy").write_bytes(b"\x93NUMPY\x01")
    (net / "wrong.png").write_bytes(b"no image")
    (net / "sized.prototxt").write_text("# preprocessing: --crop 2\n" + inputs(x=(1, 3, 4, 6)))
    if "right.png" in args:
        needs("cv2").imwrite("right.png", np.zeros((4, 6, 3), np.uint8))
    assert main(["trace", *(args if "--out" in args else [*args, "--out", "t.html"])]) == 1
    said = capsys.readouterr()
    assert expected in said.err
    assert "Traceback" not in said.err
    assert not (net / "t.html").exists()


@pytest.mark.slow
def test_the_page_of_lenet_at_batch_2_is_small(net):
    assert main(["trace", str(LENET), "--solver", str(LENET.with_name("lenet_solver.prototxt")), "--batch", "2",
                 "--size", "1x28x28", "--out", "t.html", "--proofs", "4"]) == 0
    assert (net / "t.html").stat().st_size < 600_000


def test_a_batch_that_no_layer_takes(net, capsys):
    """A Python layer sets its batch by itself, so --batch says that it does nothing."""
    (net / "three_rows.py").write_text("from minicaffe.layer import Layer\n\n\nclass Rows(Layer):\n"
                                       "    def reshape(self, bottom, top):\n        top[0].reshape(3, 2)\n\n"
                                       "    def forward(self, bottom, top):\n        top[0].data[...] = 1\n")
    (net / "three_rows.prototxt").write_text(
        layer("Python", "", "x", 'python_param { module: "three_rows" layer: "Rows" }'))
    remark = "--batch 2 changes nothing: "

    assert main(["trace", "three_rows.prototxt", "--batch", "2", "--out", "t.html"]) == 0
    assert remark in capsys.readouterr().out
    assert main(["trace", "net.prototxt", "--batch", "2", "--out", "t.html"]) == 0
    assert remark not in capsys.readouterr().out
