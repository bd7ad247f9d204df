"""The example of a layer of one's own runs as its README says."""

import sys
from pathlib import Path

import numpy as np

from minicaffe import TEST, Net
from minicaffe.testing import check_layer

FOLDER = Path(__file__).parents[2] / "examples" / "custom_layer"


def test_softsign(monkeypatch):
    """this test shows that the layer has the right gradient and runs in a net by its module's name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    from softsign import SoftsignLayer

    from minicaffe import Blob

    x = Blob((2, 7, 5), np.float64)
    x.data[...] = np.random.default_rng(1).standard_normal(x.shape)
    assert check_layer(SoftsignLayer(dtype=np.float64), [x]) < 1e-7
    net = Net(FOLDER / "net.prototxt", TEST)
    net.blobs["data"].data[...] = -3
    net.forward()
    sys.modules.pop("softsign")

    np.testing.assert_allclose(net.blobs["sign"].data, -0.75)
