"""Make LMDBs of CIFAR-10 or CIFAR-100: OUT/cifar10_train_lmdb and OUT/cifar10_test_lmdb.

  minicaffe convert_cifar cifar-10-binary.tar.gz data
  minicaffe convert_cifar cifar-100-binary data --label coarse

INPUT is the binary version, as a folder or as the archive in which it is published. The records of CIFAR-10 are the
same as those of Caffe's convert_cifar_data: the channels are red, green, blue. compute_image_mean computes the mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from minicaffe.cli import progress
from minicaffe.cli.new_database import add_replace, check_backend
from minicaffe.data import cifar
from minicaffe.data.sources import Writer, new_database
from minicaffe.errors import DataError
from minicaffe.log import At, log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="INPUT", help="a folder with CIFAR's .bin files, or the .tar.gz")
    parser.add_argument("folder", metavar="OUT", help="the folder in which the databases are made")
    parser.add_argument("backend", metavar="KIND", nargs="?", default="lmdb",
                        help="the kind of database: lmdb (default), or leveldb")
    parser.add_argument("--label", choices=("fine", "coarse"), help="which label of CIFAR-100 to keep: that of 100 "
                        "fine classes (default) or of 20 coarse ones")
    add_replace(parser)


def run(args: argparse.Namespace) -> int:
    check_backend(args.backend)
    kind, content = cifar.read_files(args.source)
    label = args.label or "fine"
    if args.label and len(kind.labels) == 1:
        raise DataError(f"--label {args.label} is for CIFAR-100, and {args.source} is CIFAR-10, whose images have one "
                        "label each", hint="leave --label out")
    train = [cifar.read_rows(kind, name, content[name]) for name in kind.train]
    test = cifar.read_rows(kind, kind.test, content[kind.test])
    paths = [str(Path(args.folder) / f"{kind.name}_{part}_{args.backend}") for part in ("train", "test")]
    new = partial(new_database, args.backend, replace=args.replace)
    with progress.counting() as follow, new(paths[0]) as train_database, new(paths[1]) as test_database:
        # within one block, so there are both in the end, or none
        log(At.CIFAR_TRAINING, "Writing Training data")
        for batch, rows in enumerate(train, 1):
            log(At.CIFAR_BATCH, f"Training Batch {batch}")
            _put(train_database, follow(cifar.records(kind, rows, label, train_database.count), len(rows)))
        log(At.CIFAR_DONE, f"Processed {train_database.count} files into {paths[0]}.")
        log(At.CIFAR_TESTING, "Writing Testing data")
        _put(test_database, follow(cifar.records(kind, test, label), len(test)))
        log(At.CIFAR_DONE, f"Processed {test_database.count} files into {paths[1]}.")
    return 0


def _put(database: Writer, records: Iterable[tuple[str, Any]]) -> None:
    for key, datum in records:
        database.put(key, datum)
