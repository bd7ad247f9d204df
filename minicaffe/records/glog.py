"""Log lines in Caffe's format, which log parsers read: `I1122 10:54:28.593068 30268 solver.cpp:239] Iteration 0`."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from minicaffe.log import logger, visible

LETTERS = {logging.DEBUG: "I", logging.INFO: "I", logging.WARNING: "W", logging.ERROR: "E", logging.CRITICAL: "F"}
SEVERITIES = (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)  # by glog's numbers


class GlogFormatter(logging.Formatter):
    """Level letter, date, time with microseconds, thread, Caffe's place, message.

    The date has no year, as in every log of Caffe's time: glog writes one since 2021, which Caffe's parsers never knew.
    """

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        microseconds = int(record.created % 1 * 1e6)
        at = getattr(record, "at", f"{record.filename}:{record.lineno}")
        head = f"{LETTERS.get(record.levelno, 'I')}{clock}.{microseconds:06d} {threading.get_native_id():5d} {at}]"
        return f"{head} {visible(record.getMessage())}".removesuffix("\n")


@contextmanager
def writing(stream: TextIO | None = None, wanted: Callable[[logging.LogRecord], bool] | None = None) -> Iterator[None]:
    """Write what minicaffe logs, or only the log records that are `wanted`, to a stream (stderr) in Caffe's format."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(GlogFormatter())
    if wanted:
        handler.addFilter(wanted)
    with listening(handler):
        yield


@contextmanager
def listening(handler: logging.Handler) -> Iterator[None]:
    """Give all that minicaffe logs, information included, to this handler, and not to the program's own handlers.

    Otherwise a program that has set up logging would show each line twice.
    """
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
