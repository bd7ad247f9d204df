"""Compiled tasks: their arguments arrive as they were given, or are refused."""

import numpy as np
import pytest

from minicaffe import kernels

pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")

from some_tasks import scale_add


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_arguments(threads):
    """Arrays, None, whole numbers and floats arrive, and the number of threads changes no bit."""
    kernels.set_threads(threads)
    x, y = np.arange(1000, dtype=np.float32), np.ones(1000, np.float32)
    scale_add(8, x, y, 1000, 8, 0.25)
    scale_add(8, None, y, 1000, 8, -1.0)

    np.testing.assert_array_equal(0.25 * np.arange(1000), y)


def test_arrays_that_nobody_may_write_and_empty_ones():
    """A task reads a read-only array, and may be called with an empty one."""
    x, y = np.full(5, 3, np.float32), np.zeros(5, np.float32)
    x.flags.writeable = False
    scale_add(1, x, y, 5, 1, 2.0)
    scale_add(1, np.empty(0, np.float32), y, 0, 1, 2.0)

    assert [6.0] * 5 == y.tolist()


def test_arrays_with_gaps():
    """A task refuses an array whose numbers do not lie one after the other."""
    y = np.zeros(10, np.float32)
    with pytest.raises(ValueError, match="one after the other"):
        scale_add(1, None, y[::2], 5, 1, 2.0)


@pytest.mark.parametrize("wrong", [np.float32(2.5), np.float64(2.5), "2"], ids=["np.float32", "np.float64", "str"])
def test_other_arguments_are_refused(wrong):
    """What is neither an array nor None, an int nor a float raises, where int() would make 2 of a np.float32(2.5)."""
    with pytest.raises(TypeError, match=f"of the type {type(wrong).__name__}"):
        scale_add(1, None, np.zeros(5, np.float32), 5, 1, wrong)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_scalar_in_place_of_an_array_is_refused(kind):
    """A kernel that is given numpy's scalar for an array without axes does not take its bits for an address."""
    kernels.use_engine("numba")
    x = np.ones((2, 3), np.float32)
    with pytest.raises(TypeError, match="a compiled task takes arrays"):
        kernels.add_bias(x, kind(2.5), 0, x)

    kernels.add_bias(x, np.array(2.5, np.float32), 0, x)
    np.testing.assert_array_equal(np.full((2, 3), 3.5), x)
