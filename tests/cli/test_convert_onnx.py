"""`minicaffe convert NET WEIGHTS OUT.onnx`: what is said and written, the proof, and the ways to get it wrong."""

import builtins
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from extras import needs
from net_tools import convolution, fully_connected, inputs, layer

from minicaffe import TEST, Net
from minicaffe.cli.__main__ import main
from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_out.given import WRITERS
from minicaffe.io import weights
from minicaffe.testing.random_numbers import random_weights

DEPLOYED = inputs(x=(5, 3)) + fully_connected("x", "f", 4) + layer("Softmax", "f", "prob")
TRAINED = layer("Data", "", "x label", 'data_param { source: "away" batch_size: 6 backend: LMDB } transform_param { '
                "crop_size: 4 scale: 0.5 mean_value: 7 mean_value: 8 mean_value: 9 }", name="d") + convolution(
    "x", "c", 2, 3) + layer("ReLU", "c", "c", name="r") + fully_connected("c", "f", 5) + layer(
    "Accuracy", "f label", "accuracy") + layer("SoftmaxWithLoss", "f label", "loss")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test has a folder of its own."""
    needs("onnx.checker")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(text, name="net.prototxt", made="w.bin"):
    """Write a net to a file, and random weights for it to another; return both names."""
    with open(name, "w") as file:
        file.write(text)
    net = Net(name, TEST)
    random_weights(net, np.random.default_rng(3))
    weights.save(made, net)
    return [name, made]


def trained():
    """The files of a net with a data layer."""
    files = save(inputs(x=(6, 3, 4, 4)) + TRAINED[TRAINED.index("layer", 5):TRAINED.index('layer { name: "accuracy"')],
                 "deploy.prototxt")
    with open("net.prototxt", "w") as file:
        file.write(TRAINED)
    return ["net.prototxt", files[1]]


def converted(capsys, *argv):
    """What is printed, and the model."""
    status = main(["convert", *argv])
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    return said.out, onnx_package.onnx().load("out.onnx")


def refused(capsys, *argv):
    """The error, after which no file is written."""
    assert 1 == main(["convert", *argv])
    said = capsys.readouterr()
    assert "" == said.out
    assert not Path("out.onnx").exists()
    return said.err


def sizes(values):
    return {value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
            for value in values}


# --- what is written --------------------------------------------------------------------------------------------

def test_a_deploy_net(capsys):
    needs("onnxruntime")
    said, model = converted(capsys, *save(DEPLOYED), "out.onnx")
    assert re.fullmatch("input 'x': batch×3\noutput 'prob': batch×4\n"
                        "the batch size is free: the model takes any number of samples\n"
                        "proved in onnxruntime, with random numbers around 1 and random numbers around 50:\n"
                        r"'prob': the largest difference is [\d.e-]+, or \d\.\de-\d\d of the range "
                        r"\(random numbers around \d+\)\nwrote out\.onnx\n", said)
    assert {"x": ["batch", 3]} == sizes(model.graph.input)
    assert {"prob": ["batch", 4]} == sizes(model.graph.output)
    assert not model.metadata_props


def test_the_model_gives_the_numbers_of_the_net(capsys):
    """At batch sizes that are neither the net's nor those of the proof."""
    needs("onnxruntime")
    files = save(DEPLOYED)
    converted(capsys, *files, "out.onnx")
    net = Net(files[0], TEST, weights=files[1])
    net.blobs["x"].reshape(7, 3)
    net.blobs["x"].data[...] = x = np.random.default_rng(0).normal(size=(7, 3))
    net.forward()
    np.testing.assert_allclose(onnx_package.run("out.onnx", {"x": x.astype(np.float32)})["prob"],
                               net.blobs["prob"].data, atol=1e-6)


def test_a_net_without_weights(capsys):
    """It needs no file of weights."""
    with open("net.prototxt", "w") as file:
        file.write(IMAGES)
    assert ["Relu"] == [node.op_type for node in converted(capsys, "net.prototxt", "out.onnx")[1].graph.node]


def test_with_model(capsys):
    """The two forms write the same bytes."""
    net, weights_file = save(DEPLOYED)
    _, first = converted(capsys, net, weights_file, "out.onnx")
    _, second = converted(capsys, weights_file, "out.onnx", "--model", net)
    assert first == second


