"""The outputs of YOLO as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from onnx_tools import assert_same, exported, net_of

from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

A, K = 2, 6  # boxes of a cell, and classes
SIDES = ((3, 5), (4, 7))  # of the maps
SIZES = {"Yolo": "biases: 1.5 biases: 2 biases: 0.8 biases: 1.1",
         "Yolov3": "biases: 14 biases: 22 biases: 30 biases: 18 biases: 9 biases: 12 biases: 40 biases: 35 "
                   "mask: 2 mask: 0 mask: 3 mask: 1 anchors_scale: 8 anchors_scale: 16"}


def detector(kind, fields="nms_threshold: 0.45 confidence_threshold: 0.2", N=3, places=4):
    """A net of two maps that ends with an output of YOLO."""
    inputs = "".join(f"layer {{ name: 'x{i}' type: 'Input' top: 'x{i}' input_param {{ shape {{ dim: {N} "
                     f"dim: {A * (places + 1 + K)} dim: {h} dim: {w} }} }} }}\n" for i, (h, w) in enumerate(SIDES))
    message = {"Yolo": "yolo_detection_output_param", "Yolov3": "yolov3_detection_output_param"}[kind]
    return inputs + f"layer {{ name: 'found' type: '{kind}DetectionOutput' bottom: 'x0' bottom: 'x1' top: 'y' " \
        f"{message} {{ num_classes: {K} num_box: {A} {SIZES[kind]} {fields} }} }}"


def numbers(seed=0, kinds=0, more=0.0):
    """What makes the maps of a net. With `kinds` there are only so many kinds of boxes, so that scores are equal."""
    def of(net):
        draw, found = np.random.default_rng(seed), {}
        for name in net.inputs:
            n, channels, h, w = net.blobs[name].shape
            x = draw.standard_normal((n, A, h, w, channels // A))
            if kinds:
                few = np.random.default_rng(1).standard_normal((kinds, channels // A))
                x = few[draw.integers(kinds, size=x.shape[:-1])]
            found[name] = np.moveaxis(x, -1, 2).reshape(n, channels, h, w) + more
        return found
    return of


def run(prototxt, inputs):
    """What the net itself puts out, (D, 7)."""
    net = net_of(prototxt)
    for name, values in inputs(net).items():
        net.blobs[name].data[...] = values
    net.forward()
    return net.blobs["y"].data.reshape(-1, 7).copy()


def same(kind, fields, inputs=None, **how):
    """Compare for a free batch and for a fixed one; return our rows."""
    inputs = inputs or numbers()
    assert_same(detector(kind, fields, **how), larger=detector(kind, fields, N=8, **how), inputs=inputs)
    assert_same(detector(kind, fields, **how), larger=False, inputs=inputs)
    return run(detector(kind, fields, **how), inputs)


BOTH = pytest.mark.parametrize("kind", ["Yolo", "Yolov3"])


@BOTH
@pytest.mark.parametrize("fields", [
    "nms_threshold: 0.45 confidence_threshold: 0.5", "nms_threshold: 0.1 confidence_threshold: 0.2",
    "nms_threshold: 0 confidence_threshold: 0.2", "nms_threshold: 0.95 confidence_threshold: 0.2"])
def test_a_parameter_of_yolo(kind, fields):
    assert not np.array_equal(same(kind, fields), run(detector(kind), numbers()))


def test_a_threshold_that_no_overlap_reaches():
    same("Yolo", "nms_threshold: 1.5 confidence_threshold: 0.2")


def test_more_classes_for_a_box_are_refused():
    with pytest.raises(LayerError, match="nms_threshold 1: then a box may have several classes") as error:
        exported(detector("Yolov3", "nms_threshold: 1"), larger=False)
    assert "below 1" in error.value.hint


def test_gaussian_boxes():
    same("Yolov3", "nms_threshold: 0.45 confidence_threshold: 0.1 gaussian_box: true", places=8)


@BOTH
@pytest.mark.parametrize("kinds", [1, 3])
def test_boxes_of_equal_scores(kind, kinds):
    """The first map, cell and box come first."""
    found = same(kind, "nms_threshold: 0.95 confidence_threshold: 0.01", numbers(kinds=kinds))

    assert len(np.unique(found[:, 2])) < len(found) / 4


@BOTH
def test_no_box(kind):
    found = same(kind, "nms_threshold: 0.45 confidence_threshold: 0.9999")

    np.testing.assert_array_equal(found, [[n, *[-1] * 6] for n in range(3)])


def overlapping(net):
    """Two boxes of which one covers half of the other, in the first map: the overlap is exactly 0.5."""
    found = {name: np.full(net.blobs[name].shape, -30.0) for name in net.inputs}
    x = found["x0"].reshape(-1, A, found["x0"].shape[1] // A, *SIDES[0])
    x[:, :, :4, 1, 2], x[:, 0, 4, 1, 2], x[:, 1, 4, 1, 2] = 0, 30, 20
    return found


@pytest.mark.parametrize(("threshold", "kept"), [(0.5, 1), (0.51, 2)])
def test_an_overlap_at_the_threshold_is_too_large(threshold, kept, monkeypatch):
    """The layer's own rule; NonMaxSuppression would keep both at 0.5."""
    sizes = "biases: 2.5 biases: 1.5 biases: 2.5 biases: 0.75"
    monkeypatch.setitem(SIZES, "Yolo", sizes)
    found = same("Yolo", f"nms_threshold: {threshold} confidence_threshold: 0.1", overlapping)

    assert len(found) == kept * 3


@pytest.mark.parametrize("kind", ["Yolo", "Yolov3"])
def test_a_score_at_the_threshold(kind):
    """It counts for YOLO v2, and not for v3."""
    def inputs(net):
        found = {name: np.full(net.blobs[name].shape, -30.0) for name in net.inputs}
        x = found["x0"].reshape(-1, A, found["x0"].shape[1] // A, *SIDES[0])
        x[:, 0, :5, 1, 2], x[:, 0, 6, 1, 2] = 0, 30  # sigmoid(0) is 0.5, and the class is sure
        return found

    found = same(kind, "nms_threshold: 0.45 confidence_threshold: 0.5", inputs)

    assert (found[:, 1] == 2).all() == (kind == "Yolo")
