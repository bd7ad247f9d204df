"""The checks of step 16: statistics of the batch and remembered ones, the gradient through both, and in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minicaffe import layers
from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw, Mistake, Wrong, compare, expect, slopes
from minicaffe.course.layer_checks import Run, blob_of
from minicaffe.course.steps.s13_convolution.reference import of_minicaffe
from minicaffe.course.student import Student

EPS, FRACTION = 0.25, 0.75  # large, so that what is forgotten shows
LEFT = 0.5  # what stands in the diffs of the blobs
NAMES = ("mean", "variance", "factor")


def _statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return μ and v by the definition, each (C,)."""
    mu: list[float] = []
    v: list[float] = []
    for c in range(x.shape[1]):
        values = [float(value) for value in x[:, c].flat]
        mu.append(math.fsum(values) / len(values))
        v.append(math.fsum((value - mu[-1]) ** 2 for value in values) / len(values))
    return np.array(mu), np.array(v)


def _normalize(x: np.ndarray, mu: np.ndarray, v: np.ndarray, eps: float = EPS) -> np.ndarray:
    """Return (x − μ) / √(v + ε), channel by channel."""
    return np.stack([(x[:, c] - mu[c]) / math.sqrt(v[c] + eps) for c in range(len(mu))], 1)


def _of_batch(x: np.ndarray) -> np.ndarray:
    return _normalize(x, *_statistics(x))


class _Case:
    """A layer of the student's, with x and dy as arrays; with `remembered`, blobs that hold these statistics."""

    mu: np.ndarray
    v: np.ndarray

    def __init__(self, my: Student, draw: Draw, shape: tuple[int, ...] = (), remembered: bool = False,
                 **param: Any) -> None:
        self.x = draw.numbers(*(shape or draw.sizes(4, high=5))) + draw.numbers(1)  # the mean is not near 0
        self.dy = draw.numbers(*self.x.shape)
        C = self.x.shape[1]
        self.m = self.x.size // C
        self.param = {"eps": EPS, "moving_average_fraction": FRACTION,
                      **({"use_global_stats": True} if remembered else {}), **param}
        self.words = ", ".join(f"{name}={value}" for name, value in self.param.items())
        self.run = Run(my, my.batch_norm.BatchNormLayer(**self.param), [self.x])
        self.blobs = self.run.layer.blobs
        got, right = [tuple(blob.shape) for blob in self.blobs], [(C,), (C,), (1,)]
        expect(got == right, f"BatchNormLayer({self.words}).setup(bottom, top) with x {self.x.shape} → shapes of "
               "layer.blobs", got, right, "blobs", "mean and variance have one number for each channel, factor has one "
               "number, in this order: files of weights have them so")
        for name, blob in zip(NAMES, self.blobs, strict=True):
            compare(f"BatchNormLayer({self.words}).setup(bottom, top) → {name}", blob.data, np.zeros(blob.shape), [
                Mistake("statistics_begin_at_1", np.ones(blob.shape), "all three begin at 0. The factor says how much "
                        "has been added up so far.")])
            blob.diff[...] = LEFT
        self.mean, self.variance, self.factor = draw.numbers(C), np.abs(draw.numbers(C)), np.array([2.5])
        if remembered:
            self.remember()
        of_blobs = self.mean / self.factor, self.variance / self.factor
        self.mu, self.v = of_blobs if remembered else _statistics(self.x)
        self.y = _normalize(self.x, self.mu, self.v)
        self.std = np.sqrt(self.v + EPS).reshape(-1, *[1] * (self.x.ndim - 2))

    def mean_of(self, values: np.ndarray) -> np.ndarray:
        """Return Σ values / m of each channel, with as many axes as x."""
        return np.asarray(values.mean(tuple(axis for axis in range(values.ndim) if axis != 1), keepdims=True))

    def dx(self) -> np.ndarray:
        """Return the gradient through the statistics of the batch."""
        dy, y, mean_of = self.dy, self.y, self.mean_of
        return np.asarray((dy - mean_of(dy) - y * mean_of(dy * y)) / self.std)

    def remember(self) -> None:
        """Write statistics of earlier passes into the student's blobs."""
        for blob, values in zip(self.blobs, (self.mean, self.variance, self.factor), strict=True):
            blob.data[...] = values

    def forward(self, more: list[Mistake]) -> None:
        """Fail where forward does not write y."""
        layer_checks.shapes_the_top(self.run, self.x.shape)
        x, mu, v = self.x, self.mu, self.v
        compare(f"layer.forward(bottom, top) with {self.words} and x {x.shape} → top[0].data", self.run.forward(),
                self.y, [
            Mistake("eps_left_out", _normalize(x, mu, v, 0), "ε is missing: without it a channel whose numbers are all "
                    "equal is divided by 0"),
            Mistake("eps_not_read", _normalize(x, mu, v, 1e-5), "ε is the parameter eps; 1e-5 is its default"),
            Mistake("eps_outside_the_root", self.y * self.std / (np.sqrt(self.std ** 2 - EPS) + EPS), "ε is inside the "
                    "root: √(v + ε)"),
            Mistake("no_root", self.y / self.std, "divide by the root of v + ε"),
            Mistake("multiplied_by_the_root", self.y * self.std ** 2, "divide by the root of v + ε, do not multiply"),
            Mistake("centred_alone", self.y * self.std, "that is x − μ. Divide it by √(v + ε)."),
            Mistake("not_centred", _normalize(x, 0 * mu, v), "the mean is missing: x − μ"),
            *more,
            Mistake("nothing_written", np.zeros_like(x), "the top still holds zeros: write into top[0].data[...]")])


