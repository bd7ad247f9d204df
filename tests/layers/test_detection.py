"""The detection family: boxes, and which of them are kept."""

import itertools
import logging

import numpy as np
import pytest
from run_layer import normal, run_forward

from minicaffe import kernels
from minicaffe.errors import LayerError
from minicaffe.layers.detection.detection_output import DetectionOutputLayer
from minicaffe.layers.detection.prior_box import PriorBoxLayer
from minicaffe.net import Net
from minicaffe.proto import TEST, LayerParameter, NetParameter, text


def make(cls, fields, dtype=np.float64):
    """A layer with these fields, in prototxt, in its own message."""
    return cls(text.parse(f'name: "it" type: "{cls.type}" {cls.message} {{ {fields} }}', LayerParameter()), dtype=dtype)


# --- PriorBox --------------------------------------------------------------------------------------


def priors(fields, H=1, W=1, image=(100, 200), dtype=np.float64):
    """The boxes (H, W, P, 4) and variances (H, W, P, 4) that the layer gives for a map and an image of these sizes."""
    layer = make(PriorBoxLayer, fields, dtype)
    _, (y,) = run_forward(layer, np.zeros((2, 3, H, W)), np.zeros((2, 1, *image)))
    assert y.shape[:2] == (1, 2)
    return y.data.reshape(2, H, W, -1, 4)


def boxes_one_by_one(H, W, image, mins, maxs, ratios, flip, offset=0.5, steps=None):
    """The boxes that PriorBox's datasheet defines, written with loops."""
    high, wide = image
    step_h, step_w = steps or (high / H, wide / W)
    known = [1.0]
    for a in ratios:
        if not any(abs(a - k) < 1e-6 for k in known):
            known += [a, 1 / a] if flip else [a]
    found = []
    for i, j in itertools.product(range(H), range(W)):
        x, y = (j + offset) * step_w, (i + offset) * step_h
        for k, m in enumerate(mins):
            sizes = [(m, m)]
            if maxs:
                sizes.append(((m * maxs[k]) ** 0.5,) * 2)
            sizes += [(m * a ** 0.5, m / a ** 0.5) for a in known[1:]]
            for w, h in sizes:
                found.append([(x - w / 2) / wide, (y - h / 2) / high, (x + w / 2) / wide, (y + h / 2) / high])
    return np.array(found).reshape(H, W, -1, 4)


def test_prior_boxes_by_hand():
    """Two cells 100 pixels wide: squares of 20 and 40 pixels, a box four times as wide as high, and its reciprocal."""
    boxes, variances = priors("min_size: 20 max_size: 80 aspect_ratio: 4", W=2)

    np.testing.assert_allclose(boxes[0, 0], [[0.2, 0.4, 0.3, 0.6], [0.15, 0.3, 0.35, 0.7], [0.15, 0.45, 0.35, 0.55],
                                             [0.225, 0.3, 0.275, 0.7]], rtol=1e-12)
    np.testing.assert_allclose(boxes[0, 1] - boxes[0, 0], np.tile([0.5, 0, 0.5, 0], (4, 1)), rtol=1e-12)
    np.testing.assert_array_equal(variances, np.full(variances.shape, 0.1))


