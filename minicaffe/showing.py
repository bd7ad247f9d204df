"""How nets, blobs, layers and solvers show themselves: at Python's prompt, in IPython, in a notebook, in `print`.

`repr` stays one short line, because error messages, debuggers, test reports and lists of objects use it. It reads no
values, and works for an object whose `__init__` has failed. Where a person asks for one object, more is shown, as text
or as HTML. minicaffe.notebook makes both. It imports the objects that it shows, so they cannot import it. It is found
by its name when something is first shown.
"""

from __future__ import annotations

import builtins
import sys
from importlib import import_module
from typing import Any


class Shown:
    """The base of the objects that show themselves."""

    __slots__ = ()

    def in_short(self) -> str:
        """Return one line for messages and lists. It reads no values."""
        raise NotImplementedError

    def __repr__(self) -> str:
        try:
            return self.in_short()
        except AttributeError:  # an object in whose `__init__` an error was raised lacks some attributes
            return f"<{type(self).__name__}: not made yet>"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For IPython: the whole text of an object that stands alone, the short line of one inside a list."""
        printer.text(repr(self) if cycle or len(printer.stack) > 1 else as_text(self))

    def _repr_html_(self) -> str | None:
        """For notebooks. Where it is None, they show the text."""
        return _made("html", self)


def as_text(thing: Shown) -> str:
    """Return what a terminal shows of an object."""
    return printable(_made("text", thing) or repr(thing))


def printable(text: str) -> str:
    """Return a text in which a question mark stands for each sign that stdout's encoding does not have."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _made(form: str, thing: Shown) -> str | None:
    """Return the text or the HTML for an object. Return None where that fails, as for an object that is half made.

    Printing an object must not raise, because people print an object to find out what is wrong with it.
    """
    try:
        return getattr(import_module("minicaffe.notebook"), form)(thing)
    except Exception:
        return None


def _display(value: object) -> None:
    """Print a value at Python's prompt: a Shown object in full, any other value as its `repr`."""
    if not isinstance(value, Shown):
        sys.__displayhook__(value)
        return
    builtins._ = value  # type: ignore[attr-defined]  # the prompt's name for the last value
    sys.stdout.write(as_text(value) + "\n")


# Only at a prompt, and only where no other program, such as IPython, shows values in its own way.
if (hasattr(sys, "ps1") or sys.flags.inspect) and sys.displayhook is sys.__displayhook__:
    sys.displayhook = _display
