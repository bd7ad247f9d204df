"""Learning rate policies against their formulas, number by number."""

import math

import pytest

from minicaffe.errors import SolverError
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import lr_policy


def rates(fields, count):
    """The first rates of a policy, as a solver asks for them."""
    p = proto_text.parse(fields, SolverParameter())
    current_step, found = 0, []
    for t in range(count):
        rate, current_step = lr_policy.learning_rate(p, t, current_step)
        found.append(rate)
    return found


@pytest.mark.parametrize(("fields", "expected"), [
    ('lr_policy: "fixed" base_lr: 0.5', [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]),
    ('lr_policy: "step" base_lr: 8 gamma: 0.5 stepsize: 2', [8, 8, 4, 4, 2, 2]),
    ('lr_policy: "exp" base_lr: 8 gamma: 0.5', [8, 4, 2, 1, 0.5, 0.25]),
    ('lr_policy: "inv" base_lr: 6 gamma: 1 power: 1', [6, 3, 2, 1.5, 1.2, 1]),
    ('lr_policy: "multistep" base_lr: 8 gamma: 0.5 stepvalue: 1 stepvalue: 4', [8, 4, 4, 4, 2, 2]),
    ('lr_policy: "poly" base_lr: 16 power: 2 max_iter: 4', [16, 9, 4, 1, 0, 1]),
    ('lr_policy: "sigmoid" base_lr: 2 gamma: 1 stepsize: 1',
     [2 / (1 + math.exp(1 - t)) for t in range(6)]),
    ('lr_policy: "cosine" base_lr: 2 max_iter: 4', [2, 1 + math.sqrt(0.5), 1, 1 - math.sqrt(0.5), 0]),
])
def test_each_policy_follows_its_formula(fields, expected):
    """The first rates are those worked out by hand."""
    assert expected == pytest.approx(rates(fields, len(expected)), abs=1e-12)


def test_two_equal_stepvalues_take_two_iterations():
    """Caffe's quirk: multistep takes one step an iteration at most."""
    fields = 'lr_policy: "multistep" base_lr: 8 gamma: 0.5 stepvalue: 1 stepvalue: 1'

    assert [8, 4, 2, 2] == rates(fields, 4)


def test_warm_up_rises_in_a_line_to_the_policy():
    """Warmup_iter leads from warmup_start_lr to the policy's own rate."""
    fields = 'lr_policy: "fixed" base_lr: 5 warmup_iter: 4 warmup_start_lr: 1'

    assert [1, 2, 3, 4, 5, 5] == rates(fields, 6)


@pytest.mark.parametrize(("fields", "words"), [
    ('lr_policy: "stp" base_lr: 1', ["'stp'", "did you mean 'step'"]),
    ("base_lr: 1", ["lr_policy is missing", "fixed"]),
    ('lr_policy: "step" gamma: 0.1', ["'step'", "stepsize", "at least 1", "got 0"]),
    ('lr_policy: "sigmoid" gamma: 0.1', ["stepsize", "got 0"]),
    ('lr_policy: "exp" gamma: -0.5', ["gamma", "at least 0", "got -0.5"]),
    ('lr_policy: "poly" base_lr: 1', ["'poly'", "max_iter must be given", "got 0"]),
    ('lr_policy: "poly" base_lr: 1 max_iter: 0', ["poly", "nan", "iteration 0", "max_iter 0"]),
])
def test_what_makes_no_rate_is_refused(fields, words):
    """The error names the policy, the field and the value."""
    with pytest.raises(SolverError) as error:
        rates(fields, 1)

    assert [] == [word for word in words if word not in str(error.value)]


@pytest.mark.parametrize(("fields", "line"), [("gamma: 0.1", 2), ("gamma: 0.1\nstepsize: 0", 4)])
def test_a_missing_field_is_said_at_the_policy(fields, line, tmp_path):
    """Where the field that a policy needs is missing, the error has the line of the policy."""
    file = tmp_path / "solver.prototxt"
    file.write_text(f'base_lr: 1\nlr_policy: "step"\n{fields}\n')
    with pytest.raises(SolverError, match="stepsize must be at least 1") as error:
        lr_policy.check(proto_text.parse(file.read_text(), SolverParameter()), str(file))

    assert f"{file}:{line}" == error.value.where


def test_poly_beyond_max_iter_is_refused():
    """A root of a negative number is an error, not a complex rate."""
    with pytest.raises(SolverError, match="nan at iteration 3; it ends at max_iter 2"):
        rates('lr_policy: "poly" base_lr: 1 power: 0.5 max_iter: 2', 4)