@pytest.mark.parametrize("seed", range(8))
def test_prior_boxes_are_those_of_the_loops(seed):
    """Sizes, ratios, offsets and steps drawn by chance give what the definition gives."""
    draw = np.random.default_rng(seed)
    H, W, image = *draw.integers(1, 6, 2), (int(draw.integers(30, 300)), int(draw.integers(30, 300)))
    mins = sorted(int(m) for m in draw.integers(4, 40, draw.integers(1, 4)))
    maxs = [m + int(draw.integers(1, 30)) for m in mins] if seed % 2 else []
    ratios = [float(a) for a in draw.choice([1, 2, 3, 0.5, 1.5], draw.integers(0, 5))]
    flip, offset = bool(seed % 3), float(draw.choice([0.5, 0, 0.25]))
    steps = (8.0, 16.0) if seed % 4 == 1 else None
    fields = " ".join([*(f"min_size: {m}" for m in mins), *(f"max_size: {m}" for m in maxs),
                       *(f"aspect_ratio: {a}" for a in ratios), f"flip: {str(flip).lower()} offset: {offset}",
                       *([f"step_h: {steps[0]} step_w: {steps[1]}"] if steps else [])])
    want = boxes_one_by_one(H, W, image, mins, maxs, ratios, flip, offset, steps)

    np.testing.assert_allclose(priors(fields, H, W, image)[0], want, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(priors(fields, H, W, image, np.float32)[0], want, rtol=1e-6, atol=1e-6)


def test_sizes_lose_their_fractions():
    """A min_size of 30.9 is one of 30, and a max_size of 60.9 one of 60."""
    np.testing.assert_array_equal(priors("min_size: 30.9 max_size: 60.9"), priors("min_size: 30 max_size: 60"))


def test_ratios_that_are_there_already_are_left_out():
    """1 is always there, and 0.5 is there as the reciprocal of 2; without flip it is a ratio of its own."""
    fields = "min_size: 20 aspect_ratio: 1 aspect_ratio: 2 aspect_ratio: 0.5 aspect_ratio: 2.0000002"

    assert priors(fields).shape[3] == 3
    np.testing.assert_array_equal(priors(fields), priors("min_size: 20 aspect_ratio: 2"))
    assert priors(fields + " flip: false").shape[3] == 3


def test_clip():
    """Corners beyond the image are moved to its edge; without clip they stay where they are."""
    boxes = priors("min_size: 150")[0, 0, 0, 0]
    np.testing.assert_allclose(boxes, [0.125, -0.25, 0.875, 1.25], rtol=1e-12)

    np.testing.assert_allclose(priors("min_size: 150 clip: true")[0, 0, 0, 0], [0.125, 0, 0.875, 1], rtol=1e-12)


def test_variances():
    """Four variances are repeated for each box; one stands for all four."""
    four = "variance: 0.1 variance: 0.2 variance: 0.3 variance: 0.4"

    np.testing.assert_allclose(priors(f"min_size: 20 {four}", W=2)[1, 0, 1, 0], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_allclose(priors("min_size: 20 variance: 0.3")[1, 0, 0, 0], np.full(4, 0.3), rtol=1e-6)


def test_given_sizes_of_the_image_and_the_steps():
    """img_size, img_h, step and step_h replace what the bottoms say; 0 means that they are not given."""
    np.testing.assert_array_equal(priors("min_size: 20 img_h: 50 img_w: 70"), priors("min_size: 20", image=(50, 70)))
    np.testing.assert_array_equal(priors("min_size: 20 img_size: 60"), priors("min_size: 20", image=(60, 60)))
    np.testing.assert_array_equal(priors("min_size: 20 step: 0 img_size: 0", W=3), priors("min_size: 20", W=3))
    np.testing.assert_allclose(priors("min_size: 20 step: 16", H=2, W=3), priors(
        "min_size: 20 step_h: 16 step_w: 16", H=2, W=3), rtol=1e-12)
    np.testing.assert_allclose(np.diff(priors("min_size: 20 step: 16", W=3)[0, 0, :, 0, 0]), 16 / 200, rtol=1e-12)


def test_several_offsets():
    """TextBoxes lays the boxes of each size around several centres, one after the other."""
    sizes = "min_size: 20 max_size: 45 aspect_ratio: 2"
    both = priors(f"{sizes} offset_h: 0.5 offset_w: 0.25 offset_h: 1 offset_w: 0.5", H=2, W=3)
    apart = [priors(f"{sizes} offset_h: {y} offset_w: {x}", H=2, W=3) for y, x in ((0.5, 0.25), (1, 0.5))]

    assert both.shape == (2, 2, 3, 8, 4)
    np.testing.assert_allclose(both[..., ::2, :], apart[0], rtol=1e-12)
    np.testing.assert_allclose(both[..., 1::2, :], apart[1], rtol=1e-12)
    np.testing.assert_allclose(apart[1], priors(f"{sizes} offset: 0.5", H=2, W=3) + np.array(
        [[[[[0, 25 / 100, 0, 25 / 100]]]], [[[[0, 0, 0, 0]]]]]), rtol=1e-12, atol=1e-12)


def test_boxes_of_face_boxes_by_hand():
    """16 boxes of 31 pixels 8 apart, 4 of 63 pixels 16 apart, and one of 127, in a cell whose centre is at 16."""
    boxes = 100 * priors("min_size: 32 min_size: 64 min_size: 128 step: 32 face_boxes: true", image=(100, 100))[0, 0, 0]
    places = [(x, y) for y in (0, 8, 16, 24) for x in (0, 8, 16, 24)] + [(0, 0), (16, 0), (0, 16), (16, 16), (16, 16)]
    halves = [15.5] * 16 + [31.5] * 4 + [63.5]

    np.testing.assert_allclose(boxes, [[x - half, y - half, x + half, y + half]
                                       for (x, y), half in zip(places, halves, strict=True)], rtol=1e-12)


def test_face_boxes_leave_other_shapes_as_they_are():
    """The square of a max_size and the boxes of the ratios are neither moved nor a pixel smaller."""
    fields = "min_size: 32 max_size: 50 aspect_ratio: 2"

    got, usual = (priors(f"{fields} face_boxes: {on}")[0, 0, 0] for on in ("true", "false"))
    assert (len(got), len(usual)) == (19, 4)
    np.testing.assert_array_equal(got[16:], usual[1:])


TWO_MAPS = """
layer { name: "image" type: "Input" top: "image" input_param { shape { dim: 1 dim: 3 dim: 64 dim: 96 } } }
layer { name: "a" type: "Pooling" bottom: "image" top: "a" pooling_param { kernel_size: 32 stride: 32 } }
layer { name: "b" type: "Pooling" bottom: "a" top: "b" pooling_param { kernel_size: 2 stride: 2 } }
%s
layer { name: "loc" type: "Concat" bottom: "flat_la" bottom: "flat_lb" top: "loc" }
layer { name: "conf" type: "Concat" bottom: "flat_ca" bottom: "flat_cb" top: "conf" }
layer { name: "prior" type: "Concat" bottom: "prior_a" bottom: "prior_b" top: "prior" concat_param { axis: 2 } }
layer { name: "found" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "found"
        detection_output_param { num_classes: 2 } }
"""


def two_maps(counts, fields):
    """A detector on the maps a and b: so many boxes a cell by its convolutions, and the fields of its PriorBox."""
    layers = ""
    for name, count, words in zip("ab", counts, fields, strict=True):
        for kind, channels in (("l", 4 * count), ("c", 2 * count)):
            blob = kind + name
            layers += f"""
layer {{ name: "{blob}" type: "Convolution" bottom: "{name}" top: "{blob}"
        convolution_param {{ num_output: {channels} kernel_size: 1 }} }}
layer {{ name: "perm_{blob}" type: "Permute" bottom: "{blob}" top: "perm_{blob}"
        permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "flat_{blob}" type: "Flatten" bottom: "perm_{blob}" top: "flat_{blob}" }}"""
        layers += f"""
layer {{ name: "prior_{name}" type: "PriorBox" bottom: "{name}" bottom: "image" top: "prior_{name}"
        prior_box_param {{ {words} }} }}"""
    return Net(text.parse(TWO_MAPS % layers, NetParameter()), TEST)


FACES = "min_size: 32 min_size: 64 min_size: 128 step: 32", "min_size: 256 step: 64"
OFFSETS = "offset_h: 0.5 offset_w: 0.5 offset_h: 1 offset_w: 0.5"
TEXTS = "min_size: 30 aspect_ratio: 2 aspect_ratio: 10 flip: false", "min_size: 60 max_size: 90"


@pytest.mark.parametrize(("counts", "fields", "added"), [
    ((21, 1), FACES, ["face_boxes: true"] * 2),
    ((3, 1), FACES, ["", ""]),
    ((6, 4), TEXTS, [f"{OFFSETS} clip: true"] * 2),
    ((6, 4), [f"{words} clip: false" for words in TEXTS], [OFFSETS] * 2),
    ((3, 2), TEXTS, ["", ""]),
])
def test_the_channels_tell_whose_boxes_they_are(counts, fields, added):
    """The boxes of SSD, FaceBoxes and TextBoxes come from like prototxts; the convolutions beside them differ."""
    net = two_maps(counts, fields)
    net.forward()

    for i, (size, count) in enumerate(zip([(2, 3), (1, 2)], counts, strict=True)):
        want = priors(f"{fields[i]} {added[i]}", *size, image=(64, 96))
        assert want.shape[3] == count
        got = net.blobs["prior_" + "ab"[i]].data.reshape(want.shape)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("counts", [(20, 1), (21, 2), (6, 2)])
def test_channels_of_nobodys_boxes_are_refused(counts):
    """Where the channels fit the boxes of no fork, the boxes are SSD's, and the error is that of any net."""
    with pytest.raises(LayerError, match=r"bottom\[0\] \(loc\) must have the shape"):
        two_maps(counts, FACES)


def test_another_map_gives_other_boxes():
    """A layer that has made the boxes of one map makes those of the next anew."""
    layer = make(PriorBoxLayer, "min_size: 20")
    bottom, top = run_forward(layer, np.zeros((2, 3, 4, 5)), np.zeros((2, 3, 70, 60)))
    bottom[0].reshape((2, 3, 2, 1))
    layer.Forward(bottom, top)

    np.testing.assert_allclose(top[0].data.reshape(2, 2, 1, 1, 4)[0], boxes_one_by_one(2, 1, (70, 60), [20], [], [], 1),
                               rtol=1e-12)


@pytest.mark.parametrize(("fields", "message"), [
    ("", "prior_box_param.min_size must be given at least once, got"),
    ("min_size: 0.5", r"prior_box_param.min_size must be at least 1 pixel, got \[0.5\]"),
    ("min_size: 5 min_size: 9 max_size: 12", r"max_size must be given once for each min_size \(2\), got \[12.0\]"),
    ("min_size: 9 max_size: 9.5", r"max_size must be larger than its min_size \[9\], got \[9.5\]"),
    ("min_size: 9 aspect_ratio: 0", "aspect_ratio must be positive"),
    ("min_size: 9 variance: 0", "variance must be positive"),
    ("min_size: 9 variance: 1 variance: 2", "variance must be given once, or once for each of the four numbers"),
    ("min_size: 9 img_size: 5 img_h: 5", "img_size cannot stand beside img_h and img_w"),
    ("min_size: 9 step: 5 step_w: 5", "step cannot stand beside step_h and step_w"),
    ("min_size: 9 img_h: 5", "img_h needs img_w beside it"),
    ("min_size: 9 step_w: 5", "step_w needs step_h beside it"),
    ("min_size: 9 offset_h: 1", r"offset_h must be given as often as offset_w \(0 times\), got \[1.0\]"),
    ("min_size: 9 step: -1", "step must be at least 0"),
])
def test_prior_box_refuses(fields, message):
    with pytest.raises(LayerError, match=rf"layer 'it' \(PriorBox\): .*{message}"):
        priors(fields)


def test_prior_box_takes_images():
    """A bottom without height and width is refused, and so is a gradient."""
    layer = make(PriorBoxLayer, "min_size: 9")
    with pytest.raises(LayerError, match=r"bottom\[1\] must have 4 axes \(N, C, H, W\), got 2: \(2, 5\)"):
        run_forward(layer, np.zeros((2, 3, 4, 5)), np.zeros((2, 5)))
    bottom, top = run_forward(layer, np.zeros((2, 3, 4, 5)), np.zeros((2, 1, 7, 6)))
    with pytest.raises(LayerError, match="has no gradient"):
        layer.Backward(top, [True, False], bottom)


# --- DetectionOutput: the same by loops --------------------------------------------------------------


def decoded(code, t, prior):
    """The corners that four numbers stand for."""
    w, h = prior[2] - prior[0], prior[3] - prior[1]
    if code == "CORNER":
        return [p + d for p, d in zip(prior, t, strict=True)]
    if code == "CORNER_SIZE":
        return [p + d * size for p, d, size in zip(prior, t, (w, h, w, h), strict=True)]
    x, y = (prior[0] + prior[2]) / 2 + t[0] * w, (prior[1] + prior[3]) / 2 + t[1] * h
    w, h = w * np.exp(t[2]), h * np.exp(t[3])
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def overlap(a, b):
    """What two boxes share, divided by what they cover."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0
    areas = [0 if c[2] < c[0] or c[3] < c[1] else (c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return w * h / (sum(areas) - w * h)


def kept_of(boxes, order, threshold, eta):
    """The indices that remain of those in `order` when boxes that overlap a better one are left out."""
    kept = []
    for i in order:
        if all(overlap(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
            if eta < 1 and threshold > 0.5:
                threshold *= eta
    return kept


def found_by_loops(loc, conf, prior, K, code="CORNER", share=True, background=0, encoded=False, least=-np.inf, top_k=-1,
                   keep_top_k=-1, threshold=0.3, eta=1.0, theta=None, arm_conf=None, arm_loc=None, objectness=0.01):
    """The rows of DetectionOutput's top, by its datasheet, with loops in float64."""
    P = prior.size // 8
    corners, variances = prior.reshape(2, P, 4)
    rows = []
    for n in range(len(loc)):
        found = []
        for c in range(K):
            if c == background:
                continue
            scores, boxes = conf[n].reshape(P, K)[:, c].copy(), []
            for p in range(P):
                v = np.ones(4) if encoded else variances[p]
                at = p if share else p * K + c
                start = corners[p]
                if arm_loc is not None:
                    start = decoded(code, arm_loc[n].reshape(-1, 4)[at] * v, start)
                boxes.append(decoded(code, loc[n].reshape(-1, 4)[at] * v, start))
                if arm_conf is not None and arm_conf[n].reshape(P, 2)[p, 1] < objectness:
                    scores[p] = 0
            order = sorted((p for p in range(P) if scores[p] > least), key=lambda p, s=scores: -s[p])
            order = order[:top_k] if top_k > -1 else order
            kept = softly_kept_by_loops(boxes, scores, order, threshold, eta, theta) if theta else kept_of(
                boxes, order, threshold, eta)
            found += [(scores[i], n, c, boxes[i]) for i in kept]
        if -1 < keep_top_k < len(found):
            best = sorted(range(len(found)), key=lambda i, f=found: -f[i][0])[:keep_top_k]
            found = [found[i] for i in sorted(best)]
        rows += [[n, c, score, *box] for score, n, c, box in found]
    return np.array(rows or [[n, *[-1] * 6] for n in range(len(loc))])


def random_boxes(draw, P):
    """Priors (1, 2, 4·P) of which some overlap, one is a point, and one is turned inside out; and variances."""
    low = draw.uniform(0, 0.6, (P, 2))
    boxes = np.concatenate([low, low + draw.uniform(0.2, 0.5, (P, 2))], axis=1)
    boxes[P // 2:P // 2 + 3] = boxes[0] + draw.uniform(-0.02, 0.02, (3, 4))
    boxes[1, 2:] = boxes[1, :2]
    boxes[2] = boxes[2, [2, 1, 0, 3]]
    return np.stack([boxes.ravel(), np.tile([0.1, 0.1, 0.2, 0.2], P)])[np.newaxis]


def softly_kept_by_loops(boxes, scores, order, threshold, eta, theta):
    """The indices that jolibrain's fork keeps, as its loop does it: a list that is sorted again and again."""
    waiting, kept = [(scores[i], i) for i in order], []
    while waiting:
        score, i = waiting[0]
        stays = True
        for k in kept:
            if not stays:
                break
            o = overlap(boxes[i], boxes[k])
            waiting = [*waiting, (score * np.exp(-o * o / theta), i)][1:]
            waiting = sorted(waiting, key=lambda entry: -entry[0])
            stays = o <= threshold
        waiting = waiting[1:]
        if stays:
            kept.append(i)
            if eta < 1 and threshold > 0.5:
                threshold *= eta
    return kept


def detect(fields, *arrays, dtype=np.float64):
    """The rows that the layer gives."""
    _, (y,) = run_forward(make(DetectionOutputLayer, fields, dtype), *arrays)
    assert y.shape[:2] == (1, 1)
    assert y.shape[3] == 7
    return y.data[0, 0]


WAYS = [  # fields in prototxt, the same for the loops
    ("", {}),
    ("code_type: CENTER_SIZE confidence_threshold: 0.4", {"code": "CENTER_SIZE", "least": np.float32(0.4)}),
    ("code_type: CORNER_SIZE keep_top_k: 7", {"code": "CORNER_SIZE", "keep_top_k": 7}),
    ("variance_encoded_in_target: true", {"encoded": True}),
    ("share_location: false code_type: CENTER_SIZE", {"share": False, "code": "CENTER_SIZE"}),
    ("share_location: false keep_top_k: 3", {"share": False, "keep_top_k": 3}),
    ("background_label_id: 2", {"background": 2}),
    ("background_label_id: -1", {"background": -1}),
    ("nms_param { nms_threshold: 0.45 top_k: 5 }", {"threshold": 0.45, "top_k": 5}),
    ("nms_param { nms_threshold: 0.9 eta: 0.7 }", {"threshold": np.float32(0.9), "eta": np.float32(0.7)}),
    ("nms_param { nms_threshold: 0 }", {"threshold": 0}),
    ("keep_top_k: 0", {"keep_top_k": 0}),
    ("confidence_threshold: 2", {"least": 2}),
    ("nms_param { top_k: 0 }", {"top_k": 0}),
    ("nms_param { soft_nms: true }", {"theta": 0.5}),
    ("nms_param { soft_nms: true theta: 0.125 nms_threshold: 0.75 eta: 0.875 top_k: 9 }", {
        "theta": 0.125, "threshold": 0.75, "eta": 0.875, "top_k": 9}),
]


@pytest.fixture(params=kernels.available_engines())
def each_engine(request):
    """Each engine, for one test."""
    before = kernels.engine()
    kernels.use_engine(request.param)
    yield request.param
    kernels.use_engine(before)


@pytest.mark.parametrize(("fields", "same"), WAYS)
@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_detections_are_those_of_the_loops(fields, same, stages, dtype, each_engine):
    """Boxes, classes and scores by chance, with ties and degenerate boxes, give what the loops give.

    The scores are rounded, so many of them are equal. Overlaps are not, so float32 keeps the same boxes.
    """
    N, P, K = 2, 11, 3
    draw = np.random.default_rng(len(fields) + stages)
    L = K if "share_location: false" in fields else 1
    prior = random_boxes(draw, P)
    loc, conf = draw.standard_normal((N, P * L * 4)), draw.uniform(0, 1, (N, P * K)).round(1)
    arms = [draw.uniform(0, 0.05, (N, P * 2)), 0.3 * draw.standard_normal((N, P * L * 4))] if stages == 2 else []
    arrays = [array.astype(np.float32) for array in (loc, conf, prior, *arms)]
    arm_words = {"arm_conf": arrays[3], "arm_loc": arrays[4]} if arms else {}
    loops = found_by_loops(*(array.astype(float) for array in arrays[:3]), K, **same, **arm_words)
    got = detect(f"num_classes: {K} {fields}", *arrays, dtype=dtype)

    assert got.shape == loops.shape
    np.testing.assert_allclose(got, loops, rtol=0, atol=2e-6)


@pytest.mark.parametrize("seed", range(40))
def test_detections_of_any_options(seed):
    """All options at once, drawn by chance: what the layer gives is what the loops give, in float64."""
    draw = np.random.default_rng(seed)
    N, P, K = (int(draw.integers(low, high)) for low, high in ((1, 4), (5, 16), (2, 5)))
    share, encoded = (bool(draw.integers(2)) for _ in range(2))
    code = str(draw.choice(["CORNER", "CORNER_SIZE", "CENTER_SIZE"]))
    same = {"share": share, "encoded": encoded, "code": code, "background": int(draw.integers(-1, K)),
            "least": float(draw.choice([-1, 0.25, 0.5, 1.0])), "top_k": int(draw.choice([-1, 1, P - 2])),
            "keep_top_k": int(draw.choice([-1, 1, 4, 100])), "threshold": float(draw.choice([0, 0.25, 0.75, 1])),
            "eta": float(draw.choice([1, 0.5, 0.875])), "theta": float(draw.choice([0, 0, 0.25]))}
    names = {"share": "share_location", "encoded": "variance_encoded_in_target", "code": "code_type",
             "background": "background_label_id", "least": "confidence_threshold", "keep_top_k": "keep_top_k"}
    fields = f"num_classes: {K} " + " ".join(f"{names[key]}: {str(same[key]).lower() if key != 'code' else code}"
                                             for key in names)
    soft = f"soft_nms: true theta: {same['theta']}" if same["theta"] else ""
    fields += f" nms_param {{ nms_threshold: {same['threshold']} top_k: {same['top_k']} eta: {same['eta']} {soft} }}"
    boxes = P * 4 * (1 if share else K)
    arrays = [0.5 * draw.standard_normal((N, boxes)), draw.uniform(0, 1, (N, P * K)).round(1), random_boxes(draw, P)]
    arms = [draw.uniform(0, 0.05, (N, P * 2)), 0.3 * draw.standard_normal((N, boxes))][:int(draw.integers(3))]
    if arms:
        same["objectness"] = 0.03125
        fields += " objectness_score: 0.03125"
    want = found_by_loops(*arrays, K, **same, **dict(zip(("arm_conf", "arm_loc"), arms, strict=False)))
    got = detect(fields, *arrays, *arms)

    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_detections_by_hand():
    """Of two boxes that overlap by 0.6 the better one is kept; the third is moved by its numbers times the variance."""
    prior = [[[0.1, 0.1, 0.5, 0.5, 0.2, 0.1, 0.6, 0.5, 0.6, 0.6, 0.9, 0.9], [0.1] * 12]]
    t, conf = [[0.0] * 8 + [1, 0, 1, 0]], [[0.1, 0.9, 0.2, 0.8, 0.4, 0.6]]
    fields = "num_classes: 2 nms_param { nms_threshold: %s }"

    np.testing.assert_allclose(detect(fields % 0.59, t, conf, prior), [
        [0, 1, 0.9, 0.1, 0.1, 0.5, 0.5], [0, 1, 0.6, 0.7, 0.6, 1.0, 0.9]], rtol=1e-7)
    assert len(detect(fields % 0.61, t, conf, prior)) == 3


SQUARES = [[[x, 0, x + 10, 10] for x in (0, 4, 20, 26)], [[1] * 4] * 4]  # their corners, and variances


@pytest.mark.parametrize(("threshold", "kept"), [
    # The second box overlaps the first by 6 / 14, and goes back to the end with 0.8 · exp(−(3 / 7)² / 0.5) = 0.554. At
    # the end of its turn the third box is at the front, and is lost. The fourth overlaps nothing that stays.
    (0.3, [0.9, 0.6]),
    # The second box stays, too, although it also goes back to the end, and the third is lost as before. When the second
    # one comes up again, it overlaps itself.
    (0.5, [0.9, 0.8, 0.6]),
])
def test_soft_suppression_by_hand(threshold, kept):
    """Boxes of 10 by 10 at 0, 4, 20 and 26 with the scores 0.9 to 0.6; those that are put out are not lowered."""
    conf = [[0, 0.9, 0, 0.8, 0, 0.7, 0, 0.6]]
    fields = f"num_classes: 2 nms_param {{ soft_nms: true nms_threshold: {threshold} }}"

    got = detect(fields, np.zeros((1, 16)), conf, np.reshape(SQUARES, (1, 2, 16)))
    np.testing.assert_allclose(got[:, 2], kept, rtol=1e-12)


def test_logits_by_hand():
    """The second top has, for a box of class c, the logits of class c for the first priors, as jolibrain's code has."""
    prior = np.reshape(SQUARES, (1, 2, 16))
    conf, logits = np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7]]), np.arange(8.0)
    layer = make(DetectionOutputLayer, "num_classes: 2 output_logits: true confidence_threshold: 0.5")
    bottom, top = run_forward(layer, np.zeros((1, 16)), conf.reshape(1, 8), prior, logits.reshape(1, 8), tops=2)

    np.testing.assert_array_equal(top[0].data[0, 0, :, 2], [0.9, 0.7])
    np.testing.assert_array_equal(top[1].data, [[[[1, 3], [1, 3]]]])  # priors 0 and 1, class 1
    bottom[1].data[...] = 0
    layer.Forward(bottom, top)
    np.testing.assert_array_equal(top[1].data, [[[[0, -1]]]])