def check_blobs(my: Student, draw: Draw) -> None:
    """The layer makes mean (C,), variance (C,) and factor (1,) in setup; all hold zeros."""
    _Case(my, draw)
    _Case(my, draw, draw.sizes(2))


def check_forward(my: Student, draw: Draw) -> None:
    """Forward normalizes each channel by the mean and the variance of its m values."""
    case = _Case(my, draw)
    case.remember()
    x, m, factor = case.x, case.m, FRACTION * case.factor + 1
    blobs = "the batch is normalized by its own statistics. Those that the blobs remember are for use_global_stats."

    def over(*axes: int) -> np.ndarray:
        return np.asarray((x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + EPS))

    case.forward([
        Mistake("each_image_by_itself", over(2, 3), "the m values of a channel are those of all images: the sums run "
                "over n, too"),
        Mistake("each_pixel_by_itself", over(0), "the m values of a channel are those of all images and all pixels: "
                "the sums run over n, h and w"),
        Mistake("all_channels_together", over(0, 1, 2, 3), "every channel has a mean and a variance of its own"),
        Mistake("other_axis", over(0, 1, 2), "the channels are axis 1: the sums run over all others"),
        Mistake("other_axis", over(1, 2, 3), "the channels are axis 1: the sums run over all others"),
        Mistake("other_axis", over(1), "the channels are axis 1: the sums run over all others"),
        Mistake("divided_by_m_minus_1", _normalize(x, case.mu, case.v * m / (m - 1)), "forward divides by m. Only the "
                "variance that is remembered is v · m / (m − 1)."),
        Mistake("mean_of_squares", _normalize(x, case.mu, case.v + case.mu ** 2), "the variance is the mean of "
                "(x − μ)², not of x²"),
        Mistake("statistics_of_the_blobs", _normalize(x, case.mean / case.factor, case.variance / case.factor), blobs),
        Mistake("statistics_of_the_blobs", _normalize(
            x, (FRACTION * case.mean + case.mu) / factor,
            (FRACTION * case.variance + case.v * m / (m - 1)) / factor), blobs)])


