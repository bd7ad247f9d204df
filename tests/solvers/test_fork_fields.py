"""Solver fields that forks of Caffe have added."""

import pytest

from minicaffe.errors import SolverError
from minicaffe.proto import SolverParameter, text
from minicaffe.solvers import fork_fields, lr_policy


def solver(source):
    return text.parse(source, SolverParameter())


@pytest.mark.parametrize(("field", "cure"), [
    ("rampup_interval: 100", "warmup_iter"), ("plateau_winsize: 10", "plateau_patience"), ("larc: true", "lr_mult"),
    ('momentum_policy: "poly"', "momentum that stays"), ("rectified: false", "plain Adam"),
    ("min_lr: 0.1", "leave it out")])
def test_what_changes_the_training_is_refused(field, cure):
    """The error names the field, its value and what to write instead."""
    with pytest.raises(SolverError, match=f"^{field} belongs to a fork of Caffe") as caught:
        fork_fields.check(solver(field))

    assert cure in caught.value.hint


def test_the_line_is_named(tmp_path):
    """The error points into the solver's file."""
    path = tmp_path / "solver.prototxt"
    path.write_text("base_lr: 0.1\nmin_lr: 0.01\n")

    with pytest.raises(SolverError) as caught:
        fork_fields.check(solver(path.read_text()), str(path))
    assert caught.value.where == f"{path}:2"


@pytest.mark.parametrize(("field", "words"), [
    ('eval_type: "detection"', "eval_type asks for the test of a detector"),
    ("stagelr: 0.1", "stagelr has no effect: only lr_policy multifixed"),
    ("show_per_class_result: true", "show_per_class_result belongs to a fork"),
    ("solver_data_type: FLOAT16", "minicaffe trains in float32")])
def test_what_has_no_effect_is_said(caplog, field, words):
    """It is a warning, and the training goes on."""
    fork_fields.check(solver(field))
    fork_fields.warn_of(solver(field))

    assert words in caplog.text


def test_a_default_or_an_engine_says_nothing(caplog):
    """A field that is set to its default changes nothing, and how to compute is left aside."""
    quiet = solver('eval_type: "classification" solver_data_type: FLOAT min_lr: 0 engine: "MKLDNN" '
                   "store_blobs_in_old_format: true")
    fork_fields.check(quiet)
    fork_fields.warn_of(quiet)

    assert not caplog.records


@pytest.mark.parametrize("policy", fork_fields.POLICIES)
def test_a_policy_of_a_fork_has_its_cure(policy):
    """An unknown lr_policy that a fork has gets a hint of its own."""
    with pytest.raises(SolverError) as caught:
        lr_policy.check(solver(f'lr_policy: "{policy}" base_lr: 0.1'))

    assert fork_fields.POLICIES[policy] == caught.value.hint