def test_logits_of_two_stages_are_the_last_bottom():
    """With bottoms 3 and 4 of a first stage the boxes are those of the net without logits."""
    draw = np.random.default_rng(6)
    stages = [draw.standard_normal((2, 28)), draw.uniform(0, 1, (2, 21)), random_boxes(draw, 7),
              draw.uniform(0, 0.05, (2, 14)), draw.standard_normal((2, 28))]
    logits = draw.standard_normal((2, 21))
    want = detect("num_classes: 3", *stages)
    _, (y, z) = run_forward(make(DetectionOutputLayer, "num_classes: 3 output_logits: true"), *stages, logits, tops=2)

    np.testing.assert_array_equal(y.data[0, 0], want)
    n, c = want[:, :2].astype(int).T
    np.testing.assert_array_equal(z.data[0, 0], logits.reshape(2, 7, 3)[n, :3, c])


def test_logits_need_a_prior_for_each_class():
    """The fork reads other memory there."""
    layer = make(DetectionOutputLayer, "num_classes: 5 output_logits: true")
    with pytest.raises(LayerError, match="output_logits needs 5 priors, as many as there are classes, got 4"):
        run_forward(layer, np.zeros((1, 16)), np.zeros((1, 20)), np.reshape(SQUARES, (1, 2, 16)), np.zeros((1, 20)),
                    tops=2)


