"""Detectors get boxes from nets that may be untrained, and maps from images that may be empty."""

import threading

import numpy as np
import pytest
from run_layer import run_forward

from minicaffe import kernels
from minicaffe.errors import LayerError, MinicaffeError
from minicaffe.kernels import shards
from minicaffe.layer import create
from minicaffe.proto import LayerParameter, text

WILD = [0, -1, np.nan, np.inf, -np.inf, 1e10, -1e10, 3e38, -3e38, 1e-45, 1e9, 0.5]
REGION = "pooled_h: 3 pooled_w: 2"
CASES = {  # a layer, and the shapes of its bottoms
    "ROIPooling": (f"roi_pooling_param {{ {REGION} }}", (2, 3, 7, 5), (6, 5)),
    "ROIAlign": (f"roi_pooling_param {{ {REGION} }}", (2, 3, 7, 5), (6, 5)),
    "PSROIPooling": ("psroi_pooling_param { spatial_scale: 1 output_dim: 3 group_size: 2 }", (2, 12, 7, 5), (6, 5)),
    "Proposal": ("proposal_param { ratio: 1 scale: 8 }", (3, 2, 7, 5), (3, 4, 7, 5), (3, 3)),
    "DetectionOutput": ("detection_output_param { num_classes: 3 }", (2, 20), (2, 15), (1, 2, 20)),
    "BoxGroupOutput": ("box_group_output_param { iou_thr: 0.5 box_group_param { stride: 8 field_w: 9 field_h: 6 } }",
                       (2, 3, 7, 5), (2, 4, 7, 5)),
    "DecodeBBox": ("", (6, 8), (6, 5)),
    "FrcnnOutput": ("frcnn_output_param { iou_thr: 0.5 conf_thr: 0.1 }", (6, 3), (6, 8), (6, 5), (1, 2)),
    "ScaleRoute": ("scale_route_param { low_scale: 2 high_scale: 9 }", (6, 5)),
    "YoloDetectionOutput": ("yolo_detection_output_param { num_classes: 3 num_box: 2 biases: [1, 2, 3, 4] }",
                            (2, 16, 7, 5)),
    "Yolov3DetectionOutput": ("yolov3_detection_output_param { num_classes: 3 num_box: 2 biases: [1, 2, 3, 4] "
                              "mask: [0, 1] anchors_scale: 8 mask_group_num: 1 }", (2, 16, 7, 5)),
}


def layer(kind):
    """A layer of CASES."""
    return create(text.parse(f'name: "l" type: "{kind}" phase: TEST {CASES[kind][0]}', LayerParameter()))


def outcome(kind, arrays, engine):
    """The data of the top, or the words of the error."""
    kernels.use_engine(engine)
    try:
        return run_forward(layer(kind), *arrays)[1][0].data.copy()
    except MinicaffeError as error:
        return str(error)