def test_the_net_that_was_trained(capsys):
    """Data layers become inputs, losses Softmax, and Accuracy is left out; each is said."""
    needs("onnxruntime")
    said, model = converted(capsys, *trained(), "out.onnx")
    for line in ("layer 'loss' (SoftmaxWithLoss) becomes layer 'prob' (Softmax)",
                 "layer 'accuracy' (Accuracy) is left out: it compares with labels",
                 "layer 'd' (Data) becomes an Input that takes 'x', 1×3×4×4",
                 "'label' of layer 'd' (Data) is left out: no layer of the deploy net reads it"):
        assert line in said
    assert {"prob": ["batch", 5]} == sizes(model.graph.output)


def test_labels_that_come_from_an_input_are_left_out(capsys):
    said, model = converted(capsys, *save(inputs(x=(5, 3), label=(5,)) + fully_connected("x", "f", 4)
                                          + layer("SoftmaxWithLoss", "f label", "loss")), "out.onnx")
    assert (["x"], ["prob"]) == ([*sizes(model.graph.input)], [*sizes(model.graph.output)])
    assert "'label' of layer 'label' (Input) is left out" in said


def test_a_target_that_only_training_reads(capsys):
    """The loss says that f is the answer, though the layer that makes its target is not part of the test net."""
    training = "include { phase: TRAIN }"
    text = inputs(x=(5, 3)) + fully_connected("x", "f", 4) + layer(
        "DummyData", "", "t", f"dummy_data_param {{ shape {{ dim: 5 dim: 4 }} }} {training}") + layer(
        "EuclideanLoss", "f t", "loss", training)
    said, model = converted(capsys, *save(text), "out.onnx")
    assert {"f": ["batch", 4]} == sizes(model.graph.output)
    assert "layer 'loss' (EuclideanLoss) is left out: the blob 'f', which it reads, is the prediction" in said


def test_one_batch_size(capsys):
    needs("onnxruntime")
    said, model = converted(capsys, *save(DEPLOYED), "out.onnx", "--batch", "7")
    assert "the batch size is 7\n" in said
    assert {"x": [7, 3]} == sizes(model.graph.input)


RECURRENT = "LSTM", "x cont", "y", "recurrent_param { num_output: 4 weight_filler { type: 'xavier' } }"


def test_one_batch_size_of_sequences(capsys):
    """The first axis is time."""
    needs("onnxruntime")
    said, model = converted(capsys, *save(inputs(x=(5, 2, 3), cont=(5, 2)) + layer(*RECURRENT)), "out.onnx",
                            "--batch", "7")
    assert "the batch size is 7\n" in said
    assert {"x": [5, 7, 3], "cont": [5, 7]} == sizes(model.graph.input)


def test_dummy_data_beside_an_input_is_a_constant(capsys):
    filler = "dummy_data_param { shape { dim: 5 dim: 3 } data_filler { type: 'constant' value: 2 } }"
    _, model = converted(capsys, *save(inputs(x=(5, 3)) + layer("DummyData", "", "two", filler)
                                       + layer("Eltwise", "x two", "y") + fully_connected("y", "f", 4)), "out.onnx")
    assert {"x": ["batch", 3]} == sizes(model.graph.input)


def test_dummy_data_in_place_of_inputs(capsys):
    """Its sizes are those of the net, where the net allows no others."""
    _, model = converted(capsys, *save(
        layer("DummyData", "", "x z", "dummy_data_param { shape { dim: 10 dim: 3 } shape { dim: 2 dim: 5 dim: 3 } }")
        + layer("Reshape", "x", "y", "reshape_param { shape { dim: 2 dim: 5 dim: 3 } }")
        + layer("Eltwise", "y z", "s")), "out.onnx")
    assert {"x": [10, 3], "z": [2, 5, 3]} == sizes(model.graph.input)


def test_data_in_python_has_no_form(capsys):
    files = save(inputs(x=(5, 3)) + fully_connected("x", "f", 4))
    with open("net.prototxt", "w") as file:
        file.write(layer("Python", "", "x", "python_param { module: 'voc' layer: 'Data' }", name="data")
                   + fully_connected("x", "f", 4))
    error = refused(capsys, *files, "out.onnx")
    assert "the net has neither Inputs nor a data layer" in error
    assert "hint: write an Input with the shape of the data in place of layer 'data' (Python)" in error


