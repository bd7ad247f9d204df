"""Proposal, and the built-in ProposalLayer of py-faster-rcnn: by hand, against loops in float64; whose code runs."""

import logging
import re
import sys

import numpy as np
import pytest
from net_tools import inputs, make
from run_layer import normal, run_forward

from minicaffe import kernels
from minicaffe.errors import LayerError
from minicaffe.layer import create
from minicaffe.layers import ProposalLayer
from minicaffe.layers.detection._proposals import anchors_of
from minicaffe.proto import TEST, TRAIN, LayerParameter
from minicaffe.proto import text as proto_text

NAMED = 'module: "rpn.proposal_layer" layer: "ProposalLayer"'
STRIDE = "param_str: \"'feat_stride': 16\""
NET = inputs(score=(1, 18, 3, 4), t=(1, 36, 3, 4), info=(1, 3)) + (
    'layer { name: "proposal" type: "Python" bottom: "score" bottom: "t" bottom: "info" top: "rois" '
    f"python_param {{ {NAMED} {STRIDE} }} }}")
FILE = """
from minicaffe import pycaffe as caffe
class ProposalLayer(caffe.Layer):
    def setup(self, bottom, top):
        pass
    def reshape(self, bottom, top):
        top[0].reshape(2, 5)
    def forward(self, bottom, top):
        top[0].data[...] = 7
"""


@pytest.fixture(params=kernels.available_engines(), autouse=True)
def _engine(request):
    before = kernels.engine()
    kernels.use_engine(request.param)
    yield
    kernels.use_engine(before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, an empty one; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "rpn"]:
        del sys.modules[name]


def proposal(dtype=np.float64, **fields):
    """A Proposal layer with one square anchor of 4 pixels, 4 pixels from cell to cell, and these parameters."""
    given = {"feat_stride": 4, "base_size": 4, "min_size": 1, "ratio": [1], "scale": [1]}
    return ProposalLayer(dtype=dtype, proposal_param=given | fields)


def built_in(param_str=STRIDE, phase=TEST, dtype=np.float64):
    """The layer that a net gets for py-faster-rcnn's ProposalLayer."""
    param = LayerParameter()
    proto_text.parse(f'name: "proposal" type: "Python" python_param {{ {NAMED} {param_str} }}', param)
    param.phase = phase
    return create(param, dtype=dtype)


def answers(A, H, W, N=1, seed=0):
    """The scores and the shifts of a net with A anchors."""
    draw = np.random.default_rng(seed)
    return draw.random((N, 2 * A, H, W)), draw.standard_normal((N, 4 * A, H, W)) * 0.4


def naive(score, t, info, anchors, stride, before, after, overlap, least, keeps_small=False):
    """The regions of one image, one box after the other: a list of (score, x1, y1, x2, y2)."""
    A, (height, width, *scales), boxes = len(anchors), info, []
    for i, j, a in np.ndindex(*score.shape[1:], A):
        x1, y1, x2, y2 = anchors[a] + np.array([j, i, j, i]) * stride
        w, h = x2 - x1 + 1, y2 - y1 + 1
        tx, ty, tw, th = t[4 * a:4 * a + 4, i, j]
        x, y, w, h = x1 + w / 2 + tx * w, y1 + h / 2 + ty * h, np.exp(tw) * w, np.exp(th) * h
        box = [min(max(v, 0), limit - 1) for v, limit in ((x - w / 2, width), (y - h / 2, height), (x + w / 2, width),
                                                          (y + h / 2, height))]
        large = box[2] - box[0] + 1 >= least * scales[-1] and box[3] - box[1] + 1 >= least * scales[0]
        if large or keeps_small:
            boxes.append((score[A + a, i, j] if large else 0, *box))
    kept = []
    for box in sorted(boxes, key=lambda box: -box[0])[:before]:
        if all(shared(box[1:], other[1:]) <= overlap for other in kept):
            kept.append(box)
    return kept[:after]


