"""Correlations of many images at once, in an interleaved layout: a vector holds the same pixel of VECTOR images.

A *block* is VECTOR images, with the index of the image as the innermost axis: (C, phases, height, width, VECTOR). The
planes are those of layout.py. Each pixel is then a whole vector, so no vector reaches beyond the right border of an
image, and narrow images are as quick as wide ones. Images that do not fill a block are left to planes.py.
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import tiles, words
from minicaffe.kernels.numba_engine.layout import Geometry, flat, reach
from minicaffe.kernels.numba_engine.pieces import MOST_PIECES, floats_of, part, part_in_steps, pieces
from minicaffe.kernels.numba_engine.planes import cut_products
from minicaffe.kernels.numba_engine.registers import VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import DOT_ROWS, DOT_TAPS, ROWS, TILE_VECTORS, WIDTH
from minicaffe.kernels.numba_engine.transforms import transpose_tile
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.workspace import borrow

AT_A_TIME = 1 << 22  # about so many numbers are interleaved at a time, so that borrowed memory stays small
DOTS = 192           # outputs whose products are summed at a time: their gradients stay in the first cache


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
              out: np.ndarray) -> None:
    """out = b + w ⋆ x; the number of images is a multiple of VECTOR."""
    (N, C), (K, P) = x.shape[:2], (out.shape[1], out.shape[2] * out.shape[3])
    filters, D, block = K // group, len(at.offsets), C * at.channel * VECTOR
    parts = min(-(-filters // ROWS), max(1, MOST_PIECES // group))  # no tile of filters is cut
    offsets = at.interleaved_offsets
    for blocks in _some(N // VECTOR, block):
        laid = interleave(x[blocks.start * VECTOR:blocks.stop * VECTOR], at, stride, pad)
        count = len(blocks) * group * parts
        sums = borrow("interleaved sums", (count, ROWS, P, VECTOR), x.dtype)
        _slide(count, laid, w, b, out[blocks.start * VECTOR:], offsets, sums, parts, group, filters, D, block,
               block // group, at.width, *out.shape[2:])


def add_weight_grad(x: np.ndarray, dy: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
                    out: np.ndarray) -> None:
    """out += the gradient of the filters, from x and dy; the number of images is a multiple of VECTOR."""
    (N, C), (K, oh, ow) = x.shape[:2], dy.shape[1:]
    filters, D = K // group, len(at.offsets)
    block, grads = C * at.channel * VECTOR, K * oh * ow * VECTOR
    parts, cuts = cut_products(filters, D, group)
    rows = -(-oh // -(-oh * ow // DOTS))
    offsets, grads_at = at.interleaved_offsets, flat(K, oh, ow)
    for blocks in _some(N // VECTOR, max(block, grads)):
        images = slice(blocks.start * VECTOR, blocks.stop * VECTOR)
        pixels = interleave(x[images], at, stride, pad)
        laid = interleave(dy[images], grads_at, (1, 1), (0, 0), "interleaved gradients")
        _add_products(group * parts * cuts, pixels, laid, offsets, out, parts, cuts, filters, D, len(blocks), block,
                      block // group, grads, at.width, oh, ow, rows)


def correlate_data_grad(dy: np.ndarray, w: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
                        out: np.ndarray) -> None:
    """out = the gradient of x, from dy and w; the number of images is a multiple of VECTOR.

    Each output's gradient is added to all pixels that it was computed from. That is less work than a correlation with
    mirrored filters where a stride leaves most of the mirrored filter's pixels zero.
    """
    (N, K, oh, ow), (C, H, W) = dy.shape, out.shape[1:]
    filters, D, block, P = K // group, len(at.offsets), C * at.channel * VECTOR, oh * ow
    taps = D * group // C
    parts = min(C // group, max(1, MOST_PIECES // group))
    grads_at = flat(K, oh, ow)
    for blocks in _some(N // VECTOR, max(block, K * P * VECTOR)):
        images = slice(blocks.start * VECTOR, blocks.stop * VECTOR)
        grads = interleave(dy[images], grads_at, (1, 1), (0, 0), "interleaved gradients")
        sums = borrow("interleaved pixels", (len(blocks) * block,), dy.dtype)
        _scatter(len(blocks) * group * parts, sums, w, grads, grads_at.interleaved_offsets, at.interleaved_offsets,
                 parts, group, filters, C // group, taps, at.channel * VECTOR, at.width, oh, ow)
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
    N, C, H, W = x.shape
    laid = borrow(slot, (N * C * at.channel,), x.dtype)
    channels = N // VECTOR * C
    count = pieces(laid.size, channels)
    _interleave(count, x, laid, *at.phases, *map(len, at.phases), channels, C, H, W, at.height, at.width, *stride,
                *pad, count)
    return laid


@task
def _interleave(block, piece):
    """interleaved[c, a, b, u, v, n] = x[n, c, u · sh + row a − ph, v · sw + column b − pw], 0 beyond the image."""
    (x, laid, row_phases, column_phases, rows, columns, channels, C, H, W, height, width, sh, sw, ph, pw,
     count) = values(block, 17)
    first_row, first_column, image = words.ints(row_phases, rows), words.ints(column_phases, columns), C * H * W
    begin, stop = part(channels, piece, count)
    for channel in range(begin, stop):  # counted through all blocks
        source = x + 4 * (channel // C * VECTOR * image + channel % C * H * W)
        for plane in range(rows * columns):
            top, left = first_row[plane // columns] - ph, first_column[plane % columns] - pw
            first, end = reach(left, sw, W, width)
            for u in range(height):
                h = u * sh + top
                line = laid + 4 * VECTOR * ((channel * rows * columns + plane) * height + u) * width
                if 0 <= h < H:
                    _interleave_row(source + 4 * (h * W + left), image, sw, first, end, line, width)
                else:
                    floats_of(line, 0, width * VECTOR)[:] = 0


@helper
def _interleave_row(x, image, step, first, end, line, width):
    """line[v, n] = x[n · image + v · step] from v = first to end, else 0; both are addresses."""
    row = words.floats(line, width * VECTOR)
    row[:first * VECTOR] = 0
    row[end * VECTOR:] = 0
    if step == 1:
        for v in range(first, end, VECTOR):
            transpose_tile(x + 4 * v, image, min(VECTOR, end - v), line + 4 * VECTOR * v, VECTOR, VECTOR)
    else:
        for v in range(first, end):
            for n in range(VECTOR):
                row[v * VECTOR + n] = _number(x, n * image + v * step)


@helper
def _number(address, i):
    return words.floats(address + 4 * i, 1)[0]


@task
def _slide(block, piece):
    """y[k, o] = b[k] + Σ w[k, d] · x[offset[d] + o], for some filters k of a block of images, VECTOR of each o."""
    pixels, w, b, y, offsets, sums, parts, group, filters, D, image, channels, width, oh, ow = values(block, 15)
    blocks, g, up = piece // parts // group, piece // parts % group, piece % parts
    P, K = oh * ow, group * filters
    to = sums + 4 * piece * ROWS * P * VECTOR
    source = pixels + 4 * (blocks * image + g * channels)
    first, end = part_in_steps(filters, ROWS, up, parts)
    for m in range(first, end, ROWS):
        have, k = min(ROWS, filters - m), g * filters + m
        for r in range(oh):
            for q in range(0, ow, TILE_VECTORS):
                tiles.multiply(w + 4 * k * D, D, have, 1, source + 4 * VECTOR * (r * width + q), offsets, D,
                               min(WIDTH, (ow - q) * VECTOR), b + 4 * k, to + 4 * VECTOR * (r * ow + q), P * VECTOR)
        for f in range(have):  # from VECTOR images side by side to one image after the other
            line = y + 4 * (blocks * VECTOR * K + k + f) * P
            for j in range(0, P, VECTOR):
                transpose_tile(to + 4 * VECTOR * (f * P + j), VECTOR, VECTOR, line + 4 * j, K * P, min(VECTOR, P - j))


_dots = tiles.dot_tile(DOT_ROWS, DOT_TAPS)


@task
def _add_products(block, piece):
    """dw[k, d] += Σ dy[k, o] · x[offset[d] + o] over all o and images, for some of a group's filters k and taps d."""
    (pixels, grads, offsets, dw, parts, cuts, filters, D, blocks, image, channels, grads_image, width, oh, ow,
     rows) = values(block, 16)
    g, up, cut = piece // cuts // parts, piece // cuts % parts, piece % cuts
    low, high = part_in_steps(filters, DOT_ROWS, up, parts)
    first, end = part_in_steps(D, DOT_TAPS, cut, cuts)
    P = oh * ow * VECTOR
    for n in range(blocks):
        for r in range(0, oh, rows):
            at = pixels + 4 * (n * image + g * channels + r * width * VECTOR)
            for m in range(low, high, DOT_ROWS):
                k = g * filters + m
                grad = grads + 4 * (n * grads_image + k * P + r * ow * VECTOR)
                for d in range(first, end, DOT_TAPS):
                    _dots(grad, P, min(DOT_ROWS, filters - m), ow * VECTOR, at, width * VECTOR, offsets + 8 * d,
                          min(DOT_TAPS, D - d), ow * VECTOR, min(rows, oh - r), dw + 4 * (k * D + d), D)


@task
def _scatter(block, piece):
    """x[offset[d] + o] = Σ w[k, d] · dy[k, o] over a group's filters k, for some channels of a block of images."""
    sums, w, grads, offsets, places, parts, group, filters, channels, taps, plane, width, oh, ow = values(block, 14)
    n, g, up = piece // parts // group, piece // parts % group, piece % parts
    c, end = part(channels, up, parts)
    D, P = channels * taps, oh * ow * VECTOR
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
