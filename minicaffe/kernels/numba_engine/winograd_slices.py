"""Winograd's correlation, a *slice* of the filters at a time, so that the slice's points stay in a core's cache.

A slice is WIDTH filters of a group. A piece of the work transforms the filters of a slice, multiplies them with the
points of a *block* of tiles, and transforms the products to outputs:

    x → x̂ (36, T, C)                               by another task, before
    w → ŵ (36, channels, WIDTH),  ŷ += x̂ · ŵ       for some channels of the slice at a time
    ŷ (36, tiles, WIDTH) → y

So the filters are read once, from w itself. To keep their points from pass to pass would cost more: they are four times
as many numbers as the filters, and to read these from main memory takes longer than to compute them again. The filters
may change between two passes, and no copy of them can be out of date.
"""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import tiles, words
from minicaffe.kernels.numba_engine.layout import reach
from minicaffe.kernels.numba_engine.pieces import MOST_PIECES, floats_of, part, part_in_steps
from minicaffe.kernels.numba_engine.registers import VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import ROWS, TILE_VECTORS, WIDTH, starts, zeros
from minicaffe.kernels.numba_engine.transforms import map_tile, transpose_tile
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.winograd_matrices import SIDE, TAPS, TILE, line_matrices, worthwhile
from minicaffe.kernels.workspace import borrow

POINTS = SIDE * SIDE
FEWEST_CHANNELS = 16    # with fewer channels or filters of a group, or fewer tiles, sliding filters are as quick
FEWEST_TILES = ROWS
MOST_WASTE = 2          # the same where tiles have more than so many times the outputs that are wanted
CHANNELS = 64           # at most so many channels of a slice are transformed at a time
TILES = 64              # at most so many tiles are a block
PIXELS = 1 << 14        # numbers of an image's channels that are laid out at a time: the first cache holds them
GAP = 16                # numbers between the parts for two points: else these would compete for places in the cache
MOST_VALUES = 1 << 21   # numbers of x̂ at a time: more would be no faster, and take more memory

A, B, G = line_matrices()
_pixels_to_points, _filters_to_points, _points_to_outputs = map_tile(B), map_tile(G), map_tile(A, biased=True)
_one, _two, _three = (tiles.outer_tile(ROWS, v) for v in range(1, TILE_VECTORS + 1))
_one_more, _two_more, _three_more = (tiles.outer_tile(ROWS, v, scatter=True) for v in range(1, TILE_VECTORS + 1))


