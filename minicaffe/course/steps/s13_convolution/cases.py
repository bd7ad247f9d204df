"""A convolution of the student's on random images, and what its numbers must be, for the checks of steps 13 and 14."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe import layers
from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.layer_checks import Run
from minicaffe.course.steps.s13_convolution import definition
from minicaffe.course.steps.s13_convolution.definition import Pair, correlate, correlate_back, padded, weight_grad
from minicaffe.course.steps.s13_convolution.reference import of_minicaffe
from minicaffe.course.student import Student

LEFT = 0.5  # what other passes have left in the diffs of the weights
KERNEL = (3, 2)


class Case:
    """A layer of the student's with weights, and x, dy, w and b as arrays."""

    def __init__(self, my: Student, draw: Draw, kind: type, stride: Pair = (1, 1), pad: Pair = (0, 0),
                 kernel: Pair = KERNEL, bias: bool = True, image: Pair | None = None,
                 counts: tuple[int, ...] | None = None) -> None:
        N, C, self.K = counts or draw.sizes(3, high=4)
        self.x = draw.numbers(N, C, *(image or draw.sizes(2, low=5, high=6)))
        self.stride, self.pad = stride, pad
        self.param: dict[str, Any] = {"num_output": self.K, **_words_of("kernel_size", kernel, (0, 0)), **_words_of(
            "stride", stride, (1, 1)), **_words_of("pad", pad, (0, 0)), **({} if bias else {"bias_term": False})}
        self.words = ", ".join(f"{name}={value}" for name, value in self.param.items())
        self.run = Run(my, kind(**self.param), [self.x])
        self.blobs = self.run.layer.blobs
        self.w, self.b = draw.numbers(self.K, C, *kernel), draw.numbers(self.K) if bias else np.zeros(self.K)
        self.wide = padded(self.x, pad)
        self.y = correlate(self.wide, self.w, stride) + self.b_for_y
        self.dy = draw.numbers(*self.y.shape)
        self._weights(bias)

    @property
    def b_for_y(self) -> np.ndarray:
        """The bias, as it is added to y."""
        return self.b.reshape(-1, 1, 1)

    def _weights(self, bias: bool) -> None:
        """Look at the student's blobs, and write the weights into them."""
        called = f"{type(self.run.layer).__name__}({self.words}).setup(bottom, top) with x {self.x.shape}"
        expect(len(self.blobs) == 1 + bias, f"{called} → len(layer.blobs)", len(self.blobs), 1 + bias,
               "blobs_in_the_list", "self.blobs is the list in which the solver finds the weights: w, and then b. "
               "Without the bias term there is w alone.")
        K, C, kh, kw = self.w.shape
        compare(f"{called} → the shape of w", self.blobs[0].data.shape, self.w.shape, [
            Mistake("one_channel_filters", (K, kh, kw), "a filter looks at all C channels, and has weights for each"),
            Mistake("channels_first", (C, K, kh, kw), "the filters come first, then the channels: (K, C, kh, kw)"),
            Mistake("one_size_for_both_axes", (K, C, kh, kh), "kernel_h is the number of rows of a filter, kernel_w "
                    "that of its columns"),
            Mistake("rows_and_columns_exchanged", (K, C, kw, kh), "kernel_h is the number of rows, and rows come "
                    "first")])
        for blob, values in zip(self.blobs, (self.w, self.b), strict=False):
            compare(f"{called} → a blob's shape", blob.data.shape, values.shape)
            compare(f"{called} → a blob's data", blob.data, np.zeros(values.shape), [
                Mistake("not_zeros", np.ones(values.shape), "weights are zeros until they are filled or loaded")])
            blob.data[...] = values
            blob.diff[...] = LEFT

    def backward(self) -> np.ndarray:
        """Run the student's layer forward and backward; return dx."""
        self.run.forward()
        return self.run.backward(self.dy)

    def shape(self) -> None:
        """Fail where reshape does not give the top its shape."""
        run, (N, K, oh, ow) = self.run, self.y.shape
        run.layer.reshape(run.bottom, run.top)
        compare(f"layer.reshape(bottom, top) with {self.words} and x {self.x.shape} → top[0].shape", run.top[0].shape,
                self.y.shape, [
            Mistake("rows_and_columns_exchanged", (N, K, ow, oh), "stride and pad are pairs (height, width), as the "
                    "last two axes are: [0] for oh, [1] for ow"),
            Mistake("channels_of_the_bottom", (N, self.x.shape[1], oh, ow), "the top has one channel for each of the K "
                    "filters"),
            Mistake("size_of_the_image", (N, K, *self.x.shape[2:]), "the top has as many rows and columns as the "
                    "filter has places: output_size")])

    def forward(self, more: Sequence[Mistake] = ()) -> None:
        """Fail where forward does not write y."""
        self.shape()
        plain, size = self.y - self.b_for_y, self.w[0].size
        compare(f"layer.forward(bottom, top) with {self.words} and x {self.x.shape} → top[0].data", self.run.forward(),
                self.y, [
            *more,
            Mistake("no_bias", plain, "the bias b is missing"),
            Mistake("bias_at_every_weight", plain + size * self.b_for_y, "b[k] is added once to each output, and not "
                    "with every product"),
            Mistake("filter_turned", correlate(self.wide, self.w[:, :, ::-1, ::-1], self.stride) + self.b_for_y,
                    "you have turned the filter around. Its first weight belongs to the first pixel of the window."),
            Mistake("one_channel_alone", correlate(self.wide[:, :1], self.w[:, :1], self.stride) + self.b_for_y,
                    "that is what the first channel gives. The sum runs over all channels c."),
            Mistake("one_channel_alone", correlate(self.wide[:, -1:], self.w[:, -1:], self.stride) + self.b_for_y,
                    "that is what the last channel gives. The sum runs over all channels c: add, and start at 0 "
                    "before the loops over c, iy and ix."),
            Mistake("first_filter_for_all", correlate(self.wide, self.w[:1].repeat(self.K, 0), self.stride)
                    + self.b_for_y, "every output channel k has its own filter w[k]"),
            Mistake("mean_under_the_filter", plain / size + self.b_for_y, "a sum over c, iy and ix, not a mean"),
            Mistake("stride_ignored", self._without_stride() + self.b_for_y, "the place o begins at pixel o · s − p. "
                    "You have moved the window by 1 each time."),
            Mistake("nothing_written", np.zeros_like(self.y), "the top still holds zeros: write into "
                    "top[0].data[...]")])

    def _without_stride(self) -> np.ndarray:
        return correlate(self.wide, self.w, (1, 1))[:, :, :self.y.shape[2], :self.y.shape[3]]

    def forward_twice(self) -> None:
        """Fail where forward adds to what stands in the top, or writes more than the top."""
        self.run.forward()
        compare("layer.forward(bottom, top) twice → top[0].data", self.run.forward(), self.y, [
            Mistake("added_to_top", 2 * self.y, "forward overwrites the data of the top. What an earlier pass has left "
                    "there must not count."),
            Mistake("added_to_top", 2 * self.y - self.b_for_y, "each sum begins at b[k], whatever an earlier pass has "
                    "left in the top")])
        layer_checks.forward_writes_the_top_alone(self.run)

    def dx(self, more: Sequence[Mistake] = ()) -> None:
        """Fail where backward does not write dx."""
        shape, at_edge = self.wide.shape, [slice(0, n) for n in self.x.shape]
        wide = correlate_back(self.dy, self.w, shape, self.stride)
        dx = definition.middle(wide, self.pad)
        compare(f"layer.backward(top, [True], bottom) with {self.words} and x {self.x.shape} → bottom[0].diff",
                self.backward(), dx, [
            *more,
            Mistake("last_window_alone", definition.middle(correlate_back(self.dy, self.w, shape, self.stride, False),
                                                           self.pad),
                    "windows overlap, and a pixel gets a share from each window that covers it: add the shares, and "
                    "do not overwrite the earlier ones"),
            Mistake("last_window_alone", definition.middle(correlate_back(
                self.dy[:, -1:], self.w[-1:], shape, self.stride, False), self.pad), "windows overlap, and the K "
                "filters see the same pixels. A pixel gets a share from each of them: add the shares, and do not "
                "overwrite the earlier ones."),
            Mistake("padding_cut_at_the_end_alone", wide[tuple(at_edge)], "the image is in the middle of the padded "
                    "array: cut the padding off on both sides"),
            Mistake("filter_turned", definition.middle(correlate_back(self.dy, self.w[:, :, ::-1, ::-1], shape,
                                                                      self.stride), self.pad),
                    "no filter is turned around here: the first weight goes to the first pixel of the window, as in "
                    "forward"),
            Mistake("data_for_diff", definition.middle(correlate_back(self.y, self.w, shape, self.stride), self.pad),
                    "take the diff of the top, not its data"),
            Mistake("dx_divided_by_n", dx / len(dx), "the division by N is done in the loss, and nowhere else"),
            *layer_checks.known_of_dx(dx)])
        layer_checks.backward_writes_dx_alone(self.run, self.dy)

    def dw_and_db(self, more: Sequence[Mistake] = ()) -> None:
        """Fail where backward does not add dw and db to the diffs of the blobs; `more` is of dw."""
        self.backward()
        kernel, N = self.w.shape[2:], len(self.x)
        dw, db = weight_grad(self.dy, self.wide, kernel, self.stride), self.dy.sum((0, 2, 3))
        last = self.dy[-1:, :, -1:, -1:]
        of_data = weight_grad(self.y, self.wide, kernel, self.stride)
        for name, blob, diff, other, known in (("w", self.blobs[0], dw, of_data, more),
                                               ("b", self.blobs[1], db, self.y.sum((0, 2, 3)), ())):
            compare(f"layer.backward(top, [True], bottom) with {self.words}, {name}'s diff full of {LEFT} before → "
                    f"{name}'s diff", blob.diff, LEFT + diff, [
                *known,
                Mistake(f"d{name}_overwritten", diff, "what was in the diff is gone. The gradient of a weight is the "
                        "sum over all its uses, so add to the diff."),
                Mistake(f"d{name}_of_the_last_place", self._at_last_place(name), f"that is the share of the last place "
                        f"of the last image. Every place adds its share to d{name}."),
                Mistake("mean_over_the_batch", LEFT + diff / N, "a sum over n, not a mean: the loss has divided by N "
                        "already"),
                Mistake("mean_over_places", LEFT + diff / self.dy[:, 0].size, "a sum over all images and places, not a "
                        "mean"),
                Mistake("mean_over_places_alone", LEFT + diff / self.dy[0, 0].size, "a sum over all places of a "
                        "filter, not a mean"),
                Mistake(f"d{name}_forgotten", np.full_like(diff, LEFT), f"the diff of {name} is as it was before"),
                Mistake("data_for_diff", LEFT + other, "take the diff of the top, not its data"),
                Mistake(f"d{name}_of_the_last_image", self._of_last_image(name), "the share of an image is added to "
                        "the diff. You have overwritten those of the images before."),
                Mistake("last_image_alone", LEFT + self._of_last_image(name), "the sum runs over all images n"),
                Mistake("subtracted", LEFT - diff, "the gradient is added to the diff. The minus of the step down "
                        "comes with the solver."),
                Mistake("sum_over_filters", np.full_like(diff, LEFT + diff.sum()), f"each number of {name} has a sum "
                        "of its own"),
                Mistake("nothing_of_the_places", np.broadcast_to(LEFT + last.sum(), diff.shape), "add dy of all "
                        "places")])

    def _at_last_place(self, name: str) -> np.ndarray:
        if name == "b":
            return np.asarray(self.dy[-1, :, -1, -1])
        *_, (_, _, part) = definition.windows(self.wide.shape[2:], self.w.shape[2:], self.stride)
        return np.einsum("k,chw->kchw", self.dy[-1, :, -1, -1], self.wide[part][-1])

    def _of_last_image(self, name: str) -> np.ndarray:
        if name == "b":
            return np.asarray(self.dy[-1].sum((1, 2)))
        return weight_grad(self.dy[-1:], self.wide[-1:], self.w.shape[2:], self.stride)

    def two_passes(self) -> None:
        """Fail where the diffs of the weights are other arrays after backward, or not the sum of two passes."""
        held = [blob.diff for blob in self.blobs]
        self.backward()
        once = [np.array(blob.diff) - LEFT for blob in self.blobs]
        self.backward()
        for name, blob, array, diff in zip("wb", self.blobs, held, once, strict=True):
            expect(blob.diff is array, f"layer.backward → {name}'s diff", "another array", "the same array, with new "
                   "numbers", "diff_replaced", "the solver may hold the old array: add in place")
            compare(f"layer.backward(top, [True], bottom) twice → {name}'s diff", blob.diff, LEFT + 2 * diff, [
                Mistake("last_pass_alone", LEFT + diff, "that is the gradient of one pass")])

    def propagate_down(self) -> None:
        """Fail where dx is written though nobody asks for it, or where the weights then get no gradient."""
        layer_checks.obeys_propagate_down(self.run, self.dy)
        dw, db = weight_grad(self.dy, self.wide, self.w.shape[2:], self.stride), self.dy.sum((0, 2, 3))
        for name, blob, diff in (("w", self.blobs[0], dw), ("b", self.blobs[1], db)):
            compare(f"layer.backward(top, [False], bottom) → {name}'s diff", blob.diff, LEFT + diff, [
                Mistake("weights_depend_on_propagate_down", np.full_like(diff, LEFT), "propagate_down speaks of the "
                        "bottoms. The first layer of a net has no diff to hand down, and must still learn.")])

    def as_minicaffe(self) -> None:
        """Fail where one of the four results is not that of minicaffe's own layer."""
        own = layers.ConvolutionLayer(dtype=np.float64, convolution_param={
            "num_output": self.K, "kernel_h": self.w.shape[2], "kernel_w": self.w.shape[3], "stride_h": self.stride[0],
            "stride_w": self.stride[1], "pad_h": self.pad[0], "pad_w": self.pad[1]})
        right = of_minicaffe(own, self.x, self.dy, [self.w, self.b])
        y, dx = self.run.forward(), self.run.backward(self.dy)
        dw, db = (blob.diff - LEFT for blob in self.blobs)
        for name, got, values in zip(("y", "dx", "dw", "db"), (y, dx, dw, db),
                                     (*right["y"], *right["dx"], *right["diff"]), strict=True):
            compare(f"{name} of {type(self.run.layer).__name__}({self.words}), as minicaffe computes it", got, values)

    def another_batch(self, draw: Draw) -> None:
        """Fail where the layer does not work on more and larger images after it has run."""
        N, C, H, W = self.x.shape
        x = draw.numbers(N + 3, C, W + 1, H + 3)
        layer_checks.follows_another_batch(self.run, [x], correlate(padded(x, self.pad), self.w, self.stride)
                                           + self.b_for_y)

    def without_bias(self) -> None:
        """Fail where a layer that has no b does not work."""
        compare(f"layer.forward(bottom, top) with {self.words} → top[0].data", self.run.forward(), self.y)
        dx = correlate_back(self.dy, self.w, self.wide.shape, self.stride)
        compare(f"layer.backward(top, [True], bottom) with {self.words} → bottom[0].diff", self.run.backward(self.dy),
                definition.middle(dx, self.pad))
        compare(f"layer.backward(top, [True], bottom) with {self.words} → w's diff", self.blobs[0].diff - LEFT,
                weight_grad(self.dy, self.wide, self.w.shape[2:], self.stride))


def _words_of(name: str, value: Pair, default: Pair) -> dict[str, int]:
    """Return a parameter as the definition of a net says it: once for both axes, or for each."""
    if value == default:
        return {}
    short = name.removesuffix("_size")
    return {name: value[0]} if value[0] == value[1] else {f"{short}_h": value[0], f"{short}_w": value[1]}
