"""The checks of step 3: slopes are measured as the formula says, and wrong layers are found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.layer_checks import blob_of
from minicaffe.course.student import Student

H = 0.25  # large, so that the kinds of difference quotients differ
SMALL, LARGE = 1e-6, 1e-2  # the error of a right layer is below the one, that of a wrong layer above the other


def check_quotient(my: Student, draw: Draw) -> None:
    """The slope is measured with a step to each side, divided by 2h."""
    x = draw.numbers(*draw.sizes(2))
    c = draw.numbers(*x.shape)
    before, moved = x.copy(), []

    def f() -> float:
        moved.append(not np.array_equal(x, before))
        return float((c * x ** 3).sum())

    got = my.gradient.numeric_gradient(f, x, H)
    up, down, here = (c * (before + h) ** 3 for h in (H, -H, 0))
    compare(f"numeric_gradient(f, x, {H}), f = Σ c · x³", got, (up - down) / (2 * H), [
        Mistake("one_sided", (up - here) / H, "a step on one side has an error like h: take f on both sides of x"),
        Mistake("one_sided", (here - down) / H, "a step on one side has an error like h: take f on both sides of x"),
        Mistake("divided_by_h", (up - down) / H, "from x − h to x + h it is 2h: divide by that"),
        Mistake("multiplied_by_h", (up - down) / 2 * H, "in Python a / 2 * h is a · h / 2: write the parentheses, 2h "
                "is the divisor"),
        Mistake("sign", (down - up) / (2 * H), "the sign is turned round: f at x + h comes first"),
        Mistake("h_not_used", 3 * c * before ** 2, "that is the derivative for a very small h: take the h that is "
                "given"),
        Mistake("copy_moved", np.zeros_like(x), "f() reads the array x itself, and it has not seen x move: you may "
                "have moved a copy, as flatten(), np.array(x) and x + h are" if not any(moved) else "all slopes are "
                "0")])


def check_one_number_at_a_time(my: Student, draw: Draw) -> None:
    """Only one number is moved at a time, and the number before is back in its place."""
    x = draw.numbers(draw.sizes(1, low=3)[0])
    a = draw.numbers(x.size, x.size)

    def value(at: np.ndarray) -> float:
        return float((at @ a @ at) ** 2)

    right = np.zeros_like(x)
    for i in range(x.size):
        step = H * (np.arange(x.size) == i)
        right[i] = (value(x + step) - value(x - step)) / (2 * H)
    at_once = np.full_like(x, (value(x + H) - value(x - H)) / (2 * H))
    got = my.gradient.numeric_gradient(lambda: value(x), x, H)
    compare(f"numeric_gradient(f, x, {H}), f = (Σ a[i, j] · x[i] · x[j])²", got, right, [
        Mistake("all_at_once", at_once, "all numbers of x were moved at once: move x[i] alone, for each i"),
        Mistake("not_put_back", _left_behind(value, x, right, H), NOT_BACK),
        Mistake("not_put_back", _left_behind(value, x, right, -H), NOT_BACK),
        Mistake("not_put_back", _left_behind(value, x, right, 2 * H), NOT_BACK)])


NOT_BACK = "the first slope is right, those after it are not: x[i] was not put back before the next number was moved"


def _left_behind(value: Callable[[np.ndarray], float], x: np.ndarray, right: np.ndarray, rest: float) -> np.ndarray:
    """Return the slopes that are measured where each number is `rest` away from its place after it was moved.

    The student's code may have moved x by now, so the numbers it began with are found from the first slope, if at all.
    """
    for start in (x, x - rest):
        at, slopes = start.copy(), np.zeros_like(x)
        for i in range(x.size):
            step = H * (np.arange(x.size) == i)
            slopes[i] = (value(at + step) - value(at - step)) / (2 * H)
            at[i] += rest
        if np.isclose(slopes[0], right[0]):
            return slopes
    return slopes


def check_x_is_put_back(my: Student, draw: Draw) -> None:
    """Afterwards x holds the very numbers that it held before."""
    x = draw.numbers(*draw.sizes(2)) / 3
    before = x.copy()
    my.gradient.numeric_gradient(lambda: float((x ** 2).sum()), x, 0.1)
    called = "numeric_gradient(f, x, 0.1) → x"
    near = bool(np.allclose(x, before, rtol=0, atol=1e-12))
    expect(near, called, f"x has moved by up to {np.abs(x - before).max():.3g}", "x as it was", "x_has_moved",
           "put the old number back after f was computed on both sides of it")
    expect(np.array_equal(x, before), called, "x has moved by up to "
           f"{np.abs(x - before).max():.3g}", "exactly x as it was",
           "put_back_by_arithmetic", "x + h − 2h + h isn't x in its last digit. Keep the old number in a variable, and "
           "write it back.")


def check_all_shapes(my: Student, draw: Draw) -> None:
    """An array of any shape is measured, a single number too."""
    for shape in (draw.sizes(4, high=5), ()):
        x = draw.numbers(*shape)
        c = draw.numbers(*shape)
        got = my.gradient.numeric_gradient(lambda x=x, c=c: float((c * x ** 2).sum()), x, H)
        compare(f"numeric_gradient(f, x, {H}), x of shape {shape}", got, 2 * c * x)


def check_largest_error(my: Student, draw: Draw) -> None:
    """The error is relative to the larger of the two numbers, and to 1 where both are smaller."""
    jitter = 1 + 0.1 * draw.rng.random()
    a = np.array([[0.001, 5.0, -200.0], [0.3, -7.0, 40.0]]) * jitter
    b = np.array([[0.003, 5.5, -216.0], [0.31, -7.0, 40.1]]) * jitter
    errors = [abs(p - q) / max(abs(p), abs(q), 1) for p, q in zip(a.flat, b.flat, strict=True)]
    gap, size = np.abs(a - b), np.maximum(np.abs(a), np.abs(b))
    for first, second, called in ((a, b, "largest_error(a, b)"), (b, a, "largest_error(b, a)")):
        compare(called, my.gradient.largest_error(first, second), max(errors), [
            Mistake("absolute", gap.max(), "divide |a − b| by max(|a|, |b|, 1), number by number"),
            Mistake("no_floor", (gap / size).max(), "a gradient of 0.001 beside one of 0.003 is no large error: the "
                    "divisor is at least 1"),
            Mistake("no_absolute_value", ((first - second) / np.maximum(size, 1)).max(), "take |a − b|: an error may "
                    "have either sign"),
            Mistake("divided_by_one", (gap / np.maximum(np.abs(first), 1)).max(), "the divisor is the larger of |a| "
                    "and |b|, so that a and b may change places"),
            Mistake("divided_by_one", (gap / np.maximum(np.abs(second), 1)).max(), "the divisor is the larger of |a| "
                    "and "
                    "|b|, so that a and b may change places"),
            Mistake("divided_by_largest_of_all", gap.max() / max(size.max(), 1), "divide number by number, not by the "
                    "largest of the whole array"),
            Mistake("mean", np.mean(errors), "the largest error, not the mean: one wrong number must show"),
            Mistake("sum", np.sum(errors), "the largest error, not the sum")])


def check_nan(my: Student, draw: Draw) -> None:
    """A NaN in one of the gradients is never a small error."""
    a = draw.numbers(2, 3)
    b = a.copy()
    b[0, 1] = np.nan
    got = float(my.gradient.largest_error(a, b))
    expect(not got <= 1, "largest_error(a, b) with a NaN in b", got, "nan", "nan_hidden", NAN)


NAN = ("every comparison with NaN is False, so Python's max may drop it, as np.nanmax does. np.max keeps it. Whoever "
       "asks whether the error is small must get no.")


class _Probe:
    """A layer for check_gradient to look at; it writes down how it was called.

    Two bottoms, x (N, D) and v (N, D), the weights w (K, D) and two tops: z = (x + 2v) · wᵀ, y = z² and x reversed.
    `fault` names what backward does wrong.
    """

    def __init__(self, my: Student, draw: Draw, fault: str = "") -> None:
        N, D, K = draw.sizes(3, high=5)
        self.bottom = [blob_of(my, draw.numbers(N, D)) for _ in range(2)]
        self.top = [my.blob.Blob(), my.blob.Blob()]
        self.blobs, self.param, self.fault = [blob_of(my, draw.numbers(K, D))], dict[str, Any](), fault
        self.blobs[0].diff[...] = 5.0  # what another pass has left
        self.forwards, self.dys, self.cleared, self.shaped, self.moved = 0, list[np.ndarray](), True, False, False
        self.start = [np.array(blob.data) for blob in (*self.bottom, *self.blobs)]

    def setup(self, bottom: Any, top: Any) -> None:
        """Nothing: what it makes is there."""

    def reshape(self, bottom: Any, top: Any) -> None:
        """Shape both tops."""
        x, w = bottom[0].data, self.blobs[0].data
        top[0].reshape((x.shape[0], w.shape[0]))
        top[1].reshape(x.shape)
        self.shaped = True

    def forward(self, bottom: Any, top: Any) -> None:
        """Write y and the reversed x."""
        if not self.shaped:
            self.reshape(bottom, top)
            self.shaped = False
        self.forwards += 1
        x, v, w = bottom[0].data, bottom[1].data, self.blobs[0].data
        top[0].data[...] = ((x + 2 * v) @ w.T) ** 2
        top[1].data[...] = x[:, ::-1]

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Write the diffs, apart from the fault."""
        x, v, w, dw = bottom[0].data, bottom[1].data, self.blobs[0].data, self.blobs[0].diff
        self.moved = any(not np.array_equal(blob.data, start)
                         for blob, start in zip((*self.bottom, *self.blobs), self.start, strict=True))
        self.dys = [np.array(blob.diff) for blob in top]
        self.cleared = not np.any(dw)
        s = x + 2 * v
        dz = 2 * (s @ w.T) * top[0].diff
        dx, dv = dz @ w, 2 * dz @ w
        dx += top[1].diff if self.fault == "not_reversed" else top[1].diff[:, ::-1]
        if self.fault == "second_top":
            dx -= 2 * top[1].diff[:, ::-1]
        if self.fault == "last_number":
            dx[-1, -1] *= 1.5
        if self.fault == "second_bottom":
            dv *= -1
        if self.fault == "nan":
            dx[-1, 0] = np.nan
        if propagate_down[0]:
            bottom[0].diff[...] = dx
        if propagate_down[1]:
            bottom[1].diff[...] = dv
        dw += (dz.T @ s) * (2 if self.fault == "weights" else 1)

    def error(self, my: Student, *more: Any) -> float:
        """Return what the student's check_gradient says of this layer."""
        return float(my.gradient.check_gradient(self, self.bottom, self.top, *more))


