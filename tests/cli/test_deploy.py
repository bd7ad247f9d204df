"""minicaffe deploy: what becomes of a train net, and the proof that the new net gives the same numbers."""

import numpy as np
import pytest
from extras import needs
from net_tools import convolution, fully_connected, layer

from minicaffe import TEST, Net
from minicaffe import pycaffe as caffe
from minicaffe.cli.__main__ import main
from minicaffe.data.datum import make as datum
from minicaffe.data.lmdb import write_lmdb
from minicaffe.io import prototxt
from minicaffe.passes import deploy as deploying
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text


def data(phase="", transform="crop_size: 4 scale: 0.5 mean_value: 7", tops="x label"):
    return layer("Data", "", tops, f'{phase} data_param {{ source: "away/lmdb" batch_size: 2 backend: LMDB }} '
                 f"transform_param {{ {transform} }}", name="d")


TRAIN, TEST_RULE = "include { phase: TRAIN }", "include { phase: TEST }"
LOSS = layer("SoftmaxWithLoss", "f label", "loss")
F = fully_connected("x", "f", 5, "param { lr_mult: 1 } param { lr_mult: 2 }")
NET = data(TRAIN) + data(TEST_RULE) + F + layer("Accuracy", "f label", "accuracy", TEST_RULE) + LOSS


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test has a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def deployed(text, *flags, status=0):
    """The deploy net of a text: its layers as (type, bottoms, tops)."""
    with open("net.prototxt", "w") as file:
        file.write(text)
    assert status == main(["deploy", "net.prototxt", "out.prototxt", *flags])
    if status == 0:
        return [(one.type, " ".join(one.bottom), " ".join(one.top))
                for one in prototxt.read("out.prototxt", NetParameter()).layer]
    return []


INPUT, PROB = ("Input", "", "x"), ("Softmax", "f", "prob")
DENSE = ("InnerProduct", "x", "f")


@pytest.mark.parametrize(("text", "want"), [
    (NET, [INPUT, DENSE, PROB]),
    (data() + F + LOSS, [INPUT, DENSE, PROB]),
    (data(TRAIN) + F + LOSS, [INPUT, DENSE, PROB]),
    (data() + F + layer("SigmoidCrossEntropyLoss", "f label", "loss"), [INPUT, DENSE, ("Sigmoid", "f", "prob")]),
    (data() + F + layer("EuclideanLoss", "f label", "loss"), [INPUT, DENSE]),
    (data() + F + layer("Softmax", "f", "p", TEST_RULE) + LOSS, [INPUT, DENSE, ("Softmax", "f", "p")]),
    (data() + F + layer("Softmax", "f", "p") + layer("Accuracy", "p label", "a") + LOSS,
     [INPUT, DENSE, ("Softmax", "f", "p")]),
    (data() + F + layer("SoftmaxWithLoss", "f label", "loss p"), [INPUT, DENSE, ("Softmax", "f", "p")]),
    (data() + F + layer("SoftmaxWithLoss", "f label", "loss", TRAIN) + layer("Accuracy", "f label", "a", TEST_RULE),
     [INPUT, DENSE, PROB]),
    (data() + F + layer("Accuracy", "f label", "a"), [INPUT, DENSE]),
    (data() + layer("Dropout", "x", "x", name="drop") + F + LOSS, [INPUT, ("Dropout", "x", "x"), DENSE, PROB]),
    (data() + layer("Dropout", "x", "x", TRAIN, name="drop") + F + LOSS, [INPUT, DENSE, PROB]),
    (data() + layer("Slice", "label", "l1 l2", name="s") + F + fully_connected("x", "g", 6)
     + layer("SoftmaxWithLoss", "f l1", "a") + layer("SoftmaxWithLoss", "g l2", "b"),
     [INPUT, DENSE, ("InnerProduct", "x", "g"), PROB, ("Softmax", "g", "g_prob")]),
    (data() + F + LOSS + layer("Silence", "label", "", name="quiet"), [INPUT, DENSE, PROB]),
    (data(tops="x") + layer("Flatten", "x", "flat") + fully_connected("x", "f", 48)
     + layer("EuclideanLoss", "f flat", "loss"), [INPUT, DENSE]),
    (data() + F + LOSS + fully_connected("x", "g", 6) + layer("SoftmaxWithLoss", "g label", "aux", "loss_weight: 0.3"),
     [INPUT, DENSE, PROB]),
    (data() + F + LOSS.replace("loss", "prob", 1), [INPUT, DENSE, PROB]),
    (data() + F + layer("ReLU", "f", "r") + LOSS, [INPUT, DENSE, ("ReLU", "f", "r"), PROB]),
    (data() + F + LOSS + layer("EuclideanLoss", "f f", "shown", "loss_weight: 0"),
     [INPUT, DENSE, PROB]),
], ids=["two phases", "no phases", "TRAIN alone", "sigmoid", "euclidean", "has a softmax", "softmax for accuracy",
        "second top", "loss in TRAIN alone", "no loss", "dropout", "part of TRAIN", "sliced labels", "silence",
        "autoencoder", "auxiliary loss", "a loss called prob", "another output", "a loss that is only shown"])
