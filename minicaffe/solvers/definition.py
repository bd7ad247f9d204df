"""A solver's prototxt: read it, bring old fields up to date, and find the nets that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from minicaffe.errors import ProtoError, SolverError
from minicaffe.io import prototxt
from minicaffe.log import At, log, warn
from minicaffe.proto import TEST, TRAIN, NetParameter, NetState, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers.fields import place, require, shown
from minicaffe.solvers.lr_policy import POLICIES

TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")
# what learning rate policies read
SHAPING = ("gamma", "power", "stepsize", "stepvalue", "plateau_patience", "plateau_metric")
TYPE_FIELDS = ("momentum", "momentum2", "delta", "rms_decay")  # what solver types read
RIVALS = {"max_iter": ("max_epoch",), "max_epoch": ("max_iter",), "test_iter_auto": ("test_iter",),
          "test_iter": ("test_iter_auto",)}  # a field and those that it replaces
OLD_TYPES = {SolverParameter.SGD: "SGD", SolverParameter.NESTEROV: "Nesterov", SolverParameter.ADAGRAD: "AdaGrad",
             SolverParameter.RMSPROP: "RMSProp", SolverParameter.ADADELTA: "AdaDelta", SolverParameter.ADAM: "Adam"}


def read_solver(path: str) -> Any:
    """The SolverParameter of a prototxt or YAML file, with the deprecated `solver_type` upgraded and a prefix set."""
    with _auto_pointed_out():
        param = prototxt.read(path, SolverParameter())
    return with_snapshot_prefix(with_type(param, path), path)


@contextmanager
def _auto_pointed_out() -> Iterator[None]:
    """Name test_iter_auto to who writes test_iter: auto."""
    try:
        yield
    except ProtoError as error:
        if re.search(r"test_iter: *['\"]?auto", error.message):
            error.hint = "write test_iter_auto: true"
        raise


def with_type(param: Any, path: str = "") -> Any:
    """A copy whose `type` says what the deprecated enum `solver_type` said."""
    new = SolverParameter()
    new.CopyFrom(param)
    if not param.HasField("solver_type"):
        return new
    if param.HasField("type"):
        raise SolverError("solver_type (deprecated) and type are both set",
                          where=place(param, "solver_type", path), hint="remove solver_type")
    new.type = OLD_TYPES[param.solver_type]
    new.ClearField("solver_type")
    warn(At.SOLVER_TYPE_DEPRECATED, f"solver_type is deprecated: write type: {new.type!r}")
    return new


def with_snapshot_prefix(param: Any, path: str) -> Any:
    """A copy with snapshot_prefix completed: without one the solver's path, in a folder the solver's name."""
    new = SolverParameter()
    new.CopyFrom(param)
    try:
        path.encode()
    except UnicodeEncodeError:  # a field of a prototxt cannot hold it
        if not param.HasField("snapshot_prefix") or Path(param.snapshot_prefix).is_dir():
            raise SolverError("snapshot_prefix follows from the path of the solver, which is not UTF-8", where=path,
                              hint="write a snapshot_prefix into the solver") from None
    if not param.HasField("snapshot_prefix"):
        new.snapshot_prefix = str(Path(path).with_suffix(""))
        log(At.SNAPSHOT_PREFIX_SET, f"snapshot_prefix was not specified and is set to {new.snapshot_prefix}")
    elif Path(param.snapshot_prefix).is_dir():
        new.snapshot_prefix = str(Path(param.snapshot_prefix) / Path(path).stem)
        log(At.SNAPSHOT_PREFIX_FOLDER, f"snapshot_prefix was a directory and is replaced to {new.snapshot_prefix}")
    return new


class NetChoice(NamedTuple):
    """A net that a solver names: a path or a NetParameter, the state to make it in, and where it came from."""

    definition: Any
    state: Any
    source: str


def net_to_train(param: Any, where: str = "") -> NetChoice:
    """The net to train; SolverError unless exactly one is named."""
    given = [name for name in TRAIN_FIELDS if param.HasField(name)]
    if len(given) != 1:
        raise SolverError(f"a solver names its train net in exactly one of {', '.join(TRAIN_FIELDS)}; "
                          + (f"here are {' and '.join(given)}" if given else "here is none"), where=where)
    field, value = given[0], getattr(param, given[0])
    require(value != "", param, field, "must name a file", where)
    source = f"from {field} file: {value}" if isinstance(value, str) else f"specified in {field}."
    return NetChoice(value, _state(value, TRAIN, param.train_state, where), source)


def created_from(source: str) -> tuple[str, str]:
    """The log line for the train net: its place in Caffe's source and its words."""
    place = {"from train_net file": 92, "specified in train_net_param.": 88, "specified in net_param.": 97}
    return f"solver.cpp:{place.get(source.split(':')[0], 102)}", f"Creating training net {source}"