def check_a_right_layer(my: Student, draw: Draw) -> None:
    """For a layer whose backward is right, the error is below 1e-6; data and weights are left as they were."""
    probe = _Probe(my, draw)
    got = probe.error(my)
    called = "check_gradient(a layer that is right, bottom, top)"

    def because(name: str, hint: str) -> None:
        expect(False, called, f"{got:.6g}", f"less than {SMALL}", name, hint)

    if not got < SMALL:
        if not probe.dys:
            because("no_backward", "backward has not run, so there are no diffs to compare")
        if not probe.cleared:
            because("weights_not_cleared", "layers add to the diffs of their weights, and something was left in them "
                    "from another pass: clear the diffs of layer.blobs before backward")
        if probe.moved:
            because("backward_after_moving", "when backward ran, the data were not those of the beginning: run it "
                    "before a number is moved, or put all numbers back")
        if any(not np.any(dy) for dy in probe.dys):
            because("a_top_without_dy", "the diff of one top was 0 while backward ran: each top gets random numbers "
                    "dy, and the loss adds up dy · y of all tops")
        if probe.forwards < 3:
            because("forward_not_run", "the layer's forward must run each time that a number has moved, for else the "
                    "loss stays the same")
        because("loss_does_not_fit_dy", "backward had diffs dy in the tops, and the loss that was measured is another "
                "one than Σ dy · y with these dy. Draw dy once, and use it in both.")
    left = [np.array(blob.data) for blob in (*probe.bottom, *probe.blobs)]
    expect(all(map(np.array_equal, left, probe.start)), called, "data or weights have changed", "all as it was before",
           "data_left_moved", "put every number back")


