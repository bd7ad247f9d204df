"""The checks of step 14: im2col, col2im, and the convolution that is a matrix product."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.step import PACKAGE
from minicaffe.course.steps.s13_convolution.cases import KERNEL, Case
from minicaffe.course.steps.s13_convolution.definition import Pair, correlate, padded, weight_grad, windows
from minicaffe.course.student import Student

WINDOWS = ((KERNEL, (1, 1), (0, 0)), ((2, 3), (2, 1), (0, 0)), (KERNEL, (2, 3), (2, 1)))  # kernel, stride, pad


def check_im2col(my: Student, draw: Draw) -> None:
    """Column (oy, ox) of im2col has the pixels of this window, in the order (c, iy, ix)."""
    for kernel, stride, pad in WINDOWS:
        x = draw.numbers(*draw.sizes(3, low=4))
        parts = _parts(padded(x[None], pad), kernel, stride)
        got = my.im2col.im2col(x.copy(), kernel, stride, pad)
        compare(f"im2col(x {x.shape}, {kernel}, {stride}, {pad})", got, _matrix(parts), [
            Mistake("reshaped_not_transposed", parts.transpose(3, 4, 0, 1, 2).reshape(_matrix(parts).shape), "the "
                    "numbers are in the order window by window, so the windows are rows. A reshape keeps this order: "
                    "transpose first."),
            Mistake("channels_last", _matrix(parts.transpose(1, 2, 0, 3, 4)), "the rows are in the order (c, iy, ix), "
                    "as the weights of a filter are: the channel comes first"),
            Mistake("window_by_columns", _matrix(parts.transpose(0, 2, 1, 3, 4)), "the rows are in the order (c, iy, "
                    "ix): ix changes faster than iy"),
            Mistake("places_by_columns", _matrix(parts.transpose(0, 1, 2, 4, 3)), "the columns are in the order (oy, "
                    "ox): ox changes faster than oy"),
            Mistake("stride_ignored", _matrix(_parts(padded(x[None], pad), kernel, (1, 1))[
                ..., :parts.shape[3], :parts.shape[4]]), "the windows are s pixels apart: slice with a step"),
            Mistake("edge_repeated", _matrix(_parts(padded(x[None], pad, mode="edge"), kernel, stride)), "the padding "
                    "holds zeros"),
            Mistake("padding_at_the_end_alone", _matrix(_parts(_at_corner(x, pad), kernel, stride)), "the padding is "
                    "on all sides: the image is in the middle")])


def _parts(wide: np.ndarray, kernel: Pair, stride: Pair) -> np.ndarray:
    """Return what the windows on one padded image (1, C, H, W) see, as (C, kh, kw, oh, ow)."""
    found = {(oy, ox): wide[part][0] for oy, ox, part in windows((wide.shape[2], wide.shape[3]), kernel, stride)}
    oy, ox = max(found)
    return np.stack([*found.values()], -1).reshape(wide.shape[1], *kernel, oy + 1, ox + 1)


def _matrix(parts: np.ndarray) -> np.ndarray:
    """Return the columns as a matrix."""
    rows = parts.shape[0] * parts.shape[1] * parts.shape[2]
    return parts.reshape(rows, -1)


def _at_corner(x: np.ndarray, pad: Pair) -> np.ndarray:
    """Return the image with all of its padding behind it."""
    return np.pad(x[None], ((0, 0), (0, 0), (0, 2 * pad[0]), (0, 2 * pad[1])))


def check_im2col_makes_a_copy(my: Student, draw: Draw) -> None:
    """The columns are new numbers: im2col leaves the image as it is, and what is done to them does not reach it."""
    x = draw.numbers(*draw.sizes(3, low=4))
    before = x.copy()
    columns = my.im2col.im2col(x, (1, 1), (1, 1), (0, 0))
    columns *= 2
    compare("x after im2col(x, (1, 1), (1, 1), (0, 0)), and the columns are doubled", x, before, [
        Mistake("view_of_the_image", 2 * before, "for a window of one pixel the columns are a view of x, and whoever "
                "changes them changes the image: copy the numbers")])


def check_col2im(my: Student, draw: Draw) -> None:
    """In col2im each number of the columns is added to the pixel from which im2col copies it."""
    for kernel, stride, pad in WINDOWS:
        shape = draw.sizes(3, low=4)
        numbers = np.arange(np.prod(shape)).reshape(1, *shape) + 1.0  # pixels by number; those of the padding are 0
        source = _matrix(_parts(padded(numbers, pad), kernel, stride)).astype(int)
        columns = draw.numbers(*source.shape)
        added, mean = np.zeros(numbers.size + 1), np.zeros(numbers.size + 1)
        for pixel, value in zip(source.flat, columns.flat, strict=True):
            added[pixel] += value
            mean[pixel] += value / np.count_nonzero(source == pixel)
        overwritten = [_overwritten(one, other, numbers.size) for one, other in (
            (source, columns), (source[::-1], columns[::-1]), (source.T, columns.T))]
        dx, averaged, *lossy = (values[1:].reshape(shape) for values in (added, mean, *overwritten))
        lost = "the windows overlap, and a pixel has several shares: add them (+=). With arrays of indices in place " \
               "of a slice, += keeps the last share alone; np.add.at adds them all."
        compare(f"col2im(columns {columns.shape}, {shape}, {kernel}, {stride}, {pad})", my.im2col.col2im(
            columns.copy(), shape, kernel, stride, pad), dx, [
            *(Mistake("shares_lost", values, lost) for values in lossy),
            Mistake("averaged", averaged, "the shares of a pixel are added up, not averaged"),
            Mistake("padding_cut_at_the_end_alone", _cut_at_end(columns, shape, kernel, stride, pad), "the image is in "
                    "the middle of the padded array: cut the padding off on both sides")])


def _overwritten(source: np.ndarray, columns: np.ndarray, pixels: int) -> np.ndarray:
    """Return what the pixels hold where each share takes the place of the one before; pixel 0 is the padding."""
    found = np.zeros(pixels + 1)
    for pixel, value in zip(source.flat, columns.flat, strict=True):
        found[pixel] = value
    return found


def _cut_at_end(columns: np.ndarray, shape: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair) -> np.ndarray:
    """Return dx where the padded image is cut from its first pixel on."""
    C, H, W = shape
    wide = np.zeros((1, C, H + 2 * pad[0], W + 2 * pad[1]))
    for i, (_, _, part) in enumerate(windows((wide.shape[2], wide.shape[3]), kernel, stride)):
        wide[part] += columns[:, i].reshape(1, C, *kernel)
    return wide[0, :, :H, :W]


def check_no_loop_over_pixels(my: Student, draw: Draw) -> None:
    """The functions im2col and col2im run few lines of Python, however many pixels there are."""
    x = draw.numbers(3, 20, 30)
    columns = _matrix(_parts(x[None], (2, 3), (1, 1)))
    _few_lines("im2col(x (3, 20, 30), (2, 3), (1, 1), (0, 0))", lambda: my.im2col.im2col(x, (2, 3), (1, 1), (0, 0)))
    _few_lines("col2im(columns, (3, 20, 30), (2, 3), (1, 1), (0, 0))",
               lambda: my.im2col.col2im(columns, x.shape, (2, 3), (1, 1), (0, 0)))


def _few_lines(called: str, function: Callable[[], Any], most: int = 200) -> None:
    """Fail where a function of the student's runs more than `most` lines of the student's package."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        if Path(frame.f_code.co_filename).parent.name != PACKAGE:
            return None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    expect(lines <= most, called, f"{lines} lines of your code ran, one after the other", f"not more than {most}",
           "loop_over_pixels", "a loop over windows or pixels is as slow as step 13. Loop over the kh · kw places in "
           "the window; all windows are one slice, with the stride as its step.")


