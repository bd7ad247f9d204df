"""The flags and environment variables of glog, Caffe's logging library: `--minloglevel=1`, `GLOG_log_dir=logs`."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from minicaffe.errors import MinicaffeError
from minicaffe.log import logger
from minicaffe.records import glog

# Caffe's tools always write to stderr, and so do ours: these change nothing. A switch takes no value of its own.
WITHOUT_EFFECT = {"stderrthreshold", "v", "vmodule", "max_log_size", "logbuflevel", "logbufsecs", "log_backtrace_at"}
SWITCHES = {"logtostderr", "alsologtostderr", "colorlogtostderr", "log_prefix", "stop_logging_if_full_disk"}


@contextmanager
def obeying(tool: str, args: Sequence[str]) -> Iterator[list[str]]:
    """Do what the flags say while the block runs, and yield the other arguments.

    --minloglevel N leaves out lines below a level: 1 information, 2 also warnings, 3 also errors. --log_dir DIR also
    writes the lines to a file there, with a link TOOL.INFO to the newest one. Each of them may be a variable of the
    environment instead, GLOG_minloglevel and GLOG_log_dir. Raise MinicaffeError for a wrong value.
    """
    settings, others = _split(args)
    variables = {name: os.environ.get(f"GLOG_{name}", "") for name in ("minloglevel", "log_dir")}
    level = settings.get("minloglevel") or variables["minloglevel"] or "0"
    if not level.isdecimal() or int(level) >= len(glog.SEVERITIES):
        raise MinicaffeError(f"minloglevel is the lowest level to log, from 0 to {len(glog.SEVERITIES) - 1}, got "
                             f"{level!r}")
    folder = settings.get("log_dir") or variables["log_dir"]
    with ExitStack() as done:
        if int(level):
            lowest = glog.SEVERITIES[int(level)]

            def wanted(record: logging.LogRecord) -> bool:
                return record.levelno >= lowest

            logger.addFilter(wanted)
            done.callback(logger.removeFilter, wanted)
        if folder:
            done.enter_context(_file(Path(folder), tool))
        yield others


def _split(args: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the values of glog's flags by name, and the other arguments."""
    found: dict[str, str] = {}
    others: list[str] = []
    rest = iter(args)
    for arg in rest:
        name, equals, value = arg.lstrip("-").partition("=")
        if not arg.startswith("-") or not name:
            others.append(arg)
        elif name in ("minloglevel", "log_dir") or name in WITHOUT_EFFECT:
            found[name] = value if equals else next(rest, "")
        elif name.removeprefix("no") not in SWITCHES and name not in SWITCHES:
            others.append(arg)
    return found, others


@contextmanager
def _file(folder: Path, tool: str) -> Iterator[None]:
    """Write the log lines to a new file in the folder too, which is called as glog calls it."""
    name = f"{tool}.{socket.gethostname()}.{getpass.getuser()}.log.INFO.{time.strftime('%Y%m%d-%H%M%S')}.{os.getpid()}"
    path = folder / name
    try:
        file = open(path, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    except OSError as error:
        raise MinicaffeError(f"the log cannot be written to {path}: {error.strerror}",
                             hint="log_dir must be a folder that is there") from error
    with file:
        with suppress(OSError):  # a file system without links
            (folder / f"{tool}.INFO").unlink(missing_ok=True)
            (folder / f"{tool}.INFO").symlink_to(name)
        with glog.writing(file):
            yield
