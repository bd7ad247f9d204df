"""The prefetch thread: order, errors, and an end that leaves nothing behind."""

import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from minicaffe.blob import Blob
from minicaffe.data import prefetch
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.data.prefetch import Prefetcher
from minicaffe.errors import DataError
from minicaffe.layers.data.data import DataLayer


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
    """close ends a thread that waits for room in the queue; `take` after that is an error and does not wait."""
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


def test_a_source_that_hangs_is_left_behind(monkeypatch):
    """close returns False for a source that never answers; a late answer is dropped."""
    monkeypatch.setattr(prefetch, "LONGEST_CLOSE", 0.1)
    answer, made = threading.Event(), []
    prefetcher = Prefetcher(lambda: made.append(answer.wait(30)), depth=2)

    assert not prefetcher.close()
    with pytest.raises(RuntimeError, match="closed"):
        prefetcher.take()
    answer.set()
    for thread in threads():
        thread.join(30)
    assert prefetcher.close()
    assert [True] == made
    with pytest.raises(RuntimeError, match="closed"):
        prefetcher.take()


def test_a_layer_whose_source_hangs_is_not_moved(monkeypatch, tmp_path):
    """Setting the cursor while the thread hangs is an error: two threads must not work with the same batches."""
    monkeypatch.setattr(prefetch, "LONGEST_CLOSE", 0.1)
    write_lmdb(tmp_path / "x", [("a", make(np.zeros((1, 2, 3), np.uint8), 0))])
    layer = DataLayer(name="d", data_param={"source": str(tmp_path / "x"), "backend": "LMDB", "batch_size": 1})
    layer.SetUp([], [Blob()])
    answer = threading.Event()
    layer._prefetcher.close()
    layer._prefetcher = Prefetcher(lambda: answer.wait(30), depth=1)
    with pytest.raises(DataError, match=r"layer 'd' \(Data\): the thread that reads the data gets no answer"):
        layer.cursor = 5
    answer.set()
    layer.close()


def test_ctrl_c_while_a_file_is_read(tmp_path):
    """Ctrl-C ends a process whose data threads wait for a drive that is gone."""
    (tmp_path / "x.png").touch()
    (tmp_path / "list.txt").write_text("x.png 0\n")
    script = ("import signal, threading\nfrom minicaffe.data import images, prefetch\nprefetch.LONGEST_CLOSE = 0.1\n"
              "images.read_listed = lambda *path: threading.Event().wait()\n"
              "from minicaffe import Net, TEST\n"
              "threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT)).start()\n"
              "Net('net.prototxt', TEST)\n")
    (tmp_path / "net.prototxt").write_text('layer { name: "d" type: "ImageData" top: "x" top: "y" '
                                           'image_data_param { source: "list.txt" } }')
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False,
                          cwd=tmp_path, env={"PYTHONPATH": ":".join(p or os.getcwd() for p in sys.path)})

    assert "KeyboardInterrupt" == done.stderr.strip().splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="raises SIGINT by a timer of POSIX")
@pytest.mark.parametrize("end", ["del found", "found.close()"])
def test_ctrl_c_while_a_prefetcher_ends(end):
    """Where the garbage collector waits for a source that hangs, Ctrl-C ends the wait and prints nothing."""
    script = ("import signal, threading\nfrom minicaffe.data.prefetch import Prefetcher\n"
              "found = Prefetcher(threading.Event().wait, 1)\n"
              "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
              "signal.setitimer(signal.ITIMER_REAL, 0.2)\n"
              f"try:\n    {end}\nexcept KeyboardInterrupt:\n    print('asked')\nprint('over')")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert "" == done.stderr
    assert ("over" if end == "del found" else "asked\nover") == done.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this machine has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_while_the_thread_holds_the_lock_of_the_queue():
    """In the child nobody would ever release that lock, so `close` must not ask for it."""
    prefetcher = Prefetcher(lambda: 7, 2)
    with prefetcher._items.mutex:
        child = os.fork()
        if not child:
            signal.alarm(5)
            prefetcher.close()
            os._exit(0)
    prefetcher.close()

    assert 0 == os.waitpid(child, 0)[1]
