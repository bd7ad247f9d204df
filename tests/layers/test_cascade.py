"""BoxGroupOutput, DecodeBBox, FrcnnOutput and ScaleRoute: by hand, against loops in float64, odd inputs, errors."""

import re

import numpy as np
import pytest
from run_layer import run_forward

from minicaffe.errors import LayerError
from minicaffe.layers import BoxGroupOutputLayer, DecodeBBoxLayer, FrcnnOutputLayer, ScaleRouteLayer
from minicaffe.proto import TEST, TRAIN

SPREAD = {"bbox_mean": [0.1, -0.1, 0.2, 0], "bbox_std": [0.1, 0.2, 0.3, 0.4]}
KINDS = pytest.mark.parametrize("kind", ["IOU", "IOMU", "IOFU"])


def box_group_output(bbox_reg=None, dtype=np.float64, **fields):
    """A BoxGroupOutput layer with one anchor of 4 × 4 pixels, 4 pixels from cell to cell, and these parameters."""
    given = {"box_group_param": [{"stride": 4, "field_w": [4], "field_h": [4]}], "min_size": 1}
    return BoxGroupOutputLayer(dtype=dtype, box_group_output_param=given | fields, bbox_reg_param=bbox_reg or {})


def decode_bbox(phase=TEST, bbox_reg=None, **fields):
    """A DecodeBBox layer in float64."""
    return DecodeBBoxLayer(dtype=np.float64, phase=phase, decode_bbox_param=fields, bbox_reg_param=bbox_reg or {})


def frcnn_output(bbox_reg=None, **fields):
    """A FrcnnOutput layer in float64."""
    return FrcnnOutputLayer(dtype=np.float64, frcnn_output_param=fields, bbox_reg_param=bbox_reg or {})


def scale_route(**fields):
    """A ScaleRoute layer in float64."""
    return ScaleRouteLayer(dtype=np.float64, scale_route_param=fields)


def area(box):
    """Pixels of a box; none where the far corner lies before the near one."""
    x1, y1, x2, y2 = box
    return 0 if x2 < x1 or y2 < y1 else (x2 - x1 + 1) * (y2 - y1 + 1)


def overlap(a, b, kind):
    """How much boxes a and b share, as a part of both, of the smaller one, or of a."""
    x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    shared = 0 if x1 > x2 or y1 >= y2 else (x2 - x1 + 1) * (y2 - y1 + 1)
    whole = {"IOU": area(a) + area(b) - shared, "IOMU": min(area(a), area(b)), "IOFU": area(a)}[kind]
    return shared / whole if area(a) and area(b) else 0


def suppressed(boxes, threshold, kind):
    """Of (score, x1, y1, x2, y2), the best first, those that no better one overlaps too much."""
    kept = []
    for box in boxes:
        if not any(overlap(other[1:5], box[1:5], kind) > threshold for other in kept):
            kept.append(box)
    return kept


def decoded(d, box):
    """The box that four numbers make of a box."""
    x1, y1, x2, y2 = box
    d = np.array(d) * SPREAD["bbox_std"] + SPREAD["bbox_mean"]
    w, h = (x2 - x1 + 1) * np.exp(d[2]), (y2 - y1 + 1) * np.exp(d[3])
    x, y = (x1 + x2) / 2 + d[0] * (x2 - x1 + 1), (y1 + y2) / 2 + d[1] * (y2 - y1 + 1)
    return [x - (w - 1) / 2, y - (h - 1) / 2, x + (w - 1) / 2, y + (h - 1) / 2]


def clipped(box, width, height):
    return [max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)]


