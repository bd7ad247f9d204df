"""Unpack Snappy, the compression of LevelDB's blocks.

The format: the size of the unpacked bytes as a varint, then elements. An element is bytes that are taken as they are
(a literal), or the distance and the number of bytes that are copied from what was unpacked before.
"""

from __future__ import annotations

try:
    import cramjam  # some 20 times as fast as the code below
except ImportError:
    cramjam = None

MOST = 1 << 31  # bytes that a block of a database may have


def unpack(packed: bytes) -> bytes:
    """Return the unpacked bytes. Raise a ValueError where `packed` is damaged."""
    try:
        size, at = _size(packed)
        if size > min(MOST, 64 * len(packed)):  # an element of 3 bytes makes at most 64
            raise ValueError(f"{len(packed)} bytes cannot become {size}")
        found = _unpack(packed, at) if cramjam is None else _unpack_faster(packed)
    except IndexError:
        raise ValueError("it ends within an element") from None
    if len(found) != size:
        raise ValueError(f"it holds {len(found)} bytes and claims {size}")
    return bytes(found)


def _unpack_faster(packed: bytes) -> bytes:
    try:
        return bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError as error:
        raise ValueError(str(error)) from error


def _size(packed: bytes) -> tuple[int, int]:
    size = at = 0
    while True:
        byte = packed[at]
        size |= (byte & 127) << 7 * at
        at += 1
        if byte < 128:
            return size, at
        if at == 5:
            raise ValueError("its size has more than 32 bits")


def _unpack(packed: bytes, at: int) -> bytearray:
    out, end = bytearray(), len(packed)
    while at < end:
        tag = packed[at]
        kind = tag & 3
        if kind == 0:
            size = (tag >> 2) + 1
            at += 1
            if size > 60:  # the size follows, in 1 to 4 bytes
                more = size - 60
                size = int.from_bytes(packed[at:at + more], "little") + 1
                at += more
            out += packed[at:at + size]
            at += size
            continue
        if kind == 1:
            size, distance = 4 + (tag >> 2 & 7), tag >> 5 << 8 | packed[at + 1]
            at += 2
        elif kind == 2:
            size, distance = (tag >> 2) + 1, packed[at + 1] | packed[at + 2] << 8
            at += 3
        else:
            size, distance = (tag >> 2) + 1, int.from_bytes(packed[at + 1:at + 5], "little")
            at += 5
        start = len(out) - distance
        if not 0 <= start < len(out):
            raise ValueError(f"it copies from {distance} bytes before, of {len(out)}")
        if distance >= size:
            out += out[start:start + size]
        else:  # the copy overlaps itself: the last bytes are repeated
            out += (out[start:] * (size // distance + 1))[:size]
    return out
