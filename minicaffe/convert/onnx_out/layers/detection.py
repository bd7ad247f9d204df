"""PriorBox and DetectionOutput as ONNX nodes."""

from minicaffe.convert.onnx_out.given import ONE_BATCH, Given, writes
from minicaffe.convert.onnx_out.layers import boxes as b
from minicaffe.convert.onnx_out.nodes import CUT
from minicaffe.proto import PriorBoxParameter


@writes("PriorBox")
def prior_box(g: Given) -> None:
    """A constant: the boxes follow from the shapes alone."""
    g.refuse_if(g.y_open[0], "makes boxes whose number grows with the batch",
                ONE_BATCH)
    g.pass_on(0, g.floats("priors", g.layer.priors))


@writes("DetectionOutput")
def detection_output(g: Given) -> None:
    """The boxes decoded with plain operators; TopK and ScatterElements where top_k leaves boxes out; NonMaxSuppression;
    the same again for keep_top_k, NonZero and Gather; a row of −1 for each image where nothing is found.
    """
    p, nms, layer = g.param, g.param.nms_param, g.layer
    g.refuse_if(layer.arms, "reads the first of two stages (arm_conf, arm_loc), which is not written", CUT)
    g.refuse_if(p.output_logits, "has output_logits, which is not written", CUT)
    g.refuse_if(nms.soft_nms, "has soft_nms: NonMaxSuppression lowers no scores", CUT)
    g.refuse_if(nms.eta < 1 and nms.nms_threshold > 0.5,
                f"has eta {nms.eta:g}: the threshold of NonMaxSuppression stays as it is", f"set eta to 1, or {CUT}")
    b.needs_known_sizes(g)
    classes = [c for c in range(p.num_classes) if c != p.background_label_id]
    g.refuse_if(not classes or not layer.P, "has no boxes: there are no priors, or no class but the background")
    P, C = layer.P, len(classes)

    boxes, scores = _boxes(g, classes), _scores(g, classes)
    most = P if layer.top_k is None else min(layer.top_k, P)
    if 0 < most < P:
        scores = b.best_of(g, scores, most, 2)
    chosen = b.suppressed(g, b.without_negative_sizes(g, boxes), scores, most, nms.nms_threshold, layer.least)
    image, c, place = b.split(g, chosen, 3, axis=1)
    box = g.node("GatherND", [boxes, b.rows_of(g, image, place)])
    score = g.node("GatherND", [scores, chosen])
    if layer.L > 1:  # each class of each image was an image of one class
        count = g.ints("classes", C)
        image, c = g.node("Div", [image, count]), g.node("Mod", [image, count])
    if C < p.num_classes:
        c = g.node("Gather", [g.ints("labels", classes), c])
    column = g.node("Unsqueeze", [score, g.ints("last", [1])])
    rows = b.rows_of(g, b.as_floats(g, image), b.as_floats(g, c), column, box)
    if 0 <= p.keep_top_k < C * most:
        found = g.node("ScatterND", [b.lowest_as(g, scores), chosen, score])
        # of equal scores the first class and the first prior stay, and so they stand here
        flat = g.node("Reshape", [found, g.ints("of an image", [-1, C * P])])
        best = g.node("Reshape", [b.best_of(g, flat, p.keep_top_k, 1), g.node("Shape", [scores])])
        stays = g.node("Greater", [g.node("GatherND", [best, chosen]), g.floats("lowest", b.LOWEST)])
        rows = b.where(g, stays, rows)
    b.write_rows(g, rows)


def _scores(g: Given, classes: list[int]) -> str:
    """Return the scores (N, C, P); where each class has boxes of its own, (N · C, 1, P)."""
    P, K = g.layer.P, g.param.num_classes
    scores = g.node("Transpose", [g.node("Reshape", [g.x[1], g.ints("scores", [-1, P, K])])], perm=[0, 2, 1])
    if len(classes) < K:
        scores = b.picked(g, scores, classes, 1)
    return g.node("Reshape", [scores, g.ints("by class", [-1, 1, P])]) if g.layer.L > 1 else scores


def _boxes(g: Given, classes: list[int]) -> str:
    """Return the boxes (N, P, 4); where each class has boxes of its own, (N · C, P, 4)."""
    P, L, code = g.layer.P, g.layer.L, g.param.code_type
    t = g.node("Reshape", [g.x[0], g.ints("loc", [-1, P, L, 4])])
    if 1 < L and len(classes) < L:
        t = b.picked(g, t, classes, 2)
    prior, variance = b.split(g, g.node("Reshape", [g.x[2], g.ints("prior", [2, P, 1, 4])]), 2, axis=0)
    if not g.param.variance_encoded_in_target:
        t = g.node("Mul", [t, variance])
    near, far = b.split(g, prior, 2)
    if code == PriorBoxParameter.CORNER:
        boxes = g.node("Add", [prior, t])
    elif code == PriorBoxParameter.CORNER_SIZE:
        size = g.node("Sub", [far, near])
        boxes = g.node("Add", [prior, g.node("Mul", [t, g.node("Concat", [size, size], axis=-1)])])
    else:
        size, (move, growth) = g.node("Sub", [far, near]), b.split(g, t, 2)
        middle = g.node("Mul", [g.node("Add", [near, far]), g.floats("half", 0.5)])
        centre = g.node("Add", [middle, g.node("Mul", [move, size])])
        half = g.node("Mul", [g.node("Mul", [g.node("Exp", [growth]), size]), g.floats("half", 0.5)])
        boxes = b.from_centres(g, centre, half)
    if L > 1:
        boxes = g.node("Transpose", [boxes], perm=[0, 2, 1, 3])
    return g.node("Reshape", [boxes, g.ints("boxes", [-1, P, 4])])