def test_what_becomes_of_a_net(text, want):
    """Data layers become Input, losses the probabilities that they contain, and what only training needs goes."""
    assert want == deployed(text)
    Net("out.prototxt", TEST, shapes_only=True)  # it can be made


def test_all_outputs():
    """With --all-outputs an auxiliary loss keeps its branch."""
    text = data() + F + LOSS + fully_connected("x", "g", 6) + layer("SoftmaxWithLoss", "g label", "aux",
                                                                   "loss_weight: 0.3")

    assert [INPUT, DENSE, ("InnerProduct", "x", "g"), PROB, ("Softmax", "g", "g_prob")] == deployed(
        text, "--all-outputs")


def test_an_axis_and_a_shared_blob_are_kept():
    """The Softmax goes along the loss's axis, and the names by which layers share blobs stay."""
    share = 'param { name: "w" lr_mult: 3 } param { lr_mult: 1 }'
    deployed(data() + fully_connected("x", "f", 5, share) + layer("Reshape", "f", "r", "reshape_param { shape { dim: 0 "
             "dim: 1 dim: 5 } }") + layer("SoftmaxWithLoss", "r label", "loss", "softmax_param { axis: 2 }"))
    net = prototxt.read("out.prototxt", NetParameter())

    assert 2 == net.layer[-1].softmax_param.axis
    assert [("w", False), ("", False)] == [(spec.name, spec.HasField("lr_mult")) for spec in net.layer[1].param]


@pytest.mark.parametrize("keep", [False, True])
def test_what_only_training_reads(keep):
    """Fillers and learning rates go, unless --keep says that they stay; rules about phases always go."""
    deployed(NET, *(["--keep"] if keep else []))
    dense = prototxt.read("out.prototxt", NetParameter()).layer[1]

    assert keep == dense.inner_product_param.HasField("weight_filler")
    assert keep == bool(dense.param)
    assert not any(one.include or one.exclude or one.loss_weight
                   for one in prototxt.read("out.prototxt", NetParameter()).layer)


def test_the_argument_is_not_changed():
    """The pass returns a new net, as every pass does."""
    net = proto_text.parse(NET, NetParameter())
    before = net.SerializeToString(deterministic=True)
    roles = {"Data": deploying.Role(deploying.DATA), "SoftmaxWithLoss": deploying.Role(deploying.LOSS, "Softmax", (1,)),
             "Accuracy": deploying.Role(deploying.MEASURE, "", (1,))}
    made = deploying.deploy(net, roles, {"x": [1, 3, 4, 4], "label": [1]})

    assert before == net.SerializeToString(deterministic=True)
    assert ["x", "f", "prob"] == [one.top[0] for one in made.net.layer]


def test_what_it_says(capsys, folder):
    """Each thing that is done is a line, the preprocessing is a sentence, and it stands in OUT too."""
    deployed(NET)
    said, text = capsys.readouterr().out, (folder / "out.prototxt").read_text()
    sentence = "'x' takes images as they were trained on: channels blue, green, red, pixels 0 to 255, the middle 4×4 " \
               "cut out, the mean 7 subtracted, multiplied by 0.5"

    assert "layer 'loss' (SoftmaxWithLoss) becomes layer 'prob' (Softmax)\n" in said
    assert "layer 'd' (Data) becomes an Input that takes 'x', 1×3×4×4\n" in said
    assert "layer 'accuracy' (Accuracy) is left out: it compares with labels\n" in said
    assert "nothing was proved: --weights F compares" in said
    assert "name: \"\"" not in text  # a net without a name gets none
    assert sentence in said
    assert sentence in text.replace("\n#  ", "")
    assert text.startswith("# made by minicaffe deploy from net.prototxt\n")


