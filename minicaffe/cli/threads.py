"""The flags that say what computes: --threads, and Caffe's --gpu."""

from __future__ import annotations

import argparse
import os

from minicaffe import kernels
from minicaffe.cli.flags import positive, words
from minicaffe.kernels.blas import hold_to_one_thread


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add --threads, for commands that compute."""
    parser.add_argument("--threads", metavar="N", type=positive, help="number of threads that compute (default: "
                        "MINICAFFE_THREADS, else the cores that this process may use); the results do not depend on it")


def add_gpu(parser: argparse.ArgumentParser) -> None:
    """Add --gpu, which Caffe has."""
    parser.add_argument("--gpu", metavar="IDS", type=words, default="",
                        help="accepted because Caffe has it; minicaffe computes on the CPU")


def is_number_given(args: argparse.Namespace) -> bool:
    """Return whether the user has said how many threads are to compute."""
    return args.threads is not None or bool(os.environ.get("MINICAFFE_THREADS"))


def use_threads(args: argparse.Namespace) -> None:
    """Set the number of threads of minicaffe's thread pool, which computes alone.

    BLAS runs on one thread, and the numba engine starts none of its own. Otherwise the pieces of a kernel, each on a
    thread of ours, would start further threads, and all of them would wait for each other's cores.
    """
    if args.threads is not None:
        kernels.set_threads(args.threads)
    kernels.threads()  # checks MINICAFFE_THREADS now, before the command has done any work
    hold_to_one_thread()
