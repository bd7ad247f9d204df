"""The flags that say how images are made ready for a net, and the same in a comment of a deploy net."""

from __future__ import annotations

import argparse
import io
import re
import shlex
from argparse import ArgumentTypeError
from dataclasses import replace

import numpy as np

from minicaffe.cli.flags import natural, positive
from minicaffe.data.preprocess import Preprocessing, check_mean
from minicaffe.data.transformer import read_mean
from minicaffe.errors import DataError, NetError
from minicaffe.io.file_bytes import read_file
from minicaffe.proto import TransformationParameter
from minicaffe.proto.text import float32_digits

PREPROCESSING = ("mean", "scale", "channel_swap", "crop", "resize", "resize_shorter", "gray")  # the flags
COMMENT = re.compile(r"^\s*#\s*preprocessing:(.*)$", re.MULTILINE)


def add_preprocessing(parser: argparse.ArgumentParser) -> None:
    """Add the flags. One that is not given is None, and what the net says holds."""
    group = parser.add_argument_group("preprocessing", "Each flag replaces what the net's data layer says.")
    group.add_argument("--mean", metavar="F", help="what to subtract: a .binaryproto or .npy file, or values such as "
                                                   "104,117,123, one for each channel of the net")
    group.add_argument("--scale", metavar="X", type=_factor,
                       help="multiply by this, after the mean is subtracted (default: 1)")
    group.add_argument("--channel-swap", metavar="2,1,0", type=_order,
                       help="the order of the net's channels, where red is 0, green 1, blue 2 (default: 2,1,0, as in "
                            "Caffe); 0,1,2 is for a net trained on red, green, blue")
    group.add_argument("--crop", metavar="N", type=natural,
                       help="cut out the middle N × N of the image; 0 takes all of it")
    group.add_argument("--resize", metavar="HxW", type=_size,
                       help="resize an image first, such as to 256x256, or 256 for the same; no: leave it as it is")
    group.add_argument("--resize-shorter", metavar="N", type=positive,
                       help="resize an image first, so that its shorter side has N pixels")
    group.add_argument("--gray", action="store_true", default=None, help="read images in grey, as one channel")


def no_flags() -> argparse.Namespace:
    """Return what the parser returns where none of the flags is given."""
    parser = argparse.ArgumentParser(add_help=False)
    add_preprocessing(parser)
    return parser.parse_args([])


def as_flags(p: Preprocessing) -> str:
    """Return the flags that say what the preprocessing of a data layer is."""
    t, flags = p.transform, []
    if p.color is False:
        flags.append("--gray")
    if t.resize_shorter:
        flags.append(f"--resize-shorter {t.resize_shorter}")
    else:
        flags.append(f"--resize {p.size[0]}x{p.size[1]}" if p.size else "--resize no")
    if t.mean_value:
        flags.append("--mean " + ",".join(map(float32_digits, t.mean_value)))
    elif t.HasField("mean_file"):
        flags.append("--mean " + shlex.quote(t.mean_file))
    if t.scale != 1:
        flags.append(f"--scale {float32_digits(t.scale)}")
    if t.crop_size:
        flags.append(f"--crop {t.crop_size}")
    return " ".join(flags)


def given(args: argparse.Namespace) -> list[str]:
    """Return which of the flags are given."""
    return ["--" + name.replace("_", "-") for name in PREPROCESSING if getattr(args, name) is not None]


def apply_flags(base: Preprocessing, args: argparse.Namespace) -> Preprocessing:
    """Return a Preprocessing with what the flags say in place of the same part of `base`."""
    transform = TransformationParameter()
    transform.CopyFrom(base.transform)
    made = replace(base, transform=transform, _made=None)
    if args.scale is not None:
        transform.scale = args.scale
    if args.crop is not None:
        transform.crop_size = args.crop
    if args.resize_shorter is not None:
        transform.resize_shorter = args.resize_shorter
        made.size = None
    if args.mean is not None:
        made.mean = mean_of(args.mean)
    if args.channel_swap is not None:
        made.order = args.channel_swap
    if args.resize is not None:
        made.size = args.resize or None
        transform.ClearField("resize_shorter")
    if args.gray:
        made.color = False
    return made


def mean_of(text: str) -> np.ndarray:
    """Return the mean that a flag names: values, a .npy file or a .binaryproto."""
    if re.fullmatch(r"[-+.\deE,\s]+", text):
        try:
            return check_mean(np.array([float(part) for part in text.split(",")]), "--mean")
        except ValueError:
            raise DataError(f"--mean expects values such as 104,117,123 or a file, got {text!r}") from None
    if not text.lower().endswith(".npy"):
        return check_mean(read_mean(text), text)
    content = io.BytesIO(read_file(text, "the mean file"))
    try:
        return check_mean(np.load(content, allow_pickle=False), text)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read the mean file {text}: {getattr(error, 'strerror', None) or error}") from error


def from_comment(text: str) -> argparse.Namespace | None:
    """Return the flags in a definition's comment '# preprocessing: --scale 0.004 --gray'; None where there is none.

    Raise NetError where the comment holds something else.
    """
    found = COMMENT.search(text)
    if found is None:
        return None
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    add_preprocessing(parser)
    try:
        args, unknown = parser.parse_known_args(shlex.split(found[1]))
    except (argparse.ArgumentError, ValueError, SystemExit) as error:
        raise NetError(f"the comment 'preprocessing:' cannot be read: {error}") from None
    if unknown:
        raise NetError(f"the comment 'preprocessing:' holds {unknown[0]!r}, which is none of the flags for it")
    return args


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value or not np.isfinite(value):
        raise ArgumentTypeError(f"expects a number other than 0, got {text!r}")
    return value


def _order(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if sorted(parts) != ["0", "1", "2"]:
        raise ArgumentTypeError(f"expects the numbers 0, 1 and 2 in some order, such as 2,1,0, got {text!r}")
    return tuple(map(int, parts))


def _size(text: str) -> tuple[int, int] | tuple[()]:
    """Return (height, width), or () for 'no'."""
    if text == "no":
        return ()
    found = re.fullmatch(r"([1-9]\d{0,4})(?:[x×]([1-9]\d{0,4}))?", text)
    if not found:
        raise ArgumentTypeError(f"expects a size such as 256x256 (height x width) or 256, or 'no', got {text!r}")
    return int(found[1]), int(found[2] or found[1])