def test_the_picture_of_a_visualization_is_not_read():
    """SSD's own fourth bottom has four axes, and changes nothing."""
    draw = np.random.default_rng(6)
    three = draw.standard_normal((2, 28)), draw.uniform(0, 1, (2, 21)), random_boxes(draw, 7)

    np.testing.assert_array_equal(detect("num_classes: 3", *three, np.zeros((2, 3, 9, 8))),
                                  detect("num_classes: 3", *three))


@pytest.mark.parametrize(("code", "t", "box"), [
    ("CORNER", [1, 2, 3, 4], [2.1, 2.2, 6.6, 4.8]),
    ("CORNER_SIZE", [1, 2, 3, 4], [2 + 0.1 * 4, 2 + 0.2 * 2, 6 + 0.6 * 4, 4 + 0.8 * 2]),
    # centre (4, 3) + (0.1 · 4, 0.2 · 2), size (4 · e^0, 2 · e^ln 2)
    ("CENTER_SIZE", [1, 2, 0, 5 * np.log(2)], [4.4 - 2, 3.4 - 2, 4.4 + 2, 3.4 + 2]),
])
def test_code_types_by_hand(code, t, box):
    """A prior from (2, 2) to (6, 4) with the variances 0.1, 0.1, 0.2, 0.2."""
    prior = [[[2, 2, 6, 4], [0.1, 0.1, 0.2, 0.2]]]
    fields = f"num_classes: 2 code_type: {code}"
    np.testing.assert_allclose(detect(fields, [t], [[0, 1]], prior), [[0, 1, 1, *box]], rtol=1e-12)

    scaled = np.array(t) * prior[0][1]
    np.testing.assert_allclose(detect(fields + " variance_encoded_in_target: true", [scaled], [[0, 1]], prior),
                               [[0, 1, 1, *box]], rtol=1e-12)


