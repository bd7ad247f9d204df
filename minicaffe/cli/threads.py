"""The flag that says how many threads compute."""

from __future__ import annotations

import argparse

from minicaffe import kernels
from minicaffe.cli.flags import whole
from minicaffe.errors import EngineError
from minicaffe.kernels.blas import hold_to_one_thread


def add_threads(parser: argparse.ArgumentParser) -> None:
    """--threads, for commands that compute."""
    parser.add_argument("--threads", metavar="N", type=whole, help="threads that compute (default: MINICAFFE_THREADS, "
                        "else the cores this process may use); results are the same for any number")


def use_threads(args: argparse.Namespace) -> None:
    """Let so many threads compute: ours alone.

    BLAS is held to one a product, and numba's twins have none of their own: the pieces of a kernel run on ours.
    """
    if args.threads is not None:
        if args.threads < 1:
            raise EngineError(f"--threads must be a positive number, got {args.threads}")
        kernels.set_threads(args.threads)
    kernels.threads()  # a MINICAFFE_THREADS that is no number is noticed now
    hold_to_one_thread()
