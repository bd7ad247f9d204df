"""What the commands that write a database have in common."""

from __future__ import annotations

import argparse

from minicaffe.errors import DataError


def add_replace(parser: argparse.ArgumentParser, what: str = "a database") -> None:
    """Add --replace; `what` is what the command makes."""
    parser.add_argument("--replace", action="store_true", help=f"replace {what} that exists, once the new one is "
                        "complete; without this flag it is an error if there is one")


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add --backend, which Caffe's tools have."""
    parser.add_argument("--backend", metavar="KIND", default="lmdb",
                        help="lmdb (default), the only kind that minicaffe writes")


def refuse_backend(kind: str) -> None:
    """Raise DataError for a kind of database that is not written."""
    if kind == "leveldb":
        raise DataError("a LevelDB cannot be written: minicaffe reads this kind of database, but writes only LMDB",
                        hint="write an LMDB, and set backend: LMDB in the data_param of the net")
    if kind != "lmdb":
        raise DataError(f"the kind of database must be lmdb, got {kind!r}")
