"""What a run reports: lines that carry the place where Caffe prints them, for its users' log parsers.

`log("solver.cpp:239", "Iteration 0, loss = 2.3")` goes to the logger "minicaffe", the place in `record.at`.
The library attaches no handler: a program that imports it hears warnings only, and the command line writes
everything in Caffe's format (cli/glog.py).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger("minicaffe")
_quiet = ContextVar("quiet", default=False)

# characters that move a terminal's cursor or change its colours or the order of its letters; and halves of letters
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_CONTROLS, _CONTROLS_AND_LINES = re.compile(f"[{_CONTROL}]"), re.compile(f"[{_CONTROL}\t\n]")


def visible(text: str) -> str:
    """A message as it may be printed: control characters become escapes such as \\x1b; line ends and tabs stay."""
    return _CONTROLS.sub(lambda found: escape(found[0]), text)


def one_line(name: object) -> str:
    """A name from a file as it may stand in a message: with all characters visible, and on one line."""
    return _CONTROLS_AND_LINES.sub(lambda found: escape(found[0]), str(name))


def escape(letter: str) -> str:
    """A character as the escape that prototxts and Python's strings have for it."""
    if letter < "\x80":
        return repr(letter)[1:-1] if letter < " " or letter == "\x7f" else letter
    return f"\\u{ord(letter):04x}" if letter < "\U00010000" else f"\\U{ord(letter):08x}"


def log(at: str, message: str | Callable[[], str], more: Callable[[], str] | None = None) -> None:
    """Report `message`, one line, as information from place `at`, and the lines that `more` gives below it.

    Functions are called only where somebody listens.
    """
    _report(logging.INFO, at, message, more)


def warn(at: str, message: str | Callable[[], str], more: Callable[[], str] | None = None) -> None:
    """Report what the user should know and that does not stop the run."""
    _report(logging.WARNING, at, message, more)


def lines(text: str) -> tuple[str, Callable[[], str] | None]:
    """A text of several lines as `log` and `warn` take it: the first line, and a function that gives the others."""
    first, _, rest = text.partition("\n")
    return first, (lambda: rest) if rest else None


@contextmanager
def silent() -> Iterator[None]:
    """Report nothing from the block, which repeats work whose reports have been made already."""
    before = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(before)


def _report(level: int, at: str, message: str | Callable[[], str], more: Callable[[], str] | None) -> None:
    if logger.isEnabledFor(level) and not _quiet.get():
        text = visible(message if isinstance(message, str) else message())
        text = text.replace("\n", r"\n")  # a name in it cannot begin a line
        logger.log(level, "%s", text + "\n" + visible(more()) if more else text, extra={"at": at})


def number(value: float) -> str:
    """A float as C++ streams print it, with six significant digits: 0.01, 1e-05, 2.3026."""
    return f"{float(value):.6g}"
