"""Correlation of images with filters, and its two gradients.

Convolution runs the three as forward, data gradient and weight gradient; Deconvolution swaps the first two.
A few images at a time become columns, or a few rows of a large image, as many as about stay in cache; each few is
one piece of work for a thread. Few large pieces are better than many small ones: between two operations a thread waits
for its turn at the interpreter's lock.
"""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import convolution as definitions
from minicaffe.kernels.definitions.im2col import Sizes, col2im, im2col
from minicaffe.kernels.definitions.matmul import matmul
from minicaffe.kernels.numpy_engine import winograd
from minicaffe.kernels.workspace import borrow

CACHED = 1 << 19       # values of the columns of one piece: what a core's cache about holds
WOVEN = 1 << 20        # the same for woven images, whose stretches of memory grow with their number
NARROWEST = 512        # positions at least of a part of a large image: the filters are read again for each part
PIECES = 2             # pieces at least, where there are so many images
LANES = 16             # partial weight gradients at most
LANE_VALUES = 1 << 24  # values of all partial weight gradients together
CHANNELS = 16          # of a single image that a thread lays out at a time
SUMMED = 1 << 18       # values that are worth a piece of their own when they are only summed
STACKED = 128          # positions from which images are multiplied one by one; below, they are woven into one


@definitions.correlate.implementation("numpy")
def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """out[n, k, o] = b[k] + Σ w[k, c, i] · x[n, c, o·stride + i·dilation − pad], the sum over i and k's group of c.

    x (N, C, *sizes), w (K, C / group, *kernel), b (K,) or None, out (N, K, *positions)
    """
    if winograd.fits(x, w, stride, pad, dilation, group, out):
        winograd.correlate(x, w, b, pad, group, out)
        return
    cut = _Cut(x, w, out, stride, pad, dilation, group)
    filters = cut.filters(w)
    bias = None if b is None else b.reshape(group, -1, 1)

    if cut.pieces == 1:
        _correlate_one(cut, x, filters, bias, out)
        return

    def piece(i: int) -> None:
        images, rows = cut.piece(i)
        product = cut.borrow_outputs(out[images], rows)
        np.matmul(filters, cut.columns(x[images], rows), out=product)
        if bias is not None:
            product += bias
        if cut.woven:
            unweave(product, out[images])

    shards.run(piece, cut.pieces, gemm=True)