@pytest.mark.parametrize("kind", CASES)
def test_any_numbers_give_an_answer_or_an_error_of_ours(kind):
    """NaN, infinity and huge numbers in every bottom: no crash, no warning, and all engines say the same."""
    draw = np.random.default_rng(14)
    for share in (0.02, 0.1, 1, 0.02, 0.1):
        arrays = [np.where(draw.random(shape) < share, draw.choice(WILD, shape), draw.uniform(0, 1, shape))
                  for shape in CASES[kind][1:]]
        first, *others = (outcome(kind, arrays, engine) for engine in kernels.available_engines())
        for other in others:
            if isinstance(first, str):
                assert first == other
            else:
                with np.errstate(all="ignore"):
                    np.testing.assert_allclose(other, first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "shapes", "top"), [
    ("Proposal", [(0, 2, 7, 5), (0, 4, 7, 5), (0, 3)], (0, 5)),
    ("Proposal", [(3, 2, 0, 5), (3, 4, 0, 5), (3, 3)], (0, 5)),
    ("DetectionOutput", [(0, 20), (0, 15), (1, 2, 20)], (1, 1, 0, 7)),
    ("DetectionOutput", [(2, 0), (2, 0), (1, 2, 0)], (1, 1, 2, 7)),
    ("DecodeBBox", [(0, 8), (0, 5)], (0, 5, 1, 1)),
    ("BoxGroupOutput", [(2, 3, 0, 5), (2, 4, 0, 5)], (1, 5, 1, 1)),
    ("YoloDetectionOutput", [(0, 16, 7, 5)], (1, 1, 0, 7)),
    ("YoloDetectionOutput", [(2, 16, 7, 0)], (1, 1, 2, 7)),
    ("Yolov3DetectionOutput", [(0, 16, 7, 5)], (1, 1, 0, 7)),
    ("Yolov3DetectionOutput", [(2, 16, 0, 5)], (1, 1, 2, 7)),
    ("ROIPooling", [(2, 0, 7, 5), (6, 5)], (6, 0, 3, 2)),
    ("ROIPooling", [(2, 3, 0, 5), (6, 5)], (6, 3, 3, 2)),
    ("ROIAlign", [(2, 3, 7, 0), (6, 5)], (6, 3, 4, 3)),
    ("ROIAlign", [(2, 3, 7, 5), (0, 5)], (0, 3, 4, 3)),
    ("PSROIPooling", [(2, 12, 7, 0), (6, 5)], (6, 3, 2, 2)),
])
def test_nothing_in_is_nothing_found(kind, shapes, top, each_engine):
    """Without images, pixels or regions, the top has a shape as in any other pass, and nothing in it."""
    _, (y,) = run_forward(layer(kind), *map(np.zeros, shapes))

    assert y.shape == top
    if kind.startswith(("ROI", "PSROI")):
        assert not y.data.any()


def test_a_map_without_pixels_gets_no_gradient(each_engine):
    """The gradient of points on an empty map is an empty array."""
    points, dx = np.full((6, 4), -0.5, np.float32), np.zeros((2, 3, 0, 5), np.float32)
    kernels.region_samples_grad(np.ones((6, 3, 4, 4), np.float32), np.zeros(6, np.int32), points, points, dx)


@pytest.mark.parametrize(("kind", "fields", "field"), [
    ("ROIPooling", f"roi_pooling_param {{ {REGION} spatial_scale: 1e30 }}", "spatial_scale"),
    ("ROIPooling", f"roi_pooling_param {{ {REGION} pad_ratio: 1e30 }}", "pad_ratio"),
    ("ROIAlign", f"roi_pooling_param {{ {REGION} spatial_scale: 1e30 }}", "spatial_scale"),
    ("PSROIPooling", "psroi_pooling_param { spatial_scale: 1e30 output_dim: 3 group_size: 2 }", "spatial_scale"),
])
def test_regions_may_not_be_scaled_beyond_all_numbers(kind, fields, field):
    """Else a bin would begin at 0 · ∞, which is NaN, and its pixels would lie outside the map."""
    made = create(text.parse(f'name: "l" type: "{kind}" {fields}', LayerParameter()))
    with pytest.raises(LayerError, match=rf"{field} must be at most 1e\+09"):
        run_forward(made, *map(np.zeros, CASES[kind][1:]))


def test_a_prior_box_needs_pixels_in_the_image():
    """A box is a part of the image, and of nothing there is none."""
    prior = create(text.parse('name: "p" type: "PriorBox" prior_box_param { min_size: 4 }', LayerParameter()))
    with pytest.raises(LayerError, match=r"bottom\[1\] \(2, 3, 0, 6\), the image, has no pixels"):
        run_forward(prior, np.zeros((2, 8, 5, 4)), np.zeros((2, 3, 0, 6)))


def test_a_product_without_rows(each_engine):
    """An empty batch of an InnerProduct or an Lstm."""
    out = np.zeros((0, 5), np.float32)
    kernels.matmul(np.zeros((0, 3), np.float32), np.zeros((3, 5), np.float32), out)
    kernels.matmul(np.zeros((0, 3), np.float32), np.zeros((3, 5), np.float32), out, add=True)


def test_threads_warn_of_no_more_than_their_caller():
    """A layer computes with infinity as Caffe does, without a warning of numpy's; so do the threads that help it."""
    kernels.set_threads(2)
    meeting, seen = threading.Barrier(2, timeout=10), []

    def piece(i):
        meeting.wait()  # so each thread takes one piece
        seen.append(np.geterr()["over"])

    with np.errstate(all="ignore"):
        shards.run(piece, 2)

    assert seen == ["ignore", "ignore"]