RESHAPED = inputs(x=(5, 6)) + layer("Reshape", "x", "y", "reshape_param { shape { dim: 5 dim: 3 dim: 2 } }")


def test_a_net_that_allows_one_batch_size(capsys):
    """It is that of the net, and the reason is said."""
    said, model = converted(capsys, *save(RESHAPED), "out.onnx")
    assert {"x": [5, 6]} == sizes(model.graph.input)
    assert "the batch size is that of the net, because with another one the net cannot be made: layer 'y' (Reshape)" \
        in " ".join(said.split())


def test_a_net_that_allows_one_batch_size_and_is_to_have_a_free_one(capsys):
    error = refused(capsys, *save(RESHAPED), "out.onnx", "--batch", "free")
    assert "net.prototxt:2: layer 'y' (Reshape)" in error
    assert "hint: --batch N writes the model for one batch size" in error


def test_a_layer_that_allows_one_batch_size(capsys, monkeypatch):
    """The function that writes the layer refuses a free batch size, so the model gets that of the net."""
    softmax = WRITERS["Softmax"]

    def for_one_size(g):
        g.refuse_if(g.x_open[0], "is written for one batch size", "--batch N")
        softmax(g)

    monkeypatch.setitem(WRITERS, "Softmax", for_one_size)
    files = save(DEPLOYED)
    said, model = converted(capsys, *files, "out.onnx")
    assert {"x": [5, 3]} == sizes(model.graph.input)
    assert "the batch size is 5, because layer 'prob' (Softmax) is written for one batch size" in said
    assert 1 == main(["convert", *files, "again.onnx", "--batch", "free"])
    assert "net.prototxt:3: layer 'prob' (Softmax) is written for one batch size" in capsys.readouterr().err


def test_the_blobs_that_are_wanted(capsys):
    """In the order in which they are asked for; layers that none of them needs are left out."""
    text = DEPLOYED + layer("ReLU", "f", "r", "relu_param { negative_slope: 0.5 }")
    said, model = converted(capsys, *save(text), "out.onnx", "--outputs", "r,f")
    assert ["r", "f"] == [*sizes(model.graph.output)]
    assert "layer 'prob' (Softmax) is left out: none of r, f depends on it" in said


def test_another_shape_of_an_input(capsys):
    """A net of convolutions alone takes images of any size."""
    text = inputs(x=(5, 3, 6, 4)) + convolution("x", "c", 2, 3)
    _, model = converted(capsys, *save(text), "out.onnx", "--shape", "3x11x9")
    assert (["batch", 3, 11, 9], ["batch", 2, 11, 9]) == (*sizes(model.graph.input).values(),
                                                          *sizes(model.graph.output).values())


def test_an_output_that_has_the_name_of_an_input(capsys):
    said, model = converted(capsys, *save(inputs(x=(5, 3)) + layer("ReLU", "x", "x", name="r")), "out.onnx")
    assert ["x/r"] == [*sizes(model.graph.output)]
    assert "'x/r' is what the net puts into 'x', a name that the input has" in said


def test_fold(capsys):
    text = inputs(x=(5, 3, 6, 4)) + convolution("x", "c", 2, 3) + layer("BatchNorm", "c", "b") + layer(
        "Scale", "b", "s", "scale_param { bias_term: true }")
    files = save(text)
    _, plain = converted(capsys, *files, "out.onnx")
    _, folded = converted(capsys, *files, "out.onnx", "--fold")
    assert ["Conv", "BatchNormalization"] == [node.op_type for node in plain.graph.node]
    assert ["Conv"] == [node.op_type for node in folded.graph.node]


# --- what it carries along ----------------------------------------------------------------------------------------

def carried(model):
    return {one.key: one.value for one in model.metadata_props}


def test_how_images_are_prepared(capsys):
    """As the data layer says."""
    _, model = converted(capsys, *trained(), "out.onnx")
    assert {"preprocessing": "colour, channels in the order blue, green, red; resized to 4×4; minus 7, 8, 9; "
                             "times 0.5; the middle 4×4 of it",
            "channels": "blue,green,red", "resize": "4x4", "mean": "7,8,9", "scale": "0.5", "crop": "4"} \
        == carried(model)


