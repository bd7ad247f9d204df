"""Layers that read regions of a feature map, and those that move or choose regions, as ONNX nodes."""

import numpy as np

from minicaffe.convert.onnx_out.given import Given, writes
from minicaffe.convert.onnx_out.layers import boxes as b
from minicaffe.convert.onnx_out.nodes import FLOAT, INT64


@writes("ROIPooling")
def roi_pooling(g: Given) -> None:
    """MaxRoiPool, behind operators that move the corners where there is a pad_ratio."""
    p, roi = g.param, _regions(g, 1)
    if p.pad_ratio:
        roi = _padded(g, roi)
    if p.spatial_scale == -1:  # the regions are parts of the image
        H, W = g.x_shapes[0][2:]
        roi = g.node("Mul", [roi, g.floats("map", [1, W, H, W, H])])
    scale = 1.0 if p.spatial_scale == -1 else p.spatial_scale
    g.node("MaxRoiPool", [g.x[0], roi], g.y, pooled_shape=g.layer.size, spatial_scale=scale)


@writes("ROIAlign")
def roi_align(g: Given) -> None:
    """RoiAlign with one point a bin, in a region that is half a bin larger on each side, so that the points lie where
    this layer reads; Where for 0 at the points outside of the map.
    """
    p, roi = g.param, _regions(g, 1)
    (H, W), counts = g.x_shapes[0][2:], (p.pooled_h, p.pooled_w)
    roi = _padded(g, roi) if p.pad_ratio else roi
    image, near, far = _parts(g, roi)
    scale, half = g.floats("scale", p.spatial_scale), g.floats("half", 0.5)
    begin, end = (g.node("Sub", [g.node("Mul", [corner, scale]), half]) for corner in (near, far))
    length = g.node("Sub", [end, begin])
    # x, y: from the first point to the last one there are as many steps as bins
    step = g.node("Div", [length, g.floats("bins", counts[::-1])])
    # RoiAlign reads the middles of its bins, and takes half a pixel off each corner
    less = g.node("Sub", [g.node("Mul", [step, half]), half])
    more = g.node("Add", [less, g.floats("one", 1)])
    wide = g.node("Concat", [g.node("Sub", [begin, less]), g.node("Add", [end, more])], axis=1)
    y = g.node("RoiAlign", [g.x[0], wide, g.node("Reshape", [_image(g, image), g.ints("images", [-1])])],
               output_height=counts[0] + 1, output_width=counts[1] + 1, sampling_ratio=1, mode="avg",
               coordinate_transformation_mode="half_pixel")
    real = g.node("Greater", [length, g.floats("zero", 0)])
    inside = []
    for k, (size, count, shape) in enumerate([(W, counts[1], [-1, 1, 1, counts[1] + 1]),
                                              (H, counts[0], [-1, 1, counts[0] + 1, 1])]):
        first, wide = b.picked(g, begin, [k], 1), b.picked(g, step, [k], 1)
        at = g.node("Add", [first, g.node("Mul", [wide, g.floats("points", range(count + 1))])])
        on = g.node("And", [g.node("GreaterOrEqual", [at, g.floats("first", -0.5)]),
                            g.node("LessOrEqual", [at, g.floats("last", size - 0.5)])])
        on = g.node("And", [on, b.picked(g, real, [k], 1)])
        inside.append(g.node("Reshape", [on, g.ints("axis", shape)]))
    g.node("Where", [g.node("And", inside), y, g.floats("zero", 0)], g.y)


