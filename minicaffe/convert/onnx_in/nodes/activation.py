"""Activations."""

from __future__ import annotations

import math

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads

ENDLESS = 3e38  # a limit beyond this is none


@reads("Relu")
def relu(g: Given) -> None:
    """ReLU."""
    g.give(g.relu(g.bottom()))


@reads("LeakyRelu")
def leaky_relu(g: Given) -> None:
    """ReLU with negative_slope."""
    g.give(g.relu(g.bottom(), g.attribute("alpha", 0.01)))


@reads("PRelu")
def prelu(g: Given) -> None:
    """PReLU, with one slope for each channel or one for all."""
    slope, shape = g.constant(1, "a slope"), g.shape()
    if slope.size == 1:
        g.give(g.layer("PReLU", g.bottom(), [slope.reshape(())], prelu_param={"channel_shared": True}))
        return
    full = [1] * (len(shape) - slope.ndim) + list(slope.shape)
    g.refuse_if([axis for axis, size in enumerate(full) if size != 1] != [1],
                f"has slopes of {slope.shape}, and Caffe one for each channel or one for all")
    g.give(g.layer("PReLU", g.bottom(), [slope.reshape(-1)]))


@reads("Sigmoid", "Tanh", "Softplus")
def by_name(g: Given) -> None:
    """The layer for it: Sigmoid, TanH, BNLL."""
    g.give(g.layer({"Sigmoid": "Sigmoid", "Tanh": "TanH", "Softplus": "BNLL"}[g.op], g.bottom()))


@reads("Elu", "Selu", "Celu")
def elu(g: Given) -> None:
    """ELU; for Selu and Celu with a Power, which scales."""
    alpha = g.attribute("alpha", 1.67326319217681884765625 if g.op == "Selu" else 1.0)
    if g.op == "Celu":
        y = g.layer("ELU", g.power(g.bottom(), scale=1 / alpha))
        g.give(g.power(y, scale=alpha))
        return
    y = g.layer("ELU", g.bottom(), elu_param={"alpha": alpha} if alpha != 1 else None)
    g.give(g.power(y, scale=g.attribute("gamma", 1.05070102214813232421875) if g.op == "Selu" else 1))


@reads("Clip")
def clip(g: Given) -> None:
    """ReLU from 0 on without end. Otherwise ReLUs between Powers: min(x, b) is b − ReLU(b − x). `--dialect bvlc`
    writes Clip, and a fork that has it ReLU6.
    """
    low, high = g.number("min", 1, -math.inf), g.number("max", 2, math.inf)
    g.give(limited(g, g.bottom(), low if low > -ENDLESS else -math.inf, high if high < ENDLESS else math.inf))


def limited(g: Given, x: str, low: float, high: float) -> str:
    """Return x, held between two limits."""
    if (low, high) == (0, 6) and g.may_write("ReLU6"):
        return g.layer("ReLU6", x)
    if g.may_write("Clip") and math.isfinite(low) and math.isfinite(high):
        return g.layer("Clip", x, clip_param={"min": low, "max": high})
    if low >= high:
        return g.power(x, scale=0, shift=high)
    if math.isinf(high):
        return x if math.isinf(low) else g.power(g.relu(g.power(x, shift=-low)), shift=low)
    if math.isinf(low):
        return g.power(g.relu(g.power(x, scale=-1, shift=high)), scale=-1, shift=high)
    above = g.relu(g.power(x, shift=-low))  # x − low, from 0 on
    return g.power(g.relu(g.power(above, scale=-1, shift=high - low)), scale=-1, shift=high)


@reads("HardSigmoid")
def hard_sigmoid(g: Given) -> None:
    """Power, and what Clip becomes."""
    slope, shift = g.attribute("alpha", 0.2), g.attribute("beta", 0.5)
    g.give(limited(g, g.power(g.bottom(), scale=slope, shift=shift), 0, 1))


@reads("HardSwish")
def hard_swish(g: Given) -> None:
    """Power, what Clip becomes, and Eltwise with PROD."""
    x = g.bottom()
    gate = limited(g, g.power(x, shift=3), 0, 6)
    g.give(g.eltwise("PROD", [x, g.power(gate, scale=1 / 6)]))


@reads("Swish")
def swish(g: Given) -> None:
    """Sigmoid and Eltwise with PROD. `--dialect bvlc` writes Swish."""
    x, beta = g.bottom(), g.attribute("alpha", 1.0)
    if g.may_write("Swish"):
        g.give(g.layer("Swish", x, swish_param={"beta": beta} if beta != 1 else None))
    else:
        g.give(g.eltwise("PROD", [x, g.layer("Sigmoid", g.power(x, scale=beta))]))


@reads("Mish")
def mish(g: Given) -> None:
    """BNLL, TanH and Eltwise with PROD."""
    x = g.bottom()
    g.give(g.eltwise("PROD", [x, g.layer("TanH", g.layer("BNLL", x))]))


@reads("Softsign")
def softsign(g: Given) -> None:
    """AbsVal, Power and Eltwise with PROD: x · (1 + |x|)⁻¹."""
    x = g.bottom()
    g.give(g.eltwise("PROD", [x, g.power(g.layer("AbsVal", x), power=-1, shift=1)]))


@reads("ThresholdedRelu")
def thresholded_relu(g: Given) -> None:
    """Threshold and Eltwise with PROD."""
    x = g.bottom()
    g.give(g.eltwise("PROD", [x, g.layer("Threshold", x, threshold_param={"threshold": g.attribute("alpha", 1.0)})]))


@reads("Softmax", "LogSoftmax")
def softmax(g: Given) -> None:
    """Softmax, for LogSoftmax with a Log. Before opset 13 it takes all axes from one on together, which a Reshape does
    first.
    """
    shape = g.shape()
    axis = g.attribute("axis", -1 if g.opset >= 13 else 1) % len(shape)
    seen = shape if g.opset >= 13 else (*shape[:axis], int(np.prod(shape[axis:])))
    x = g.reshape(g.bottom(), shape, seen)
    y = g.layer("Softmax", x, softmax_param={"axis": axis} if axis != 1 else None)
    g.give(g.reshape(g.layer("Log", y) if g.op == "LogSoftmax" else y, seen, shape))
