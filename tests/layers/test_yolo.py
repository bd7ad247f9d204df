"""The outputs of YOLO: boxes out of the numbers of a net's maps."""

import logging
import math

import numpy as np
import pytest
from run_layer import run_forward

from minicaffe import kernels
from minicaffe.errors import LayerError
from minicaffe.layers.detection.yolo_detection_output import YoloDetectionOutputLayer
from minicaffe.layers.detection.yolov3_detection_output import Yolov3DetectionOutputLayer
from minicaffe.proto import LayerParameter, text

V2, V3 = YoloDetectionOutputLayer, Yolov3DetectionOutputLayer
ANCHORS = [9, 12, 20, 15, 30, 40, 50, 25]
TWO_MAPS = f"num_box: 2 biases: {ANCHORS} mask: [2, 3, 0, 1] anchors_scale: [16, 8]"
LOW = math.log(1 / 9)  # its sigmoid is 0.1
HIGH = math.log(9)  # and of this one 0.9


def make(cls, fields, dtype=np.float64):
    """A layer with these fields, in prototxt, in its own message."""
    return cls(text.parse(f'name: "it" type: "{cls.type}" {cls.message} {{ {fields} }}', LayerParameter()), dtype=dtype)


def rows(cls, fields, *maps, dtype=np.float64):
    """The rows of the top, (D, 7)."""
    _, (y,) = run_forward(make(cls, fields, dtype), *maps)
    assert (*y.shape[:2], y.shape[3]) == (1, 1, 7)
    return y.data[0, 0]


# --- the same by loops -------------------------------------------------------------------------------


def s(t):
    return 1 / (1 + math.exp(-t))


def boxes_of_v2(t, K, biases, least):
    """The boxes of one map (A · (5 + K), H, W) of YOLO v2: score, class, centre and size."""
    A, (H, W) = len(biases) // 2, t.shape[1:]
    for i in range(H):
        for j in range(W):
            for a in range(A):
                v = t[a * (5 + K):(a + 1) * (5 + K), i, j]
                p = [math.exp(c) / sum(math.exp(d) for d in v[5:]) for c in v[5:]]
                score = s(v[4]) * max(p)
                if score >= least:
                    yield (score, p.index(max(p)), (j + s(v[0])) / W, (i + s(v[1])) / H,
                           math.exp(v[2]) * biases[2 * a] / W, math.exp(v[3]) * biases[2 * a + 1] / H)


def boxes_of_v3(t, K, biases, scale, least, gaussian):
    """The boxes of one map of YOLO v3, one for each class that is likely enough."""
    n, (H, W) = (9 if gaussian else 5), t.shape[1:]
    for i in range(H):
        for j in range(W):
            for a in range(len(biases) // 2):
                v = t[a * (n + K):(a + 1) * (n + K), i, j]
                x, y, w, h = v[0:8:2] if gaussian else v[:4]
                sure = s(v[n - 1])
                if gaussian:
                    sure *= (4 - s(v[1]) - s(v[3]) - s(v[5]) - s(v[7])) / 4
                for c in range(K):
                    score = s(v[n + c]) * sure
                    if score > least:
                        yield (score, c, (j + s(x)) / W, (i + s(y)) / H, math.exp(w) * biases[2 * a] / (W * scale),
                               math.exp(h) * biases[2 * a + 1] / (H * scale))


def overlap(a, b):
    """What two boxes share, divided by what they cover, from centres and sizes."""
    w, h = (min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)
            for k in (2, 3))
    return w * h / (a[4] * a[5] + b[4] * b[5] - w * h) if w > 0 and h > 0 else 0


def rows_of(n, boxes, threshold):
    """The rows of image n: of the boxes, best first, those that overlap no better one that is kept."""
    kept = []
    for box in sorted(boxes, key=lambda box: -box[0]):
        if all(overlap(box, other) < threshold for other in kept):
            kept.append(box)
    return [[n, c + 1, score, x - w / 2, y - h / 2, x + w / 2, y + h / 2] for score, c, x, y, w, h in kept]


# --- YoloDetectionOutput -----------------------------------------------------------------------------