def check_remembered(my: Student, draw: Draw) -> None:
    """Each pass multiplies the three blobs by λ, and adds μ, v · m / (m − 1) and 1."""
    case = _Case(my, draw)
    held, batches, unbiased = [blob.data for blob in case.blobs], [], case.m / (case.m - 1)
    for count in (1, 2, 3):
        x = draw.numbers(*case.x.shape) + count
        batches.append(_statistics(x))
        case.run.bottom[0].data[...] = x
        case.run.forward()
        weights = [FRACTION ** (count - 1 - t) for t in range(count)]
        mean, v = (np.asarray(sum(w * batch[i] for w, batch in zip(weights, batches, strict=True))) for i in (0, 1))
        averages = [np.zeros(len(mean)), np.zeros(len(mean))]
        for batch in batches:
            averages = [FRACTION * average + (1 - FRACTION) * new for average, new in zip(averages, batch, strict=True)]
        sums = [np.asarray(sum(batch[i] for batch in batches)) for i in (0, 1)]
        called = f"{count} pass{'es' * (count > 1)} with {case.words} → "
        factor = sum(weights)
        compare(called + "factor", case.blobs[2].data, [factor], [
            Mistake("factor_forgotten", [0.0], "the factor is a blob, too: λ · factor + 1 in each pass"),
            Mistake("factor_is_one", [1.0], "the factor is multiplied by λ, and 1 is added, in each pass"),
            Mistake("factor_counts_passes", [float(count)], "the factor is multiplied by λ before 1 is added"),
            Mistake("multiplied_after_adding", [factor * FRACTION], "multiply by λ first, and then add")])
        for name, blob, right, average, total, last in zip(
                NAMES, case.blobs, (mean, v * unbiased), (averages[0], averages[1] * unbiased),
                (sums[0], sums[1] * unbiased), (batches[-1][0], batches[-1][1] * unbiased), strict=False):
            compare(called + name, blob.data, right, [
                Mistake("moving_average_of_parts", average, "Caffe's blobs are sums: what is new is added whole, and "
                        "not times 1 − λ. The factor divides later."),
                Mistake("variance_of_the_batch_kept", right / unbiased, "the variance that is remembered is v · m / "
                        "(m − 1)"),
                Mistake("variance_turned_around", right / unbiased ** 2, "the variance that is remembered is "
                        "multiplied by m / (m − 1), which is more than 1"),
                Mistake("last_batch_alone", last, "what was remembered is gone: multiply it by λ, and add"),
                Mistake("nothing_forgotten", total, "what was remembered is multiplied by λ first"),
                Mistake("multiplied_after_adding", right * FRACTION, "multiply by λ first, and then add"),
                Mistake("divided_by_the_factor_already", right / factor, "the blobs hold sums. Only who reads them "
                        "divides by the factor."),
                Mistake("nothing_remembered", np.zeros_like(right), f"{name} still holds zeros: write into its data")])
    for name, blob, array in zip(NAMES, case.blobs, held, strict=True):
        expect(blob.data is array, f"layer.forward → {name}'s data", "another array", "the same array, with new "
               "numbers", "blob_replaced", "a net saves and loads these arrays: change the numbers in place")


def check_defaults(my: Student, draw: Draw) -> None:
    """Without parameters the layer measures the batch, ε is 1e-5 and λ is 0.999."""
    x = draw.numbers(*draw.sizes(3)) / 100
    mu, v = _statistics(x)
    run = Run(my, my.batch_norm.BatchNormLayer(), [x])
    compare("BatchNormLayer(): layer.forward(bottom, top) → top[0].data", run.forward(), _normalize(x, mu, v, 1e-5), [
        Mistake("eps_left_out", _normalize(x, mu, v, 0), "ε is 1e-5 where eps is not given")])
    run.forward()
    factor = run.layer.blobs[2].data
    compare("BatchNormLayer(): factor after two passes", factor, [1.999], [
        Mistake("other_default", np.array(factor), "λ is 0.999 where moving_average_fraction is not given")])