def test_a_row_an_image_says_that_nothing_was_found():
    """Without any box there is a row for each image; with a box in one image there is none for the others."""
    prior = random_boxes(np.random.default_rng(1), 5)
    conf = np.zeros((3, 10))
    fields = "num_classes: 2 confidence_threshold: 0.5"
    np.testing.assert_array_equal(detect(fields, np.zeros((3, 20)), conf, prior), [[n, *[-1] * 6] for n in range(3)])
    conf[1, 7] = 0.6

    assert [[1, 1]] == detect(fields, np.zeros((3, 20)), conf, prior)[:, :2].tolist()


def test_the_top_has_a_new_size_each_pass():
    """Before the first pass the top has one row, then as many as there are boxes; Reshape keeps what the pass gave."""
    layer = make(DetectionOutputLayer, "num_classes: 2 confidence_threshold: 0.5")
    prior = random_boxes(np.random.default_rng(1), 5)
    conf = np.zeros((1, 10))
    conf[0, [1, 3]] = 0.8, 0.7
    bottom, top = run_forward(layer, np.zeros((1, 20)), conf, prior)
    assert top[0].shape == (1, 1, 2, 7)
    layer.Reshape(bottom, top)
    assert top[0].shape == (1, 1, 2, 7)
    bottom[1].data[...] = 0
    layer.Forward(bottom, top)

    assert top[0].shape == (1, 1, 1, 7)
    np.testing.assert_array_equal(top[0].data.ravel(), [0, *[-1] * 6])