def proposals(maps, groups, N, p):
    """The rows (n, x1, y1, x2, y2, score) of BoxGroupOutput, box by box."""
    rows = []
    for n in range(N):
        boxes = []
        for (scores, t), group in zip(maps, groups, strict=True):
            G, (_, _, H, W) = len(group["field_w"]), t.shape
            for k, i, j in np.ndindex(G, H, W):
                d = t[n * G + k, :, i, j] * SPREAD["bbox_std"] + SPREAD["bbox_mean"]
                limits = [1 / p["field_xyr"]] * 2 + [np.log(p["field_whr"])] * 2
                dx, dy, dw, dh = (min(max(v, -limit), limit) for v, limit in zip(d, limits, strict=True))
                fw, fh, s = group["field_w"][k], group["field_h"][k], group["stride"]
                w, h = fw * np.exp(dw), fh * np.exp(dh)
                x1, y1 = (j + 0.5) * s + dx * fw - w / 2, (i + 0.5) * s + dy * fh - h / 2
                box = clipped([x1, y1, x1 + w - 1, y1 + h - 1], W * s, H * s)
                score = 1 - scores[n * G + k, 0, i, j]
                if score >= p["fg_thr"] and min(box[2] - box[0], box[3] - box[1]) + 1 >= p["min_size"]:
                    boxes.append((score, *box))
        boxes = sorted(boxes, key=lambda box: -box[0])[:p["max_nms_num"] or None]
        for score, *box in suppressed(boxes, p["iou_thr"], p["nms_type"])[:p["max_post_nms_num"] or None]:
            rows.append([n, *box, score])
    return rows


def detections(prob, t, roi, size, by_class, p):
    """The rows (0, x1, y1, x2, y2, class, score) of FrcnnOutput, box by box, without the first row."""
    found = []
    for c in range(1, prob.shape[1]):
        first = 4 * (c if by_class else 1)
        boxes = [(prob[r, c], *clipped(decoded(t[r, first:first + 4], roi[r, 1:5]), size[1], size[0]))
                 for r in range(len(roi)) if prob[r, c] >= p["conf_thr"]]
        boxes = suppressed(sorted(boxes, key=lambda box: -box[0]), p["iou_thr"], p["nms_type"])
        found += [[0, *box, c, score] for score, *box in boxes]
    if p["max_det_num"]:
        least = sorted(found, key=lambda row: -row[6])[:p["max_det_num"]]
        found = [row for row in found if row in least]
    return found


