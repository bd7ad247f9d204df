"""Correlation with 3×3 filters by Winograd's minimal filtering (winograd_matrices.py), as products of large matrices.

BLAS computes the products, and threads share them. B x Bᵀ for all tiles of some images is one product: of the Kronecker
square of B, a matrix (36, 36), with the tiles as columns. At each of the 36 points, all filters times all tiles is one
product, too. The gradients are the adjoints of the same steps:

    dŷ = Aᵀ dy A,  dx̂ = ŵᵀ dŷ,  dŵ = dŷ x̂ᵀ,  dx = Bᵀ dx̂ B,  dw = Gᵀ dŵ G

(CaffeNet's conv3 to conv5 took 305 ms by columns, and take 234 so.)
"""

from __future__ import annotations

import functools
import math

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions.im2col import Sizes, col2im, im2col
from minicaffe.kernels.winograd_matrices import SIDE, TAPS, TILE, line_matrices
from minicaffe.kernels.workspace import borrow

MOST_VALUES = 1 << 22      # at most so many numbers of x̂ or ŷ at a time, which are 16 MB: 64 MB are no faster
TILES_A_PIECE = 64         # of several images, so many tiles are one piece of work for a thread
CHANNELS_A_PIECE = 16      # of a single image, so many channels are one piece
FILTERS_A_PIECE = 1 << 13  # of the filters w[k, c], so many are one piece


