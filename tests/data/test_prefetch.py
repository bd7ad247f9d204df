"""The prefetch thread: order, errors, and an end that leaves nothing behind."""

import gc
import itertools
import subprocess
import sys
import threading
import time

import pytest

from minicaffe.data.prefetch import Prefetcher
from minicaffe.errors import DataError


def threads():
    """The prefetch threads alive."""
    return [t for t in threading.enumerate() if t.name == "prefetch"]


def test_order_and_depth():
    """Items come in the order they were made, and no more than depth + 1 are made ahead."""
    counter = itertools.count()
    made = []
    prefetcher = Prefetcher(lambda: made.append(next(counter)) or made[-1], depth=3)
    time.sleep(0.05)

    assert len(made) == 4  # three wait, one is in the thread's hand
    assert prefetcher.peek() == 0
    assert [prefetcher.take() for _ in range(20)] == list(range(20))
    prefetcher.close()


def test_errors_reach_the_caller():
    """What making an item raises is raised when its turn comes, and again after that."""
    items = iter([7, DataError("record 'x' is broken")])

    def make():
        item = next(items)
        if isinstance(item, Exception):
            raise item
        return item

    prefetcher = Prefetcher(make, depth=4)
    assert prefetcher.take() == 7
    for _ in range(2):
        with pytest.raises(DataError, match="record 'x' is broken"):
            prefetcher.take()
    prefetcher.close()


def test_close_ends_the_thread():
    """close ends a thread that waits for room; what is asked for afterwards is an error, not a hang."""
    prefetcher = Prefetcher(itertools.count().__next__, depth=1)
    prefetcher.close()
    prefetcher.close()

    assert threads() == []
    with pytest.raises(RuntimeError, match="closed"):
        prefetcher.take()


def test_garbage_ends_the_thread():
    """A prefetcher that nobody refers to takes its thread with it."""
    prefetcher = Prefetcher(itertools.count().__next__, depth=2)
    assert len(threads()) == 1
    del prefetcher
    gc.collect()

    assert threads() == []


@pytest.mark.parametrize("end", ["", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"])
def test_interpreter_exit(end):
    """A process that ends, by itself or by Ctrl-C, with a thread waiting or working, ends at once."""
    script = ("import itertools, time\nfrom minicaffe.data.prefetch import Prefetcher\n"
              "a = Prefetcher(itertools.count().__next__, 2)\n"
              "b = Prefetcher(lambda: time.sleep(0.2), 2)\na.take()\n" + end)
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False,
                          env={"PYTHONPATH": ":".join(p or "." for p in sys.path)})

    assert time.monotonic() - began < 10
    assert ("" if not end else "KeyboardInterrupt") == (done.stderr.strip().splitlines() or [""])[-1]