def fits(w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int, y: np.ndarray) -> bool:
    """Return whether the correlation with w that gives y can be computed so, and is quicker than to slide filters."""
    computed = len(y) * math.prod(-(-o // TILE) * TILE for o in y.shape[2:])  # outputs, also those beyond the borders
    return (whole_vectors(w, group) and computed <= MOST_WASTE * y.size // y.shape[1]
            and worthwhile(w, stride, pad, dilation, group, y, FEWEST_CHANNELS, FEWEST_TILES))


def whole_vectors(w: np.ndarray, group: int) -> bool:
    """Return whether the input channels and the filters of a group each fill whole vectors."""
    return w.shape[1] % VECTOR == len(w) // group % VECTOR == 0


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, pad: Sizes, group: int, out: np.ndarray) -> None:
    """out = b + w ⋆ x; VECTOR divides the channels and the filters of a group."""
    _correlate(x, w, b, pad, group, out, mirrored=False)


def correlate_data_grad(dy: np.ndarray, w: np.ndarray, pad: Sizes, group: int, out: np.ndarray) -> None:
    """out = the gradient of x: dy correlated with mirrored filters, of which each channel of x has one."""
    _correlate(dy, w, zeros(out.shape[1]), tuple(TAPS - 1 - p for p in pad), group, out, mirrored=True)


def _correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, pad: Sizes, group: int, out: np.ndarray, *,
               mirrored: bool) -> None:
    th, tw = (-(-o // TILE) for o in out.shape[2:])
    most = max(1, MOST_VALUES // (POINTS * x.shape[1] * th * tw))  # images at a time
    for i in range(0, len(x), most):
        points = _points(x[i:i + most], pad, th, tw)
        _outputs(points, w, b, group, out[i:i + most], x.shape[1] // group, th, tw, mirrored=mirrored)


def _points(x: np.ndarray, pad: Sizes, th: int, tw: int) -> np.ndarray:
    """x̂ (36, T · C), with a gap behind each point, for th × tw tiles of each image."""
    N, C, H, W = x.shape
    points = borrow("pixel points", (POINTS, N * th * tw * C + GAP), x.dtype)
    width = tw * TILE + SIDE - TILE
    band = max(1, min(th, (PIXELS // (width * VECTOR) - SIDE + TILE) // TILE))  # rows of tiles laid out at once
    bands = -(-th // band)
    count = min(MOST_PIECES, N * bands * (C // VECTOR))
    lines = borrow("lines", (count, (band * TILE + SIDE - TILE) * width * VECTOR), x.dtype)
    _to_points(count, x, points, lines, N, C, H, W, th, tw, *pad, points.shape[1], bands, lines.shape[1], count)
    return points


def _outputs(points: np.ndarray, w: np.ndarray, b: np.ndarray, group: int, y: np.ndarray, C: int, th: int, tw: int, *,
             mirrored: bool) -> None:
    """y = b + the outputs whose points are x̂ · ŵ; a group has C channels of x̂."""
    (K, oh, ow), rows = y.shape[1:], len(y) * th  # rows of tiles
    slices, chunks = -(-K // group // WIDTH), -(-C // CHANNELS)
    parts, blocks = -(-tw // TILES), -(-rows // max(1, TILES // tw))  # a block is some rows of tiles, or a part of one
    count = min(MOST_PIECES, group * slices * blocks * parts)
    chunk, longest = -(-C // VECTOR // chunks) * VECTOR, -(-tw // parts)
    filter_plane, sum_plane = chunk * WIDTH + GAP, -(-rows // blocks) * longest * WIDTH + GAP
    line_size = max(TILE * TILE * longest + VECTOR, TAPS * TAPS * VECTOR) * VECTOR
    memory = borrow("slices", (count, POINTS * (filter_plane + sum_plane) + line_size), y.dtype)
    taken = borrow("slices taken", (count,), np.int64)
    _clear(1, taken, count)
    _slices(count, points, w, b, y, memory, taken, starts(WIDTH, max(chunk, ROWS)), zeros(ROWS), rows, group, C,
            K // group, th, tw, oh, ow, points.shape[1], slices, chunks, blocks, parts, filter_plane, sum_plane,
            memory.shape[1], mirrored, count)


@task
def _clear(block, piece):
    """Say that no piece has any of the memory for slices."""
    taken, count = values(block, 2)
    words.ints(taken, count)[:] = 0


@task
def _to_points(block, piece):
    """x̂ (36, N · th · tw, C) = B x Bᵀ, for a vector of channels and some rows of tiles of an image at a time."""
    x, points, memory, N, C, H, W, th, tw, ph, pw, plane, bands, size, count = values(block, 15)
    width, lines = tw * TILE + SIDE - TILE, memory + 4 * piece * size
    across = C // VECTOR
    first, end = part(N * bands * across, piece, count)
    for unit in range(first, end):
        c, n, band = unit % across * VECTOR, unit // across // bands, unit // across % bands
        top, bottom = part(th, band, bands)
        _lay_lines(x + 4 * (n * C + c) * H * W, H, W, top * TILE - ph, (bottom - top) * TILE + SIDE - TILE, pw, lines,
                   width)
        for i in range(top, bottom):
            for j in range(tw):
                _pixels_to_points(lines + 4 * ((i - top) * TILE * width + j * TILE) * VECTOR, width * VECTOR, VECTOR,
                                  points + 4 * (((n * th + i) * tw + j) * C + c), SIDE * plane, plane, 0)


@helper
def _lay_lines(x, H, W, top, height, pw, lines, width):
    """Write rows of VECTOR channels from row `top` on, with zeros around them, as pixels that are vectors."""
    left, right = reach(-pw, 1, W, width)
    for u in range(height):
        h, row = top + u, lines + 4 * u * width * VECTOR
        if h < 0 or h >= H:
            floats_of(row, 0, width * VECTOR)[:] = 0
            continue
        floats_of(row, 0, left * VECTOR)[:] = 0
        floats_of(row, right * VECTOR, width * VECTOR)[:] = 0
        for v in range(left, right, VECTOR):
            transpose_tile(x + 4 * (h * W + v - pw), H * W, min(VECTOR, right - v), row + 4 * v * VECTOR, VECTOR,
                           VECTOR)


@task
def _slices(block, piece):
    """y = b + w ⋆ x from the points of x, for some slices of the filters and blocks of tiles."""
    (points, w, b, y, memory, taken, offsets, nothing, rows, group, C, K, th, tw, oh, ow, plane, slices, chunks, blocks,
     parts, filter_plane, sum_plane, size, mirrored, count) = values(block, 26)
    # A piece uses the first memory that no other piece has, so that a thread finds in its cache what it wrote before.
    # There always is one, since there are as many as pieces.
    mine = 0
    while not words.replace(taken + 8 * mine, 0, 1):
        mine += 1
    filters = memory + 4 * mine * size
    sums = filters + 4 * POINTS * filter_plane
    lines = sums + 4 * POINTS * sum_plane
    first, end = part(group * slices * blocks * parts, piece, count)
    present = -1
    for unit in range(first, end):
        here, at = unit // (blocks * parts), unit % (blocks * parts)
        g = here // slices
        k, k_end = part_in_steps(K, VECTOR, here % slices, slices)
        top, bottom = part(rows, at // parts, blocks)
        left, right = part(tw, at % parts, parts)
        t, t_end = top * tw + left, (bottom - 1) * tw + right
        for q in range(chunks):
            c, c_end = part_in_steps(C, VECTOR, q, chunks)
            if chunks > 1 or here != present:
                if mirrored:
                    _transform_mirrored(w + 4 * ((g * C + c) * K + k) * TAPS * TAPS, K, c_end - c, k_end - k, lines,
                                        filters, filter_plane)
                else:
                    _transform_filters(w + 4 * ((g * K + k) * C + c) * TAPS * TAPS, C, c_end - c, k_end - k, lines,
                                       filters, filter_plane)
            _multiply(points + 4 * (t * group * C + g * C + c), plane, group * C, t_end - t, filters, filter_plane,
                      offsets, nothing, c_end - c, (k_end - k) // VECTOR, sums, sum_plane, q)
        present = here
        for row in range(top, bottom):
            n, i = row // th, row % th
            _write_outputs(sums + 4 * (row - top) * tw * WIDTH, sum_plane, right - left, k_end - k, b + 4 * (g * K + k),
                           lines, y + 4 * (((n * group + g) * K + k) * oh * ow + i * TILE * ow + left * TILE),
                           min(TILE, oh - i * TILE), min((right - left) * TILE, ow - left * TILE), oh * ow, ow)
    words.write(taken + 8 * mine, 0)


@helper
def _transform_filters(w, C, channels, K, taps, filters, plane):
    """ŵ (36, channels, WIDTH) = G w Gᵀ, for K filters and some of their C channels."""
    for k in range(0, K, VECTOR):
        for c in range(0, channels, VECTOR):
            for i in range(0, TAPS * TAPS * VECTOR, VECTOR):
                transpose_tile(w + 4 * ((k * C + c) * TAPS * TAPS + i), C * TAPS * TAPS, VECTOR, taps + 4 * i * VECTOR,
                               VECTOR, VECTOR)
            for m in range(VECTOR):
                _filters_to_points(taps + 4 * m * TAPS * TAPS * VECTOR, TAPS * VECTOR, VECTOR,
                                   filters + 4 * ((c + m) * WIDTH + k), SIDE * plane, plane, 0)


@helper
def _transform_mirrored(w, K, channels, filters_here, taps, filters, plane):
    """Do the same for mirrored filters, which lie in w the other way round: K of them for each channel."""
    for c in range(channels):
        for k in range(0, filters_here, VECTOR):
            for i in range(0, TAPS * TAPS, VECTOR):
                transpose_tile(w + 4 * ((c * K + k) * TAPS * TAPS + i), TAPS * TAPS, min(VECTOR, TAPS * TAPS - i),
                               taps + 4 * i * VECTOR, VECTOR, VECTOR)
            _filters_to_points(taps + 4 * (TAPS * TAPS - 1) * VECTOR, -TAPS * VECTOR, -VECTOR,
                               filters + 4 * (c * WIDTH + k), SIDE * plane, plane, 0)


@helper
def _multiply(points, plane, pitch, T, filters, filter_plane, offsets, nothing, depth, vectors, sums, sum_plane, add):
    """ŷ = x̂ · ŵ or ŷ += x̂ · ŵ, for T tiles at each point."""
    for p in range(POINTS):
        right, left, to = filters + 4 * p * filter_plane, points + 4 * p * plane, sums + 4 * p * sum_plane
        for t in range(0, T, ROWS):
            row, have, out = left + 4 * t * pitch, min(ROWS, T - t), to + 4 * t * WIDTH
            if add:
                if vectors == 3:
                    _three_more(row, pitch, have, 1, right, offsets, depth, VECTOR, offsets, out, WIDTH)
                elif vectors == 2:
                    _two_more(row, pitch, have, 1, right, offsets, depth, VECTOR, offsets, out, WIDTH)
                else:
                    _one_more(row, pitch, have, 1, right, offsets, depth, VECTOR, offsets, out, WIDTH)
            elif vectors == 3:
                _three(row, pitch, have, 1, right, offsets, depth, VECTOR, nothing, out, WIDTH)
            elif vectors == 2:
                _two(row, pitch, have, 1, right, offsets, depth, VECTOR, nothing, out, WIDTH)
            else:
                _one(row, pitch, have, 1, right, offsets, depth, VECTOR, nothing, out, WIDTH)


@helper
def _write_outputs(sums, plane, T, K, b, lines, y, height, width, image, ow):
    """y = b + A ŷ Aᵀ for a row of T tiles and K filters: `height` rows of `width` outputs."""
    for k in range(0, K, VECTOR):
        for t in range(T):
            _points_to_outputs(sums + 4 * (t * WIDTH + k), SIDE * plane, plane, lines + 4 * t * TILE * VECTOR,
                               T * TILE * VECTOR, VECTOR, b + 4 * k)
        for h in range(height):
            for v in range(0, width, VECTOR):
                transpose_tile(lines + 4 * (h * T * TILE + v) * VECTOR, VECTOR, VECTOR,
                               y + 4 * (k * image + h * ow + v), image, min(VECTOR, width - v))
