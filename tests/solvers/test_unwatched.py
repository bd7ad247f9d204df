"""Trainings that nobody watches: what a solver says by itself of NaN, and the doctor of a loss that grows."""

import gc
import logging
import random
import weakref

import numpy as np
import pytest
from nets import feed, make

from minicaffe.errors import SolverError
from minicaffe.solvers.doctor.doctor import Doctor
from minicaffe.solvers.doctor.growth import Growth


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """What a failure saves goes into a folder of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def warnings_of(caplog, what):
    return [record.getMessage() for record in caplog.records
            if record.levelno == logging.WARNING and what in record.getMessage()]


NOT_FINITE = "a value is not finite"


def bad(fields=""):
    """A solver whose third sample is NaN."""
    solver = feed(make(fields, dtype=np.float32))
    solver.net.blobs["x"].data[2] = np.nan
    return solver


# --- NaN from Python ---------------------------------------------------------------------------------


@pytest.mark.parametrize("go", [lambda solver: solver.solve(), lambda solver: solver.step(4),
                                lambda solver: [solver.step(1) for _ in range(4)]], ids=["solve", "step", "steps"])
def test_a_solver_warns_once_and_goes_on(caplog, folder, go):
    """From Python, training goes on through NaN as Caffe's does, after one warning; nothing is saved."""
    solver = bad("max_iter: 4 snapshot_after_train: false")
    go(solver)

    told, = warnings_of(caplog, NOT_FINITE)
    assert "iteration 0: a value is not finite, first in top blob 'x' of layer 'x' (Input)" in told
    assert "the training goes on" in told
    assert "solver.on_nan" in told
    assert solver.iter == 4
    assert list(folder.iterdir()) == []


def test_what_grows_into_nan_later_is_seen(caplog):
    """The history goes on over many calls of step(1), so the causes know how the loss has grown."""
    solver = feed(make("base_lr: 300", dtype=np.float32))
    for _ in range(50):
        solver.step(1)

    told, = warnings_of(caplog, NOT_FINITE)
    assert "1. the learning rate is too high: the gradients' L2 norm has grown" in told


def test_stop(folder):
    """on_nan "stop" raises where the command line does, in the first call or a later one, and saves the pass."""
    solver = bad()
    solver.on_nan = "stop"
    with pytest.raises(SolverError, match=NOT_FINITE):
        solver.step(1)
    later = feed(make(dtype=np.float32))
    later.on_nan = "stop"
    later.step(2)
    later.net.blobs["x"].data[2] = np.nan
    with pytest.raises(SolverError, match=r"(?s)iteration 2: .*minicaffe replay minicaffe_iter_2_failure\.npz"):
        later.step(1)
    from minicaffe.solvers.doctor.failure import Replay
    assert Replay("minicaffe_iter_2_failure.npz").run().key[0] == "x"


def test_ignore(caplog):
    """on_nan "ignore" looks at nothing, and another word is an error."""
    solver = bad()
    solver.on_nan = "ignore"
    solver.step(3)
    assert warnings_of(caplog, NOT_FINITE) == []
    assert solver.net.after_layer == []
    solver.on_nan = "stopp"
    with pytest.raises(SolverError, match="on_nan must be one of 'warn', 'stop', 'ignore', got 'stopp'"):
        solver.step(1)


def test_a_change_of_mind_counts(caplog):
    """on_nan may be set between two steps."""
    solver = bad()
    solver.on_nan = "ignore"
    solver.step(1)
    solver.on_nan = "warn"
    solver.step(1)
    assert len(warnings_of(caplog, NOT_FINITE)) == 1
    solver.on_nan = "stop"
    with pytest.raises(SolverError, match=NOT_FINITE):
        solver.step(1)


def test_nothing_is_left_on_the_nets_between_steps():
    """A user's own passes are not looked at, and a test net can still be played from its recording."""
    solver = feed(make("test_iter: 1 test_interval: 100", dtype=np.float32))
    solver.step(2)

    for net in (solver.net, *solver.test_nets):
        assert net.after_layer == net.before_layer == net.after_backward == []
    assert solver.on_update == solver.on_gradients_ready == []


