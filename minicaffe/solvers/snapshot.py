"""Snapshots: PREFIX_iter_N.caffemodel with the weights, PREFIX_iter_N.solverstate with all else.

    .caffemodel    the net with its learned blobs; any program of Caffe's reads it
    .solverstate   iter, the name of the .caffemodel, current_step, history

With snapshot_format: HDF5 both names get a further .h5. The weights are on the disk before the state that names
them is begun, and each file takes its name only when it is whole.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minicaffe.errors import SolverError
from minicaffe.io import caffemodel, hdf5, solverstate
from minicaffe.io.beside import sibling
from minicaffe.log import log, warn
from minicaffe.proto import SolverParameter
from minicaffe.proto.binary import SolverSnapshot

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver


def check_writable(solver: Solver) -> None:
    """SolverError at the start, rather than after hours of training, where no snapshot could be written."""
    p = solver.param
    folder = Path(p.snapshot_prefix).parent
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise SolverError(f"cannot write snapshots to {p.snapshot_prefix!r}: {str(folder)!r} is no folder that may "
                          "be written to", where=solver.where, hint=f"mkdir -p {folder}")
    if p.snapshot_format == SolverParameter.HDF5:
        hdf5.require()


def write(solver: Solver) -> str:
    """Write both files; the name of the weights' file."""
    is_hdf5 = solver.param.snapshot_format == SolverParameter.HDF5
    base, tail = f"{solver.param.snapshot_prefix}_iter_{solver.iter}", ".h5" if is_hdf5 else ""
    model, state = f"{base}.caffemodel{tail}", f"{base}.solverstate{tail}"
    kind = "HDF5" if is_hdf5 else "binary proto"
    log("solver.cpp:474" if is_hdf5 else "solver.cpp:464", f"Snapshotting to {kind} file {model}")
    caffemodel.write(model, solver.net, solver.param.snapshot_diff)
    log("sgd_solver.cpp:296" if is_hdf5 else "sgd_solver.cpp:284", f"Snapshotting solver state to {kind} file {state}")
    solverstate.write(state, SolverSnapshot(solver.iter, model, solver.current_step, solver.history))
    return model


def restore(solver: Solver, path: str) -> None:
    """Take weights, history, iteration and step from a solver state and the weights that it names.

    Nothing of the solver changes before both files have been read and found to fit.
    """
    state = solverstate.read(path)
    history = _fitting(solver, state.history, path)
    if state.learned_net:
        solver.net.copy_trained_from(_learned_net(state.learned_net, path))
    log("sgd_solver.cpp:336", "SGDSolver: restoring history")
    solver.iter, solver.current_step = state.iter, state.current_step
    for mine, stored in zip(solver.history, history, strict=True):
        mine[...] = stored
    _advance_data(solver)


def _advance_data(solver: Solver) -> None:
    """Let the train net's data layers go on at the record that iteration `iter` begins with."""
    for layer in solver.net.layers:
        batch = getattr(layer.param, "batch_size", 0)
        if batch and hasattr(layer, "cursor") and not getattr(layer.param, "rand_skip", 0):
            layer.cursor = solver.iter * solver.param.iter_size * batch
            log("sgd_solver.cpp:336", f"Data layer {layer.name} goes on after {layer.cursor} samples")


def _fitting(solver: Solver, history: list[np.ndarray], path: str) -> list[np.ndarray]:
    """The stored history in the shapes of the solver's own."""
    if len(history) != len(solver.history):
        raise SolverError(f"this state has {len(history)} history blobs, but {solver.type} keeps "
                          f"{len(solver.history)} for the {len(solver.net.learnable_params)} parameters of net "
                          f"{solver.net.name!r}", where=path,
                          hint="it was written by another type of solver or for another net")
    for i, (mine, stored) in enumerate(zip(solver.history, history, strict=True)):
        if mine.size != stored.size:
            param = solver.net.learnable_params[i % len(solver.net.learnable_params)]
            raise SolverError(f"history blob {i} has the shape {stored.shape}, but blob {param.index} of layer "
                              f"{param.layer!r} is {mine.shape}", where=path)
    return [stored.reshape(mine.shape) for mine, stored in zip(solver.history, history, strict=True)]


def _learned_net(name: str, state_path: str) -> str:
    """The weights' file as the state names it, else of that name beside the state, else of the state's own name."""
    beside = Path(state_path).parent / Path(name).name
    for path in (Path(name), beside):
        if path.is_file():
            return str(path)
    renamed = sibling(state_path, "caffemodel")
    if not renamed:
        raise SolverError(f"the weights of this state, {name}, are neither there nor beside it", where=state_path,
                          hint=f"put them at {beside}")
    warn("sgd_solver.cpp:324", f"{state_path} names its weights {name}, which is not there: reading {renamed}")
    return renamed
