"""Layers that make regions out of the answers of a region proposal network, as ONNX nodes."""

import math
from typing import Any

import numpy as np

from minicaffe.convert.onnx_out.given import Given, Shape, writes
from minicaffe.convert.onnx_out.layers import boxes as b
from minicaffe.convert.onnx_out.nodes import CUT
from minicaffe.layers.detection._proposals import RegionProposals, placed
from minicaffe.layers.detection.box_group_output import NOTHING


@writes("Proposal")
def proposal(g: Given) -> None:
    """The boxes decoded with plain operators, TopK for pre_nms_topn, and NonMaxSuppression."""
    layer = g.layer
    b.needs_known_sizes(g)
    A, (H, W) = len(layer.anchors), g.x_shapes[0][2:]
    M, image = H * W * A, g.x_shapes[2]
    numbers = int(np.prod(image[1:]))
    info = g.node("Reshape", [g.x[2], g.ints("info", [-1, 1, numbers])])
    score = g.node("Slice", [g.x[0], g.ints("begin", [A]), g.ints("end", [2 * A]), g.ints("channels", [1])])
    score = g.node("Transpose", [score], perm=[0, 2, 3, 1])
    score = g.node("Reshape", [score, g.ints("scores", [-1, M, 1])])
    t = g.node("Reshape", [g.x[1], g.ints("t", [-1, A, 4, H * W])])
    t = g.node("Reshape", [g.node("Transpose", [t], perm=[0, 3, 1, 2]), g.ints("t by box", [-1, M, 4])])

    anchors: np.ndarray = placed(layer.anchors.astype(np.float32), layer.stride, H, W)  # type: ignore[no-untyped-call]
    boxes = _decoded(g, t, anchors)
    limits = g.node("Sub", [b.picked(g, info, [1, 0, 1, 0], 2), g.floats("one", 1)])
    boxes = g.node("Max", [g.node("Min", [boxes, limits]), g.floats("zero", 0)])
    near, far = b.split(g, boxes, 2)
    # Caffe: Proposal reads a fourth number, where there is one, as the scale of the width
    scales = b.picked(g, info, [3, 2] if layer.keeps_small and numbers > 3 else [2, 2], 2)
    least = g.node("Mul", [scales, g.floats("min_size", layer.least)])
    size = g.node("Add", [g.node("Sub", [far, near]), g.floats("one", 1)])
    slack = g.node("ReduceMin", [g.node("Sub", [size, least]), g.ints("sides", [2])])
    large = g.node("GreaterOrEqual", [slack, g.floats("zero", 0)])
    score = g.node("Where", [large, score, g.floats("small", 0 if layer.keeps_small else b.LOWEST)])

    scores = g.node("Transpose", [score], perm=[0, 2, 1])
    if layer.before < M:
        scores = b.best_of(g, scores, layer.before, 2)
    whole = g.node("Concat", [near, g.node("Add", [far, g.floats("one", 1)])], axis=-1)  # a box holds its last pixels
    chosen = b.suppressed(g, whole, scores, layer.after, layer.overlap, b.LOWEST)
    n, _, place = b.split(g, chosen, 3, axis=1)
    g.node("Concat", [b.as_floats(g, n), g.node("GatherND", [boxes, b.rows_of(g, n, place)])], [g.y[0]], axis=1)
    g.open_top(0, 0)
    if len(g.y) > 1:
        g.node("Unsqueeze", [g.node("GatherND", [scores, chosen]), g.ints("last", [1])], [g.y[1]])
        g.open_top(1, 0)


@writes("Python")
def python(g: Given) -> None:
    """The ProposalLayer of py-faster-rcnn: as Proposal. Other layers of this type are refused."""
    g.refuse_if(not isinstance(g.layer, RegionProposals),
                f"runs the class {g.param.layer} of the Python module {g.param.module}, which ONNX cannot hold",
                f"{CUT}; or write it with layers of Caffe's own")
    proposal(g)