def test_v2_by_hand():
    """Cell (0, 1) of 1 × 2 cells: σ(0) = 0.5, so the centre is at 1.5 / 2 and 0.5, and exp(ln 2) · 0.4 / 2 is wide."""
    t = np.full((1, 7, 1, 2), -9.0)
    t[0, :, 0, 1] = [0, 0, math.log(2), 0, HIGH, math.log(3), 0]

    found = rows(V2, "num_classes: 2 num_box: 1 biases: 0.4 biases: 0.6", t)

    np.testing.assert_allclose(found, [[0, 1, 0.9 * 0.75, 0.75 - 0.2, 0.5 - 0.3, 0.75 + 0.2, 0.5 + 0.3]], rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("maps", [1, 2])
def test_v2_is_the_loops(seed, maps):
    """Random numbers, several images, one map or two: what the loops give."""
    draw = np.random.default_rng(seed)
    biases, least, threshold = [1.5, 2.5, 3, 1], float(draw.uniform(0.1, 0.4)), float(draw.uniform(0.2, 0.7))
    t = [draw.normal(0, 1.5, (3, 16, 4, 5)), draw.normal(0, 1.5, (3, 16, 7, 6))][:maps]
    fields = f"num_classes: 3 num_box: 2 biases: {biases} confidence_threshold: {least} nms_threshold: {threshold}"
    want = [row for n in range(3) for row in rows_of(
        n, [box for x in t for box in boxes_of_v2(x[n], 3, biases, least)], threshold)]

    np.testing.assert_allclose(rows(V2, fields, *t), want, rtol=1e-9, atol=1e-12)


# --- Yolov3DetectionOutput ---------------------------------------------------------------------------


def test_v3_by_hand():
    """The first map has the third pair of sizes, 40 × 20 pixels of an image of 64 × 32; the class is the second."""
    wide, fine = np.full((1, 7, 1, 2), -9.0), np.full((1, 7, 2, 4), -9.0)
    wide[0, :, 0, 0] = [0, 0, 0, 0, HIGH, -9, HIGH]
    fields = "num_classes: 2 num_box: 1 biases: [10, 10, 30, 30, 40, 20] mask: [2, 0] anchors_scale: [32, 16]"

    found = rows(V3, fields, wide, fine)

    np.testing.assert_allclose(found, [[0, 2, 0.81, 0.25 - 20 / 64, 0.5 - 10 / 32, 0.25 + 20 / 64, 0.5 + 10 / 32]])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("gaussian", [False, True])
def test_v3_is_the_loops(seed, gaussian):
    """Random numbers, several images, two maps that are not square: what the loops give."""
    draw = np.random.default_rng(seed)
    least, threshold = float(draw.uniform(0.1, 0.3)), float(draw.uniform(0.2, 0.7))
    C = 2 * (9 + 3 if gaussian else 5 + 3)
    t = [draw.normal(0, 1.5, (3, C, 4, 5)), draw.normal(0, 1.5, (3, C, 8, 10))]
    fields = f"num_classes: 3 {TWO_MAPS} confidence_threshold: {least} nms_threshold: {threshold}"
    want = [row for n in range(3) for row in rows_of(
        n, [*boxes_of_v3(t[0][n], 3, ANCHORS[4:], 16, least, gaussian),
            *boxes_of_v3(t[1][n], 3, ANCHORS[:4], 8, least, gaussian)], threshold)]

    found = rows(V3, fields + f" gaussian_box: {str(gaussian).lower()}", *t)

    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-12)


def test_without_suppression_each_class_has_a_box():
    """At a threshold above 1 no box goes: a cell gives a box for each class that is likely, at one place."""
    t = np.full((1, 8, 1, 1), HIGH)
    t[0, 5] = -9

    found = rows(V3, "num_classes: 3 num_box: 1 biases: 8 biases: 8 mask: 0 anchors_scale: 8 mask_group_num: 1 "
                     "nms_threshold: 1.5", t)

    assert found[:, 1].tolist() == [2, 3]
    np.testing.assert_array_equal(found[0, 3:], found[1, 3:])


