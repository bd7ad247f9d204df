"""The third file of a snapshot, PREFIX_iter_N.resume: what Caffe forgets, so that a resumed training repeats itself.

    minicaffe resume 1 CRC32        the format, its version, and the checksum of what follows
    {…}                             one line of JSON; an array in it is {"array": base64, "type": …, "shape": […]}

    iter, weights, history      which snapshot this belongs to: checksums of the weights' file and of the history
    solver                      the solver's fields as text, so that a resume can say which have changed
    random                      the process's generator; with Python layers also numpy's and Python's own
    nets                        the train net, then the test nets: what each layer's `resume_state` gave
    types                       of the same nets: the types of the layers that have one, and of all sources of data
    smoothed                    the losses that average_loss looks back on
    tested                      the iteration whose tests have been made
    criteria                    best values so far: of lr_policy "plateau", of early stopping, of the snapshots to keep
    written                     the iterations of this training's snapshots that are still on the disk

It is written before the .solverstate, so a state on the disk has its record beside it.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minicaffe import rng
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io import json_arrays
from minicaffe.io.files import PathLike, read_bytes, replace_file, without_hdf5_suffix
from minicaffe.log import At, warn
from minicaffe.proto import SolverParameter
from minicaffe.solvers import definition
from minicaffe.solvers.resume import resume_content

if TYPE_CHECKING:
    from minicaffe.net import Net
    from minicaffe.solvers.solver import Solver

FORMAT, VERSION = b"minicaffe resume", b"1"
HEAD = b"%s %s " % (FORMAT, VERSION)


def path_beside(state: PathLike) -> str:
    """The record's name for the name of a .solverstate or .solverstate.h5 file."""
    return without_hdf5_suffix(str(state)).removesuffix(".solverstate") + ".resume"


def capture(solver: Solver) -> dict[str, Any]:
    """Where the solver stands between two updates, beside weights, history and iteration."""
    return {"random": _random_state(solver), "nets": [_net_state(net) for net in _nets(solver)],
            "types": [_net_types(net) for net in _nets(solver)],
            "smoothed": solver.smoothing.state(), "tested": solver.tested,
            "criteria": {name: criterion.state() for name, criterion in solver.criteria().items()}}


def write(path: str, solver: Solver, captured: dict[str, Any], model: str, written: list[int]) -> None:
    """Write the record of a snapshot whose weights are in the file `model`."""
    content = {"iter": solver.iter, "weights": checksum(model), "history": history_checksum(solver.history),
               "written": written, "solver": definition.fields(solver.param), **captured}
    store(path, content)


def store(path: PathLike, content: dict[str, Any]) -> None:
    """Write what `read` gives back."""
    line = json.dumps(content, default=json_arrays.to_json).encode()
    replace_file(path, [HEAD, b"%08x\n" % zlib.crc32(line), line, b"\n"])


def read(path: PathLike) -> dict[str, Any] | None:
    """The record of that name; None where there is none. DataError where it is damaged or of another version."""
    if not Path(path).exists():
        return None
    head, _, line = read_bytes(path).partition(b"\n")
    line = line.removesuffix(b"\n")
    if head == HEAD + b"%08x" % zlib.crc32(line):
        try:
            return json.loads(line, object_hook=json_arrays.from_json)
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise _bad(path, f"holds no record of a snapshot: {error}") from error
    version = head.removeprefix(FORMAT + b" ").split(b" ")[0]
    if head.startswith(FORMAT + b" ") and version.isdigit() and version != VERSION:
        raise _bad(path, f"is of version {version.decode()}, and this minicaffe reads version {VERSION.decode()}")
    raise _bad(path, "is damaged or cut short")


def _bad(path: PathLike, what: str) -> DataError:
    return DataError(f"this record of a snapshot {what}", where=str(path),
                     hint=f"remove {path} to load the snapshot without it: then not everything goes on as it stood")


def check(record: dict[str, Any], path: str, iteration: int, model: str, history: list[np.ndarray]) -> None:
    """DataError unless the record is what `write` writes, and belongs to these weights and this state."""
    try:
        resume_content.check(record)
    except ValueError as error:
        raise _bad(path, f"is not what minicaffe writes: {error}") from error
    for what, seen, expected in (("iteration", iteration, record["iter"]),
                                 ("weights' checksum", checksum(model), record["weights"]),
                                 ("history's checksum", history_checksum(history), record["history"])):
        if seen != expected:
            raise DataError(f"the {what} of the snapshot is {seen}, but its record says {expected}: a file of the "
                            "three is damaged or of another run", where=path,
                            hint=f"remove {path} to load the other two as they are")


