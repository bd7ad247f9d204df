"""PriorBox and DetectionOutput as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from extras import needs
from onnx_tools import assert_same, exported, net_of, ops

from minicaffe.convert import onnx_package
from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

P, K = 11, 3  # priors and classes


def given(*named):
    """Inputs of these names and shapes."""
    return "".join(f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ "
                   f"{' '.join(f'dim: {size}' for size in shape)} }} }} }}\n" for name, shape in named)


# --- PriorBox --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [
    "min_size: 20", "min_size: 20.9 max_size: 41.9", "min_size: 20 min_size: 30 max_size: 40 max_size: 50",
    "min_size: 20 aspect_ratio: 2 aspect_ratio: 3", "min_size: 20 aspect_ratio: 2 flip: false",
    "min_size: 90 clip: true", "min_size: 20 variance: 0.3",
    "min_size: 20 variance: 0.1 variance: 0.2 variance: 0.3 variance: 0.4", "min_size: 20 img_size: 70",
    "min_size: 20 img_h: 70 img_w: 90", "min_size: 20 step: 9", "min_size: 20 step_h: 9 step_w: 11",
    "min_size: 20 offset: 0.25", "min_size: 20 offset_h: 0.5 offset_h: 1 offset_w: 0.25 offset_w: 0.75",
    "min_size: 32 min_size: 64 face_boxes: true"])
def test_prior_boxes_are_a_constant(fields):
    model = assert_same(given(("map", (2, 4, 3, 5)), ("image", (2, 1, 60, 80)))
                        + f"layer {{ name: 'p' type: 'PriorBox' bottom: 'map' bottom: 'image' top: 'y' "
                          f"prior_box_param {{ {fields} }} }}")

    assert ops(model) == ["Identity"]  # an output needs a node
    assert [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim][:2] == [1, 2]


# --- DetectionOutput -------------------------------------------------------------------------------


def detector(fields="", nms="nms_threshold: 0.45", N=5, share=True, priors=P, more=""):
    """A net that ends with DetectionOutput."""
    L = 1 if share else K
    return given(("loc", (N, 4 * priors * L)), ("conf", (N, priors * K)), ("prior", (1, 2, 4 * priors))) + \
        f"layer {{ name: 'found' type: 'DetectionOutput' bottom: 'loc' bottom: 'conf' bottom: 'prior' {more} " \
        f"top: 'y' detection_output_param {{ num_classes: {K} share_location: {str(share).lower()} {fields} " \
        f"nms_param {{ {nms} }} }} }}"


def numbers(seed=0, shift=0.1, change=lambda conf: conf):
    """What makes random numbers for a net: boxes that overlap, and scores between 0 and 1."""
    def of(net):
        draw = np.random.default_rng(seed)
        n, priors = net.blobs["loc"].shape[0], net.blobs["prior"].count // 8
        near = draw.uniform(0, 0.6, (priors, 2))
        prior = np.hstack([near, near + draw.uniform(0.2, 0.5, (priors, 2))])
        return {"loc": draw.normal(0, shift, (n, net.blobs["loc"].shape[1])),
                "conf": change(draw.uniform(0, 1, (n, priors * K))),
                "prior": [[prior.ravel(), draw.uniform(0.1, 0.9, prior.size)]]}
    return of


def rows(prototxt, inputs):
    """What the net itself puts out, (D, 7)."""
    net = net_of(prototxt)
    for name, values in inputs(net).items():
        net.blobs[name].data[...] = values
    net.forward()
    return net.blobs["y"].data.reshape(-1, 7).copy()


def same(inputs=None, **how):
    """Compare for a free batch and for a fixed one; return our rows."""
    inputs = inputs or numbers()
    assert_same(detector(**how), larger=detector(**how, N=8), inputs=inputs)
    assert_same(detector(**how), larger=False, inputs=inputs)
    return rows(detector(**how), inputs)


PLAIN = {"fields": "", "nms": "nms_threshold: 0.45"}
CASES = [{"fields": "code_type: CENTER_SIZE"}, {"fields": "code_type: CORNER_SIZE"},
         {"fields": "variance_encoded_in_target: true"}, {"fields": "background_label_id: 1"},
         {"fields": "background_label_id: -1"}, {"fields": "background_label_id: 7"},
         {"fields": "confidence_threshold: 0.6"}, {"fields": "keep_top_k: 4"}, {"fields": "keep_top_k: 0"},
         {"nms": "nms_threshold: 0.2"}, {"nms": "nms_threshold: 0"}, {"nms": "nms_threshold: 1.5"},
         {"nms": "nms_threshold: 0.45 top_k: 3"}, {"nms": "nms_threshold: 0.45 top_k: 0"}]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_parameter_of_detection_output(case, share):
    """Each of them changes what is found, and the model finds the same."""
    how = {**PLAIN, **case, "share": share}
    assert not np.array_equal(same(**how), rows(detector(**PLAIN, share=share), numbers()))


@pytest.mark.parametrize("share", [True, False])
def test_detection_output_with_all_limits(share):
    """Few boxes are looked at, few of them stay, and few of those are put out, of each image."""
    found = same(fields="code_type: CENTER_SIZE background_label_id: 2 confidence_threshold: 0.2 keep_top_k: 5",
                 nms="nms_threshold: 0.3 top_k: 6", share=share)

    assert np.bincount(found[:, 0].astype(int)).max() == 5
    assert {*found[:, 1]} == {0, 1}


@pytest.mark.parametrize("how", [
    {}, {"nms": "nms_threshold: 0.9 top_k: 4"}, {"fields": "keep_top_k: 5", "nms": "nms_threshold: 0.9"},
    {"fields": "keep_top_k: 3 background_label_id: 1", "nms": "nms_threshold: 0.9 top_k: 5", "share": False}], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_equal_scores(how, seed):
    """Of equal scores the first class and the first prior come first, also where a limit cuts between them."""
    found = same(numbers(seed, change=lambda conf: np.round(conf * 2) / 2), **how)

    assert len(np.unique(found[:, 2])) < 4


def boxes_of(*boxes):
    """What gives these boxes, which all have the class 1 and each a lower score than the one before."""
    def of(net):
        n, count = net.blobs["loc"].shape[0], len(boxes)
        scores = np.zeros((n, count, K))
        scores[:, :, 1] = np.linspace(0.9, 0.6, count)
        return {"loc": np.zeros((n, 4 * count)), "conf": scores.reshape(n, -1),
                "prior": [[np.ravel(boxes), np.ones(4 * count)]]}
    return of


@pytest.mark.parametrize(("boxes", "kept"), [
    ([(0, 0, 2, 2), (0, 0, 2, 1)], 2),  # the overlap is the threshold
    ([(0, 0, 2, 2), (0, 0, 2, 1.01)], 1),
    ([(0, 0, 2, 2), (2, 2, 0, 0)], 2),  # the second one is turned round, and has no area
    ([(2, 0, 0, 2), (2, 0, 0, 2), (0, 0, 2, 2)], 3),
    ([(0, 0, 0, 2), (0, 0, 0, 2)], 2),
    ([(-np.inf, -np.inf, np.inf, np.inf), (-np.inf, -np.inf, np.inf, np.inf), (0, 0, 2, 2)], 2),
    ([(0, 0, 2, 2), (np.nan, 0, 2, 2), (0, 0, 2, 2)], 2)])
def test_overlaps_at_their_limits(boxes, kept):
    """What NonMaxSuppression calls an overlap is what we call one."""
    how = {"fields": "confidence_threshold: 0.5", "nms": "nms_threshold: 0.5", "priors": len(boxes)}
    net, model = exported(detector(**how), larger=False)
    for name, values in boxes_of(*boxes)(net).items():
        net.blobs[name].data[...] = values
    net.forward()
    needs("onnxruntime")
    found = onnx_package.run(model.SerializeToString(), {name: net.blobs[name].data for name in net.inputs})

    assert found["y"].shape == (1, 1, kept * 5, 7)
    np.testing.assert_array_equal(found["y"], net.blobs["y"].data)  # NaN counts as equal to NaN


@pytest.mark.parametrize("empty", [(), (1,), (0, 3), range(8)])
def test_images_without_a_box(empty):
    """They have no row, unless no image has a box: then each has one of −1."""
    def change(conf):
        conf[[n for n in empty if n < len(conf)]] = 0
        return conf

    found = same(numbers(change=change), fields="confidence_threshold: 0.3")

    assert {*found[:, 0]} == ({*range(5)} - {*empty} or {*range(5)})
    assert (found[:, 1] == -1).all() == (len(empty) == 8)


def test_the_number_of_rows_is_open():
    """Also behind the layer, and for a fixed batch size, the model does not say how many rows there are."""
    behind = "layer { name: 'r' type: 'ReLU' bottom: 'y' top: 'z' }"
    model = assert_same(detector() + behind, larger=False, inputs=numbers())

    dims = model.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 1, 0, 7]
    assert dims[2].dim_param


def test_a_picture_is_not_read():
    """SSD's fourth bottom of four axes is only drawn on."""
    picture = given(("picture", (5, 1, 6, 9)))
    assert_same(picture + detector(more="bottom: 'picture'"), larger=False, inputs=numbers())


