"""Solver states, binary and HDF5. A file's content decides how it is read, its name how it is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io import hdf5
from minicaffe.io.binary import SolverSnapshot, read_solverstate, sniff, write_solverstate
from minicaffe.io.files import PathLike, is_hdf5_name
from minicaffe.io.wrong_file import right_file_hint, wrong_file

LARGEST = 2**31 - 1  # Caffe's counters are ints


def read(path: PathLike) -> SolverSnapshot:
    """Read a .solverstate or .solverstate.h5 file; the content decides which.

    Raise ProtoError or DataError where the file is missing, of another kind, or damaged. The message names the right
    file if it is in the same folder.
    """
    kind = sniff(path)
    if kind == "hdf5":
        state = hdf5.read_file(path, lambda file: _read_hdf5(file, path))
    elif kind == "solverstate":
        state = read_solverstate(path)
    else:
        raise wrong_file(path, kind, "solverstate")
    for name, value in (("iter", state.iter), ("current_step", state.current_step)):
        if not 0 <= value <= LARGEST:
            raise DataError(f"{name} must lie from 0 to {LARGEST}, got {value}", where=str(path),
                            hint="the file is damaged, or something else than Caffe wrote it")
    return state


def write(path: PathLike, state: SolverSnapshot) -> None:
    """Write a solver state, as HDF5 where `is_hdf5_name` says so, and else in binary."""
    if is_hdf5_name(path):
        hdf5.write_file(path, lambda file: _write_hdf5(file, state))
    else:
        write_solverstate(path, state.iter, state.learned_net, state.current_step, state.history)


def _read_hdf5(file: Any, path: PathLike) -> SolverSnapshot:
    if not hdf5.has(file, "iter") or not hdf5.has(file, "history"):
        if hdf5.has(file, "data"):
            raise wrong_file(path, "caffemodel", "solverstate")
        raise DataError("this HDF5 file lacks 'iter' or 'history', so it is no solver state", where=str(path),
                        hint=right_file_hint(path, "solverstate"))
    learned_net = hdf5.string(hdf5.member(file, "learned_net")) if hdf5.has(file, "learned_net") else ""
    stored = hdf5.member(file, "history")
    history = [hdf5.array(hdf5.member(stored, str(i))) for i in range(len(hdf5.names(stored)))]
    iteration, step = (hdf5.integer(hdf5.member(file, name)) for name in ("iter", "current_step"))
    return SolverSnapshot(iteration, learned_net, step, history)


def _write_hdf5(file: Any, state: SolverSnapshot) -> None:
    file.create_dataset("iter", data=np.array([state.iter], np.int32))
    hdf5.write_string(file, "learned_net", state.learned_net)
    file.create_dataset("current_step", data=np.array([state.current_step], np.int32))
    group = file.create_group("history")
    for i, array in enumerate(state.history):
        group.create_dataset(str(i), data=array)