def solver_type(record: dict[str, Any]) -> str:
    """The type of the solver that wrote the snapshot."""
    return str(record["solver"].get("type", SolverParameter().type)).strip("\"'")


def changes(record: dict[str, Any], solver: Solver) -> Iterator[str]:
    """A line for each field of the solver that is not as it was."""
    before, now = record["solver"], definition.fields(solver.param)
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name, 'unset')} and is {now.get(name, 'unset')}"


def apply(record: dict[str, Any], solver: Solver) -> list[str]:
    """Set the solver to where the record says it stood; a sentence for each thing that could not be set."""
    missing = []
    if len(record["nets"]) != 1 + len(solver.test_nets):
        missing.append(f"there were {len(record['nets']) - 1} test nets and are {len(solver.test_nets)}")
    types = record.get("types", [{}] * len(record["nets"]))  # older records have none
    for net, states, known in zip(_nets(solver), record["nets"], types, strict=False):
        missing += _restore_net(net, states, known)
    solver.smoothing.restore(record["smoothed"])
    solver.tested = record["tested"]
    for name, criterion in solver.criteria().items():
        if not criterion.restore(record["criteria"].get(name)):
            missing.append(f"{name} looks at {criterion}, which it did not before")
    _restore_random(record["random"])  # last: what comes before may draw
    return missing


def not_restored(solver: Solver) -> str:
    """What of this solver goes on differently without a record, in words."""
    parts = ["random numbers (Dropout, crops, mirrors, shuffles) are drawn anew", "the smoothed loss begins anew"]
    if solver.criteria():
        parts.append("the best values so far are forgotten")
    layers = [layer for net in _nets(solver) for layer in net.layers if layer.resume_state()]
    if layers:
        parts.append("how far these layers were is worked out or unknown: "
                     + ", ".join(sorted({f"{layer.name} ({layer.type})" for layer in layers})))
    return "; ".join(parts)


def checksum(path: PathLike) -> str:
    """The CRC-32 of a file's bytes, and how many they are."""
    crc, size = 0, 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
    return f"{crc:08x} of {size} bytes"


def history_checksum(history: list[np.ndarray]) -> str:
    """The CRC-32 of the arrays' bytes, one array after the other."""
    crc = 0
    for array in history:
        crc = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, crc)
    return f"{crc:08x}"


def _nets(solver: Solver) -> list[Net]:
    return [solver.net, *solver.test_nets]


def _net_state(net: Net) -> dict[str, Any]:
    found = {layer.name: layer.resume_state() for layer in net.layers}
    return {name: {key: _copied(value) for key, value in state.items()} for name, state in found.items() if state}


def _copied(value: Any) -> Any:
    """A capture may wait while the layers go on."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return [_copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def _net_types(net: Net) -> dict[str, str]:
    return {layer.name: layer.type for layer, bottoms in zip(net.layers, net.bottoms, strict=True)
            if not bottoms or layer.resume_state()}


def _restore_net(net: Net, states: dict[str, Any], types: dict[str, str]) -> list[str]:
    missing = []
    for layer in net.layers:
        was = types.get(layer.name, layer.type)
        if was != layer.type:
            missing.append(f"layer {layer.name!r} was of type {was} and is of type {layer.type}, so it begins anew")
        elif layer.name in states:
            try:
                layer.resume_from(states[layer.name])
            except Exception as error:  # a layer may be anybody's
                said = error.message if isinstance(error, MinicaffeError) else f"layer {layer.name!r}: {error!r}"
                missing.append(said)
        elif layer.resume_state():
            missing.append(f"layer {layer.name!r} ({layer.type}) is new")
    return missing


def _random_state(solver: Solver) -> dict[str, Any]:
    state: dict[str, Any] = {"ours": rng.state()}
    if _runs_users_code(solver):
        name, *rest = np.random.get_state(legacy=True)
        state |= {"numpy": [name, *rest], "python": random.getstate()}
    return state


def _restore_random(state: dict[str, Any]) -> None:
    rng.restore(state["ours"])
    if "numpy" in state:
        np.random.set_state(tuple(state["numpy"]))
        version, words, gauss = state["python"]
        random.setstate((version, tuple(words), gauss))


def _runs_users_code(solver: Solver) -> bool:
    """Whether some layer may draw from numpy's and Python's own generators, as users' code does."""
    return any(layer.users_code for net in _nets(solver) for layer in net.layers)


def report(missing: list[str], path: str) -> None:
    """Warn of what the record could not restore."""
    if missing:
        warn(At.RESUMED, f"{path}: not restored: {'; '.join(missing)}")
