"""Resize and Upsample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads
from minicaffe.convert.onnx_in.nodes._windows import pair
from minicaffe.convert.onnx_in.nodes.padding import repeated
from minicaffe.convert.onnx_in.nodes.shapes import picked

MOST_ROWS = 256  # rows or columns that are put together one by one


@reads("Resize", "Upsample")
def resize(g: Given) -> None:
    """Deconvolution where each pixel becomes a block, or where the size is multiplied by whole numbers and
    interpolated linearly; the edges are repeated first then. Pooling where each block becomes its mean. Interp, with
    `--dialect`, where the corners stay (align_corners). Otherwise Slice and Concat, row by row, up to 256.
    """
    old, new, mode = g.shape(), g.y_shape(), g.attribute("mode", "nearest")
    g.refuse_if(len(old) not in (3, 4) or old[:2] != new[:2],
                f"resizes {old} to {new}, and Caffe height and width alone")
    g.refuse_if(g.attribute("antialias", 0) and any(b < a for a, b in zip(old, new, strict=True)),
                "smooths before it shrinks (antialias)", "export the model with antialias=False")
    image = [[*shape[:2], 1, shape[2]] if len(shape) == 3 else list(shape) for shape in (old, new)]
    x = g.reshape(g.bottom(), old, image[0])
    maps = [_map(g, axis, mode) for axis in range(2, len(old))]
    maps = [np.eye(1)] * (4 - len(old)) + maps
    g.give(g.reshape(_resized(g, x, image[0], image[1], maps), image[1], new))


def _resized(g: Given, x: str, old: Sequence[int], new: Sequence[int], maps: Sequence[np.ndarray]) -> str:
    """Return x times the matrices of height and width, by layers that do just that."""
    if all(_is_blocks(m) for m in maps):
        return _by_deconvolution(g, x, old[1], [np.ones(len(m) // m.shape[1]) for m in maps],
                                 [len(m) // m.shape[1] for m in maps], [0, 0])
    if all(_is_mean(m) for m in maps):
        kernel = [m.shape[1] // len(m) for m in maps]
        return g.layer("Pooling", x, pooling_param={
            "pool": "AVE", **pair("kernel_size", kernel, 0), **pair("stride", kernel, 1)})
    if all(_is_linear(m) for m in maps):
        return _linear(g, x, old, [len(m) // m.shape[1] for m in maps])
    corners = g.attribute("mode") == "linear" and all(
        np.allclose(m, _matrix(np.linspace(0, m.shape[1] - 1, len(m)), m.shape[1]), atol=1e-5) for m in maps)
    if corners and g.may_write("Interp"):
        return g.layer("Interp", x, interp_param={"height": new[2], "width": new[3]})
    if max(new[2:]) > MOST_ROWS:
        words = f"resizes {old[2]}x{old[3]} to {new[2]}x{new[3]} by {g.attribute('mode', 'nearest')}"
        if corners:
            g.refuse_without("Interp", words)
        g.refuse(f"{words}, which no layer of Caffe does, and single rows and columns would be too many",
                 "resize to a whole multiple of the size, or linear with align_corners=True and --dialect pspnet")
    for axis, m in ((2, maps[0]), (3, maps[1])):
        x = _row_by_row(g, x, axis, m)
    return x


def _row_by_row(g: Given, x: str, axis: int, matrix: np.ndarray) -> str:
    """Return x times a matrix that makes each row of one row or of two: Slice and Concat, and for two their sum."""
    m, n = matrix.shape
    if np.array_equal(matrix, np.eye(n)):
        return x
    left = np.argmax(matrix > 0, axis=1)
    share = matrix[np.arange(m), left]
    first = picked(g, x, axis, n, left)
    if np.all(share == 1):
        return first
    second = picked(g, x, axis, n, np.minimum(left + 1, n - 1))
    parts = [g.layer("Scale", part, [w], scale_param={"axis": axis})
             for part, w in ((first, share), (second, 1 - share))]
    return g.eltwise("SUM", parts)


def _map(g: Given, axis: int, mode: str) -> np.ndarray:
    """Return the matrix (new size, old size) by which an axis is resized, as ONNX defines it."""
    n, m = g.shape()[axis], g.y_shape()[axis]
    if n == m:
        return np.eye(n)
    g.refuse_if(mode not in ("nearest", "linear"), f"resizes by {mode}, which no layer of Caffe does",
                "export the model with mode nearest or bilinear")
    old_version = g.op == "Upsample" or g.opset < 11
    how = g.attribute("coordinate_transformation_mode", "asymmetric" if old_version else "half_pixel")
    scale = _scale(g, axis, n, m)
    places = [_place(g, how, i, scale, n, m) for i in range(m)]
    if mode == "linear":
        return _matrix(np.array(places), n)
    return np.eye(n)[[min(max(_nearest(g, place, old_version), 0), n - 1) for place in places]]


def _scale(g: Given, axis: int, n: int, m: int) -> float:
    """Return the new size over the old one, as the node gives it or as the sizes do."""
    scales_at = 1 if g.op == "Upsample" or g.opset < 11 else 2
    given = [float(s) for s in np.ravel(g.attribute("scales", []))]
    if not given and g.is_constant(scales_at) and g.constant(scales_at).size:
        given = [float(s) for s in g.constant(scales_at)]
    if not given:
        return m / n
    axes = [a % len(g.shape()) for a in g.ints("axes") or range(len(g.shape()))]
    return given[axes.index(axis)] if axis in axes else 1.0


def _place(g: Given, how: str, i: int, scale: float, n: int, m: int) -> float:
    """Return the place in the old image from which pixel i of the new one comes."""
    if how == "asymmetric":
        return i / scale
    if how == "align_corners":
        return i * (n - 1) / (m - 1) if m > 1 else 0.0
    if how == "half_pixel" or (how == "pytorch_half_pixel" and m > 1):
        return (i + 0.5) / scale - 0.5
    if how == "pytorch_half_pixel":
        return 0.0
    if how == "half_pixel_symmetric":
        offset = n / 2 * (1 - m / (n * scale))
        return offset + (i + 0.5) / scale - 0.5
    g.refuse(f"has the coordinate_transformation_mode {how}, which no layer of Caffe does")


def _nearest(g: Given, place: float, old_version: bool) -> int:
    how = g.attribute("nearest_mode", "floor" if old_version else "round_prefer_floor")
    return {"floor": lambda: math.floor(place), "ceil": lambda: math.ceil(place),
            "round_prefer_floor": lambda: math.ceil(place - 0.5),
            "round_prefer_ceil": lambda: math.floor(place + 0.5)}[how]()


def _is_blocks(matrix: np.ndarray) -> bool:
    """Return whether each pixel becomes a block of equal ones."""
    m, n = matrix.shape
    return m % n == 0 and np.array_equal(matrix, np.repeat(np.eye(n), m // n, axis=0))


def _is_mean(matrix: np.ndarray) -> bool:
    """Return whether the mean of each block is taken."""
    m, n = matrix.shape
    return n % m == 0 and np.allclose(matrix, np.kron(np.eye(m), np.full(n // m, m / n)), atol=1e-6)


def _is_linear(matrix: np.ndarray) -> bool:
    """Return whether it is linear to a whole multiple, with the middles of the pixels in place (half_pixel)."""
    m, n = matrix.shape
    return m % n == 0 and np.allclose(matrix, _matrix((np.arange(m) + 0.5) * n / m - 0.5, n), atol=1e-5)


def _matrix(places: np.ndarray, n: int) -> np.ndarray:
    """Return the matrix that interpolates linearly at these places of an axis of n pixels."""
    places = np.clip(places, 0, n - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(n)))


def _linear(g: Given, x: str, old: Sequence[int], factors: Sequence[int]) -> str:
    """Repeat the edges, resize by Deconvolution with a filter like a tent, and cut off what is too much.

    Beyond the edge Deconvolution counts zeros, and ONNX the pixel at the edge.
    """
    edges = [int(k > 1) for k in factors]
    for axis, edge in ((2, edges[0]), (3, edges[1])):
        x = repeated(g, x, axis, old[axis], edge, edge, "edge")
    tents = [np.maximum(0, 1 - np.abs((np.arange(2 * k - k % 2) + 0.5) / k - (2 * k - k % 2) / 2 / k)) for k in factors]
    pads = [(len(tent) - k) // 2 for tent, k in zip(tents, factors, strict=True)]
    y = _by_deconvolution(g, x, old[1], tents, factors, pads)
    for axis, k, edge in ((2, factors[0], edges[0]), (3, factors[1], edges[1])):
        y = g.cut(y, axis, k * edge, k * (old[axis] + edge), k * (old[axis] + 2 * edge))
    return y


def _by_deconvolution(g: Given, x: str, channels: int, filters: Sequence[np.ndarray], strides: Sequence[int],
                      pads: Sequence[int]) -> str:
    """Return each channel for itself through a Deconvolution with the product of two filters."""
    w = np.broadcast_to(np.outer(*filters), (channels, 1, len(filters[0]), len(filters[1])))
    kernel: dict[str, Any] = {"kernel_h": len(filters[0]), "kernel_w": len(filters[1]),
                              "stride_h": strides[0], "stride_w": strides[1]}
    if strides[0] == strides[1]:
        kernel = {"kernel_size": [len(filters[0])], "stride": [strides[0]]}
    pad = {"pad": [pads[0]]} if pads[0] == pads[1] else {"pad_h": pads[0], "pad_w": pads[1]}
    return g.layer("Deconvolution", x, [w], convolution_param={
        "num_output": channels, **kernel, **(pad if any(pads) else {}), "group": channels, "bias_term": False})
