"""Correlations of many images at once, in an interleaved layout: a vector holds the same pixel of VECTOR images.

A *block* is VECTOR images, with the index of the image as the innermost axis: (C, phases, height, width, VECTOR). The
planes are those of layout.py. Each pixel is then a whole vector, so no vector reaches beyond the right border of an
image, and narrow images are as quick as wide ones. Images that do not fill a block are left to planes.py.

Taps that read only padding add nothing, so a tile of outputs leaves them out: always whole rows of taps, and columns
where that saves enough.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import tiles, vectors, words
from minicaffe.kernels.numba_engine.layout import Geometry, flat, reach
from minicaffe.kernels.numba_engine.pieces import MOST_PIECES, floats_of, part, part_in_steps, pieces
from minicaffe.kernels.numba_engine.planes import cut_products
from minicaffe.kernels.numba_engine.registers import REGISTERS, VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import DOT_ROWS, DOT_TAPS, ROWS, TILE_VECTORS, WIDTH
from minicaffe.kernels.numba_engine.transforms import transpose_tile
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.workspace import borrow

AT_A_TIME = 1 << 20  # about so many numbers are interleaved at a time, so that borrowed memory stays small
# Outputs whose products are summed at a time, whole rows of them: their gradients stay in the first cache.
DOTS = 192 if REGISTERS == 32 else 128
SUMS = 4096          # outputs that are computed before they are separated: they too stay in the first cache
SKIPPED = 16         # so many steps of a tile are worth a loop of its own for each row of taps
PACKED = 1 << 12     # weights whose packing is worth a piece of its own
LINE = 16            # numbers of a cache line


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
              out: np.ndarray) -> None:
    """out = b + w ⋆ x; the number of images is a multiple of VECTOR."""
    (N, C), (K, oh, ow), kernel = x.shape[:2], out.shape[1:], w.shape[2:]
    filters, pitch = K // group, _pitch(at)
    parts = min(-(-filters // ROWS), max(1, MOST_PIECES // group))  # no tile of filters is cut
    whole = VECTOR // math.gcd(VECTOR, ow)  # rows whose pixels are whole vectors
    some = min(oh, max(1, SUMS // (ROWS * ow * VECTOR * whole)) * whole)
    packed, offsets = _pack(w, group), _offsets(at)
    for blocks in _some(N // VECTOR, C * pitch):
        laid = interleave(x[blocks.start * VECTOR:blocks.stop * VECTOR], at, stride, pad)
        count = len(blocks) * group * parts
        sums = borrow("interleaved sums", (count, ROWS, some * ow, VECTOR), x.dtype)
        _slide(count, laid, packed, b, out[blocks.start * VECTOR:], offsets, *at.inside, sums, parts, group, filters,
               C // group, *kernel, pitch, at.width, oh, ow, some)


@functools.lru_cache(maxsize=512)
def _offsets(at: Geometry) -> np.ndarray:
    """Return the offsets of the taps, row by row and column by column, with all channels of a tap side by side."""
    channels = np.arange(len(at.offsets) // at.taps.size, dtype=np.int64) * _pitch(at)
    return (at.taps[:, :, None] * VECTOR + channels).reshape(-1)


def _pitch(at: Geometry) -> int:
    """Return the distance of channels in a block: an odd number of cache lines.

    Where it is a multiple of 4096 bytes, say, the same pixel of all channels competes for the same place in a cache.
    """
    return (-(-at.channel * VECTOR // LINE) | 1) * LINE


def _pack(w: np.ndarray, group: int) -> np.ndarray:
    """Return the filters in the order of `_offsets`, with ROWS filters side by side.

    Filters that do not exist are copies of the last one, since a tile always computes ROWS of them.
    """
    K, C, kh, kw = w.shape
    tall = -(-(K // group) // ROWS)
    packed = borrow("packed filters", (group * tall, kh * kw * C, ROWS), w.dtype)
    count = pieces(packed.size, group * tall, PACKED)
    _pack_filters(count, w, packed, group, tall, K // group, C, kh * kw, count)
    return packed


@task
def _pack_filters(block, piece):
    """packed[g, t, d, c, m] = w[g, t · ROWS + m, c, d] for the taps d."""
    w, packed, group, tall, filters, C, taps, count = values(block, 8)
    first, end = part(group * tall, piece, count)
    for tile in range(first, end):
        g, t = tile // tall, tile % tall
        out = words.floats(packed + 4 * tile * taps * C * ROWS, (taps, C, ROWS))
        all_weights = words.floats(w + 4 * g * filters * C * taps, (filters, C, taps))
        for d in range(taps):
            for c in range(C):
                for m in range(ROWS):
                    out[d, c, m] = all_weights[min(t * ROWS + m, filters - 1), c, d]


def add_weight_grad(x: np.ndarray, dy: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
                    out: np.ndarray) -> None:
    """out += the gradient of the filters, from x and dy; the number of images is a multiple of VECTOR."""
    (N, C), (K, oh, ow) = x.shape[:2], dy.shape[1:]
    filters, D = K // group, len(at.offsets)
    parts, cuts = cut_products(filters, D, group)
    rows = -(-oh // -(-oh // max(1, DOTS // ow)))  # at most so many at a time, and about the same number each time
    grads_at = flat(K, oh, ow)
    image, grads_image = C * _pitch(at), K * _pitch(grads_at)
    offsets, seen = _tap_offsets(at)
    for blocks in _some(N // VECTOR, max(image, grads_image)):
        images = slice(blocks.start * VECTOR, blocks.stop * VECTOR)
        pixels = interleave(x[images], at, stride, pad)
        laid = interleave(dy[images], grads_at, (1, 1), (0, 0), "interleaved gradients")
        _add_products(group * parts * cuts, pixels, laid, offsets, seen, out, parts, cuts, filters, D, len(blocks),
                      image, image // group, grads_image, _pitch(grads_at), at.width, oh, ow, rows)


@functools.lru_cache(maxsize=512)
def _tap_offsets(at: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Return the offset of each channel's taps, and for each DOT_TAPS of these the rows of outputs with pixels for any.

    These rows are given by the first one, and the first one behind them.
    """
    (kh, kw), D = at.taps.shape, len(at.offsets)
    channels = np.arange(D // (kh * kw), dtype=np.int64)[:, None, None] * _pitch(at)
    tap_row = np.minimum(np.arange(-(-D // DOT_TAPS) * DOT_TAPS), D - 1) // kw % kh
    first, end = at.inside[0].T[:, :, None]
    reads = ((first <= tap_row) & (tap_row < end)).reshape(len(first), -1, DOT_TAPS).any(axis=2)
    seen = np.stack([reads.argmax(axis=0), len(reads) - reads[::-1].argmax(axis=0)], axis=1)
    return (channels + at.taps * VECTOR).reshape(-1), (seen * reads.any(axis=0)[:, None]).astype(np.int64)


def correlate_data_grad(dy: np.ndarray, w: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
                        out: np.ndarray) -> None:
    """out = the gradient of x, from dy and w; the number of images is a multiple of VECTOR.

    Each output's gradient is added to all pixels that it was computed from. That is less work than a correlation with
    mirrored filters where a stride leaves most of the mirrored filter's pixels zero.
    """
    (N, K, oh, ow), (C, H, W) = dy.shape, out.shape[1:]
    filters, D, block = K // group, len(at.offsets), C * at.channel * VECTOR
    taps = D * group // C
    parts = min(C // group, max(1, MOST_PIECES // group))
    grads_at = flat(K, oh, ow)
    for blocks in _some(N // VECTOR, max(block, K * _pitch(grads_at))):
        images = slice(blocks.start * VECTOR, blocks.stop * VECTOR)
        grads = interleave(dy[images], grads_at, (1, 1), (0, 0), "interleaved gradients")
        sums = borrow("interleaved pixels", (len(blocks) * block,), dy.dtype)
        _scatter(len(blocks) * group * parts, sums, w, grads, _offsets(grads_at), at.interleaved_offsets, parts, group,
                 filters, C // group, taps, at.channel * VECTOR, _pitch(grads_at), at.width, oh, ow)
        channels = len(blocks) * C
        count = min(MOST_PIECES, channels)
        _separate(count, sums, out[images], *at.places, channels, C, H, W, at.height, at.width, *map(len, at.phases),
                 *stride, *pad, count)


def _some(blocks: int, size: int) -> list[range]:
    """Ranges of blocks, each with about AT_A_TIME numbers; `size` is how many numbers a block has."""
    step = max(1, AT_A_TIME // size)
    return [range(i, min(blocks, i + step)) for i in range(0, blocks, step)]


def interleave(x: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, slot: str = "interleaved pixels") -> np.ndarray:
    """Images as interleaved planes, in borrowed memory; `slot` names it."""
    (N, C, H, W), pitch = x.shape, _pitch(at)
    laid = borrow(slot, (N // VECTOR * C * pitch,), x.dtype)
    channels = N // VECTOR * C
    count = pieces(laid.size, channels)
    lines = borrow("interleaved rows", (count, W, VECTOR), x.dtype) if stride[1] > 1 else None
    _interleave(count, x, laid, lines, *at.phases, *map(len, at.phases), channels, C, H, W, at.height, at.width, pitch,
                *stride, *pad, count)
    return laid


@task
def _interleave(block, piece):
    """interleaved[c, a, b, u, v, n] = x[n, c, u · sh + row a − ph, v · sw + column b − pw], 0 beyond the image."""
    (x, laid, lines, row_phases, column_phases, rows, columns, channels, C, H, W, height, width, pitch, sh, sw, ph, pw,
     count) = values(block, 19)
    first_row, first_column, image = words.ints(row_phases, rows), words.ints(column_phases, columns), C * H * W
    begin, stop = part(channels, piece, count)
    whole_row = lines + 4 * piece * W * VECTOR
    for channel in range(begin, stop):  # counted through all blocks
        source = x + 4 * (channel // C * VECTOR * image + channel % C * H * W)
        for a in range(rows):
            for u in range(height):
                h, at = u * sh + first_row[a] - ph, channel * pitch + VECTOR * (a * columns * height + u) * width
                line = laid + 4 * at
                if 0 <= h < H:
                    left, target, size = (first_column[0] - pw, line, width) if sw == 1 else (0, whole_row, W)
                    first, end = reach(left, 1, W, size)
                    _interleave_row(source + 4 * (h * W + left), image, first, end, target, size)
                for b in range(columns):
                    if not 0 <= h < H:
                        floats_of(line, 0, width * VECTOR)[:] = 0
                    elif sw > 1:
                        left = first_column[b] - pw
                        first, end = reach(left, sw, W, width)
                        _take_pixels(whole_row, left, sw, first, end, line, width)
                    line += 4 * VECTOR * height * width


@helper
def _interleave_row(x, image, first, end, line, width):
    """line[v, n] = x[n · image + v] from v = first to end, else 0; both are addresses."""
    _clear_ends(line, first, end, width)
    for v in range(first, end, VECTOR):
        transpose_tile(x + 4 * v, image, min(VECTOR, end - v), line + 4 * VECTOR * v, VECTOR, VECTOR)


@helper
def _take_pixels(row, left, step, first, end, line, width):
    """line[v] = row[left + v · step] from v = first to end, else 0; each pixel is a vector."""
    _clear_ends(line, first, end, width)
    for v in range(first, end):
        vectors.store_whole(line, v * VECTOR, vectors.load_whole(row, (left + v * step) * VECTOR))


@helper
def _clear_ends(line, first, end, width):
    """Set the pixels of an interleaved row to 0 outside of first to end."""
    if first > 0:
        floats_of(line, 0, first * VECTOR)[:] = 0
    if end < width:
        floats_of(line, end * VECTOR, width * VECTOR)[:] = 0


@helper
def _number(address, i):
    return words.floats(address + 4 * i, 1)[0]


@task
def _slide(block, piece):
    """y[k, o] = b[k] + Σ w[d, k] · x[offset[d] + o], for some filters k of a block of images, VECTOR of each o."""
    (pixels, w, b, y, offsets, row_taps, column_taps, sums, parts, group, filters, C, kh, kw, pitch, width, oh, ow,
     some) = values(block, 19)
    blocks, g, up = piece // parts // group, piece // parts % group, piece % parts
    P, K, D, tall = oh * ow, group * filters, kh * kw * C, (filters + ROWS - 1) // ROWS
    inside, across = words.ints(row_taps, (oh, 2)), words.ints(column_taps, (ow, 2))
    to, distance = sums + 4 * piece * ROWS * some * ow * VECTOR, some * ow * VECTOR
    source = pixels + 4 * (blocks * group + g) * C * pitch
    first, end = part(tall, up, parts)
    for t in range(first, end):
        have, k, weights = min(ROWS, filters - t * ROWS), g * filters + t * ROWS, w + 4 * (g * tall + t) * D * ROWS
        for begin in range(0, oh, some):
            rows = min(some, oh - begin)
            for r in range(begin, begin + rows):
                q = 0
                while q < ow:
                    vectors_here = _vectors(ow - q)
                    left, right, bands = across[q + vectors_here - 1, 0], across[q, 1], inside[r, 1] - inside[r, 0]
                    depth = (right - left) * C
                    if kw * C - depth < SKIPPED:  # all columns: then the rows of taps are a single band
                        left, depth, bands = 0, bands * kw * C, 1
                    d = (inside[r, 0] * kw + left) * C
                    tiles.multiply_bands(vectors_here, weights + 4 * d * ROWS, have,
                                         source + 4 * VECTOR * (r * width + q), offsets + 8 * d, depth, bands, kw * C,
                                         b + 4 * k, to + 4 * VECTOR * ((r - begin) * ow + q), distance)
                    q += vectors_here
            for f in range(have):  # from VECTOR images side by side to one image after the other
                line = y + 4 * ((blocks * VECTOR * K + k + f) * P + begin * ow)
                for j in range(0, rows * ow, VECTOR):
                    transpose_tile(to + 4 * (f * distance + j * VECTOR), VECTOR, VECTOR, line + 4 * j, K * P,
                                   min(VECTOR, rows * ow - j))


@helper
def _vectors(left):
    """Return how many vectors the next tile of a row has.

    A tile of one vector has so few sums that each waits for the one before. So the last 4 are computed as 2 and 2.
    """
    return TILE_VECTORS - 1 if left == TILE_VECTORS + 1 else min(left, TILE_VECTORS)


_dots = tiles.dot_tile(DOT_ROWS, DOT_TAPS)


@task
def _add_products(block, piece):
    """dw[k, d] += Σ dy[k, o] · x[offset[d] + o] over all o and images, for some of a group's filters k and taps d."""
    (pixels, grads, offsets, seen, dw, parts, cuts, filters, D, blocks, image, channels, grads_image, P, width, oh, ow,
     rows) = values(block, 18)
    g, up, cut = piece // cuts // parts, piece // cuts % parts, piece % cuts
    low, high = part_in_steps(filters, DOT_ROWS, up, parts)
    first, end = part_in_steps(D, DOT_TAPS, cut, cuts)
    with_pixels = words.ints(seen, ((D + DOT_TAPS - 1) // DOT_TAPS, 2))
    for n in range(blocks):
        at, grad = pixels + 4 * (n * image + g * channels), grads + 4 * (n * grads_image + g * filters * P)
        for r in range(0, oh, rows):
            for m in range(low, high, DOT_ROWS):
                for d in range(first, end, DOT_TAPS):
                    top = max(r, with_pixels[d // DOT_TAPS, 0])
                    bottom = min(r + rows, with_pixels[d // DOT_TAPS, 1])  # at most oh
                    _dots(grad + 4 * (m * P + top * ow * VECTOR), P, min(DOT_ROWS, filters - m), ow * VECTOR,
                          at + 4 * top * width * VECTOR, width * VECTOR, offsets + 8 * d, min(DOT_TAPS, D - d),
                          ow * VECTOR, bottom - top, dw + 4 * ((g * filters + m) * D + d), D)


@task
def _scatter(block, piece):
    """x[offset[d] + o] = Σ w[k, d] · dy[k, o] over a group's filters k, for some channels of a block of images."""
    sums, w, grads, offsets, places, parts, group, filters, channels, taps, plane, P, width, oh, ow = values(block, 15)
    n, g, up = piece // parts // group, piece // parts % group, piece % parts
    c, end = part(channels, up, parts)
    D = channels * taps
    to = sums + 4 * (n * group + g) * channels * plane
    floats_of(to, c * plane, end * plane)[:] = 0  # by the piece that adds to them, so that they are in its core's cache
    source = grads + 4 * (n * group + g) * filters * P
    for r in range(oh):
        for q in range(0, ow, TILE_VECTORS):
            at, out = source + 4 * VECTOR * (r * ow + q), to + 4 * VECTOR * (r * width + q)
            for d in range(c * taps, end * taps, ROWS):
                tiles.multiply_and_add(w + 4 * (g * filters * D + d), 1, min(ROWS, end * taps - d), D, at, offsets,
                                       filters, min(WIDTH, (ow - q) * VECTOR), places + 8 * d, out)


@task
def _separate(block, piece):
    """x[n, c, h, w] = interleaved[c, a, b, u, v, n] for the pixel's phase a, b and its place u, v there, else 0."""
    (laid, x, row_places, column_places, channels, C, H, W, height, width, rows, columns, sh, sw, ph, pw,
     count) = values(block, 17)
    row_phase, column_phase, image = words.ints(row_places, sh), words.ints(column_places, sw), C * H * W
    begin, stop = part(channels, piece, count)
    for channel in range(begin, stop):
        to = x + 4 * (channel // C * VECTOR * image + channel % C * H * W)
        for h in range(H):
            u, a = (h + ph) // sh, row_phase[(h + ph) % sh]
            planes = laid + 4 * VECTOR * ((channel * rows + a) * columns * height + u) * width
            seen = a >= 0 and 0 <= u < height
            first = end = 0
            if seen and sw == 1:
                first, end = reach(pw, 1, width, W)
                for w in range(first, end, VECTOR):
                    transpose_tile(planes + 4 * VECTOR * (w + pw), VECTOR, VECTOR, to + 4 * (h * W + w), image,
                                   min(VECTOR, end - w))
            for w in range(W):
                if first <= w < end:
                    continue
                v, b = (w + pw) // sw, column_phase[(w + pw) % sw]
                inside = seen and b >= 0 and 0 <= v < width
                for n in range(VECTOR):
                    value = _number(planes, (b * height * width + v) * VECTOR + n) if inside else np.float32(0)
                    words.floats(to, VECTOR * image)[n * image + h * W + w] = value