def check_one_value_in_a_channel(my: Student, draw: Draw) -> None:
    """Where m is 1, y is 0, and the variance that is remembered is 0 and no NaN."""
    x = draw.numbers(1, 3)
    run = Run(my, my.batch_norm.BatchNormLayer(), [x])
    called, name = "layer.forward(bottom, top) with x (1, 3)", "division_by_m_minus_1"
    hint = "m − 1 is 0 here, and 0 / 0 is NaN, which the blob would keep for ever. For m = 1 remember v."
    compare(f"{called} → top[0].data", _forward(run, called, name, hint), np.zeros((1, 3)))
    compare(f"{called} → variance", run.layer.blobs[1].data, np.zeros(3), [Mistake(name, np.full(3, np.nan), hint)])


def _forward(run: Run, called: str, name: str, hint: str) -> np.ndarray:
    """Run forward where it may divide by 0: numpy gives NaN and a warning then, and Python an error."""
    try:
        with np.errstate(all="ignore"):
            return run.forward()
    except ZeroDivisionError as error:
        raise Wrong(called, error, "no error", name, hint) from None


def check_global_stats(my: Student, draw: Draw) -> None:
    """With use_global_stats, μ is mean / factor and v is variance / factor."""
    case = _Case(my, draw, remembered=True)
    x = case.x
    case.forward([
        Mistake("statistics_of_the_batch", _of_batch(x), "with use_global_stats the batch is not measured"),
        Mistake("not_divided_by_the_factor", _normalize(x, case.mean, case.variance), "mean and variance are sums. "
                "Divide both by the factor."),
        Mistake("mean_not_divided", _normalize(x, case.mean, case.v), "divide the mean by the factor, too"),
        Mistake("variance_not_divided", _normalize(x, case.mu, case.variance), "divide the variance by the factor, "
                "too"),
        Mistake("multiplied_by_the_factor", _normalize(x, case.mean * 2.5, case.variance * 2.5), "divide by the "
                "factor: it says how much has been added up")])


def check_global_stats_change_nothing(my: Student, draw: Draw) -> None:
    """With use_global_stats forward writes the data of the top, and no blob."""
    layer_checks.forward_writes_the_top_alone(_Case(my, draw, remembered=True).run)


def check_no_statistics_yet(my: Student, draw: Draw) -> None:
    """With use_global_stats and a factor of 0, μ and v are 0."""
    case = _Case(my, draw, use_global_stats=True)
    called, name = "layer.forward(bottom, top) with use_global_stats and factor 0", "division_by_a_factor_of_0"
    hint = "the factor is 0 as long as nothing was measured, and 0 / 0 is NaN. Then μ and v are 0."
    compare(f"{called} → top[0].data", _forward(case.run, called, name, hint), case.x / math.sqrt(EPS), [
        Mistake(name, np.full_like(case.x, np.nan), hint)])


def check_forward_alone(my: Student, draw: Draw) -> None:
    """Forward leaves the bottom as it is, and writes into the array of the top."""
    case = _Case(my, draw)
    run = case.run
    run.layer.reshape(run.bottom, run.top)
    held = run.top[0].data
    run.layer.forward(run.bottom, run.top)
    expect(run.top[0].data is held, "layer.forward(bottom, top)", "top[0].data is another array",
           "the same array, with new numbers",
           "top_replaced", "the next layer may hold the old array. Write into it: top[0].data[...] = …")
    compare("layer.forward(bottom, top) → bottom[0].data", run.bottom[0].data, case.x, [
        Mistake("bottom_changed", np.array(run.bottom[0].data), "forward writes the top and the blobs. An operation "
                "such as −= changes the array that it is applied to.")])