@writes("PSROIPooling")
def psroi_pooling(g: Given) -> None:
    """MatMul of the maps with a 0 or a 1 for each pixel and bin, and Div by the number of pixels."""
    p, s, (H, W) = g.param, np.float32(g.param.spatial_scale), g.x_shapes[0][2:]
    D, k = p.output_dim, p.group_size
    image, near, far = _parts(g, _regions(g, 1))
    begin = g.node("Mul", [_rounded(g, near), g.floats("scale", s)])
    end = g.node("Add", [_rounded(g, far), g.floats("one", 1)])
    size = g.node("Max", [g.node("Sub", [g.node("Mul", [end, g.floats("scale", s)]), begin]), g.floats("least", 0.1)])
    size = g.node("Div", [size, g.floats("bins", k)])
    columns, rows = (_in_bins(g, b.picked(g, begin, [a], 1), b.picked(g, size, [a], 1), k, n)
                     for a, n in ((0, W), (1, H)))
    # (R, k, 1, H, 1) and (R, 1, k, 1, W): a pixel is in a bin where its row and its column are
    rows = g.node("Reshape", [rows, g.ints("rows", [-1, k, 1, H, 1])])
    columns = g.node("Reshape", [columns, g.ints("columns", [-1, 1, k, 1, W])])
    mask = g.node("Reshape", [g.node("Mul", [rows, columns]), g.ints("bins", [-1, k * k, 1, H * W])])
    pixels = g.node("ReduceSum", [mask, g.ints("pixels", [3])])  # (R, k², 1, 1)
    x = g.node("Reshape", [g.x[0], g.ints("maps", [-1, D, k * k, H * W])])
    x = g.node("Transpose", [x], perm=[2, 0, 3, 1])
    totals = g.node("MatMul", [g.node("Transpose", [mask], perm=[1, 2, 0, 3]), x])  # (k², N, R, D)
    own = g.node("Cast", [g.node("Equal", [_image(g, image), _images(g)])], to=FLOAT)  # (R, N)
    own = g.node("Unsqueeze", [g.node("Transpose", [own]), g.ints("last", [2])])
    total = g.node("ReduceSum", [g.node("Mul", [totals, own]), g.ints("images", [1])], keepdims=0)
    total = g.node("Transpose", [total], perm=[1, 2, 0])  # (R, D, k²)
    count = g.node("Reshape", [g.node("Max", [pixels, g.floats("one", 1)]), g.ints("count", [-1, 1, k * k])])
    y = g.node("Div", [total, count])
    g.node("Reshape", [y, g.ints("y", [-1, D, k, k])], g.y)


@writes("DecodeBBox")
def decode_bbox(g: Given) -> None:
    """Mul, Add and Exp for the formula of the boxes, behind Gather and Split, and Concat."""
    image, near, far = _parts(g, _regions(g, 1))
    t = b.picked(g, g.node("Reshape", [g.x[0], g.ints("t", [-1, 8])]), range(4, 8), 1)
    box = decoded(g, t, near, far)
    g.node("Reshape", [b.rows_of(g, image, box), g.ints("y", [-1, 5, 1, 1])], g.y)


@writes("ScaleRoute")
def scale_route(g: Given) -> None:
    """Compress by the sizes of the regions; where none fits, by the region that ArgMin finds to fit best."""
    layer = g.layer
    _, near, far = _parts(g, _regions(g, 0))
    sides = g.node("Sub", [far, near])
    whole = g.node("GreaterOrEqual", [g.node("ReduceMin", [sides, g.ints("sides", [1])], keepdims=0),
                                      g.floats("zero", 0)])
    w, h = b.split(g, g.node("Add", [sides, g.floats("one", 1)]), 2)
    area = g.node("Squeeze", [g.node("Mul", [w, h]), g.ints("sides", [1])])
    size = g.node("Sqrt", [g.node("Where", [whole, area, g.floats("zero", 0)])])
    fits = g.node("GreaterOrEqual", [size, g.floats("low", layer.low)])
    if np.isfinite(layer.high):
        fits = g.node("And", [fits, g.node("Less", [size, g.floats("high", layer.high)])])
    far_off = g.node("Abs", [g.node("Log", [g.node("Div", [size, g.floats("middle", layer.middle)])])])
    best = g.node("ArgMin", [far_off], axis=0)  # [1]
    R = g.node("Squeeze", [g.node("Shape", [size])])
    numbers = g.node("Range", [g.ints("first", 0), R, g.ints("step", 1)])
    none = g.node("Equal", [g.node("ReduceSum", [g.node("Cast", [fits], to=INT64)]), g.ints("none", 0)])
    fits = g.node("Or", [fits, g.node("And", [none, g.node("Equal", [numbers, best])])])
    for t, (x, y) in enumerate(zip(g.x, g.y, strict=True)):
        g.node("Reshape", [g.node("Compress", [x, fits], axis=0), g.ints("y", [-1, *g.y_shapes[t][1:]])], [y])
        g.open_top(t, 0)


