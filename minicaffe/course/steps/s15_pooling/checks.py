"""The checks of step 15: the number of windows, MAX and AVE with padding and at the edges, and both gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minicaffe import layers
from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw, Mistake, Wrong, compare, expect
from minicaffe.course.layer_checks import Run
from minicaffe.course.steps.s13_convolution.reference import of_minicaffe
from minicaffe.course.student import Student

KERNEL = (3, 2)
AREA = KERNEL[0] * KERNEL[1]
Share = Callable[[np.ndarray, int], np.ndarray]
SIZES: list[tuple[str, Callable[[int, int, int, int], float], str]] = [  # of n pixels: mistakes, and what they give
    ("rounded_down", lambda n, k, s, p: (n + 2 * p - k) // s + 1, "that is the size of a convolution. Pooling rounds "
     "up."),
    ("window_without_a_pixel", lambda n, k, s, p: _up(n, k, s, p), "the last window begins behind the "
     "last pixel: where (oh − 1) · s − p ≥ H, there is one window less"),
    ("first_window_not_counted", lambda n, k, s, p: _count(n, k, s, p) - 1, "the first window counts, too: + 1"),
    ("not_rounded", lambda n, k, s, p: (n + 2 * p - k) / s + 1, "a number of windows is whole: −(−a // b) rounds up"),
    ("always_one_more", lambda n, k, s, p: (n + 2 * p - k) // s + 2, "rounding up adds 1 only where the division has a "
     "rest"),
    ("always_one_more", lambda n, k, s, p: _less((n + 2 * p - k) // s + 2, lambda o: o * s - p >= n), "rounding up "
     "adds 1 only where the division has a rest"),
    ("no_padding", lambda n, k, s, p: _count(n, k, s, 0), "the padding is on both sides: H + 2p"),
    ("begin_without_padding", lambda n, k, s, p: _less(_up(n, k, s, p), lambda o: o * s + p >= n), "the last window "
     "begins at o · s − p: the first one begins at −p"),
    ("begin_without_padding", lambda n, k, s, p: _less(_up(n, k, s, p), lambda o: o * s >= n), "the last window "
     "begins at o · s − p: the first one begins at −p"),
    ("window_without_a_pixel", lambda n, k, s, p: _less(_up(n, k, s, p), lambda o: o * s - p > n), "a window that "
     "begins at row H has no pixel either: the last row is H − 1"),
    ("window_without_a_pixel", lambda n, k, s, p: _less(_up(n, k, s, p), lambda o: o * s - p >= n + p), "a window that "
     "begins in the padding behind the image has no pixel: it must begin before row H"),
    ("window_without_a_pixel", lambda n, k, s, p: _less(_up(n, k, s, p), lambda o: o * s - p > n + p), "a window that "
     "begins in the padding behind the image has no pixel: it must begin before row H")]


def _up(n: int, k: int, s: int, p: int) -> int:
    return -(-(n + 2 * p - k) // s) + 1


def _less(windows: int, beyond: Callable[[int], bool]) -> int:
    """Return one window less where the last one is beyond."""
    return windows - beyond(windows - 1)


def _count(n: int, k: int, s: int, p: int) -> int:
    """Return the number of windows, by moving one on until it reaches the end, or has no pixel."""
    found, begin = 1, -p
    while begin + k < n + p and begin + s < n:
        begin += s
        found += 1
    return found


def check_pooled_size(my: Student, draw: Draw) -> None:
    """The function pooled_size rounds up, and counts no window that begins behind the image."""
    drawn = [(*draw.sizes(1, 5, 12), k, int(draw.rng.integers(1, 5)), int(draw.rng.integers(0, k)))
             for k in map(int, draw.rng.integers(2, 5, 12))]
    axes = [(6, 2, 2, 0), (7, 2, 2, 0), (7, 3, 2, 0), (6, 3, 2, 1), (5, 2, 2, 1), (7, 2, 4, 1), (6, 3, 3, 2), *drawn]
    got = [my.pooling.pooled_size(*axis) for axis in axes]
    for axis, one in zip(axes, got, strict=True):
        called = "pooled_size(size={}, kernel={}, stride={}, pad={})".format(*axis)
        compare(called, one, _count(*axis), [
            Mistake(name, mistaken(*axis), hint) for name, mistaken, hint in SIZES
            if got == [mistaken(*axis) for axis in axes]])
        expect(not isinstance(one, float), called, repr(one), repr(_count(*axis)), "not_rounded", "a size must be an "
               "int: in Python / gives a float, and // of two ints an int")


class _Case:
    """A layer of the student's, with x and dy as arrays."""

    def __init__(self, my: Student, draw: Draw, method: str = "MAX", *, stride: tuple[int, int] = (2, 3),
                 pad: tuple[int, int] = (0, 0), x: np.ndarray | None = None,
                 counts: tuple[int, ...] = ()) -> None:
        # at H = 6 or 8 and W = 7 the last window reaches beyond the image
        N, C, H, W = (*(counts or draw.sizes(2, high=4)), int(draw.rng.choice([6, 8])), 7)
        # all different, so that one pixel is the largest
        self.x = (draw.rng.permutation(N * C * H * W).reshape(N, C, H, W) - N * C * H * W // 2) / 10 if x is None else x
        self.method, self.kernel, self.stride, self.pad = method, KERNEL, stride, pad
        self.param: dict[str, Any] = {"kernel_h": KERNEL[0], "kernel_w": KERNEL[1], "stride_h": stride[0],
                                      "stride_w": stride[1]}
        self.param |= {} if pad == (0, 0) else {"pad_h": pad[0], "pad_w": pad[1]}
        self.param |= {} if method == "MAX" else {"pool": method}
        self.words = ", ".join(f"{name}={value}" for name, value in self.param.items())
        self.run = Run(my, my.pooling.PoolingLayer(**self.param), [self.x])
        self.y = self.pooled(self.x)
        self.dy = draw.numbers(*self.y.shape)

    def windows(self, x: np.ndarray) -> Iterator[tuple[tuple[int, int], tuple[slice, slice], int]]:
        """Yield (oy, ox), the rows and columns of the image, and a, for each window on x."""
        sizes = [_count(*axis) for axis in zip(x.shape[2:], self.kernel, self.stride, self.pad, strict=True)]
        for o in np.ndindex(*sizes):
            places = [range(i * s - p, min(i * s - p + k, n + p)) for i, n, k, s, p in zip(
                o, x.shape[2:], self.kernel, self.stride, self.pad, strict=True)]
            rows, columns = (slice(max(0, axis.start), min(n, axis.stop))
                             for axis, n in zip(places, x.shape[2:], strict=True))
            yield (o[0], o[1]), (rows, columns), len(places[0]) * len(places[1])

    def by(self, number: Callable[[np.ndarray, int], np.ndarray], x: np.ndarray) -> np.ndarray:
        """Return y where `number` makes one of the pixels (N, C, places) of a window and of a."""
        found = {o: number(x[:, :, rows, columns].reshape(*x.shape[:2], -1), a)
                 for o, (rows, columns), a in self.windows(x)}
        y = np.zeros((*x.shape[:2], *(n + 1 for n in max(found))))
        for (oy, ox), values in found.items():
            y[:, :, oy, ox] = values
        return y

    def pooled(self, x: np.ndarray) -> np.ndarray:
        """Return y by the definition."""
        return self.by((lambda seen, a: seen.max(-1)) if self.method == "MAX" else (lambda seen, a: seen.sum(-1) / a),
                       x)

    def spread(self, share: Share, dy: np.ndarray, add: bool = True) -> np.ndarray:
        """Return dx where a pixel gets dy times what `share` says of the window's pixels (N, C, h, w) and of a."""
        dx = np.zeros(self.x.shape)
        for (oy, ox), (rows, columns), a in self.windows(self.x):
            shares, target = share(self.x[:, :, rows, columns], a), dx[:, :, rows, columns]
            asked = shares != 0
            target[asked] = target[asked] * add + (dy[:, :, oy, ox, None, None] * shares)[asked]
        return dx

    def areas(self, behind: tuple[int, int]) -> np.ndarray:
        """Return the number of places of each window up to so many places behind the image."""
        rows, columns = ([min(i * s - p + k, n + more) - i * s + p for i in range(count)] for n, k, s, p, count, more in
                         zip(self.x.shape[2:], self.kernel, self.stride, self.pad, self.y.shape[2:], behind,
                             strict=True))
        return np.outer(rows, columns)

    def shape(self) -> None:
        """Fail where reshape does not give the top its shape."""
        run, (N, C, oh, ow) = self.run, self.y.shape
        run.layer.reshape(run.bottom, run.top)
        compare(f"layer.reshape(bottom, top) with {self.words} and x {self.x.shape} → top[0].shape", run.top[0].shape,
                self.y.shape, [
            Mistake("rows_and_columns_exchanged", (N, C, ow, oh), "kernel, stride and pad are pairs (height, width), "
                    "as the last two axes are"),
            Mistake("size_of_the_image", self.x.shape, "the top has as many rows and columns as there are windows")])

    def forward(self, mistakes: list[Mistake]) -> None:
        """Fail where forward does not write y."""
        self.shape()
        try:
            got = self.run.forward()
        except ValueError as error:
            if "zero-size" not in str(error):
                raise
            raise Wrong(f"layer.forward(bottom, top) with {self.words} and x {self.x.shape}", error, "no error",
                        "negative_slice", "a slice that begins at a negative row, as x[−1:2], begins with the last "
                        "rows, and is empty: cut the window at the edges of the image first") from None
        compare(f"layer.forward(bottom, top) with {self.words} and x {self.x.shape} → top[0].data", got, self.y, [
            *mistakes,
            Mistake("channels_mixed", np.broadcast_to(self.y.max(1, keepdims=True), self.y.shape), "every channel is "
                    "pooled by itself"),
            Mistake("nothing_written", np.zeros_like(self.y), "the top still holds zeros: write into "
                    "top[0].data[...]")])

    def backward(self, mistakes: list[Mistake], right: Share) -> None:
        """Fail where backward does not write dx."""
        self.run.forward()
        dx = self.spread(right, self.dy)
        compare(f"layer.backward(top, [True], bottom) with {self.words} and x {self.x.shape} → bottom[0].diff",
                self.run.backward(self.dy), dx, [
            *mistakes,
            Mistake("last_window_alone", self.spread(right, self.dy, add=False), "windows overlap, and a pixel gets a "
                    "share from each of them: add the shares, and do not overwrite the earlier ones"),
            Mistake("whole_window_gets_dy", self.spread(lambda seen, a: np.ones(seen.shape), self.dy), "each pixel of "
                    "the window has got all of dy. Of MAX one pixel gets it, of AVE each gets dy / a."),
            Mistake("data_for_diff", self.spread(right, self.y), "take the diff of the top, not its data"),
            *layer_checks.known_of_dx(dx)])
        layer_checks.backward_writes_dx_alone(self.run, self.dy)


def _first(seen: np.ndarray, a: int) -> np.ndarray:
    """Return 1 for the first of the largest pixels of each channel, 0 for the others."""
    flat = seen.reshape(*seen.shape[:2], -1)
    found = np.zeros(flat.shape)
    np.put_along_axis(found, flat.argmax(-1)[..., None], 1, -1)
    return found.reshape(seen.shape)


def _mean(seen: np.ndarray, a: int) -> np.ndarray:
    return np.full(seen.shape, 1 / a)


def check_max(my: Student, draw: Draw) -> None:
    """MAX writes the largest pixel of each window, also of those that reach beyond the image."""
    case = _Case(my, draw)
    case.forward([
        Mistake("mean_for_max", case.by(lambda seen, a: seen.mean(-1), case.x), "that is the mean; pool is MAX unless "
                "the parameter says AVE"),
        Mistake("place_for_pixel", case.by(lambda seen, a: seen.argmax(-1), case.x), "argmax gives the place of the "
                "largest pixel. y is the pixel itself."),
        Mistake("smallest", case.by(lambda seen, a: seen.min(-1), case.x), "that is the smallest pixel"),
        Mistake("largest_in_size", case.by(lambda seen, a: np.abs(seen).max(-1), case.x), "the sign counts: 1 is "
                "larger than −2"),
        Mistake("zero_wins", np.maximum(case.y, 0), "the search must not begin with 0, since all pixels may be "
                "negative: begin with the first of them, or with −∞")])


def check_max_with_padding(my: Student, draw: Draw) -> None:
    """With MAX the padding has no part: of negative pixels the largest wins, not a zero of the padding."""
    case = _Case(my, draw, pad=(2, 1), x=-np.abs(draw.numbers(*draw.sizes(2, high=4), *draw.sizes(2, low=6, high=8))))
    wide = np.zeros_like(case.y)
    for (oy, ox), (rows, columns), _ in case.windows(case.x):
        whole = all(part.stop - part.start == k for part, k in zip((rows, columns), case.kernel, strict=True))
        wide[:, :, oy, ox] = case.y[:, :, oy, ox] if whole else 0
    padded = wide.copy()
    for (oy, ox), (rows, columns), a in case.windows(case.x):
        inside = (rows.stop - rows.start) * (columns.stop - columns.start)
        padded[:, :, oy, ox] = case.y[:, :, oy, ox] if a == inside else 0
    hint = "the padding is no pixel: of negative pixels the largest wins. Cut the window at the edges of the image, " \
           "or pad with −∞."
    case.forward([
        Mistake("zero_wins", np.zeros_like(case.y), "all pixels are negative here, so the search must not begin with "
                "0: begin with the first pixel, or with −∞"),
        Mistake("padding_wins", wide, hint), Mistake("padding_wins", padded, hint)])


def check_ave(my: Student, draw: Draw) -> None:
    """AVE writes the mean of each window; at the end of the image it divides by the places that are left."""
    _ave(_Case(my, draw, "AVE"))


def check_ave_with_padding(my: Student, draw: Draw) -> None:
    """AVE counts the places in the padding as zeros, and those behind the padding not at all."""
    _ave(_Case(my, draw, "AVE", pad=(1, 1)))


def _ave(case: _Case) -> None:
    case.forward([
        Mistake("always_divided_by_the_kernel", case.by(lambda seen, a: seen.sum(-1) / AREA, case.x), "a window that "
                "reaches beyond the padding has fewer places than kh · kw: it ends at H + p"),
        Mistake("padding_not_counted", case.by(lambda seen, a: seen.mean(-1), case.x), "the places in the padding "
                "count, with pixels of 0: a is the size of the window up to H + p, not the number of its pixels"),
        Mistake("padding_behind_not_counted", case.y * case.areas(case.pad) / case.areas((0, 0)), "the places in the "
                "padding count on both sides: the window ends at H + p, not at H"),
        Mistake("sum_for_mean", case.by(lambda seen, a: seen.sum(-1), case.x), "divide the sum by a"),
        Mistake("max_for_mean", case.by(lambda seen, a: seen.max(-1), case.x), "that is the largest pixel. The "
                "parameter pool says AVE.")])


def check_forward_alone(my: Student, draw: Draw) -> None:
    """Forward writes the data of the top, in its array, and changes nothing else."""
    for method in ("MAX", "AVE"):
        case = _Case(my, draw, method, pad=(1, 1))
        case.run.forward()
        compare("layer.forward(bottom, top) twice → top[0].data", case.run.forward(), case.y, [
            Mistake("added_to_top", 2 * case.y, "forward overwrites the data of the top"),
            Mistake("added_to_top", case.y + case.y / 6, "forward overwrites the data of the top")])
        layer_checks.forward_writes_the_top_alone(case.run)


def check_max_backward(my: Student, draw: Draw) -> None:
    """With MAX the pixel that was chosen gets dy, from each window that chose it."""
    for stride, pad in (((3, 2), (0, 0)), ((2, 1), (2, 1))):
        case = _Case(my, draw, stride=stride, pad=pad)
        case.backward([
            Mistake("mean_for_max", case.spread(_mean, case.dy), "that is the gradient of AVE"),
            Mistake("slope_is_the_pixel", case.spread(lambda seen, a: _first(seen, a) * seen, case.dy), "the slope of "
                    "y = x[m] is 1: x[m] gets dy itself, not dy times the pixel")], _first)


def check_first_of_the_largest(my: Student, draw: Draw) -> None:
    """Where several pixels of a window are the largest, the first one gets dy, row by row."""
    N, C = draw.sizes(2, high=4)
    case = _Case(my, draw, x=draw.rng.integers(0, 2, (N, C, 5, 7)) * 1.0)

    def largest(seen: np.ndarray) -> np.ndarray:
        return np.asarray(seen == seen.max((2, 3), keepdims=True), np.float64)

    case.backward([
        Mistake("all_of_the_largest", case.spread(lambda seen, a: largest(seen), case.dy), "seen == seen.max() is True "
                "for several pixels. One of them gets dy, the first one, row by row."),
        Mistake("shared_among_the_largest", case.spread(lambda seen, a: largest(seen) / largest(seen).sum(
            (2, 3), keepdims=True), case.dy), "dy is not shared: the first of the largest pixels gets all of it"),
        Mistake("last_of_the_largest", case.spread(lambda seen, a: _first(seen[..., ::-1, ::-1], a)[..., ::-1, ::-1],
                                                   case.dy),
                "you take the last one of the largest pixels: with >= a later pixel of the same size wins. Take >."),
        Mistake("column_by_column", case.spread(lambda seen, a: _first(seen.swapaxes(2, 3), a).swapaxes(2, 3), case.dy),
                "the first one is searched row by row")], _first)


def check_ave_backward(my: Student, draw: Draw) -> None:
    """With AVE every pixel of a window gets dy / a, with the a of forward."""
    for stride, pad in (((2, 3), (0, 0)), ((2, 1), (1, 1))):
        case = _Case(my, draw, "AVE", stride=stride, pad=pad)
        case.backward([
            Mistake("always_divided_by_the_kernel", case.spread(lambda seen, a: _mean(seen, AREA), case.dy),
                    "backward divides by the same a as forward does, which is less than kh · kw at the end"),
            Mistake("padding_not_counted", case.spread(lambda seen, a: _mean(seen, seen[0, 0].size), case.dy),
                    "backward divides by the same a as forward does, which counts places in the padding, too"),
            Mistake("max_for_mean", case.spread(_first, case.dy), "that is the gradient of MAX")], _mean)


def check_propagate_down(my: Student, draw: Draw) -> None:
    """Where propagate_down[0] is False, the diff of the bottom is left as it is."""
    for method in ("MAX", "AVE"):
        case = _Case(my, draw, method)
        layer_checks.obeys_propagate_down(case.run, case.dy)


def check_another_batch(my: Student, draw: Draw) -> None:
    """The layer works on a batch of another size, and on images of another size, forward and backward."""
    for method in ("MAX", "AVE"):
        case = _Case(my, draw, method, pad=(1, 1))
        N, C, H, W = case.x.shape
        x = draw.numbers(N + 3, C, W + 1, H + 3)
        layer_checks.follows_another_batch(case.run, [x], case.pooled(x))


def check_by_your_own_difference_quotient(my: Student, draw: Draw) -> None:
    """Your own check_gradient finds both methods right."""
    for method in ("MAX", "AVE"):
        run = _Case(my, draw, method, stride=(3, 4), counts=(1, 1)).run
        error = float(my.gradient.check_gradient(run.layer, run.bottom, run.top))
        expect(error < 1e-6, f"check_gradient(PoolingLayer(pool={method}, …), bottom, top)", f"{error:.3g}",
               "less than 1e-06",
               "own_check_fails", "the numbers above are right, so look at check_gradient: is step 3 passed?")


def check_minicaffe(my: Student, draw: Draw) -> None:
    """Your y and dx are those of minicaffe's own Pooling."""
    for method in ("MAX", "AVE"):
        case = _Case(my, draw, method, stride=(2, 2), pad=(2, 1))
        own = layers.PoolingLayer(dtype=np.float64, pooling_param={**case.param, "pool": method})
        right = of_minicaffe(own, case.x, case.dy)
        y, dx = case.run.forward(), case.run.backward(case.dy)
        compare(f"y of PoolingLayer({case.words}), as minicaffe computes it", y, *right["y"])
        compare(f"dx of PoolingLayer({case.words}), as minicaffe computes it", dx, *right["dx"])