def check_dx(my: Student, draw: Draw) -> None:
    """Backward is right through μ and v: it is the difference quotient of Σ dy · y, and no blob gets a gradient."""
    case = _Case(my, draw)
    x, dy, y, std, mean_of = case.x, case.dy, case.y, case.std, case.mean_of
    axes = (0, 2, 3)

    def loss(at: np.ndarray) -> float:
        centred = at - at.mean(axes, keepdims=True)
        return float((dy * centred / np.sqrt((centred ** 2).mean(axes, keepdims=True) + EPS)).sum())

    dx, along, moved = slopes(loss, x), y * mean_of(dy * y), mean_of(dy)
    case.run.forward()
    got = case.run.backward(dy)
    compare(f"layer.backward(top, [True], bottom) with {case.words} and x {x.shape} → bottom[0].diff", got, dx, [
        Mistake("statistics_as_constants", dy / std, "μ and v depend on x here, and each x has a part in all y of its "
                "channel. Only with use_global_stats they are constants."),
        Mistake("way_through_the_mean_missing", (dy - along) / std, "the way through μ is missing: − Σ dy / m"),
        Mistake("way_through_the_variance_missing", (dy - moved) / std, "the way through v is missing: "
                "− x̂ · Σ (dy·x̂) / m"),
        Mistake("sums_for_means", (dy - case.m * moved - case.m * along) / std, "both sums are divided by m"),
        Mistake("x_for_normalized", (dy - moved - x * mean_of(dy * x)) / std, "the third part has x̂, the normalized "
                "numbers, in both places, not x"),
        Mistake("centred_for_normalized", (dy - moved - y * std * mean_of(dy * y * std)) / std, "x̂ is (x − μ) / √(v + "
                "ε), not x − μ"),
        Mistake("added_not_subtracted", (dy + moved + along) / std, "both parts are taken away from dy"),
        Mistake("sums_over_the_batch_alone", (dy - dy.mean(0) - y * (dy * y).mean(0)) / std, "the sums run over all m "
                "values of a channel, those of all pixels, too"),
        Mistake("sums_over_all_channels", (dy - dy.mean() - y * (dy * y).mean()) / std, "every channel has sums of its "
                "own"),
        Mistake("not_divided_by_the_root", dy - moved - along, "all of it is divided by √(v + ε)"),
        Mistake("divided_by_the_variance", (dy - moved - along) / std ** 2, "divide by √(v + ε), not by v + ε"),
        Mistake("data_for_diff", (y - mean_of(y) - y * mean_of(y * y)) / std, "take the diff of the top, not its "
                "data"),
        *layer_checks.known_of_dx(dx)], tolerance=1e-6)
    for name, blob in zip(NAMES, case.blobs, strict=True):
        compare(f"layer.backward(top, [True], bottom) → {name}'s diff", blob.diff, np.full(blob.shape, LEFT), [
            Mistake("gradient_of_a_statistic", np.array(blob.diff), "mean, variance and factor are measured, not "
                    "learned: they have no gradient")])
    layer_checks.backward_writes_dx_alone(case.run, dy)


def check_dx_of_global_stats(my: Student, draw: Draw) -> None:
    """With use_global_stats backward is dx = dy / √(v + ε)."""
    case = _Case(my, draw, remembered=True)
    case.run.forward()
    dx = case.dy / case.std
    compare(f"layer.backward(top, [True], bottom) with {case.words} → bottom[0].diff", case.run.backward(case.dy), dx, [
        Mistake("statistics_are_constants", (case.dy - case.mean_of(case.dy) - case.y * case.mean_of(
            case.dy * case.y)) / case.std, "the remembered μ and v do not depend on x, so the ways through them are "
                                           "not there"),
        Mistake("no_root", case.dy, "divide dy by √(v + ε)"),
        Mistake("divided_by_the_variance", case.dy / case.std ** 2, "divide by √(v + ε), not by v + ε"),
        *layer_checks.known_of_dx(dx)])