def test_an_eta_without_effect():
    """The threshold is multiplied only while it is above 0.5."""
    same(nms="nms_threshold: 0.5 eta: 0.9")


@pytest.mark.parametrize(("how", "message"), [
    ({"nms": "nms_threshold: 0.6 eta: 0.9"}, "has eta 0.9"), ({"nms": "soft_nms: true"}, "has soft_nms"),
    ({"more": "bottom: 'arm'"}, "reads the first of two stages")])
def test_what_onnx_cannot_say_is_refused(how, message):
    arm = given(("arm", (5, 2 * P)))
    with pytest.raises(LayerError, match=rf"'found' \(DetectionOutput\) {message}") as error:
        exported(arm + detector(**how), larger=False)
    assert "end the model before it" in error.value.hint


def test_logits_are_refused():
    text = detector("output_logits: true", more="bottom: 'logits'").replace("top: 'y'", "top: 'y' top: 'z'")
    with pytest.raises(LayerError, match=r"'found' \(DetectionOutput\) has output_logits"):
        exported(given(("logits", (5, P * K))) + text, larger=False)


def test_a_detector_without_classes_is_refused():
    text = given(("loc", (5, 44)), ("conf", (5, 11)), ("prior", (1, 2, 44))) + \
        "layer { name: 'found' type: 'DetectionOutput' bottom: 'loc' bottom: 'conf' bottom: 'prior' top: 'y' " \
        "detection_output_param { num_classes: 1 } }"
    with pytest.raises(LayerError, match="no class but the background"):
        exported(text, larger=False)
