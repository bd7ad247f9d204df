"""Correlations as products of large matrices: images become columns (im2col), and BLAS multiplies them.

The images are cut into pieces, and threads take one piece after the other. A piece is a few images, or a few rows of
one large image: so many that their columns about stay in a core's cache. Few large pieces are better than many small
ones, because between two operations a thread must wait for its turn at the interpreter's lock.

Four cases have a way of their own:
- Small images would make narrow matrices, at which BLAS is slow. They are interleaved first: several images become one
  wide image, in which the same pixel of all of them stands side by side. (LeNet's step took 40 ms without, 30 with.)
- Filters of 1×1 pixels need no columns, because each pixel already is one.
- Filters that read one channel each, as in depthwise layers, need no matrices (depthwise.py).
- Wide layers of 3×3 filters take fewer multiplications (winograd.py).
"""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import convolution as definitions
from minicaffe.kernels.definitions.im2col import Sizes, col2im, im2col
from minicaffe.kernels.definitions.matmul import matmul
from minicaffe.kernels.numpy_engine import depthwise, winograd
from minicaffe.kernels.winograd_matrices import worthwhile
from minicaffe.kernels.workspace import borrow

CACHED = 1 << 19              # numbers in the columns of one piece: 2 MB, what a core's cache about holds
CACHED_INTERLEAVED = 1 << 20  # the same for interleaved images: the more of them, the longer the blocks of memory
NARROWEST = 512               # at least so many positions in a part of a large image: each part reads all filters again
PIECES = 2                    # at least so many pieces, where there are as many images
PARTIAL_SUMS = 16             # at most so many partial sums of the weight gradient, each the work of one thread
PARTIAL_NUMBERS = 1 << 24     # at most so many numbers in all partial sums together
CHANNELS = 16                 # of a single image, so many channels at a time become columns
SUMMED = 1 << 18              # so many numbers are worth a piece of their own when they are only summed
SEPARATE = 128                # images with fewer positions than this are interleaved


@definitions.correlate.implementation("numpy")
def correlate(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Sizes, pad: Sizes, dilation: Sizes,
              group: int, out: np.ndarray) -> None:
    """filters · columns + b, a piece at a time. If there is only one piece, threads share its parts."""
    if worthwhile(w, stride, pad, dilation, group, out):
        winograd.correlate(x, w, b, pad, group, out)
        return
    if depthwise.fits(w, group):
        depthwise.correlate(x, w, b, stride, pad, dilation, group, out)
        return
    cut = _Cut(x, w, out, stride, pad, dilation, group)
    filters = cut.filters(w)
    bias = None if b is None else b.reshape(group, -1, 1)

    if cut.pieces == 1:
        _correlate_one_piece(cut, x, filters, bias, out)
        return

    def piece(i: int) -> None:
        images, rows = cut.piece(i)
        product = cut.borrow_outputs(out[images], rows)
        np.matmul(filters, cut.columns(x[images], rows), out=product)
        if bias is not None:
            product += bias
        if cut.interleaved:  # else the product was written to `out` itself
            separate(product, out[images])

    shards.run(piece, cut.pieces, gemm=True)


def _correlate_one_piece(cut: _Cut, x: np.ndarray, filters: np.ndarray, bias: np.ndarray | None,
                         out: np.ndarray) -> None:
    """Correlate all images as one piece: the threads share the channels that become columns, then each product."""
    every = slice(0, cut.height)
    if cut.in_place:
        columns = cut.matrices(x)
    else:
        image = cut.as_image(x)
        memory = cut.borrow_columns(x, every)
        # some channels of one image lie together in memory; those of several images do not
        step = CHANNELS if len(image) == 1 else image.shape[1]

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
    if cut.interleaved:
        separate(product, out)