def check_wrong_layers(my: Student, draw: Draw) -> None:
    """For a layer with a mistake in one place of backward, the error is above 0.01."""
    for fault, name, hint in (
            ("last_number", "not_every_number", "one number of a bottom's diff is wrong, the last one: compare all of "
             "them"),
            ("weights", "weights_not_checked", "the diffs of the weights are twice what they should be: compare "
             "layer.blobs too, their data and their diffs"),
            ("second_bottom", "first_bottom_only", "the diff of bottom[1] has the wrong sign: compare all bottoms"),
            ("not_reversed", "dy_of_ones", "this layer reverses the order of numbers, and its backward does not. Where "
             "all dy are equal that cannot be seen: draw them at random."),
            ("second_top", "first_top_only", "what comes back from top[1] has the wrong sign: the loss adds up dy · y "
             "of all tops"),
            ("nan", "nan_hidden", NAN)):
        got = _Probe(my, draw, fault).error(my)
        expect(not got < LARGE, "check_gradient(a layer that is wrong, bottom, top)", f"{got:.6g}",
               "nan, or a large error" if fault == "nan" else f"more than {LARGE}", name, hint)


def check_bottoms_without_diff(my: Student, draw: Draw) -> None:
    """A bottom whose place in propagate_down is False is not compared; the others are."""
    called = "check_gradient(layer, bottom, top, [True, False])"
    got = _Probe(my, draw, "second_bottom").error(my, [True, False])
    expect(got < SMALL, called, f"{got:.6g}", f"less than {SMALL}", "unasked_bottom_compared",
           "nobody asks for the diff of bottom[1], so the layer writes none: hand propagate_down on to backward, and "
           "leave this bottom out. A loss has such a bottom, its targets.")
    got = _Probe(my, draw, "last_number").error(my, [True, False])
    expect(not got < LARGE, called, f"{got:.6g}", f"more than {LARGE}", "asked_bottom_left_out",
           "bottom[0] is asked for, and has a mistake")
