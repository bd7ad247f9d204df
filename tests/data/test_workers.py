"""The threads that share out the samples of a batch."""

import copy
import gc
import os
import threading
import time

import numpy as np
import pytest
from extras import needs

from minicaffe.data.workers import Workers
from minicaffe.io import image


def running():
    """The threads of all pools that are alive."""
    return {thread for thread in threading.enumerate() if thread.name == "data"}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_keep_the_order(count):
    """Each item is worked on once, and the results stand in the items' order."""
    workers = Workers(count)
    assert workers.map(lambda x: x * x, range(37)) == [x * x for x in range(37)]
    assert workers.map(str, []) == []
    workers.close()
    assert workers.map(str, [1, 2, 3]) == ["1", "2", "3"]


def test_several_threads_work():
    """Two items that wait for each other are worked on at the same time."""
    workers, meeting = Workers(2), threading.Barrier(2, timeout=30)
    workers.map(lambda _: meeting.wait(), range(2))
    workers.close()


def test_the_first_error_is_raised():
    """Of several errors, that of the first item is raised, whichever thread was quicker; the pool goes on."""
    workers = Workers(3)

    def work(x):
        if x in (4, 9):
            time.sleep(0.05 if x == 4 else 0)
            raise ValueError(x)
        return x

    for _ in range(2):
        with pytest.raises(ValueError, match="4"):
            workers.map(work, range(12))
    workers.close()


@pytest.mark.parametrize("end", ["close", "collect"])
def test_the_threads_end(end):
    """The threads end with close, and with the pool."""
    before = running()
    workers = Workers(4)
    workers.map(lambda x: time.sleep(0.001), range(40))
    started = running() - before
    assert len(started) == 3
    if end == "close":
        workers.close()
    del workers
    gc.collect()
    for thread in started:
        thread.join(30)
    assert not running() & started


def test_a_copy_has_threads_of_its_own():
    """After the original has ended, its copy works on."""
    workers = Workers(3)
    other = copy.deepcopy(workers)
    workers.close()
    assert other.map(str, range(3)) == ["0", "1", "2"]
    assert other.count == 3
    other.close()


def test_planes():
    """An image whose channels lie side by side is copied plane by plane; another is returned as it is."""
    needs("cv2")
    x = np.random.default_rng(0).integers(0, 256, (3, 7, 5), dtype=np.uint8)
    decoded = image.decode(image.encode(x), "x")
    for part in (np.s_[:], np.s_[:, 1:6, 2:5]):
        assert not decoded[part].flags.c_contiguous
        assert image.planes(decoded[part]).flags.c_contiguous
        assert (image.planes(decoded[part]) == x[part]).all()
    assert image.planes(x) is x
    assert image.planes(decoded[:1]).base is decoded.base


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this machine has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("closed", [False, True])
def test_a_forked_process_has_threads_of_its_own(closed):
    """They are new ones; without them, each job would wait in the inbox for ever. A closed pool stays closed."""
    workers = Workers(3)
    assert workers.map(lambda i: i + 1, range(7)) == list(range(1, 8))
    if closed:
        workers.close()
    child = os.fork()
    if not child:
        same = workers.map(lambda i: i * i, range(7)) == [i * i for i in range(7)]
        os._exit(0 if same and threading.active_count() == (1 if closed else 3) else 3)
    assert os.waitpid(child, 0)[1] == 0
    workers.close()


def test_the_items_of_the_next_call():
    """Threads begin with them before that call, each item is worked on once, and other items give their own results."""
    begun, done = threading.Event(), []

    def work(i):
        done.append(i)
        if i == 10:
            begun.set()
        return 2 * i

    workers = Workers(3)
    assert workers.map(work, range(4), range(10, 17)) == [0, 2, 4, 6]
    assert begun.wait(10)
    assert workers.map(work, range(10, 17), range(20, 29)) == list(range(20, 34, 2))
    assert workers.map(work, range(30, 33)) == [60, 62, 64]  # not what was announced
    assert sorted(done)[:11] == [0, 1, 2, 3, *range(10, 17)]
    assert workers.map(work, range(20, 29)) == list(range(40, 58, 2))
    workers.close()


def test_items_that_are_announced_and_not_asked_for():
    """The threads leave most of them alone, and after `close` a call for them is still answered."""
    gate, done = threading.Event(), []

    def work(i):
        if i >= 10:
            gate.wait(10)
        done.append(i)
        return i

    workers = Workers(3)
    workers.map(work, range(4), range(10, 400))
    workers.map(work, range(5, 8))  # nobody asks for 10 to 399 any more
    gate.set()
    workers.map(work, range(2))
    assert len([i for i in done if i >= 10]) <= 2  # one for each thread that had begun
    workers.map(work, range(3), range(20, 27))
    workers.close()
    assert workers.map(work, range(20, 27)) == list(range(20, 27))
