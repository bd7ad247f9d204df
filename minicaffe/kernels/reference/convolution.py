"""Correlation of images with filters, and its two gradients.

Convolution runs the three as forward, data gradient and weight gradient; Deconvolution swaps the first two.
A few images at a time become columns, or a few rows of a large image, as many as stay in cache; each few is one
piece of work for a thread.
"""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.reference.im2col import Sizes, col2im, im2col
from minicaffe.kernels.registry import kernel
from minicaffe.kernels.workspace import borrow

CACHED = 1 << 17       # values of the columns of one piece: what a core's cache holds beside the rest
NARROWEST = 512        # positions at least of a part of a large image: the filters are read again for each part
PIECES = 8             # pieces at least, where there are so many images
LANES = 16             # partial weight gradients at most
LANE_VALUES = 1 << 24  # values of all partial weight gradients together
POINTWISE = 64         # positions from which a 1x1 filter multiplies an image in place, without columns


@kernel
def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """out[n, k, o] = b[k] + Σ w[k, c, i] · x[n, c, o·stride + i·dilation − pad], the sum over i and k's group of c.

    x (N, C, *sizes), w (K, C / group, *kernel), b (K,) or None, out (N, K, *positions)
    """
    cut = _Cut(x, w, out, stride, pad, dilation, group)
    filters = cut.filters(w)
    bias = None if b is None else b.reshape(group, -1, 1)

    def piece(i: int) -> None:
        images, rows = cut.piece(i)
        y, product = out[images], cut.borrow_outputs(out[images], rows)
        np.matmul(filters, cut.columns(x[images], rows), out=product)
        if bias is not None:
            product += bias
        if len(y) > 1:
            y[...] = product.reshape(cut.beside(y)).swapaxes(0, 1)

    shards.run(piece, cut.pieces, gemm=True)


