"""A row says what a net or solver does with odd values of one field, and why. `outcome` finds out what it does."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from minicaffe.errors import MinicaffeError

ERROR, WARNING, ALLOWED = "error", "warning", "allowed"
ODD = {"zero": 0, "negative": -1, "nan": float("nan"), "inf": float("inf"), "empty": ""}


@dataclass(frozen=True)
class Row:
    """What the values 0, -1, NaN, infinity and the empty text do in a field; None if its type has no such value.

    field      its name, for a layer after its message: "lrn_param.alpha"
    reason     why
    context    further fields, without which the field is not read
    alone      the outcome where the field is set and the partner it needs is not, and fields that show it
    missing    the outcome where the field is not set and another one needs it, and fields that show it
    """

    field: str
    reason: str
    zero: str | None = None
    negative: str | None = None
    nan: str | None = None
    inf: str | None = None
    empty: str | None = None
    context: str = ""
    alone: tuple[str, str] | None = None
    missing: tuple[str, str] | None = None

    def expected(self) -> Iterator[tuple[str, str]]:
        """(column, outcome) of the columns with a value."""
        for column in ODD:
            if outcome := getattr(self, column):
                yield column, outcome


def columns(field: Any) -> list[str]:
    """The columns that a row for this field must fill: those whose value its type can hold."""
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return ["zero", "negative", "nan", "inf"]
    if field.type in (field.TYPE_INT32, field.TYPE_INT64):
        return ["zero", "negative"]
    if field.type in (field.TYPE_UINT32, field.TYPE_UINT64):
        return ["zero"]
    return ["empty"] if field.type == field.TYPE_STRING else []


def filled(row: Row) -> list[str]:
    """The columns that a row fills."""
    return [column for column, _ in row.expected()]


def put(message: Any, path: str, value: Any) -> None:
    """Set a field by its path; a repeated one to this value as often as it is given.

    Of repeated messages on the way the first is meant.
    """
    *outer, name = path.split(".")
    for part in outer:
        message = getattr(message, part)
        if hasattr(message, "add"):
            message = message[0] if len(message) else message.add()
    if hasattr(getattr(message, name), "extend"):
        times = len(getattr(message, name)) or 1
        message.ClearField(name)
        getattr(message, name).extend([value] * times)
    else:
        setattr(message, name, value)


def set_otherwise(message: Any, field: Any) -> None:
    """Set a field, a descriptor, to another value than its default."""
    if field.message_type:
        part = getattr(message, field.name)
        part.add() if hasattr(part, "add") else part.SetInParent()
        return
    if field.enum_type:
        value: Any = next(one.number for one in field.enum_type.values if one.number != field.default_value)
    elif field.type == field.TYPE_STRING:
        value = "another"
    else:
        value = not field.default_value if field.type == field.TYPE_BOOL else (field.default_value or 0) + 1
    put(message, field.name, value)


def outcome(caplog: Any, field: str, run: Callable[[], object]) -> tuple[str, list[str]]:
    """What a function does with a field, and the messages: an error or a warning counts only where it names it.

    A warning of something else, or an error of something else, is no outcome that a row can expect.
    """
    caplog.clear()
    with caplog.at_level(logging.WARNING, "minicaffe"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            run()
        except MinicaffeError as error:
            return (ERROR if _names(field, str(error)) else f"an error that does not name {field}"), [str(error)]
    said = caplog.messages + [str(warning.message) for warning in caught]
    if not said:
        return ALLOWED, []
    return (WARNING if all(_names(field, words) for words in said) else f"a warning that does not name {field}"), said


def _names(field: str, words: str) -> bool:
    return re.search(rf"\b{field.split('.')[-1]}\b", words) is not None
