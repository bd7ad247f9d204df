"""The outputs of YOLO as ONNX nodes."""

import math

import numpy as np

from minicaffe.convert.onnx_out.given import Given, writes
from minicaffe.convert.onnx_out.layers import boxes as b
from minicaffe.convert.onnx_out.nodes import CUT


@writes("YoloDetectionOutput")
def yolo_detection_output(g: Given) -> None:
    """The boxes with plain operators, ArgMax for the class, and NonMaxSuppression over all classes together; where
    nothing is found, a row of −1 for each image.
    """
    parts = []
    for i in range(len(g.x)):
        t = _by_box(g, i)
        classes = b.picked(g, t, range(5, 5 + g.layer.classes), -1)
        p = g.node("ReduceMax", [g.node("Softmax", [classes], axis=-1), g.ints("classes", [-1])])
        score = g.node("Mul", [g.node("Sigmoid", [b.picked(g, t, [4], -1)]), p])
        label = g.node("ArgMax", [classes], axis=-1)
        parts.append((_placed(g, i, b.picked(g, t, range(4), -1), g.layer.sizes), score, label))
    least = np.nextafter(np.float32(g.param.confidence_threshold), np.float32(-math.inf))  # this score counts, too
    _write(g, parts, float(least))


@writes("Yolov3DetectionOutput")
def yolov3_detection_output(g: Given) -> None:
    """As YoloDetectionOutput, with the class of the best score for each box."""
    k = g.layer.places
    g.refuse_if(g.param.nms_threshold >= 1, f"has nms_threshold {g.param.nms_threshold:g}: then a box may have several "
                "classes, which is not written", f"set it below 1, or {CUT}")
    parts = []
    for i in range(len(g.x)):
        t = _by_box(g, i)
        objectness = g.node("Sigmoid", [b.picked(g, t, [k], -1)])
        if g.param.gaussian_box:
            doubts = g.node("Sigmoid", [b.picked(g, t, range(1, 8, 2), -1)])
            doubt = g.node("ReduceMean", [doubts, g.ints("doubts", [-1])])
            objectness = g.node("Mul", [objectness, g.node("Sub", [g.floats("one", 1), doubt])])
        classes = g.node("Sigmoid", [b.picked(g, t, range(k + 1, k + 1 + g.layer.classes), -1)])
        scores = g.node("Mul", [classes, objectness])
        score = g.node("ReduceMax", [scores, g.ints("classes", [-1])])
        label = g.node("ArgMax", [scores], axis=-1)
        sizes = g.layer.of_map[i] / g.param.anchors_scale[i]
        parts.append((_placed(g, i, b.picked(g, t, range(0, k, k // 4), -1), sizes), score, label))
    _write(g, parts, g.param.confidence_threshold)


def _by_box(g: Given, i: int) -> str:
    """Return the numbers of bottom i, (N, H · W · A, numbers of a box)."""
    b.needs_known_sizes(g)
    _, channels, H, W = g.x_shapes[i]
    A = g.layer.anchors
    x = g.node("Reshape", [g.x[i], g.ints("cells", [-1, A, channels // A, H * W])])
    x = g.node("Transpose", [x], perm=[0, 3, 1, 2])
    return g.node("Reshape", [x, g.ints("boxes", [-1, H * W * A, channels // A])])


def _placed(g: Given, i: int, t: str, sizes: np.ndarray) -> str:
    """Return the boxes (N, H · W · A, 4) of bottom i, which t says; sizes (A, 2) are in cells."""
    H, W = g.x_shapes[i][2:]
    A = len(sizes)
    cell = np.mgrid[:H, :W][::-1].reshape(2, H * W).T.repeat(A, axis=0)
    move, growth = b.split(g, t, 2)
    centre = g.node("Add", [g.node("Sigmoid", [move]), g.floats("cell", cell)])
    centre = g.node("Div", [centre, g.floats("map", [W, H])])
    size = g.node("Mul", [g.node("Exp", [growth]), g.floats("sizes", np.tile(sizes / [W, H], (H * W, 1)))])
    return b.from_centres(g, centre, g.node("Mul", [size, g.floats("half", 0.5)]))


def _write(g: Given, parts: list[tuple[str, str, str]], least: float) -> None:
    """Write the rows of the boxes, scores and labels of all maps, of which only scores above `least` count."""
    boxes, scores, labels = (g.node("Concat", list(values), axis=1) for values in zip(*parts, strict=True))
    M = sum(g.layer.anchors * shape[2] * shape[3] for shape in g.x_shapes)
    threshold = np.float32(g.param.nms_threshold)
    # Caffe: here a box goes as soon as its overlap is the threshold
    below = float(np.nextafter(threshold, np.float32(0)))
    chosen = b.suppressed(g, boxes, g.node("Transpose", [scores], perm=[0, 2, 1]), M if threshold else 1, below, least)
    image, _, place = b.split(g, chosen, 3, axis=1)
    at = b.rows_of(g, image, place)
    label = g.node("Add", [g.node("GatherND", [labels, at]), g.ints("one", 1)])
    b.write_rows(g, b.rows_of(g, b.as_floats(g, image), b.as_floats(g, label), g.node("GatherND", [scores, at]),
                              g.node("GatherND", [boxes, at])))
