"""Whole nets against finite differences: what splits, sharing and in-place layers do to a gradient."""

import pytest
from net_tools import convolution, fully_connected, gradient_errors, inputs, layer, make

FORCE = "force_backward: true\n"
SUM_OF_SQUARES = "reduction_param { operation: SUMSQ }"

def batch_norm(blob):
    """BatchNorm and Scale, both in place."""
    scale = 'scale_param { bias_term: true filler { type: "uniform" min: 0.5 max: 2 } }'
    return layer("BatchNorm", blob, blob, name=f"{blob}_bn") + layer("Scale", blob, blob, scale, name=f"{blob}_scale")


def relu(blob):
    return layer("ReLU", blob, blob, name=f"{blob}_relu")


RESIDUAL_BLOCK = (
    FORCE + inputs(x=(3, 2, 4, 5), y=(3, 2))
    + convolution("x", "a", 2, 3) + batch_norm("a") + relu("a")
    + convolution("a", "b", 2, 3) + batch_norm("b")
    + layer("Eltwise", "x b", "sum") + relu("sum")
    + layer("Pooling", "sum", "pool", "pooling_param { pool: AVE global_pooling: true }")
    + fully_connected("pool", "f", 2)
    + layer("EuclideanLoss", "f y", "loss"))

INCEPTION_BLOCK = (
    FORCE + inputs(x=(2, 3, 4, 5), y=(2, 7))
    + convolution("x", "one", 2, 1) + relu("one")
    + convolution("x", "reduce", 2, 1) + relu("reduce") + convolution("reduce", "three", 3, 3) + relu("three")
    + layer("Pooling", "x", "pool", "pooling_param { pool: MAX kernel_size: 3 stride: 1 pad: 1 }")
    + convolution("pool", "project", 2, 1) + relu("project")
    + layer("Concat", "one three project", "out")
    + layer("Reduction", "out", "loss", f"loss_weight: 0.3 {SUM_OF_SQUARES}"))

SIAMESE = (
    FORCE + inputs(x=(3, 4), z=(3, 4), same=(3,))
    + "".join(
        fully_connected(name, f"{name}1", 5, 'param { name: "w1" } param { name: "b1" }')
        + layer("TanH", f"{name}1", f"{name}1", name=f"{name}_tanh")
        + fully_connected(f"{name}1", f"{name}2", 2, 'param { name: "w2" } param { name: "b2" }') for name in "xz")
    + layer("ContrastiveLoss", "x2 z2 same", "loss", "contrastive_loss_param { margin: 9 legacy_version: true }"))

SPLIT_LOSSES = (
    FORCE + inputs(x=(3, 4), y=(3, 2))
    + fully_connected("x", "f", 2) + layer("TanH", "f", "g")
    + layer("EuclideanLoss", "f y", "near", "loss_weight: 2")
    + layer("EuclideanLoss", "g y", "far", "loss_weight: -0.5")
    + layer("Power", "near", "square", "loss_weight: 0.25 power_param { power: 2 }"))


@pytest.mark.parametrize("text", [RESIDUAL_BLOCK, INCEPTION_BLOCK, SPLIT_LOSSES],
                         ids=["residual block", "inception block", "a loss that is read on"])
def test_blocks(text):
    """Blobs with several readers get the sum of their gradients, through in-place layers too."""
    errors = gradient_errors(make(text))

    assert len(errors) >= 3
    assert max(errors.values()) < 1e-6, errors


def test_siamese():
    """A shared weight gets the gradients of both its uses."""
    net = make(SIAMESE)
    net.blobs["same"].data[...] = [1, 0, 0]
    errors = gradient_errors(net)

    assert {"x", "z", "x1/0", "x1/1", "x2/0", "x2/1"} == set(errors)
    assert max(errors.values()) < 1e-6, errors


@pytest.mark.parametrize("chain", ["Sigmoid ReLU", "TanH Sigmoid Power", "ELU AbsVal", "BNLL Exp", "Softmax Sigmoid",
                                   "Exp Dropout", "Power BNLL TanH", "PReLU Sigmoid", "Swish Swish", "Bias TanH Scale"])
def test_in_place_chains(chain):
    """No in-place layer makes the gradient of the layer before it wrong, as it may in Caffe."""
    first, *rest = chain.split()
    body = layer(first, "f", "g") + "".join(layer(kind, "g", "g", name=f"g{i}") for i, kind in enumerate(rest))
    net = make(FORCE + inputs(x=(3, 4), y=(3, 5)) + fully_connected("x", "f", 5) + body
               + layer("EuclideanLoss", "g y", "loss"))
    errors = gradient_errors(net)

    assert max(errors.values()) < 1e-6, errors


@pytest.mark.parametrize("sharer", [layer("Split", "f", "a b"),
                                    layer("Flatten", "f", "a") + layer("TanH", "f", "b"),
                                    layer("Reshape", "f", "a", "reshape_param { shape { dim: 5 dim: -1 } }")
                                    + layer("Split", "f", "b")],
                         ids=["Split", "Flatten", "Reshape beside Split"])
@pytest.mark.parametrize("in_place", ["ReLU", "Sigmoid", "Power"])
def test_shared_memory_and_in_place(sharer, in_place):
    """An in-place layer on memory that others read too gets memory of its own."""
    scale = "power_param { scale: -3 shift: 0.5 }" if in_place == "Power" else ""
    net = make(FORCE + inputs(x=(3, 4)) + fully_connected("x", "f", 5) + sharer
               + layer(in_place, "a", "a", scale, name="over")
               + "".join(layer("Reduction", blob, f"l_{blob}", f"loss_weight: {weight} {SUM_OF_SQUARES}")
                         for blob, weight in (("a", 1), ("b", 0.3))))
    errors = gradient_errors(net)

    assert max(errors.values()) < 1e-6, errors


def test_mvn_in_place_on_two_axes():
    """MVN, whose top else has four axes, leaves the shape alone in place."""
    net = make(FORCE + inputs(x=(2, 5)) + layer("BNLL", "x", "f")
               + layer("MVN", "f", "f", "mvn_param { across_channels: true }", name="mvn")
               + layer("Power", "f", "loss", "loss_weight: 1 power_param { power: 3 shift: 2 }"))
    errors = gradient_errors(net)

    assert (2, 5) == net.blobs["f"].shape
    assert max(errors.values()) < 1e-5, errors


def test_reshaped_chain():
    """Slice, Reshape and Flatten in a row hand the whole gradient back; Caffe loses it."""
    net = make(inputs(x=(3, 5)) + fully_connected("x", "h", 4) + layer("Slice", "h", "s")
               + layer("Reshape", "s", "r", "reshape_param { shape { dim: 0 dim: 2 dim: 2 } }")
               + layer("Flatten", "r", "f") + layer("Reduction", "f", "loss", f"loss_weight: 0.5 {SUM_OF_SQUARES}"))
    errors = gradient_errors(net)

    assert {"h/0", "h/1"} == set(errors)
    assert max(errors.values()) < 1e-6, errors
