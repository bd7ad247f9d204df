"""What commands print: on every terminal and pipe, whatever its encoding, and safe to look at."""

from __future__ import annotations

import codecs
import logging
import os
import sys
import unicodedata
from typing import Any

from minicaffe.log import escape, visible

STAND_INS = {  # for the signs that we print ourselves, in ASCII; Greek letters have their names
    "×": "x", "·": "*", "⋆": "*", "⊙": "*", "–": "-", "—": "-", "−": "-", "─": "-", "│": "|", "…": "...", "→": "->",
    "←": "<-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "±": "+-", "∞": "inf", "∂": "d", "Σ": "sum", "Π": "prod",
    "√": "sqrt", "½": "1/2", "¾": "3/4", "²": "^2", "³": "^3", "⁸": "^8", "⁹": "^9", "ᵀ": "^T", "′": "'", "ŷ": "y^",
    "ŵ": "w^", "\u0302": "^", "⌈": "ceil(", "⌉": ")", "⌊": "floor(", "⌋": ")", "µ": "u", "§": "section "}
ERRORS = "minicaffe"


def prepare() -> None:
    """Make stdout and stderr take any text: what their encoding lacks becomes a stand-in or an escape."""
    codecs.register_error(ERRORS, _replace)
    logging.lastResort = _Complaints(logging.WARNING)
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)


class _Complaints(logging.Handler):
    """Prints warnings of the log where a command writes no log."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(f"minicaffe: warning: {record.getMessage()}")


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Python's error handler: the replacement of what an encoding lacks, and where to go on."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start:error.end]
    return "".join(map(_stand_in, letters)), error.end


def _stand_in(letter: str) -> str:
    greek = unicodedata.name(letter, "").partition("GREEK SMALL LETTER ")[2].lower()
    return STAND_INS.get(letter) or (greek if greek.isalpha() else escape(letter))


def is_utf8(stream: Any) -> bool:
    """Whether a stream takes all letters as they are."""
    return (getattr(stream, "encoding", "") or "utf-8").lower().replace("-", "").startswith("utf")


def say(text: object = "", *, end: str = "\n") -> None:
    """Print what a command has to say on stdout."""
    print(visible(str(text)), end=end)


def complain(text: object) -> None:
    """Print an error or a warning on stderr."""
    print(visible(str(text)), file=sys.stderr)