@definitions.correlate_data_grad.implementation("numpy")
def correlate_data_grad(dy: np.ndarray, w: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                        out: np.ndarray) -> None:
    """columns = filtersᵀ · dy, a piece at a time; then each column is added to the pixels that it was copied from."""
    if worthwhile(w, stride, pad, dilation, group, dy):
        winograd.correlate_data_grad(dy, w, pad, group, out)
        return
    if depthwise.fits(w, group):
        depthwise.correlate_data_grad(dy, w, stride, pad, dilation, group, out)
        return
    cut = _Cut(out, w, dy, stride, pad, dilation, group)
    transposed = cut.filters(w).swapaxes(1, 2)

    def some_images(i: int) -> None:
        # one thread does all parts of an image, for windows of two parts may lie on the same pixel
        for j in range(i * cut.parts, (i + 1) * cut.parts):
            images, rows = cut.piece(j)
            dx, outputs = out[images], cut.outputs(dy[images], rows)
            if cut.in_place:
                np.matmul(transposed, outputs, out=cut.matrices(dx))
                continue
            target = cut.borrow_image(dx)
            columns = cut.borrow_columns(dx, rows)
            np.matmul(transposed, outputs, out=cut.column_matrices(columns))
            if rows.start == 0:  # the first part of the image: the others add to what it has written
                target.fill(0)
            col2im(columns, *cut.geometry(rows, len(dx)), target)
            if cut.interleaved:
                separate(target, dx)

    shards.run(some_images, cut.pieces // cut.parts, gemm=True)


@definitions.correlate_weight_grad.implementation("numpy")
def correlate_weight_grad(x: np.ndarray, dy: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes, group: int,
                          out: np.ndarray) -> None:
    """columns · dyᵀ, summed over the pieces.

    Several partial sums are made at a time. Each adds up its own pieces in their order, and then the partial sums are
    added in their order. How many there are follows from the shapes alone, so that any number of threads gives the
    same bits.
    """
    if worthwhile(out, stride, pad, dilation, group, dy):
        winograd.correlate_weight_grad(x, dy, pad, group, out)
        return
    if depthwise.fits(out, group):
        depthwise.correlate_weight_grad(x, dy, stride, pad, dilation, group, out)
        return
    cut = _Cut(x, out, dy, stride, pad, dilation, group)
    count = min(PARTIAL_SUMS, cut.pieces, max(1, PARTIAL_NUMBERS // max(1, out.size)))
    # dwᵀ (g, D, K / g): BLAS is quicker at a product with more rows than columns. (CIFAR-10 quick's conv2: 45 to 34 ms)
    dw = cut.filters(out).swapaxes(1, 2)
    partial = borrow("partial sums", (count, *dw.shape), out.dtype)

    def partial_sum(i: int) -> None:
        partial[i].fill(0)
        for j in range(i * cut.pieces // count, (i + 1) * cut.pieces // count):
            images, rows = cut.piece(j)
            columns, outputs = cut.columns(x[images], rows), cut.outputs(dy[images], rows)
            products = borrow("products", (len(outputs), *dw.shape), out.dtype)
            np.matmul(columns, outputs.swapaxes(2, 3), out=products)
            partial[i] += products.sum(axis=0)

    shards.run(partial_sum, count, gemm=True)
    for i in range(count):
        dw += partial[i]


@definitions.add_channel_sums.implementation("numpy")
def add_channel_sums(dy: np.ndarray, out: np.ndarray) -> None:
    """By partial sums, each of a few images and the work of one thread, which are then summed."""
    N, K = dy.shape[:2]
    pieces = min(N, max(1, dy.size // SUMMED))
    partial = borrow("channel sums", (pieces, K), dy.dtype)

    def piece(i: int) -> None:
        images = dy[i * N // pieces:(i + 1) * N // pieces]
        images.reshape(len(images), K, -1).sum(axis=2).sum(axis=0, out=partial[i])

    shards.run(piece, pieces)
    out += partial.sum(axis=0)


def interleave(images: np.ndarray, slot: str) -> np.ndarray:
    """G small images (G, C, H, W) as one wide image (1, C, H, W·G) whose neighbours are the same pixel of all images.

    A step of one pixel is then a step of G, so that fewer and longer blocks of memory are copied.
    """
    G, C, H, W = images.shape
    wide = borrow(slot, (C, H, W, G), images.dtype)
    wide[...] = images.transpose(1, 2, 3, 0)
    return wide.reshape(1, C, H, W * G)


def separate(wide: np.ndarray, images: np.ndarray) -> None:
    """Write the pixels of a wide image back to the G small images (G, C, H, W): the inverse of `interleave`."""
    G, *sizes = images.shape
    images[...] = wide.reshape(*sizes, G).transpose(3, 0, 1, 2)


class _Cut:
    """The pieces of a correlation, each a few images or a few rows of one, and the matrices of a piece.

    There are g groups. One output sums over D = C / g · kernel numbers. The piece has G images of P positions each:
    filters (g, K / g, D), columns (G, g, D, P), outputs (G, g, K / g, P)
    Interleaved images count as a single wide one: columns (1, g, D, P·G), outputs (1, g, K / g, P·G)
    """

    def __init__(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: Sizes, pad: Sizes, dilation: Sizes,
                 group: int) -> None:
        self.group, self.stride, self.pad, self.dilation = group, stride, pad, dilation
        self.kernel, self.positions = w.shape[2:], y.shape[2:]
        N, P, D = len(x), math.prod(self.positions), x.shape[1] * math.prod(self.kernel)
        small = P < SEPARATE and len(self.kernel) == 2 and stride[1] == 1
        fitting = (CACHED_INTERLEAVED if small else CACHED) // max(1, D * P)
        self.count, self.at_a_time = N, max(1, min(fitting, math.ceil(N / PIECES)))
        self.interleaved = small and self.at_a_time > 1
        pointwise = set(self.kernel) | set(stride) <= {1} and not any(pad)
        self.in_place = pointwise and not self.interleaved  # a column is one pixel, so x is its own columns
        self.height = self.rows = self.positions[0] if self.positions else 1  # rows of positions
        self.width = P // max(1, self.height)
        if not fitting and not self.in_place:  # the columns of one image are too many for the cache
            self.rows = math.ceil(self.height / max(1, P // max(NARROWEST, CACHED // D)))
        self.parts = math.ceil(self.height / max(1, self.rows))
        self.pieces = math.ceil(N / self.at_a_time) * self.parts

    def piece(self, i: int) -> tuple[slice, slice]:
        """Return the images of piece i, and the rows of their positions."""
        image, row = i // self.parts * self.at_a_time, i % self.parts * self.rows
        return (slice(image, min(self.count, image + self.at_a_time)),
                slice(row, min(self.height, row + self.rows)))

    def as_image(self, x: np.ndarray) -> np.ndarray:
        """Return the images as im2col reads them."""
        return interleave(x, "interleaved x") if self.interleaved else x

    def borrow_image(self, dx: np.ndarray) -> np.ndarray:
        """Memory for the images as col2im leaves them: dx itself where images are not interleaved."""
        if self.interleaved:
            return borrow("interleaved dx", (1, *dx.shape[1:3], dx.shape[3] * len(dx)), dx.dtype)
        return dx

    def geometry(self, rows: slice, images: int) -> tuple[Sizes, Sizes, Sizes]:
        """stride, pad and dilation for windows that begin at the first of these rows of so many images."""
        stride, pad, dilation = self.stride, self.pad, self.dilation
        if self.interleaved:
            return stride, (pad[0], pad[1] * images), (dilation[0], dilation[1] * images)
        if rows.start:  # the image begins so many rows above the first window: that is a negative padding
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
        if self.interleaved:
            return borrow("columns", (x.shape[1], *self.kernel, 1, positions[0], positions[1] * len(x)), x.dtype)
        return borrow("columns", (x.shape[1], *self.kernel, len(x), *positions), x.dtype)

    def column_matrices(self, columns: np.ndarray) -> np.ndarray:
        """Return the columns that im2col filled as matrices."""
        G = columns.shape[1 + len(self.kernel)]
        D = columns.shape[0] // self.group * math.prod(self.kernel)
        return columns.reshape(self.group, D, G, -1).transpose(2, 0, 1, 3)

    def columns(self, x: np.ndarray, rows: slice) -> np.ndarray:
        """Return the columns of x, as matrices."""
        if self.in_place:
            return self.matrices(x)
        image = self.as_image(x)
        columns = self.borrow_columns(x, rows)
        im2col(image, *self.geometry(rows, len(x)), columns)
        return self.column_matrices(columns)

    def borrow_outputs(self, y: np.ndarray, rows: slice) -> np.ndarray:
        """Memory for y as matrices: y itself where images are not interleaved."""
        if self.interleaved:
            return self.matrices(borrow("outputs", (1, y.shape[1], y.size // y.shape[1]), y.dtype))
        return self.matrices(y)[..., rows.start * self.width:rows.stop * self.width]

    def outputs(self, y: np.ndarray, rows: slice) -> np.ndarray:
        """y as matrices."""
        if self.interleaved:
            return self.matrices(interleave(y, "interleaved dy"))
        return self.borrow_outputs(y, rows)
