"""What a run reports: lines that carry the place where Caffe prints them, for its users' log parsers.

`log("solver.cpp:239", "Iteration 0, loss = 2.3")` goes to the logger "minicaffe", the place in `record.at`.
The library attaches no handler: a program that imports it hears warnings only, and the command line writes
everything in Caffe's format (cli/glog.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("minicaffe")


def log(at: str, message: str | Callable[[], str]) -> None:
    """Report `message` as information from place `at`; a function is called only where somebody listens."""
    _report(logging.INFO, at, message)


def warn(at: str, message: str | Callable[[], str]) -> None:
    """Report what the user should know and that does not stop the run."""
    _report(logging.WARNING, at, message)


def _report(level: int, at: str, message: str | Callable[[], str]) -> None:
    if logger.isEnabledFor(level):
        logger.log(level, "%s", message if isinstance(message, str) else message(), extra={"at": at})


def number(value: float) -> str:
    """A float as C++ streams print it, with six significant digits: 0.01, 1e-05, 2.3026."""
    return f"{float(value):.6g}"
