"""Activations as lines of Python."""

import math

import numpy as np

from minicaffe.convert.torch_out.given import Given, says
from minicaffe.convert.torch_out.names import num


@says("ReLU")
def relu(g: Given) -> None:
    """`F.relu`, or `F.leaky_relu` with a negative_slope."""
    slope = g.param.negative_slope
    g.put(f"F.leaky_relu({g.x[0]}, {num(slope)})" if slope else f"F.relu({g.x[0]})")


@says("ReLU6")
def relu6(g: Given) -> None:
    """`F.relu6`, or `F.leaky_relu` and `clamp` with a negative_slope."""
    slope = g.layer.alpha
    g.put(f"F.leaky_relu({g.x[0]}, {num(slope)}).clamp(max=6)" if slope else f"F.relu6({g.x[0]})")


@says("PReLU")
def prelu(g: Given) -> None:
    """`nn.PReLU`, with one slope for each channel, or one for all."""
    if g.param.channel_shared:
        g.put(f"{g.module('nn.PReLU()', {'weight': (0, lambda a: a.reshape(1))})}({g.x[0]})")
    else:
        g.put(f"{g.module(f'nn.PReLU({g.x_shapes[0][1]})', {'weight': 0})}({g.x[0]})")


@says("ELU")
def elu(g: Given) -> None:
    """`F.elu`."""
    g.put(f"F.elu({g.x[0]}, alpha={num(g.param.alpha)})")


@says("Sigmoid")
def sigmoid(g: Given) -> None:
    """`torch.sigmoid`."""
    g.put(f"torch.sigmoid({g.x[0]})")


@says("TanH")
def tanh(g: Given) -> None:
    """`torch.tanh`."""
    g.put(f"torch.tanh({g.x[0]})")


@says("Swish")
def swish(g: Given) -> None:
    """`F.silu`, or a product with `torch.sigmoid` for another beta than 1."""
    x, beta = g.x[0], g.param.beta
    g.put(f"F.silu({x})" if beta == 1 else f"{x} * torch.sigmoid({num(beta)} * {x})")


@says("AbsVal")
def absolute(g: Given) -> None:
    """`torch.abs`."""
    g.put(f"torch.abs({g.x[0]})")


@says("BNLL")
def bnll(g: Given) -> None:
    """`F.softplus`."""
    g.put(f"F.softplus({g.x[0]})")


@says("Clip")
def clip(g: Given) -> None:
    """`clamp`."""
    low, high = g.param.min, g.param.max
    if low > high:  # Caffe: the lower limit wins; PyTorch's clamp would let the upper one win
        g.put(f"torch.full_like({g.x[0]}, {num(low)})")
    else:
        g.put(f"{g.x[0]}.clamp({num(low)}, {num(high)})")


@says("Exp")
def exponential(g: Given) -> None:
    """`torch.exp`, or a power of the base."""
    x = _linear(g)
    g.put(f"torch.exp({x})" if g.param.base == -1 else f"{num(g.param.base)} ** ({x})")


@says("Log")
def logarithm(g: Given) -> None:
    """`torch.log`, divided by the logarithm of the base."""
    x, base = _linear(g), g.param.base
    if base == -1:
        g.put(f"torch.log({x})")
    elif base in (2, 10):
        g.put(f"torch.log{base:.0f}({x})")
    else:
        g.members.imports.add("math")
        g.put(f"torch.log({x}) / math.log({num(base)})")


@says("Power")
def power(g: Given) -> None:
    """The formula itself: `(scale * x + shift) ** power`."""
    p = g.param
    if p.power * p.scale == 0:  # Caffe: the number does not depend on x, not even where x is infinite
        with np.errstate(all="ignore"):
            constant = float(np.float32(p.shift) ** np.float32(p.power))
        g.put(f"torch.full_like({g.x[0]}, {num(constant)})")
        return
    x = _linear(g)
    g.put(x if p.power == 1 else f"{x if x == g.x[0] else f'({x})'} ** {num(p.power)}")


@says("Threshold")
def threshold(g: Given) -> None:
    """A comparison, as numbers 1 and 0."""
    x = g.x[0]
    g.put(f"({x} > {num(g.param.threshold)}).to({x}.dtype)")


@says("Scale")
def scale(g: Given) -> None:
    """A product with an `nn.Parameter`, or with the second bottom, which is repeated along the axes it lacks; behind a
    BatchNorm with its bias it becomes the weight and the bias of `nn.BatchNorm2d`.
    """
    p, learned = g.param, len(g.x) == 1
    b = f" + {g.parameter('_bias', len(g.layer.blobs) - 1, _fitting(g, -1))}" if p.bias_term else ""
    w = g.parameter("_weight", 0, _fitting(g, 0)) if learned else _second(g)
    g.put(f"{g.x[0]} * {w}{b}")


@says("Bias")
def bias(g: Given) -> None:
    """A sum with an `nn.Parameter`, or with the second bottom."""
    b = g.parameter("_bias", 0, _fitting(g, 0)) if len(g.x) == 1 else _second(g)
    g.put(f"{g.x[0]} + {b}")


def _linear(g: Given) -> str:
    """Return scale * x + shift as Python code."""
    p, text = g.param, g.x[0]
    if p.scale != 1:
        text = f"{num(p.scale)} * {text}"
    if p.shift:
        text = f"{text} {'-' if p.shift < 0 else '+'} {num(math.fabs(p.shift))}"
    return text


def _fitting(g: Given, k: int) -> tuple[int, ...]:
    """Return the shape of learned blob k with an axis of size 1 for each axis of x behind it."""
    shape = g.layer.blobs[k].shape
    behind = g.axes() - g.layer.axis - len(shape) if shape else 0
    return (*shape, *[1] * behind)


def _second(g: Given) -> str:
    """Return the second bottom with an axis of size 1 for each axis of x behind it."""
    behind = g.axes() - g.layer.axis - g.axes(1) if g.axes(1) else 0
    return f"{g.x[1]}[..., {', '.join(['None'] * behind)}]" if behind else g.x[1]
