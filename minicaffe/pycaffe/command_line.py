"""What Caffe's programs share: one clean message for an error, and the flags and files of `classify` and `detect`."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minicaffe import pycaffe as caffe
from minicaffe.data.transformer import read_mean
from minicaffe.errors import DataError, MinicaffeError, near_names
from minicaffe.io.file_bytes import read_file
from minicaffe.io.files import PathLike
from minicaffe.layout import prose, terminal_width
from minicaffe.log import visible

_MODEL = "../models/bvlc_reference_caffenet/"
_DEFAULTS = {  # where Caffe's own script looks, from the folder that it lies in
    "model_def": f"{_MODEL}deploy.prototxt",
    "pretrained_model": f"{_MODEL}bvlc_reference_caffenet.caffemodel",
    "mean_file": "caffe/imagenet/ilsvrc_2012_mean.npy",
}


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors have status 1 and near names of flags, and whose text fits the terminal."""

    def __init__(self, prog: str, text: str) -> None:
        super().__init__(prog, description=prose(text, terminal_width(80)),
                         formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: --?([^\s=]+)", message)
        near = near_names(unknown[1], [flag.lstrip("-") for flag in self._option_string_actions]) if unknown else ""
        hint = "\n  hint: " + re.sub("'(.)", r"'--\1", near, count=1) if near else ""
        self.exit(1, f"{self.prog}: error: {visible(message)}{hint}\n  {self.prog} --help lists what it takes\n")


def run(prog: str, main: Callable[[list[str]], None]) -> NoReturn:
    """Run a program on the words of the command line, and end the process. A user's error is a message and status 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # stderr prints escapes for what its encoding lacks; so does this now
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except MinicaffeError as error:
        raise SystemExit(f"{prog}: error: {error}") from None
    except KeyboardInterrupt:
        sys.stderr.write(f"{prog}: stopped\n")
        raise SystemExit(130) from None
    except BrokenPipeError:  # who reads what is printed, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    raise SystemExit(0)


def say(text: str) -> None:
    """Print what a program does, with control characters made visible."""
    print(visible(text), flush=True)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add what `classify` and `detect` are told about the net and about its images."""
    add = parser.add_argument
    add("--model_def", metavar="F", help="the net (default: that of Caffe's ImageNet model, below CAFFE_ROOT)")
    add("--pretrained_model", metavar="F", help="its weights (default: those of the same model)")
    add("--gpu", action="store_true", help="accepted because Caffe has it; the CPU computes")
    add("--mean_file", metavar="F", help="what to subtract: a .npy file (channels, height, width), or a .binaryproto; "
                                         "'' subtracts nothing (default: the mean of the same model)")
    add("--input_scale", metavar="X", type=float, help="multiply by this, after the mean was subtracted")
    add("--raw_scale", metavar="X", type=float, default=255.0,
        help="multiply by this, before the mean is subtracted: images are read as numbers from 0 to 1 (default: 255)")
    add("--channel_swap", metavar="2,1,0", type=whole_numbers, default=[2, 1, 0],
        help="the order of the net's channels, counted in red, green, blue (default: 2,1,0); '' keeps red, green, blue")


def whole_numbers(text: str) -> list[int]:
    """Return the numbers of a flag such as 2,1,0; argparse's error where it holds something else."""
    try:
        return [int(part) for part in text.split(",")] if text.strip() else []
    except ValueError:
        raise argparse.ArgumentTypeError(f"expects whole numbers such as 2,1,0, got {text!r}") from None


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """Choose the device, and return what the flags say of a Classifier or a Detector.

    Raise DataError where a file that is needed was not named, and Caffe's own is not there.
    """
    given = {name: getattr(args, name) for name in _DEFAULTS}
    for name, value in given.items():
        if value is None:
            given[name] = _default(name)
    if args.gpu:
        caffe.set_mode_gpu()
    return {"model_file": given["model_def"], "pretrained_file": given["pretrained_model"],
            "mean": _mean(given["mean_file"]) if given["mean_file"] else None, "input_scale": args.input_scale,
            "raw_scale": args.raw_scale, "channel_swap": args.channel_swap or None}


def _default(name: str) -> str:
    """Return a file of Caffe's own model: below CAFFE_ROOT, or where Caffe's script, in CAFFE_ROOT/python, finds it."""
    root = os.environ.get("CAFFE_ROOT")
    path = os.path.normpath((Path(root) / "python" if root else Path(sys.argv[0]).parent) / _DEFAULTS[name])
    if not os.path.exists(path):
        raise DataError(f"--{name} is needed, because Caffe's own model for ImageNet is not here: there is no {path}",
                        hint="--mean_file '' subtracts no mean" if name == "mean_file" else "")
    return path


def _mean(path: str) -> np.ndarray:
    return read_mean(path) if path.endswith(".binaryproto") else read_npy(path, "the mean file")


def read_npy(path: PathLike, what: str) -> np.ndarray:
    """Return the numbers in a .npy file. Raise DataError, which calls it `what`, where it holds anything else."""
    try:
        values: Any = np.load(io.BytesIO(read_file(path, what)), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DataError(f"{what} {path} is no .npy file of numbers: {error}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise DataError(f"{what} {path} holds no array of numbers")
    return values