def shared(a, b):
    """The common part of two boxes whose corners are pixels, as a part of what both cover."""
    w, h = (max(min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1, 0) for i in (0, 1))
    area = sum((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return w * h / (area - w * h)


class TestProposal:
    def test_by_hand(self):
        """The first box is moved by 1 pixel, the third onto the second, which has the lower score and goes."""
        score = [[[[0.1, 0.3, 0.2]], [[0.9, 0.7, 0.8]]]]
        t = np.zeros((1, 4, 1, 3))
        t[0, 0, 0] = 0.25, 0, -1
        _, top = run_forward(proposal(), score, t, [[4, 12, 1]], tops=2)

        np.testing.assert_array_equal(top[0].data, [[0, 1, 0, 5, 3], [0, 4, 0, 8, 3]])
        np.testing.assert_array_equal(top[1].data, [[0.9], [0.8]])

    def test_anchors(self):
        """Of 256 pixels, the ratio 0.5 makes 23 × 12, and 2 makes 11 × 22; times 8, around the centre 7.5."""
        np.testing.assert_array_equal(anchors_of(16, [0.5, 1, 2], [8]),
                                      [[-84, -40, 99, 55], [-56, -56, 71, 71], [-36, -80, 51, 95]])

    @pytest.mark.parametrize("fields", [{}, {"pre_nms_topn": 30, "nms_thresh": 0.3}, {"post_nms_topn": 5},
                                        {"min_size": 9}, {"nms_thresh": 0}])
    def test_formula(self, fields):
        """For each image of a batch, the regions that loops in float64 find, in their order."""
        p = {"ratio": [0.5, 1, 2], "scale": [1, 2.5], "base_size": 9, "feat_stride": 5} | fields
        score, t = answers(6, 7, 8, N=2)
        info = np.array([[33, 40, 1.5, 1.25], [35, 38, 0.8, 1.1]])
        layer = proposal(**p)
        _, top = run_forward(layer, score, t, info, tops=2)
        full = {"pre_nms_topn": 6000, "post_nms_topn": 300, "nms_thresh": 0.7, "min_size": 1} | fields
        # a field of the message is a float32
        overlap = np.float32(full["nms_thresh"])
        want = [(n, *found) for n in range(2) for found in naive(
            score[n], t[n], info[n], layer.anchors, 5, full["pre_nms_topn"], full["post_nms_topn"], overlap,
            full["min_size"], keeps_small=True)]

        np.testing.assert_allclose(top[0].data, [(n, *box) for n, _, *box in want], rtol=1e-12, atol=1e-9)
        np.testing.assert_array_equal(top[1].data[:, 0], [score for _, score, *_ in want])

    def test_equal_scores_keep_their_order(self):
        """Of equal scores, the box of the first place comes first: by row, column and anchor."""
        score, t = np.full((1, 2, 2, 3), 0.5), np.zeros((1, 4, 2, 3))
        _, top = run_forward(proposal(), score, t, [[8, 12, 1]])

        np.testing.assert_array_equal(top[0].data[:, 1:3], [[0, 0], [4, 0], [8, 0], [0, 4], [4, 4], [8, 4]])

    def test_small_boxes_come_last(self):
        """A box that is too small has the score 0, whatever the net says, and still is put out."""
        t = np.zeros((1, 4, 1, 3))
        t[0, 2, 0, 1] = -1
        _, top = run_forward(proposal(min_size=3), [[[[0, 0, 0]], [[0.5, 0.9, 0.7]]]], t, [[4, 12, 1]], tops=2)

        np.testing.assert_array_equal(top[1].data[:, 0], [0.7, 0.5, 0])

    def test_halves_of_anchors_are_rounded_away_from_0(self):
        """The ratio 0.5 of 18 pixels: √(18² / 0.5) = 25.46 becomes 25, and 12.5 becomes 13, not the even 12."""
        layer = proposal(base_size=18, ratio=[0.5])
        run_forward(layer, *answers(1, 2, 3), [[8, 12, 1]])

        np.testing.assert_array_equal(layer.anchors[:, 2:] - layer.anchors[:, :2] + 1, [[25, 13]])

    def test_a_shift_without_end(self):
        """A growth that overflows gives the whole image. Of one that is NaN, a pixel is left that is too small."""
        t = np.zeros((1, 4, 1, 2))
        t[0, 2:, 0] = [[1e30, np.nan], [1e30, 0]]
        _, top = run_forward(proposal(np.float32, min_size=3), [[[[0, 0]], [[0.5, 0.9]]]], t, [[8, 12, 1]])

        np.testing.assert_array_equal(top[0].data[0], [0, 0, 0, 11, 7])
        assert np.isfinite(top[0].data).all()

    @pytest.mark.parametrize(("message", "fields"), [
        ("proposal_param.ratio must be given, and be positive, got []", {"ratio": []}),
        ("proposal_param.scale must be given, and be positive, got [8.0, 0.0]", {"scale": [8, 0]}),
        ("proposal_param.feat_stride must be positive, got 0", {"feat_stride": 0}),
        ("proposal_param.nms_thresh must be between 0 and 1, got 1.5", {"nms_thresh": 1.5}),
    ])
    def test_errors(self, message, fields):
        """Wrong parameters are errors that show what was given."""
        with pytest.raises(LayerError, match=re.escape(message)):
            run_forward(proposal(**fields), *answers(1, 2, 3), [[8, 12, 1]])

    @pytest.mark.parametrize(("message", "score", "t", "info"), [
        ("bottom[0], the scores, must be (N, 2, H, W) for 1 anchors, got (1, 4, 2, 3)",
         (1, 4, 2, 3), (1, 4, 2, 3), (1, 3)),
        ("bottom[1], the shifts, must be (1, 4, 2, 3) for 1 anchors and scores (1, 2, 2, 3), got (1, 8, 2, 3)",
         (1, 2, 2, 3), (1, 8, 2, 3), (1, 3)),
        ("bottom[2], the image, must be (1, 3): height, width and scale, got (1, 2)",
         (1, 2, 2, 3), (1, 4, 2, 3), (1, 2)),
        ("bottom[2], the image, must be (2, 3): height, width and scale, got (1, 6)",
         (2, 2, 5, 3), (2, 4, 5, 3), (1, 6)),
    ])
    def test_errors_of_blobs(self, message, score, t, info):
        """Blobs that do not fit the anchors or each other are errors that show their shapes."""
        with pytest.raises(LayerError, match=re.escape(message)):
            run_forward(proposal(), normal(*score), normal(*t), normal(*info))


class TestBuiltIn:
    @pytest.mark.parametrize(("param_str", "stride", "ratios", "scales"), [
        (STRIDE, 16, (0.5, 1, 2), (8, 16, 32)),
        ("param_str: \"'feat_stride': 8 \\n'scales': !!python/tuple [4, 8]\"", 8, (0.5, 1, 2), (4, 8)),
        ("param_str: \"{'feat_stride': 4, 'scales': [2, 4, 8], 'ratios': [1, 3]}\"", 4, (1, 3), (2, 4, 8)),
    ])
    @pytest.mark.parametrize(("phase", "before", "after"), [(TEST, 6000, 300), (TRAIN, 12000, 2000)])
    def test_formula(self, param_str, stride, ratios, scales, phase, before, after, folder):
        """param_str says where the anchors lie, and the phase how many boxes there are, as in py-faster-rcnn."""
        A = len(ratios) * len(scales)
        score, t = answers(A, 9, 11)
        info = np.array([[130.0, 160.0, 1.25]])
        layer = built_in(param_str, phase)
        _, top = run_forward(layer, score, t, info, tops=2)
        want = naive(score[0], t[0], info[0], anchors_of(16, ratios, scales), stride, before, after, 0.7, 16)

        assert (layer.before, layer.after) == (before, after)
        np.testing.assert_allclose(top[0].data, [(0, *box) for _, *box in want], rtol=1e-12, atol=1e-9)
        np.testing.assert_array_equal(top[1].data[:, 0], [score for score, *_ in want])

    def test_nothing_is_large_enough(self, folder):
        """Where all boxes are too small the tops have no rows; the next pass may have some again."""
        layer = built_in()
        bottom, top = run_forward(layer, *answers(9, 2, 3), [[32, 48, 4]], tops=2)
        assert ((0, 5), (0, 1)) == (top[0].shape, top[1].shape)
        bottom[2].data[0, 2] = 1
        layer.Forward(bottom, top)

        assert top[0].shape[0] > 0

    def test_it_is_no_foreign_code(self, folder):
        """Without a module of that name, a net that must run no foreign code has the layer."""
        net = make(NET, TEST, allow_python=False)
        net.blobs["info"].data[...] = [48, 64, 1]
        net.forward()
        rois = net.blobs["rois"].data

        assert len(rois) > 1
        assert (rois >= 0).all()
        assert (rois.max(axis=0)[3:] == [63, 47]).all()
        assert not net.layers[-1].users_code

    @pytest.mark.parametrize("package", [True, False])
    def test_the_users_own_file_wins(self, folder, package, caplog):
        """A file of that name in the current folder runs, with a notice; it is refused where foreign code is."""
        (folder / "rpn").mkdir()
        (folder / "rpn" / "proposal_layer.py").write_text(FILE)
        if package:
            (folder / "rpn" / "__init__.py").write_text("")
        with caplog.at_level(logging.INFO, "minicaffe"):
            net = make(NET, TEST)
        net.forward()

        assert (net.blobs["rois"].data == 7).all()
        assert re.search(r"layer 'proposal' \(Python\) runs ProposalLayer of rpn.proposal_layer\.py, and not the "
                         r"rpn\.proposal_layer\.ProposalLayer that is built in", caplog.text)
        with pytest.raises(LayerError, match=r"would run the code of module 'rpn\.proposal_layer'"):
            make(NET, TEST, allow_python=False)

    def test_a_package_of_that_name_is_not_imported(self, folder):
        """To look for the user's file, nothing is imported: a package without this module is passed by."""
        (folder / "rpn").mkdir()
        (folder / "rpn" / "__init__.py").write_text("raise RuntimeError('imported')")

        assert make(NET, TEST, allow_python=False).blobs["rois"].shape == (1, 5)

    @pytest.mark.parametrize(("message", "param_str"), [
        ("python_param.param_str must say feat_stride, got nothing", ""),
        ("python_param.param_str must say feat_stride, got 16", 'param_str: "16"'),
        ("python_param.param_str is not YAML", "param_str: \"{'feat_stride'\""),
        ("python_param.param_str has base, which py-faster-rcnn's layer does not read",
         "param_str: \"{'feat_stride': 16, 'base': 3}\""),
        ("python_param.param_str must have a positive number for feat_stride", "param_str: \"'feat_stride': -16\""),
        ("python_param.param_str must have a positive number for feat_stride", "param_str: \"'feat_stride': [16]\""),
        ("python_param.param_str must have a list of positive numbers for scales",
         "param_str: \"{'feat_stride': 16, 'scales': 8}\""),
        ("python_param.param_str must have a list of positive numbers for ratios",
         "param_str: \"{'feat_stride': 16, 'ratios': []}\""),
    ])
    def test_errors(self, message, param_str, folder):
        """A param_str that says something else is an error that shows it."""
        with pytest.raises(LayerError, match=re.escape(message)):
            run_forward(built_in(param_str), *answers(9, 2, 3), [[32, 48, 1]])

    def test_one_image_alone(self, folder):
        """As in py-faster-rcnn, a batch of two images is refused."""
        with pytest.raises(LayerError, match=r"bottom\[0\] \(2, 18, 5, 3\) must have one image"):
            run_forward(built_in(), *answers(9, 5, 3, N=2), [[80, 48, 1]] * 2)