def test_scores_that_are_no_numbers_are_left_out():
    """NaN is above no threshold, not even where none is given."""
    conf = np.full((1, 10), np.nan)
    conf[0, 3] = 0.5

    assert len(detect("num_classes: 2", np.zeros((1, 20)), conf, random_boxes(np.random.default_rng(1), 5))) == 1


def test_first_stage_that_rates_nothing_changes_nothing():
    """RefineDet's further bottoms, with scores above objectness_score and boxes that do not move, change nothing."""
    draw = np.random.default_rng(4)
    three = draw.standard_normal((2, 28)), draw.uniform(0, 1, (2, 21)), random_boxes(draw, 7)
    fields = "num_classes: 3 code_type: CENTER_SIZE"
    want = detect(fields, *three)

    np.testing.assert_allclose(detect(fields, *three, np.ones((2, 14)), np.zeros((2, 28))), want, rtol=1e-12)
    np.testing.assert_allclose(detect(fields, *three, np.ones((2, 14))), want, rtol=1e-12)
    rows = detect(fields + " objectness_score: 2 confidence_threshold: 0", *three, np.ones((2, 14)))
    np.testing.assert_array_equal(rows, [[n, *[-1] * 6] for n in range(2)])


def test_what_an_untrained_net_gives_is_no_error():
    """exp of a large number is infinity: the box has no end, and there is no warning."""
    loc = np.array([[0, 0, 1e6, 1e6]])

    assert np.isinf(detect("num_classes: 2 code_type: CENTER_SIZE", loc, [[0, 1]], [[[0, 0, 1, 1], [1] * 4]])).any()