# --- the layer ----------------------------------------------------------------------------------------------------


def _case(my: Student, draw: Draw, **more: Any) -> Case:
    return Case(my, draw, my.matrix_convolution.MatrixConvolutionLayer, **more)


def check_forward(my: Student, draw: Draw) -> None:
    """Forward computes Y = W · X + b for each image."""
    for stride, pad in (((1, 1), (0, 0)), ((2, 3), (2, 1))):
        case = _case(my, draw, stride=stride, pad=pad)
        N, K, oh, ow = case.y.shape
        plain = case.y - case.b_for_y
        rows = case.w.reshape(-1, K).T.reshape(case.w.shape)
        case.forward([
            Mistake("reshaped_not_transposed", plain.transpose(0, 2, 3, 1).reshape(N, K, oh, ow) + case.b_for_y,
                    "Y must have a row for each filter and a column for each place. A reshape of its transpose gives "
                    "the numbers another order."),
            Mistake("weights_reshaped", correlate(case.wide, rows, stride) + case.b_for_y, "W has a row for each "
                    "filter: w.reshape(K, −1). A reshape to (−1, K) mixes the filters."),
            Mistake("images_mixed", np.broadcast_to(case.y[:1], case.y.shape), "every image has columns of its own"),
            Mistake("images_mixed", np.broadcast_to(case.y[-1:], case.y.shape), "every image has columns of its own")])


