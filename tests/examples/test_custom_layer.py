"""The example of a layer of your own runs as its README says."""

from pathlib import Path

import numpy as np
import pytest
from user_types import forgotten

from minicaffe import TEST, Net
from minicaffe.cli.__main__ import main

FOLDER = Path(__file__).parents[2] / "examples" / "custom_layer"


@pytest.fixture(autouse=True)
def in_the_folder(monkeypatch):
    """The test runs in the example's folder, and the type is unknown again after it."""
    monkeypatch.chdir(FOLDER)
    with forgotten():
        yield


@pytest.mark.parametrize("way", ["Softsign", "Python"])
def test_the_gradient(monkeypatch, way):
    """Each way to name the layer makes one that passes check_layer."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import check

    assert check.largest_error(way) < 1e-7


@pytest.mark.parametrize(("net", "flags"), [("registered.prototxt", ["--import", "softsign"]), ("net.prototxt", [])])
def test_softsign(net, flags):
    """The command line knows the layer, and then a net has its numbers: −3 / (1 + 3)."""
    assert main(["time", "--model", net, "--iterations", "1", *flags]) == 0
    made = Net(net, TEST)
    made.blobs["data"].data[...] = -3
    made.forward()

    np.testing.assert_allclose(made.blobs["sign"].data, -0.75)


def test_the_registered_type_needs_the_import(capsys):
    """Without the flag the error names it."""
    assert main(["summary", "registered.prototxt"]) == 1
    assert "registered.prototxt:4: layer 'sign' has the unknown type 'Softsign'" in capsys.readouterr().err
