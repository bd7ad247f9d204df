"""The checks of step 13: how many places a window has, and a convolution with stride and padding, both ways."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.steps.s13_convolution.cases import Case
from minicaffe.course.steps.s13_convolution.definition import correlate, count, padded
from minicaffe.course.student import Student

STRIDE, PAD = (2, 3), (2, 1)
SIZES: list[tuple[str, Callable[[int, int, int, int], float], str]] = [  # of n pixels: mistakes, and what they give
    ("first_place_not_counted", lambda n, k, s, p: (n + 2 * p - k) // s, "between the first place and the last one are "
     "(H + 2p − k) / s steps, and the first place counts, too: + 1"),
    ("not_rounded", lambda n, k, s, p: (n + 2 * p - k) / s + 1, "a number of places is whole: in Python // rounds "
     "down"),
    ("rounded_up", lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1, "the last window would reach beyond the padded "
     "axis: round down"),
    ("one_added_too_early", lambda n, k, s, p: (n + 2 * p - k + 1) // s, "divide first, and then add 1"),
    ("padding_on_one_side", lambda n, k, s, p: (n + p - k) // s + 1, "the padding is on both sides: 2p"),
    ("no_padding", lambda n, k, s, p: (n - k) // s + 1, "the padded axis has H + 2p pixels"),
    ("kernel_not_subtracted", lambda n, k, s, p: (n + 2 * p) // s, "the window must lie within the axis with all its k "
     "pixels"),
    ("kernel_not_subtracted", lambda n, k, s, p: (n + 2 * p) // s + 1, "the window must lie within the axis with all "
     "its k pixels"),
    ("no_stride", lambda n, k, s, p: n + 2 * p - k + 1, "the window moves by s pixels each time")]


def check_output_size(my: Student, draw: Draw) -> None:
    """The function output_size counts the places of a window along an axis."""
    drawn = [(*draw.sizes(1, 5, 12), *draw.sizes(1, 2, 5), *draw.sizes(1, 2, 4), *draw.sizes(1, 1, 3))
             for _ in range(12)]
    axes = [(7, 3, 1, 0), (7, 3, 2, 0), (8, 3, 2, 0), (5, 3, 1, 1), (8, 3, 2, 1), *drawn]
    got = [my.window.output_size(*axis) for axis in axes]
    for axis, one in zip(axes, got, strict=True):
        compare("output_size(size={}, kernel={}, stride={}, pad={})".format(*axis), one, count(*axis), [
            Mistake(name, mistaken(*axis), hint) for name, mistaken, hint in SIZES
            if got == [mistaken(*axis) for axis in axes]])
        expect(not isinstance(one, float), "output_size(size={}, kernel={}, stride={}, pad={})".format(*axis),
               repr(one), repr(count(*axis)), "not_rounded", "a size must be an int: in Python / gives a float, and // "
               "of two ints an int")


def check_parameters(my: Student, draw: Draw) -> None:
    """In setup the layer keeps K, kernel, stride and pad, and makes w (K, C, kh, kw) and b (K,)."""
    for kernel, stride, pad in (((3, 2), STRIDE, PAD), ((3, 3), (2, 2), (1, 1)), ((2, 3), (1, 1), (0, 0))):
        case = Case(my, draw, my.convolution.ConvolutionLayer, kernel=kernel, stride=stride, pad=pad)
        layer = case.run.layer
        got, right = (layer.K, layer.kernel, layer.stride, layer.pad), (case.K, kernel, stride, pad)
        expect(got == right, f"ConvolutionLayer({case.words}).setup(bottom, top) → K, kernel, stride, pad", got, right,
               "parameters", "the function pair reads a parameter in both ways of writing it; the default of stride is "
               "1, and that of pad 0")


def check_one_filter_at_each_place(my: Student, draw: Draw) -> None:
    """Without stride and padding, y[n, k, oy, ox] is b[k] plus the weighted sum of the pixels under filter k."""
    Case(my, draw, my.convolution.ConvolutionLayer).forward()


def check_stride(my: Student, draw: Draw) -> None:
    """With a stride, the place o begins at pixel o · s."""
    case = Case(my, draw, my.convolution.ConvolutionLayer, stride=STRIDE)
    one_sided = [correlate(case.wide, case.w, stride)[:, :, :case.y.shape[2], :case.y.shape[3]] + case.b_for_y
                 for stride in ((1, STRIDE[1]), (STRIDE[0], 1))]
    case.forward([
        *(Mistake("stride_of_one_axis_ignored", one, "on one of the two axes you have moved the window by 1 each time")
          for one in one_sided),
        Mistake("strides_exchanged", _strides_exchanged(case), "the first number of the stride is for rows, the second "
                "for columns")])


def _strides_exchanged(case: Case) -> np.ndarray:
    """Return y where each of the two strides is used on the other axis, and there is room for it."""
    (sh, sw), (oh, ow) = case.stride, case.y.shape[2:]
    wide = padded(case.x, (sw * oh, sh * ow))  # zeros beyond the image, as many as any window may reach
    kept = wide[:, :, sw * oh:, sh * ow:]
    return correlate(kept, case.w, (sw, sh))[:, :, :oh, :ow] + case.b_for_y


def check_padding_before_the_first_pixel(my: Student, draw: Draw) -> None:
    """Where a window begins above or left of the image, the pixels there are 0."""
    case = Case(my, draw, my.convolution.ConvolutionLayer, stride=(2, 3), pad=(1, 1), image=(6, 8))
    wrapped = correlate(padded(case.x, case.pad, mode="wrap"), case.w, case.stride)
    unmoved = correlate(padded(case.x, (2, 2))[:, :, 2:, 2:], case.w, case.stride)[:, :, :3, :3]
    edges = correlate(padded(case.x, case.pad, mode="edge"), case.w, case.stride)
    case.forward([
        Mistake("negative_index", wrapped + case.b_for_y, "x[…, −1, …] is the last row: in Python a negative index "
                "counts from the end. Ask whether the pixel lies in the image, or put zeros around it first."),
        Mistake("padding_does_not_move_the_window", unmoved + case.b_for_y, "the first window begins at pixel −p, in "
                "the padding: there are zeros on both sides, and not only at the end"),
        Mistake("edge_repeated", edges + case.b_for_y, "the padding holds zeros, not the pixels of the edge")])


def check_padding_on_all_sides(my: Student, draw: Draw) -> None:
    """With a stride and padding the layer's y is right, and the padding of rows and columns may differ."""
    Case(my, draw, my.convolution.ConvolutionLayer, stride=STRIDE, pad=PAD).forward()


