"""`minicaffe summary`: the table, the totals, and nets whose data is not there."""

import re

import pytest
from cases import an_lmdb
from net_tools import convolution, fully_connected, inputs, layer

from minicaffe.cli.__main__ import main

BODY = convolution("data", "conv", 5, 3) + layer("ReLU", "conv", "conv", name="relu") + fully_connected(
    "conv", "fc", 7) + layer("SoftmaxWithLoss", "fc label", "loss")
INPUT = inputs(data=(4, 3, 8, 6), label=(4,)) + BODY


def data_layer(message, more=""):
    return f'layer {{ name: "d" type: "{message}" top: "data" top: "label" {more} }}\n' + BODY


LMDB = data_layer("Data", 'data_param { source: "no_lmdb" backend: LMDB batch_size: 64 } %s')


def summary(tmp_path, capsys, text, *flags, status=0):
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    assert status == main(["summary", str(path), *flags])
    printed = capsys.readouterr()
    return (printed.err if status else printed.out).replace(f"{tmp_path}/", "")


def row(printed, name):
    """The words of a layer's row."""
    return next(re.split(r"\s{2,}", line) for line in printed.splitlines() if line.startswith(f"{name} "))


def test_table(tmp_path, capsys):
    """A row worked out by hand: 5·3·9 + 5 = 140 parameters, 4·5·8·6·27 multiply-adds, 4·5·8·6·4 bytes."""
    printed = summary(tmp_path, capsys, INPUT)

    assert ["conv", "Convolution", "4×5×8×6", "140", "25,920", "3.8 KiB"] == row(printed, "conv")
    assert ["relu", "ReLU", "4×5×8×6", "–", "–", "in place"] == row(printed, "relu")
    assert ["loss", "SoftmaxWithLoss", "scalar", "–", "–", "4 B"] == row(printed, "loss")
    assert "parameters      1,827 (7.1 KiB)\n" in printed
    assert "multiply-adds   32,640 a batch of 4, 8,160 a sample\n" in printed
    assert re.search(r"^memory, TEST +[\d.]+ KiB = activations .* \+ parameters 7\.1 KiB \+", printed, re.MULTILINE)
    assert re.search(r"^memory, reused +[\d.]+ KiB = activations .* \+ parameters 7\.1 KiB \+", printed, re.MULTILINE)
    assert re.search(r"^memory, TRAIN +[\d.]+ KiB = the same \+ gradients .* history 14\.3 KiB", printed, re.M)


def test_batch_and_size(tmp_path, capsys):
    """--batch and --size change the inputs, and with them every shape."""
    printed = summary(tmp_path, capsys, INPUT, "--batch", "9", "--size", "10x12", "--weights")

    assert ["conv", "Convolution", "9×5×10×12"] == row(printed, "conv")[:3]
    assert ["fc", "InnerProduct", "9×7", "4,207"] == row(printed, "fc")[:4]
    assert re.search(r"^ +5×3×3×3\n +5\n", printed, re.MULTILINE)
    assert "1×1×10×12" not in printed
    assert ["data", "Input", "4×1×8×6"] == row(summary(tmp_path, capsys, INPUT, "--size", "1x8x6"), "data")[:3]


@pytest.mark.parametrize(("transform", "flags", "shape"), [
    ("", ["--size", "28x20"], "64×3×28×20, 64"), ("", ["--size", "1x28x20", "--batch", "5"], "5×1×28×20, 5"),
    ("transform_param { crop_size: 24 }", [], "64×3×24×24, 64"),
    ("transform_param { crop_size: 24 force_gray: true }", [], "64×1×24×24, 64")])
def test_data_without_its_source(tmp_path, capsys, transform, flags, shape):
    """The shape of a data layer without its source follows from --size, or from the crop."""
    printed = summary(tmp_path, capsys, LMDB % transform, *flags)
    assert shape == row(printed, "d")[2]
    said = f"Layer 'd' is counted as a Data layer that puts out {shape.split(',')[0]}; its source was not read."
    assert said in printed


def test_images_are_resized(tmp_path, capsys):
    """The size also follows from new_height and new_width."""
    text = data_layer("ImageData", 'image_data_param { source: "no.txt" batch_size: 2 new_height: 9 new_width: 7 }')

    assert "2×3×9×7, 2" == row(summary(tmp_path, capsys, text), "d")[2]


def test_data_with_its_source(tmp_path, capsys):
    """A database that exists is read for its shape."""
    an_lmdb(tmp_path)
    text = (LMDB % "").replace("no_lmdb", str(tmp_path / "lmdb"))

    printed = summary(tmp_path, capsys, text, "--batch", "6")
    assert ["d", "Data", "6×3×7×5, 6"] == row(printed, "d")[:3]
    assert "stands for" not in printed


