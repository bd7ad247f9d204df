"""Correlation without columns: filters slid over padded planes, read where they lie.

Every channel of an image is laid out as a plane with its zeros around it, so wide that a filter's tap (i, j) of output
j is at a fixed distance from output 0's: x[offset[d] + j]. A stride s cuts the plane into s × s planes of every s-th
pixel, between which the same holds. The outputs of a plane's whole width are computed, and those that lie beyond the
right border are not written. Where a filter is one pixel and nothing is padded, the image itself is the planes.
"""

from __future__ import annotations

import functools

import numpy as np

from minicaffe.kernels.jit import tiles, words
from minicaffe.kernels.jit.compiled import compiled
from minicaffe.kernels.jit.entry import entry
from minicaffe.kernels.jit.tiles import LANES, ROWS, VECTORS, WIDTH
from minicaffe.kernels.reference.im2col import Sizes
from minicaffe.kernels.workspace import borrow

CACHED = 1 << 18      # numbers of the planes that a piece reads: what a core's cache holds beside the filters
PIECE_WORK = 1 << 20  # multiplications that are worth a piece of their own
MOST_PIECES = 16      # of one image
LAID_OUT = 1 << 15    # numbers that are worth a piece when they are laid out


class Geometry:
    """Where the taps of a correlation lie on the planes.

    bare         whether the image itself serves as its planes
    phases       the rows and columns, of every s-th, that taps lie on: one plane each
    height, width of a plane;  columns: outputs of its whole width, up to the last that is written
    offsets      for each channel and tap the distance of its pixel for output 0; woven_offsets in woven images
    """

    def __init__(self, C: int, H: int, W: int, kernel: Sizes, stride: Sizes, pad: Sizes, dilation: Sizes, oh: int,
                 ow: int) -> None:
        rows, columns = (np.arange(k) * d for k, d in zip(kernel, dilation, strict=True))
        self.phases = tuple(np.unique(t % s) for t, s in zip((rows, columns), stride, strict=True))
        self.height, self.width = oh + rows[-1] // stride[0], ow + columns[-1] // stride[1]
        self.bare = not any(pad) and set(kernel) | set(stride) == {1} and (oh, ow) == (H, W)
        self.columns = (oh - 1) * self.width + ow
        self.plane = int(self.height * self.width)
        planes = [np.searchsorted(phase, t % s) for phase, t, s in zip(self.phases, (rows, columns), stride,
                                                                       strict=True)]
        self.channel = self.plane * len(self.phases[0]) * len(self.phases[1])
        taps = ((planes[0][:, None] * len(self.phases[1]) + planes[1]) * self.plane
                + rows[:, None] // stride[0] * self.width + columns // stride[1])
        self.offsets = (np.arange(C)[:, None, None] * self.channel + taps).reshape(-1).astype(np.int64)
        self.woven_offsets = self.offsets * tiles.LANES


geometry = functools.lru_cache(maxsize=512)(Geometry)


def fits(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether the planes serve: two spatial axes, float32, something to compute."""
    return x.ndim == 4 and x.dtype == np.float32 and x.size > 0 and y.size > 0 and tiles.MASKS


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """See the reference."""
    (N, _, H, W), (K, channels, *kernel), (oh, ow) = x.shape, w.shape, out.shape[2:]
    at = geometry(channels, H, W, tuple(kernel), tuple(stride), tuple(pad), tuple(dilation), oh, ow)
    planes = x if at.bare else lay_out(x, at, stride, pad)
    D, filters = len(at.offsets), K // group
    parts, tall = _cut(at, channels, filters, D, N * group)
    bias = _zeros(K) if b is None else b
    _slide(N * group * len(parts) * tall, planes, w, bias, out, at.offsets, parts, len(parts), tall, group, filters, D,
           planes.size // N, planes.size // N // group, at.width, oh, ow)


@functools.lru_cache(maxsize=64)
def _zeros(count: int) -> np.ndarray:
    return np.zeros(count, np.float32)


def _cut(at: Geometry, channels: int, filters: int, D: int, images: int) -> tuple[np.ndarray, int]:
    """The first columns of the parts of an image, and in how many parts to cut the filters."""
    wide = -(-at.columns // WIDTH)
    cached = -(-wide * WIDTH * channels * at.channel // at.plane // CACHED)
    wanted = min(MOST_PIECES, max(1, at.columns * filters * D // PIECE_WORK), -(-MOST_PIECES // images))
    parts = min(wide, max(1, cached, wanted))
    tall = max(1, min(-(-filters // ROWS), wanted // parts)) if parts < wanted else 1
    return _starts(at.columns, wide, parts), tall


@functools.lru_cache(maxsize=512)
def _starts(columns: int, wide: int, parts: int) -> np.ndarray:
    return np.array([p * wide // parts * WIDTH for p in range(parts)] + [columns], np.int64)[:-1]


def lay_out(x: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes) -> np.ndarray:
    """The planes of images, in borrowed memory."""
    N, C, H, W = x.shape
    planes = borrow("planes", (N * C * at.channel + WIDTH,), x.dtype)
    pieces = max(1, min(MOST_PIECES, N * C, N * C * at.channel // LAID_OUT))
    _lay_out(pieces, x, planes, at.phases[0], at.phases[1], len(at.phases[0]), len(at.phases[1]), N * C, H, W,
             at.height, at.width, *stride, *pad, pieces)
    return planes[:N * C * at.channel].reshape(N, C, -1)


@entry
def _lay_out(block, piece):
    rows, columns, channels, H, W, height, width = block[4], block[5], block[6], block[7], block[8], block[9], block[10]
    sh, sw, ph, pw, pieces = block[11], block[12], block[13], block[14], block[15]
    source = words.floats(block[0], channels * H * W)
    planes = words.floats(block[1], channels * rows * columns * height * width)
    row_phases, column_phases = words.ints(block[2], rows), words.ints(block[3], columns)
    for c in range(piece * channels // pieces, (piece + 1) * channels // pieces):
        for a in range(rows):
            for b in range(columns):
                left = column_phases[b] - pw
                first = min(width, max(0, -(left // sw)))               # outputs that see a pixel of the image
                end = max(first, min(width, (W - 1 - left) // sw + 1))
                for u in range(height):
                    h = u * sh + row_phases[a] - ph
                    to = (((c * rows + a) * columns + b) * height + u) * width
                    row = planes[to:to + width]
                    if h < 0 or h >= H:
                        row[:] = 0
                        continue
                    row[:first] = 0
                    row[end:] = 0
                    seen = (c * H + h) * W + left
                    if sw == 1:
                        for v in range(first, end):
                            row[v] = source[seen + v]
                    else:
                        for v in range(first, end):
                            row[v] = source[seen + v * sw]


_tall = {v: tiles.outer_tile(ROWS, v) for v in range(1, VECTORS + 1)}
_tall_1, _tall_2, _tall_3 = (_tall[v] for v in (1, 2, 3))


@entry
def _slide(block, piece):
    planes, w, b, y, offsets = block[0], block[1], block[2], block[3], block[4]
    parts, tall, group, filters, D = block[6], block[7], block[8], block[9], block[10]
    image, channels, width, oh, ow = block[11], block[12], block[13], block[14], block[15]
    starts = words.ints(block[5], parts)
    columns = (oh - 1) * width + ow
    rest, part = piece // parts, piece % parts
    rest, up = rest // tall, rest % tall
    n, g = rest // group, rest % group
    start = starts[part]
    stop = starts[part + 1] if part + 1 < parts else columns
    steps = (filters + ROWS - 1) // ROWS
    tile = tiles.tile_memory()
    for step in range(up * steps // tall, (up + 1) * steps // tall):
        m = step * ROWS
        have = min(ROWS, filters - m)
        k = g * filters + m
        weights = w + 4 * k * D
        target = y + 4 * (n * group * filters + k) * oh * ow
        for j in range(start, stop, WIDTH):
            count = min(WIDTH, stop - j)
            vectors = (count + LANES - 1) // LANES
            lanes = count - (vectors - 1) * LANES
            at = planes + 4 * (n * image + g * channels + j)
            if vectors == 3:
                _tall_3(weights, D, have, at, offsets, D, lanes, b + 4 * k, tile, vectors * LANES)
            elif vectors == 2:
                _tall_2(weights, D, have, at, offsets, D, lanes, b + 4 * k, tile, vectors * LANES)
            else:
                _tall_1(weights, D, have, at, offsets, D, lanes, b + 4 * k, tile, vectors * LANES)
            _write(tile, vectors * LANES, have, j, count, width, oh, ow, target)


@compiled
def _write(tile, stride, rows, j, count, width, oh, ow, target):
    """Write a tile's rows from output j of a plane's width on, without those beyond the right border."""
    sums = words.floats(tile, (rows, stride))
    y = words.floats(target, (rows, oh * ow))
    for m in range(rows):
        row, line = sums[m], y[m]
        if width == ow:
            out = line[j:j + count]
            for i in range(count):
                out[i] = row[i]
            continue
        i, u, v = 0, j // width, j % width
        while i < count:
            written = min(count - i, ow - v)
            if written > 0:
                out, some = line[u * ow + v:u * ow + v + written], row[i:i + written]
                for q in range(written):
                    out[q] = some[q]
            i += width - v
            u, v = u + 1, 0


def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """See the reference. The adjoint of sliding w is sliding its mirror image; of every s-th pixel, its every s-th tap."""
    reach = [(k - 1) * d for k, d in zip(w.shape[2:], dilation, strict=True)]
    mirrored = w.reshape(group, -1, *w.shape[1:])[..., ::-1, ::-1].swapaxes(1, 2).reshape(
        out.shape[1], -1, *w.shape[2:]).copy()
    if set(stride) == {1}:
        correlate(dy, mirrored, None, stride, tuple(r - p for r, p in zip(reach, pad, strict=True)), dilation, group, out)
        return
    raise NotImplementedError


def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """See the reference."""
    (N, _, H, W), (K, channels, *kernel), (oh, ow) = x.shape, out.shape, dy.shape[2:]
    at = geometry(channels, H, W, tuple(kernel), tuple(stride), tuple(pad), tuple(dilation), oh, ow)
    planes = x if at.bare else lay_out(x, at, stride, pad)
    slopes = dy if at.width == ow else widen(dy, at.width)
    filters, D = K // group, len(at.offsets)
    P = oh * at.width
    columns = P if slopes is not dy else oh * ow
    # the last row's zeros beyond the border need not be added
    columns = min(columns, at.columns)
    images = max(1, min(N, DOTS // columns))
    tall = max(1, min(-(-filters // DOT_ROWS), -(-MOST_PIECES // group)))
    _add_products(group * tall, planes, slopes, at.offsets, out, tall, filters, D, N, images, columns,
                  planes.size // N, planes.size // N // group, K * oh * at.width, oh * at.width)


def widen(dy: np.ndarray, width: int) -> np.ndarray:
    """dy with zeros to the right of every row, in borrowed memory."""
    N, K, oh, ow = dy.shape
    wide = borrow("wide slopes", (N * K * oh * width,), dy.dtype)
    pieces = max(1, min(MOST_PIECES, N * K, N * K * oh * width // LAID_OUT))
    _lay_out(pieces, dy, wide, ONE_PHASE, ONE_PHASE, 1, 1, N * K, oh, ow, oh, width, 1, 1, 0, 0, pieces)
    return wide


ONE_PHASE = np.zeros(1, np.int64)
DOTS = 2048           # columns that a tile of products adds at a time: its rows of slopes stay in the first cache
DOT_ROWS, DOT_TAPS = (4, 6) if ROWS == 8 else (3, 4)
_dots = tiles.dot_tile(DOT_ROWS, DOT_TAPS)


@entry
def _add_products(block, piece):
    planes, slopes, offsets, dw = block[0], block[1], block[2], block[3]
    tall, filters, D, N, at_a_time, columns = block[4], block[5], block[6], block[7], block[8], block[9]
    x_image, x_group, dy_image, dy_row = block[10], block[11], block[12], block[13]
    g, up = piece // tall, piece % tall
    steps = (filters + DOT_ROWS - 1) // DOT_ROWS
    for n in range(0, N, at_a_time):
        images = min(at_a_time, N - n)
        for j in range(0, columns, DOTS):
            count = min(DOTS, columns - j)
            for step in range(up * steps // tall, (up + 1) * steps // tall):
                m = step * DOT_ROWS
                k = g * filters + m
                row = slopes + 4 * (n * dy_image + k * dy_row + j)
                pixels = planes + 4 * (n * x_image + g * x_group + j)
                for d in range(0, D, DOT_TAPS):
                    _dots(row, dy_row, min(DOT_ROWS, filters - m), dy_image, pixels, x_image, offsets + 8 * d,
                          min(DOT_TAPS, D - d), count, images, dw + 4 * (k * D + d), D)
