"""Compute the mean image of a database, and the mean of each channel.

  minicaffe compute_image_mean train_lmdb mean.binaryproto     write the mean image
  minicaffe compute_image_mean train_lmdb                      print the means alone

All images must have the same size. In a net's transform_param, mean_file names the image to subtract. Instead, one
mean_value for each channel subtracts the means of the channels.
"""

from __future__ import annotations

import argparse

from minicaffe.cli import progress
from minicaffe.data.image_mean import channel_means, mean_image, write_mean
from minicaffe.data.sources import open_source
from minicaffe.errors import DataError
from minicaffe.io.files import check_can_write
from minicaffe.log import At, log, number

BACKENDS = ("lmdb", "leveldb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="INPUT_DB", help="the database")
    parser.add_argument("target", metavar="OUTPUT_FILE", nargs="?", help="the file to write with the mean image, a "
                        ".binaryproto; one that exists is replaced")
    parser.add_argument("--backend", metavar="KIND", default="lmdb",
                        help="the kind of database: lmdb or leveldb (default: lmdb)")


def run(args: argparse.Namespace) -> int:
    if args.backend not in BACKENDS:
        raise DataError(f"--backend expects lmdb or leveldb, got {args.backend!r}")
    check_can_write("OUTPUT_FILE", args.target or "")  # before the database is read, which may take an hour
    with progress.counting() as follow:
        source = open_source(args.backend.upper(), args.source)
        log(At.LMDB_OPENED if args.backend == "lmdb" else At.LEVELDB_OPENED, f"Opened {args.backend} {args.source}")
        mean = mean_image(follow(source.records(), len(source)), args.source)
        if args.target:
            log(At.MEAN_WRITTEN, f"Write to {args.target}")
            write_mean(args.target, mean)
        log(At.MEAN_CHANNELS, f"Number of channels: {len(mean)}")
        for k, value in enumerate(channel_means(mean)):
            log(At.MEAN_VALUE, f"mean_value channel [{k}]: {number(value)}")
    return 0
