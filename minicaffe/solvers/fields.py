"""Fields of a SolverParameter: how a value is shown, which line sets it, and the errors and warnings that name it."""

from __future__ import annotations

from typing import Any

from minicaffe.errors import MinicaffeError, SolverError
from minicaffe.io import prototxt
from minicaffe.log import At, number, warn
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.proto.finite import not_finite


def parts(param: Any) -> int:
    """Return how many passes, each forward and backward on one batch, make an update."""
    return int(param.iter_size) * max(1, int(param.shards))


def require(holds: bool, param: Any, field: str, rule: str, where: str = "", hint: str = "", by: str = "") -> None:
    """Raise SolverError unless `holds`: 'solver.prototxt:7: momentum must lie in [0, 1), got 1'.

    `where` is the file that the solver was read from. `by` is the field that needs this one, whose line is named where
    this one is missing.
    """
    if not holds:
        value = getattr(param, field)
        got = list(value) if hasattr(value, "extend") else number(value) if isinstance(value, float) else repr(value)
        raise SolverError(f"{field} {rule}, got {got}", where=place(param, _given(param, field, by), where), hint=hint)


def require_numbers(param: Any, where: str = "") -> None:
    """Raise SolverError for a field of the solver's own that is NaN or infinite."""
    for field, _ in not_finite(param):  # a field with a dot is a net_param's, and the layer that reads it checks it
        require("." in field, param, field, "must be a finite number", where)


def warn_unless(holds: bool, param: Any, field: str, words: str, where: str = "", by: str = "") -> None:
    """Warn, unless `holds`, of what a field's value leads to: 'solver.prototxt:7: gamma WORDS'.

    `by` is as in `require`.
    """
    if not holds:
        at = place(param, _given(param, field, by), where)
        warn(At.FIELD_WARNING, f"{at}: {field} {words}" if at else f"{field} {words}")


def _given(param: Any, field: str, by: str) -> str:
    """Return the field whose line a message names: `by` where `field` is not set."""
    return by if by and not any(one.name == field for one, _ in param.ListFields()) else field


def value_in_words(param: Any, field: str) -> str:
    """'is missing, so it is 0' or 'is 0': the beginning of a message about a number that is too small."""
    value = number(getattr(param, field))
    return f"is {value}" if param.HasField(field) else f"is missing, so it is {value}"


def place(param: Any, field: str, where: str) -> str:
    """'solver.prototxt:7', the line that sets a field; the file alone where the file sets another value or none.

    Another value comes from --override or from a program, so no line of the file is to blame.
    """
    if not where:
        return ""
    try:  # read the file once more: only errors and warnings ask, so nothing is kept for them
        source = prototxt.read_source(where)
        given = proto_text.parse(source.text, SolverParameter(), source.filename)
    except MinicaffeError:  # the file may have changed or gone since
        return where
    return source.where(field) if shown(given, field) == shown(param, field) else where


def shown(param: Any, name: str) -> str:
    """Return a field's value as prototxt writes it; for an unset field 'unset', with the default where it has one."""
    alone = type(param)()
    alone.CopyFrom(param)
    for field, _ in param.ListFields():
        if field.name != name:
            alone.ClearField(field.name)
    field, default = alone.DESCRIPTOR.fields_by_name[name], getattr(alone, name)
    words = proto_text.format(alone)
    if words and field.message_type:
        return " ".join(words.split()).removeprefix(f"{name} ")
    if words:
        return " ".join(line.partition(": ")[2] for line in words.splitlines())
    if hasattr(default, "extend") or not field.has_default_value:
        return "unset"
    if field.enum_type:
        default = field.enum_type.values_by_number[default].name
    return f"unset ({number(default) if isinstance(default, float) else default})"
