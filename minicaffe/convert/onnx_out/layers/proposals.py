"""Layers that make regions out of the answers of a region proposal network, as ONNX nodes."""

import numpy as np

from minicaffe.convert.onnx_out.given import Given, writes
from minicaffe.convert.onnx_out.layers import boxes as b
from minicaffe.layers.detection._proposals import RegionProposals, placed


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

    boxes = _decoded(g, t, placed(layer.anchors.astype(np.float32), layer.stride, H, W))
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
        scores = b.best_of(g, scores, layer.before)
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
    p = g.layer.layer_param.python_param
    g.refuse_if(not isinstance(g.layer, RegionProposals),
                f"runs the Python code of module {p.module!r}, class {p.layer!r}",
                "cut the net before it, so that its bottoms become outputs, and run that code outside")
    proposal(g)


def _decoded(g: Given, t: str, anchors: np.ndarray) -> str:
    """Return the boxes (N, M, 4) that t, a shift of the centre and log growths, makes of the anchors (M, 4)."""
    near, far = anchors[:, :2], anchors[:, 2:]
    size = far - near + 1
    move, growth = b.split(g, t, 2)
    sizes = g.floats("size", size)
    centre = g.node("Add", [g.node("Mul", [move, sizes]), g.floats("middle", near + size / 2)])
    half = g.node("Mul", [g.node("Mul", [g.node("Exp", [growth]), sizes]), g.floats("half", 0.5)])
    return b.from_centres(g, centre, half)
