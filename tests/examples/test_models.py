"""The nets of examples/models: as the script writes them, of the published sizes, and able to learn."""

import importlib
import math
import re
from pathlib import Path

import numpy as np
import pytest

from minicaffe import TEST, TRAIN
from minicaffe.analysis.cost import cost
from minicaffe.cli.summary import read
from minicaffe.io import prototxt
from minicaffe.net import Net
from minicaffe.proto import NetParameter, SolverParameter

FOLDER = Path(__file__).parents[2] / "examples" / "models"
README = (FOLDER / "README.md").read_text(encoding="utf-8")

# net, phase, side of the image, published parameters and multiply-adds of one image, as their sources round them
PUBLISHED = [
    ("alexnet", TEST, 227, "60.965e6", "0.73e9"),  # Open Model Zoo; convnet-burden says 727e6, and that it is rough
    ("caffenet", TEST, 227, "60.965e6", "724e6"),  # the same
    ("vgg_16", TEST, 224, "138357544", "15.47e9"),  # torchvision, vgg16
    ("googlenet", TEST, 224, "6.999e6", "1.5e9"),  # Open Model Zoo; Szegedy et al., arXiv:1409.4842, section 1
    ("googlenet", TRAIN, 224, "13.4e6", None),  # counted here: no source was found
    ("resnet_18", TEST, 224, "11689512", "1.81e9"),  # torchvision, resnet18
    ("resnet_50", TEST, 224, "25557032", "3.8e9"),  # torchvision, resnet50; He et al., arXiv:1512.03385
    ("squeezenet", TEST, 224, "1235496", "0.35e9"),  # torchvision, squeezenet1_1
    ("mobilenet", TEST, 224, "4.2e6", "569e6")]  # Howard et al., arXiv:1704.04861, table 6
NAMES = sorted({row[0] for row in PUBLISHED})
SLOW = set(NAMES) - {"squeezenet"}


def shaped(name, phase, side):
    """The net with shapes but no memory, for one image."""
    return read(str(FOLDER / f"{name}.prototxt"), phase, batch=1, size=f"{side}x{side}")[0]


def learned(net):
    """The number of learned values: what BatchNorm measures is left out, as papers leave it out."""
    measured = sum(blob.count for layer in net.layers if layer.type == "BatchNorm" for blob in layer.blobs)
    return cost(net).parameters - measured


def unit(figure):
    """What 1 in the last digit of a figure is worth: 0.01e9 in 1.81e9."""
    digits, _, exponent = figure.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


@pytest.mark.parametrize(("name", "phase", "side", "parameters", "multiply_adds"), PUBLISHED)
def test_sizes_are_the_published_ones(name, phase, side, parameters, multiply_adds):
    """Parameters agree to the last digit published, and multiply-adds to within one unit of it."""
    net = shaped(name, phase, side)
    found = learned(net)
    if name == "resnet_50":
        found -= 64  # the bias of conv1, which the published caffemodel has and torchvision's net has not

    assert abs(found - float(parameters)) <= unit(parameters) / 2
    if multiply_adds:
        assert abs(cost(net).multiply_adds - float(multiply_adds)) <= unit(multiply_adds)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_what_summary_says(name):
    """The two counts in the README's table are those of `minicaffe summary NET --phase TEST --batch 1`."""
    row = re.search(rf"^\| `{name}` \|[^|]*\| (\d+) \| ([\d,]+) \|[^|]*\| ([\d,]+) \|", README, re.MULTILINE)
    side, *counts = (int(text.replace(",", "")) for text in row.groups())
    costs = cost(shaped(name, TEST, side))

    assert [costs.parameters, costs.multiply_adds] == counts
    assert f"crop_size: {side}" in (FOLDER / f"{name}.prototxt").read_text(encoding="utf-8")


def test_files_are_what_the_script_writes(tmp_path, monkeypatch):
    """No net was edited by hand: make.py writes the same bytes, and every file of the folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    importlib.import_module("make").write(tmp_path)

    assert {path.name for path in FOLDER.glob("*.prototxt")} == {path.name for path in tmp_path.iterdir()}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", NAMES)
def test_a_test_reads_the_validation_set_once(name):
    """A solver names its net, and its test batches hold the 50,000 images of ImageNet's validation set together."""
    solver = prototxt.read(str(FOLDER / f"{name}_solver.prototxt"), SolverParameter())
    net = prototxt.read(str(FOLDER / solver.net), NetParameter())
    batches = {layer.include[0].phase: layer.data_param.batch_size for layer in net.layer if layer.type == "Data"}

    assert f"{name}.prototxt" == solver.net
    assert 50_000 == solver.test_iter[0] * batches[TEST]
    assert solver.stepsize < solver.max_iter
    assert all(step < solver.max_iter for step in solver.stepvalue)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
                                  for name in NAMES])
def test_a_fresh_net_guesses_and_its_gradient_reaches_the_first_layer(name):
    """The first loss is near ln 1000, that of a net which finds all classes equally likely, and every layer learns."""
    net_of_file = prototxt.read(str(FOLDER / f"{name}.prototxt"), NetParameter())
    net_of_file.layer[0].CopyFrom(images(net_of_file.layer[0].transform_param))
    net = Net(net_of_file, TRAIN)
    net.forward()
    net.backward()

    loss = float(net.blobs[net.outputs[-1]].data)
    assert loss == pytest.approx(math.log(1000), abs=2)  # the score of one class alone may be off by 1 or so
    for param in net.learnable_params:
        if param.lr_mult:
            assert np.isfinite(param.blob.diff).all(), param.layer
            assert np.any(param.blob.diff) or len(param.blob.shape) == 1, param.layer  # biases before BatchNorm: 0


def images(transform):
    """A layer for the place of the data layer: three images of noise with classes."""
    scale = transform.scale
    layer = NetParameter().layer.add(name="data", type="DummyData", top=["data", "label"])
    side = transform.crop_size
    layer.dummy_data_param.shape.add(dim=[3, 3, side, side])
    layer.dummy_data_param.shape.add(dim=[3])
    layer.dummy_data_param.data_filler.add(type="gaussian", std=60 * scale)
    layer.dummy_data_param.data_filler.add(type="constant", value=7)
    return layer