IMAGES = inputs(x=(5, 3, 6, 4)) + layer("ReLU", "x", "y")


def test_a_comment_says_it(capsys):
    _, model = converted(capsys, *save("# preprocessing: --mean 1,2,3 --resize-shorter 9 --crop 6\n" + IMAGES),
                         "out.onnx")
    assert ("1,2,3", "9", "6", "1") == tuple(carried(model)[key] for key in ("mean", "resize_shorter", "crop", "scale"))
    assert "resize" not in carried(model)


def test_flags_say_it(capsys):
    _, model = converted(capsys, *save(IMAGES), "out.onnx", "--mean", "0.1", "--channel-swap", "0,1,2")
    assert ("0.1", "red,green,blue", "6x4") == tuple(carried(model)[key] for key in ("mean", "channels", "resize"))


def test_a_mean_image(capsys):
    """All of its numbers, as docs/leaving.md says how to read them."""
    import base64

    mean = np.arange(72, dtype=np.float32).reshape(3, 6, 4)
    np.save("mean.npy", mean)
    _, model = converted(capsys, *save(IMAGES), "out.onnx", "--mean", "mean.npy")
    found = carried(model)
    shape = [int(n) for n in found["mean_image_shape"].split("x")]
    np.testing.assert_array_equal(
        mean, np.frombuffer(base64.b64decode(found["mean_image"]), "<f4").reshape(shape))


def test_a_mean_that_is_not_there(capsys):
    files = trained()
    with open("net.prototxt", "w") as file:
        file.write(TRAINED.replace("mean_value: 7 mean_value: 8 mean_value: 9", "mean_file: 'gone.binaryproto'"))
    said, model = converted(capsys, *files, "out.onnx", "--shape", "3x4x4")
    assert "the mean is not carried along: " in said
    assert "gone.binaryproto" in said
    assert "mean" not in carried(model)


def test_names_of_classes(capsys, folder):
    (folder / "names.txt").write_text("ant\nbee\nwasp, of a kind\nfly\n")
    _, model = converted(capsys, *save(DEPLOYED), "out.onnx", "--labels", "names.txt")
    assert {"classes": "ant\nbee\nwasp, of a kind\nfly"} == carried(model)


def test_names_of_other_classes(capsys, folder):
    (folder / "names.txt").write_text("ant\nbee\n")
    error = refused(capsys, *save(DEPLOYED), "out.onnx", "--labels", "names.txt")
    assert "--labels: names.txt names 2 classes, but the net has 4" in error


# --- the proof ----------------------------------------------------------------------------------------------------

def spoil(monkeypatch, by):
    """Let the function that writes Softmax add a number to the result."""
    softmax = WRITERS["Softmax"]

    def wrong(g):
        y, g.y = g.y, g.new_names("right", 1)
        softmax(g)
        g.node("Add", [g.y[0], g.floats("wrong", by)], y)

    monkeypatch.setitem(WRITERS, "Softmax", wrong)


@pytest.mark.parametrize(("by", "holds"), [(1e-6, True), (1e-3, False)])
def test_a_choice_between_nearly_equal_numbers(capsys, monkeypatch, by, holds):
    """Rounding decides which of three equal numbers is the largest; then each stage is compared by itself."""
    needs("onnxruntime")
    monkeypatch.setitem(WRITERS, "ReLU", lambda g: g.node("Add", [g.x[0], g.floats("noise", [by, 0, 0])], g.y))
    files = save(inputs(x=(5, 3)) + layer("Power", "x", "one", "power_param { scale: 0 shift: 1 }")
                 + layer("ReLU", "one", "r") + layer("ArgMax", "r", "a", "argmax_param { axis: 1 }"))
    status = main(["convert", *files, "out.onnx"])
    said = capsys.readouterr()
    assert status == (0 if holds else 1)
    if holds:
        before, after = said.out.split("proved in onnxruntime stage by stage")
        assert "'a': the largest difference is 2, or 1.0e+00 of the range" in before
        assert "'a': the largest difference is 0" in after
        assert re.search(r"'r': the largest difference is (9.5|1)\S*e-0\d", after)
    else:
        assert "the model gives other numbers than the net: 'a': the largest difference is 2" in said.err