@writes("BoxGroupOutput")
def box_group_output(g: Given) -> None:
    """As Proposal, for the boxes of all maps together; a row 0, 1, 1, 10, 10 where nothing is found."""
    p = g.param
    b.needs_known_sizes(g)
    g.refuse_if(p.nms_type in ("IOMU", "IOFU"), f"has nms_type {p.nms_type}: NonMaxSuppression divides by the area of "
                "both boxes", CUT)
    # Boxes that share but one row of pixels share nothing here, and do there. With sides of min_size pixels their
    # overlap is at most 1 / (2 · min_size − 1), and it only matters where it is above the threshold
    g.refuse_if(p.min_size < 1 or p.iou_thr * (2 * p.min_size - 1) < 1,
                f"has iou_thr {p.iou_thr:g} and min_size {p.min_size:g}, with which boxes that share one row of pixels "
                "count as not overlapping; NonMaxSuppression counts them", f"make one of the two larger, or {CUT}")
    maps = zip(g.x[::2], g.x[1::2], g.x_shapes[1::2], p.box_group_param, strict=True)
    parts = [_of_map(g, *given) for given in maps]
    boxes, scores = (g.node("Concat", list(values), axis=1) for values in zip(*parts, strict=True))
    M = sum(len(group.field_w) * shape[2] * shape[3]
            for group, shape in zip(p.box_group_param, g.x_shapes[1::2], strict=True))
    near, far = b.split(g, boxes, 2)
    one = g.floats("one", 1)
    sides = g.node("ReduceMin", [g.node("Add", [g.node("Sub", [far, near]), one]), g.ints("sides", [2])])
    large = g.node("GreaterOrEqual", [sides, g.floats("min_size", p.min_size)])
    scores = g.node("Transpose", [g.node("Where", [large, scores, g.floats("small", b.LOWEST)])], perm=[0, 2, 1])
    if 0 < p.max_nms_num < M:
        scores = b.best_of(g, scores, p.max_nms_num, 2)
    least = np.nextafter(np.float32(p.fg_thr), np.float32(-math.inf))  # this score counts, too
    whole = g.node("Concat", [near, g.node("Add", [far, one])], axis=-1)  # a box holds its last pixels
    chosen = b.suppressed(g, whole, scores, p.max_post_nms_num or M, p.iou_thr, float(least))
    n, _, place = b.split(g, chosen, 3, axis=1)
    score = g.node("Unsqueeze", [g.node("GatherND", [scores, chosen]), g.ints("last", [1])])
    columns = [b.as_floats(g, n), g.node("GatherND", [boxes, b.rows_of(g, n, place)]), score]
    for t, (y, count) in enumerate(zip(g.y, (5, 6), strict=False)):
        nothing = g.floats("nothing", [NOTHING if count == 5 else [0] * 6])
        rows = b.unless_empty(g, b.rows_of(g, *columns[:count - 3]), nothing, g.ints("count", [1]))
        g.node("Reshape", [rows, g.ints("y", [-1, count, 1, 1])], [y])
        g.open_top(t, 0)


def _of_map(g: Given, p: str, t: str, shape: Shape, group: Any) -> tuple[str, str]:
    """Return the boxes (N, M, 4) and the scores (N, M, 1) of one map of BoxGroupOutput."""
    layer, G, (H, W) = g.layer, len(group.field_w), shape[2:]
    axes = (4, 1, 1)
    d = g.node("Add", [g.node("Mul", [t, g.floats("std", layer.std.reshape(axes))]),
                       g.floats("mean", layer.mean.reshape(axes))])
    d = g.node("Min", [g.node("Max", [d, g.floats("least", -layer.limits)]), g.floats("most", layer.limits)])
    d = g.node("Transpose", [g.node("Reshape", [d, g.ints("d", [-1, G, 4, H * W])])], perm=[0, 1, 3, 2])
    move, growth = b.split(g, d, 2)
    field = g.floats("field", np.array([group.field_w, group.field_h]).T.reshape(G, 1, 2))
    cell = g.floats("cell", (np.mgrid[:H, :W][::-1].reshape(2, H * W).T + 0.5) * group.stride)
    size = g.node("Mul", [field, g.node("Exp", [growth])])
    centre = g.node("Add", [g.node("Mul", [move, field]), cell])
    low = g.node("Sub", [centre, g.node("Mul", [size, g.floats("half", 0.5)])])
    high = g.node("Sub", [g.node("Add", [low, size]), g.floats("one", 1)])
    limits = g.floats("limits", [W * group.stride, H * group.stride])
    boxes = g.node("Concat", [g.node("Max", [low, g.floats("zero", 0)]), g.node("Min", [high, limits])], axis=-1)
    nothing = g.node("Slice", [p, g.ints("begin", [0]), g.ints("end", [1]), g.ints("channels", [1])])
    score = g.node("Sub", [g.floats("one", 1), nothing])
    return (g.node("Reshape", [boxes, g.ints("boxes", [-1, G * H * W, 4])]),
            g.node("Reshape", [score, g.ints("scores", [-1, G * H * W, 1])]))


def _decoded(g: Given, t: str, anchors: np.ndarray) -> str:
    """Return the boxes (N, M, 4) that t, a shift of the centre and log growths, makes of the anchors (M, 4)."""
    near, far = anchors[:, :2], anchors[:, 2:]
    size = far - near + 1
    move, growth = b.split(g, t, 2)
    sizes = g.floats("size", size)
    centre = g.node("Add", [g.node("Mul", [move, sizes]), g.floats("middle", near + size / 2)])
    half = g.node("Mul", [g.node("Mul", [g.node("Exp", [growth]), sizes]), g.floats("half", 0.5)])
    return b.from_centres(g, centre, half)
