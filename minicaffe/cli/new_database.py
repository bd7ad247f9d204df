"""What the commands that write a database have in common."""

from __future__ import annotations

import argparse

from minicaffe.errors import DataError
from minicaffe.log import At, log

BACKENDS = ("lmdb", "leveldb")


def add_replace(parser: argparse.ArgumentParser, what: str = "a database") -> None:
    """Add --replace; `what` is what the command makes."""
    parser.add_argument("--replace", action="store_true", help=f"replace {what} that exists, once the new one is "
                        "complete; without this flag it is an error if there is one")


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add --backend, which Caffe's tools have."""
    parser.add_argument("--backend", metavar="KIND", default="lmdb",
                        help="the kind of database: lmdb (default), or leveldb")


def check_backend(kind: str) -> None:
    """Raise DataError for a kind of database that there is not."""
    if kind not in BACKENDS:
        raise DataError(f"the kind of database must be lmdb or leveldb, got {kind!r}")


def log_opened(kind: str, path: str) -> None:
    """Log that a database is opened, as Caffe does."""
    log(At.LMDB_OPENED if kind == "lmdb" else At.LEVELDB_OPENED, f"Opened {kind} {path}")