def _correlate_one(cut: _Cut, x: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, out: np.ndarray) -> None:
    """Correlate a single piece, such as one image, by threads that share its channels and then its products."""
    every = slice(0, cut.height)
    if cut.in_place:
        columns = cut.matrices(x)
    else:
        image = cut.as_image(x)
        memory = cut.borrow_columns(x, every)
        step = CHANNELS if len(image) == 1 else image.shape[1]  # only of one image do some channels lie in a row

        def channels(i: int) -> None:
            part = slice(i * step, (i + 1) * step)
            im2col(image[:, part], *cut.geometry(every, len(x)), memory[part])

        shards.run(channels, -(-image.shape[1] // step))
        columns = cut.column_matrices(memory)
    product = cut.borrow_outputs(out, every)
    for n in range(len(product)):
        for g in range(len(filters)):
            matmul(filters[g], columns[n, g], product[n, g])
    if bias is not None:
        product += bias
    if cut.woven:
        unweave(product, out)


@definitions.correlate_data_grad.implementation("numpy")
def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """out[n, c] = Σ w[k, c, i] · dy[n, k, o] over all k, i, o that read the pixel: the adjoint of correlate in x.

    dy (N, K, *positions), w (K, C / group, *kernel), out (N, C, *sizes)
    """
    if winograd.fits(out, w, stride, pad, dilation, group, dy):
        winograd.correlate_data_grad(dy, w, pad, group, out)
        return
    cut = _Cut(out, w, dy, stride, pad, dilation, group)
    transposed = cut.filters(w).swapaxes(1, 2)

    def some_images(i: int) -> None:
        for j in range(i * cut.parts, (i + 1) * cut.parts):  # parts of an image may add to the same pixel
            images, rows = cut.piece(j)
            dx, outputs = out[images], cut.outputs(dy[images], rows)
            if cut.in_place:
                np.matmul(transposed, outputs, out=cut.matrices(dx))
                continue
            target = borrow("woven slopes", (1, *dx.shape[1:3], dx.shape[3] * len(dx)), dx.dtype) if cut.woven else dx
            columns = cut.borrow_columns(dx, rows)
            np.matmul(transposed, outputs, out=cut.column_matrices(columns))
            if rows.start == 0:
                target.fill(0)
            col2im(columns, *cut.geometry(rows, len(dx)), target)
            if cut.woven:
                unweave(target, dx)

    shards.run(some_images, cut.pieces // cut.parts, gemm=True)


@definitions.correlate_weight_grad.implementation("numpy")
def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """out[k, c, i] += Σ dy[n, k, o] · x[n, c, o·stride + i·dilation − pad]: the adjoint of correlate in w.

    x (N, C, *sizes), dy (N, K, *positions), out (K, C / group, *kernel)

    Pieces are dealt to lanes; each lane adds its pieces in order, then the lanes are added in order. Their number
    follows from the shapes, so any number of threads gives the same bits.
    """
    if winograd.fits(x, out, stride, pad, dilation, group, dy):
        winograd.correlate_weight_grad(x, dy, pad, group, out)
        return
    cut = _Cut(x, out, dy, stride, pad, dilation, group)
    lanes = min(LANES, cut.pieces, max(1, LANE_VALUES // max(1, out.size)))
    dw = cut.filters(out).swapaxes(1, 2)  # (g, D, K / g): BLAS is quicker at the product with more rows than columns
    partial = borrow("lanes", (lanes, *dw.shape), out.dtype)

    def lane(i: int) -> None:
        partial[i].fill(0)
        for j in range(i * cut.pieces // lanes, (i + 1) * cut.pieces // lanes):
            images, rows = cut.piece(j)
            columns, outputs = cut.columns(x[images], rows), cut.outputs(dy[images], rows)
            products = borrow("products", (len(outputs), *dw.shape), out.dtype)
            np.matmul(columns, outputs.swapaxes(2, 3), out=products)
            partial[i] += products.sum(axis=0)

    shards.run(lane, lanes, gemm=True)
    for i in range(lanes):
        dw += partial[i]


@definitions.add_channel_sums.implementation("numpy")
def add_channel_sums(dy: np.ndarray, out: np.ndarray) -> None:
    """out[k] += Σ dy[n, k, o]: the gradient of a bias. dy (N, K, *positions), out (K,)"""
    N, K = dy.shape[:2]
    pieces = min(N, max(1, dy.size // SUMMED))
    partial = borrow("channel sums", (pieces, K), dy.dtype)

    def piece(i: int) -> None:
        images = dy[i * N // pieces:(i + 1) * N // pieces]
        images.reshape(len(images), K, -1).sum(axis=2).sum(axis=0, out=partial[i])

    shards.run(piece, pieces)
    out += partial.sum(axis=0)


def weave(images: np.ndarray, slot: str) -> np.ndarray:
    """G small images (G, C, H, W) as one wide image (1, C, H, W·G) whose neighbours are the same pixel of all images.

    A step of one pixel is then a step of G, and long stretches of memory are copied where there were short ones.
    """
    G, C, H, W = images.shape
    woven = borrow(slot, (C, H, W, G), images.dtype)
    woven[...] = images.transpose(1, 2, 3, 0)
    return woven.reshape(1, C, H, W * G)


def unweave(woven: np.ndarray, images: np.ndarray) -> None:
    """The other way: write the pixels of the wide image into (G, C, H, W)."""
    G, *sizes = images.shape
    images[...] = woven.reshape(*sizes, G).transpose(3, 0, 1, 2)


class _Cut:
    """How a correlation falls into pieces of a few images or a few rows of one, and the matrices of one piece.

    g groups, D = C / g · kernel values that one output sums over, G images in the piece, P positions of each:
    filters (g, K / g, D), columns (G, g, D, P), outputs (G, g, K / g, P). Small images are woven into one, so that
    their matrices are wide enough: columns (1, g, D, P·G), outputs (1, g, K / g, P·G).
    """

    def __init__(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes,
                 group: int) -> None:
        self.group, self.stride, self.pad, self.dilation = group, stride, pad, dilation
        self.kernel, self.positions = w.shape[2:], y.shape[2:]
        N, P, D = len(x), math.prod(self.positions), x.shape[1] * math.prod(self.kernel)
        small = P < STACKED and len(self.kernel) == 2 and stride[1] == 1
        fitting = (WOVEN if small else CACHED) // max(1, D * P)
        self.count, self.at_a_time = N, max(1, min(fitting, math.ceil(N / PIECES)))
        self.woven = small and self.at_a_time > 1
        pointwise = set(self.kernel) | set(stride) <= {1} and not any(pad)
        self.in_place = pointwise and not self.woven  # a column is a pixel: x holds them already
        self.height = self.rows = self.positions[0] if self.positions else 1  # rows of positions
        self.width = P // max(1, self.height)
        if not fitting and not self.in_place:
            self.rows = math.ceil(self.height / max(1, P // max(NARROWEST, CACHED // D)))
        self.parts = math.ceil(self.height / max(1, self.rows))
        self.pieces = math.ceil(N / self.at_a_time) * self.parts

    def piece(self, i: int) -> tuple[slice, slice]:
        """The images of piece i, and the rows of their positions."""
        image, row = i // self.parts * self.at_a_time, i % self.parts * self.rows
        return (slice(image, min(self.count, image + self.at_a_time)),
                slice(row, min(self.height, row + self.rows)))

    def as_image(self, x: np.ndarray) -> np.ndarray:
        """The images as im2col gets them."""
        return weave(x, "woven pixels") if self.woven else x

    def geometry(self, rows: slice, images: int) -> tuple[Sizes, Sizes, Sizes]:
        """stride, pad and dilation for windows that begin at the first of these rows of so many images."""
        stride, pad, dilation = self.stride, self.pad, self.dilation
        if self.woven:
            return stride, (pad[0], pad[1] * images), (dilation[0], dilation[1] * images)
        if rows.start:
            pad = (pad[0] - rows.start * stride[0], *pad[1:])
        return stride, pad, dilation

    def filters(self, w: np.ndarray) -> np.ndarray:
        """w as one matrix a group."""
        return w.reshape(self.group, len(w) // self.group, -1)

    def matrices(self, images: np.ndarray) -> np.ndarray:
        """Images (G, channels, …) as one matrix a group."""
        G, channels = images.shape[:2]
        return images.reshape(G, self.group, channels // self.group, -1)

    def borrow_columns(self, x: np.ndarray, rows: slice) -> np.ndarray:
        """Memory for the columns of images x, as im2col fills it: (C, *kernel, G, *positions)."""
        positions = (rows.stop - rows.start, *self.positions[1:]) if self.positions else ()
        if self.woven:
            return borrow("columns", (x.shape[1], *self.kernel, 1, positions[0], positions[1] * len(x)), x.dtype)
        return borrow("columns", (x.shape[1], *self.kernel, len(x), *positions), x.dtype)

    def column_matrices(self, columns: np.ndarray) -> np.ndarray:
        """What im2col filled, as matrices."""
        G = columns.shape[1 + len(self.kernel)]
        D = columns.shape[0] // self.group * math.prod(self.kernel)
        return columns.reshape(self.group, D, G, -1).transpose(2, 0, 1, 3)

    def columns(self, x: np.ndarray, rows: slice) -> np.ndarray:
        """The columns of x, as matrices."""
        if self.in_place:
            return self.matrices(x)
        image = self.as_image(x)
        columns = self.borrow_columns(x, rows)
        im2col(image, *self.geometry(rows, len(x)), columns)
        return self.column_matrices(columns)

    def borrow_outputs(self, y: np.ndarray, rows: slice) -> np.ndarray:
        """Memory for y as matrices: y itself where images are not woven."""
        if self.woven:
            return self.matrices(borrow("outputs", (1, y.shape[1], y.size // y.shape[1]), y.dtype))
        return self.matrices(y)[..., rows.start * self.width:rows.stop * self.width]

    def outputs(self, y: np.ndarray, rows: slice) -> np.ndarray:
        """y as matrices."""
        if self.woven:
            return self.matrices(weave(y, "woven outputs"))
        return self.borrow_outputs(y, rows)
