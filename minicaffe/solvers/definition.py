"""A solver's prototxt: read it, bring old fields up to date, and change fields that the command line overrides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minicaffe.errors import ProtoError, SolverError
from minicaffe.io import prototxt
from minicaffe.log import At, log, warn
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.proto.other_pb2 import as_ours
from minicaffe.solvers.fields import place, shown
from minicaffe.solvers.lr_policy import POLICIES

# the fields that learning rate policies read
SHAPING = ("gamma", "power", "stepsize", "stepvalue", "plateau_patience", "plateau_metric")
TYPE_FIELDS = ("momentum", "momentum2", "delta", "rms_decay")  # what solver types read
RIVALS = {"max_iter": ("max_epoch",), "max_epoch": ("max_iter",), "test_iter_auto": ("test_iter",),
          "test_iter": ("test_iter_auto",)}  # a field and those that it replaces
OLD_TYPES = {SolverParameter.SGD: "SGD", SolverParameter.NESTEROV: "Nesterov", SolverParameter.ADAGRAD: "AdaGrad",
             SolverParameter.RMSPROP: "RMSProp", SolverParameter.ADADELTA: "AdaDelta", SolverParameter.ADAM: "Adam"}


def read_solver(path: str) -> Any:
    """Read a prototxt or YAML file, turn the deprecated `solver_type` into `type`, and complete snapshot_prefix."""
    with _auto_pointed_out():
        param = prototxt.read(path, SolverParameter())
    return with_snapshot_prefix(with_type(param, path), path)


@contextmanager
def _auto_pointed_out() -> Iterator[None]:
    """Add a hint to the error of a user who writes test_iter: auto, which is a field of its own."""
    try:
        yield
    except ProtoError as error:
        if re.search(r"test_iter: *['\"]?auto", error.message):
            error.hint = "write test_iter_auto: true"
        raise


def with_type(param: Any, path: str = "") -> Any:
    """Return a copy of the solver in which `type` says what the deprecated enum `solver_type` said."""
    kind = getattr(getattr(param, "DESCRIPTOR", None), "full_name", type(param).__name__)
    if kind != SolverParameter.DESCRIPTOR.full_name:
        raise SolverError(f"a solver is made from a file name or a SolverParameter, not from {kind}")
    new = as_ours(param, SolverParameter)
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
    """Return a copy of the solver with a complete snapshot_prefix.

    Where none is given, it is the path of the solver's file without its ending. Where it names a folder, the name of
    that file is added.
    """
    new = SolverParameter()
    new.CopyFrom(param)
    try:
        path.encode()
    except UnicodeEncodeError:  # a string field of a message holds UTF-8 only
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


def unread_fields(param: Any, type_reads: tuple[str, ...]) -> list[str]:
    """Return the fields that are set and that only other solver types or learning rate policies read."""
    policy_reads = POLICIES[param.lr_policy][1] if param.lr_policy in POLICIES else SHAPING
    return [field.name for field, value in param.ListFields()
            if (field.name in SHAPING and field.name not in policy_reads)
            or (field.name in TYPE_FIELDS and field.name not in type_reads
                and (value or field.name != "momentum"))]  # a momentum of 0 is what AdaGrad and RMSProp have


def override(param: Any, text: str) -> Iterator[str]:
    """Set fields as a text such as 'base_lr=0.001,max_iter=2000' says. Yield a line about each change, and none for
    a field that has this value already.

    A field that is given twice becomes a repeated field (stepvalue=100,stepvalue=200).
    Raise SolverError for a part that is no assignment, ProtoError for a field or a value that a solver cannot have.
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
        if shown(param, name) != before:
            yield f"override {name}: {before} → {shown(param, name)}"
        for other in RIVALS.get(name, ()):
            if not shown(param, other).startswith("unset") and other not in given:
                yield f"override {name} takes the place of {other}: {shown(param, other)}"
                param.ClearField(other)


def _parts(text: str) -> Iterator[str]:
    """Yield the parts of a text between commas. Those within braces, brackets or the quotes of a value do not count."""
    part, depth, quote = "", 0, ""
    for char in text:
        # a quote or a brace counts only where a value begins: in snapshot_prefix=it's it is an ordinary character
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
    """Return the fields that are set, by name, as `shown`; without nets and states, which are messages."""
    return {field.name: shown(param, field.name) for field, _ in param.ListFields() if not field.message_type}
