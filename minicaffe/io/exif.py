"""The orientation that a camera writes into the EXIF data of a JPEG."""

from __future__ import annotations

import struct

ORIENTATION = 0x0112  # the tag's number
UPRIGHT = 1


def orientation(jpeg: bytes) -> int:
    """Return EXIF's number for how a picture must be turned, from 1 (not at all) to 8; 1 where the file has none."""
    place = 2
    while jpeg[:2] == b"\xff\xd8" and jpeg[place:place + 1] == b"\xff" and len(jpeg) >= place + 4:
        marker, length = jpeg[place + 1], int.from_bytes(jpeg[place + 2:place + 4], "big")
        if marker == 0xE1 and jpeg[place + 4:place + 10] == b"Exif\0\0":
            return _in_tiff(jpeg[place + 10:place + 2 + length])
        if marker == 0xDA or length < 2:  # the pixels begin, or the file is damaged
            break
        place += 2 + length
    return UPRIGHT


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