@pytest.mark.parametrize(("flags", "shape"), [
    (["--shape", "1x6x8"], [1, 1, 6, 8]), (["--shape", "x=1x6x8", "--batch", "9"], [9, 1, 6, 8]),
])
def test_shape_and_batch(flags, shape):
    """--shape says what no source and no crop_size does."""
    deployed(data(transform="") + F + LOSS, *flags)

    assert shape == list(prototxt.read("out.prototxt", NetParameter()).layer[0].input_param.shape[0].dim)


# --- the proof ----------------------------------------------------------------------------------------------

def weights(text, path="w.caffemodel"):
    """Save the weights of a net, which are drawn at random."""
    with open("trained.prototxt", "w") as file:
        file.write(text)
    caffe.Net("trained.prototxt", TEST).save(path)


INSIDE = convolution("x", "c", 6, 3) + layer("ReLU", "c", "c", name="relu") + fully_connected("c", "f", 5)
SHAPES = "dummy_data_param { shape { dim: 2 dim: 3 dim: 4 dim: 4 } shape { dim: 2 } }"
STANDIN = layer("DummyData", "", "x label", SHAPES, name="d")


def test_proof_on_random_numbers(capsys):
    """With weights, both nets are run, and the blobs that agree are named."""
    weights(STANDIN + INSIDE + LOSS)
    deployed(data(TRAIN) + data(TEST_RULE) + INSIDE + LOSS, "--weights", "w.caffemodel")

    assert "proved: on 4 samples of random numbers both nets give the same prob, and the same numbers in 3 other " \
           "blobs; the largest difference is 0" in capsys.readouterr().out.replace("\n  ", " ")


def test_proof_on_real_images(capsys, folder):
    """Where the test net's source is there, its first samples are what both nets are run on."""
    needs("lmdb")
    (folder / "away").mkdir()
    pixels = np.random.default_rng(3).integers(0, 256, (6, 3, 7, 5)).astype(np.uint8)
    write_lmdb("away/lmdb", [(f"{n}", datum(image, n % 5)) for n, image in enumerate(pixels)])
    weights(STANDIN + INSIDE + LOSS)
    deployed(data() + INSIDE + LOSS, "--weights", "w.caffemodel")

    assert "proved: on the first 2 samples of away/lmdb both nets" in capsys.readouterr().out


def test_a_loss_that_gives_its_probabilities(capsys):
    """The test net's own second top is what the deploy net's Softmax is compared with."""
    loss = layer("SoftmaxWithLoss", "f label", "loss p")
    weights(STANDIN + INSIDE + loss)
    deployed(data() + INSIDE + loss, "--weights", "w.caffemodel")

    assert "both nets give the same p, and" in capsys.readouterr().out


def test_the_last_layer_is_in_place(capsys):
    """Its top is the output, although the layer reads it, too."""
    net = data(tops="x") + F + layer("ReLU", "f", "f", name="relu")
    weights(STANDIN + F)
    deployed(net, "--weights", "w.caffemodel")

    shown = capsys.readouterr().out
    assert "the output is 'f'" in shown
    assert "both nets give the same f, and the same numbers in 1 other blob;" in shown


def test_words_are_proved(capsys):
    """Where a layer takes only small whole numbers, such as Embed, the proof draws these."""
    embed = layer("Embed", "x", "e", "embed_param { num_output: 3 input_dim: 7 }")
    body = embed + fully_connected("e", "f", 5) + LOSS
    weights(layer("DummyData", "", "x label", "dummy_data_param { shape { dim: 2 dim: 4 } shape { dim: 2 } }") + body)
    deployed(data(transform="") + body, "--shape", "4", "--weights", "w.caffemodel")

    assert "proved: on 4 samples of random numbers" in capsys.readouterr().out


def test_a_layer_called_as_a_data_top():
    """An Input never has the name of a layer with weights, because weights are found by name."""
    deployed(data() + fully_connected("x", "f", 5).replace('name: "f"', 'name: "x"') + LOSS)

    assert ["x_input", "x", "prob"] == [one.name for one in prototxt.read("out.prototxt", NetParameter()).layer]


