"""The resume file of a snapshot, PREFIX_iter_N.resume: what a .solverstate of Caffe's does not hold.

With it a resumed training computes the same numbers as a training that was never stopped.

    minicaffe resume 3 CRC32        the format, its version, and the checksum of what follows
    {…}                             one line of JSON, in which an array is {"array": base64, "type": …, "shape": […]}

    iter, weights, history      the snapshot that it belongs to: iteration, checksums of weights' file and history
    solver                      the solver's fields as text, so that a resume can say which have changed
    shards                      into how many shards an update is divided; older files and Caffe's have one
    draw_seed                   the solver's; files of version 1 have none (see `check_chance`)
    random                      the state of minicaffe's generator; with users' layers also of numpy's and Python's
    nets                        for the train net and each test net: the `resume_state` of each layer that has one
    types                       for the same nets: the types of these layers, and of all data layers
    data                        for the same nets: the fields of each data layer, and the size of its source, as text
    smoothed                    the losses whose mean average_loss displays
    tested                      the iteration in which all test nets were last tested
    criteria                    best values so far: of lr_policy "plateau", of early stopping, of the snapshots to keep
    written                     the iterations of this training's snapshots that are still on the disk

It is written before the .solverstate, so that a state on the disk always has its resume file beside it.
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
from minicaffe.errors import DataError, MinicaffeError, SolverError
from minicaffe.io import json_arrays
from minicaffe.io.files import PathLike, read_bytes, replace_file, without_hdf5_suffix
from minicaffe.layer import Layer, source_of
from minicaffe.log import At, warn
from minicaffe.proto import TEST, SolverParameter, is_repeated
from minicaffe.solvers import definition
from minicaffe.solvers.fields import shown
from minicaffe.solvers.resume import resume_content
from minicaffe.solvers.schedule import shards

if TYPE_CHECKING:
    from minicaffe.net import Net
    from minicaffe.solvers.solver import Solver

FORMAT = b"minicaffe resume"
VERSIONS = b"1", b"2", b"3"  # those that are read; the last one is written
HEAD = b"%s %s " % (FORMAT, VERSIONS[-1])


def path_beside(state: PathLike) -> str:
    """Return the name of the resume file that belongs to a .solverstate or .solverstate.h5 file."""
    return without_hdf5_suffix(str(state)).removesuffix(".solverstate") + ".resume"


def capture(solver: Solver) -> dict[str, Any]:
    """Return the state of a solver between two updates, without the weights, the history and the iteration."""
    return {"shards": max(1, solver.param.shards), "draw_seed": solver.draw_seed, "random": _random_state(solver),
            "nets": [_net_state(net) for net in _nets(solver)], "types": [_net_types(net) for net in _nets(solver)],
            "data": [_net_data(net) for net in _nets(solver)],
            "smoothed": solver.smoothing.state(), "tested": solver.tested,
            "criteria": {name: criterion.state() for name, criterion in solver.criteria().items()}}


def write(path: str, solver: Solver, captured: dict[str, Any], model: str, written: list[int]) -> None:
    """Write the resume file of a snapshot whose weights are in the file `model`."""
    content = {"iter": solver.iter, "weights": checksum(model), "history": arrays_checksum(solver.history),
               "written": written, "solver": definition.fields(solver.param), **captured}
    store(path, content)


def store(path: PathLike, content: dict[str, Any]) -> None:
    """Write a resume file with this content, which `read` gives back."""
    line = json.dumps(content, default=json_arrays.to_json).encode()
    replace_file(path, [HEAD, b"%08x\n" % zlib.crc32(line), line, b"\n"])


def read(path: PathLike) -> dict[str, Any] | None:
    """Return the content of a resume file; None where there is no such file.

    Raise DataError where it is damaged or of another version.
    """
    if not Path(path).exists():
        return None
    head, _, line = read_bytes(path).partition(b"\n")
    line = line.removesuffix(b"\n")
    if head in [b"%s %s %08x" % (FORMAT, version, zlib.crc32(line)) for version in VERSIONS]:
        try:
            return json.loads(line, object_hook=json_arrays.from_json)
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise _bad(path, f"holds no JSON of minicaffe's: {error}") from error
    version = head.removeprefix(FORMAT + b" ").split(b" ")[0]
    if head.startswith(FORMAT + b" ") and version.isdigit() and version not in VERSIONS:
        raise _bad(path, f"is of version {version.decode()}, and this minicaffe reads versions up to "
                         f"{VERSIONS[-1].decode()}")
    raise _bad(path, "is damaged or cut short")


def _bad(path: PathLike, what: str) -> DataError:
    return DataError(f"this resume file {what}", where=str(path),
                     hint=f"remove {path} to load the snapshot without it; the training then does not repeat exactly")


def check(content: dict[str, Any], path: str, iteration: int, model: str, history: list[np.ndarray]) -> None:
    """Raise DataError unless this is what `write` writes, and belongs to these weights and this state."""
    try:
        resume_content.check(content)
    except ValueError as error:
        raise _bad(path, f"is not what minicaffe writes: {error}") from error
    for what, seen, expected in (("iteration", iteration, content["iter"]),
                                 ("weights' checksum", checksum(model), content["weights"]),
                                 ("history's checksum", arrays_checksum(history), content["history"])):
        if seen != expected:
            raise DataError(f"the {what} of the snapshot is {seen}, but its resume file says {expected}: one of its "
                            "three files is damaged or comes from another run", where=path,
                            hint=f"remove {path} to load the other two as they are")


def check_chance(content: dict[str, Any], path: str, solver: Solver) -> None:
    """Raise SolverError where the training cannot go on drawing the random numbers that it drew before.

    Before version 2 all layers drew from the process's generator, and they still do in a training that began so. But
    crops and mirrors were drawn for whole batches, which is no longer done.
    """
    if "draw_seed" in content:
        return
    drawing = [f"{source.name} ({source.type})" for net in _nets(solver) for source in map(source_of, net.layers)
               if source and source.draws_for_samples]
    if drawing:
        raise SolverError("this snapshot is of an older minicaffe, which drew crops, mirrors and windows in another "
                          f"way; these layers would go on with others: {', '.join(dict.fromkeys(drawing))}",
                          where=path, hint=f"remove {path} to go on from the other two files of the snapshot: weights, "
                          "history and iteration are kept, and random numbers are drawn anew")


def solver_type(content: dict[str, Any]) -> str:
    """Return the type of the solver that wrote the snapshot."""
    return str(content["solver"].get("type", SolverParameter().type)).strip("\"'")


def changes(content: dict[str, Any], solver: Solver) -> Iterator[str]:
    """Yield a line for each field of the solver and of a data layer that has changed since the snapshot."""
    yield from _differences(content["solver"], definition.fields(solver.param))
    # older resume files have no data, and a layer of another type or name is reported where the states are restored
    for net, before, types in zip(_nets(solver), content.get("data", []), content.get("types", []), strict=False):
        for name, now in _net_data(net).items():
            if name in before and types.get(name) == _by_name(net)[name].type:
                for line in _differences(before[name], now):
                    yield f"{'test' if net.phase == TEST else 'train'} layer {name!r}: {line}"


def _differences(before: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name, 'unset')} and is {now.get(name, 'unset')}"


def apply(content: dict[str, Any], solver: Solver) -> list[str]:
    """Set a solver to where it stood. Return a sentence for each thing that could not be set."""
    missing = []
    solver.take_shards(shards.in_resume(content))
    if len(content["nets"]) != 1 + len(solver.test_nets):
        missing.append(f"there were {len(content['nets']) - 1} test nets and are {len(solver.test_nets)}")
    types = content.get("types", [{}] * len(content["nets"]))  # older resume files have no types
    for net, states, known in zip(_nets(solver), content["nets"], types, strict=False):
        missing += _restore_net(net, states, known)
    solver.smoothing.restore(content["smoothed"])
    solver.tested = content["tested"]
    solver.draw_seed = content.get("draw_seed")
    for name, criterion in solver.criteria().items():
        if not criterion.restore(content["criteria"].get(name)):
            missing.append(f"{name} looks at {criterion}, which it did not before")
    _restore_random(content["random"])  # last, because a layer's resume_from may draw random numbers
    return missing


def not_restored(solver: Solver) -> str:
    """In words: what of this solver goes on differently where a snapshot has no resume file."""
    parts = ["random numbers (Dropout, crops, mirrors, shuffles) are drawn anew", "the smoothed loss begins anew"]
    if solver.criteria():
        parts.append("the best values so far are forgotten")
    layers = [layer for net in _nets(solver) for layer in net.layers if layer.resume_state()]
    if layers:
        parts.append("where these layers stood is worked out from the iteration, or unknown: "
                     + ", ".join(sorted({f"{layer.name} ({layer.type})" for layer in layers})))
    return "; ".join(parts)


def checksum(path: PathLike) -> str:
    """Return the CRC-32 of a file's bytes, and their number."""
    crc, size = 0, 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
    return f"{crc:08x} of {size} bytes"