def test_a_model_that_gives_other_numbers_is_not_written(capsys, monkeypatch, folder):
    """And a file that was there stays."""
    needs("onnxruntime")
    spoil(monkeypatch, 2e-4)
    (folder / "old.onnx").write_text("old")
    assert 1 == main(["convert", *save(DEPLOYED), "old.onnx"])
    error = capsys.readouterr().err
    assert re.search(r"in onnxruntime the model gives other numbers than the net: 'prob': the largest difference is "
                     r"0\.0002\d*, or 2\.0e-04 of the range", error)
    assert "old" == (folder / "old.onnx").read_text()
    assert {"net.prototxt", "old.onnx", "w.bin"} == {path.name for path in folder.iterdir()}


def test_what_is_below_the_limit_is_written(capsys, monkeypatch):
    needs("onnxruntime")
    spoil(monkeypatch, 5e-5)
    assert "or 5.0e-05 of the range" in converted(capsys, *save(DEPLOYED), "out.onnx")[0]


def test_without_onnxruntime_nothing_is_proved(capsys, monkeypatch):
    """The model is written, and it is said what to install."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said, _ = converted(capsys, *save(DEPLOYED), "out.onnx")
    assert "nothing was proved, because onnxruntime is not installed: pip install onnxruntime" in said
    assert "proved in" not in said


def test_an_onnxruntime_that_is_broken_proves_nothing(capsys, monkeypatch):
    """It is there, but importing it raises an error, which is printed."""
    def broken():
        raise ImportError("a library is missing")

    monkeypatch.setattr(onnx_package, "runtime", broken)
    said, _ = converted(capsys, *save(DEPLOYED), "out.onnx")
    assert "nothing was proved, because onnxruntime cannot be imported: a library is missing" in " ".join(said.split())


def test_arrays_of_the_user(capsys):
    needs("onnxruntime")
    files = save(DEPLOYED)
    np.save("x.npy", np.random.default_rng(0).normal(size=(11, 3)))
    np.savez("x.npz", x=np.ones((1, 3)))
    said, _ = converted(capsys, *files, "out.onnx", "--inputs", "x.npy", "--inputs", "x.npz")
    assert "random numbers around 50 and x.npy and x.npz:" in " ".join(said.split())


def test_arrays_show_a_difference_that_random_numbers_do_not(capsys, monkeypatch):
    """Each batch of the array counts, the last one too."""
    needs("onnxruntime")
    relu = WRITERS["ReLU"]

    def wrong(g):
        relu(g)
        g.graph.nodes[-1].output[0] = between = g.new_names("right", 1)[0]
        g.node("Min", [between, g.floats("most", 1000)], g.y)

    monkeypatch.setitem(WRITERS, "ReLU", wrong)
    files = save(inputs(x=(5, 3)) + layer("ReLU", "x", "y"))
    x = np.zeros((12, 3), np.float32)
    x[11, 1] = 2000
    np.save("x.npy", x)
    converted(capsys, *files, "out.onnx", "--batch", "5")
    assert 1 == main(["convert", *files, "again.onnx", "--batch", "5", "--inputs", "x.npy"])
    assert "'y': the largest difference is 1000, or 5.0e-01 of the range (x.npy)" in capsys.readouterr().err


def test_images_of_the_user(capsys):
    """They are prepared as the net says."""
    needs("onnxruntime")
    cv2 = needs("cv2")
    cv2.imwrite("a.png", np.arange(180, dtype=np.uint8).reshape(6, 10, 3))
    said, _ = converted(capsys, *save(IMAGES), "out.onnx", "--mean", "1,2,3", "--inputs", "a.png")
    assert "and a.png:" in " ".join(said.split())


@pytest.mark.parametrize(("saved", "want"), [
    ({"z": np.ones((5, 3))}, "--inputs: a.npz holds z, but the net has the inputs x"),
    ({"x": np.ones((5, 4))}, "--inputs: a.npz has 5×4 for the input 'x', which takes 1×3"),
    ({"x": np.array(1)}, "--inputs: a.npz has scalar for the input 'x', which takes 1×3"),
    ({"x": np.ones((0, 3))}, "--inputs: a.npz has 0×3 for the input 'x', which takes 1×3")])
def test_arrays_that_do_not_fit(capsys, saved, want):
    needs("onnxruntime")
    np.savez("a.npz", **saved)
    assert want in refused(capsys, *save(DEPLOYED), "out.onnx", "--inputs", "a.npz")


def test_arrays_of_sequences(capsys):
    """Their samples follow one another along the second axis."""
    needs("onnxruntime")
    lstm = layer("LSTM", "x cont", "y", "recurrent_param { num_output: 2 weight_filler { type: 'xavier' } }")
    files = save(inputs(x=(4, 5, 3), cont=(4, 5)) + lstm)
    np.savez("a.npz", x=np.ones((4, 7, 3)), cont=np.ones((4, 7)))
    said, model = converted(capsys, *files, "out.onnx", "--inputs", "a.npz")
    assert {"x": [4, "batch", 3], "cont": [4, "batch"]} == sizes(model.graph.input)
    assert "and a.npz:" in " ".join(said.split())


def test_one_array_for_two_inputs(capsys):
    needs("onnxruntime")
    np.save("a.npy", np.ones((5, 3)))
    files = save(inputs(x=(5, 3), z=(5, 3)) + layer("Eltwise", "x z", "y"))
    assert "a.npy holds one array, but the net has the inputs x, z" in refused(capsys, *files, "out.onnx", "--inputs",
                                                                             "a.npy")


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04"])
def test_arrays_that_are_damaged(capsys, folder, content):
    needs("onnxruntime")
    (folder / "a.npy").write_bytes(content)
    assert "a.npy" in refused(capsys, *save(DEPLOYED), "out.onnx", "--inputs", "a.npy")


# --- errors -------------------------------------------------------------------------------------------------------

def test_types_that_have_no_form(capsys, monkeypatch):
    """Each with its line, and a way out that works."""
    monkeypatch.delitem(WRITERS, "Power")
    text = DEPLOYED.replace("prob", "p") + layer("Power", "p", "q") + layer("ReLU", "q", "r") + layer("Power", "r", "s")
    error = refused(capsys, *save(text), "out.onnx")
    assert error == ("minicaffe: error: net.prototxt:4: layer 'q' (Power) has no form in ONNX; nor has 's' (Power, "
                     "net.prototxt:6)\n  hint: --outputs p ends the model before it; compute the rest outside\n")
    assert 0 == main(["convert", "net.prototxt", "w.bin", "out.onnx", "--outputs", "p"])


def test_what_a_layer_refuses_has_its_line(capsys, monkeypatch):
    def refuse(g):
        g.refuse("is too hard", "another way")

    monkeypatch.setitem(WRITERS, "Softmax", refuse)
    assert refused(capsys, *save(DEPLOYED), "out.onnx", "--batch", "3") == (
        "minicaffe: error: net.prototxt:3: layer 'prob' (Softmax) is too hard\n  hint: another way\n")


USAGE = "minicaffe convert NET.prototxt WEIGHTS out.onnx"


@pytest.mark.parametrize(("argv", "want"), [
    (["net.prototxt", "out.onnx"], f"net.prototxt: out.onnx needs the weights of this net too\n  hint: {USAGE}"),
    (["w.bin", "out.onnx"], f"w.bin is weights (a caffemodel), and out.onnx needs the net too\n  hint: {USAGE}"),
    (["w.bin", "net.prototxt", "out.onnx"], "w.bin is weights (a caffemodel), and net.prototxt is the net: they are "
     "in the wrong order\n  hint: minicaffe convert net.prototxt w.bin out.onnx"),
    (["net.prototxt", "out.onnx", "--model", "w.bin"], "they are in the wrong order"),
    (["net.prototxt", "net.prototxt", "out.onnx"], "net.prototxt is a prototxt, not weights"),
    (["w.bin", "w.bin", "out.onnx"], "w.bin"),
    (["net.prototxt", "w.bin", "out.onnx", "--model", "net.prototxt"], "the net is given twice, as net.prototxt and as "
     "--model net.prototxt"),
    (["net.prototxt", "out.onnx", "w.bin"], "out.onnx is in the place of the weights\n  hint: the file that is written "
     "comes last: minicaffe convert net.prototxt WEIGHTS OUT.onnx"),
    (["net.prototxt", "w.bin", ""], "argument B: expects a value"),
    (["model.onnx", "w.bin", "out.prototxt"], "model.onnx is an ONNX model, which has its weights inside: w.bin has "
     "no effect\n  hint: minicaffe convert model.onnx out.prototxt"),
    (["net.prototxt", "gone.npz", "out.onnx"], "no such file: gone.npz"),
    (["gone.prototxt", "w.bin", "out.onnx"], "no such file: gone.prototxt"),
    (["net.prototxt", "w.bin", "no/out.onnx"], "B: cannot write no/out.onnx"),
    (["net.prototxt", "w.bin", "out.onnx", "--batch", "0"], "--batch: expects free, or a whole number, 1 or more, got "
     "'0'"),
    (["net.prototxt", "w.bin", "out.onnx", "--outputs", "prop"], "--outputs prop: the net has no blob 'prop'\n"
     "  hint: did you mean 'prob'?"),
    (["net.prototxt", "w.bin", "out.onnx", "--outputs", "x"], "--outputs x: this blob is an input"),
    (["net.prototxt", "w.bin", "out.onnx", "--shape", "z=3"], "--shape z=...: no Input makes this blob; they make x"),
    (["net.prototxt", "w.bin", "out.onnx", "--shape", "4"], "layer 'f'"),
    (["net.prototxt", "w.bin", "out.onnx", "--dialect", "ssd"], "--dialect has no effect where w.bin becomes out.onnx"),
    (["w.bin", "out.caffemodel", "--fold"], "--fold has no effect where w.bin becomes out.caffemodel"),
    (["net.prototxt", "out.yaml", "--model", "net.prototxt"], "--model has no effect"),
    (["net.prototxt", "w.bin", "out.yaml"], "a net with its weights cannot be written as out.yaml\n  hint: give a name "
     "that ends in .onnx, .py, .caffemodel,"),
])
def test_wrong_arguments(capsys, argv, want):
    save(DEPLOYED)
    try:
        assert want in refused(capsys, *argv)
    except SystemExit:
        assert want in capsys.readouterr().err


def test_weights_of_another_net(capsys):
    save(inputs(x=(5, 3)) + fully_connected("x", "g", 4))
    with open("net.prototxt", "w") as file:
        file.write(DEPLOYED)
    assert "the weights of 'f' are in none of the files w.bin" in refused(capsys, "net.prototxt", "w.bin", "out.onnx")


@pytest.mark.parametrize(("flags", "cure"), [
    ([], "are these the weights of this net?"),
    (["--shape", "4"], "without --shape the net has the sizes of its definition")])
def test_weights_of_other_sizes(capsys, flags, cure):
    """The cure is not that of a training, where a layer may be learned anew."""
    save(DEPLOYED)
    with open("net.prototxt", "w") as file:
        file.write(DEPLOYED if flags else inputs(x=(5, 6)) + fully_connected("x", "f", 4))
    said = refused(capsys, "net.prototxt", "w.bin", "out.onnx", *flags)
    assert "the weights of layer 'f' do not fit the net" in said
    assert said.rstrip().endswith(f"hint: {cure}")


def test_a_net_without_an_input(capsys):
    save(DEPLOYED)
    with open("net.prototxt", "w") as file:
        file.write(layer("Parameter", "", "x", "parameter_param { shape { dim: 5 dim: 3 } }") + layer("ReLU", "x", "y"))
    error = refused(capsys, "net.prototxt", "w.bin", "out.onnx")
    assert "the net has neither Inputs nor a data layer" in error


def test_an_input_without_a_shape(capsys):
    save(DEPLOYED)
    with open("net.prototxt", "w") as file:
        file.write('layer { name: "x" type: "Input" top: "x" }' + layer("ReLU", "x", "y"))
    assert "net.prototxt:1: layer 'x' (Input) has no shape" in refused(capsys, "net.prototxt", "w.bin", "out.onnx")


def test_without_the_package(capsys, monkeypatch):
    """One message with the extra, before the net is made."""
    files, real = save(DEPLOYED), builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == "onnx":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    error = refused(capsys, *files, "out.onnx")
    assert "needs the package 'onnx', which is not installed\n  hint: pip install 'minicaffe[onnx]'" in error


def test_a_model_that_is_too_large(capsys, monkeypatch):
    from minicaffe.cli import to_onnx

    monkeypatch.setattr(to_onnx, "LARGEST", 100)
    assert "an .onnx file holds at most" in refused(capsys, *save(DEPLOYED), "out.onnx")
