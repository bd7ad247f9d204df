"""The segments of a JPEG, and the orientation that a camera writes into one of them, the EXIF data."""

from __future__ import annotations

import struct
from collections.abc import Iterator

ORIENTATION = 0x0112  # the tag's number
UPRIGHT = 1
PIXELS = 0xDA  # the marker of the segment before the pixels


def orientation(jpeg: bytes) -> int:
    """Return EXIF's number for how an image must be turned, from 1 (not at all) to 8; 1 where the file has none."""
    for marker, start, end in segments(jpeg):
        if marker == 0xE1 and jpeg[start:start + 6] == b"Exif\0\0":
            return _in_tiff(jpeg[start + 6:end])
    return UPRIGHT


def segments(jpeg: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment of a JPEG, up to the one (PIXELS) behind which the pixels begin."""
    place, marker = 2, 0
    while jpeg[:2] == b"\xff\xd8" and jpeg[place:place + 1] == b"\xff" and len(jpeg) >= place + 4 and marker != PIXELS:
        marker, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2:place + 4], "big")
        if length < 2:  # the file is damaged
            break
        yield marker, place + 4, place + 2 + length
        place += 2 + length


def _in_tiff(data: bytes) -> int:
    """Return the orientation in the first directory of EXIF data, which has TIFF's form."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    try:
        if order is None:
            return UPRIGHT
        directory = struct.unpack_from(f"{order}I", data, 4)[0]
        for n in range(struct.unpack_from(f"{order}H", data, directory)[0]):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", data, directory + 2 + 12 * n)
            if tag == ORIENTATION and kind == 3:
                return value if 1 <= value <= 8 else UPRIGHT
    except struct.error:  # it ends before what it announces
        pass
    return UPRIGHT