def arrays_checksum(arrays: list[np.ndarray]) -> str:
    """Return the CRC-32 of the arrays' bytes, one array after the other."""
    crc = 0
    for array in arrays:
        crc = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, crc)
    return f"{crc:08x}"


def _nets(solver: Solver) -> list[Net]:
    return [solver.net, *solver.test_nets]


def _by_name(net: Net) -> dict[str, Layer]:
    """Return the layers by their names. Where several have one name, the second one is 'NAME (2)'."""
    found: dict[str, Layer] = {}
    for layer in net.layers:
        name, n = layer.name, 1
        while name in found:
            n += 1
            name = f"{layer.name} ({n})"
        found[name] = layer
    return found


def _net_state(net: Net) -> dict[str, Any]:
    found = {name: layer.resume_state() for name, layer in _by_name(net).items()}
    return {name: {key: _copied(value) for key, value in state.items()} for name, state in found.items() if state}


def _copied(value: Any) -> Any:
    """A copy of a layer's arrays, because the layer goes on computing in them before the file is written."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return [_copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def _net_types(net: Net) -> dict[str, str]:
    """Return the types of the data layers and of the layers with a state, by the layers' names.

    A data layer without a state is listed, too: a resume sees then that another type has taken its name.
    """
    return {name: layer.type for name, layer in _by_name(net).items()
            if not layer.layer_param.bottom or layer.resume_state()}


def _net_data(net: Net) -> dict[str, dict[str, str]]:
    """Return for each data layer, by its name, all that decides which batches it gives."""
    found = {}
    for name, layer in _by_name(net).items():
        if source := source_of(layer):
            found[name] = _set_in(layer.layer_param)
            if source.epoch_size:
                found[name]["the number of samples"] = str(source.epoch_size)
    return found


def _set_in(param: Any) -> dict[str, str]:
    """Return the fields that are set in the messages of a layer: 'data_param.batch_size', and its value as text."""
    return {f"{part.name}.{field.name}": shown(message, field.name) for part, message in param.ListFields()
            if part.message_type and not is_repeated(part) for field, _ in message.ListFields()}


def _restore_net(net: Net, states: dict[str, Any], types: dict[str, str]) -> list[str]:
    """Give each layer its state. Return a sentence for each layer that could not go on from one."""
    missing = []
    for name, layer in _by_name(net).items():
        was = types.get(name, layer.type)
        if was != layer.type:
            missing.append(f"layer {layer.name!r} was of type {was} and is of type {layer.type}, so it begins anew")
        elif name in states:
            try:
                layer.resume_from(states[name])
            except Exception as error:  # a user's layer may raise anything; the training goes on without its state
                said = error.message if isinstance(error, MinicaffeError) else f"layer {layer.name!r}: {error!r}"
                missing.append(said)
        elif layer.resume_state():
            missing.append(f"layer {layer.name!r} ({layer.type}) is new")
    return missing


def _random_state(solver: Solver) -> dict[str, Any]:
    """Return the states of the generators that the nets may draw from."""
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
    """Return whether a layer is users' code, which may draw from numpy's and Python's own generators."""
    return any(layer.users_code for net in _nets(solver) for layer in net.layers)


def report(missing: list[str], path: str) -> None:
    """Warn of what could not be restored from the resume file."""
    if missing:
        warn(At.RESUMED, f"{path}: not restored: {'; '.join(missing)}")
