"""Padded planes: images laid out so that each tap of a filter has a constant offset.

A correlation reads, for output o and tap d, one pixel. In the image itself, the place of that pixel depends on borders
and on the stride. So images are copied first: each channel becomes a *plane* with zeros around it. In a plane the pixel
of tap d for output o is x[offset[d] + o], one constant per tap, and the inner loop needs no test and no column matrix.

With a stride s, neighbouring outputs read pixels that are s apart. So a plane is split into s × s *phases*: planes that
hold every s-th row and column. Within a phase the pixels of neighbouring outputs are neighbours again.

Where nothing is padded and the stride is 1, the image already is its planes, and nothing is copied.
"""

from __future__ import annotations

import functools

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import vectors, words
from minicaffe.kernels.numba_engine.pieces import copy, floats_of, part, pieces
from minicaffe.kernels.numba_engine.registers import MASKS, VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.transforms import transpose_tile
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.workspace import borrow

BAND = 32  # filters that are turned at a time: a cache line of each stays in the first cache
FIRST = np.zeros(1, np.int64)  # the phases of stride 1: there is one, which begins at pixel 0


class Geometry:
    """The positions of the taps of a correlation in the planes.

    as_it_is             whether the image itself serves as its planes
    bare                 the same, with filters of one tap
    phases               the first rows, and the first columns, of the phases that some tap reads: a plane for each pair
    places               for each first row, and first column, the index of its phase; −1 where no tap reads it
    height, width        of a plane
    columns              how many outputs are computed for a plane, in its whole width, up to the last that is wanted
    plane, channel       how many numbers a plane has, and all planes of a channel
    offsets              for each channel and tap the offset of its pixel for output 0
    interleaved_offsets  the same in the layout of interleaved.py
    taps                 (kh, kw): the same for each tap, from the start of its channel
    inside               for rows, and for columns: of each output, the first tap that reads a pixel of the image, and
                         the first one behind these
    """

    def __init__(self, C: int, H: int, W: int, kernel: Sizes, stride: Sizes, pad: Sizes, dilation: Sizes, oh: int,
                 ow: int) -> None:
        taps = [np.arange(k, dtype=np.int64) * d for k, d in zip(kernel, dilation, strict=True)]
        self.phases = tuple(np.unique(t % s) for t, s in zip(taps, stride, strict=True))
        self.places = tuple(_places(phase, s) for phase, s in zip(self.phases, stride, strict=True))
        self.height, self.width = (o + int(t[-1]) // s for o, t, s in zip((oh, ow), taps, stride, strict=True))
        self.bare = not any(pad) and set(kernel) | set(stride) == {1} and (oh, ow) == (H, W)
        self.as_it_is = not any(pad) and set(stride) == {1} and (self.height, self.width) == (H, W)
        self.columns = (oh - 1) * self.width + ow
        self.plane = self.height * self.width
        self.channel = self.plane * len(self.phases[0]) * len(self.phases[1])
        channels = np.arange(C, dtype=np.int64)[:, None, None] * self.channel
        self.taps = self._on_planes(taps, stride)
        self.offsets = (channels + self.taps).reshape(-1)
        self.interleaved_offsets = self.offsets * VECTOR
        self.inside = tuple(_inside(*axis) for axis in zip((oh, ow), taps, stride, pad, (H, W), strict=True))

    def _on_planes(self, taps: list[np.ndarray], stride: Sizes) -> np.ndarray:
        """(kh, kw): the distance of each tap's pixel for output 0 from the start of a channel's planes."""
        a, b = (place[t % s] for place, t, s in zip(self.places, taps, stride, strict=True))
        u, v = (t // s for t, s in zip(taps, stride, strict=True))
        return (a[:, None] * len(self.phases[1]) + b) * self.plane + u[:, None] * self.width + v


def _places(phases: np.ndarray, stride: int) -> np.ndarray:
    places = np.full(stride, -1, np.int64)
    places[phases] = np.arange(len(phases))
    return places


def _inside(outputs: int, taps: np.ndarray, stride: int, pad: int, size: int) -> np.ndarray:
    start = np.arange(outputs, dtype=np.int64) * stride - pad
    return np.stack([np.searchsorted(taps, -start), np.searchsorted(taps, size - start)], axis=1).astype(np.int64)


geometry = functools.lru_cache(maxsize=512)(Geometry)  # made anew, it would take longer than a small correlation


def flat(C: int, oh: int, ow: int) -> Geometry:
    """The geometry of images that are their own planes: each channel is read by one tap."""
    return geometry(C, oh, ow, (1, 1), (1, 1), (0, 0), (1, 1), oh, ow)


@helper
def reach(left, step, size, outputs):
    """Return the first output o whose pixel left + o · step is in a row of `size`, and the first one behind it."""
    first = min(outputs, max(0, -(left // step)))
    return first, max(first, min(outputs, (size - 1 - left) // step + 1))


def lay_out(x: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes) -> np.ndarray:
    """Return the planes (N, C, …) of images (N, C, H, W), in borrowed memory."""
    N, C, H, W = x.shape
    planes = borrow("planes", (N, C, at.channel), x.dtype)
    count = pieces(planes.size, planes.size // at.plane)
    _lay_out(count, x, planes, *at.phases, *map(len, at.phases), N * C, H, W, at.height, at.width, *stride, *pad, count)
    return planes


def widen(dy: np.ndarray, width: int) -> np.ndarray:
    """dy with zeros to the right of every row, in borrowed memory."""
    N, K, oh, ow = dy.shape
    wide = borrow("wide gradients", (N * K * oh * width,), dy.dtype)
    count = pieces(wide.size, N * K)
    _lay_out(count, dy, wide, FIRST, FIRST, 1, 1, N * K, oh, ow, oh, width, 1, 1, 0, 0, count)
    return wide


@task
def _lay_out(block, piece):
    """planes[c, a, b, u, v] = x[c, u · sh + row a − ph, v · sw + column b − pw], 0 where there is no such pixel."""
    (x, planes, row_phases, column_phases, rows, columns, channels, H, W, height, width, sh, sw, ph, pw,
     count) = values(block, 16)
    first_row, first_column = words.ints(row_phases, rows), words.ints(column_phases, columns)
    begin, stop = part(channels * rows * columns, piece, count)
    for unit in range(begin, stop):
        c, plane = unit // (rows * columns), unit % (rows * columns)
        top, left = first_row[plane // columns] - ph, first_column[plane % columns] - pw
        first, end = reach(left, sw, W, width)
        for u in range(height):
            h, to = u * sh + top, (unit * height + u) * width
            row = floats_of(planes, to, to + width)
            if not 0 <= h < H:
                row[:] = 0
            elif MASKS and sw in (1, 2, 4):
                _lay_row_by_vectors(x + 4 * (c * H + h) * W, left, sw, W, planes + 4 * to, width)
            else:
                _lay_row(x, (c * H + h) * W + left, sw, first, end, row)


@helper
def _lay_row_by_vectors(x, left, step, W, row, width):
    """row[v] = x[left + v · step] for a row of W pixels, 0 beyond its ends. By masked vectors, since most are short."""
    for v in range(0, width, VECTOR):
        vectors.store(row, v, width, _every(x, left + v * step, step, W))


@helper
def _every(x, at, step, W):
    """Pixels at, at + step, … of a row of W, 0 beyond its ends; the step is 1, 2 or 4."""
    zero = vectors.spread(np.float32(0))
    if step == 1:
        return vectors.load(x, at, W, zero)
    two = vectors.evens(vectors.load(x, at, W, zero), vectors.load(x, at + VECTOR, W, zero))
    if step == 2:
        return two
    more = vectors.evens(vectors.load(x, at + 2 * VECTOR, W, zero), vectors.load(x, at + 3 * VECTOR, W, zero))
    return vectors.evens(two, more)


@helper
def _lay_row(x, left, step, first, end, row):
    """row[v] = x[left + v · step] from v = first to end, else 0."""
    row[:first] = 0
    row[end:] = 0
    if step == 1:
        copy(floats_of(x, left + first, left + end), row[first:end])
    else:
        pixels = words.floats(x, left + end * step)  # from the first image on, for `left` counts from there
        for v in range(first, end):
            row[v] = pixels[left + v * step]


def turn(w: np.ndarray, row_taps: np.ndarray, column_taps: np.ndarray, group: int) -> np.ndarray:
    """Some taps of filters (K, C / group, …) as filters (C, K / group, …): those that make dx from dy."""
    K, C, kh, kw = w.shape
    turned = borrow("turned filters", (group * C, K // group, len(row_taps), len(column_taps)), w.dtype)
    bands = group * -(-K // group // BAND)
    count = pieces(turned.size, bands)
    if kh * kw == turned[0, 0].size == 1:
        _turn_pixels(count, w, turned, bands, K // group, C, count)
    else:
        _turn(count, w, turned, row_taps, column_taps, len(row_taps), len(column_taps), bands, K // group, C, kh, kw,
              count)
    return turned


@task
def _turn(block, piece):
    """turned[g · C + c, f, i, j] = w[g · filters + f, c, row tap i, column tap j], for some bands of filters."""
    w, turned, row_at, column_at, rows, columns, bands, filters, C, kh, kw, count = values(block, 12)
    row_taps, column_taps = words.ints(row_at, rows), words.ints(column_at, columns)
    begin, stop = part(bands, piece, count)
    for band in range(begin, stop):
        g, first, end = _filters_of(band, filters)
        for c in range(C):
            for f in range(first, end):
                taps = floats_of(w, ((g * filters + f) * C + c) * kh * kw, ((g * filters + f) * C + c + 1) * kh * kw)
                to = ((g * C + c) * filters + f) * rows * columns
                out = floats_of(turned, to, to + rows * columns)
                for i in range(rows):
                    for j in range(columns):
                        out[i * columns + j] = taps[row_taps[i] * kw + column_taps[j]]


@task
def _turn_pixels(block, piece):
    """turned[g · C + c, f] = w[g · filters + f, c], for some bands of filters of one tap."""
    w, turned, bands, filters, C, count = values(block, 6)
    begin, stop = part(bands, piece, count)
    for band in range(begin, stop):
        g, first, end = _filters_of(band, filters)
        for c in range(0, C, VECTOR):
            for f in range(first, end, VECTOR):
                transpose_tile(w + 4 * ((g * filters + f) * C + c), C, min(VECTOR, C - c),
                               turned + 4 * ((g * C + c) * filters + f), filters, min(VECTOR, end - f))


@helper
def _filters_of(band, filters):
    """The group of a band, and the first and the last filter of the group that are in it."""
    bands = (filters + BAND - 1) // BAND
    first = band % bands * BAND
    return band // bands, first, min(filters, first + BAND)


def spread(phase: np.ndarray, out: np.ndarray, first: Sizes, stride: Sizes, *, zero: bool) -> None:
    """Write one phase of the result, or zeros, to every s-th pixel of out, from pixel `first` on."""
    if phase is out and not zero:  # with stride 1 there is one phase, which was computed in `out`
        return
    (N, C, h, w), (H, W) = phase.shape, out.shape[2:]
    count = pieces(phase.size, N * C)
    _spread(count, phase, out, N * C, h, w, H, W, *first, *stride, zero, count)


@task
def _spread(block, piece):
    """out[c, u · sh + a, v · sw + b] = phase[c, u, v], or 0."""
    phase, target, channels, h, w, H, W, a, b, sh, sw, zero, count = values(block, 13)
    pixels, out = words.floats(phase, channels * h * w), words.floats(target, channels * H * W)
    first, end = part(channels, piece, count)
    for line in range(first * h, end * h):
        source, to = line * w, (line // h * H + line % h * sh + a) * W + b
        for v in range(w):
            out[to + v * sw] = np.float32(0) if zero else pixels[source + v]
