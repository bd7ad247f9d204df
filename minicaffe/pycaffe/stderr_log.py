"""Caffe's log lines on stderr, as pycaffe writes them.

They begin with a script's first net, solver or call of `log`. Where the program has given the logger "minicaffe" a
handler of its own, that handler gets the lines instead, as on the command line.

The environment variable GLOG_minloglevel says which lines are written: 0 all, 1 warnings and errors, 2 errors, 3 none.
Where it is not set, a script writes all lines, and a notebook only warnings and errors. A large net writes a thousand
lines, which would stand between the cells. With pycaffe, they come on the terminal of the notebooks' server.
"""

from __future__ import annotations

import logging
import operator
import os
import sys
from collections.abc import Iterator
from typing import Any

from minicaffe import log as core
from minicaffe.log import At, logger
from minicaffe.records.glog import SEVERITIES, GlogFormatter

LEVEL, FOLDER = "GLOG_minloglevel", "GLOG_log_dir"  # glog's environment variables
WARNINGS, ERRORS = SEVERITIES.index(logging.WARNING), SEVERITIES.index(logging.ERROR)


class _Stderr(logging.StreamHandler):
    """Write to what is sys.stderr at that time: a notebook or a test may have replaced it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(GlogFormatter())

    @property
    def stream(self) -> Any:
        return sys.stderr


class _Settings:
    """What the script and this module have set so far."""

    handler = _Stderr()
    asked: int | None = None  # the least severity, where init_log has said it
    level = logging.NOTSET  # what this module has made of it
    warned: frozenset[str] = frozenset()  # the warnings that have been written


def begin() -> None:
    """Write log lines from now on, unless another handler gets them. GLOG_minloglevel is read anew in each call."""
    mine, others = _Settings.handler, [handler for handler in logger.handlers if handler is not _Settings.handler]
    if others:
        return
    if mine not in logger.handlers:
        logger.addHandler(mine)
        logger.propagate = False  # a script that has set up Python's logging would show each line twice
    if logger.level in (logging.NOTSET, _Settings.level):  # a level that the script itself has given the logger stays
        _Settings.level = SEVERITIES[_from_environment() if _Settings.asked is None else _Settings.asked]
        logger.setLevel(_Settings.level)
    _warn_of_environment()


def init_log(level: int | None = None, stderr: bool = True) -> None:
    """Say which log lines are written.

    level     the least severity: 0 all lines, 1 warnings and errors, 2 errors, 3 none; None takes GLOG_minloglevel's
    stderr    False leaves out all but errors. Caffe writes the others to log files, which are not written here
    """
    least = _from_environment() if level is None else operator.index(level)
    _Settings.asked = _within(least if stderr else max(least, ERRORS))
    begin()


def log(text: str) -> None:
    """Write a text of the script's own as a log line, and its further lines below."""
    begin()
    core.log(At.SCRIPT, *core.lines(text))


def _from_environment() -> int:
    """Return the least severity that GLOG_minloglevel gives; 0 where it is no whole number."""
    try:
        return _within(int(os.environ.get(LEVEL, WARNINGS if _in_notebook() else 0)))
    except ValueError:
        return 0


def _in_notebook() -> bool:
    """Return whether what is written to stderr is shown below a notebook's cell."""
    return type(sys.stderr).__module__.startswith("ipykernel.")


def _within(severity: int) -> int:
    return min(max(severity, 0), len(SEVERITIES) - 1)


def _warn_of_environment() -> None:
    """Warn, once of each, of glog's variables that have no effect."""
    for words in _without_effect():
        if words not in _Settings.warned:
            _Settings.warned |= {words}
            core.warn(At.SCRIPT, words)


def _without_effect() -> Iterator[str]:
    level, folder = os.environ.get(LEVEL, "0"), os.environ.get(FOLDER)
    if not level.strip().lstrip("+-").isdecimal():
        yield f"{LEVEL} is {level!r}, which is no whole number: all log lines are written"
    if folder:
        yield f"{FOLDER} is {folder!r}, but no log files are written: all lines go to stderr, and `2> FILE` " \
              "keeps them in a file"
