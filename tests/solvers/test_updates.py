"""Updates of a solver by hand: what becomes of gradients between the passes and the weights."""

import math

import numpy as np
import pytest
from nets import feed, gradients, make, weights

from minicaffe import kernels
from minicaffe.errors import SolverError
from minicaffe.solvers.rule import Rule


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rule_may_be_any_function(dtype):
    """A step with a rule of one's own adds the decay, calls the rule and subtracts its step."""
    w, dw, h = (np.array(values, dtype) for values in ([2.0, -4.0, 8.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]))

    def signs(dw, h, rate):
        h[...] = dw
        np.multiply(np.sign(dw), rate, out=dw)

    kernels.take_step(signs, (0.25,), 0.5, w, dw, h)

    np.testing.assert_array_equal([2.0, 0.0, 7.0], h)
    np.testing.assert_array_equal([0.25, 0.0, 0.25], dw)
    np.testing.assert_array_equal([1.75, -4.0, 7.75], w)


def test_the_numbers_of_a_rule_go_by_name():
    """Their order where they are written is free; a name that the update lacks and one left out are errors."""
    rule = Rule(kernels.adam_update, delta=4.0, beta2=3.0, rate=1.0, beta1=2.0)

    assert (kernels.adam_update, (1.0, 2.0, 3.0, 4.0)) == (rule.update, rule.numbers)
    assert () == Rule(lambda dw, h: None).numbers
    for numbers in ({"rate": 1.0, "momentun": 2.0}, {"momentum": 2.0, "rate": 1.0, "delta": 1.0}, {"rate": 1.0}):
        with pytest.raises(TypeError, match="sgd_update ends in the numbers"):
            Rule(kernels.sgd_update, **numbers)


def test_the_step_is_the_rate_times_the_gradient():
    """Plain SGD by hand: w ← w − base_lr · lr_mult · (dw + weight_decay · decay_mult · w)."""
    layer = "param { lr_mult: 2 decay_mult: 3 } param { decay_mult: 0 }"
    solver = feed(make("weight_decay: 0.25", layer=layer))
    (w, b), (dw, db) = weights(solver), gradients(solver)
    solver.step(1)

    np.testing.assert_allclose(weights(solver)[0], w - 0.1 * 2 * (dw + 0.25 * 3 * w), rtol=1e-6)
    np.testing.assert_allclose(weights(solver)[1], b - 0.1 * db, rtol=1e-6)


def test_l1_decays_by_the_sign():
    """An L1 step by hand: w ← w − base_lr · (dw + weight_decay · sign(w))."""
    solver = feed(make('weight_decay: 0.25 regularization_type: "L1"'))
    w, dw = weights(solver)[0], gradients(solver)[0]
    solver.step(1)

    np.testing.assert_allclose(w - 0.1 * (dw + 0.25 * np.sign(w)), weights(solver)[0], rtol=1e-6)


def test_adam_corrects_its_start():
    """Adam's first step is the rate times the sign of the gradient."""
    solver = feed(make('type: "Adam" momentum: 0.9 momentum2: 0.999 delta: 1e-12'))
    before, dw = weights(solver)[0], gradients(solver)[0]
    solver.step(1)

    np.testing.assert_allclose(before - weights(solver)[0], 0.1 * np.sign(dw), rtol=1e-4)


@pytest.mark.parametrize("fields", ["", "weight_decay: 0.1"])
def test_iter_size_averages_its_passes(fields):
    """Three passes over one batch take the step of a single one."""
    once, thrice = feed(make(fields)), feed(make(f"iter_size: 3 {fields}"))
    for mine, theirs in zip(thrice.net.params["ip"], once.net.params["ip"], strict=True):
        mine.data[...] = theirs.data
    once.step(2)
    thrice.step(2)

    np.testing.assert_allclose(weights(thrice)[0], weights(once)[0], rtol=1e-12)


def test_clipping_scales_all_gradients_to_the_norm():
    """One factor brings the L2 norm over all parameters to clip_gradients."""
    solver = feed(make("clip_gradients: 0.5 base_lr: 1"))
    before, found = weights(solver), gradients(solver)
    norm = math.sqrt(sum((g**2).sum() for g in found))
    solver.step(1)
    steps = [old - new for old, new in zip(before, weights(solver), strict=True)]

    assert norm > 0.5
    assert math.sqrt(sum((s**2).sum() for s in steps)) == pytest.approx(0.5, rel=1e-6)
    np.testing.assert_allclose(steps[0], found[0] * 0.5 / norm, rtol=1e-6)


def test_a_norm_below_the_limit_is_left_alone():
    """Clipping only ever shrinks."""
    clipped, free = feed(make("clip_gradients: 1e6")), feed(make(""))
    for mine, theirs in zip(clipped.net.params["ip"], free.net.params["ip"], strict=True):
        mine.data[...] = theirs.data
    clipped.step(1)
    free.step(1)

    np.testing.assert_array_equal(weights(clipped)[0], weights(free)[0])


@pytest.mark.parametrize(("fields", "words"), [
    ('type: "AdaGrad" momentum: 0.9', ["momentum", "AdaGrad", "0.9"]),
    ('type: "RMSProp" momentum: 0.9', ["momentum", "RMSProp", "0.9"]),
    ('type: "RMSProp" rms_decay: 1', ["rms_decay", "[0, 1)", "got 1"]),
    ('type: "RMSProp" rms_decay: -0.25', ["rms_decay", "[0, 1)", "got -0.25"]),
    ('type: "Adam" momentum2: 1', ["momentum2", "[0, 1)", "got 1"]),
    ('type: "Adam" momentum: 1.5', ["momentum", "[0, 1)", "got 1.5"]),
    ('type: "Adma"', ["'Adma'", "Adam, ", "did you mean 'Adam'"]),
    ('regularization_type: "L3"', ["regularization_type", "L1 or L2", "'L3'"]),
    ("iter_size: 0", ["iter_size", "at least 1", "got 0"]),
    ("average_loss: 0", ["average_loss", "at least 1", "got 0"]),
    ("max_epoch: 3", ["max_epoch", "knows the size", "give max_iter"]),
    ("max_epoch: 3 max_iter: 5", ["max_epoch and max_iter", "got 3"]),
    ('type: "SGD" solver_type: ADAM', ["solver_type", "type", "both"]),
])
def test_what_a_type_cannot_use_is_refused(fields, words):
    """The error names the field and the value."""
    with pytest.raises(SolverError) as error:
        make(fields)

    assert [] == [word for word in words if word not in str(error.value)]


@pytest.mark.parametrize(("old", "new"), [("SGD", "SGD"), ("NESTEROV", "Nesterov"), ("ADAGRAD", "AdaGrad"),
                                          ("RMSPROP", "RMSProp"), ("ADADELTA", "AdaDelta"), ("ADAM", "Adam")])
def test_the_deprecated_enum_still_names_a_type(old, new):
    """Solver_type is upgraded to type."""
    solver = make(f"solver_type: {old}")

    assert new == solver.type
    assert new == solver.param.type
