"""Correlations of many images at once: LANES images are woven, so that one vector holds a pixel of all of them.

Every tap is then a fixed distance of whole vectors away, with none to waste at the right border; images that do not
fill a block go to the planes. Memory holds a block of images as (C, planes, height, width, LANES).
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.jit import planes, tiles, words
from minicaffe.kernels.jit.entry import entry
from minicaffe.kernels.jit.planes import Geometry
from minicaffe.kernels.jit.tiles import LANES, ROWS, SLOPES_A_TILE, TAPS_A_TILE, VECTORS, WIDTH
from minicaffe.kernels.reference.im2col import Sizes
from minicaffe.kernels.workspace import borrow

AT_A_TIME = 1 << 22   # numbers of woven images: so many blocks are woven before they are used
PIECES = 16           # pieces that a block falls into at most
DOTS = 192            # positions that a tile of products adds at a time: its slopes stay in the first cache


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
              out: np.ndarray) -> None:
    """out = b + the filters slid over the images, whose number LANES divides."""
    (N, C), (K, P) = x.shape[:2], (out.shape[1], out.shape[2] * out.shape[3])
    filters, D, block = K // group, len(at.offsets), C * at.channel * LANES
    steps = -(-filters // ROWS)
    parts = min(steps, max(1, PIECES // group))
    offsets = at.woven_offsets
    for blocks in _some(N // LANES, block):
        woven = weave(x[blocks.start * LANES:blocks.stop * LANES], at, stride, pad)
        pieces = len(blocks) * group * parts
        sums = borrow("woven sums", (pieces, ROWS, P, LANES), x.dtype)
        _slide(pieces, woven, w, b, out[blocks.start * LANES:], offsets, sums, parts, group, filters, D, block,
               block // group, at.width, *out.shape[2:])


def add_weight_grad(x: np.ndarray, dy: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
                    out: np.ndarray) -> None:
    """out += the products of slopes and pixels of images, whose number LANES divides."""
    (N, C), (K, oh, ow) = x.shape[:2], dy.shape[1:]
    filters, D = K // group, len(at.offsets)
    block, slopes = C * at.channel * LANES, K * oh * ow * LANES
    parts = min(-(-filters // SLOPES_A_TILE), max(1, PIECES // group))
    cuts = min(-(-D // TAPS_A_TILE), max(1, PIECES // group // parts))
    rows = -(-oh // -(-oh * ow // DOTS))
    offsets, flat = at.woven_offsets, planes.geometry(K, oh, ow, (1, 1), (1, 1), (0, 0), (1, 1), oh, ow)
    for blocks in _some(N // LANES, max(block, slopes)):
        images = slice(blocks.start * LANES, blocks.stop * LANES)
        pixels = weave(x[images], at, stride, pad)
        woven = weave(dy[images], flat, (1, 1), (0, 0), "woven slopes")
        _add_products(group * parts * cuts, pixels, woven, offsets, out, parts, cuts, filters, D, len(blocks), block,
                      block // group, slopes, at.width, oh, ow, rows)


def correlate_data_grad(dy: np.ndarray, w: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, group: int,
                        out: np.ndarray) -> None:
    """out = the slopes, times the filters, added up where their taps lie; LANES divides the number of images."""
    (N, K, oh, ow), (C, H, W) = dy.shape, out.shape[1:]
    filters, D, block, P = K // group, len(at.offsets), C * at.channel * LANES, oh * ow
    taps = D * group // C
    parts = min(C // group, max(1, PIECES // group))
    flat = planes.geometry(K, oh, ow, (1, 1), (1, 1), (0, 0), (1, 1), oh, ow)
    for blocks in _some(N // LANES, max(block, K * P * LANES)):
        images = slice(blocks.start * LANES, blocks.stop * LANES)
        slopes = weave(dy[images], flat, (1, 1), (0, 0), "woven slopes")
        sums = borrow("woven pixels", (len(blocks) * block,), dy.dtype)
        _scatter(len(blocks) * group * parts, sums, w, slopes, flat.woven_offsets, at.woven_offsets, parts, group,
                 filters, C // group, taps, at.channel * LANES, at.width, oh, ow)
        _unweave(min(PIECES, len(blocks) * C), sums, out[images], at.places[0], at.places[1], len(blocks) * C, C, H, W,
                 at.height, at.width, len(at.phases[0]), len(at.phases[1]), *stride, *pad, min(PIECES, len(blocks) * C))


def _some(blocks: int, size: int) -> list[range]:
    """The blocks, a few at a time."""
    step = max(1, AT_A_TIME // size)
    return [range(i, min(blocks, i + step)) for i in range(0, blocks, step)]


def weave(x: np.ndarray, at: Geometry, stride: Sizes, pad: Sizes, slot: str = "woven pixels") -> np.ndarray:
    """Blocks of images as planes of vectors, in borrowed memory."""
    N, C, H, W = x.shape
    woven = borrow(slot, (N * C * at.channel,), x.dtype)
    channels = N // LANES * C
    pieces = max(1, min(PIECES, channels, N * C * at.channel // planes.LAID_OUT))
    _weave(pieces, x, woven, at.phases[0], at.phases[1], len(at.phases[0]), len(at.phases[1]), channels, C, H, W,
           at.height, at.width, *stride, *pad, pieces)
    return woven


@entry
def _weave(block, piece):
    rows, columns, channels, C, H, W = block[4], block[5], block[6], block[7], block[8], block[9]
    height, width, sh, sw, ph, pw, pieces = block[10], block[11], block[12], block[13], block[14], block[15], block[16]
    row_phases, column_phases = words.ints(block[2], rows), words.ints(block[3], columns)
    image = C * H * W
    for channel in range(piece * channels // pieces, (piece + 1) * channels // pieces):
        first_image, c = channel // C * LANES, channel % C
        source = block[0] + 4 * (first_image * image + c * H * W)
        pixels = words.floats(source, LANES * image)
        for a in range(rows):
            for b in range(columns):
                left = column_phases[b] - pw
                first = min(width, max(0, -(left // sw)))
                end = max(first, min(width, (W - 1 - left) // sw + 1))
                for u in range(height):
                    h = u * sh + row_phases[a] - ph
                    line = block[1] + 4 * LANES * ((((channel * rows + a) * columns + b) * height + u) * width)
                    row = words.floats(line, width * LANES)
                    if h < 0 or h >= H:
                        row[:] = 0
                        continue
                    row[:first * LANES] = 0
                    row[end * LANES:] = 0
                    if sw == 1:
                        for v in range(first, end, LANES):
                            tiles.transpose_tile(source + 4 * (h * W + left + v), image, min(LANES, end - v),
                                                 line + 4 * LANES * v, LANES, LANES)
                    else:
                        for v in range(first, end):
                            for n in range(LANES):
                                row[v * LANES + n] = pixels[n * image + h * W + left + v * sw]


@entry
def _slide(block, piece):
    pixels, w, b, y, offsets, sums = block[0], block[1], block[2], block[3], block[4], block[5]
    parts, group, filters, D, image, channels = block[6], block[7], block[8], block[9], block[10], block[11]
    width, oh, ow = block[12], block[13], block[14]
    rest, part = piece // parts, piece % parts
    blocks, g = rest // group, rest % group
    P, K = oh * ow, group * filters
    steps = (filters + ROWS - 1) // ROWS
    to = sums + 4 * piece * ROWS * P * LANES
    source = pixels + 4 * (blocks * image + g * channels)
    for step in range(part * steps // parts, (part + 1) * steps // parts):
        m = step * ROWS
        have = min(ROWS, filters - m)
        k = g * filters + m
        weights, bias = w + 4 * k * D, b + 4 * k
        for r in range(oh):
            for q in range(0, ow, VECTORS):
                at = source + 4 * LANES * (r * width + q)
                target = to + 4 * LANES * (r * ow + q)
                tiles.multiply(weights, D, have, 1, at, offsets, D, min(WIDTH, (ow - q) * LANES), bias, target,
                               P * LANES)
        for f in range(have):
            line = y + 4 * ((blocks * LANES * K + k + f) * P)
            for j in range(0, P, LANES):
                count = min(LANES, P - j)
                tiles.transpose_tile(to + 4 * LANES * (f * P + j), LANES, LANES, line + 4 * j, K * P, count)


_dots = tiles.dot_tile(SLOPES_A_TILE, TAPS_A_TILE)


@entry
def _add_products(block, piece):
    pixels, slopes, offsets, dw = block[0], block[1], block[2], block[3]
    parts, cuts, filters, D, blocks, image = block[4], block[5], block[6], block[7], block[8], block[9]
    channels, slopes_image, width, oh, ow, rows = block[10], block[11], block[12], block[13], block[14], block[15]
    rest, cut = piece // cuts, piece % cuts
    g, part = rest // parts, rest % parts
    steps, tiles_of_taps = (filters + SLOPES_A_TILE - 1) // SLOPES_A_TILE, (D + TAPS_A_TILE - 1) // TAPS_A_TILE
    first, end = cut * tiles_of_taps // cuts * TAPS_A_TILE, min(D, (cut + 1) * tiles_of_taps // cuts * TAPS_A_TILE)
    P = oh * ow * LANES
    for n in range(blocks):
        for r in range(0, oh, rows):
            at = pixels + 4 * (n * image + g * channels + r * width * LANES)
            for step in range(part * steps // parts, (part + 1) * steps // parts):
                m = step * SLOPES_A_TILE
                k = g * filters + m
                slope = slopes + 4 * (n * slopes_image + k * P + r * ow * LANES)
                for d in range(first, end, TAPS_A_TILE):
                    _dots(slope, P, min(SLOPES_A_TILE, filters - m), ow * LANES, at, width * LANES, offsets + 8 * d,
                          min(TAPS_A_TILE, D - d), ow * LANES, min(rows, oh - r), dw + 4 * (k * D + d), D)


@entry
def _scatter(block, piece):
    sums, w, slopes, offsets, places = block[0], block[1], block[2], block[3], block[4]
    parts, group, filters, channels, taps = block[5], block[6], block[7], block[8], block[9]
    plane, width, oh, ow = block[10], block[11], block[12], block[13]
    rest, part = piece // parts, piece % parts
    n, g = rest // group, rest % group
    D, P = channels * taps, oh * ow * LANES
    c, end = part * channels // parts, (part + 1) * channels // parts
    to = sums + 4 * (n * group + g) * channels * plane
    words.floats(to + 4 * c * plane, (end - c) * plane)[:] = 0
    source = slopes + 4 * (n * group + g) * filters * P
    for r in range(oh):
        for q in range(0, ow, VECTORS):
            at, out = source + 4 * LANES * (r * ow + q), to + 4 * LANES * (r * width + q)
            for d in range(c * taps, end * taps, ROWS):
                tiles.multiply_and_add(w + 4 * (g * filters * D + d), 1, min(ROWS, end * taps - d), D, at, offsets,
                                       filters, min(WIDTH, (ow - q) * LANES), places + 8 * d, out)


@entry
def _unweave(block, piece):
    channels, C, H, W, height, width = block[4], block[5], block[6], block[7], block[8], block[9]
    rows, columns, sh, sw, ph, pw, pieces = (block[10], block[11], block[12], block[13], block[14], block[15],
                                             block[16])
    row_places, column_places = words.ints(block[2], sh), words.ints(block[3], sw)
    image = C * H * W
    for channel in range(piece * channels // pieces, (piece + 1) * channels // pieces):
        to = block[1] + 4 * (channel // C * LANES * image + channel % C * H * W)
        out = words.floats(to, LANES * image)
        for h in range(H):
            u, a = (h + ph) // sh, row_places[(h + ph) % sh]
            seen = a >= 0 and 0 <= u < height
            if seen and sw == 1:
                line = block[0] + 4 * LANES * (((channel * rows + a) * height + u) * width)
                reach = max(0, min(W, width - pw))
                for v in range(max(0, -pw), reach, LANES):
                    tiles.transpose_tile(line + 4 * LANES * (v + pw), LANES, LANES, to + 4 * (h * W + v), image,
                                         min(LANES, reach - v))
                first, reach = max(0, -pw), reach
            else:
                first = reach = 0
            for v in range(W):
                if first <= v < reach:
                    continue
                q, b = (v + pw) // sw, column_places[(v + pw) % sw]
                inside = seen and b >= 0 and 0 <= q < width
                for n in range(LANES):
                    value = np.float32(0)
                    if inside:
                        at = ((((channel * rows + a) * columns + b) * height + u) * width + q) * LANES + n
                        value = words.floats(block[0], at + 1)[at]
                    out[n * image + h * W + v] = value