@functools.lru_cache(maxsize=4)
def matrices(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a (16, 36), B (36, 36) and G (36, 9) for tiles: the Kronecker squares of those for a line."""
    return tuple(np.kron(M, M).astype(dtype) for M in line_matrices())  # type: ignore[return-value]


def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, pad: Sizes, group: int, out: np.ndarray) -> None:
    """out = w ⋆ x + b, as the kernel `correlate`."""
    A, B, G = matrices(x.dtype)
    filters = _filter_values(G, w, group)
    out[...] = 0 if b is None else b.reshape(-1, 1, 1)
    for images in _batches(x, out):
        tiles = _tiles(out[images])
        pixels = _to_values(B, x[images], pad, SIDE, tiles, "x values")
        values = _multiply(filters, pixels, "y values")
        _from_values(A, values, (0, 0), TILE, tiles, out[images])


def correlate_data_grad(dy: np.ndarray, w: np.ndarray, pad: Sizes, group: int, out: np.ndarray) -> None:
    """out = the adjoint of `correlate` in x, of dy."""
    A, B, G = matrices(dy.dtype)
    filters = _filter_values(G, w, group).swapaxes(2, 3)
    out[...] = 0
    for images in _batches(out, dy):
        tiles = _tiles(dy[images])
        slopes = _to_values(A.T, dy[images], (0, 0), TILE, tiles, "y values")
        values = _multiply(filters, slopes, "x values")
        _from_values(B.T, values, pad, SIDE, tiles, out[images])


def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, pad: Sizes, group: int, out: np.ndarray) -> None:
    """out += the adjoint of `correlate` in w, of x and dy."""
    A, B, G = matrices(x.dtype)
    K, C = out.shape[:2]
    filters = borrow("w values", (SIDE * SIDE, group, K // group, C), out.dtype)
    for images in _batches(x, dy):
        tiles = _tiles(dy[images])
        pixels = _grouped(_to_values(B, x[images], pad, SIDE, tiles, "x values"), group)
        slopes = _grouped(_to_values(A.T, dy[images], (0, 0), TILE, tiles, "y values"), group)
        first = images.start == 0

        # the defaults bind this round's arrays, since a function looks up other variables of a loop when it runs
        def point(f: int, pixels=pixels, slopes=slopes, first=first) -> None:  # type: ignore[no-untyped-def]
            target = filters[f] if first else borrow("w product", filters[f].shape, out.dtype)
            np.matmul(slopes[f], pixels[f].swapaxes(1, 2), out=target)
            if not first:
                filters[f] += target

        shards.run(point, SIDE * SIDE, gemm=True)
    out += np.matmul(G.T, filters.reshape(SIDE * SIDE, K * C)).T.reshape(out.shape)


def _filter_values(G: np.ndarray, w: np.ndarray, group: int) -> np.ndarray:
    """ŵ (36, group, K / group, C / group)."""
    K, C = w.shape[:2]
    values, taps = borrow("w values", (SIDE * SIDE, K * C), w.dtype), w.reshape(K * C, TAPS * TAPS).T

    def piece(i: int) -> None:
        part = slice(i * FILTERS_A_PIECE, (i + 1) * FILTERS_A_PIECE)
        np.matmul(G, taps[:, part], out=values[:, part])

    shards.run(piece, -(-K * C // FILTERS_A_PIECE), gemm=True)
    return values.reshape(SIDE * SIDE, group, K // group, C)


def _grouped(values: np.ndarray, group: int) -> np.ndarray:
    """(36, C, T) as (36, group, C / group, T)."""
    return values.reshape(len(values), group, -1, values.shape[2])


def _multiply(filters: np.ndarray, values: np.ndarray, slot: str) -> np.ndarray:
    """Return the matrix product over the channels, at each of the 36 points: (36, C, T) to (36, K, T)."""
    points, group, K, _ = filters.shape
    product = borrow(slot, (points, group * K, values.shape[2]), values.dtype)
    grouped, out = _grouped(values, group), _grouped(product, group)
    shards.run(lambda f: np.matmul(filters[f], grouped[f], out=out[f]), points, gemm=True)
    return product


def _to_values(M: np.ndarray, x: np.ndarray, pad: Sizes, side: int, tiles: Sizes, slot: str) -> np.ndarray:
    """(36, C, T): M times every tile of side × side pixels, which begin TILE apart."""
    N, C, T = len(x), x.shape[1], math.prod(tiles)
    values = borrow(slot, (SIDE * SIDE, C, N * T), x.dtype)

    def piece(images: slice, channels: slice) -> None:
        part = x[images, channels]
        columns = borrow("tiles", (part.shape[1], side, side, len(part), *tiles), x.dtype)
        im2col(part, (TILE, TILE), pad, (1, 1), columns)
        target = values[:, channels, images.start * T:images.stop * T].swapaxes(0, 1)
        np.matmul(M, columns.reshape(part.shape[1], side * side, -1), out=target)

    _for_pieces(piece, N, C, T)
    return values


def _from_values(M: np.ndarray, values: np.ndarray, pad: Sizes, side: int, tiles: Sizes, out: np.ndarray) -> None:
    """Add M times the 36 values of every tile to its side × side pixels of out."""
    N, C, T = len(out), out.shape[1], math.prod(tiles)

    def piece(images: slice, channels: slice) -> None:
        part = out[images, channels]
        columns = borrow("tiles", (part.shape[1], side, side, len(part), *tiles), out.dtype)
        source = values[:, channels, images.start * T:images.stop * T].swapaxes(0, 1)
        np.matmul(M, source, out=columns.reshape(part.shape[1], side * side, -1))
        col2im(columns, (TILE, TILE), pad, (1, 1), part)

    _for_pieces(piece, N, C, T)


def _for_pieces(piece, N: int, C: int, T: int) -> None:  # type: ignore[no-untyped-def]
    """Call piece(images, channels) for a few images at a time, or for a few channels of a single one."""
    if N == 1:
        count = math.ceil(C / CHANNELS_A_PIECE)
        shards.run(lambda i: piece(slice(0, 1), slice(i * CHANNELS_A_PIECE, min(C, (i + 1) * CHANNELS_A_PIECE))),
                   count, gemm=True)
    else:
        step = max(1, min(TILES_A_PIECE // T, math.ceil(N / 4)))
        shards.run(lambda i: piece(slice(i * step, min(N, (i + 1) * step)), slice(0, C)), math.ceil(N / step),
                   gemm=True)


def _tiles(y: np.ndarray) -> Sizes:
    """Return how many tiles cover the outputs of an image, along each side."""
    return tuple(-(-o // TILE) for o in y.shape[2:])


def _batches(x: np.ndarray, y: np.ndarray) -> list[slice]:
    """Slices of the images, each with as many as the memory for values allows."""
    an_image = SIDE * SIDE * max(x.shape[1], y.shape[1]) * math.prod(_tiles(y))
    step = max(1, min(len(x), MOST_VALUES // an_image))
    return [slice(i, min(len(x), i + step)) for i in range(0, len(x), step)]
