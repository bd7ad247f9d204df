"""Activations as ONNX nodes."""

import numpy as np

from minicaffe.convert.onnx_out.given import Given, writes
from minicaffe.convert.onnx_out.nodes import FLOAT, chain, linear, refuse_open


@writes("AbsVal")
def abs_val(g: Given) -> None:
    """Abs."""
    g.node("Abs", g.x, g.y)


@writes("BNLL")
def bnll(g: Given) -> None:
    """Softplus."""
    g.node("Softplus", g.x, g.y)


@writes("Sigmoid")
def sigmoid(g: Given) -> None:
    """Sigmoid."""
    g.node("Sigmoid", g.x, g.y)


@writes("TanH")
def tanh(g: Given) -> None:
    """Tanh."""
    g.node("Tanh", g.x, g.y)


@writes("ReLU")
def relu(g: Given) -> None:
    """Relu, or LeakyRelu with a negative_slope."""
    _rectify(g, g.param.negative_slope, g.y)


@writes("ReLU6")
def relu6(g: Given) -> None:
    """Clip from 0 to 6. With a negative_slope LeakyRelu, and Min with 6."""
    if g.layer.alpha:
        g.node("Min", [_rectify(g, g.layer.alpha, 1), g.floats("largest", 6)], g.y)
    else:
        _clip(g, 0, 6)


@writes("ELU")
def elu(g: Given) -> None:
    """Elu."""
    g.node("Elu", g.x, g.y, alpha=g.param.alpha)


@writes("PReLU")
def prelu(g: Given) -> None:
    """PRelu, with slopes of the shape (C, 1, 1), or one slope (1) with channel_shared."""
    shape = [1]
    if not g.param.channel_shared:
        refuse_open(g, [1], "a slope")
        shape = [-1, *[1] * (len(g.x_shapes[0]) - 2)]
    g.node("PRelu", [g.x[0], g.blob(0, shape)], g.y)


@writes("Swish")
def swish(g: Given) -> None:
    """Sigmoid and Mul, with a Mul by beta before them."""
    x = g.x[0]
    scaled = x if g.param.beta == 1 else g.node("Mul", [x, g.floats("beta", g.param.beta)])
    g.node("Mul", [x, g.node("Sigmoid", [scaled])], g.y)


@writes("Threshold")
def threshold(g: Given) -> None:
    """Greater, and Cast from true and false to 1 and 0."""
    above = g.node("Greater", [g.x[0], g.floats("threshold", g.param.threshold)])
    g.node("Cast", [above], g.y, to=FLOAT)


@writes("Clip")
def clip(g: Given) -> None:
    """Clip. Where min is above max, both are min, as every number becomes min in Caffe."""
    _clip(g, g.param.min, max(g.param.min, g.param.max))


@writes("Power")
def power(g: Given) -> None:
    """Mul, Add and Pow, without those that change nothing. Where power or scale is 0, a constant in the shape of x."""
    p, s, b = g.param.power, g.param.scale, g.param.shift
    if p * s == 0:
        with np.errstate(all="ignore"):
            y = g.floats("power", np.float32(b) ** np.float32(p))
        g.node("Expand", [y, g.node("Shape", g.x)], g.y)  # not 0 · x + b, which is no number where x is infinite
    else:
        chain(g, [*linear(s, b), *([("Pow", "power", p)] if p != 1 else [])])


@writes("Exp")
def exp(g: Given) -> None:
    """Exp, with Mul and Add before it for base, scale and shift."""
    ln_g = g.layer.ln_g
    chain(g, [*linear(ln_g * g.param.scale, ln_g * g.param.shift), ("Exp", "", None)])


@writes("Log")
def log(g: Given) -> None:
    """Log, with Mul and Add before it for scale and shift, and Mul after it for the base."""
    chain(g, [*linear(g.param.scale, g.param.shift), ("Log", "", None), *linear(1 / g.layer.ln_g)])


@writes("Bias")
def bias(g: Given) -> None:
    """Add. A learned blob is reshaped to (C, 1, 1), or as axis and num_axes say."""
    g.node("Add", [g.x[0], _factor(g, len(g.x) == 1)], g.y)


@writes("Scale")
def scale(g: Given) -> None:
    """Mul, and Add with bias_term. Learned blobs are reshaped to (C, 1, 1), or as axis and num_axes say."""
    w = _factor(g, len(g.x) == 1)
    if g.param.bias_term:
        g.node("Add", [g.node("Mul", [g.x[0], w]), _factor(g, True, -1)], g.y)
    else:
        g.node("Mul", [g.x[0], w], g.y)


def _rectify(g: Given, slope: float, outputs: int | list[str]) -> str:
    """Write Relu or LeakyRelu."""
    return g.node("LeakyRelu", g.x, outputs, alpha=slope) if slope else g.node("Relu", g.x, outputs)


def _clip(g: Given, least: float, largest: float) -> None:
    g.node("Clip", [g.x[0], g.floats("min", least), g.floats("max", largest)], g.y)


def _factor(g: Given, learned: bool, k: int = 0) -> str:
    """Return learned blob k, or bottom 1, with axes of size 1 after its own, so that it lies along the right axes of x.
    """
    shape = g.layer.blobs[k].shape if learned else g.x_shapes[1]
    axis = g.layer.axis
    after = len(g.x_shapes[0]) - axis - len(shape) if shape else 0
    if learned:
        refuse_open(g, range(axis, axis + len(shape)), "a learned number")
        return g.blob(k % len(g.layer.blobs), [*shape, *[1] * after])
    if not after:
        return g.x[1]
    return g.node("Unsqueeze", [g.x[1], g.ints("axes", range(len(shape), len(shape) + after))])
