"""Printing for commands: in every encoding of a terminal or a pipe, and with control characters made visible."""

from __future__ import annotations

import codecs
import logging
import os
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

from minicaffe.layout import terminal_width, wrap
from minicaffe.log import escape, one_line, visible

STAND_INS = {  # ASCII for the signs that we print ourselves; a Greek letter is printed as its name
    "×": "x", "·": "*", "⋆": "*", "⊙": "*", "–": "-", "—": "-", "−": "-", "─": "-", "│": "|", "…": "...", "→": "->",
    "←": "<-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "±": "+-", "∞": "inf", "∂": "d", "Σ": "sum", "Π": "prod",
    "√": "sqrt", "½": "1/2", "¾": "3/4", "²": "^2", "³": "^3", "⁸": "^8", "⁹": "^9", "ᵀ": "^T", "′": "'", "ŷ": "y^",
    "ŵ": "w^", "\u0302": "^", "⌈": "ceil(", "⌉": ")", "⌊": "floor(", "⌋": ")", "µ": "u", "§": "section "}
ERRORS = "minicaffe"


def prepare() -> None:
    """Make stdout and stderr accept any text: print ASCII or an escape for what their encoding does not have."""
    codecs.register_error(ERRORS, _replace)
    logging.lastResort = _Complaints(logging.WARNING)
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)


class _Complaints(logging.Handler):
    """Prints the warnings that are logged while a command writes no log."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(f"minicaffe: warning: {record.getMessage()}")


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return what replaces characters that an encoding lacks, and where to go on, as Python's codecs ask for it."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start:error.end]
    return "".join(map(_stand_in, letters)), error.end


def _stand_in(letter: str) -> str:
    greek = unicodedata.name(letter, "").partition("GREEK SMALL LETTER ")[2].lower()
    return STAND_INS.get(letter) or (greek if greek.isalpha() else escape(letter))


def is_utf8(stream: Any) -> bool:
    """Return whether a stream can print every character as it is."""
    return (getattr(stream, "encoding", "") or "utf-8").lower().replace("-", "").startswith("utf")


def say(text: object = "", *, end: str = "\n") -> None:
    """Print a command's results, on stdout."""
    print(visible(str(text)), end=end)


def say_lines(lines: Iterable[object]) -> None:
    """Print sentences, each on a line of its own, or on several where the terminal is narrow."""
    for line in lines:
        for shown in wrap(one_line(line), terminal_width(), hanging="  "):
            say(shown)


def complain(text: object) -> None:
    """Print an error or a warning on stderr."""
    print(visible(str(text)), file=sys.stderr)