@kernel
def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """out[n, c] = Σ w[k, c, i] · dy[n, k, o] over all k, i, o that read the pixel: the adjoint of correlate in x.

    dy (N, K, *positions), w (K, C / group, *kernel), out (N, C, *sizes)
    """
    cut = _Cut(out, w, dy, stride, pad, dilation, group)
    transposed = cut.filters(w).swapaxes(1, 2)

    def some_images(i: int) -> None:
        for j in range(i * cut.parts, (i + 1) * cut.parts):  # parts of an image may add to the same pixel
            images, rows = cut.piece(j)
            dx, columns = out[images], cut.borrow_columns(out[images], rows)
            np.matmul(transposed, cut.outputs(dy[images], rows), out=columns)
            if not cut.in_place:
                if rows.start == 0:
                    dx.fill(0)
                col2im(columns.reshape(cut.column_shape(dx, rows)), *cut.geometry(rows), dx)

    shards.run(some_images, cut.pieces // cut.parts, gemm=True)


@kernel
def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """out[k, c, i] += Σ dy[n, k, o] · x[n, c, o·stride + i·dilation − pad]: the adjoint of correlate in w.

    x (N, C, *sizes), dy (N, K, *positions), out (K, C / group, *kernel)

    Pieces are dealt to lanes; each lane adds its pieces in order, then the lanes are added in order. Their number
    follows from the shapes, so any number of threads gives the same bits.
    """
    cut = _Cut(x, out, dy, stride, pad, dilation, group)
    lanes = min(LANES, cut.pieces, max(1, LANE_VALUES // max(1, out.size)))
    dw = cut.filters(out)
    partial = borrow("lanes", (lanes, *dw.shape), out.dtype)

    def lane(i: int) -> None:
        product = borrow("product", dw.shape, out.dtype)
        first, end = i * cut.pieces // lanes, (i + 1) * cut.pieces // lanes
        for j in range(first, end):
            images, rows = cut.piece(j)
            columns = cut.columns(x[images], rows).swapaxes(1, 2)
            np.matmul(cut.outputs(dy[images], rows), columns, out=partial[i] if j == first else product)
            if j > first:
                partial[i] += product

    shards.run(lane, lanes, gemm=True)
    for i in range(lanes):
        dw += partial[i]


@kernel
def add_channel_sums(dy: np.ndarray, out: np.ndarray) -> None:
    """out[k] += Σ dy[n, k, o]: the gradient of a bias. dy (N, K, *positions), out (K,)"""
    N, K = dy.shape[:2]
    out += dy.reshape(N, K, -1).sum(axis=2).sum(axis=0)


class _Cut:
    """How a correlation falls into pieces of a few images or a few rows of one, and the arrays of one piece.

    g groups, D = C / g · kernel values that one output sums over, G images in the piece, P positions of each:
    columns (g, D, G·P), filters (g, K / g, D), outputs (g, K / g, G·P)
    """

    def __init__(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes,
                 group: int) -> None:
        self.group, self.stride, self.pad, self.dilation = group, stride, pad, dilation
        self.kernel, self.positions = w.shape[2:], y.shape[2:]
        N, P, D = len(x), math.prod(self.positions), x.shape[1] * math.prod(self.kernel)
        fitting = CACHED // max(1, D * P)
        at_a_time = max(1, min(fitting, math.ceil(N / PIECES)))
        pointwise = set(self.kernel) | set(stride) <= {1} and not any(pad)
        self.in_place = pointwise and (P >= POINTWISE or at_a_time == 1)
        self.count, self.at_a_time = N, 1 if self.in_place else at_a_time
        self.height = self.positions[0] if self.positions else 1  # rows of positions, and positions in a row
        self.width = P // max(1, self.height)
        self.rows = self.height
        if not fitting and not self.in_place:
            self.rows = math.ceil(self.height / max(1, P // max(NARROWEST, CACHED // D)))
        self.parts = math.ceil(self.height / max(1, self.rows))
        self.pieces = math.ceil(N / self.at_a_time) * self.parts

    def piece(self, i: int) -> tuple[slice, slice]:
        """The images of piece i, and the rows of their positions."""
        image, row = i // self.parts * self.at_a_time, i % self.parts * self.rows
        return (slice(image, min(self.count, image + self.at_a_time)),
                slice(row, min(self.height, row + self.rows)))

    def geometry(self, rows: slice) -> tuple[Sizes, Sizes, Sizes]:
        """stride, pad and dilation for windows that begin at the first of these rows."""
        if not rows.start:
            return self.stride, self.pad, self.dilation
        return self.stride, (self.pad[0] - rows.start * self.stride[0], *self.pad[1:]), self.dilation

    def filters(self, w: np.ndarray) -> np.ndarray:
        """w as one matrix a group."""
        return w.reshape(self.group, len(w) // self.group, -1)

    def column_shape(self, x: np.ndarray, rows: slice) -> Sizes:
        """The shape that im2col gives the columns of x."""
        positions = (rows.stop - rows.start, *self.positions[1:]) if self.positions else ()
        return (x.shape[1], *self.kernel, len(x), *positions)

    def borrow_columns(self, x: np.ndarray, rows: slice) -> np.ndarray:
        """Memory for the columns of x: x itself where a column is a pixel."""
        if self.in_place:
            return x.reshape(self.group, x.shape[1] // self.group, -1)
        shape = self.column_shape(x, rows)
        return borrow("columns", shape, x.dtype).reshape(self.group, -1, math.prod(shape[-1 - len(self.kernel):]))

    def columns(self, x: np.ndarray, rows: slice) -> np.ndarray:
        """The columns of x."""
        columns = self.borrow_columns(x, rows)
        if not self.in_place:
            im2col(x, *self.geometry(rows), columns.reshape(self.column_shape(x, rows)))
        return columns

    def beside(self, y: np.ndarray) -> Sizes:
        """The shape of y (G, K, *positions) once its images stand side by side in each channel."""
        return (y.shape[1], len(y), *self.positions)

    def borrow_outputs(self, y: np.ndarray, rows: slice) -> np.ndarray:
        """Memory for y with its images side by side: y itself where it is one image."""
        memory = y if len(y) == 1 else borrow("outputs", self.beside(y), y.dtype)
        matrices = memory.reshape(self.group, y.shape[1] // self.group, -1)
        return matrices if self.parts == 1 else matrices[:, :, rows.start * self.width:rows.stop * self.width]

    def outputs(self, y: np.ndarray, rows: slice) -> np.ndarray:
        """y with its images side by side."""
        outputs = self.borrow_outputs(y, rows)
        if len(y) > 1:
            outputs.reshape(self.beside(y))[...] = y.swapaxes(0, 1)
        return outputs
