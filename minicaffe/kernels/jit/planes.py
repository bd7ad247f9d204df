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
from minicaffe.kernels.jit.tiles import LANES, ROWS, SLOPES_A_TILE, TAPS_A_TILE, WIDTH
from minicaffe.kernels.reference.im2col import Sizes
from minicaffe.kernels.workspace import borrow

CACHED = 1 << 18      # numbers of the planes that a piece reads: what a core's cache holds beside the filters
PIECE_WORK = 1 << 20  # multiplications that are worth a piece of their own
MOST_PIECES = 16      # of one image
THIN = 2              # filters of a group that are slid one by one
THIN_VECTORS = 8      # vectors of a stretch that one filter is slid over
THIN_WIDTH = THIN_VECTORS * LANES
LAID_OUT = 1 << 15    # numbers that are worth a piece when they are laid out
DOTS = 2048           # columns that a tile of products adds at a time: its slopes stay in the first cache
FIRST = np.zeros(1, np.int64)


class Geometry:
    """Where the taps of a correlation lie on the planes.

    bare         whether the image itself serves as its planes
    phases       the rows and columns, of every s-th, that taps lie on: one plane each
    places       for each row and column below s which phase it is, −1 for none
    height, width of a plane;  columns: outputs of its whole width, up to the last that is written
    offsets      for each channel and tap the distance of its pixel for output 0; woven_offsets in woven images
    """

    def __init__(self, C: int, H: int, W: int, kernel: Sizes, stride: Sizes, pad: Sizes, dilation: Sizes, oh: int,
                 ow: int) -> None:
        rows, columns = (np.arange(k) * d for k, d in zip(kernel, dilation, strict=True))
        self.phases = tuple(np.unique(t % s) for t, s in zip((rows, columns), stride, strict=True))
        self.places = tuple(np.array([np.flatnonzero(phase == a)[0] if a in phase else -1 for a in range(s)], np.int64)
                            for phase, s in zip(self.phases, stride, strict=True))
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


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
              out: np.ndarray) -> None:
    """out = b + the filters slid over the images."""
    (N, K), D = out.shape[:2], len(at.offsets)
    planes = x if at.bare else lay_out(x, at, stride, pad)
    filters, channels = K // group, x.shape[1] // group
    parts, tall = _cut(at, channels, filters, D, N * group)
    work = at.columns * filters * D  # of one image and group; where it is little, a piece does several
    at_once = max(1, min(-(-N * group // MOST_PIECES), PIECE_WORK // work)) if len(parts) * tall == 1 else 1
    _slide(-(-N * group // at_once) * len(parts) * tall, planes, w, b, out, at.offsets, parts, len(parts), tall, group,
           filters, D, planes.size // N, planes.size // N // group, at.width, *out.shape[2:], N * group, at_once)


def add_weight_grad(x: np.ndarray, dy: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
                    out: np.ndarray) -> None:
    """out += the products of slopes and pixels."""
    (N, K, oh, ow), D = dy.shape, len(at.offsets)
    planes = x if at.bare else lay_out(x, at, stride, pad)
    slopes = dy if at.width == ow else _widen(dy, at.width)
    filters, row = K // group, oh * at.width
    steps = -(-filters // SLOPES_A_TILE)
    parts = min(steps, max(1, MOST_PIECES // group))
    cuts = min(-(-D // TAPS_A_TILE), max(1, MOST_PIECES // group // parts))
    _add_products(group * parts * cuts, planes, slopes, at.offsets, out, parts, cuts, filters, D, N,
                  max(1, min(N, DOTS // at.columns)), at.columns, planes.size // N, planes.size // N // group,
                  K * row, row)


@functools.lru_cache(maxsize=64)
def zeros(count: int) -> np.ndarray:
    """The bias of filters that have none."""
    return np.zeros(count, np.float32)


def _cut(at: Geometry, channels: int, filters: int, D: int, images: int) -> tuple[np.ndarray, int]:
    """The first columns of the parts of an image, and in how many parts to cut the filters."""
    wide = -(-at.columns // WIDTH)
    cached = -(-wide * WIDTH * channels * at.channel // at.plane // CACHED)
    wanted = min(MOST_PIECES, max(1, at.columns * filters * D // PIECE_WORK), -(-MOST_PIECES // images))
    parts = min(wide, max(1, cached, wanted))
    tall = max(1, min(-(-filters // ROWS), wanted // parts)) if parts < wanted and filters > THIN else 1
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


_thin = tiles.outer_tile(1, THIN_VECTORS)


@entry
def _slide(block, piece):
    planes, w, b, y, offsets = block[0], block[1], block[2], block[3], block[4]
    parts, tall, group, filters, D = block[6], block[7], block[8], block[9], block[10]
    image, channels, width, oh, ow = block[11], block[12], block[13], block[14], block[15]
    images, at_once, starts = block[16], block[17], words.ints(block[5], parts)
    rest, part = piece // parts, piece % parts
    band, up = rest // tall, rest % tall
    start, stop = starts[part], starts[part + 1] if part + 1 < parts else (oh - 1) * width + ow
    steps = (filters + ROWS - 1) // ROWS
    for i in range(band * at_once, min(images, (band + 1) * at_once)):
        at = planes + 4 * (i // group * image + i % group * channels)
        k, to = i % group * filters, y + 4 * i * filters * oh * ow
        if filters <= THIN:
            for m in range(filters):
                _slide_thin(w + 4 * (k + m) * D, b + 4 * (k + m), at, offsets, D, start, stop, width, oh, ow,
                            to + 4 * m * oh * ow)
            continue
        for m in range(up * steps // tall * ROWS, min(filters, (up + 1) * steps // tall * ROWS), ROWS):
            _slide_tall(w + 4 * (k + m) * D, b + 4 * (k + m), min(ROWS, filters - m), at, offsets, D, start, stop,
                        width, oh, ow, to + 4 * m * oh * ow)


@compiled
def _slide_tall(w, b, have, planes, offsets, D, start, stop, width, oh, ow, y):
    """Slide as many filters as a tile has rows."""
    P = oh * ow
    to, pitch = tiles.tile_memory(), WIDTH
    for j in range(start, stop, WIDTH):
        count = min(WIDTH, stop - j)
        if width == ow:  # there is nothing beyond the border
            to, pitch = y + 4 * j, P
        tiles.multiply(w, D, have, 1, planes + 4 * j, offsets, D, count, b, to, pitch)
        if width != ow:
            _write(to, pitch, have, j, count, width, oh, ow, y)


@compiled
def _slide_thin(w, b, planes, offsets, D, start, stop, width, oh, ow, y):
    """Slide one filter, over wider stretches."""
    tile = tiles.tile_memory()
    for j in range(start, stop, THIN_WIDTH):
        count = min(THIN_WIDTH, stop - j)
        if count > THIN_WIDTH - LANES:
            _thin(w, D, 1, 1, planes + 4 * j, offsets, D, count - THIN_WIDTH + LANES, b, tile, THIN_WIDTH)
        else:
            for i in range(0, count, LANES):
                tiles.multiply(w, D, 1, 1, planes + 4 * (j + i), offsets, D, min(LANES, count - i), b, tile + 4 * i, 0)
        _write(tile, THIN_WIDTH, 1, j, count, width, oh, ow, y)


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


def turn(w: np.ndarray, row_taps: np.ndarray, column_taps: np.ndarray, group: int) -> np.ndarray:
    """Some taps of the filters (K, C / group, …) as filters (C, K / group, …), which give pixels of outputs."""
    K, C, kh, kw = w.shape
    turned = borrow("turned filters", (group * C, K // group, len(row_taps), len(column_taps)), w.dtype)
    pieces = max(1, min(MOST_PIECES, K, turned.size // LAID_OUT))
    _turn(pieces, w, turned, row_taps, column_taps, len(row_taps), len(column_taps), K, K // group, C, kh, kw, pieces)
    return turned


@entry
def _turn(block, piece):
    rows, columns, K, filters, C = block[4], block[5], block[6], block[7], block[8]
    kh, kw, pieces = block[9], block[10], block[11]
    w, turned = words.floats(block[0], K * C * kh * kw), words.floats(block[1], K * C * rows * columns)
    row_taps, column_taps = words.ints(block[2], rows), words.ints(block[3], columns)
    for k in range(piece * K // pieces, (piece + 1) * K // pieces):
        g, f = k // filters, k % filters
        for c in range(C):
            source, target = (k * C + c) * kh * kw, ((g * C + c) * filters + f) * rows * columns
            for i in range(rows):
                for j in range(columns):
                    turned[target + i * columns + j] = w[source + row_taps[i] * kw + column_taps[j]]


def spread(phase: np.ndarray, out: np.ndarray, first: Sizes, stride: Sizes, *, zero: bool) -> None:
    """Write a phase, or zeros, to every s-th pixel of out."""
    if phase is out and not zero:
        return
    (N, C, h, w), (H, W) = phase.shape, out.shape[2:]
    pieces = max(1, min(MOST_PIECES, N * C, phase.size // LAID_OUT))
    _spread(pieces, phase, out, N * C, h, w, H, W, *first, *stride, zero, pieces)


@entry
def _spread(block, piece):
    channels, h, w, H, W, a, b = block[2], block[3], block[4], block[5], block[6], block[7], block[8]
    sh, sw, zero, pieces = block[9], block[10], block[11], block[12]
    phase, out = words.floats(block[0], channels * h * w), words.floats(block[1], channels * H * W)
    for line in range(piece * channels // pieces * h, (piece + 1) * channels // pieces * h):
        source, target = line * w, (line // h * H + line % h * sh + a) * W + b
        for v in range(w):
            out[target + v * sw] = np.float32(0) if zero else phase[source + v]


def _widen(dy: np.ndarray, width: int) -> np.ndarray:
    """dy with zeros to the right of every row, in borrowed memory."""
    N, K, oh, ow = dy.shape
    wide = borrow("wide slopes", (N * K * oh * width,), dy.dtype)
    pieces = max(1, min(MOST_PIECES, N * K, wide.size // LAID_OUT))
    _lay_out(pieces, dy, wide, FIRST, FIRST, 1, 1, N * K, oh, ow, oh, width, 1, 1, 0, 0, pieces)
    return wide


_dots = tiles.dot_tile(SLOPES_A_TILE, TAPS_A_TILE)


@entry
def _add_products(block, piece):
    planes, slopes, offsets, dw = block[0], block[1], block[2], block[3]
    parts, cuts, filters, D, N, at_a_time, columns = (block[4], block[5], block[6], block[7], block[8], block[9],
                                                      block[10])
    image, channels, slopes_image, row = block[11], block[12], block[13], block[14]
    rest, cut = piece // cuts, piece % cuts
    g, part = rest // parts, rest % parts
    steps, tiles_of_taps = (filters + SLOPES_A_TILE - 1) // SLOPES_A_TILE, (D + TAPS_A_TILE - 1) // TAPS_A_TILE
    first, end = cut * tiles_of_taps // cuts * TAPS_A_TILE, min(D, (cut + 1) * tiles_of_taps // cuts * TAPS_A_TILE)
    for n in range(0, N, at_a_time):
        for j in range(0, columns, DOTS):
            at = planes + 4 * (n * image + g * channels + j)
            for step in range(part * steps // parts, (part + 1) * steps // parts):
                m = step * SLOPES_A_TILE
                k = g * filters + m
                slope = slopes + 4 * (n * slopes_image + k * row + j)
                for d in range(first, end, TAPS_A_TILE):
                    _dots(slope, row, min(SLOPES_A_TILE, filters - m), slopes_image, at, image, offsets + 8 * d,
                          min(TAPS_A_TILE, D - d), min(DOTS, columns - j), min(at_a_time, N - n), dw + 4 * (k * D + d),
                          D)
