"""CRC-32C, the checksum of LevelDB's blocks and log records, for whole blocks at once in numpy.

Without its initial value a CRC is linear: it is the exclusive or of what each byte contributes, and that depends on
the byte and on the number of bytes behind it alone. A table holds the contributions of all bytes within a row of ROW
bytes. So numpy finds the CRCs of many rows in one indexing, and a short loop joins them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits in reverse order
ROW = 512  # bytes; the table of a row has 512 kB, which the processor's cache holds
PIECE = 64 * ROW  # bytes that are looked up at once
ONES = 0xFFFFFFFF
MASK = 0xA282EAD8


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C of some bytes."""
    n, state = len(data), 0
    padded: np.ndarray = np.zeros(-(-n // ROW) * ROW, np.uint8)  # zeros in front of the bytes change nothing
    own = padded[len(padded) - n:]
    own[:] = np.frombuffer(data, np.uint8)
    own[:4] ^= 255  # the initial value, 32 ones
    table, places, (first, second, third, fourth) = _tables()
    for start in range(0, len(padded), PIECE):
        rows = padded[start:start + PIECE].reshape(-1, ROW) + places
        for crc in np.bitwise_xor.reduce(table.take(rows), axis=1).tolist():
            state = crc ^ (first[state & 255] ^ second[state >> 8 & 255] ^ third[state >> 16 & 255]
                           ^ fourth[state >> 24])
    return state ^ ONES >> 8 * min(n, 4) ^ ONES  # of the initial value, fewer than 4 bytes leave a rest


def masked(crc: int) -> int:
    """Return a CRC as LevelDB stores it: changed, because the CRC of bytes that hold their own CRC means little."""
    return ((crc >> 15 | crc << 17) + MASK) & ONES


@lru_cache(None)
def _tables() -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Return the table of a row, laid out flat, where each byte's part begins, and the parts of the first four bytes.

    A state of 32 bits is carried over a row as if its four bytes were the first four of the row.
    """
    byte: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        byte = byte >> np.uint32(1) ^ np.where(byte & 1, np.uint32(POLYNOMIAL), np.uint32(0))
    parts = [byte]  # what a byte contributes with 0, 1, 2, … bytes behind it
    while len(parts) < ROW:
        parts.append(parts[-1] >> np.uint32(8) ^ byte[parts[-1] & 255])
    parts.reverse()
    return np.concatenate(parts), np.arange(ROW) * 256, [part.tolist() for part in parts[:4]]