def test_maps_may_share_masks_and_skip_some():
    """With six masks for two maps of two boxes, the second map begins at the fourth mask."""
    t = [np.full((1, 12, 1, 2), 0.0), np.full((1, 12, 2, 4), -20.0)]
    t[0][0, 4::6] = -20
    t[1][0, 4:6, 1, 3] = 20
    fields = "num_classes: 1 num_box: 2 biases: [8, 8, 16, 16] mask: [0, 0, 0, 1, 0, 0] anchors_scale: [16, 8]"

    (box,) = rows(V3, fields, *t)

    np.testing.assert_allclose(box[5:] - box[3:5], [math.exp(-20) * 16 / 32, math.exp(-20) * 16 / 16])


# --- both ----------------------------------------------------------------------------------------------

ONE_BOX = {V2: "num_classes: 1 num_box: 1 biases: 1 biases: 1",
           V3: "num_classes: 1 num_box: 1 biases: 8 biases: 8 mask: 0 anchors_scale: 8 mask_group_num: 1"}
BOTH = pytest.mark.parametrize("cls", [V2, V3])


def cells(*objectness, images=1):
    """A map of 1 × W cells (N, 6, 1, W), each with one box of the size of a cell, and these numbers as objectness."""
    t = np.zeros((images, 6, 1, len(objectness)))
    t[:, 4], t[:, 5] = objectness, 30
    return t


@BOTH
def test_nothing_found(cls):
    """A row for each image says that there is nothing; one box in the batch, and there are no such rows."""
    t = cells(-30, -30, images=3)
    np.testing.assert_array_equal(rows(cls, ONE_BOX[cls], t), [[n, *[-1] * 6] for n in range(3)])

    t[1, 4] = 0, -30
    assert rows(cls, ONE_BOX[cls], t)[:, 0].tolist() == [1]


@BOTH
def test_images_do_not_touch_each_other(cls):
    """A batch gives the boxes of its images, one image after the other."""
    draw = np.random.default_rng(7)
    t = draw.normal(0, 2, (4, 6, 3, 5))
    alone = [rows(cls, ONE_BOX[cls], t[n:n + 1]) for n in range(4)]
    for n, found in enumerate(alone):
        found[:, 0] = n

    np.testing.assert_array_equal(rows(cls, ONE_BOX[cls], t), np.concatenate(alone))


@pytest.mark.parametrize(("cls", "fields"), [
    (V2, "num_classes: 1 num_box: 2 biases: [1, 1, 0.5, 1]"),
    (V3, "num_classes: 1 num_box: 2 biases: [8, 8, 4, 8] mask: [0, 1] anchors_scale: 8 mask_group_num: 1")])
def test_boxes_at_the_threshold_go(cls, fields):
    """Of two boxes with one centre the second is half as wide. Their overlap is 0.5, and at that threshold it goes."""
    t = np.zeros((1, 12, 1, 1))
    t[0, 4] = HIGH

    for threshold, widths in (("0.5", [1]), ("0.50000006", [1, 0.5])):
        found = rows(cls, f"{fields} nms_threshold: {threshold}", t, dtype=np.float32)
        assert (found[:, 5] - found[:, 3]).tolist() == widths


@BOTH
def test_a_threshold_of_0_leaves_one_box(cls, caplog):
    """Boxes that do not touch have the overlap 0, and 0 is enough."""
    with caplog.at_level(logging.WARNING):
        found = rows(cls, f"{ONE_BOX[cls]} nms_threshold: 0", cells(0, -30, HIGH, 0))

    assert found[:, 2].tolist() == pytest.approx([0.9])
    assert "nms_threshold is 0, so of all boxes of an image the best alone is kept" in caplog.text


@BOTH
def test_equal_scores_stay_in_the_order_of_the_cells(cls):
    """Of boxes with equal scores that of the first cell comes first, and of two at one place it stays."""
    found = rows(cls, ONE_BOX[cls], cells(*[0.0] * 20))
    np.testing.assert_allclose(found[:, 3], np.arange(20) / 20, atol=1e-12)

    near = cells(0, 0)
    near[0, 0, 0] = 30, LOW  # the centres are at 1 and 1.1 cells
    np.testing.assert_allclose(rows(cls, ONE_BOX[cls], near)[:, 3:6:2], [[0.25, 0.75]])


