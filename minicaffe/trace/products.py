"""The products that a number is the sum of, for InnerProduct, Convolution and Pooling.

Those of ReLU and SoftmaxWithLoss stand in elementwise_products.py.

For one number, given by its flat index, the functions below say which pairs of numbers are multiplied and summed. The
indices follow from the layer's own parameters: group, pad, dilation, stride, transpose. They are computed here without
the kernels. So a sum of products that equals the number confirms both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minicaffe.blob import Blob
from minicaffe.layer import Layer
from minicaffe.layers.common.inner_product import InnerProductLayer
from minicaffe.layers.vision.convolution import ConvolutionLayer
from minicaffe.layers.vision.pooling import PoolingLayer
from minicaffe.trace import elementwise_products
from minicaffe.trace.arrays import Arrays
from minicaffe.trace.format import WHOLE, exact
from minicaffe.trace.sums import ROLES, Factor, Indices, Sum

MOST, MOST_OF_LARGE = 12, 3  # products that are shown of a number, in an array that is whole and in a larger one

Makers = dict[type, Callable[..., list[Sum]]]


def forward(layer: Layer, bottoms: Sequence[Blob], tops: Sequence[Blob], values: list[dict[str, Any]],
            arrays: Arrays) -> list[dict[str, Any]]:
    """Return the page's products of what a layer has put out."""
    make: Makers = {InnerProductLayer: _inner_forward, ConvolutionLayer: _conv_forward, PoolingLayer: _pool_forward}
    known = _known(layer, "forward", make)
    return [_as_json(one, values, arrays) for one in make[known](layer, bottoms, tops)] if known else []


def backward(layer: Layer, bottoms: Sequence[Blob], dy: Sequence[np.ndarray], before: Sequence[np.ndarray | None],
             values: list[dict[str, Any]], arrays: Arrays) -> list[tuple[Sum, dict[str, Any]]]:
    """Return the page's products of the diffs that a layer has written, each with the Sum that it is made from.

    dy        the tops' diffs
    before    the params' diffs before the pass, to which the layer has added; None for zeros
    """
    make: Makers = {InnerProductLayer: _inner_backward, ConvolutionLayer: _conv_backward, PoolingLayer: _pool_backward,
                    **elementwise_products.BACKWARD}
    known = _known(layer, "backward", make)
    made = [(one, _as_json(one, values, arrays)) for one in make[known](layer, bottoms, dy, before)] if known else []
    return [(one, product) for one, product in made if product]


def _known(layer: Layer, method: str, classes: Iterable[type]) -> type | None:
    """Return the class whose products are known here and whose method the layer has; None for other layers."""
    for cls in classes:
        if isinstance(layer, cls) and getattr(type(layer), method) is getattr(cls, method):
            return cls
    return None


def _as_json(one: Sum, values: list[dict[str, Any]], arrays: Arrays) -> dict[str, Any]:
    """Return the products of all numbers that the page shows of an array; {} for a diff that was not asked for."""
    value = [value for value in values if value["role"] == one.role][one.place]
    if value[one.of] is None:
        return {}
    count = math.prod(arrays.found[value[one.of]]["shape"])
    most = MOST if count <= WHOLE else MOST_OF_LARGE
    made = {"blob": value["blob"], "role": one.role, "of": one.of, "array": value[one.of],
            "left": _side(one, one.left, values), "right": _side(one, one.right, values),
            "entries": {str(flat): entry(one, flat, most) for flat in arrays.shown(count)}}
    return made | ({"note": one.note} if one.note else {})