def check_in_place(my: Student, draw: Draw) -> None:
    """The layer works in place, and x and y may be overwritten before backward."""
    case = _Case(my, draw)
    run, other = case.run, 3 * case.y + 1
    run.forward()
    run.top[0].data[...] = run.bottom[0].data[...] = other
    dx = run.backward(case.dy)
    compare("layer.forward(bottom, top), then other layers overwrite the data of top and bottom, layer.backward(top, "
            "[True], bottom) → bottom[0].diff", dx, case.dx(), [
        Mistake("overwritten_data_read", dx, "backward has read the data of the top or of the bottom, which may be "
                "overwritten by then: keep x̂ and √(v + ε) as attributes in forward")])
    layer, blob = my.batch_norm.BatchNormLayer(**case.param), blob_of(my, case.x)
    layer.setup([blob], [blob])
    layer.reshape([blob], [blob])
    layer.forward([blob], [blob])
    compare("layer.forward([blob], [blob]), in place → blob.data", blob.data, case.y, [
        Mistake("x_read_after_y", np.array(blob.data), "in place, x is gone as soon as y is written: write y last")])
    blob.diff[...] = case.dy
    layer.backward([blob], [True], [blob])
    compare("layer.backward([blob], [True], [blob]), in place → blob.diff", blob.diff, case.dx(), [
        Mistake("dy_read_after_dx", np.array(blob.diff), "in place, dy is gone as soon as dx is written: write dx "
                "last, in one go")])


def check_propagate_down(my: Student, draw: Draw) -> None:
    """Where propagate_down[0] is False, the diff of the bottom is left as it is."""
    case = _Case(my, draw)
    layer_checks.obeys_propagate_down(case.run, case.dy)


def check_other_axes(my: Student, draw: Draw) -> None:
    """A bottom (N, C) has N values in a channel, and one of five axes works as well."""
    for shape in (draw.sizes(2), draw.sizes(5, high=6)):
        case = _Case(my, draw, shape)
        case.forward([])
        compare(f"layer.backward(top, [True], bottom) with x {shape} → bottom[0].diff", case.run.backward(case.dy),
                case.dx())
        compare(f"layer.forward(bottom, top) with x {shape} → mean", case.blobs[0].data, case.mu)


def check_another_batch(my: Student, draw: Draw) -> None:
    """The same layer works on a batch of another size, and on images of another size."""
    case = _Case(my, draw)
    N, C, H, W = case.x.shape
    x = draw.numbers(N + 3, C, W + 1, H + 3)
    layer_checks.follows_another_batch(case.run, [x], _of_batch(x))


def check_by_your_own_difference_quotient(my: Student, draw: Draw) -> None:
    """Your own check_gradient finds the layer right, where it measures the batch."""
    run = _Case(my, draw, draw.sizes(3, high=4)).run
    error = float(my.gradient.check_gradient(run.layer, run.bottom, run.top))
    expect(error < 1e-6, "check_gradient(BatchNormLayer(…), bottom, top)", f"{error:.3g}", "less than 1e-06",
           "own_check_fails", "the numbers above are right, so look at check_gradient: is step 3 passed?")


def check_minicaffe(my: Student, draw: Draw) -> None:
    """Your y, dx and blobs are those of minicaffe's own BatchNorm, with both kinds of statistics."""
    for remembered in (False, True):
        case = _Case(my, draw, remembered=remembered)
        case.remember()
        param = {"eps": EPS, "use_global_stats": True} if remembered else {
            "eps": EPS, "moving_average_fraction": FRACTION}
        right = of_minicaffe(layers.BatchNormLayer(dtype=np.float64, batch_norm_param=param), case.x, case.dy, [
            case.mean, case.variance, case.factor])
        y, dx = case.run.forward(), case.run.backward(case.dy)
        compare(f"y of BatchNormLayer({case.words}), as minicaffe computes it", y, *right["y"])
        compare(f"dx of BatchNormLayer({case.words}), as minicaffe computes it", dx, *right["dx"])
        for name, blob, values in zip(NAMES, case.blobs, right["data"], strict=True):
            compare(f"{name} of BatchNormLayer({case.words}), as minicaffe computes it", blob.data, values)
