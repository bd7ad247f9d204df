"""The proof column: right gradients agree, a wrong one differs in its own layer, and a kink is called one."""

import numpy as np
import pytest
from net_tools import fully_connected, inputs, layer
from traced import IMAGES, LSTM, NETS, TWO_LAYERS, net_of

from minicaffe.layer import layer_class
from minicaffe.testing.net_slopes import Slope
from minicaffe.trace import session
from minicaffe.trace.proof import verdict


def verdicts(data):
    """Layer -> role -> the letters of its diffs, in the backward pass."""
    found = {}
    for moment in data["moments"]:
        for proof in moment["proofs"]:
            roles = found.setdefault(data["layers"][moment["layer"]]["name"], {})
            roles[proof["role"]] = roles.get(proof["role"], "") + proof["verdicts"]
    return found


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


WRONG = {  # what is planted: the type, the change of its backward, a net with it, the layer to blame
    "sign of dx": ("InnerProduct", lambda layer, top, bottom: np.negative(bottom[0].diff, out=bottom[0].diff),
                   TWO_LAYERS, "y"),
    "factor of dw": ("Convolution", lambda layer, top, bottom: np.multiply(layer.blobs[0].diff, 1.02,
                                                                           out=layer.blobs[0].diff), IMAGES, "conv"),
    "shifted dx": ("Pooling", lambda layer, top, bottom: bottom[0].diff.__setitem__(
        ..., np.roll(bottom[0].diff, 1, axis=3)), IMAGES, "pool"),
    "in place": ("ReLU", lambda layer, top, bottom: np.multiply(bottom[0].diff, 0.5, out=bottom[0].diff), IMAGES,
                 "relu"),
    "bias": ("LSTM", lambda layer, top, bottom: layer.blobs[1].diff.fill(0.25), LSTM, "y"),
    "loss": ("SoftmaxWithLoss", lambda layer, top, bottom: np.add(bottom[0].diff, 0.01, out=bottom[0].diff), IMAGES,
             "loss")}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_backward_is_red_in_its_own_layer(monkeypatch, mistake):
    kind, spoil, text, guilty = WRONG[mistake]
    cls = layer_class(kind)
    right = cls.backward

    def wrong(self, top, propagate_down, bottom):
        right(self, top, propagate_down, bottom)
        if self.name == guilty:
            spoil(self, top, bottom)

    monkeypatch.setattr(cls, "backward", wrong)
    data = session.of_net(net_of("force_backward: true " + text), proofs=16)
    assert blamed(data) == [guilty]
    letters = verdicts(data)[guilty]
    assert "d" not in letters["top"]
    assert "d" in letters.get("bottom", "") + letters.get("param", "")


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


@pytest.mark.slow
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
