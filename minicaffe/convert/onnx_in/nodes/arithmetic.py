"""Sums, products and the like, of blobs and with constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads
from minicaffe.convert.onnx_in.graph import Shape


@reads("Add", "Sub")
def add(g: Given) -> None:
    """Eltwise with SUM for blobs of one shape, Bias where one is repeated along axes of the other. With a constant,
    Power for a single number and Bias for several.
    """
    sign = 1 if g.op == "Add" else -1
    if g.is_constant(1):
        g.give(shifted(g, _whole(g, 0), g.y_shape(), sign * g.constant(1)))
    elif g.is_constant(0):
        x, b = _whole(g, 1), g.constant(0)
        if b.size == 1:
            g.give(g.power(x, scale=sign, shift=float(b.flat[0])))
        else:
            g.give(shifted(g, g.power(x, scale=sign), g.y_shape(), b))
    elif g.shape(0) == g.shape(1):
        g.give(g.eltwise("SUM", [g.bottom(0), g.bottom(1)], [1, -1] if sign < 0 else []))
    else:
        right = g.power(g.bottom(1), scale=sign)
        g.give(_combined(g, "Bias", "SUM", g.bottom(0), right))


@reads("Mul", "Div")
def multiply(g: Given) -> None:
    """Eltwise with PROD for blobs of one shape, Scale where one is repeated along axes of the other. With a constant,
    Power for a single number and Scale for several. A divisor is inverted first, by Power.
    """
    divides = g.op == "Div"
    if g.is_constant(1):
        w = g.constant(1).astype(np.float64)
        g.refuse_if(divides and not np.all(w), "divides by 0")
        g.give(scaled(g, _whole(g, 0), g.y_shape(), 1 / w if divides else w))
    elif g.is_constant(0):
        x = _whole(g, 1)
        g.give(scaled(g, g.power(x, power=-1) if divides else x, g.y_shape(), g.constant(0)))
    else:
        right = g.power(g.bottom(1), power=-1) if divides else g.bottom(1)
        g.give(_combined(g, "Scale", "PROD", g.bottom(0), right))


@reads("Sum", "Mean")
def total(g: Given) -> None:
    """Eltwise with SUM; for Mean each coefficient is one part of the whole."""
    bottoms = [_whole(g, k) for k in range(len(g.x))]
    if len(bottoms) == 1:
        g.give(bottoms[0])
    else:
        equal = [1 / len(bottoms)] * len(bottoms) if g.op == "Mean" else []
        g.give(g.eltwise("SUM", bottoms, g.attribute("coeff", equal)))


@reads("Max", "Min")
def largest(g: Given) -> None:
    """Eltwise with MAX; with a number, a ReLU between two Powers. For Min the signs are turned before and after."""
    sign = 1 if g.op == "Max" else -1
    numbers = [float(g.constant(k).flat[0]) for k in range(len(g.x)) if g.is_constant(k) and g.constant(k).size == 1]
    others = [k for k in range(len(g.x)) if not (g.is_constant(k) and g.constant(k).size == 1)]
    blobs = [g.power(_whole(g, k), scale=sign) for k in others]
    y = blobs[0] if len(blobs) == 1 else g.eltwise("MAX", blobs)
    if numbers:
        limit = max(sign * number for number in numbers)
        y = g.power(g.relu(g.power(y, shift=-limit)), shift=limit)
    g.give(g.power(y, scale=sign))


@reads("Pow")
def power(g: Given) -> None:
    """Power, for a constant exponent; Exp for a constant base."""
    if g.is_constant(0):
        bases = g.constant(0)
        g.refuse_if(bases.size != 1 or bases.flat[0] <= 0, "has a base other than one number above 0")
        base = float(bases.flat[0])
        g.give(g.layer("Exp", _whole(g, 1), exp_param={"base": base}) if base != 1
               else g.power(_whole(g, 1), scale=0, shift=1))
        return
    exponent = g.constant(1, "an exponent")
    g.refuse_if(np.ptp(exponent) != 0, "has several exponents, and Caffe's Power one")
    g.give(g.power(g.bottom(), power=float(exponent.flat[0])))


@reads("Power")
def power_of_line(g: Given) -> None:
    """Power, for Mul, Add and Pow that follow each other."""
    g.give(g.power(g.bottom(), g.attribute("power"), g.attribute("scale"), g.attribute("shift")))


@reads("Scale")
def scale_with_bias(g: Given) -> None:
    """Scale with a bias, for Mul and Add that follow each other."""
    axis, w = _block(g.constant(1), g.shape())
    _, b = _block(g.constant(2), g.shape())
    g.give(g.layer("Scale", g.bottom(), [w, b], scale_param={**(_axes(axis, w) or {}), "bias_term": True}))


@reads("TwoBottoms")
def two_bottoms(g: Given) -> None:
    """Scale or Bias with two bottoms, for Unsqueeze and Mul or Add."""
    type = g.attribute("type")
    g.give(g.layer(type, [g.bottom(0), g.bottom(1)], **_field(type, g.attribute("axis"))))


@reads("Product")
def product(g: Given) -> None:
    """Eltwise with PROD, for products of several blobs."""
    g.give(g.eltwise("PROD", [g.bottom(k) for k in range(len(g.x))]))


@reads("Sqrt", "Reciprocal", "Neg")
def by_power(g: Given) -> None:
    """Power."""
    exponent = {"Sqrt": 0.5, "Reciprocal": -1.0, "Neg": 1.0}[g.op]
    g.give(g.power(g.bottom(), power=exponent, scale=-1 if g.op == "Neg" else 1))


@reads("Abs", "Exp", "Log")
def by_name(g: Given) -> None:
    """The layer for it: AbsVal, Exp, Log. Mul and Add before Exp and Log become their scale and shift."""
    if g.op == "Abs":
        g.give(g.layer("AbsVal", g.bottom()))
        return
    fields = {key: g.attribute(key) for key, default in (("scale", 1), ("shift", 0), ("base", -1))
              if g.attribute(key, default) != default}
    if g.op == "Exp":
        g.give(g.layer("Exp", g.bottom(), exp_param=fields or None))
    else:
        g.give(g.layer("Log", g.bottom(), log_param=fields or None))


def _whole(g: Given, k: int) -> str:
    """Return the blob of input k, repeated where the output is larger."""
    return g.expand(g.bottom(k), g.shape(k), g.y_shape())


def shifted(g: Given, x: str, shape: Shape, b: np.ndarray) -> str:
    """Add constants: Power for a single number, Bias for several."""
    if np.ptp(b) == 0:
        return g.power(x, shift=float(b.flat[0]))
    axis, b = _block(b, shape)
    return g.layer("Bias", x, [b], bias_param=_axes(axis, b))


def scaled(g: Given, x: str, shape: Shape, w: np.ndarray) -> str:
    """Multiply by constants: Power for a single number, Scale for several."""
    if np.ptp(w) == 0:
        return g.power(x, scale=float(w.flat[0]))
    axis, w = _block(w, shape)
    return g.layer("Scale", x, [w], scale_param=_axes(axis, w))


def _axes(axis: int, w: np.ndarray) -> dict[str, int] | None:
    """Return axis and num_axes, where they are not the defaults."""
    return {**({"axis": axis} if axis != 1 else {}), **({"num_axes": w.ndim} if w.ndim != 1 else {})} or None


def _block(w: np.ndarray, shape: Shape) -> tuple[int, np.ndarray]:
    """Return the first axis of `shape` along which constants differ, and these for all axes up to the last such one."""
    w = w.reshape([1] * (len(shape) - w.ndim) + list(w.shape))
    axes = [axis for axis in range(w.ndim) if w.shape[axis] != 1]
    sizes = [1] * axes[0] + list(shape[axes[0]:axes[-1] + 1]) + [1] * (len(shape) - axes[-1] - 1)
    return axes[0], np.broadcast_to(w, sizes).reshape(shape[axes[0]:axes[-1] + 1])


def _combined(g: Given, type: str, operation: str, left: str, right: str) -> str:
    """Add or multiply two blobs, of which one may have to be repeated: Eltwise, or Scale or Bias with two bottoms."""
    wanted, shapes, blobs = g.y_shape(), [g.shape(0), g.shape(1)], [left, right]
    if shapes[0] == shapes[1]:
        return g.eltwise(operation, blobs)
    if wanted not in shapes:
        return g.eltwise(operation, [g.expand(x, shape, wanted) for x, shape in zip(blobs, shapes, strict=True)])
    large = shapes.index(wanted)
    return spread(g, type, blobs[large], wanted, blobs[1 - large], shapes[1 - large])


def spread(g: Given, type: str, x: str, shape: Shape, w: str, w_shape: Sequence[int]) -> str:
    """Add a Scale or Bias with two bottoms, the second one of a smaller shape as ONNX broadcasts it.

    The size of the batch stays open where w has that axis.
    """
    full: list[int] = [*[1] * (len(shape) - len(w_shape)), *w_shape]
    axes = [axis for axis, size in enumerate(full) if size != 1 or (axis == 0 and len(w_shape) == len(shape)
                                                                    and shape[0] == 1)]
    first, stop = (axes[0], axes[-1] + 1) if axes else (0, 0)
    if not axes:
        return g.layer(type, [x, g.reshape(w, w_shape, [])], **_field(type, 0))
    block = full[first:stop]
    w = g.expand(g.reshape(w, w_shape, block), block, shape[first:stop])
    return g.layer(type, [x, w], **_field(type, first))


def _field(type: str, axis: int) -> dict[str, Any]:
    """Return the field of a Scale or a Bias that says its axis."""
    return {f"{type.lower()}_param": {"axis": axis}} if axis != 1 else {}


@reads("Where")
def chosen(g: Given) -> None:
    """Two Eltwise with PROD, one with the condition and one with 1 less the condition, and Eltwise with SUM."""
    for k in (1, 2):
        g.refuse_if(g.is_constant(k) and not np.all(np.isfinite(g.constant(k))),
                    "chooses between numbers and infinity, which Caffe's products turn into NaN",
                    "put a large finite number in its place")
    condition = g.expand(g.blob_of(0), g.shape(0), g.y_shape())  # what makes a bool is a Threshold, of 0 and 1
    x, y = _whole(g, 1), _whole(g, 2)
    parts = [g.eltwise("PROD", [condition, x]), g.eltwise("PROD", [g.power(condition, scale=-1, shift=1), y])]
    g.give(g.eltwise("SUM", parts))
