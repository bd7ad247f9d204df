"""Make an LMDB or a LevelDB of the IDX files in which MNIST and Fashion-MNIST come. They may be gzipped.

  minicaffe convert_idx train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz mnist_train_lmdb
  minicaffe convert_idx --pairs IMAGES LABELS pairs_lmdb        for a siamese net

The records are the same as those of Caffe's convert_mnist_data. With --pairs they are like those of its
convert_mnist_siamese_data. Each then holds two images, drawn at random, as its channels. Its label is 1 where both are
of one class, else 0.
"""

from __future__ import annotations

import argparse

from minicaffe.cli import progress
from minicaffe.cli.flags import natural
from minicaffe.cli.new_database import add_backend, add_replace, check_backend, log_opened
from minicaffe.data import idx
from minicaffe.data.sources import new_database
from minicaffe.errors import DataError
from minicaffe.log import At, log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", metavar="IMAGES", help="the file with the images")
    parser.add_argument("labels", metavar="LABELS", help="the file with their labels")
    parser.add_argument("target", metavar="DB", help="the database to make")
    parser.add_argument("--pairs", action="store_true", help="make as many pairs of images as there are images")
    parser.add_argument("--seed", metavar="N", type=natural, help="the pairs follow from this number (default: 0)")
    add_backend(parser)
    add_replace(parser)


def run(args: argparse.Namespace) -> int:
    check_backend(args.backend)
    if args.seed is not None and not args.pairs:
        raise DataError("--seed is for --pairs, and without it nothing is drawn", hint="leave --seed out")
    images, labels = idx.read_pair(args.images, args.labels)
    _, height, width = images.shape
    with progress.counting() as follow, new_database(args.backend, args.target, replace=args.replace) as database:
        log_opened(args.backend, args.target)
        log(At.MNIST_COUNTED, f"A total of {len(images)} items.")
        log(At.MNIST_SIZE, f"Rows: {height} Cols: {width}")
        records = idx.pairs(images, labels, args.seed or 0) if args.pairs else idx.records(images, labels)
        for key, datum in follow(records, len(images)):
            database.put(key, datum)
        log(At.MNIST_DONE, f"Processed {database.count} files.")
    return 0