def check_forward_alone(my: Student, draw: Draw) -> None:
    """Forward overwrites the data of the top, in its array, and changes nothing else."""
    Case(my, draw, my.convolution.ConvolutionLayer, stride=STRIDE, pad=PAD).forward_twice()


def check_dx(my: Student, draw: Draw) -> None:
    """Backward gives each pixel the shares of all windows that cover it, and overwrites the diff of the bottom."""
    Case(my, draw, my.convolution.ConvolutionLayer).dx()
    Case(my, draw, my.convolution.ConvolutionLayer, stride=STRIDE, pad=PAD).dx()


def check_dw_and_db(my: Student, draw: Draw) -> None:
    """Backward adds to dw and db the shares of all places in all images."""
    Case(my, draw, my.convolution.ConvolutionLayer).dw_and_db()
    Case(my, draw, my.convolution.ConvolutionLayer, stride=STRIDE, pad=PAD).dw_and_db()


def check_two_passes(my: Student, draw: Draw) -> None:
    """After two passes the diffs of the weights hold the sum of both gradients, in the same arrays."""
    Case(my, draw, my.convolution.ConvolutionLayer).two_passes()


def check_propagate_down(my: Student, draw: Draw) -> None:
    """Where propagate_down[0] is False, dx is left alone, and w and b still get their gradients."""
    Case(my, draw, my.convolution.ConvolutionLayer).propagate_down()


def check_without_bias(my: Student, draw: Draw) -> None:
    """With bias_term=False there is no b, forward or backward."""
    Case(my, draw, my.convolution.ConvolutionLayer, stride=STRIDE, bias=False).without_bias()


def check_another_batch(my: Student, draw: Draw) -> None:
    """The same weights serve a batch of another size, and images of another size."""
    Case(my, draw, my.convolution.ConvolutionLayer, stride=STRIDE, pad=PAD).another_batch(draw)


def check_by_your_own_difference_quotient(my: Student, draw: Draw) -> None:
    """Your own check_gradient finds the layer right."""
    run = Case(my, draw, my.convolution.ConvolutionLayer, kernel=(1, 2), stride=(2, 3), image=(2, 3),
               counts=(2, 1, 3)).run
    error = float(my.gradient.check_gradient(run.layer, run.bottom, run.top))
    expect(error < 1e-6, "check_gradient(ConvolutionLayer(…), bottom, top)", f"{error:.3g}", "less than 1e-06",
           "own_check_fails", "the numbers above are right, so look at check_gradient: is step 3 passed?")


def check_minicaffe(my: Student, draw: Draw) -> None:
    """Your y, dx, dw and db are those of minicaffe's own Convolution."""
    Case(my, draw, my.convolution.ConvolutionLayer, stride=(3, 2), pad=PAD).as_minicaffe()