class TestBoxGroupOutput:
    def test_by_hand(self):
        """The first box is moved by 1 pixel, the third onto the second, which has the lower score and goes."""
        p, t = np.array([[[[0.1, 0.3, 0.2]]]]), np.zeros((1, 4, 1, 3))
        t[0, 0, 0] = 0.25, 0, -1
        _, top = run_forward(box_group_output(field_xyr=1), p, t, tops=2)

        assert top[0].shape == (2, 5, 1, 1)
        np.testing.assert_allclose(top[1].data[..., 0, 0], [[0, 1, 0, 4, 3, 0.9], [0, 4, 0, 7, 3, 0.8]], atol=1e-12)
        np.testing.assert_array_equal(top[0].data, top[1].data[:, :5])

    @KINDS
    @pytest.mark.parametrize("most", [(0, 0), (40, 5), (200, 0)])
    def test_against_loops(self, kind, most):
        """Two maps, three and two anchors, two images, with equal scores and boxes that end beyond the image."""
        draw = np.random.default_rng(len(kind) + most[0])
        groups = [{"stride": 8, "field_w": [8, 20, 31], "field_h": [30, 9, 12]},
                  {"stride": 16, "field_w": [40, 22], "field_h": [25, 60]}]
        maps = [(np.round(draw.random((2 * G, 3, H, W)), 1), draw.standard_normal((2 * G, 4, H, W)))
                for G, H, W in ((3, 7, 5), (2, 4, 3))]
        fields = {"fg_thr": 0.25, "iou_thr": 0.375, "nms_type": kind, "field_whr": 2, "field_xyr": 3,
                  "max_nms_num": most[0], "max_post_nms_num": most[1], "min_size": 11}
        layer = box_group_output(SPREAD, box_group_param=groups, **fields)
        _, top = run_forward(layer, *(array for pair in maps for array in pair), tops=2)
        rows = proposals(maps, groups, 2, fields)

        assert len({row[0] for row in rows}) == 2
        np.testing.assert_allclose(top[1].data[..., 0, 0], rows, rtol=1e-5, atol=1e-5)

    def test_nothing_found(self):
        """A region stands in for none, and the second top has one row of 0."""
        layer = box_group_output(fg_thr=0.5)
        _, top = run_forward(layer, np.full((2, 3, 1, 2), 0.9), np.zeros((2, 4, 1, 2)), tops=2)

        np.testing.assert_array_equal(top[0].data[..., 0, 0], [[0, 1, 1, 10, 10]])
        np.testing.assert_array_equal(top[1].data[..., 0, 0], [[0] * 6])

    def test_one_image_of_two_has_nothing(self):
        p = np.array([0.9, 0.1]).reshape(2, 1, 1, 1)
        _, top = run_forward(box_group_output(fg_thr=0.5), p, np.zeros((2, 4, 1, 1)))

        np.testing.assert_array_equal(top[0].data[..., 0, 0], [[1, 0, 0, 3, 3]])

    def test_small_boxes_and_thresholds_are_inclusive(self):
        """A box of 4 pixels is as large as min_size 4, and a score of 0.5 is as high as fg_thr."""
        arrays = np.full((1, 1, 1, 1), 0.5), np.zeros((1, 4, 1, 1))
        for least, threshold, found in ((4, 0.5, 3), (4.5, 0.5, 10), (4, 0.51, 10)):
            _, top = run_forward(box_group_output(min_size=least, fg_thr=threshold), *arrays)
            assert top[0].data[0, 3, 0, 0] == found

    def test_a_nan_counts_as_the_lowest_number(self):
        """A NaN score is no object. A NaN shift is the smallest that there may be."""
        p, t = np.array([[[[np.nan, 0.5]]]]), np.zeros((1, 4, 1, 2))
        t[0, 0, 0, 1] = np.nan
        _, top = run_forward(box_group_output(), p, t)

        np.testing.assert_array_equal(top[0].data[..., 0, 0], [[0, 2, 0, 5, 3]])

    def test_boxes_that_share_one_row_share_nothing(self):
        """One column of pixels counts, one row does not."""
        groups = [{"stride": 2, "field_w": [3], "field_h": [3]}]
        layer = box_group_output(box_group_param=groups, iou_thr=0.1, field_xyr=1)
        beside = run_forward(layer, np.array([[[[0.1, 0.2]]]]), np.zeros((1, 4, 1, 2)))[1][0]
        layer = box_group_output(box_group_param=groups, iou_thr=0.1, field_xyr=1)
        below = run_forward(layer, np.array([[[[0.1], [0.2]]]]), np.zeros((1, 4, 2, 1)))[1][0]

        assert [beside.shape[0], below.shape[0]] == [1, 2]

    @pytest.mark.parametrize("spread", [{}, {"bbox_mean": [0, 0, 0, 0]}, {"bbox_std": [2, 2, 2, 2]}])
    def test_mean_and_std_count_only_together(self, spread, caplog):
        t = np.zeros((1, 4, 1, 1))
        t[0, 2] = np.log(1.5)
        _, top = run_forward(box_group_output(spread), np.full((1, 1, 1, 1), 0.5), t)

        assert ("has no effect: bbox_mean and bbox_std must both be given" in caplog.text) == bool(spread)
        np.testing.assert_allclose(top[0].data[0, 1:4:2, 0, 0], [0, 4])

    def test_another_kind_counts_as_iou(self, caplog):
        run_forward(box_group_output(nms_type="iou"), np.full((1, 1, 1, 1), 0.5), np.zeros((1, 4, 1, 1)))

        assert "nms_type is none of IOU, IOMU, IOFU, and counts as IOU" in caplog.text

    @pytest.mark.parametrize(("fields", "shapes", "words"), [
        ({}, [(2, 2, 3, 4), (2, 4, 3, 4)] * 2, "must have two bottoms for each box_group_param"),
        ({"box_group_param": [{"stride": 4, "field_w": [4, 5], "field_h": [4]}]}, [(2, 2, 3, 4), (2, 4, 3, 4)],
         "box_group_param[0] must have equally many field_w and field_h"),
        ({"box_group_param": [{"field_w": [4], "field_h": [4]}]}, [(2, 2, 3, 4), (2, 4, 3, 4)],
         "box_group_param[0].stride must be positive, got 0"),
        ({"box_group_param": [{"stride": 2, "field_w": [4, 5], "field_h": [4, 6]}]}, [(3, 2, 5, 4), (3, 4, 5, 4)],
         "bottom[0], the scores, must be (N·2, K, H, W) for 2 anchors, got (3, 2, 5, 4)"),
        ({}, [(2, 5, 3, 4), (2, 4, 4, 3)], "bottom[1], the boxes, must be (2, 4, 3, 4) for scores (2, 5, 3, 4)"),
        ({}, [(2, 5), (2, 4, 4, 3)], "bottom[0], the scores, must be (N·1, K, H, W)"),
        ({"field_whr": 0}, [(2, 2, 3, 4), (2, 4, 3, 4)], "field_whr must be positive"),
        ({"iou_thr": -0.5}, [(2, 2, 3, 4), (2, 4, 3, 4)], "iou_thr must not be negative"),
    ])
    def test_errors(self, fields, shapes, words):
        with pytest.raises(LayerError, match=re.escape(words)):
            run_forward(box_group_output(**fields), *map(np.zeros, shapes))


