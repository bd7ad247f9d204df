"""The proof column: right gradients agree, a wrong one differs in its own layer, and a kink is called one."""

import json

import numpy as np
import pytest
from net_tools import fully_connected, inputs, layer
from traced import ASKED, IMAGES, INCEPTION, LSTM, NETS, NORMALIZED, SIAMESE, TWO_LAYERS, net_of

from minicaffe.layer import layer_class
from minicaffe.testing.net_slopes import Slope
from minicaffe.trace import recorder, session
from minicaffe.trace.proof import NO_SLOPES, Proofs, affordable, verdict

pytestmark = pytest.mark.slow  # each proof runs a net many times


def verdicts(data):
    """Layer -> role -> the letters of its diffs, in the backward pass."""
    found = {}
    for moment in data["moments"]:
        for proof in moment["proofs"]:
            roles = found.setdefault(data["layers"][moment["layer"]]["name"], {})
            roles[proof["role"]] = roles.get(proof["role"], "") + proof["verdicts"]
    return found


@pytest.fixture
def proofs_alone(monkeypatch):
    """No line is traced and no products are looked for, which takes most of the time and changes no proof."""
    monkeypatch.setattr(recorder.Recorder, "_start", lambda self, i, way: None)
    for way in ("forward", "backward"):
        monkeypatch.setattr(recorder.products, way, lambda *args: [])


MEASURED = {}  # text of a net -> place of a number -> slope


@pytest.fixture
def slopes_once(monkeypatch):
    """The slopes of each net are measured once: they come from forward passes, whatever is wrong in a backward."""
    measure = Proofs._slope

    def slope(self, *place):
        known = MEASURED.setdefault(str(self.net.param), {})
        if place not in known:
            known[place] = measure(self, *place)
        return known[place]

    monkeypatch.setattr(Proofs, "_slope", slope)


def blamed(data):
    return [data["layers"][moment["layer"]]["name"] for moment in data["moments"] if moment.get("verdict") == "differs"]


@pytest.mark.parametrize("name", NETS)
def test_right_gradients_agree(name):
    data = session.of_net(net_of(NETS[name]), proofs=30)
    letters = "".join(text for roles in verdicts(data).values() for text in roles.values())
    measured = letters.replace("-", "")
    assert set(measured) <= {"a", "k"}
    assert measured.count("a") > 0.9 * len(measured)
    assert blamed(data) == []


GUILTY = {  # what is wrong: the type, a net with it, the layer's name
    "InnerProduct": (TWO_LAYERS, "y"), "Convolution": (INCEPTION, "three"), "Pooling": (IMAGES, "pool"),
    "ReLU": (IMAGES, "relu"), "LSTM": (LSTM, "y"), "SoftmaxWithLoss": (IMAGES, "loss"), "LRN": (INCEPTION, "n"),
    "Concat": (INCEPTION, "all"), "Scale": (NORMALIZED, "scale"), "BatchNorm": (NORMALIZED, "norm"),
    "Sigmoid": (ASKED, "s"), "EuclideanLoss": (TWO_LAYERS, "loss"), "Dropout": (NORMALIZED, "d"),
    "TanH": (SIAMESE, "ta")}


ASKS = "force_backward: true "


def turned(diff):
    """The numbers of an array as if its axes had been swapped."""
    return np.ascontiguousarray(diff.T).reshape(diff.shape)