def decoded(g: Given, t: str, near: str, far: str) -> str:
    """Return the boxes (…, 4) that the numbers t (…, 4) make of the corners (…, 2), as `CascadeLayer.decoded` does."""
    if np.any(g.layer.std != 1) or np.any(g.layer.mean != 0):
        t = g.node("Add", [g.node("Mul", [t, g.floats("std", g.layer.std)]), g.floats("mean", g.layer.mean)])
    move, growth = b.split(g, t, 2)
    half, one = g.floats("half", 0.5), g.floats("one", 1)
    size = g.node("Add", [g.node("Sub", [far, near]), one])
    middle = g.node("Mul", [g.node("Add", [far, near]), half])
    centre = g.node("Add", [middle, g.node("Mul", [move, size])])
    less = g.node("Sub", [g.node("Mul", [size, g.node("Exp", [growth])]), one])
    low = g.node("Sub", [centre, g.node("Mul", [less, half])])
    return g.node("Concat", [low, g.node("Add", [low, less])], axis=-1)


def _regions(g: Given, j: int) -> str:
    """Return the regions of bottom j, (R, 5)."""
    b.needs_known_sizes(g)
    if len(g.x_shapes[j]) == 2:
        return g.x[j]
    return g.node("Reshape", [g.x[j], g.ints("regions", [-1, 5])])


def _parts(g: Given, roi: str) -> tuple[str, str, str]:
    """Return the images (R, 1) of regions (R, 5), and their near and far corners, (R, 2) each, as x, y."""
    image, near, far = g.new_names("Split", 3)
    g.node("Split", [roi, g.ints("parts", [1, 2, 2])], [image, near, far], axis=1)
    return image, near, far


def _padded(g: Given, roi: str) -> str:
    """Return the regions, whose sides are moved outwards by pad_ratio."""
    image, near, far = _parts(g, roi)
    size = g.node("Add", [g.node("Sub", [far, near]), g.floats("one", 1)])
    pad = g.node("Mul", [size, g.floats("pad_ratio", g.param.pad_ratio)])
    return b.rows_of(g, image, g.node("Sub", [near, pad]), g.node("Add", [far, pad]))


def _image(g: Given, image: str) -> str:
    """Return the number of the image of each region, cut to a whole number."""
    return g.node("Cast", [image], to=INT64)


def _images(g: Given) -> str:
    """Return the numbers of all images of bottom 0."""
    if not g.is_open(0, 0):
        return g.ints("images", range(g.x_shapes[0][0]))
    N = g.node("Squeeze", [g.node("Shape", [g.x[0]], start=0, end=1)])
    return g.node("Range", [g.ints("first", 0), N, g.ints("step", 1)])


def _rounded(g: Given, v: str) -> str:
    """Return v rounded to whole numbers, and halves away from 0; ONNX's Round rounds them to the even number."""
    size = g.node("Abs", [v])
    whole = g.node("Floor", [size])
    up = g.node("GreaterOrEqual", [g.node("Sub", [size, whole]), g.floats("half", 0.5)])
    return g.node("Mul", [g.node("Sign", [v]), g.node("Add", [whole, g.node("Cast", [up], to=FLOAT)])])


def _in_bins(g: Given, begin: str, size: str, count: int, limit: int) -> str:
    """Return (R, count, limit): 1 where a pixel of an axis lies in a bin, else 0.

    begin, size     (R, 1): where the first bin begins, and the length of one
    """
    edge = g.node("Add", [begin, g.node("Mul", [size, g.floats("edges", np.arange(count + 1))])])
    first = g.node("Floor", [b.picked(g, edge, range(count), 1)])
    end = g.node("Ceil", [b.picked(g, edge, range(1, count + 1), 1)])
    first, end = (g.node("Unsqueeze", [v, g.ints("pixels", [2])]) for v in (first, end))
    pixels = g.floats("pixels", np.arange(limit))
    inside = g.node("And", [g.node("GreaterOrEqual", [pixels, first]), g.node("Less", [pixels, end])])
    return g.node("Cast", [inside], to=FLOAT)
