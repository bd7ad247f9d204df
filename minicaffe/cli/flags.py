"""Functions that read the values of flags. They raise argparse's own error, whose message names the flag."""

from __future__ import annotations

import math
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Iterable

from minicaffe.errors import ProtoError
from minicaffe.proto import dialects

LARGEST = 2**31 - 1  # Caffe: iterations, levels and sizes are of 32 bits
YES, NO = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")  # what gflags takes after --gray=


def add_switch(parser: ArgumentParser, name: str, what: str) -> None:
    """Add a flag that is on or off, in all forms that Caffe's tools take: --gray, --gray=true, --nogray, …."""
    parser.add_argument(f"--{name}", action="store_true", help=what)
    for values, value in ((YES, True), (NO, False)):
        forms = [f"--{name}={word}" for word in values] + ([] if value else [f"--no{name}"])
        parser.add_argument(*forms, dest=name.replace("-", "_"), action="store_const", const=value, default=False,
                            help=SUPPRESS)


def add_dialect(parser: ArgumentParser, also: str = "") -> None:
    """Add --dialect, which every command has that reads the definition in a binary net. `also` is added to its help."""
    parser.add_argument("--dialect", metavar="FORK", type=_dialect,
                        help="the fork of Caffe that wrote a .caffemodel, because forks use the same numbers for other "
                             f"fields: {', '.join(dialects.NAMES)}. Without this flag it is guessed{also}")


def _dialect(text: str) -> str:
    try:
        return dialects.dialect(text).name
    except ProtoError as error:
        raise ArgumentTypeError("; ".join(filter(None, [error.message, error.hint]))) from None


def whole(text: str) -> int:
    """Read a whole number of 32 bits."""
    try:
        number = int(text)
    except ValueError:
        number = LARGEST + 1
    if not -LARGEST - 1 <= number <= LARGEST:
        raise ArgumentTypeError(f"expects a whole number from {-LARGEST - 1} to {LARGEST}, got {text!r}")
    return number


def natural(text: str) -> int:
    """Read a whole number of 32 bits, 0 or more."""
    number = whole(text)
    if number < 0:
        raise ArgumentTypeError(f"expects a whole number, 0 or more, got {text!r}")
    return number


def positive(text: str) -> int:
    """Read a whole number of 32 bits, 1 or more."""
    number = whole(text)
    if number < 1:
        raise ArgumentTypeError(f"expects a whole number, 1 or more, got {text!r}")
    return number


def power_of_two(text: str) -> int:
    """Read a power of two of 32 bits: 1, 2, 4, …."""
    number = positive(text)
    if number & (number - 1):
        raise ArgumentTypeError(f"expects a power of two, such as 1, 2, 4 or 8, got {text!r}")
    return number


def words(text: str) -> str:
    """Read a text that goes into a definition or a log, which are UTF-8."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # Python's stand-ins for bytes that are not UTF-8
        raise ArgumentTypeError(f"expects UTF-8, got {text!r}")
    return text


def filled(text: str) -> str:
    """Read a text that is not empty.

    An empty one comes from a script whose variable is not set, and the flag would then silently have no effect.
    """
    if not text:
        raise ArgumentTypeError("expects a value, got ''; leave the flag out to go without it")
    return text


def files(text: str) -> str:
    """Read the names of files, separated by commas, none of them empty."""
    if "" in text.split(","):
        raise ArgumentTypeError(f"expects names of files, separated by commas, got {text!r}")
    return words(text)


def listed(texts: Iterable[str]) -> list[str]:
    """Return the names in the values of a flag that may be repeated; in each, commas separate them."""
    return [name for text in texts for name in text.split(",") if name]


def seconds(text: str) -> float:
    """Read a number of seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ArgumentTypeError(f"expects a number of seconds, 0 or more, got {text!r}")
    return value


def one_second(text: str) -> float:
    """Read a number of seconds, 1 or more."""
    value = seconds(text)
    if value < 1:
        raise ArgumentTypeError(f"expects a number of seconds, 1 or more, got {text!r}")
    return value