def test_confidence_at_the_threshold():
    """YOLO v2 keeps a box whose score is the threshold, YOLO v3 does not."""
    t = cells(0)  # σ(0) = 0.5, times 1
    t[0, 5] = 800

    assert rows(V2, f"{ONE_BOX[V2]} confidence_threshold: 0.5", t)[0, 1] == 1
    assert rows(V3, f"{ONE_BOX[V3]} confidence_threshold: 0.5", t)[0, 1] == -1


@BOTH
def test_numbers_without_end(cls):
    """Numbers that overflow give boxes without end, or none, and no warning."""
    t = cells(800, -800, 800)
    t[0, 2, 0, 2], t[0, 5] = 800, (800, -800, 800)

    found = rows(cls, ONE_BOX[cls], t, dtype=np.float32)

    assert found[0, 2] == 1
    assert np.isinf(found[:, 5]).any()


@BOTH
@pytest.mark.parametrize("engine", kernels.available_engines())
def test_engines_agree(cls, engine):
    """All engines keep the same boxes."""
    t = np.random.default_rng(3).normal(0, 2, (2, 6, 9, 7)).astype(np.float32)
    found = []
    before = kernels.engine()
    try:
        for name in (engine, "plain"):
            kernels.use_engine(name)
            found.append(rows(cls, ONE_BOX[cls], t, dtype=np.float32))
    finally:
        kernels.use_engine(before)

    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("cls", "fields", "message"), [
    (V2, "num_box: 1 biases: 1 biases: 1", "num_classes must be given, and be positive, got"),
    (V2, "num_classes: 1 num_box: 0", "num_box must be positive, got 0"),
    (V2, "num_classes: 1 num_box: 1", "biases must be given"),
    (V2, "num_classes: 1 num_box: 1 biases: [1, 1, 2, 2]", "biases must be 2 numbers: a width and a height for each of "
                                                          "num_box = 1 boxes"),
    (V2, f"{ONE_BOX[V2]} coords: 5", "coords must be 4"),
    (V2, f"{ONE_BOX[V2]} nms_threshold: -1", "nms_threshold must be at least 0"),
    (V3, "num_classes: 1 num_box: 1 biases: 8 biases: 8 mask: 0 anchors_scale: 8",
     "mask_group_num must be the number of bottoms, 1, got 2"),
    (V3, "num_classes: 1 num_box: 1 biases: 8 biases: 8 mask: 0 mask_group_num: 1",
     "anchors_scale must be given once for each of the 1 bottoms, and be positive"),
    (V3, f"{ONE_BOX[V3]} mask: 1", "mask must be below 1, the number of pairs of biases"),
    (V3, ONE_BOX[V3].replace("num_box: 1", "num_box: 2"), "mask must be given for each of the 1 bottoms num_box = 2 "
                                                         "times"),
])
def test_refuses(cls, fields, message):
    with pytest.raises(LayerError, match=rf"layer 'it' \({cls.type}\): .*{message}"):
        rows(cls, fields, cells(0))


def test_bottoms_must_fit():
    """The error says which number of channels the fields ask for."""
    with pytest.raises(LayerError, match=r"bottom\[0\] must have the 4 axes \(N, C, H, W\) with C = 1 · 7 = 7 channels "
                                         r"for 1 boxes of 2 classes, got \(1, 6, 1, 1\)"):
        rows(V2, ONE_BOX[V2].replace("num_classes: 1", "num_classes: 2"), cells(0))
    with pytest.raises(LayerError, match=r"C = 1 · 10 = 10 channels for 1 boxes of 1 classes with gaussian_box, got"):
        rows(V3, f"{ONE_BOX[V3]} gaussian_box: true", cells(0))
    with pytest.raises(LayerError, match="all bottoms must hold the same images"):
        rows(V2, ONE_BOX[V2], cells(0, images=2), cells(0, images=3))


@BOTH
def test_no_gradient(cls):
    layer = make(cls, ONE_BOX[cls])
    bottom, top = run_forward(layer, cells(0))
    layer.Backward(top, [False], bottom)
    with pytest.raises(LayerError, match="has no gradient"):
        layer.Backward(top, [True], bottom)