def test_a_shape_that_is_not_the_source_s(capsys, folder):
    """Real images prove nothing about a net for images of another size, so random numbers of that size are taken."""
    needs("lmdb")
    (folder / "away").mkdir()
    write_lmdb("away/lmdb", [("0", datum(np.zeros((3, 7, 5), np.uint8), 1))])
    weights(STANDIN + INSIDE + LOSS)
    deployed(data() + INSIDE + LOSS, "--shape", "3x9x6", "--weights", "w.caffemodel", status=1)

    assert "do not fit the net" in capsys.readouterr().err
    assert not (folder / "out.prototxt").exists()


def test_a_target_in_front(capsys):
    """EuclideanLoss takes its target in either place: the prediction is the bottom that is computed."""
    deployed(data() + F + layer("EuclideanLoss", "label f", "loss"))

    assert "the blob 'f', which it reads, is the prediction" in capsys.readouterr().out


def test_rows_of_hdf5_are_no_pixels(capsys):
    """Nothing is said about the range and the order of the numbers in HDF5 files."""
    rows = layer("HDF5Data", "", "x label", 'hdf5_data_param { source: "away.txt" batch_size: 2 }', name="d")
    deployed(rows + F + LOSS, "--shape", "3x6x4")

    shown = capsys.readouterr().out
    assert "'x' takes the numbers that its HDF5 files hold" in shown
    assert "pixels" not in shown
def test_the_shorter_side_is_said(capsys, folder):
    """resize_shorter is part of the sentence and of the flags, and a factor has the digits that the net gives it."""
    deployed(data(transform="resize_shorter: 9 crop_size: 4 scale: 0.0156 mean_value: 104.1") + F + LOSS)
    text = (folder / "out.prototxt").read_text().replace("\n#  ", "")

    assert "pixels 0 to 255, the shorter side resized to 9, the middle 4×4 cut out, the mean 104.1 subtracted" in text
    assert "# preprocessing: --resize-shorter 9 --mean 104.1 --scale 0.0156 --crop 4\n" in text


def test_a_proof_that_fails_writes_nothing(capsys, folder, monkeypatch):
    """If the deploy net gave other numbers, that would be an error, and OUT would stay what it was."""
    weights(STANDIN + INSIDE + LOSS)
    (folder / "out.prototxt").write_text("old")
    honest = deploying.deploy

    def wrong(*args, **options):
        made = honest(*args, **options)
        relu = next(one for one in made.net.layer if one.type == "ReLU")
        relu.relu_param.negative_slope = 0.5
        return made

    monkeypatch.setattr(deploying, "deploy", wrong)
    deployed(data() + INSIDE + LOSS, "--weights", "w.caffemodel", status=1)

    assert "of the deploy net differs from that of the test net" in capsys.readouterr().err
    assert "old" == (folder / "out.prototxt").read_text()


def test_weights_of_another_net(capsys, folder):
    """Weights that lack a layer prove nothing: that is an error, and nothing is written."""
    weights(STANDIN + INSIDE.replace('name: "f"', 'name: "g"') + LOSS)
    deployed(data() + INSIDE + LOSS, "--weights", "w.caffemodel", status=1)

    assert "the weights of 'f' are in none of the files" in capsys.readouterr().err
    assert not (folder / "out.prototxt").exists()


def test_the_train_net_is_not_replaced(capsys, folder):
    """OUT that is the train net, by whatever name, is refused."""
    (folder / "net.prototxt").write_text(NET)
    assert 1 == main(["deploy", "net.prototxt", "./net.prototxt"])
    assert "is the train net itself" in capsys.readouterr().err
    assert NET == (folder / "net.prototxt").read_text()


@pytest.mark.parametrize(("text", "flags", "words"), [
    (data(transform="") + F + LOSS, [], "--shape CxHxW"),
    (NET, ["--shape", "3x"], "--shape must be CxHxW"),
    (NET, ["--shape", "y=3x4x4"], "no data layer makes 'y'; they make label, x"),
    (layer("Input", "", "x", "input_param { shape { dim: 1 } }") + F, [], "no data layer"),
    (data() + layer("SoftmaxWithLoss", "x label", "loss"), [], "no layer of this net gives a prediction"),
    (data(tops="x") + layer("Silence", "x", "", name="s"), [], "no layer of this net gives a prediction"),
    (NET.replace("Accuracy", "Acuracy"), [], "unknown type 'Acuracy'"),
])
def test_mistakes_of_the_user(capsys, folder, text, flags, words):
    """A net that cannot be deployed, and flags that make no sense, are one message and leave no file."""
    deployed(text, *flags, status=1)

    assert words in capsys.readouterr().err
    assert not (folder / "out.prototxt").exists()
