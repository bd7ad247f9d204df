"""Pieces on threads: each runs once, errors arrive, and no thread count changes a bit."""

import threading

import numpy as np
import pytest
from extras import needs

from minicaffe import kernels
from minicaffe.errors import EngineError
from minicaffe.kernels import blas, shards, workspace


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_piece_runs_once(threads):
    """100 pieces run, none twice, whatever the number of threads."""
    kernels.set_threads(threads)
    seen = []
    shards.run(seen.append, 100)

    assert list(range(100)) == sorted(seen)


def test_pieces_run_at_the_same_time():
    """Two threads are inside a task at once: each waits there for the other."""
    kernels.set_threads(2)
    meeting = threading.Barrier(2, timeout=10)
    shards.run(lambda i: meeting.wait(), 2)


def test_no_piece_is_no_work():
    """Zero pieces return at once."""
    shards.run(lambda i: pytest.fail("ran"), 0)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_arrives(threads):
    """The error of a piece is raised in the caller, and the threads still work afterwards."""
    kernels.set_threads(threads)
    with pytest.raises(ZeroDivisionError):
        shards.run(lambda i: 1 // (i - 5), 12)
    seen = []
    shards.run(seen.append, 12)

    assert list(range(12)) == sorted(seen)


def test_a_run_inside_a_piece_is_serial():
    """A piece that runs pieces of its own does not wait for threads that are busy with its siblings."""
    kernels.set_threads(2)
    seen = []
    shards.run(lambda i: shards.run(lambda j: seen.append((i, j)), 3), 4)

    assert [(i, j) for i in range(4) for j in range(3)] == sorted(seen)


def test_blas_keeps_to_one_thread():
    """Once pieces have multiplied matrices, BLAS has one thread: the threads are ours."""
    threadpoolctl = needs("threadpoolctl")
    blas.hold_to_one_thread.cache_clear()  # a test before this one may have held those that were loaded by then
    shards.run(lambda i: None, 2, gemm=True)

    assert {1} == {p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"}


def test_numpys_own_blas_is_found_without_threadpoolctl():
    """The OpenBLAS that comes in numpy's package obeys without the package threadpoolctl."""
    threadpoolctl = needs("threadpoolctl")
    bundled = blas._bundled()
    if not bundled:
        pytest.skip("this numpy brings no OpenBLAS of its own")
    with threadpoolctl.threadpool_limits(2, "blas"):
        assert all([blas._set_one(path) for path in bundled])

        assert {1} == {p["num_threads"] for p in threadpoolctl.threadpool_info() if "numpy" in p["filepath"]}


def test_no_threads_on_top_of_a_blas_that_has_its_own(monkeypatch):
    """Where BLAS cannot be held to one thread, matrix products run in the calling thread alone."""
    monkeypatch.setattr(shards, "hold_to_one_thread", lambda: False)
    kernels.set_threads(4)
    seen = []
    shards.run(lambda i: seen.append(threading.current_thread()), 50, gemm=True)

    assert [threading.current_thread()] * 50 == seen


@pytest.mark.parametrize("given", ["0", "-1", "two"])
def test_threads_from_the_environment_must_be_positive(given, monkeypatch):
    """A MINICAFFE_THREADS that is no positive number is an error that shows it."""
    monkeypatch.setenv("MINICAFFE_THREADS", given)
    monkeypatch.setattr(shards, "_threads", 0)
    with pytest.raises(EngineError, match=f"MINICAFFE_THREADS must be a positive number, got '{given}'"):
        shards.threads()


def test_threads_from_the_environment(monkeypatch):
    """MINICAFFE_THREADS sets the number of threads."""
    monkeypatch.setenv("MINICAFFE_THREADS", "7")
    monkeypatch.setattr(shards, "_threads", 0)

    assert shards.threads() == 7


def test_set_threads_must_be_positive():
    """set_threads(0) is an error."""
    with pytest.raises(EngineError, match="the number of threads must be positive, got 0"):
        kernels.set_threads(0)


def test_workspace_is_kept():
    """A thread gets the same memory for a slot again as long as it fits, and other memory for another slot."""
    first = workspace.borrow("test", (3, 5), np.float32)
    again = workspace.borrow("test", (7, 2), np.float32)
    other = workspace.borrow("test2", (7, 2), np.float32)

    assert np.shares_memory(first, again)
    assert not np.shares_memory(again, other)
    assert workspace.borrow("test", (5, 4), np.float32).shape == (5, 4)


@pytest.mark.parametrize("engine", kernels.available_engines())
def test_any_thread_count_gives_the_same_bits(engine):
    """Forward and both gradients of a convolution, a product and a pooling have the same bits on 1, 2 and 3 threads."""
    kernels.use_engine(engine)
    draw = np.random.default_rng(1701)
    x, w, b = (draw.standard_normal(s).astype(np.float32) for s in ((37, 6, 13, 11), (8, 3, 5, 3), 8))
    dy = draw.standard_normal((37, 8, 9, 9)).astype(np.float32)
    left, right = (draw.standard_normal(s).astype(np.float32) for s in ((190, 301), (301, 83)))
    geometry = ((1, 1), (0, 0), (1, 1), 2)

    def results():
        y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)
        product, pooled, index = np.zeros((190, 83), np.float32), np.zeros_like(dy), np.zeros(dy.shape, np.int32)
        kernels.correlate(x, w, b, *geometry, y)
        kernels.correlate_data_grad(dy, w, *geometry, dx)
        kernels.correlate_weight_grad(x, dy, *geometry, dw)
        kernels.matmul(left, right, product)
        kernels.matmul(left, right, product, add=True)
        kernels.max_pool(y, (3, 3), (1, 1), (1, 1), pooled, index)
        return [y, dx, dw, product, pooled, index]

    kernels.set_threads(1)
    expected = results()
    for threads in (2, 3):
        kernels.set_threads(threads)
        for want, got in zip(expected, results(), strict=True):
            np.testing.assert_array_equal(want, got)
