"""How outputs are compared: what counts as the range, and what cannot be compared."""

import numpy as np
import pytest
from net_tools import fully_connected, inputs, layer
from onnx_tools import net_of

from minicaffe.convert import proof
from minicaffe.errors import NetError

X = inputs(x=(2, 3))
OURS = np.array([[-1.0, 0, 3]], np.float32)


def of(theirs, ours=OURS, at_least=proof.TINY):
    return proof.difference("y", [(np.asarray(ours, np.float32), np.asarray(theirs, np.float32))], at_least)


def test_the_difference_is_a_part_of_the_range():
    found = of([[-1, 0, 3.0002]])
    assert found.largest == pytest.approx(2e-4, rel=1e-3)
    assert found.part == pytest.approx(5e-5, rel=1e-3)
    assert not found.fails


def test_above_the_limit():
    assert of([[-1, 0.0005, 3]]).fails


@pytest.mark.parametrize(("ours", "size"), [([[7.0, 8]], 8), ([[-7.0, -8]], 8), ([[-7.0, 8]], 15), ([[5.0]], 5)])
def test_the_range_has_0_in_it(ours, size):
    assert of(ours, ours).range == size


def test_the_range_of_a_bounded_output():
    """All probabilities may be near 0, where rounding is large beside them."""
    assert of([[2e-9]], [[1e-9]]).fails
    assert not of([[2e-9]], [[1e-9]], 1.0).fails


def test_all_runs_of_a_kind_count():
    pairs = [(OURS, OURS), (10 * OURS, 10 * OURS + 1)]
    found = proof.difference("y", pairs)
    assert (found.largest, found.range) == (1, 40)


def test_nothing_but_0():
    assert not of([[0, 0]], [[0, 0]]).fails


def test_another_shape():
    found = of(OURS[0])
    assert found.fails
    assert str(found) == "its shape is 3, and should be 1×3"


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_numbers_that_are_none(strange):
    """Where ours is none either, theirs does not matter."""
    found = of([[-1, strange, 3]])
    assert found.fails
    assert str(found) == "1 of 3 numbers are NaN or infinity, and should not be"
    assert not of([[-1, 5, 3]], [[-1, strange, 3]]).fails


def test_nan_of_ours_is_said():
    """It is no difference of numbers, but the other program does not compute what the net does."""
    nan = np.nan
    pairs = [(np.array([1, nan, nan]), np.array([1.0, 2, nan])), (np.array([nan]), np.ones(1))]
    assert str(proof.difference("y", pairs)) == (
        "the largest difference is 0, or 0.0e+00 of the range; where the other program has 2 numbers, the net has NaN")


@pytest.mark.parametrize(("text", "want"), [
    (layer("Sigmoid", "x", "y"), 1), (layer("TanH", "x", "y"), 1), (layer("ReLU", "x", "y"), proof.TINY),
    (layer("Softmax", "x", "s") + layer("Dropout", "s", "s", name="d") + layer("Flatten", "s", "y"), 1),
    (layer("Sigmoid", "x", "s") + layer("Sigmoid", "x", "y") + layer("Power", "s", "p"), 1),
    (fully_connected("x", "y", 4) + layer("Sigmoid", "y", "y", name="s"), 1),
    (fully_connected("x", "y", 4) + layer("Sigmoid", "y", "y", name="s") + layer("ReLU", "y", "y", name="r"),
     proof.TINY)])
def test_what_bounds_an_output(text, want):
    assert proof.bound(net_of(X + text), "y") == want


def test_random_runs():
    """Numbers around 1 and around 50 go in, and the outputs are those of the net."""
    runs = list(proof.random_runs(net_of(X + layer("Power", "x", "y", "power_param { scale: 2 }")), ["y"]))
    small, large = (run.inputs["x"] for run in runs)
    np.testing.assert_allclose(50 * small, large, rtol=1e-6)
    for run in runs:
        np.testing.assert_array_equal(2 * run.inputs["x"], run.outputs["y"])


def test_runs_that_show_nothing_are_left_out():
    """Of large numbers the exponential is infinite here; of the root of all negative numbers nothing is left."""
    one = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 1 } } }"
    net = net_of(one + layer("Exp", "x", "y", "exp_param { scale: 90 }"))
    kinds = [run.kind for run in proof.random_runs(net, ["y"])]
    assert kinds == ["random numbers around 1"]


def test_no_run_at_all():
    net = net_of(X + layer("ReLU", "x", "y"))
    with pytest.raises(NetError, match="so nothing can be compared"):
        proof.prove(net, [], lambda inputs: [])


def test_the_worst_kind_is_shown():
    net = net_of(X + layer("ReLU", "x", "y"))
    runs = [proof.run_on(net, kind, {"x": np.full((2, 3), size)}, ["y"]) for kind, size in (("a", 1), ("b", 2))]
    found = proof.prove(net, runs, lambda inputs: [inputs["x"] + (inputs["x"] > 1)])
    assert not found.holds
    assert ["'y': the largest difference is 1, or 5.0e-01 of the range (b)"] == list(found.lines())


@pytest.mark.parametrize("text", [
    inputs(x=(4, 2, 3), cont=(4, 2)) + layer(
        "LSTM", "x cont", "y", "recurrent_param { num_output: 5 weight_filler { type: 'xavier' } }"),
    inputs(x=(4, 3), cont=(4, 1)) + layer(
        "Lstm", "x cont", "y", "lstm_param { num_output: 5 weight_filler { type: 'gaussian' std: 0.5 } }")])
def test_recurrent_layers_begin_anew(text):
    """A second run on the same numbers gives the same, though cont goes on with the sequence."""
    net = net_of(text)
    given = {name: np.ones(net.blobs[name].shape) for name in net.inputs}
    first, second = (proof.run_on(net, "", given, ["y"]).outputs["y"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
