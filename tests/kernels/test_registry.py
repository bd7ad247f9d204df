"""Kernels by name, and which implementation of them runs."""

import numpy as np
import pytest
from extras import needs

from minicaffe import kernels
from minicaffe.errors import EngineError
from minicaffe.kernels import registry


def test_a_kernel_by_name():
    """kernels.im2col is the registered kernel with the reference's docstring."""
    assert kernels.kernels()["im2col"] is kernels.im2col
    assert kernels.im2col.reference.__doc__ == kernels.im2col.__doc__


def test_an_unknown_kernel():
    """A kernel that does not exist is an AttributeError that names it."""
    with pytest.raises(AttributeError, match="there is no kernel 'im3col'"):
        kernels.im3col  # noqa: B018


def test_numpy_runs_every_reference():
    """The engine numpy makes every kernel its own reference."""
    kernels.use_engine("numpy")

    assert kernels.engine() == "numpy"
    assert all(k.active is k.reference for k in kernels.kernels().values())


def test_numba_runs_twins_and_else_references():
    """The engine numba runs a kernel's twin where there is one."""
    needs("numba")
    kernels.use_engine("numba")

    assert kernels.im2col.active is kernels.im2col.twins["numba"]
    assert kernels.scatter_add.active is kernels.scatter_add.reference


def test_auto_is_the_fastest_installed():
    """The engine auto is the last one that is available."""
    assert kernels.use_engine("auto") == kernels.available_engines()[-1]


def test_the_environment_chooses(monkeypatch):
    """MINICAFFE_ENGINE chooses when nobody has."""
    monkeypatch.setenv("MINICAFFE_ENGINE", "numpy")
    monkeypatch.setattr(registry, "_engine", "")

    assert kernels.engine() == "numpy"


def test_an_unknown_engine():
    """An unknown engine is an error with the known ones and the nearest."""
    with pytest.raises(EngineError, match=r"no engine 'numbe'; known are auto, numpy, numba\n.*'numba'"):
        kernels.use_engine("numbe")


def test_an_engine_that_is_not_installed(monkeypatch):
    """An engine whose library is missing is an error with the command that installs it."""
    monkeypatch.setitem(registry.ENGINES, "numba", ("minicaffe.kernels.jit", "no_such_library", "fast"))
    with pytest.raises(EngineError, match=r"pip install 'minicaffe\[fast\]'"):
        kernels.use_engine("numba")


def test_a_name_is_taken_once():
    """Two kernels of one name are an error."""
    with pytest.raises(EngineError, match="the kernel 'im2col' is defined twice"):
        registry.kernel(kernels.im2col.reference)


def test_a_twin_of_entries_sees_float32_alone():
    """Where the first array is of other numbers, or one is of float64, the reference runs."""
    made, f, d, i = registry.Kernel(lambda *arrays, **more: "reference"), *(np.zeros(2, kind) for kind in "fdi")
    made.twin("any", entries=True)(lambda *arrays, **more: "twin")

    assert ["twin"] * 3 == [made.twins["any"](*a) for a in ((f,), (3, None, f, i), ([d], f))]
    assert ["reference"] * 4 == [made.twins["any"](*a) for a in ((d,), (f, d), (i, f), (2.5, i))]


def test_a_sharded_kernel_sees_slices_of_all_arrays(monkeypatch):
    """Each piece of a sharded kernel gets the same images of every array, and the other arguments whole."""
    monkeypatch.setattr(registry.ShardedKernel, "PIECE", 10)

    def double(x, factor, y):
        y[...] = x * factor
        sizes.append(len(x))

    sizes = []
    made = registry.ShardedKernel(lambda x, factor, y: None)
    made.active = double
    x, y = np.arange(105.0).reshape(7, 5, 3), np.zeros((7, 5, 3))
    made(x, 2, y)

    np.testing.assert_array_equal(2 * x, y)
    assert sorted(sizes) == [1] * 7