class TestDecodeBBox:
    def test_by_hand(self):
        """The region is 4 wide and 2 high. It moves by 0.5 · 4 to the right, and becomes twice as high."""
        t, roi = [[9, 9, 9, 9, 0.5, 0, 0, np.log(2)]], [[1, 2, 3, 5, 4]]
        _, top = run_forward(decode_bbox(), t, roi)

        assert top[0].shape == (1, 5, 1, 1)
        np.testing.assert_allclose(top[0].data[..., 0, 0], [[1, 4, 2, 7, 5]])

    def test_against_loops(self):
        """At TEST all regions stay, also those without size."""
        draw = np.random.default_rng(4)
        t, roi = draw.standard_normal((9, 8)), np.column_stack([draw.integers(3, size=9), draw.uniform(0, 50, (9, 4))])
        roi[4, 1:] = 7
        _, top = run_forward(decode_bbox(bbox_reg=SPREAD), t, roi)

        wanted = [[row[0], *decoded(numbers[4:], row[1:])] for row, numbers in zip(roi, t, strict=True)]
        np.testing.assert_allclose(top[0].data[..., 0, 0], wanted, rtol=1e-5, atol=1e-5)

    def test_training_leaves_regions_out(self):
        """One has no size, and one lies on its object as well as gt_iou_thr."""
        roi = np.array([[0, 2, 3, 5, 4], [0, 7, 3, 5, 4], [1, 1, 1, 6, 8]])
        g = np.array([[0, 0.5], [0, 0], [0, 0.75]])
        kept = [run_forward(decode_bbox(phase, **fields), np.zeros((3, 8)), roi, *more)[1][0].data[:, 0, 0, 0].tolist()
                for phase, fields, more in ((TEST, {}, []), (TRAIN, {}, []), (TRAIN, {"gt_iou_thr": 0.75}, [g]))]

        assert kept == [[0, 0, 1], [0, 1], [0]]

    @pytest.mark.parametrize(("phase", "arrays", "words"), [
        (TEST, [np.zeros((3, 7)), np.zeros((3, 5))], "bottom[0] must have the shape (3, 8), got (3, 7)"),
        (TEST, [np.zeros((3, 8)), np.zeros((4, 5))], "bottom[1] must have the shape (3, 5), got (4, 5)"),
        (TEST, [np.zeros((3, 8)), np.zeros((3, 5)), np.zeros((3, 2))], "a third bottom"),
        (TRAIN, [np.zeros((3, 8)), np.zeros((3, 5)), np.zeros((2, 3))], "a row for each of 3 regions, got (2, 3)"),
        (TRAIN, [np.zeros((1, 8)), [[0, 5, 5, 1, 1]]], "none of the 1 regions is left to train with"),
    ])
    def test_errors(self, phase, arrays, words):
        with pytest.raises(LayerError, match=re.escape(words)):
            run_forward(decode_bbox(phase), *arrays)

    @pytest.mark.parametrize(("spread", "words"), [
        ({"bbox_mean": [0] * 4, "bbox_std": [1, 1, 0, 1]}, "bbox_reg_param.bbox_std must be positive"),
        ({"bbox_mean": [0] * 3, "bbox_std": [1] * 4}, "bbox_reg_param.bbox_mean must be given four times"),
    ])
    def test_errors_of_mean_and_std(self, spread, words):
        with pytest.raises(LayerError, match=re.escape(words)):
            run_forward(decode_bbox(bbox_reg=spread), np.zeros((3, 8)), np.zeros((3, 5)))


