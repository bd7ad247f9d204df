"""Recordings of compiled tasks: running one again makes the same calls on what memory holds then."""

import threading

import numpy as np
import pytest

from minicaffe import kernels
from minicaffe.kernels import recording, shards

pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")

from some_tasks import ran, scale_add


def test_it_runs_on_what_memory_holds_now():
    """The recorded calls read and write the same arrays, in their order."""
    x, y = np.array([1, 2, 3], np.float32), np.zeros(3, np.float32)
    with recording.recording() as recorded:
        scale_add(1, x, y, 3, 1, 2.0)
        scale_add(3, y, y, 3, 3, 1.0)
    x[:], y[:] = [10, 20, 30], 1
    recorded.as_function()()

    assert 2 == len(recorded.calls)
    assert [42.0, 82.0, 122.0] == y.tolist()


def test_recordings_are_joined():
    """A recording takes over another's calls behind its own, and keeps their arrays alive."""
    y = np.zeros(2000, np.float32)

    def recorded(n):
        with recording.recording() as made:
            scale_add(2, np.full(n, n, np.float32), y, n, 2, 1.0)
        return made

    joined = recording.Recording()
    for n in (3, 2000):
        joined.extend(recorded(n))
    y.fill(0)
    joined.as_function()()

    assert [2003.0] * 3 + [2000.0] * 1997 == y.tolist()


def test_an_empty_recording():
    """A recording without calls is a function that does nothing."""
    with recording.recording() as recorded:
        pass

    assert recorded.as_function()() is None


@pytest.mark.parametrize("unrecorded", [
    lambda: kernels.matmul.on("numpy")(np.ones((2, 3)), np.ones((3, 4)), np.ones((2, 4))),
    lambda: shards.run(lambda i: None, 2)], ids=["numpy", "pieces"])
def test_an_unusable_recording(unrecorded):
    """A recording that misses something refuses to become a function, alone or joined to another."""
    with recording.recording() as recorded:
        unrecorded()
    joined = recording.Recording()
    joined.extend(recorded)

    for one in (recorded, joined):
        assert not one.usable
        with pytest.raises(ValueError, match="unusable"):
            one.as_function()


def test_a_dry_run_computes_nothing():
    """In a dry run no task runs, no call is kept, and other code is told not to run."""
    seen = []
    with recording.recording(dry_run=True) as made:
        assert [0, 0] == ran(2)
        shards.run(seen.append, 2)

        assert recording.mark_unusable()
    assert ([], []) == (seen, made.calls)
    assert not recording.mark_unusable()


def test_a_thread_makes_its_own_recording():
    """What another thread calls is not recorded here, and a recording inside another takes its calls alone."""
    y = np.zeros(3, np.float32)
    with recording.recording() as outer:
        other = threading.Thread(target=lambda: scale_add(1, None, y, 3, 1, 1.0))
        other.start()
        other.join()
        with recording.recording() as inner:
            scale_add(1, None, y, 3, 1, 1.0)

    assert [0, 1] == [len(one.calls) for one in (outer, inner)]
    assert recording.current() is None