@pytest.mark.parametrize(("text", "flags", "words"), [
    (LMDB % "", [], "net.prototxt:1: layer 'd' (Data): its source no_lmdb is not there, so the size of its images is "
                    "not known\n  hint: give it: --size HxW"),
    (LMDB % "", ["--size", "28"], "--size must be HxW or CxHxW, such as 227x227 or 1x28x28, got '28'"),
    (data_layer("Data", 'data_param { source: "no" }'), ["--size", "4x4"],
     "layer 'd' (Data) has no batch_size\n  hint: give it: --batch N"),
    (INPUT.replace('"ReLU"', '"RELU"'), [], "net.prototxt:4: layer 'relu' has the unknown type 'RELU'")])
def test_errors(tmp_path, capsys, text, flags, words):
    """The message says what is missing or misspelt, with the cure."""
    assert words in summary(tmp_path, capsys, text, *flags, status=1)


@pytest.mark.parametrize("number", ["0", "-1"])
@pytest.mark.parametrize("command", ["summary n", "draw n n.svg", "trace n --out n.html", "check n"])
def test_a_batch_of_none(capsys, command, number):
    """A batch of 0 is refused, not taken for none given."""
    with pytest.raises(SystemExit, match="1"):
        main([*command.split(), "--batch", number])
    assert f"argument --batch: expects a whole number, 1 or more, got '{number}'" in capsys.readouterr().err


def test_phases(tmp_path, capsys):
    """The phase chooses the layers, and a net without a loss gets no forecast for training."""
    text = INPUT.replace('name: "loss"', 'name: "loss" include { phase: TRAIN }')
    text += 'layer { name: "s" type: "Silence" bottom: "label" include { phase: TEST } }'
    printed = summary(tmp_path, capsys, text, "--phase", "TEST")

    assert "memory, TRAIN   nothing to train: no layer is a loss" in printed
    assert "SoftmaxWithLoss" not in printed
    assert "SoftmaxWithLoss" in summary(tmp_path, capsys, text)


LSTM = inputs(data=(7, 4, 5), cont=(7, 4), label=(7, 4)) + layer(
    "LSTM", "data cont", "lstm", "recurrent_param { num_output: 3 }") + layer(
    "InnerProduct", "lstm", "fc", "inner_product_param { num_output: 6 axis: 2 }") + layer(
    "SoftmaxWithLoss", "fc label", "loss", "softmax_param { axis: 2 }")


def test_time_steps_are_not_the_batch(tmp_path, capsys):
    """A recurrent net's first axis is time: the batch is its sequences, and --batch changes their number."""
    printed = summary(tmp_path, capsys, LSTM)
    assert re.search(r"^multiply-adds   ([\d,]+) a batch of 4 sequences of 7 time steps, ([\d,]+) a sequence$", printed,
                     re.MULTILINE)
    assert row(printed, "data")[2] == "7×4×5"
    printed = summary(tmp_path, capsys, LSTM, "--batch", "9")
    assert ["7×9×5", "7×9", "7×9×3"] == [row(printed, name)[2] for name in ("data", "cont", "lstm")]
    assert "a batch of 9 sequences of 7 time steps" in printed


def test_what_the_stages_left_out(tmp_path, capsys):
    """A blob whose layer the stages left out is not blamed on a missing data layer, and the stage is named."""
    text = inputs(data=(4, 3, 8, 6), label=(4,)).replace(
        'type: "Input"', 'type: "Input" include { stage: "deploy" not_stage: "train" }') + BODY
    printed = summary(tmp_path, capsys, text, status=1)

    assert ("net.prototxt:3: layer 'conv' (Convolution): unknown bottom blob 'data' (bottom 0)\n"
            "  hint: layer 'data' makes it, but its rules leave it out of this net (TRAIN, level 0, stages: none); "
            "--stage deploy takes it in") in printed
    assert row(summary(tmp_path, capsys, text, "--stage", "deploy"), "data")[2] == "4×3×8×6"


def test_of_two_layers_of_one_name_the_wrong_one_is_named(tmp_path, capsys):
    """Without a file of its own (summary reads it first), a net still tells which of two layers of a name it means."""
    text = INPUT + layer("Pooling", "fc", "p", "pooling_param { kernel_size: 2 }", name="relu")

    assert summary(tmp_path, capsys, text, status=1).startswith("minicaffe: error: net.prototxt:7: layer 'relu' (Pool")
