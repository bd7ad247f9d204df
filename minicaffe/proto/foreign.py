"""Fields and enum values of a definition that the schema does not know: refuse them, all in one error.

Most are misspelt, or belong to a fork of Caffe that minicaffe does not know. Those in a layer that is left out of the
net do no harm, because nothing reads such a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minicaffe.errors import ProtoError
from minicaffe.proto.lines import excerpt

LeaveOut = Callable[[Any, Any], bool]  # whether a layer (LayerParameter or V1LayerParameter) is left out of its net
MOST_NAMED = 20  # further names in one error


class Foreign(NamedTuple):
    """A field or an enum value that the schema does not know."""

    layer: tuple[str, int] | None  # the layer that it stands in: ("layer", 3); None where it stands in none
    line: int  # from 1, as the column
    column: int
    sentence: str
    hint: str
    span: tuple[int, int]  # where the field and its value stand in a prototxt


def refuse(found: list[Foreign], message: Any, text: str, filename: str, leave_out: LeaveOut | None = None) -> None:
    """Raise ProtoError for what was found, unless all of it stands in layers that are left out.

    `message` holds all that could be read.
    """
    left = [one for one in found
            if not (leave_out and one.layer and leave_out(getattr(message, one.layer[0])[one.layer[1]], message))]
    if not left:
        return
    first = left[0]
    # A whole file of another kind has many fields that the schema does not know, and the first one says it all.
    others = {} if first.hint.startswith("it is a") else {one.sentence: one for one in reversed(left)}
    others.pop(first.sentence, None)
    lines = [f"{filename}:{one.line}: {one.sentence}" for one in sorted(others.values(), key=lambda one: one.span)]
    if lines[MOST_NAMED:]:
        lines[MOST_NAMED:] = [f"and {len(lines) - MOST_NAMED} more"]
    error = ProtoError("\n".join([first.sentence, excerpt(text, first.line, first.column), *lines]),
                       where=f"{filename}:{first.line}:{first.column}", hint=first.hint)
    error.unknown = list(dict.fromkeys(f"line {one.line}: {one.sentence}" for one in left))
    raise error
