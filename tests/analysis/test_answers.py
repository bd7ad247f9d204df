"""Which blobs hold a net's answers and labels."""

import numpy as np
import pytest
from net_tools import fully_connected, inputs, layer, make

from minicaffe import TEST
from minicaffe.analysis.answers import find
from minicaffe.errors import NetError
from minicaffe.layer import LossLayer, registry

HEAD = inputs(x=(4, 3), t=(4,), u=(4, 2)) + fully_connected("x", "f", 5) + fully_connected("x", "g", 2)


def test_a_loss_is_asked_before_a_measure():
    """Accuracy and a loss read the scores through Splits, whose names nobody knows."""
    found = find(make(HEAD + layer("SoftmaxWithLoss", "f t", "loss") + layer("Accuracy", "f t", "a"), TEST).param)

    assert ("f", "t", "one class", "loss") == (found.scores, found.label, found.decides, found.layer)


def test_accuracy_alone():
    """A measure says it where there is no loss, also what it ignores."""
    found = find(make(HEAD + layer("Accuracy", "f t", "a", "accuracy_param { ignore_label: 3 }"), TEST).param)

    assert ("f", "t", 1, 3) == (found.scores, found.label, found.axis, found.ignore_label)


def test_the_last_of_several_losses():
    """Auxiliary losses come before the one that counts; --output asks for another."""
    param = make(HEAD + layer("SoftmaxWithLoss", "f t", "aux")
                 + layer("SigmoidCrossEntropyLoss", "g u", "loss"), TEST).param

    assert ("g", "u", "yes or no", ("f",)) == (lambda a: (a.scores, a.label, a.decides, a.others))(find(param))
    assert ("f", "t", "one class") == (lambda a: (a.scores, a.label, a.decides))(find(param, "f"))


def test_users_loss(monkeypatch):
    """A type from outside that says what it decides is found as ours are."""
    made = type("MineLayer", (LossLayer,), {
        "type": "Mine", "decides": "one class", "reshape": lambda self, b, t: t[0].reshape(()),
        "forward": lambda self, b, t: None})
    monkeypatch.setitem(registry._types, "Mine", made)

    assert "f" == find(make(HEAD + layer("Mine", "f t", "loss"), TEST).param).scores


@pytest.mark.parametrize(("last", "plain", "decides"), [
    (layer("Softmax", "f", "p"), False, "one class"), (layer("Sigmoid", "f", "p"), False, "yes or no"),
    (layer("TanH", "f", "p"), True, "one class")])
def test_a_net_without_labels(last, plain, decides):
    """The only output holds the answers, and its layer says whether they are probabilities."""
    found = find(make(inputs(x=(4, 3)) + fully_connected("x", "f", 5) + last, TEST).param)

    assert ("p", "", plain, decides) == (found.scores, found.label, found.plain, found.decides)


def test_errors_name_the_blobs():
    """An unknown blob, and a net that leaves the choice open."""
    net = make(HEAD, TEST)

    with pytest.raises(NetError, match=r"--output: the net has no blob 'ff'\n.*'f'"):
        find(net.param, "ff")
    with pytest.raises(NetError, match="compares scores of classes with labels, and it has 4 outputs"):
        find(net.param)


def test_a_loss_is_no_answer():
    """A net that predicts numbers has no scores of classes, and its loss is none."""
    regression = inputs(x=(4, 3), u=(4, 2)) + fully_connected("x", "g", 2) + layer("EuclideanLoss", "g u", "loss")
    with pytest.raises(NetError, match="and it has no output that is not a loss"):
        find(make(regression, TEST).param)
    assert "g" == find(make(regression, TEST).param, "g").scores


def test_probabilities():
    """The softmax or the sigmoid of scores; a class for each place of a map."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 5, 3, 4)).astype(np.float32)
    net = make(inputs(x=(2, 5, 3, 4), t=(2, 3, 4)) + layer("SoftmaxWithLoss", "x t", "loss"), TEST)
    p = find(net.param).probabilities(x)

    e = np.exp(x)
    np.testing.assert_allclose((e / e.sum(axis=1, keepdims=True))[1, :, 2, 3], p[23], rtol=1e-5)
    assert (24, 5) == p.shape
    yes = make(inputs(x=(2, 3), t=(2, 3)) + layer("SigmoidCrossEntropyLoss", "x t", "loss"), TEST)
    np.testing.assert_allclose(1 / (1 + np.exp(-x[:, :3, 0, 0])), find(yes.param).probabilities(x[:, :3, 0, 0]), 1e-5)


def test_probabilities_are_not_squashed_again():
    """MultinomialLogisticLoss reads probabilities, and so does an Accuracy behind a Softmax."""
    text = inputs(x=(4, 5), t=(4,)) + layer("Softmax", "x", "p")

    assert not find(make(text + layer("MultinomialLogisticLoss", "p t", "loss"), TEST).param).plain
    assert not find(make(text + layer("Accuracy", "p t", "a"), TEST).param).plain
    assert find(make(text + layer("HingeLoss", "x t", "loss"), TEST).param).plain