def check_forward_alone(my: Student, draw: Draw) -> None:
    """Forward overwrites the data of the top, in its array, and changes nothing else."""
    _case(my, draw, stride=(2, 3), pad=(2, 1)).forward_twice()


def check_dx(my: Student, draw: Draw) -> None:
    """Backward computes dX = Wᵀ · dY, and dx by col2im."""
    case = _case(my, draw)
    case.dx()
    _case(my, draw, stride=(2, 3), pad=(2, 1)).dx()


def check_dw_and_db(my: Student, draw: Draw) -> None:
    """Backward adds dY · Xᵀ of all images to the diff of w, and the sums of the rows of dY to that of b."""
    for stride, pad in (((1, 1), (0, 0)), ((2, 3), (2, 1))):
        case = _case(my, draw, stride=stride, pad=pad)
        dw = weight_grad(case.dy, case.wide, KERNEL, stride)
        mixed = dw.reshape(len(dw), -1).T.reshape(dw.shape)
        case.dw_and_db([Mistake("reshaped_not_transposed", 0.5 + mixed, "that is X · dYᵀ, whose reshape mixes the "
                                "filters. dW has a row for each filter: dY · Xᵀ.")])


def check_two_passes(my: Student, draw: Draw) -> None:
    """After two passes the diffs of the weights hold the sum of both gradients, in the same arrays."""
    _case(my, draw).two_passes()


def check_propagate_down(my: Student, draw: Draw) -> None:
    """Where propagate_down[0] is False, dx is left alone, and w and b still get their gradients."""
    _case(my, draw).propagate_down()


def check_without_bias(my: Student, draw: Draw) -> None:
    """With bias_term=False there is no b, forward or backward."""
    _case(my, draw, stride=(2, 3), bias=False).without_bias()


def check_another_batch(my: Student, draw: Draw) -> None:
    """The same weights serve a batch of another size, and images of another size."""
    _case(my, draw, stride=(2, 3), pad=(2, 1)).another_batch(draw)


def check_no_loop_over_outputs(my: Student, draw: Draw) -> None:
    """Forward and backward run few lines of Python for each image."""
    case = _case(my, draw, kernel=(2, 3), image=(20, 30), counts=(2, 3, 4))
    layer, bottom, top = case.run.layer, case.run.bottom, case.run.top
    layer.reshape(bottom, top)
    _few_lines("layer.forward(bottom, top) for 2 images (3, 20, 30)", lambda: layer.forward(bottom, top), 400)
    _few_lines("layer.backward(top, [True], bottom) for 2 images (3, 20, 30)",
               lambda: layer.backward(top, [True], bottom), 800)


def check_your_loops(my: Student, draw: Draw) -> None:
    """Both of your layers give the same numbers."""
    case = _case(my, draw, stride=(3, 2), pad=(1, 2))
    loops = my.convolution.ConvolutionLayer(**case.param)
    loops.setup(case.run.bottom, case.run.top)
    for blob, values in zip(loops.blobs, (case.w, case.b), strict=True):
        blob.data[...] = values
    y, dx = case.run.forward(), case.run.backward(case.dy)
    case.run.layer = loops
    compare("y of MatrixConvolutionLayer, and y of ConvolutionLayer", y, case.run.forward())
    compare("dx of MatrixConvolutionLayer, and dx of ConvolutionLayer", dx, case.run.backward(case.dy))
    for name, blob, own in zip("wb", case.blobs, loops.blobs, strict=True):
        compare(f"d{name} of MatrixConvolutionLayer, and d{name} of ConvolutionLayer", blob.diff - 0.5, own.diff)


def check_minicaffe(my: Student, draw: Draw) -> None:
    """Your y, dx, dw and db are those of minicaffe's own Convolution."""
    _case(my, draw, stride=(3, 2), pad=(2, 1)).as_minicaffe()
