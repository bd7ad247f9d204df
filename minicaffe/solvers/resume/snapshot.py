"""Snapshots: the three files that a training writes at iteration N, and how a training goes on from them.

    PREFIX_iter_N.caffemodel    the net with its weights; every program that reads Caffe's weights reads it
    PREFIX_iter_N.resume        what the other two do not hold (resume_file.py)
    PREFIX_iter_N.solverstate   iter, the name of the .caffemodel, current_step, history

With snapshot_format: HDF5 the first and the last end in .h5, too. The files are written in this order, and each file
gets its name only when it is whole. So a state on the disk always has the others beside it.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicaffe.errors import DataError, MinicaffeError, SolverError, out_of_memory
from minicaffe.io import caffemodel, files, hdf5, solverstate, weights
from minicaffe.io.binary import SolverSnapshot
from minicaffe.io.wrong_file import sibling
from minicaffe.layer import source_of
from minicaffe.log import At, lines, log, warn
from minicaffe.solvers.fields import parts
from minicaffe.solvers.registry import histories_of
from minicaffe.solvers.resume import group_start, keep, resume_file, run_lock
from minicaffe.solvers.schedule import shards

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver


RANDOM = r"\.[0-9a-f]{8}\.tmp"  # the end of a temporary name
# the temporary names of all files that a training writes, without .PREFIX_ at their beginning
HALF_WRITTEN = (r"(iter_\d+\.(caffemodel|solverstate)(\.h5)?|iter_\d+\.resume|iter_\d+_failure\.npz"
                r"|best\.caffemodel(\.h5)?)") + RANDOM


def check_writable(solver: Solver) -> None:
    """Raise SolverError where no snapshot can be written: at the start rather than after hours of training."""
    p = solver.param
    if solver.group.rank:  # rank 0 alone writes
        return
    tail = ".h5" if p.snapshot_format == p.HDF5 else ""
    state = f"{p.snapshot_prefix}_iter_{p.max_iter}.solverstate{tail}"
    # the file is written by its full path and read by the given one; with many ./ in it the given one may be longer
    for name in (str(files.temporary(Path(os.path.realpath(state)))), state):
        try:  # only the file system knows its own limits
            os.lstat(name)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise SolverError(f"snapshot_prefix is too long for the file system: a snapshot needs the name {name}, "
                                  f"which has {len(os.fsencode(os.path.basename(name)))} bytes in a path of "
                                  f"{len(os.fsencode(name))}", where=solver.where,
                                  hint="choose a shorter snapshot_prefix") from error
    folder = Path(os.path.dirname(p.snapshot_prefix))
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise SolverError(f"cannot write snapshots to {p.snapshot_prefix!r}: {str(folder)!r} is no folder that may "
                          "be written to", where=solver.where,
                          hint="choose another snapshot_prefix" if folder.exists() else f"mkdir -p {folder}")
    if p.snapshot_format == p.HDF5:
        hdf5.require()


def write(solver: Solver, captured: dict[str, Any]) -> str:
    """Write the three files, and remove the snapshots that are not kept. Return the name of the weights' file.

    `captured` is what `resume_file.capture` returned: the content of the resume file. Where several processes train
    together, rank 0 writes the files, and the others return "".
    """
    group_start.check_alike(solver)
    if solver.group.rank:
        return ""
    model = _write(solver, captured)
    _remove_surplus(solver)
    return model


def _write(solver: Solver, captured: dict[str, Any]) -> str:
    p = solver.param
    is_hdf5 = p.snapshot_format == p.HDF5
    base, tail = f"{p.snapshot_prefix}_iter_{solver.iter}", ".h5" if is_hdf5 else ""
    model, state = f"{base}.caffemodel{tail}", f"{base}.solverstate{tail}"
    kind = "HDF5" if is_hdf5 else "binary proto"
    written = sorted({*solver.written, solver.iter})
    log(At.SNAPSHOT_HDF5 if is_hdf5 else At.SNAPSHOT_BINARY, f"Snapshotting to {kind} file {model}")
    caffemodel.write(model, solver.net, p.snapshot_diff)
    resume_file.write(resume_file.path_beside(state), solver, captured, model, written)
    log(At.STATE_HDF5 if is_hdf5 else At.STATE_BINARY, f"Snapshotting solver state to {kind} file {state}")
    solverstate.write(state, SolverSnapshot(solver.iter, model, solver.current_step, solver.history))
    solver.written = written
    return model


def write_best(solver: Solver) -> None:
    """Give the weights of this iteration, whose test result is the best, the name PREFIX_best.caffemodel."""
    group_start.check_alike(solver)
    if solver.group.rank:
        return
    tail = ".h5" if solver.param.snapshot_format == solver.param.HDF5 else ""
    if solver.iter in solver.written:  # the loop has just written this snapshot; otherwise there is none yet
        model = f"{_base(solver)}_iter_{solver.iter}.caffemodel{tail}"
    else:
        model = _write(solver, resume_file.capture(solver))
    best = keep.name_best(model, _base(solver))
    log(At.BEST_SNAPSHOT, f"{model} is the best so far, and {best} too")
    _remove_surplus(solver)  # the former best; only now, because its successor is on the disk


@contextmanager
def alone(prefix: str, *, wait: float = 0.0, where: str = "") -> Iterator[None]:
    """Hold the lock of a prefix (run_lock.py) while the block runs. First remove the files that a killed run left."""
    with run_lock.held(prefix, wait=wait, where=where) as newly:
        if newly:
            _sweep(prefix)
        yield


def _sweep(prefix: str) -> None:
    """Remove the half-written files of a prefix.

    This is safe only under a lock that was just taken: then no living process is writing such a file.
    """
    folder, name = os.path.split(prefix)
    for path in (*Path(folder).glob(f".{glob.escape(name)}_*.tmp"), *Path(f"{prefix}.run").glob(".*.tmp")):
        if re.fullmatch(re.escape(f".{name}_") + HALF_WRITTEN + r"|\.run\.yaml" + RANDOM, path.name):
            with contextlib.suppress(OSError):
                path.unlink()
                log(At.SNAPSHOTS_KEPT, f"Removed {path}, which a killed run had begun to write")


def restore(solver: Solver, path: str) -> bool:
    """Set a solver to where a snapshot stands. Return whether there was a resume file.

    Weights, history, iteration and step come from the state and the weights' file that it names, all else from the
    resume file. Nothing of the solver changes before all files have been read and found to fit.
    """
    state, model, found = _read(path)
    if found is not None:
        _check_type(solver, resume_file.solver_type(found), path, model)
        resume_file.check_chance(found, resume_file.path_beside(path), solver)
        shards.check_restored(found, resume_file.path_beside(path), solver)
    history = _fitting(solver, state.history, path, model)
    if model:
        _copy_weights(solver, model, path)
    log(At.HISTORY_RESTORED, "SGDSolver: restoring history")
    solver.iter, solver.current_step = state.iter, state.current_step
    for mine, stored in zip(solver.history, history, strict=True):
        mine[...] = stored
    if found is None:
        _advance_data(solver)
        warn(At.RESUMED, f"there is no {resume_file.path_beside(path)} (Caffe writes none), so the training "
                         f"goes on, but not as if it had never stopped: {resume_file.not_restored(solver)}")
        return False
    missing = resume_file.apply(found, solver)
    for line in resume_file.changes(found, solver):
        log(At.RESUMED, f"Since the snapshot, {line}")
    solver.written = [n for n in found["written"] if _state_of(_base(solver), n)]
    _remove_surplus(solver)  # a run that is killed right after it wrote a snapshot has not removed the surplus one
    resume_file.report(missing, resume_file.path_beside(path))
    return True


def restore_newest(solver: Solver) -> str:
    """Restore the newest snapshot whose files are whole. Return its state's name, or "" where there is none.

    A warning names each damaged one. Raise SolverError for a whole one that does not fit the solver: a user who
    resumes a training would not expect it to begin anew.
    """
    prefix = Path(_base(solver))
    names = re.compile(re.escape(f"{prefix.name}_iter_") + r"(\d+)\.solverstate(\.h5)?")
    found = [(int(match[1]), str(path)) for path in prefix.parent.glob(f"{glob.escape(prefix.name)}_iter_*")
             if (match := names.fullmatch(path.name))]
    for _, path in sorted(found, reverse=True):
        try:
            _read(path)
        except MinicaffeError as error:
            if out_of_memory(error):  # this says nothing about the snapshot, which may be whole
                raise
            first, rest = lines(str(error))
            warn(At.RESUMED, f"the snapshot {path} is not complete, so the next older one is tried: {first}", rest)
            continue
        solver.restore(path)
        return path
    return ""


def _read(path: str) -> tuple[SolverSnapshot, str, dict[str, Any] | None]:
    """Read a state. Return it, the name of its weights' file, and the content of its resume file.

    Raise an error unless the files are whole and belong together.
    """
    state = solverstate.read(path)
    model = _learned_net(state.learned_net, path) if state.learned_net else ""
    beside = resume_file.path_beside(path)
    found = resume_file.read(beside)
    if found is not None:
        resume_file.check(found, beside, state.iter, model, state.history)
    elif model:  # without a checksum, reading the weights is what shows whether they are whole
        weights.read(model)
    return state, model, found


def _base(solver: Solver) -> str:
    return str(solver.param.snapshot_prefix)


def _state_of(base: str, iteration: int) -> bool:
    return any(Path(f"{base}_iter_{iteration}.solverstate{tail}").is_file() for tail in ("", ".h5"))


def _remove_surplus(solver: Solver) -> None:
    if solver.keep is None:
        return
    for iteration in solver.keep.surplus(solver.written):
        keep.remove(f"{_base(solver)}_iter_{iteration}")
        solver.written.remove(iteration)


def _advance_data(solver: Solver) -> None:
    """Set the train net's data layers to the sample with which iteration `iter` begins, where they can be set.

    This serves for a snapshot without a resume file. A number of samples says nothing about a random beginning.
    """
    for source in filter(None, map(source_of, solver.net.layers)):
        if source.batch_size and source.cursor is not None and not source.random_start:
            source.cursor = solver.iter * parts(solver.param) * source.batch_size
            log(At.DATA_ADVANCED, f"Data layer {source.name} goes on after {source.cursor} samples")


def _copy_weights(solver: Solver, model: str, path: str) -> None:
    """Copy the weights of every layer. Raise SolverError, and copy nothing, where a layer is missing on either side."""
    try:
        solver.net.copy_trained_from(model, strict=True)
    except DataError as error:
        table = error.message.partition("\n")[2]
        raise SolverError(f"this snapshot is of another net\n{table}" if table else error.message, where=path,
                          hint=f"to begin a training with what fits of its weights: --weights {model}") from error


def _check_type(solver: Solver, was: str, path: str, model: str) -> None:
    """Raise SolverError where the type of solver that wrote the snapshot keeps another kind of history."""
    before = histories_of(was)
    if was != solver.type and before != solver.histories:
        kept = f"whose history is the {' and the '.join(before)}" if before else "which is not known here"
        raise SolverError(f"this snapshot was written by a solver of type {was}, {kept}; {solver.type} goes on from "
                          f"the {' and the '.join(solver.histories)}", where=path, hint=_anew(model))


def _anew(model: str) -> str:
    """Return the hint for a state that does not fit: its weights can still be used."""
    return f"to begin a training with its weights: --weights {model}" if model else ""


def _fitting(solver: Solver, history: list[np.ndarray], path: str, model: str) -> list[np.ndarray]:
    """The stored history in the shapes of the solver's own. Raise SolverError where it cannot be the solver's."""
    params = solver.net.learnable_params
    if len(history) != len(solver.history):
        raise SolverError(f"this state has {len(history)} history blobs, but {solver.type} keeps "
                          f"{len(solver.history)} for the {len(params)} parameters of net "
                          f"{solver.net.name!r}: another type of solver wrote it, or it is of another net",
                          where=path, hint=_anew(model))
    for i, (mine, stored) in enumerate(zip(solver.history, history, strict=True)):
        # a state of Caffe's names no type, but this value can only be another type's
        kind, lowest = solver.histories[i // len(params)], np.fmin.reduce(stored, axis=None, initial=0)
        if "squared" in kind and lowest < 0:
            raise SolverError(f"history blob {i} holds {lowest:g}, but {solver.type} keeps the {kind} there, which is "
                              "never negative: another type of solver wrote this state", where=path, hint=_anew(model))
        if mine.size != stored.size:
            param = params[i % len(params)]
            raise SolverError(f"history blob {i} has the shape {stored.shape}, but blob {param.index} of layer "
                              f"{param.layer!r} is {mine.shape}", where=path)
    return [stored.reshape(mine.shape) for mine, stored in zip(solver.history, history, strict=True)]


def _learned_net(name: str, state_path: str) -> str:
    """The path of the weights' file: as the state names it, or that name beside the state, or the state's own name."""
    beside = Path(state_path).parent / Path(name).name
    for path in (Path(name), beside):
        if path.is_file():
            return str(path)
    renamed = sibling(state_path, "caffemodel")
    if not renamed:
        raise SolverError(f"the weights of this state, {name}, are neither there nor beside it", where=state_path,
                          hint=f"put them at {beside}")
    warn(At.STATE_NAMES_WEIGHTS, f"{state_path} names its weights {name}, which is not there: reading {renamed}")
    return renamed
