"""Values as flags take them; argparse says what was given instead, and exits."""

from __future__ import annotations

import argparse
import math


def int32(text: str) -> int:
    """A whole number that a field of a prototxt holds."""
    value = int(text)
    if not -(1 << 31) <= value < 1 << 31:
        raise argparse.ArgumentTypeError(f"must be a whole number from -2147483648 to 2147483647, got {text!r}")
    return value


def seconds(text: str) -> float:
    """A time to wait, 0 or longer."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, got {text!r}")
    return value


def utf8(text: str) -> str:
    """A text that a field of a prototxt holds."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"must be UTF-8, got {text!r}") from None
    return text


int32.__name__ = "int"  # what argparse calls a value that is no number