def nets_to_test(param: Any, where: str = "") -> list[NetChoice]:
    """The nets to test with, in Caffe's order: test_net_param, test_net, then the train net again as often as
    test_iter asks. SolverError where the numbers of nets, test_iter and test_state do not fit."""
    named = len(param.test_net_param) + len(param.test_net)
    generic = [name for name in ("net", "net_param") if param.HasField(name)]
    wanted = len(param.test_iter)
    if param.test_iter_auto:
        if wanted:
            raise SolverError("test_iter and test_iter_auto are both set", where=place(param, "test_iter", where),
                              hint="give one of them")
        wanted = len(param.test_state) or named or (1 if generic else 0)
    if wanted < named or (wanted > named and not generic):
        raise SolverError(f"test_iter is given {wanted} times for {named} test nets",
                          where=place(param, "test_iter", where),
                          hint="give one test_iter for each test_net and test_net_param")
    if param.test_state and len(param.test_state) != wanted:
        raise SolverError(f"test_state is given {len(param.test_state)} times for {wanted} test nets",
                          where=where, hint="leave it out, or give it once for each test net")
    require(not wanted or param.test_interval > 0, param, "test_interval",
            "must be at least 1 where test_iter or test_iter_auto asks for tests", where)
    require("" not in param.test_net, param, "test_net", "must name files", where)
    nets: list[tuple[Any, str]] = [(net, "test_net_param") for net in param.test_net_param]
    nets += [(path, f"test_net file: {path}") for path in param.test_net]
    for field in generic:
        source = f"net file: {param.net}" if field == "net" else "net_param"
        nets += [(getattr(param, field), source)] * (wanted - named)
    states = list(param.test_state) or [NetState()] * wanted
    return [NetChoice(net, _state(net, TEST, state, where), source)
            for (net, source), state in zip(nets, states, strict=True)]


def _state(definition: Any, phase: int, state: Any, where: str) -> Any:
    """The phase, overruled by the net's own state, overruled by what the solver says for this net."""
    merged = NetState(phase=phase)
    merged.MergeFrom((_read(definition, where) if isinstance(definition, str) else definition).state)
    merged.MergeFrom(state)
    return merged


def _read(path: str, where: str) -> Any:
    try:
        return prototxt.read(path, NetParameter())
    except ProtoError as error:
        error.where = error.where or where
        if where and not Path(path).exists() and (Path(where).parent / path).exists():
            error.hint = f"paths in a solver start from the folder you are in; {path} stands in {Path(where).parent}"
        raise


def unread_fields(param: Any, type_reads: tuple[str, ...]) -> list[str]:
    """The fields that are set and that only other solver types or learning rate policies read."""
    policy_reads = POLICIES[param.lr_policy][1] if param.lr_policy in POLICIES else SHAPING
    return [field.name for field, value in param.ListFields()
            if (field.name in SHAPING and field.name not in policy_reads)
            or (field.name in TYPE_FIELDS and field.name not in type_reads
                and (value or field.name != "momentum"))]  # a momentum of 0 is what AdaGrad and RMSProp have


def override(param: Any, text: str) -> Iterator[str]:
    """Set fields as 'base_lr=0.001,max_iter=2000' says; what changes, a line for each field.

    A field that is given twice is repeated (stepvalue=100,stepvalue=200). SolverError for what is no assignment,
    ProtoError for a field or a value that a SolverParameter has not.
    """
    given: dict[str, list[str]] = {}
    for part in _parts(text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name or not equals or not value:
            raise SolverError(f"an override is written FIELD=VALUE,FIELD=VALUE, got {part!r}")
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        field = SolverParameter.DESCRIPTOR.fields_by_name.get(name)
        quoted = [f'"{value}"' if field and field.type == field.TYPE_STRING and value[0] not in "'\"" else value
                  for value in values]
        with _auto_pointed_out():
            new = proto_text.parse("\n".join(f"{name}: {value}" for value in quoted), SolverParameter(), "--override")
        before = shown(param, name)
        param.ClearField(name)
        param.MergeFrom(new)
        yield f"override {name}: {before} → {shown(param, name)}"
        for other in RIVALS.get(name, ()):
            if not shown(param, other).startswith("unset") and other not in given:
                yield f"override {name} takes the place of {other}: {shown(param, other)}"
                param.ClearField(other)


def _parts(text: str) -> Iterator[str]:
    """A text cut at its commas, but not within braces, brackets, or the quotes of a value."""
    part, depth, quote = "", 0, ""
    for char in text:
        in_value = depth > 0 or part.rstrip().endswith("=")
        if quote:
            quote = "" if char == quote and not part.endswith("\\") else quote
        elif char in "\"'" and in_value:
            quote = char
        elif char in "{[" and in_value:
            depth += 1
        elif char in "}]" and depth:
            depth -= 1
        elif char == "," and not depth:
            yield part
            part = ""
            continue
        part += char
    yield part


def fields(param: Any) -> dict[str, str]:
    """The fields that are set, nets and states left out, as `shown`."""
    return {field.name: shown(param, field.name) for field, _ in param.ListFields() if not field.message_type}
