"""The weight gradient of 3×3 correlations by Winograd's transforms, with channels as the innermost axis.

An image is cut into tiles of 6×6 pixels, each of which gives 4×4 outputs. A tile of pixels or of gradients is
transformed into 36 *points*. At each point the gradient is a plain matrix product, and together they take a quarter of
the multiplications.

    x → (N, height, width, C) → x̂ (36, T, C)      tiles to points
    dy → (N, height, width, K) → dŷ (36, T, K)
    dŵ (36, C, K) = x̂ᵀ · dŷ → dw                  a product at each point, and points to filters

The correlation itself and its data gradient stand in winograd_slices.py.
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions.im2col import Sizes
from minicaffe.kernels.numba_engine import tiles
from minicaffe.kernels.numba_engine.elementwise import weighted_sum
from minicaffe.kernels.numba_engine.layout import reach
from minicaffe.kernels.numba_engine.pieces import MOST_PIECES, floats_of, part
from minicaffe.kernels.numba_engine.registers import VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import ROWS, WIDTH, starts, zeros
from minicaffe.kernels.numba_engine.transforms import map_tile, transpose_tile
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.winograd_matrices import SIDE, TAPS, TILE, line_matrices
from minicaffe.kernels.workspace import borrow

POINTS = SIDE * SIDE
MOST_VALUES = 1 << 21   # numbers of x̂ or ŷ at a time: more would be no faster, and take more memory

A, B, G = line_matrices()
_pixels_to_points, _grads_to_points, _points_to_filters = map_tile(B), map_tile(A.T), map_tile(G.T)


def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, pad: Sizes, group: int, out: np.ndarray) -> None:
    """out += the gradient of the filters, summed at the points and transformed back once at the end."""
    K, C = out.shape[:2]
    filters = borrow("filter points", (POINTS, group, C, K // group), x.dtype)
    for images in _batches(x, dy):
        pixels, grads = _pixels(x[images], pad, dy), _grads(dy[images])
        _add_products(POINTS * group, pixels, grads, filters, starts(K, pixels.shape[1]),
                      starts(K // group, C), zeros(ROWS), pixels.shape[1], group, C, K // group, images.start > 0)
    taps = borrow("filters by channel", (group, C, TAPS * TAPS, K // group), x.dtype)
    _points_to_taps(MOST_PIECES, filters, taps, group * C, K // group)
    turned = borrow("filters", out.shape, x.dtype)
    _transpose(MOST_PIECES, taps, turned, group, C * TAPS * TAPS, K // group)
    weighted_sum([out, turned], [1.0, 1.0], out)


def _pixels(x: np.ndarray, pad: Sizes, y: np.ndarray) -> np.ndarray:
    """x̂ (36, T, C), for the T tiles that cover y."""
    return _points(x, pad, _tiles(y), "pixel points", grads=False)


def _grads(dy: np.ndarray) -> np.ndarray:
    """dŷ (36, T, K)."""
    return _points(dy, (0, 0), _tiles(dy), "output points", grads=True)


def _points(x: np.ndarray, pad: Sizes, tiled: Sizes, slot: str, *, grads: bool) -> np.ndarray:
    """The points (36, T, C) of images cut into tiles: of pixels, whose tiles overlap, or of gradients, whose do not."""
    (N, C, H, W), (th, tw) = x.shape, tiled
    height, width = (n * TILE + (0 if grads else SIDE - TILE) for n in tiled)
    lines = borrow("channels last", (N, height, width, C), x.dtype)
    _channels_last(MOST_PIECES, x, lines, N, C, H, W, height, width, *pad)
    points = borrow(slot, (POINTS, N * th * tw, C), x.dtype)
    _to_points(MOST_PIECES, lines, points, grads, N, C, th, tw, height, width)
    return points


def _tiles(y: np.ndarray) -> Sizes:
    """Return how many tiles cover the outputs of an image, along each side."""
    return tuple(-(-o // TILE) for o in y.shape[2:])


def _batches(x: np.ndarray, y: np.ndarray) -> list[slice]:
    """Slices of the images, each with so many that the points of one have at most MOST_VALUES numbers."""
    th, tw = _tiles(y)
    step = max(1, MOST_VALUES // (POINTS * max(x.shape[1], y.shape[1]) * th * tw))
    return [slice(i, min(len(x), i + step)) for i in range(0, len(x), step)]


@task
def _transpose(block, piece):
    """out[n, j, i] = x[n, i, j], of matrices (count, rows, columns)."""
    x, out, count, rows, columns = values(block, 5)
    bands = (rows + VECTOR - 1) // VECTOR
    first, end = part(count * bands, piece, MOST_PIECES)
    for band in range(first, end):
        n, i = band // bands * rows * columns, band % bands * VECTOR
        for j in range(0, columns, VECTOR):
            transpose_tile(x + 4 * (n + i * columns + j), columns, min(VECTOR, columns - j),
                           out + 4 * (n + j * rows + i), rows, min(VECTOR, rows - i))


@task
def _channels_last(block, piece):
    """Images (N, C, H, W) as (N, height, width, C), with zeros around each."""
    x, out, N, C, H, W, height, width, ph, pw = values(block, 10)
    left, right = reach(-pw, 1, W, width)
    first, end = part(N * height, piece, MOST_PIECES)
    for line in range(first, end):
        n, h = line // height, line % height - ph
        row = out + 4 * line * width * C
        if h < 0 or h >= H:
            floats_of(row, 0, width * C)[:] = 0
            continue
        floats_of(row, 0, left * C)[:] = 0
        floats_of(row, right * C, width * C)[:] = 0
        for v in range(left, right, VECTOR):
            for c in range(0, C, VECTOR):
                transpose_tile(x + 4 * (((n * C + c) * H + h) * W + v - pw), H * W, min(VECTOR, right - v),
                               row + 4 * (v * C + c), C, VECTOR)


@helper
def _tile(images, t, th, tw, height, width, C):
    """Return the address of the first pixel of tile t of images (N, height, width, C), each cut into th × tw tiles."""
    n, at = t // (th * tw), t % (th * tw)
    return images + 4 * ((n * height + at // tw * TILE) * width + at % tw * TILE) * C


@task
def _to_points(block, piece):
    """x̂ (36, T, C) = B x Bᵀ, for some tiles of pixels (N, height, width, C); dŷ = Aᵀ dy A for gradients."""
    lines, points, grads, N, C, th, tw, height, width = values(block, 9)
    T = N * th * tw
    first, end = part(T, piece, MOST_PIECES)
    for t in range(first, end):
        source = _tile(lines, t, th, tw, height, width, C)
        for c in range(0, C, VECTOR):
            at, to = source + 4 * c, points + 4 * (t * C + c)
            if grads:
                _grads_to_points(at, width * C, C, to, SIDE * T * C, T * C, 0)
            else:
                _pixels_to_points(at, width * C, C, to, SIDE * T * C, T * C, 0)


@task
def _points_to_taps(block, piece):
    """dw (channels, 9, K) = Gᵀ dŵ G of dŵ (36, channels, K)."""
    points, taps, channels, K = values(block, 4)
    first, end = part(channels, piece, MOST_PIECES)
    for c in range(first, end):
        for k in range(0, K, VECTOR):
            _points_to_filters(points + 4 * (c * K + k), SIDE * channels * K, channels * K,
                               taps + 4 * (c * TAPS * TAPS * K + k), TAPS * K, K, 0)


@task
def _add_products(block, piece):
    """dŵ[c, k] = Σ x̂[t, c] · dŷ[t, k] at one point, or added to dŵ."""
    pixels, grads, out, offsets, ends, nothing, T, group, C, K, add = values(block, 11)
    p, g = piece // group, piece % group
    for k in range(0, K, WIDTH):
        right, columns = grads + 4 * ((p * T * group + g) * K + k), min(WIDTH, K - k)
        to = out + 4 * ((p * group + g) * C * K + k)
        for c in range(0, C, ROWS):
            left, have = pixels + 4 * ((p * T * group + g) * C + c), min(ROWS, C - c)
            if add:
                tiles.multiply_and_add(left, 1, have, group * C, right, offsets, T, columns, ends + 8 * c, to)
            else:
                tiles.multiply(left, 1, have, group * C, right, offsets, T, columns, nothing, to + 4 * c * K, K)
