"""Compute the mean image of a database, and the mean of each channel.

  minicaffe compute_image_mean train_lmdb mean.binaryproto     write the mean image
  minicaffe compute_image_mean train_lmdb                      print the means alone

A net subtracts the image with transform_param { mean_file: "mean.binaryproto" }, and the means of the channels with one
mean_value for each. All images must have one size.
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
    parser.add_argument("target", metavar="OUTPUT_FILE", nargs="?", help="the mean image to write, a .binaryproto file")
    parser.add_argument("--backend", metavar="KIND", default="lmdb", help="lmdb or leveldb (default: lmdb)")


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