class TestFrcnnOutput:
    def test_by_hand(self):
        """Of two boxes of class 1 at nearly one place the better one stays. The third is cut at the image's end."""
        roi = [[0, 0, 0, 3, 3], [0, 0, 0, 3, 4], [0, 8, 8, 20, 20]]
        prob = [[0.3, 0.7, 0], [0.2, 0.8, 0], [0.1, 0, 0.9]]
        _, top = run_forward(frcnn_output(conf_thr=0.5), prob, np.zeros((3, 12)), roi, [[10, 15]])

        assert top[0].shape == (3, 7, 1, 1)
        np.testing.assert_allclose(top[0].data[..., 0, 0], [[0, -1, -1, -1, -1, -1, -1], [0, 0, 0, 3, 4, 1, 0.8],
                                                            [0, 8, 8, 15, 10, 2, 0.9]])

    @KINDS
    @pytest.mark.parametrize("by_class", [True, False])
    @pytest.mark.parametrize("most", [0, 7])
    def test_against_loops(self, kind, by_class, most):
        """Equal scores, regions of one pixel and partly outside the image, six numbers a region."""
        draw = np.random.default_rng([len(kind), by_class, most])
        corners = np.sort(draw.uniform(-5, 60, (25, 2, 2)), axis=1).reshape(25, 4)
        corners[3:6] = corners[3, [0, 1, 0, 1]]
        roi = np.column_stack([np.zeros(25), corners, draw.random(25)])
        prob = np.round(draw.random((25, 4)), 1 if most == 0 else 9)
        t = draw.standard_normal((25, 16 if by_class else 8))
        fields = {"conf_thr": 0.25, "iou_thr": 0.375, "nms_type": kind, "max_det_num": most}
        _, top = run_forward(frcnn_output({"cls_aware": by_class} | SPREAD, **fields), prob, t, roi, [[40, 50]])
        rows = detections(prob, t, roi, (40, 50), by_class, fields)

        assert len(rows) == most or most == 0
        np.testing.assert_allclose(top[0].data[1:, :, 0, 0], rows, rtol=1e-5, atol=1e-5)

    def test_nothing_found(self):
        _, top = run_forward(frcnn_output(conf_thr=0.9), np.full((3, 2), 0.5), np.zeros((3, 8)), [[0, 1, 1, 2, 2]] * 3,
                             [[10, 15]])

        np.testing.assert_array_equal(top[0].data[..., 0, 0], [[0, -1, -1, -1, -1, -1, -1]])

    def test_a_region_of_less_than_a_pixel(self):
        """Caffe ends with an error: a former stage may have put it out."""
        _, top = run_forward(frcnn_output(), [[0, 1]], np.zeros((1, 8)), [[0, 3, 3, 2.5, 4]], [[10, 15]])

        np.testing.assert_allclose(top[0].data[1, 1:5, 0, 0], [3, 3, 2.5, 4])

    @pytest.mark.parametrize(("arrays", "words"), [
        ([np.ones((3, 1)), np.zeros((3, 4)), np.zeros((3, 5)), [[9, 9]]], "at least two classes, got (3, 1)"),
        ([np.ones((3, 4)), np.zeros((3, 8)), np.zeros((3, 5)), [[9, 9]]], "be (3, 16) for scores (3, 4), got (3, 8)"),
        ([np.ones((3, 4)), np.zeros((3, 16)), np.zeros((3, 4)), [[9, 9]]], "must be (3, 5) or (3, 6)"),
        ([np.ones((3, 4)), np.zeros((3, 16)), np.zeros((3, 5)), [[9, 9, 1]]], "must be (1, 2): height and width"),
        ([np.ones((3, 4)), np.zeros((3, 16)), np.ones((3, 5)), [[9, 9]]], "region 0 of bottom[2] must be of image 0"),
        ([np.ones((1, 4)), np.zeros((1, 16)), [[0, 1, np.nan, 2, 2]], [[9, 9]]], "with corners that are numbers"),
    ])
    def test_errors(self, arrays, words):
        with pytest.raises(LayerError, match=re.escape(words)):
            run_forward(frcnn_output(), *arrays)


