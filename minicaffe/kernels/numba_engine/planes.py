"""Correlation without a column matrix: filters slide over padded planes (layout.py), whose pixels are read in place.

A plane is wider than the output. All outputs of its width are computed, also those beyond the right border, which are
then not written. That wastes a little work, but a tile of outputs never has to ask where a row ends.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import tiles, words
from minicaffe.kernels.numba_engine.compiled import compiled
from minicaffe.kernels.numba_engine.layout import Geometry, lay_out, widen
from minicaffe.kernels.numba_engine.pieces import MOST_PIECES, copy, part, part_in_steps
from minicaffe.kernels.numba_engine.registers import VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import DOT_ROWS, DOT_TAPS, ROWS, TILE_VECTORS, WIDTH, starts
from minicaffe.kernels.numba_engine.vectors import load, load_whole, spread, store_whole
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.workspace import borrow

CACHED = 1 << 18      # numbers of the planes that a piece reads at most: a core's cache holds them beside the filters
PIECE_WORK = 1 << 17  # multiplications that are worth a piece of their own
MORE_VECTORS = 1.1    # so many times more vectors are quicker, if each lies in one row and is written at once
THIN = 2              # groups of at most so many filters, as of depthwise layers, would leave most of a tile unused:
THIN_VECTORS = 8      # they compute one filter at a time, on so many vectors of outputs
THIN_WIDTH = THIN_VECTORS * VECTOR
PACKED_FILTERS = 64   # so many filters are worth a copy of the pixels, in the order in which tiles read them
PACKED_TILES = 8      # the same for the tiles of a plane: with fewer, pieces would be of unequal size
PAGE = 256            # planes that begin at multiples of so many numbers share few places of a cache:
PAGE_FILTERS = 16     # then fewer filters are worth the copy
DOTS = 1024           # outputs whose products are summed at a time, in tiles that a core's first cache holds
SOME_TAPS = 5 * DOT_TAPS  # taps whose pixels are multiplied with all filters before the next taps
WIDE = 1.05           # the last vector of a row may be so much wider than the row of the planes


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
              out: np.ndarray) -> None:
    """out = b + w ⋆ x."""
    (N, K), D = out.shape[:2], len(at.offsets)
    filters, channels = K // group, x.shape[1] // group
    shares_places = at.plane % PAGE == 0 and filters >= PAGE_FILTERS
    if at.bare and (shares_places or (filters >= PACKED_FILTERS and at.plane >= PACKED_TILES * WIDTH)):
        _pack_and_slide(x, w, b, out, group)
        return
    table = _rows_of_vectors(at, *out.shape[2:]) if filters > THIN else None
    # images that are their own planes end with their last pixel, behind which no vector may be read
    as_it_is = at.bare or (at.as_it_is and table is not None and out.shape[3] >= VECTOR)
    planes = x if as_it_is else lay_out(x, at, stride, pad)
    parts, tall = _cut(at, channels, filters, D, N * group)
    if table is not None:
        _slide_rows_of(planes, w, b, out, at, table, group)
        return
    work = at.columns * filters * D  # of one image and group; where it is little, a piece does several
    at_once = max(1, min(-(-N * group // MOST_PIECES), PIECE_WORK // work)) if len(parts) * tall == 1 else 1
    _slide(-(-N * group // at_once) * len(parts) * tall, planes, w, b, out, at.offsets, parts, len(parts), tall, group,
           filters, D, planes.size // N, planes.size // N // group, at.width, *out.shape[2:], N * group, at_once)


def _slide_rows_of(planes: np.ndarray, w: np.ndarray, b: np.ndarray, out: np.ndarray, at: Geometry, table: np.ndarray,
                   group: int) -> None:
    """out = b + w ⋆ x, computed by the vectors of the table."""
    (N, K, oh, ow), D = out.shape, len(at.offsets)
    filters, image, vectors = K // group, planes.size // N, len(table)
    # The outputs are cut where a tile begins, and where no vector repeats numbers of the one before: behind a row, or
    # in the only row of bare images, whose last vector never begins a part.
    unit = TILE_VECTORS if at.bare else math.lcm(vectors // oh, TILE_VECTORS)
    units = max(1, vectors // unit) if at.bare else -(-vectors // unit)
    cached = -(-VECTOR * vectors * (image // group) // at.plane // CACHED)
    work = at.columns * filters * D  # of one image and group; where it is little, a piece does several
    wanted = min(MOST_PIECES, max(1, work // PIECE_WORK), -(-MOST_PIECES // (N * group)))
    # the rows of short outputs are written one after the other, each over what the one before wrote beyond its end
    parts = 1 if ow < VECTOR and not at.bare else min(units, max(1, cached, wanted))
    # at least 2, since of an odd number of parts one of two threads would have one more than the other
    tall = min(-(-filters // ROWS), max(2, wanted // parts)) if parts < wanted else 1
    at_once = max(1, min(-(-N * group // MOST_PIECES), PIECE_WORK // work)) if parts * tall == 1 else 1
    _slide_rows(-(-N * group // at_once) * parts * tall, planes, w, b, out, at.offsets, table, vectors, unit, units,
                parts, tall, group, filters, D, image, image // group, oh * ow, N * group, at_once)


@functools.lru_cache(maxsize=512)
def _rows_of_vectors(at: Geometry, oh: int, ow: int) -> np.ndarray | None:
    """Return the vectors that cover the rows of an output, or None where the planes have fewer vectors.

    For each vector: its place in the planes, its place in the output, and how many of its numbers are written.
    """
    rows, columns, width = (1, oh * ow, 0) if at.bare else (oh, ow, at.width)
    across = -(-columns // VECTOR)
    if rows * across > MORE_VECTORS * -(-at.columns // VECTOR) or (at.bare and columns < VECTOR):
        return None
    # The last vector of a row ends with the row, and so repeats some numbers of the one before: unlike a vector that
    # is cut off, it needs no mask. A row that is shorter than a vector is written with its neighbours to the right,
    # which are written afterwards. Only behind the last row of the plane nothing may be written.
    first = [max(0, min(v * VECTOR, columns - VECTOR)) for v in range(across)]
    table = [[r * width + q, r * columns + q, min(VECTOR, rows * columns - r * columns - q)]
             for r in range(rows) for q in first]
    return np.array(table, np.int64)


def _pack_and_slide(x: np.ndarray, w: np.ndarray, b: np.ndarray, out: np.ndarray, group: int) -> None:
    """out = b + w ⋆ x for filters of one tap. The pixels of a tile are copied, then all filters read the copy.

    In the image, the pixels of a tile lie in as many places as there are channels. All filters would read them there,
    and where a plane has 64 × 64 pixels, say, these places would compete for the same place in a cache.
    """
    (N, K), P = out.shape[:2], out.shape[2] * out.shape[3]
    D, images = w.shape[1], N * group
    vectors = -(-P // VECTOR)
    wanted = min(max(1, P * (K // group) * D // PIECE_WORK), -(-MOST_PIECES // images))
    parts = max(1, min(vectors // TILE_VECTORS, wanted))
    count = min(MOST_PIECES, images * parts)
    _slide_packed(count, x, w, b, out, starts(WIDTH, D), borrow("packed", (count, D * WIDTH), x.dtype), images * parts,
                  parts, group, K // group, D, P, vectors, count)


def add_weight_grad(x: np.ndarray, dy: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
                    out: np.ndarray) -> None:
    """out += the gradient of the filters, from x and dy."""
    (N, K, oh, ow), D = dy.shape, len(at.offsets)
    planes = x if at.bare else lay_out(x, at, stride, pad)
    if at.width != ow and -(-ow // VECTOR) * VECTOR <= WIDE * at.width:
        _add_by_rows(planes, dy, at, group, out)
        return
    grads = dy if at.width == ow else widen(dy, at.width)
    filters, row = K // group, oh * at.width
    parts, cuts = cut_products(filters, D, group)
    _add_products(group * parts * cuts, planes, grads, at.offsets, out, parts, cuts, filters, D, N,
                  max(1, min(N, DOTS // at.columns)), at.columns, planes.size // N, planes.size // N // group,
                  K * row, row)


def _add_by_rows(planes: np.ndarray, dy: np.ndarray, at: Geometry, group: int, out: np.ndarray) -> None:
    """out += the gradient of the filters, from each row of the outputs by itself: then dy need not be widened."""
    (N, K, oh, ow), D = dy.shape, len(at.offsets)
    filters, image = K // group, planes.size // N
    parts, cuts = cut_products(filters, D, group)
    rows = -(-oh // -(-oh * ow // DOTS))
    _add_products_by_rows(group * parts * cuts, planes, dy, at.offsets, out, parts, cuts, filters, D, N, image,
                          image // group, K * oh * ow, at.width, oh, ow, rows)


def cut_products(filters: int, D: int, group: int) -> tuple[int, int]:
    """Return into how many parts a group's filters, and their taps, are cut to compute dw."""
    parts = min(-(-filters // DOT_ROWS), max(1, MOST_PIECES // group))
    return parts, min(-(-D // DOT_TAPS), max(1, MOST_PIECES // group // parts))


def _cut(at: Geometry, channels: int, filters: int, D: int, images: int) -> tuple[np.ndarray, int]:
    """Cut the outputs of an image into parts: return the first output of each, and the number of parts of the filters.

    The filters are cut too where the outputs alone do not give enough pieces.
    """
    wide = -(-at.columns // WIDTH)
    cached = -(-wide * WIDTH * channels * at.channel // at.plane // CACHED)
    wanted = min(MOST_PIECES, max(1, at.columns * filters * D // PIECE_WORK), -(-MOST_PIECES // images))
    parts = min(wide, max(1, cached, wanted))
    tall = max(1, min(-(-filters // ROWS), wanted // parts)) if parts < wanted and filters > THIN else 1
    return _starts(at.columns, wide, parts), tall


@functools.lru_cache(maxsize=512)
def _starts(columns: int, wide: int, parts: int) -> np.ndarray:
    """Return the first output of each part; every part is a whole number of tiles wide."""
    return np.array([p * wide // parts * WIDTH for p in range(parts)] + [columns], np.int64)[:-1]


@task
def _slide(block, piece):
    """y[k, j] = b[k] + Σ w[k, d] · x[offset[d] + j], for a part of the outputs j and of the filters of some images."""
    (planes, w, b, y, offsets, starts, parts, tall, group, filters, D, image, channels, width, oh, ow, images,
     at_once) = values(block, 18)
    rest, here = piece // parts, piece % parts
    band, up = rest // tall, rest % tall
    firsts = words.ints(starts, parts)
    start, stop = firsts[here], firsts[here + 1] if here + 1 < parts else (oh - 1) * width + ow
    first, end = part_in_steps(filters, ROWS, up, tall)
    for i in range(band * at_once, min(images, (band + 1) * at_once)):  # images, each with its groups
        at, k = planes + 4 * (i // group * image + i % group * channels), i % group * filters
        to = y + 4 * i * filters * oh * ow
        if filters <= THIN:
            for m in range(filters):
                _slide_thin(w + 4 * (k + m) * D, b + 4 * (k + m), at, offsets, D, start, stop, width, oh, ow,
                            to + 4 * m * oh * ow)
        else:
            for m in range(first, end, ROWS):
                _slide_tall(w + 4 * (k + m) * D, b + 4 * (k + m), min(ROWS, filters - m), at, offsets, D, start, stop,
                            width, oh, ow, to + 4 * m * oh * ow)


@task
def _slide_rows(block, piece):
    """y[k, o] = b[k] + Σ w[k, d] · x[offset[d] + o], for a part of the vectors of o and the filters of some images."""
    (planes, w, b, y, offsets, table, vectors, unit, units, parts, tall, group, filters, D, image, channels, P, images,
     at_once) = values(block, 19)
    rest, here = piece // parts, piece % parts
    band, up = rest // tall, rest % tall
    start, stop = part(units, here, parts)
    start, stop = start * unit, vectors if here == parts - 1 else stop * unit
    first, end = part_in_steps(filters, ROWS, up, tall)
    for i in range(band * at_once, min(images, (band + 1) * at_once)):  # images, each with its groups
        at, k = planes + 4 * (i // group * image + i % group * channels), i % group * filters
        for m in range(first, end, ROWS):
            have, row = min(ROWS, filters - m), (i * filters + m) * P
            v = start
            while v < stop:
                taken = _next_tile(stop - v)
                tiles.multiply_spaced(w + 4 * (k + m) * D, D, have, at, offsets, D, taken, table + 24 * v,
                                      b + 4 * (k + m), y + 4 * row, P)
                v += taken


@task
def _slide_packed(block, piece):
    """y[k, j] = b[k] + Σ w[k, d] · x[d, j], for some parts of the outputs j of an image and group."""
    x, w, b, y, offsets, memory, units, parts, group, filters, D, P, vectors, count = values(block, 14)
    first, end = part(units, piece, count)
    pixels = memory + 4 * piece * D * WIDTH
    for unit in range(first, end):
        i = unit // parts
        k = i % group * filters
        v, stop = part(vectors, unit % parts, parts)
        while v < stop:
            taken, j = _next_tile(stop - v), v * VECTOR
            columns = min(taken * VECTOR, P - j)
            pack(x + 4 * (i * D * P + j), P, D, columns, pixels)
            for m in range(0, filters, ROWS):
                tiles.multiply(w + 4 * (k + m) * D, D, min(ROWS, filters - m), 1, pixels, offsets, D, columns,
                               b + 4 * (k + m), y + 4 * ((i * filters + m) * P + j), P)
            v += taken


@helper
def _next_tile(left):
    """Return how many vectors the next tile has: two tiles of two are quicker than one of three and one of one."""
    return min(TILE_VECTORS, left) if left != TILE_VECTORS + 1 else TILE_VECTORS - 1


@compiled
def pack(x, P, D, columns, pixels):
    """pixels[q, d, v] = x[d, q · WIDTH + v] for so many columns, those of a tile side by side."""
    nothing = spread(np.float32(0))
    for j in range(0, columns, WIDTH):
        have, tile = min(WIDTH, columns - j), pixels + 4 * j * D
        for d in range(D):
            for v in range(0, have, VECTOR):
                if have - v >= VECTOR:
                    value = load_whole(x, d * P + j + v)
                else:
                    value = load(x + 4 * (d * P + j), v, have, nothing)
                store_whole(tile, d * WIDTH + v, value)


_thin = tiles.outer_tile(1, THIN_VECTORS)


@compiled
def _slide_tall(w, b, have, planes, offsets, D, start, stop, width, oh, ow, y):
    """Slide up to ROWS filters at once over outputs start to stop, a tile of WIDTH outputs at a time."""
    P = oh * ow
    to, pitch = tiles.tile_memory(), WIDTH
    for j in range(start, stop, WIDTH):
        count = min(WIDTH, stop - j)
        if width == ow:  # the plane is as wide as the output: a tile writes there itself
            to, pitch = y + 4 * j, P
        tiles.multiply(w, D, have, 1, planes + 4 * j, offsets, D, count, b, to, pitch)
        if width != ow:
            _write(to, pitch, have, j, count, width, oh, ow, y)


@compiled
def _slide_thin(w, b, planes, offsets, D, start, stop, width, oh, ow, y):
    """Slide one filter over outputs start to stop, THIN_WIDTH outputs at a time."""
    tile = tiles.tile_memory()
    for j in range(start, stop, THIN_WIDTH):
        count = min(THIN_WIDTH, stop - j)
        if count > THIN_WIDTH - VECTOR:  # every one of these vectors has numbers, and only the last may not be full
            _thin(w, D, 1, 1, planes + 4 * j, offsets, D, count - THIN_WIDTH + VECTOR, b, tile, THIN_WIDTH)
        else:
            for i in range(0, count, VECTOR):
                tiles.multiply(w, D, 1, 1, planes + 4 * (j + i), offsets, D, min(VECTOR, count - i), b, tile + 4 * i, 0)
        _write(tile, THIN_WIDTH, 1, j, count, width, oh, ow, y)


@compiled
def _write(tile, stride, rows, j, count, width, oh, ow, target):
    """Write `count` outputs of each row of a tile, from output j on, leaving out those beyond the right border."""
    sums = words.floats(tile, (rows, stride))
    y = words.floats(target, (rows, oh * ow))
    for m in range(rows):
        row, line = sums[m], y[m]
        if width == ow:
            copy(row[:count], line[j:j + count])
            continue
        i, u, v = 0, j // width, j % width
        while i < count:  # the rest of row u of the plane, then the next row
            written = min(count - i, ow - v)
            if written > 0:
                copy(row[i:i + written], line[u * ow + v:u * ow + v + written])
            i += width - v
            u, v = u + 1, 0


_dots = tiles.dot_tile(DOT_ROWS, DOT_TAPS)


@task
def _add_products(block, piece):
    """dw[k, d] += Σ dy[n, k, j] · x[n, offset[d] + j] over n and j, for some of a group's filters k and taps d."""
    (planes, grads, offsets, dw, parts, cuts, filters, D, N, at_a_time, columns, image, channels, grads_image,
     row) = values(block, 15)
    g, up, cut = piece // cuts // parts, piece // cuts % parts, piece % cuts
    for n in range(0, N, at_a_time):
        for j in range(0, columns, DOTS):
            _add_dots(grads + 4 * (n * grads_image + g * filters * row + j), row, grads_image,
                      planes + 4 * (n * image + g * channels + j), image, offsets, min(DOTS, columns - j),
                      min(at_a_time, N - n), dw + 4 * g * filters * D, filters, D, up, parts, cut, cuts)


@task
def _add_products_by_rows(block, piece):
    """Do the same as `_add_products`, row by row of the outputs."""
    (planes, grads, offsets, dw, parts, cuts, filters, D, N, image, channels, grads_image, width, oh, ow,
     rows) = values(block, 16)
    g, up, cut = piece // cuts // parts, piece // cuts % parts, piece % cuts
    for n in range(N):
        for r in range(0, oh, rows):
            _add_dots(grads + 4 * (n * grads_image + (g * filters * oh + r) * ow), oh * ow, ow,
                      planes + 4 * (n * image + g * channels + r * width), width, offsets, ow, min(rows, oh - r),
                      dw + 4 * g * filters * D, filters, D, up, parts, cut, cuts)


@helper
def _add_dots(grads, row, grads_image, pixels, image, offsets, columns, images, dw, filters, D, up, parts, cut, cuts):
    """dw[k, d] += Σ dy[k, n, j] · x[n, offset[d] + j], for part `up` of the filters k and part `cut` of the taps d.

    A few taps at a time are multiplied with all filters, so that their pixels stay in the first cache.
    """
    low, high = part_in_steps(filters, DOT_ROWS, up, parts)
    first, end = part_in_steps(D, DOT_TAPS, cut, cuts)
    for start in range(first, end, SOME_TAPS):
        for k in range(low, high, DOT_ROWS):
            for d in range(start, min(end, start + SOME_TAPS), DOT_TAPS):
                _dots(grads + 4 * k * row, row, min(DOT_ROWS, filters - k), grads_image, pixels, image,
                      offsets + 8 * d, min(DOT_TAPS, D - d), columns, images, dw + 4 * (k * D + d), D)
