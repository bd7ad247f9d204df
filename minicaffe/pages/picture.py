"""Arrays as pictures for pages: PNG files of 256 colours, written as data: URLs."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

LARGEST = 96  # rows and columns of a heat map; larger arrays are drawn smaller
BLUE, WHITE, RED = (33, 102, 172), (247, 247, 247), (178, 24, 43)


def heat_map(values: np.ndarray, limit: float | None = None, largest: int = LARGEST,
             shades: int = 127) -> tuple[str, int, int]:
    """Return a matrix as (data URL, width, height in pixels): blue below 0, white at 0, red above.

    values     (rows, columns). NaN and infinities are black
    limit      the number that gets the full colour; None takes the largest one
    largest    the most rows and columns of the picture. In that of a larger matrix a pixel stands for several numbers,
               and shows the one that is farthest from 0, so that no large number is lost
    shades     how many shades of each of the two colours there are; fewer make a smaller file
    """
    small = shrunk(np.asarray(values, np.float64), largest)
    finite = np.isfinite(small)
    scale = limit or float(np.abs(small[finite]).max(initial=0)) or 1.0
    white = shades + 1  # its place in the palette; 0 is for what is no number
    levels = np.where(finite, white + np.clip(np.nan_to_num(small) / scale, -1, 1) * shades, 0).round().astype(np.uint8)
    steps = np.arange(2 * shades + 2)
    share = np.abs(steps - white)[:, None] / shades
    ends = np.where(steps[:, None] < white, BLUE, RED)
    palette = np.clip(np.round(np.array(WHITE) * (1 - share) + ends * share), 0, 255).astype(np.uint8)
    palette[0] = 0  # what is no number
    return _url(levels, palette), small.shape[1], small.shape[0]


def image(pixels: np.ndarray) -> tuple[str, int, int]:
    """Return an image of uint8 as (data URL, width, height): (H, W) in grey, or (3, H, W) as blue, green, red."""
    if pixels.ndim == 2:
        return _url(pixels, None), pixels.shape[1], pixels.shape[0]
    return _url(np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0)), None), pixels.shape[2], pixels.shape[1]


def grey_levels(values: np.ndarray) -> np.ndarray:
    """Return numbers as levels of uint8 for `image`: the smallest is black, the largest white. NaN is black."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    known = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    return ((known - low) / ((high - low) or 1) * 255).round().astype(np.uint8)


def shrunk(values: np.ndarray, largest: int) -> np.ndarray:
    """Return a matrix with at most `largest` rows and columns. Of each block the number farthest from 0 stays."""
    for axis in (0, 1):
        size = values.shape[axis]
        if size > largest:
            edges = np.arange(largest) * size // largest
            low, high = np.minimum.reduceat(values, edges, axis), np.maximum.reduceat(values, edges, axis)
            values = np.where(np.abs(high) >= np.abs(low), high, low)
    return values


def _url(pixels: np.ndarray, palette: np.ndarray | None) -> str:
    """Return pixels (H, W) or (H, W, 3) of uint8 as a PNG in a data: URL; with a palette (n, 3) they are its rows."""
    kind = 3 if palette is not None else 2 if pixels.ndim == 3 else 0
    rows = pixels.reshape(len(pixels), -1)
    raw = np.concatenate([np.zeros((len(rows), 1), np.uint8), rows], axis=1).tobytes()  # 0: a row without a filter
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, kind, 0, 0, 0))]
    if palette is not None:
        parts.append(_chunk(b"PLTE", palette.tobytes()))
    parts += [_chunk(b"IDAT", zlib.compress(raw, 9)), _chunk(b"IEND", b"")]
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