@pytest.mark.parametrize(("fields", "message"), [
    ("", "detection_output_param.num_classes must be given, with the background as one of the classes, got 0"),
    ("num_classes: 3 nms_param { nms_threshold: -1 }", "nms_param.nms_threshold must be at least 0, got -1.0"),
    ("num_classes: 3 nms_param { eta: 0 }", "nms_param.eta must be above 0, and at most 1, got 0.0"),
    ("num_classes: 3 nms_param { eta: 1.5 }", "nms_param.eta must be above 0, and at most 1, got 1.5"),
    ("num_classes: 3 nms_param { soft_nms: true theta: 0 }", "nms_param.theta must be positive, got 0.0"),
    ("num_classes: 3 output_logits: true", "takes 4 or 6 bottoms and 2 tops where output_logits is true, got 3 and 1"),
    ("num_classes: 4", r"bottom\[1\] \(conf\) must have the shape \(2, 28\) for 7 priors, got \(2, 21\)\n"
                       ".*the scores are of 3 classes, but num_classes is 4"),
    ("num_classes: 3 share_location: false", r"bottom\[0\] \(loc\) must have the shape \(2, 84\) for 7 priors, "
                                             r"got \(2, 28\)\n.*set share_location: true"),
])
def test_detection_output_refuses(fields, message):
    draw = np.random.default_rng(4)
    with pytest.raises(LayerError, match=rf"(?s)layer 'it' \(DetectionOutput\): .*{message}"):
        detect(fields, draw.standard_normal((2, 28)), draw.uniform(0, 1, (2, 21)), random_boxes(draw, 7))


def test_detection_output_refuses_what_does_not_fit():
    """Priors of another shape, a first stage of another size, and a gradient."""
    three = np.zeros((2, 28)), np.zeros((2, 21)), np.zeros((1, 2, 28))
    with pytest.raises(LayerError, match=r"bottom\[2\], the priors, must have the shape \(1, 2, 4·P\), got \(2, 28\)"):
        detect("num_classes: 3", *three[:2], three[2][0])
    with pytest.raises(LayerError, match=r"bottom\[3\] \(arm_conf\) must have the shape \(2, 14\) for 7 priors, got"):
        detect("num_classes: 3", *three, np.zeros((2, 7)))
    layer = make(DetectionOutputLayer, "num_classes: 3")
    bottom, top = run_forward(layer, *three)
    with pytest.raises(LayerError, match="has no gradient"):
        layer.Backward(top, [False, True, False], bottom)


def test_a_picture_as_the_fourth_bottom_is_not_read():
    """SSD's nets that show what they find give the picture as the fourth bottom; RefineDet's has numbers there."""
    draw = np.random.default_rng(4)
    three = draw.standard_normal((2, 28)), draw.uniform(0, 1, (2, 21)), random_boxes(draw, 7)

    np.testing.assert_array_equal(detect("num_classes: 3", *three, np.full((2, 3, 9, 8), np.nan)),
                                  detect("num_classes: 3", *three))
    rated = draw.uniform(0, 0.02, (2, 14))
    np.testing.assert_array_equal(detect("num_classes: 3", *three, rated.reshape(2, 14, 1, 1)),
                                  detect("num_classes: 3", *three, rated))