def _side(one: Sum, factor: Factor | None, values: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the page's description of the array from which factors come, with its blob where it has one."""
    if factor is None:
        return None
    made: dict[str, Any] = {"name": factor.name, "shape": list(factor.values.shape)}
    if factor.name in ROLES:
        role, of = ROLES[factor.name]
        place = 0 if "param" in (role, one.role) else one.place  # the bottom and the top of one place belong together
        made |= {"blob": [value for value in values if value["role"] == role][place]["blob"], "of": of}
    return made


def entry(one: Sum, flat: int, most: int) -> dict[str, Any]:
    """Return the products of one number, the largest first."""
    lefts, rights, plus = one.pairs(flat)
    a = one.left.values.reshape(-1)[lefts]
    if one.chosen:
        return _choice(one.chosen(flat), lefts, a, most)
    b = one.right.values.reshape(-1)[rights] if one.right else np.asarray(rights, np.float32)
    with np.errstate(all="ignore"):
        made = a.astype(np.float64) * b
        order = np.argsort(-np.abs(made), kind="stable")
        rest = made[order[most:]]
        total = float(made.sum() + sum(value for _, value in plus))
    terms = [[lefts[k], exact(a[k]), rights[k] if one.right else None, exact(b[k])] for k in order[:most]]
    found: dict[str, Any] = {"terms": terms, "sum": _double(total)}
    if len(rest):
        found["rest"] = [len(rest), _double(rest.sum())]
    if plus:
        found["plus"] = [[word, exact(np.float32(value))] for word, value in plus]
    return found


def _choice(chosen: int, lefts: Indices, values: np.ndarray, most: int) -> dict[str, Any]:
    """Return the numbers of which one was taken: that one first, then the largest of the others."""
    order = sorted(range(len(lefts)), key=lambda k: (lefts[k] != chosen, -float(values[k]), k))
    taken = [float(values[k]) for k in order[:1] if lefts[k] == chosen]
    return {"terms": [[lefts[k], exact(values[k]), None, None] for k in order[:most]],
            "sum": _double(taken[0] if taken else math.nan), "chosen": 0 if taken else None}


def _double(value: float) -> Any:
    """Return a sum in float64 for the page, with nine digits: more than a float32 has."""
    return exact(np.float64(f"{value:.9g}"))


# --- InnerProduct: y = x · wᵀ + b ---------------------------------------------------------------------------

def _inner_forward(layer: Any, bottoms: Sequence[Blob], tops: Sequence[Blob]) -> list[Sum]:
    x, w, K, D = bottoms[0].data, layer.blobs[0].data, layer.param.num_output, layer.D

    def pairs(flat: int) -> tuple[Indices, Indices, list[tuple[str, float]]]:
        n, k = divmod(flat, K)
        plus = [(f"b[{k}]", layer.blobs[1].data[k])] if layer.param.bias_term else []
        return [_at(layer, k, d, K, D) for d in range(D)], list(range(n * D, (n + 1) * D)), plus

    return [Sum("top", 0, "data", Factor("w", w), Factor("x", x), pairs)]


def _inner_backward(layer: Any, bottoms: Sequence[Blob], dys: Sequence[np.ndarray],
                    before: Sequence[np.ndarray | None]) -> list[Sum]:
    x, w, dy, K, D = bottoms[0].data, layer.blobs[0].data, dys[0], layer.param.num_output, layer.D
    N = dy.size // K

    def of_dx(flat: int) -> tuple[Indices, Indices, list[tuple[str, float]]]:
        n, d = divmod(flat, D)
        return list(range(n * K, (n + 1) * K)), [_at(layer, k, d, K, D) for k in range(K)], []

    def of_dw(flat: int) -> tuple[Indices, Indices, list[tuple[str, float]]]:
        k, d = divmod(flat, D) if not layer.param.transpose else divmod(flat, K)[::-1]
        return [n * K + k for n in range(N)], [n * D + d for n in range(N)], _added("dw", before[0], flat)

    def of_db(k: int) -> tuple[Indices, list[float], list[tuple[str, float]]]:
        return [n * K + k for n in range(N)], [1.0] * N, _added("db", before[1], k)

    made = [Sum("bottom", 0, "diff", Factor("dy", dy), Factor("w", w), of_dx),
            Sum("param", 0, "diff", Factor("dy", dy), Factor("x", x), of_dw)]
    return made + [Sum("param", 1, "diff", Factor("dy", dy), None, of_db)] * bool(layer.param.bias_term)


def _at(layer: Any, k: int, d: int, K: int, D: int) -> int:
    """Return the flat index of the weight from feature d to output k."""
    return d * K + k if layer.param.transpose else k * D + d


def _added(name: str, before: np.ndarray | None, flat: int) -> list[tuple[str, float]]:
    """Return what a param's diff held before the pass, as something that is added; nothing where it was 0."""
    held = 0.0 if before is None else float(before.reshape(-1)[flat])
    return [(f"{name} before this pass", held)] if held else []


# --- Convolution: y[n, k, o] = b[k] + Σ w[k, c, i] · x[n, c, o·s + i·d − p] -----------------------------------

class _Windows:
    """The sizes of a convolution, and which pixels its filters lie on.

    x is (N, C, *sizes), y (N, K, *positions), w (K, per_group, *kernel).
    """

    def __init__(self, layer: Any, x: np.ndarray, y: np.ndarray) -> None:
        self.stride, self.pad, self.dilation, self.group = layer.geometry
        axis = layer.axis
        self.x = (math.prod(x.shape[:axis]), *x.shape[axis:])
        self.y = (math.prod(y.shape[:axis]), *y.shape[axis:])
        self.w = layer.blobs[0].shape
        self.per_group, self.outputs = self.w[1], self.w[0] // self.group  # channels of x and of y in a group

    def pixel(self, o: Sequence[int], i: Sequence[int]) -> tuple[int, ...] | None:
        """Return the pixel under place i of the filter at position o; None in the padding."""
        q = tuple(a * s + b * d - p for a, b, s, d, p in zip(o, i, self.stride, self.dilation, self.pad, strict=True))
        return q if all(0 <= at < size for at, size in zip(q, self.x[2:], strict=True)) else None

    def position(self, q: Sequence[int], i: Sequence[int]) -> tuple[int, ...] | None:
        """Return the position at which place i of the filter lies on pixel q; None where there is none."""
        o = []
        for at, b, s, d, p, count in zip(q, i, self.stride, self.dilation, self.pad, self.y[2:], strict=True):
            a, left_over = divmod(at + p - b * d, s)
            if left_over or not 0 <= a < count:
                return None
            o.append(a)
        return tuple(o)


def _flat(index: Sequence[int], shape: Sequence[int]) -> int:
    found = 0
    for at, size in zip(index, shape, strict=True):
        found = found * size + at
    return found


def _place(flat: int, shape: Sequence[int]) -> list[int]:
    return [int(at) for at in np.unravel_index(flat, tuple(shape))]


def _conv_forward(layer: Any, bottoms: Sequence[Blob], tops: Sequence[Blob]) -> list[Sum]:
    return [Sum("top", j, "data", Factor("w", layer.blobs[0].data), Factor("x", x.data),
                _conv_y(layer, _Windows(layer, x.data, y.data)))
            for j, (x, y) in enumerate(zip(bottoms, tops, strict=True))]


def _conv_y(layer: Any, at: _Windows) -> Callable[[int], Any]:
    def pairs(flat: int) -> tuple[Indices, Indices, list[tuple[str, float]]]:
        n, k, *o = _place(flat, at.y)
        first, lefts, rights = k // at.outputs * at.per_group, [], []
        for c, *i in np.ndindex(*at.w[1:]):
            if (q := at.pixel(o, i)) is not None:
                lefts.append(_flat((k, c, *i), at.w))
                rights.append(_flat((n, first + c, *q), at.x))
        plus = [(f"b[{k}]", layer.blobs[1].data[k])] if len(layer.blobs) > 1 else []
        return lefts, rights, plus

    return pairs


def _conv_backward(layer: Any, bottoms: Sequence[Blob], dys: Sequence[np.ndarray],
                   before: Sequence[np.ndarray | None]) -> list[Sum]:
    w, made = Factor("w", layer.blobs[0].data), []
    for j, (bottom, top_diff) in enumerate(zip(bottoms, dys, strict=True)):
        at = _Windows(layer, bottom.data, top_diff)
        made.append(Sum("bottom", j, "diff", w, Factor("dy", top_diff), _conv_dx(at)))
    if len(bottoms) > 1:  # the diffs of w and b are sums over all bottoms, and a Sum has two arrays
        return made
    x, dy, at = bottoms[0].data, dys[0], _Windows(layer, bottoms[0].data, dys[0])
    made.append(Sum("param", 0, "diff", Factor("dy", dy), Factor("x", x), _conv_dw(at, before[0])))
    return made + [Sum("param", 1, "diff", Factor("dy", dy), None, _conv_db(at, before[1]))
                   for _ in layer.blobs[1:]]


def _conv_dx(at: _Windows) -> Callable[[int], Any]:
    def pairs(flat: int) -> tuple[Indices, Indices, list[tuple[str, float]]]:
        n, c, *q = _place(flat, at.x)
        group, lefts, rights = c // at.per_group, [], []
        for i in np.ndindex(*at.w[2:]):
            if (o := at.position(q, i)) is not None:
                for k in range(group * at.outputs, (group + 1) * at.outputs):
                    lefts.append(_flat((k, c % at.per_group, *i), at.w))
                    rights.append(_flat((n, k, *o), at.y))
        return lefts, rights, []

    return pairs


def _conv_dw(at: _Windows, before: np.ndarray | None) -> Callable[[int], Any]:
    def pairs(flat: int) -> tuple[Indices, Indices, list[tuple[str, float]]]:
        k, c, *i = _place(flat, at.w)
        channel, lefts, rights = k // at.outputs * at.per_group + c, [], []
        for n, *o in np.ndindex(at.y[0], *at.y[2:]):
            if (q := at.pixel(o, i)) is not None:
                lefts.append(_flat((n, k, *o), at.y))
                rights.append(_flat((n, channel, *q), at.x))
        return lefts, rights, _added("dw", before, flat)

    return pairs


def _conv_db(at: _Windows, before: np.ndarray | None) -> Callable[[int], Any]:
    def pairs(k: int) -> tuple[Indices, list[float], list[tuple[str, float]]]:
        lefts = [_flat((n, k, *o), at.y) for n, *o in np.ndindex(at.y[0], *at.y[2:])]
        return lefts, [1.0] * len(lefts), _added("db", before, k)

    return pairs


# --- Pooling --------------------------------------------------------------------------------------------------

def _pool_forward(layer: Any, bottoms: Sequence[Blob], tops: Sequence[Blob]) -> list[Sum]:
    x, y = bottoms[0].data, tops[0].data
    if layer.param.pool == layer.param.AVE:
        return [Sum("top", 0, "data", Factor("x", x), None, lambda flat: _pool_window(layer, x, y, flat))]
    if layer.index is None:
        return []

    def chosen(flat: int) -> int:
        n, c, *_ = _place(flat, y.shape)
        at = int(layer.index.reshape(-1)[flat])
        return (n * x.shape[1] + c) * x.shape[2] * x.shape[3] + at if at >= 0 else -1

    return [Sum("top", 0, "data", Factor("x", x), None, lambda flat: _pool_window(layer, x, y, flat), chosen)]


def _pool_backward(layer: Any, bottoms: Sequence[Blob], dys: Sequence[np.ndarray],
                   before: Sequence[np.ndarray | None]) -> list[Sum]:
    x, dy = bottoms[0].data, dys[0]
    average = layer.param.pool == layer.param.AVE
    if not average and layer.index is None:
        return []

    def pairs(flat: int) -> tuple[Indices, list[float], list[tuple[str, float]]]:
        n, c, h, w = _place(flat, x.shape)
        lefts, factors = [], []
        for o in np.ndindex(*dy.shape[2:]):
            at = _flat((n, c, *o), dy.shape)
            window, shares, _ = _pool_window(layer, x, dy, at)
            if flat not in window:
                continue
            if average:
                lefts.append(at)
                factors.append(shares[0])
            elif layer.index.reshape(-1)[at] == h * x.shape[3] + w:
                lefts.append(at)
                factors.append(1.0)
        return lefts, factors, []

    note = "" if average else "The factor is 1 for each window from which forward has taken this number."
    return [Sum("bottom", 0, "diff", Factor("dy", dy), None, pairs, note=note)]


def _pool_window(layer: Any, x: np.ndarray, y: np.ndarray, flat: int) -> tuple[Indices, list[float], list[Any]]:
    """Return the flat indices of the pixels in a window, and for each 1 / the places of the window."""
    n, c, *o = _place(flat, y.shape)
    starts = [a * s - p for a, s, p in zip(o, layer.stride, layer.pad, strict=True)]
    # Caffe: the padding counts in the average, up to the padded image's edge and no further
    ends = [min(start + k, size + p) for start, k, size, p in
            zip(starts, layer.kernel, x.shape[2:], layer.pad, strict=True)]
    places = math.prod(end - start for start, end in zip(starts, ends, strict=True))
    rows, columns = (range(max(start, 0), min(end, size))
                     for start, end, size in zip(starts, ends, x.shape[2:], strict=True))
    found = [_flat((n, c, h, w), x.shape) for h in rows for w in columns]
    return found, [1 / places] * len(found), []
