"""Compute the mean image of a database, and the mean of each channel.

  minicaffe compute_image_mean train_lmdb mean.binaryproto     write the mean image
  minicaffe compute_image_mean train_lmdb                      print the means alone

All images must have the same size. In a net's transform_param, mean_file names the image to subtract. Instead, one
mean_value for each channel subtracts the means of the channels.
"""

from __future__ import annotations

import argparse

from minicaffe.cli import progress
from minicaffe.cli.flags import filled
from minicaffe.cli.new_database import BACKENDS, add_backend, check_backend, log_opened
from minicaffe.data.image_mean import channel_means, mean_image, write_mean
from minicaffe.data.sources import Source, open_source
from minicaffe.errors import DataError
from minicaffe.io.files import check_can_write
from minicaffe.log import At, log, number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="INPUT_DB", help="the database")
    parser.add_argument("target", metavar="OUTPUT_FILE", nargs="?", type=filled, help="the file to write with the mean "
                        "image, a .binaryproto; one that exists is replaced")
    add_backend(parser)


def run(args: argparse.Namespace) -> int:
    check_backend(args.backend)
    check_can_write("OUTPUT_FILE", args.target or "")  # before the database is read, which may take an hour
    with progress.counting() as follow:
        source = _open(args.backend, args.source)
        log_opened(args.backend, args.source)
        mean = mean_image(follow(source.records(), len(source)), args.source)
        if args.target:
            log(At.MEAN_WRITTEN, f"Write to {args.target}")
            write_mean(args.target, mean)
        log(At.MEAN_CHANNELS, f"Number of channels: {len(mean)}")
        for k, value in enumerate(channel_means(mean)):
            log(At.MEAN_VALUE, f"mean_value channel [{k}]: {number(value)}")
    return 0


def _open(backend: str, path: str) -> Source:
    """Open the database. Raise DataError where it cannot be read, or is of another kind than the flag says."""
    try:
        return open_source(backend.upper(), path)
    except DataError as error:
        for kind in BACKENDS:  # the hint is for a net, and the kind is a flag here
            error.hint = error.hint.replace(f"set backend: {kind.upper()}", f"give --backend={kind}")
        raise