def test_fields_without_effect_are_warned_of(caplog):
    """Files that would be written, and numbers of what is not switched on."""
    with caplog.at_level(logging.WARNING):
        detect('num_classes: 3 objectness_score: 0.5 save_output_param { output_directory: "out" } '
               "nms_param { theta: 1 }", np.zeros((2, 28)), np.zeros((2, 21)), np.zeros((1, 2, 28)))

    for field in ("objectness_score", "save_output_param", "nms_param.theta"):
        assert f"detection_output_param.{field} has no effect" in caplog.text


SSD = """
layer { name: "image" type: "Input" top: "image" input_param { shape { dim: 2 dim: 3 dim: 24 dim: 32 } } }
layer { name: "map" type: "Convolution" bottom: "image" top: "map" convolution_param { num_output: 5 kernel_size: 4
        stride: 8 weight_filler { type: "gaussian" std: 0.2 } } }
layer { name: "norm" type: "Normalize" bottom: "map" top: "norm" norm_param { across_spatial: false } }
layer { name: "l" type: "Convolution" bottom: "norm" top: "l" convolution_param { num_output: 12 kernel_size: 1
        weight_filler { type: "gaussian" std: 1 } } }
layer { name: "lp" type: "Permute" bottom: "l" top: "lp" permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "loc" type: "Flatten" bottom: "lp" top: "loc" }
layer { name: "c" type: "Convolution" bottom: "norm" top: "c" convolution_param { num_output: 9 kernel_size: 1
        weight_filler { type: "gaussian" std: 1 } } }
layer { name: "cp" type: "Permute" bottom: "c" top: "cp" permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "cr" type: "Reshape" bottom: "cp" top: "cr" reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "cs" type: "Softmax" bottom: "cr" top: "cs" softmax_param { axis: 2 } }
layer { name: "conf" type: "Flatten" bottom: "cs" top: "conf" }
layer { name: "prior" type: "PriorBox" bottom: "norm" bottom: "image" top: "prior"
        prior_box_param { min_size: 8 aspect_ratio: 2 variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }
layer { name: "found" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "found"
        detection_output_param { num_classes: 3 code_type: CENTER_SIZE confidence_threshold: 0.6 keep_top_k: 9
        nms_param { nms_threshold: 0.45 } } }
"""


def test_a_small_detector_end_to_end(each_engine):
    """A whole net gives, pass after pass, what the loops give for its boxes and scores, also when it is replayed."""
    net = Net(text.parse(SSD, NetParameter()), TEST)
    sizes = set()
    for seed in range(4):
        net.blobs["image"].data[...] = normal(2, 3, 24, 32, seed=seed)
        net.forward()
        loc, conf, prior = (net.blobs[name].data.astype(float) for name in ("loc", "conf", "prior"))
        want = found_by_loops(loc, conf, prior, 3, code="CENTER_SIZE", least=np.float32(0.6), keep_top_k=9,
                              threshold=0.45)
        sizes.add(len(want))

        np.testing.assert_allclose(net.blobs["found"].data[0, 0], want, rtol=0, atol=1e-5)
    assert len(sizes) > 1


# What OpenCV 4.14's module dnn found with these weights and this image. OpenCV 5 no longer reads Caffe's nets.
FOUND_BY_OPENCV = [  # image, class, score, and the corners
    [0, 2, 0.831588, 0.530083, 0.501178, 0.722253, 1.005857],
    [0, 2, 0.76512, 0.696957, 0.358021, 0.976821, 0.621986],
    [0, 1, 0.704632, -0.054992, -0.006271, 0.331799, 0.263229],
    [0, 2, 0.660061, -0.160343, 0.381653, 0.324995, 0.650737],
    [0, 1, 0.646974, 0.058274, 0.065759, 0.200729, 0.810393],
    [0, 2, 0.611093, 0.809308, 0.344625, 0.988799, 0.768248],
    [1, 1, 0.917503, 0.737503, 0.68978, 1.047713, 0.921851],
    [1, 1, 0.796211, -0.073917, 0.659383, 0.349554, 1.031153],
    [1, 1, 0.776274, 0.178516, 0.000835, 0.530663, 0.220821],
    [1, 2, 0.774607, 0.112736, 0.402915, 0.513958, 0.556533],
    [1, 2, 0.76429, -0.075286, 0.436063, 0.299763, 0.61845],
    [1, 2, 0.762865, 0.201373, 0.311895, 0.539412, 0.603422],
    [1, 2, 0.721784, 0.692705, 0.372497, 0.995226, 0.659626],
    [1, 1, 0.70343, 0.028503, 0.525165, 0.181352, 1.074536],
    [1, 2, 0.67431, 0.488678, 0.6547, 0.756069, 0.932807],
]


def test_a_small_detector_against_opencv():
    """OpenCV's module dnn found the same boxes, in another order."""
    net = Net(text.parse(SSD, NetParameter()), TEST)
    net.blobs["image"].data[...] = normal(2, 3, 24, 32)
    net.forward()

    rows = net.blobs["found"].data[0, 0]
    np.testing.assert_allclose(rows[np.lexsort((-rows[:, 2], rows[:, 0]))], FOUND_BY_OPENCV, rtol=0, atol=1e-5)
