"""Layers that choose are given the numbers of the net, so that each stage is compared by itself."""

import numpy as np
import pytest
from extras import needs
from net_tools import fully_connected, inputs, layer
from onnx_tools import exported

from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_out.stages import cuts, given_name, in_stages

X = inputs(x=(2, 3))
CHOICE = (X + fully_connected("x", "s", 5) + layer("ReLU", "s", "t", "relu_param { negative_slope: 0.5 }")
          + layer("ArgMax", "t", "a", "argmax_param { axis: 1 }") + layer("Sigmoid", "t", "y"))


def test_what_is_cut():
    assert cuts(*exported(CHOICE)) == ["t"]


@pytest.mark.parametrize(("text", "want"), [
    (X + layer("ArgMax", "x", "y"), []),  # inputs are the same anyway
    (X + layer("ReLU", "x", "y"), []),
    (inputs(x=(2, 3, 4, 5)) + layer("ReLU", "x", "r") + layer("Pooling", "r", "y m", "pooling_param { kernel_size: 2 }")
     + layer("Upsample", "y m", "z", "upsample_param { scale: 2 }"), ["r"]),
    (inputs(x=(2, 3, 4, 5)) + layer("ReLU", "x", "r") + layer("Pooling", "r", "y", "pooling_param { kernel_size: 2 }"),
     []),
])
def test_which_layers_choose(text, want):
    assert cuts(*exported(text)) == want


def test_each_stage_reads_what_is_given():
    """The last stage computes with other numbers than the first one makes, and both are put out."""
    needs("onnxruntime")
    net, model = exported(CHOICE)
    cut = in_stages(model, cuts(net, model))
    net.blobs["x"].data[...] = np.arange(6).reshape(2, 3)
    net.forward()
    other = np.array([[0, 1, 2, 3, 9], [9, 3, 2, 1, 0]], np.float32)
    found = onnx_package.run(cut.SerializeToString(), {"x": net.blobs["x"].data, given_name("t"): other})
    assert [*found] == ["a", "y", "t"]
    np.testing.assert_array_equal(found["a"].reshape(-1), [4, 0])
    np.testing.assert_allclose(found["y"], 1 / (1 + np.exp(-other)), rtol=1e-6)
    np.testing.assert_allclose(found["t"], net.blobs["t"].data, rtol=1e-5)
    assert [one.name for one in model.graph.output] == ["a", "y"]  # the model itself stays as it is