class TestScaleRoute:
    ROI = np.array([[0, 0, 0, 3, 3], [1, 0, 0, 7, 7], [0, 5, 5, 20, 20], [0, 9, 9, 3, 3]])  # sizes 4, 8, 16 and 0

    @pytest.mark.parametrize(("fields", "rows"), [
        ({}, [0, 1, 2, 3]),
        ({"low_scale": 8}, [1, 2]),
        ({"high_scale": 8}, [0, 3]),
        ({"low_scale": 4, "high_scale": 16}, [0, 1]),
        ({"low_scale": 100}, [2]),  # none: 16 is the nearest to 100
        ({"low_scale": 5, "high_scale": 7}, [1]),  # none: √35 = 5.9 is 1.48 times 4, and 8 is 1.35 times 5.9
    ])
    def test_by_hand(self, fields, rows):
        labels = np.arange(8).reshape(4, 2)
        _, top = run_forward(scale_route(**fields), self.ROI, labels, tops=2)

        assert [y.shape for y in top] == [(len(rows), 5, 1, 1), (len(rows), 2, 1, 1)]
        np.testing.assert_array_equal(top[0].data[..., 0, 0], self.ROI[rows])
        np.testing.assert_array_equal(top[1].data[..., 0, 0], labels[rows])

    @pytest.mark.parametrize("limits", [(0, 0), (6, 0), (0, 6), (6, 14), (30, 31)])
    def test_against_loops(self, limits):
        draw = np.random.default_rng(limits)
        roi = np.column_stack([np.zeros(30), draw.integers(0, 20, (30, 4))])
        low, high = limits
        fields = {name: value for name, value in (("low_scale", low), ("high_scale", high)) if value}
        _, top = run_forward(scale_route(**fields), roi)

        sizes = [np.sqrt(area(row[1:])) for row in roi]
        chosen = [r for r, size in enumerate(sizes) if low <= size < (high or np.inf)]
        middle = np.sqrt(low * high) if low and high else low or high or 256
        nearest = min((r for r, size in enumerate(sizes) if size), key=lambda r: abs(np.log2(sizes[r] / middle)))
        np.testing.assert_array_equal(top[0].data[..., 0, 0], roi[chosen or [nearest]])

    def test_no_region_has_a_size(self):
        """Caffe ends with an error: here the first one goes on."""
        _, top = run_forward(scale_route(low_scale=5), [[0, 3, 3, 1, 1], [0, 4, 4, 1, 1]])

        np.testing.assert_array_equal(top[0].data[..., 0, 0], [[0, 3, 3, 1, 1]])

    @pytest.mark.parametrize(("fields", "shapes", "tops", "words"), [
        ({}, [(3, 5), (3, 2)], 1, "one top for each bottom: 2, got 1"),
        ({}, [(3, 4)], 1, "bottom[0] must be (R, 5)"),
        ({}, [(3, 5), (4, 2)], 2, "bottom[1] must have a row for each of 3 regions, got (4, 2)"),
        ({"low_scale": 0}, [(3, 5)], 1, "low_scale must be positive"),
        ({"low_scale": 8, "high_scale": 4}, [(3, 5)], 1, "high_scale must not lie below low_scale, 8"),
    ])
    def test_errors(self, fields, shapes, tops, words):
        with pytest.raises(LayerError, match=re.escape(words)):
            run_forward(scale_route(**fields), *map(np.zeros, shapes), tops=tops)


@pytest.mark.parametrize(("layer", "arrays"), [
    (box_group_output(), [np.zeros((1, 2, 3, 4)), np.zeros((1, 4, 3, 4))]),
    (decode_bbox(), [np.zeros((3, 8)), np.zeros((3, 5))]),
    (frcnn_output(), [np.zeros((3, 2)), np.zeros((3, 8)), np.zeros((3, 5)), [[9, 7]]]),
    (scale_route(), [np.ones((3, 5))]),
], ids=lambda value: getattr(value, "type", ""))
def test_no_gradient(layer, arrays):
    bottom, top = run_forward(layer, *arrays)
    with pytest.raises(LayerError, match="has no gradient"):
        layer.Backward(top, [True] + [False] * (len(bottom) - 1), bottom)
    layer.Backward(top, [False] * len(bottom), bottom)
