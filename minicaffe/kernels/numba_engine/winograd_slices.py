"""Winograd's correlation, a *slice* of the filters at a time, so that the slice's points stay in a core's cache.

The filters have 3×3 or 5×5 taps, and so a tile has 4×4 or 2×2 outputs. Both have the same points.

A slice is WIDTH filters of a group, or fewer. A piece of the work transforms the filters of a slice, multiplies them
with the points of a *block* of tiles, and transforms the products to outputs:

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

from minicaffe.kernels import shards
from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import tiles, words
from minicaffe.kernels.numba_engine.layout import reach
from minicaffe.kernels.numba_engine.pieces import MOST_PIECES, floats_of, part, part_in_steps
from minicaffe.kernels.numba_engine.registers import VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import ROWS, TILE_VECTORS, WIDTH, starts, zeros
from minicaffe.kernels.numba_engine.transforms import map_tile, transpose_tile
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.winograd_matrices import SIDE, line_matrices, outputs, worthwhile
from minicaffe.kernels.workspace import borrow

POINTS = SIDE * SIDE
FEWEST_CHANNELS = 16    # with fewer channels or filters of a group, or fewer tiles, sliding filters are as quick
FEWEST_TILES = ROWS
MOST_WASTE = {3: 2, 5: 4 / 3}  # the same where tiles have so many times the outputs that are wanted, for 3×3 and 5×5
CHANNELS = 128          # at most so many channels of a slice are transformed at a time
TILES = 64              # at most so many tiles are a block
PIXELS = 1 << 14        # numbers of an image's channels that are laid out at a time: the first cache holds them
GAP = 16                # numbers between the parts for two points: else these would compete for places in the cache
MOST_VALUES = 1 << 21   # numbers of x̂ at a time: more would be no faster, and take more memory

(A3, B, G3), (A5, _, G5) = line_matrices(3), line_matrices(5)
_pixels_to_points = map_tile(B)
_three_taps_to_points, _points_to_four_outputs = map_tile(G3), map_tile(A3, biased=True)
_five_taps_to_points, _points_to_two_outputs = map_tile(G5), map_tile(A5, biased=True)
_one, _two, _three = (tiles.outer_tile(ROWS, v) for v in range(1, TILE_VECTORS + 1))
_one_more, _two_more, _three_more = (tiles.outer_tile(ROWS, v, scatter=True) for v in range(1, TILE_VECTORS + 1))


def fits(w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int, y: np.ndarray) -> bool:
    """Return whether the correlation with w that gives y can be computed so, and is quicker than to slide filters."""
    taps = w.shape[2]
    if taps not in MOST_WASTE:
        return False
    tile = outputs(taps)
    computed = math.prod(-(-o // tile) * tile for o in y.shape[2:])  # outputs, also those beyond the borders
    return (whole_vectors(w, group) and computed <= MOST_WASTE[taps] * math.prod(y.shape[2:])
            and worthwhile(w, stride, pad, dilation, group, y, FEWEST_CHANNELS, FEWEST_TILES, taps))


def whole_vectors(w: np.ndarray, group: int) -> bool:
    """Return whether the input channels and the filters of a group each fill whole vectors."""
    return w.shape[1] % VECTOR == len(w) // group % VECTOR == 0


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, pad: Sizes, group: int, out: np.ndarray) -> None:
    """out = b + w ⋆ x; VECTOR divides the channels and the filters of a group."""
    _correlate(x, w, b, pad, group, out, mirrored=False)


def correlate_data_grad(dy: np.ndarray, w: np.ndarray, pad: Sizes, group: int, out: np.ndarray) -> None:
    """out = the gradient of x: dy correlated with mirrored filters, of which each channel of x has one."""
    _correlate(dy, w, zeros(out.shape[1]), tuple(w.shape[2] - 1 - p for p in pad), group, out, mirrored=True)


def _correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, pad: Sizes, group: int, out: np.ndarray, *,
               mirrored: bool) -> None:
    taps = w.shape[2]
    th, tw = (-(-o // outputs(taps)) for o in out.shape[2:])
    row = POINTS * x.shape[1] * tw  # numbers of x̂ of a row of tiles
    images, strips = max(1, MOST_VALUES // (row * th)), -(-row * th // MOST_VALUES)
    height = -(-th // strips)       # some rows of tiles at a time, where an image is large
    for i in range(0, len(x), images):
        for top in range(0, th, height):
            rows = range(top, min(th, top + height))
            points = _points(x[i:i + images], pad, rows, tw, outputs(taps))
            _outputs(points, w, b, group, out[i:i + images], x.shape[1] // group, rows, tw, mirrored=mirrored)


def _points(x: np.ndarray, pad: Sizes, rows: range, tw: int, tile: int) -> np.ndarray:
    """x̂ (36, T · C), with a gap behind each point, for some rows of tw tiles of each image, `tile` pixels apart."""
    (N, C, H, W), th = x.shape, len(rows)
    points = borrow("pixel points", (POINTS, N * th * tw * C + GAP), x.dtype)
    width = tw * tile + SIDE - tile
    band = max(1, min(th, (PIXELS // (width * VECTOR) - SIDE + tile) // tile))  # rows of tiles laid out at once
    bands = -(-th // band)
    count = min(MOST_PIECES, N * bands * (C // VECTOR))
    lines = borrow("lines", (count, (band * tile + SIDE - tile) * width * VECTOR), x.dtype)
    _to_points(count, x, points, lines, N, C, H, W, th, tw, pad[0] - rows.start * tile, pad[1], points.shape[1],
               tile, bands, lines.shape[1], count)
    return points


def _outputs(points: np.ndarray, w: np.ndarray, b: np.ndarray, group: int, y: np.ndarray, C: int, here: range,
             tw: int, *, mirrored: bool) -> None:
    """y = b + the outputs whose points are x̂ · ŵ, in some rows of tiles; a group has C channels of x̂."""
    (K, oh, ow), rows = y.shape[1:], len(y) * len(here)  # rows of tiles of all images
    taps, tile = w.shape[2], outputs(w.shape[2])
    slices, chunks = -(-K // group // WIDTH), -(-C // CHANNELS)
    parts, blocks = -(-tw // TILES), -(-rows // max(1, TILES // tw))  # a block is some rows of tiles, or a part of one
    units = group * slices * blocks * parts
    if units % 2 and units < MOST_PIECES and slices < K // group // VECTOR:
        slices += 1  # an odd number of them would leave one of two cores idle in the end, so the slices get narrower
    count = min(MOST_PIECES, group * slices * blocks * parts)
    chunk, longest = -(-C // VECTOR // chunks) * VECTOR, -(-tw // parts)
    filter_plane, sum_plane = chunk * WIDTH + GAP, -(-rows // blocks) * longest * WIDTH + GAP
    line_size = max(tile * tile * longest + VECTOR, taps * taps * WIDTH) * VECTOR
    places = min(count, shards.threads())
    memory = borrow("slices", (places, POINTS * (filter_plane + sum_plane) + line_size), y.dtype)
    taken = borrow("slices taken", (places,), np.int64)
    _clear(1, taken, places)
    _slices(count, points, w, b, y, memory, taken, starts(WIDTH, max(chunk, ROWS)), zeros(ROWS), taps, rows, group, C,
            K // group, len(here), here.start * tile, tw, oh, ow, points.shape[1], slices, chunks, blocks, parts,
            filter_plane, sum_plane, memory.shape[1], places, mirrored, count)


@task
def _clear(block, piece):
    """Say that no piece has any of the memory for slices."""
    taken, count = values(block, 2)
    words.ints(taken, count)[:] = 0


@task
def _to_points(block, piece):
    """x̂ (36, N · th · tw, C) = B x Bᵀ, for a vector of channels and some rows of tiles of an image at a time."""
    x, points, memory, N, C, H, W, th, tw, ph, pw, plane, tile, bands, size, count = values(block, 16)
    width, lines = tw * tile + SIDE - tile, memory + 4 * piece * size
    across = C // VECTOR
    first, end = part(N * bands * across, piece, count)
    for unit in range(first, end):
        c, n, band = unit % across * VECTOR, unit // across // bands, unit // across % bands
        top, bottom = part(th, band, bands)
        _lay_lines(x + 4 * (n * C + c) * H * W, H, W, top * tile - ph, (bottom - top) * tile + SIDE - tile, pw, lines,
                   width)
        for i in range(top, bottom):
            for j in range(tw):
                _pixels_to_points(lines + 4 * ((i - top) * tile * width + j * tile) * VECTOR, width * VECTOR, VECTOR,
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
    """y = b + w ⋆ x from the points of x, for some slices of the filters and blocks of tiles.

    An image has th rows of tiles, of which the first begins at row `above` of y.
    """
    (points, w, b, y, memory, taken, offsets, nothing, taps, rows, group, C, K, th, above, tw, oh, ow, plane, slices,
     chunks, blocks, parts, filter_plane, sum_plane, size, places, mirrored, count) = values(block, 29)
    tile = SIDE + 1 - taps
    mine = _take(taken, places)
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
                    _transform_mirrored(w + 4 * ((g * C + c) * K + k) * taps * taps, taps, K, c_end - c, k_end - k,
                                        lines, filters, filter_plane)
                else:
                    _transform_filters(w + 4 * ((g * K + k) * C + c) * taps * taps, taps, C, c_end - c, k_end - k,
                                       lines, filters, filter_plane)
            _multiply(points + 4 * (t * group * C + g * C + c), plane, group * C, t_end - t, filters, filter_plane,
                      offsets, nothing, c_end - c, (k_end - k) // VECTOR, sums, sum_plane, q)
        present = here
        for row in range(top, bottom):
            n, h = row // th, above + row % th * tile
            _write_outputs(sums + 4 * (row - top) * tw * WIDTH, sum_plane, tile, right - left, k_end - k,
                           b + 4 * (g * K + k), lines,
                           y + 4 * (((n * group + g) * K + k) * oh * ow + h * ow + left * tile), min(tile, oh - h),
                           min((right - left) * tile, ow - left * tile), oh * ow, ow)
    words.write(taken + 8 * mine, 0)


@helper
def _take(taken, places):
    """Return a place in memory that no other piece has; the first that is free, so that a cache may still hold it.

    There are as many as there were threads when the call was recorded. If there are more threads now, a piece may wait
    for another to end.
    """
    mine = 0
    while not words.replace(taken + 8 * mine, 0, 1):
        mine += 1
        if mine == places:
            mine = 0
            words.pause()
    return mine


@helper
def _transform_filters(w, taps, C, channels, K, lines, filters, plane):
    """ŵ (36, channels, WIDTH) = G w Gᵀ, for K filters and some of their C channels."""
    area = taps * taps
    for c in range(0, channels, VECTOR):
        for k in range(0, K, VECTOR):
            for i in range(0, area * VECTOR, VECTOR):
                transpose_tile(w + 4 * ((k * C + c) * area + i), C * area, VECTOR, lines + 4 * (k * area + i) * VECTOR,
                               VECTOR, VECTOR)
        for m in range(VECTOR):  # all filters of a channel, one after the other: so the cache gets whole lines to write
            for k in range(0, K, VECTOR):
                _to_filter_points(lines + 4 * (k + m) * area * VECTOR, taps, VECTOR,
                                  filters + 4 * ((c + m) * WIDTH + k), plane)


@helper
def _transform_mirrored(w, taps, K, channels, here, lines, filters, plane):
    """Do the same for mirrored filters, which lie in w the other way round: K of them for each channel."""
    area = taps * taps
    for c in range(channels):
        for k in range(0, here, VECTOR):
            for i in range(0, area, VECTOR):
                transpose_tile(w + 4 * ((c * K + k) * area + i), area, min(VECTOR, area - i), lines + 4 * i * VECTOR,
                               VECTOR, VECTOR)
            _to_filter_points(lines + 4 * (area - 1) * VECTOR, taps, -VECTOR, filters + 4 * (c * WIDTH + k), plane)


@helper
def _to_filter_points(w, taps, step, filters, plane):
    """Write the points of a vector of filters, whose taps lie `step` numbers apart."""
    if taps == 3:
        _three_taps_to_points(w, 3 * step, step, filters, SIDE * plane, plane, 0)
    else:
        _five_taps_to_points(w, 5 * step, step, filters, SIDE * plane, plane, 0)


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
def _write_outputs(sums, plane, tile, T, K, b, lines, y, height, width, image, ow):
    """y = b + A ŷ Aᵀ for a row of T tiles and K filters: `height` rows of `width` outputs."""
    for k in range(0, K, VECTOR):
        for t in range(T):
            _to_outputs(sums + 4 * (t * WIDTH + k), plane, tile, lines + 4 * t * tile * VECTOR, T * tile * VECTOR,
                        b + 4 * k)
        for h in range(height):
            for at in range(0, width, VECTOR):
                # Whole vectors are quicker to write than parts. So the last of a row repeats numbers of the one before,
                # and that of a short row runs into the rows below it, which are written later.
                v = max(0, min(at, width - VECTOR))
                have = width - v + (height - 1 - h) * ow if width == ow else width - v
                transpose_tile(lines + 4 * (h * T * tile + v) * VECTOR, VECTOR, VECTOR,
                               y + 4 * (k * image + h * ow + v), image, min(VECTOR, have))


@helper
def _to_outputs(sums, plane, tile, lines, pitch, b):
    """Write the outputs of a tile for a vector of filters, each output as a vector."""
    if tile == 4:
        _points_to_four_outputs(sums, SIDE * plane, plane, lines, pitch, VECTOR, b)
    else:
        _points_to_two_outputs(sums, SIDE * plane, plane, lines, pitch, VECTOR, b)