def test_a_doctor_that_was_called_is_alone(caplog):
    """Where somebody has called a Doctor, the solver does not watch too."""
    solver = bad()
    Doctor(solver, stop=False)
    solver.step(2)

    told = warnings_of(caplog, NOT_FINITE)
    assert all("--on-nan warn" in one for one in told)
    assert len([one for one in told if "top blob 'x'" in one]) == 1


# --- a loss that grows ---------------------------------------------------------------------------------


def when(losses):
    """The iteration at which a loss counts as grown, or None."""
    growth = Growth()
    told = [i for i, loss in enumerate(losses) if growth.grown(loss)]
    assert len(told) < 2
    return told[0] if told else None


def noisy(level, n, spread=1.0, seed=1):
    """n losses around a level, spread evenly in their logarithm."""
    draw = random.Random(seed)
    return [level * 10 ** draw.uniform(-spread / 2, spread / 2) for _ in range(n)]


@pytest.mark.parametrize(("losses", "at"), [
    ([2.3] + [87.3365] * 50, 10),
    ([2.3, 5, 30] + [1e3 * 2 ** i for i in range(20)], 11),
    ([2.3 * 1.1 ** i for i in range(100)], 44),
    (noisy(2.3, 100) + noisy(400, 100), 109),
    ([2.3] * 5 + [0.5] * 100 + [50] * 100, 114),
    ([1e5] * 30 + [1e7] * 30, 39),
    ([2.3] * 30 + [21] * 100, None),
    ([2.3 * 0.9 ** i for i in range(100)] + [2.0] * 100, None),
    (noisy(2.3, 2000), None),
    (noisy(2.3, 2000, 2), None),
    (noisy(0.01, 1000, 2), None),
    (noisy(2.3, 300) + noisy(0.02, 300) + noisy(0.4, 300), None),
    ([2.3] * 20 + [100] * 9 + [2.3] * 20, None),
    ([1e-6] * 50 + [1e-2] * 50, None),
    ([0.0] * 20 + [0.7] * 100, None),
    ([-1.0, 20.0] + [500.0] * 100, None),
    ([1.0, -20.0] + [500.0] * 100, None),
    ([1.0] * 5 + [float("nan")] * 3 + [500.0] * 100, None),
    ([1.0] * 20 + [500.0] * 5 + [float("inf")] * 20, None),
], ids=["a jump", "fast", "slow", "noisy and grown", "after a fall", "large", "nine times", "back to its beginning",
        "noisy", "very noisy", "noisy near 0", "rises below its beginning", "a spell", "tiny", "from 0",
        "negative at first", "negative later", "nan", "inf"])
def test_growth(losses, at):
    """Tenfold, in all of the last ten iterations, above its beginning: then, and once; else never."""
    assert when(losses) == at


def test_the_doctor_says_that_a_loss_grows(caplog):
    """A rate that is too high is named before the first NaN, with the cure; once, also where it goes on growing."""
    solver = feed(make("base_lr: 2.4", dtype=np.float64))
    solver.step(60)

    told, = warnings_of(caplog, "has grown")
    assert "and stays there, though it is finite: the training diverges" in told
    assert "1. the learning rate is too high for this net: try base_lr: 0.24" in told
    assert np.isfinite(solver.loss)


def test_the_growth_can_be_silenced(caplog):
    """A rule that is silenced says nothing."""
    solver = feed(make("base_lr: 2.4", dtype=np.float64))
    solver.silence = frozenset({"loss-growth"})
    solver.step(60)

    assert warnings_of(caplog, "has grown") == []


def test_a_training_that_goes_well_hears_nothing(caplog):
    """No word of growth where the loss falls."""
    feed(make("base_lr: 0.1", dtype=np.float64)).step(100)

    assert warnings_of(caplog, "") == []


def test_a_solver_that_nobody_uses_is_gone_at_once():
    """The watching holds no net back, whose data layers would keep their threads until the garbage is collected."""
    gc.collect()
    gc.disable()
    try:
        solver = feed(make(dtype=np.float32))
        solver.step(2)
        net = weakref.ref(solver.net)
        del solver
        assert net() is None
    finally:
        gc.enable()