MISTAKES = {"sign": np.negative, "factor": lambda diff: diff * np.float32(1.02), "transposition": turned,
            "shift": lambda diff: np.roll(diff, diff.size // 2)}


@pytest.mark.usefixtures("proofs_alone", "slopes_once")
@pytest.mark.parametrize(("kind", "mistake"), [(kind, mistake) for kind in GUILTY for mistake in MISTAKES])
def test_a_wrong_backward_is_red_in_its_own_layer(monkeypatch, kind, mistake):
    text, guilty = GUILTY[kind]
    cls = layer_class(kind)
    right = cls.backward

    def wrong(self, top, propagate_down, bottom):
        right(self, top, propagate_down, bottom)
        if self.name == guilty:
            for blob, asked in zip(bottom, propagate_down, strict=True):
                if asked:
                    blob.diff[...] = MISTAKES[mistake](blob.diff)

    monkeypatch.setattr(cls, "backward", wrong)
    assert_blamed(session.of_net(net_of(text.replace(ASKS, "") + ASKS), proofs=16), guilty)


LEARNING = ["InnerProduct", "Convolution", "LSTM", "Scale"]


@pytest.mark.usefixtures("proofs_alone", "slopes_once")
@pytest.mark.parametrize(("kind", "mistake", "place"), [
    (kind, mistake, place) for kind in LEARNING for mistake in [*MISTAKES, "missing sum"] for place in (0, 1)
    if mistake != "transposition" or (place == 0 and kind != "Scale")])  # a vector turned is the same vector
def test_a_wrong_gradient_of_a_parameter_is_red_in_its_own_layer(monkeypatch, kind, mistake, place):
    text, guilty = GUILTY[kind]
    cls = layer_class(kind)
    right = cls.backward

    def wrong(self, top, propagate_down, bottom):
        right(self, top, propagate_down, bottom)
        if self.name == guilty:
            diff = self.blobs[place].diff
            if mistake == "missing sum":
                kept = [blob.diff.copy() for blob in bottom]
                dy = top[0].diff.copy()
                top[0].diff[1:] = 0
                self.blobs[place].clear_diff()
                right(self, top, propagate_down, bottom)
                top[0].diff[...] = dy
                for blob, values in zip(bottom, kept, strict=True):
                    blob.diff[...] = values
            else:
                diff[...] = MISTAKES[mistake](diff)

    monkeypatch.setattr(cls, "backward", wrong)
    assert_blamed(session.of_net(net_of(text.replace(ASKS, "") + ASKS), proofs=16), guilty)


def assert_blamed(data, guilty):
    """One layer is to blame; where others are red, so is what they got from above."""
    assert blamed(data) == [guilty]
    for name, letters in verdicts(data).items():
        red = "d" in letters.get("bottom", "") + letters.get("param", "")
        assert red if name == guilty else not red or "d" in letters["top"]


def test_a_parameter_that_is_overwritten_instead_of_added_to_is_red_where_that_happens(monkeypatch):
    cls = layer_class("InnerProduct")
    right = cls.backward

    def wrong(self, top, propagate_down, bottom):
        if self.name == "ha":  # its parameters are those of hb, which has run backward before it
            for blob in self.blobs:
                blob.clear_diff()
        right(self, top, propagate_down, bottom)

    monkeypatch.setattr(cls, "backward", wrong)
    assert_blamed(session.of_net(net_of(SIAMESE), proofs=16), "ha")


@pytest.mark.usefixtures("proofs_alone")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", NETS)
def test_right_gradients_agree_whatever_the_numbers_are(name, seed):
    net, draw = net_of(NETS[name]), np.random.default_rng(seed)
    for param in net.learnable_params:
        param.blob.data[...] += 0.3 * draw.standard_normal(param.blob.shape)
    for blob in (net.blobs[one] for one in net.inputs if one not in ("label", "same", "cont")):
        blob.data[...] = draw.standard_normal(blob.shape)
    data = session.of_net(net, proofs=8, seed=seed)
    assert "d" not in "".join(letters for roles in verdicts(data).values() for letters in roles.values())


def test_a_deliberate_difference_is_explained_and_not_red():
    net = net_of(SIAMESE)
    net.blobs["b"].data[...] = net.blobs["a"].data + 0.02  # near pairs: Caffe adds 0.0001 to a small distance
    data = session.of_net(net)
    assert blamed(data) == []
    notes = [moment.get("note", "") for moment in data["moments"] if moment["pass"] == "backward"]
    assert sum("without the 0.0001 that Caffe adds" in note for note in notes) == 1


def test_a_kink_is_called_one_and_shows_both_sides():
    net = net_of("force_backward: true " + inputs(x=(3,)) + layer("ReLU", "x", "y") + layer(
        "Reduction", "y", "loss", "loss_weight: 1"))
    net.blobs["x"].data[...] = [-1, 0, 2]
    data = session.of_net(net)
    proof = next(proof for moment in data["moments"] for proof in moment["proofs"]
                 if data["layers"][moment["layer"]]["name"] == "y" and proof["role"] == "bottom")
    assert proof["verdicts"] == "aka"
    np.testing.assert_allclose(proof["sides"]["1"], [0, 1], atol=1e-6)


def test_a_diff_outside_of_both_sides_of_a_kink_differs():
    slope = Slope(0.5, 0.0, 1.0, True, 1e-6)
    assert [verdict(diff, slope, 1.0) for diff in (0.0, 0.3, 1.0, 1.5, -0.5, np.nan)] == list("kkkddd")


def test_a_slope_that_was_not_measured_is_no_verdict():
    data = session.of_net(net_of(TWO_LAYERS), proofs=2)
    proof = next(proof for moment in data["moments"] for proof in moment["proofs"] if len(proof["slopes"]) > 2)
    assert proof["verdicts"][:2] == "aa"
    assert set(proof["verdicts"][2:]) == {"-"}
    assert proof["slopes"][2:] == [None] * (len(proof["slopes"]) - 2)


def test_a_dropout_in_the_net_keeps_its_mask_while_slopes_are_measured():
    text = TWO_LAYERS.replace('bottom: "h" top: "y"', 'bottom: "d" top: "y"') + ""
    text = text.replace('layer { name: "y"', layer("Dropout", "h", "d") + 'layer { name: "y"')
    data = session.of_net(net_of(text))
    assert set("".join(letters for roles in verdicts(data).values() for letters in roles.values())) == {"a"}


def test_a_large_net_gets_fewer_slopes_and_more_iterations_too():
    small = net_of(TWO_LAYERS)
    large = net_of(inputs(x=(3, 2000), t=(3, 4)) + layer(
        "InnerProduct", "x", "h", "inner_product_param { num_output: 40000 }") + layer(
        "InnerProduct", "h", "y", "inner_product_param { num_output: 4 }") + layer("EuclideanLoss", "y t", "loss"))
    assert affordable(small) == 64
    assert affordable(large) == 16
    assert affordable(large, 10) == 2
    assert affordable(large, 10 ** 6) == 0


def test_where_the_loss_is_no_number_no_slope_is_measured_and_the_page_says_so():
    net = net_of(TWO_LAYERS)
    net.blobs["x"].data[0, 1] = np.nan
    data = session.of_net(net)
    assert NO_SLOPES in data["notes"]
    assert not any(moment["proofs"] for moment in data["moments"])
    json.dumps(data, allow_nan=False)


def test_beside_an_infinity_that_does_not_reach_the_loss_no_slope_is_measured():
    net = net_of("force_backward: true " + inputs(x=(2, 3)) + layer("Clip", "x", "y", "clip_param { min: -1 max: 1 }")
                 + layer("Reduction", "y", "loss", "loss_weight: 1"))
    net.blobs["x"].data[0, 1] = np.inf
    letters = verdicts(session.of_net(net))
    assert set(letters["y"]["bottom"]) == {"-"}
    assert set(letters["y"]["top"]) == {"a"}


def test_what_cancels_to_zero_agrees():
    """Half of 100 labels are 1: the parts of the only bias's diff cancel to 0, the measured slope but for rounding."""
    net = net_of(inputs(x=(100, 3), t=(100, 1)) + fully_connected("x", "score", 1) +
                 layer("SigmoidCrossEntropyLoss", "score t", "loss"))
    net.blobs["t"].data[...] = np.arange(100)[:, np.newaxis] >= 50
    for param in net.params["score"]:
        param.data[...] = 0
    data = session.of_net(net, proofs=2)
    bias = next(proof for moment in data["moments"] for proof in moment["proofs"]
                if data["blobs"][proof["blob"]]["name"] == "score b")
    assert ([0], "a") == (data["arrays"][bias["array"]]["values"], bias["verdicts"])
    assert bias["slopes"] != [0]


def test_a_layer_that_computes_in_float32_has_no_slopes(monkeypatch):
    """Its rounding hides them, so that right diffs would be red; the page says so instead."""
    right = layer_class("ReLU").forward

    def rounded(self, bottom, top):
        right(self, bottom, top)
        top[0].data[...] = top[0].data.astype(np.float32)

    monkeypatch.setattr(layer_class("ReLU"), "forward", rounded)
    data = session.of_net(net_of(TWO_LAYERS))

    assert not verdicts(data)
    assert any("relu computes in float32" in note for note in data["notes"])
