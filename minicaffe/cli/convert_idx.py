"""Make an LMDB of the IDX files in which MNIST and Fashion-MNIST come. They may be gzipped.

  minicaffe convert_idx train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz mnist_train_lmdb

The records are the same as those of Caffe's convert_mnist_data.
"""

from __future__ import annotations

import argparse

from minicaffe.cli import progress
from minicaffe.cli.new_database import add_backend, add_replace, refuse_backend
from minicaffe.data import idx
from minicaffe.data.lmdb import new_lmdb
from minicaffe.log import At, log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", metavar="IMAGES", help="the file with the images")
    parser.add_argument("labels", metavar="LABELS", help="the file with their labels")
    parser.add_argument("target", metavar="DB", help="the LMDB to make")
    add_backend(parser)
    add_replace(parser)


def run(args: argparse.Namespace) -> int:
    refuse_backend(args.backend)
    images, labels = idx.read_pair(args.images, args.labels)
    _, height, width = images.shape
    with progress.counting() as follow, new_lmdb(args.target, replace=args.replace) as database:
        log(At.LMDB_OPENED, f"Opened lmdb {args.target}")
        log(At.MNIST_COUNTED, f"A total of {len(images)} items.")
        log(At.MNIST_SIZE, f"Rows: {height} Cols: {width}")
        for key, datum in follow(idx.records(images, labels), len(images)):
            database.put(key, datum)
        log(At.MNIST_DONE, f"Processed {database.count} files.")
    return 0
