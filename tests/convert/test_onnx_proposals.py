"""Layers that propose regions as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from onnx_tools import assert_same, exported, net_of

from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

A, H, W, STRIDE = 6, 5, 7, 16  # 2 ratios and 3 scales


def given(name, *shape):
    """An Input of this name and shape."""
    return f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ " \
           f"{' '.join(f'dim: {size}' for size in shape)} }} }} }}\n"


def run(prototxt, inputs):
    """What the net itself puts out first."""
    net = net_of(prototxt)
    for name, values in inputs(net).items():
        net.blobs[name].data[...] = values
    net.forward()
    return net.blobs["y"].data.reshape(net.blobs["y"].shape[:2]).copy()


# --- Proposal --------------------------------------------------------------------------------------

SHAPES = "ratio: 0.5 ratio: 1.5 scale: 1 scale: 2 scale: 4"
FASTER = "type: 'Python' python_param { module: 'rpn.proposal_layer' layer: 'ProposalLayer' " \
         "param_str: \"{feat_stride: 16, ratios: [0.5, 1.5], scales: [1, 2, 4]}\" }"


def proposals(fields="min_size: 8", N=2, info=(3,), tops="top: 'y'", kind=None):
    """A net that ends with Proposal, or with another layer of the same bottoms."""
    kind = kind or f"type: 'Proposal' proposal_param {{ feat_stride: {STRIDE} {SHAPES} {fields} }}"
    return given("score", N, 2 * A, H, W) + given("t", N, 4 * A, H, W) + given("info", N, *info) + \
        f"layer {{ name: 'found' bottom: 'score' bottom: 't' bottom: 'info' {tops} {kind} }}"


def answers(change=lambda score: score, scales=(0.5, 1.5)):
    """What makes the answers of a network for a net."""
    def of(net):
        draw = np.random.default_rng(0)
        score, t, info = (net.blobs[name].shape for name in ("score", "t", "info"))
        image = np.ones(info).reshape(info[0], -1)
        image[:, :2] = H * STRIDE - 3, W * STRIDE
        image[:, 2:4] = scales[:image.shape[1] - 2]
        return {"score": change(draw.uniform(0, 1, score)), "t": draw.normal(0, 0.4, t), "info": image.reshape(info)}
    return of


def same(inputs=None, **how):
    """Compare for a free batch and for a fixed one; return our rows."""
    inputs = inputs or answers()
    assert_same(proposals(**how), larger=proposals(**how, N=3), inputs=inputs)
    assert_same(proposals(**how), larger=False, inputs=inputs)
    return run(proposals(**how), inputs)


@pytest.mark.parametrize("fields", ["min_size: 30", "min_size: 8 base_size: 11", "min_size: 8 nms_thresh: 0.3",
                                    "min_size: 8 nms_thresh: 0", "min_size: 8 nms_thresh: 1",
                                    "min_size: 8 pre_nms_topn: 40", "min_size: 8 post_nms_topn: 9"])
def test_a_parameter_of_proposal(fields):
    assert not np.array_equal(same(fields=fields), run(proposals(), answers()))


@pytest.mark.parametrize("tops", ["top: 'y'", "top: 'y' top: 'z'"])
@pytest.mark.parametrize("info", [(3,), (4,), (1, 5)])
def test_proposal(info, tops):
    """A fourth number of the image is the scale of the width, and further ones are not read."""
    found = same(info=info, tops=tops, fields="min_size: 30")

    assert len(np.unique(found[:, 0])) == 2
    assert (len(found) == len(run(proposals("min_size: 30"), answers()))) == (info == (3,))


def test_proposals_of_equal_scores():
    """The first cell and anchor come first, also where a limit cuts between them."""
    same(answers(lambda score: np.round(score * 2) / 2), fields="min_size: 8 pre_nms_topn: 40 post_nms_topn: 9")


@pytest.mark.parametrize("tops", ["top: 'y'", "top: 'y' top: 'z'"])
def test_proposals_of_py_faster_rcnn(tops):
    """Its boxes that are too small are left out."""
    found = run(proposals(N=1, kind=FASTER), answers())
    model = assert_same(proposals(N=1, kind=FASTER, tops=tops), larger=False, inputs=answers())

    assert len(found) > len(run(proposals(N=1, kind=FASTER), answers(scales=(3,))))
    assert all(output.type.tensor_type.shape.dim[0].dim_param for output in model.graph.output)


def test_no_proposal():
    """Where all boxes are too small, there is no row, and what reads them puts out none."""
    behind = given("x", 1, 3, H, W) + """layer { name: 'pool' type: 'ROIPooling' bottom: 'x' bottom: 'y' top: 'p'
        roi_pooling_param { pooled_h: 2 pooled_w: 4 spatial_scale: 0.0625 } }"""
    text = proposals(N=1, kind=FASTER) + behind
    inputs = answers(scales=(99,))

    assert run(text, inputs).shape == (0, 5)
    assert_same(text, larger=False, inputs=inputs)


def test_other_python_layers_are_refused(monkeypatch, tmp_path):
    (tmp_path / "own_proposals.py").write_text(
        "import caffe\nclass Own(caffe.Layer):\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(1, 5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    from minicaffe.pycaffe import alias

    with alias.installed(), pytest.raises(LayerError, match="class Own of the Python module own_proposals") as error:
        exported(proposals(kind="type: 'Python' python_param { module: 'own_proposals' layer: 'Own' }"), larger=False)
    assert "end the model before it" in error.value.hint


# --- BoxGroupOutput --------------------------------------------------------------------------------

MAPS = ((2, 3, 5, 7, 8), (1, 4, 2, 3, 16))  # anchors, channels of the scores, height, width, stride
SPREAD = "bbox_reg_param { bbox_mean: 0.1 bbox_mean: -0.2 bbox_mean: 0.3 bbox_mean: 0.05 " \
         "bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.4 bbox_std: 0.3 }"


def groups(fields="", N=2, tops="top: 'y'", more=""):
    """A net that ends with BoxGroupOutput, which reads two maps."""
    inputs = "".join(given(f"p{i}", N * G, channels, h, w) + given(f"t{i}", N * G, 4, h, w)
                     for i, (G, channels, h, w, _) in enumerate(MAPS))
    sides = ("field_w: 20 field_w: 34 field_h: 30 field_h: 22", "field_w: 40 field_h: 28")
    params = " ".join(f"box_group_param {{ stride: {one[-1]} {side} }}" for one, side in zip(MAPS, sides, strict=True))
    return inputs + f"layer {{ name: 'found' type: 'BoxGroupOutput' bottom: 'p0' bottom: 't0' bottom: 'p1' " \
        f"bottom: 't1' {tops} box_group_output_param {{ {params} {fields} }} {more} }}"


def maps(change=lambda p: p):
    """What makes the scores and the boxes of a net."""
    def of(net):
        draw = np.random.default_rng(0)
        return {name: change(draw.uniform(0, 1, net.blobs[name].shape)) if name[0] == "p"
                else draw.normal(0, 0.5, net.blobs[name].shape) for name in net.inputs}
    return of


def same_groups(inputs=None, **how):
    inputs = inputs or maps()
    assert_same(groups(**how), larger=groups(**how, N=5), inputs=inputs)
    model = assert_same(groups(**how), larger=False, inputs=inputs)
    assert all(output.type.tensor_type.shape.dim[0].dim_param for output in model.graph.output)
    return run(groups(**how), inputs)


@pytest.mark.parametrize(("fields", "more"), [
    ("fg_thr: 0.7", ""), ("iou_thr: 0.2", ""), ("max_nms_num: 9", ""), ("max_post_nms_num: 4", ""),
    ("min_size: 25", ""), ("field_whr: 1.1", ""), ("field_xyr: 9", ""), ("", SPREAD)])
def test_a_parameter_of_box_group_output(fields, more):
    assert not np.array_equal(same_groups(fields=fields, more=more), run(groups(), maps()))


def test_box_groups_of_equal_scores():
    """The first map, anchor and cell come first."""
    same_groups(maps(lambda p: np.round(p * 2) / 2), fields="max_nms_num: 30 max_post_nms_num: 7")


def test_a_score_at_the_threshold_counts():
    found = same_groups(maps(lambda p: np.full_like(p, 0.5)), fields="fg_thr: 0.5")

    assert len(found) > 1


@pytest.mark.parametrize("least", [0, 2])
def test_box_groups_with_scores(least):
    """Where the batch has no box, there is a row all the same."""
    found = same_groups(fields=f"fg_thr: {least}", tops="top: 'y' top: 'z'")

    assert np.array_equal(found, [[0, 1, 1, 10, 10]]) == (least == 2)


@pytest.mark.parametrize(("fields", "message"), [
    ("nms_type: 'IOMU'", "nms_type IOMU"), ("nms_type: 'IOFU'", "nms_type IOFU"),
    ("iou_thr: 0.03", "iou_thr 0.03 and min_size 15"), ("iou_thr: 5 min_size: 0.9", "iou_thr 5 and min_size 0.9")])
def test_other_overlaps_are_refused(fields, message):
    with pytest.raises(LayerError, match=message) as error:
        exported(groups(fields), larger=False)
    assert "end the model before it" in error.value.hint
