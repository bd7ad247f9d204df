"""A solver's prototxt: read it, bring old fields up to date, and find the nets that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from minicaffe.errors import ProtoError, SolverError
from minicaffe.log import log, warn
from minicaffe.proto import TEST, TRAIN, NetParameter, NetState, SolverParameter, text
from minicaffe.solvers.lr_policy import POLICIES

TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")
SHAPING = ("gamma", "power", "stepsize", "stepvalue")  # what learning rate policies read
TYPE_FIELDS = ("momentum", "momentum2", "delta", "rms_decay")  # what solver types read
OLD_TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")  # by the enum's numbers


def read_solver(path: str) -> Any:
    """The SolverParameter of a prototxt or YAML file, with the deprecated `solver_type` upgraded and a prefix set."""
    param = text.read(path, SolverParameter())
    return with_snapshot_prefix(with_type(param, path), path)


def with_type(param: Any, path: str = "") -> Any:
    """A copy whose `type` says what the deprecated enum `solver_type` said."""
    new = SolverParameter()
    new.CopyFrom(param)
    if not param.HasField("solver_type"):
        return new
    if param.HasField("type"):
        raise SolverError("solver_type (deprecated) and type are both set", where=path, hint="remove solver_type")
    new.type = OLD_TYPES[param.solver_type]
    new.ClearField("solver_type")
    warn("upgrade_proto.cpp:1093", f"solver_type is deprecated: write type: {new.type!r}")
    return new


def with_snapshot_prefix(param: Any, path: str) -> Any:
    """A copy with snapshot_prefix completed: without one the solver's path, in a folder the solver's name."""
    new = SolverParameter()
    new.CopyFrom(param)
    if not param.HasField("snapshot_prefix"):
        new.snapshot_prefix = str(Path(path).with_suffix(""))
        log("upgrade_proto.cpp:1108", f"snapshot_prefix was not specified and is set to {new.snapshot_prefix}")
    elif Path(param.snapshot_prefix).is_dir():
        new.snapshot_prefix = str(Path(param.snapshot_prefix) / Path(path).stem)
        log("upgrade_proto.cpp:1113", f"snapshot_prefix was a directory and is replaced to {new.snapshot_prefix}")
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
    if wanted < named or (wanted > named and not generic):
        raise SolverError(f"test_iter is given {wanted} times for {named} test nets",
                          where=where, hint="give one test_iter for each test_net and test_net_param")
    if param.test_state and len(param.test_state) != wanted:
        raise SolverError(f"test_state is given {len(param.test_state)} times for {wanted} test nets",
                          where=where, hint="leave it out, or give it once for each test net")
    if wanted and param.test_interval <= 0:
        raise SolverError(f"test_interval must be at least 1 where there is a test net, got {param.test_interval}",
                          where=where)
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
        return text.read(path, NetParameter())
    except ProtoError as error:
        if where and not Path(path).exists() and (Path(where).parent / path).exists():
            error.hint = f"paths in a solver start from the folder you are in; {path} stands in {Path(where).parent}"
        raise


def unread_fields(param: Any, type_reads: tuple[str, ...]) -> list[str]:
    """The fields that are set and that only other solver types or learning rate policies read."""
    policy_reads = POLICIES[param.lr_policy][1] if param.lr_policy in POLICIES else SHAPING
    return [field.name for field, value in param.ListFields()
            if (field.name in SHAPING and field.name not in policy_reads)
            or (field.name in TYPE_FIELDS and field.name not in type_reads and value)]
