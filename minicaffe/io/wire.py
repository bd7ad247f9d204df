"""The wire format of protobuf, as far as weights need it.

A message is a row of fields. A field is a tag, which is the varint number · 8 + wire type, and a payload.

This is our own code. protobuf's reader is not used, for three reasons. It makes a Python object of every number. It
refuses files of more than 2 GB. And it reads every field, so that a parameter that a fork of Caffe stores under one of
Caffe's numbers could keep the weights from being read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minicaffe.io.file_bytes import FileBytes

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
LONGEST_PIECE = 1 << 18  # numbers with a tag each that are read at once

Field = tuple[int, int, int, int]  # number, wire type, value of a varint or start of the payload, end


class DamagedError(ValueError):
    """The bytes are no message. The text of the error says what is wrong, and at which offset."""


def varint(buffer: Any, at: int, end: int) -> tuple[int, int]:
    """Return the base-128 number at `at` and the offset after it."""
    value = shift = 0
    while at < end and shift < 70:  # ten bytes of seven bits: no number of 64 bits is longer
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise DamagedError(f"a number is cut short at byte {at}")


def next_field(buffer: Any, at: int, end: int) -> Field:
    """Return the field at `at` of a message that ends at `end`; its last item is where the next one starts."""
    tag, first = varint(buffer, at, end)
    number, wire = tag >> 3, tag & 7
    if wire == VARINT:
        value, stop = varint(buffer, first, end)
        first = value
    elif wire == LENGTH:
        length, first = varint(buffer, first, end)
        stop = first + length
    elif wire in (FIXED32, FIXED64):
        stop = first + (4 if wire == FIXED32 else 8)
    else:
        raise DamagedError(f"no field starts at byte {at}")
    if not 0 < number < 1 << 29:
        raise DamagedError(f"no field starts at byte {at}")
    if stop > end:
        raise DamagedError(f"a field of {stop - at} bytes starts at byte {at}, but only {end - at} are left")
    return number, wire, first, stop


def signed(value: int) -> int:
    """Return a varint read as int32 or int64 (negative numbers take ten bytes on the wire)."""
    return value - (1 << 64) if value >= 1 << 63 else value


def text(buffer: Any, begin: int, end: int) -> str:
    """Return a string field's content."""
    return bytes(buffer[begin:end]).decode("utf-8", "replace")


def fill(values: np.ndarray, buffer: Any, at: int) -> None:
    """Fill an array with the bytes from `at` on."""
    if isinstance(buffer, FileBytes):
        buffer.read_into(values, at)
    else:
        values[:] = np.frombuffer(buffer, values.dtype, values.size, at)


def unpacked(buffer: Any, at: int, end: int, number: int, size: int) -> Iterator[bytes]:
    """Yield the bytes of the numbers from `at` on, each of which has a tag of its own, as in files before 2014.

    The tag is one byte, which is left out. It is not known how many numbers there are. So they are looked at in
    windows, and while a window holds nothing else, the next one is four times as long. A long run of numbers then
    takes few steps, and of a short one little is read beyond its end.
    """
    tag, stride, window, same = number << 3 | (FIXED32 if size == 4 else FIXED64), 1 + size, 16, 0
    while window := min(window, (end - at) // stride):
        rows = np.frombuffer(buffer[at : at + window * stride], np.uint8).reshape(window, stride)
        same = int(np.argmin(np.append(rows[:, 0] == tag, False)))
        yield rows[:same, 1:].tobytes()
        at += same * stride
        window = min(4 * window, LONGEST_PIECE) if same == window else 0


def put_varint(value: int) -> bytes:
    """Return a number in base 128; a negative one as its 64-bit two's complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_tag(number: int, wire: int, value: int) -> bytes:
    """A tag and a varint: a whole field of a number, or the beginning of a field with a payload of `value` bytes."""
    return put_varint(number << 3 | wire) + put_varint(value)
