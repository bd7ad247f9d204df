"""The nets and solvers of examples/ are good ones: lint finds nothing in them, and deploy makes of one the other."""

from pathlib import Path

import pytest

from minicaffe import lint
from minicaffe.cli.__main__ import main
from minicaffe.io import prototxt
from minicaffe.proto import NetParameter

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("folder", ["fashion_mnist", "logistic_regression", "textures"])
def test_nothing_is_found_in_the_examples(monkeypatch, folder):
    """Neither an error nor a warning; that the data is not there is a note."""
    monkeypatch.chdir(EXAMPLES / folder)
    files = sorted(path.name for path in Path(".").glob("*.prototxt"))

    assert files
    assert [] == [one for one in lint.examine(files).findings if one.severity != "note"]


def test_deploy_makes_the_deploy_net_of_the_example(tmp_path):
    """From LeNet's train net it makes the layers that its deploy net has."""
    out = str(tmp_path / "out.prototxt")
    net = str(EXAMPLES / "fashion_mnist" / "lenet_train_test.prototxt")
    assert 0 == main(["deploy", net, out, "--shape", "1x28x28"])

    def layers(path):
        return [(one.type, list(one.bottom), list(one.top), one.convolution_param.num_output,
                 one.inner_product_param.num_output) for one in prototxt.read(path, NetParameter()).layer]

    assert layers(EXAMPLES / "fashion_mnist" / "lenet.prototxt") == layers(out)
