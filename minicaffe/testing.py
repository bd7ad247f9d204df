"""Checks for layers, ours and users' own: is what `backward` computes the derivative of `forward`?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass

import numpy as np

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.layer import Layer

EVERY_ELEMENT = 400  # larger blobs are checked along random directions instead
DIRECTIONS = 8
NOTHING = 1e-8       # a slope below it is lost in the rounding of a difference quotient
ALIKE = 1e-5         # a mistake is named where it explains all numbers with this error, relative to the largest
FACTOR = -2.0        # where the tops' diffs are multiplied by this, every gradient must be so too
FILL = 7.0           # what a diff holds before a backward pass that must overwrite it or add to it

NOT_PROPORTIONAL = (f"is not proportional to the tops' diffs: with {FACTOR:g} times the diffs it should be {FACTOR:g} "
                    "times as large")


class GradientError(AssertionError):
    """`backward` disagrees with the difference quotient of `forward`; or both are 0, and nothing was checked."""


def check_gradient(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], *,
                   bottoms: Sequence[int] | None = None, tops: Sequence[int] | None = None,
                   zeros: Sequence[int] = (), parameters: bool = True, step: float = 1e-5, tolerance: float = 1e-6,
                   kinks: Sequence[float] = (), kink_range: float = 1e-3, seed: int = 1701) -> float:
    """Compare a layer's gradients with central differences of L = Σ r · y for a random r.

    layer, bottom, top    a layer whose SetUp(bottom, top) has run; all blobs float64, bottoms filled
    bottoms, tops         indices of the bottoms to check and the tops that L sums (default: all; losses
                          leave their labels out)
    zeros                 indices of bottoms on which no top depends, so that their gradient must be 0
    parameters            whether the learnable blobs are checked too
    step                  ε of (L(v + ε) − L(v − ε)) / 2ε
    tolerance             largest allowed |analytic − numeric| / max |numeric| within one blob
    kinks, kink_range     elements this close to one of these values are skipped: no derivative there
    seed                  of the process's generator before each forward, so that Dropout repeats itself

    A learnable blob whose numbers are all equal holds random numbers during the check. Where all weights are 0, many
    gradients are 0 whatever their formula; and where all are 1, a forgotten factor cannot be seen.

    Returns the largest relative error. Raises GradientError with both numbers, and with the kind of the mistake
    where one explains them all: a sign, a constant factor, a missing 1/N, transposed axes. It is also raised where a
    gradient that is not among `zeros` is 0 on both sides, so that nothing was checked, and where a gradient is not
    proportional to the tops' diffs. Raises TypeError for blobs that are not float64.
    """
    if any(b.dtype is not np.float64 for b in [*bottom, *top, *layer.blobs]):
        raise TypeError("a gradient is checked in float64: make the layer and its blobs with dtype=np.float64")
    if bottoms is None:
        bottoms = [i for i in range(len(bottom)) if layer.allow_force_backward(i)]
    tops = range(len(top)) if tops is None else tops
    draw = np.random.default_rng(seed)
    loss = _Loss(layer, bottom, top, bottoms, {i: draw.standard_normal(top[i].shape) for i in tops}, seed)
    checked = [(f"bottom[{i}]", bottom[i]) for i in bottoms]
    if parameters:
        checked += [(f"blobs[{i}]", b) for i, b in enumerate(layer.blobs) if layer.param_propagate_down[i]]
    zero_names = {f"bottom[{i}]" for i in zeros}

    errors = [0.0]
    with _random_where_constant(layer, draw):
        for which, ((name, blob), analytic) in enumerate(zip(checked, loss.gradients(checked), strict=True)):
            slopes = _slopes(blob, analytic, loss.value, draw, step, kinks, kink_range)
            scaled = loss.gradients(checked, FACTOR)[which]
            try:
                errors.append(slopes.largest_error(tolerance, zero=name in zero_names))
            except GradientError as error:
                kind = _kind(slopes, analytic, scaled, bottom)
                raise GradientError(f"{layer!r}: the gradient of {name} {blob.shape} {error}{kind}") from None
            if not _alike(scaled, FACTOR * analytic):
                raise GradientError(f"{layer!r}: the gradient of {name} {blob.shape} {NOT_PROPORTIONAL}")
    loss.value()  # leaves the tops as the layer's own numbers make them, not as the last step did
    return max(errors)


@dataclass
class _Loss:
    """L = Σ r · y over some tops of a layer, and its gradients as the layer's backward computes them."""

    layer: Layer
    bottom: Sequence[Blob]
    top: Sequence[Blob]
    bottoms: Sequence[int]    # the bottoms whose gradients are asked for
    r: dict[int, np.ndarray]  # the factor of each top that L sums, by its index
    seed: int

    def value(self) -> float:
        rng.seed(self.seed)  # each forward draws the same random numbers, or the slopes would be of two functions
        self.layer.Forward(self.bottom, self.top)
        return float(sum((r * self.top[i].data).sum() for i, r in self.r.items()))

    def gradients(self, checked: Sequence[tuple[str, Blob]], factor: float = 1.0) -> list[np.ndarray]:
        """Return the gradients of the checked blobs, computed by backward from tops' diffs of `factor` times r."""
        self.value()
        for i, blob in enumerate(self.top):
            blob.diff[...] = factor * self.r[i] if i in self.r else 0.0
        for blob in self.layer.blobs:  # backward adds to these
            blob.diff.fill(0)
        self.layer.Backward(self.top, [i in self.bottoms for i in range(len(self.bottom))], self.bottom)
        return [blob.diff.copy() for _, blob in checked]


@contextmanager
def _random_where_constant(layer: Layer, draw: np.random.Generator) -> Iterator[None]:
    """Put random numbers into each learnable blob whose numbers are all equal; afterwards put the old ones back."""
    kept = [(blob, blob.data.copy()) for blob, learned in zip(layer.blobs, layer.param_propagate_down, strict=True)
            if learned and blob.count and np.ptp(blob.data) == 0]
    for blob, values in kept:
        if values.any():  # around the number, with its sign: it may have to be positive
            blob.data[...] = values * draw.uniform(0.5, 1.5, values.shape)
        else:
            blob.data[...] = draw.standard_normal(values.shape)
    try:
        yield
    finally:
        for blob, values in kept:
            blob.data[...] = values


@dataclass(frozen=True)
class _Slopes:
    """The slopes of L along some directions in one blob: from backward, and from the difference quotient."""

    places: list[str]
    directions: list[np.ndarray]
    backward: np.ndarray
    quotient: np.ndarray

    def largest_error(self, tolerance: float, zero: bool) -> float:
        """Return the largest error, relative to the largest slope. Raise GradientError where it exceeds the tolerance.

        `zero` says that all slopes must be 0. Otherwise it is an error too that all are 0: nothing was checked.
        """
        if not self.places:
            raise GradientError("was not checked: it has no element away from a kink")
        both = np.abs([self.backward, self.quotient])
        if zero and not (both < NOTHING).all():
            raise GradientError(f"must be 0, for `zeros` names it, but its largest number is {both.max():.9g}")
        if zero:
            return 0.0
        if (both < NOTHING).all():
            raise GradientError(f"was not checked: it is 0 in backward and in the difference quotient, in all of "
                                f"{len(self.places)} places; give the bottoms and the blobs numbers at which it is "
                                "not 0, leave it out, or name the bottom in `zeros` where no top depends on it")
        errors = np.abs(self.backward - self.quotient) / max(np.nanmax(both), NOTHING)
        worst = int(np.argmax(np.nan_to_num(errors, nan=np.inf)))
        if not errors[worst] <= tolerance:
            raise GradientError(
                f"is wrong in {np.count_nonzero(~(errors <= tolerance))} of {len(errors)} places, worst at "
                f"{self.places[worst]}: backward says {self.backward[worst]:.9g}, the difference quotient "
                f"{self.quotient[worst]:.9g}")
        return float(errors[worst])

    def explained_by(self, gradient: np.ndarray) -> bool:
        """Return whether this gradient, in the place of backward's, agrees with the difference quotients."""
        return self.same_as([float((gradient * d).sum()) for d in self.directions])

    def same_as(self, slopes: Sequence[float] | np.ndarray) -> bool:
        """Return whether these slopes equal the difference quotients, apart from rounding."""
        return bool(np.allclose(slopes, self.quotient, rtol=0, atol=ALIKE * np.abs(self.quotient).max()))


def _slopes(blob: Blob, analytic: np.ndarray, objective: Callable[[], float], draw: np.random.Generator, step: float,
            kinks: Sequence[float], kink_range: float) -> _Slopes:
    """Return the slopes of a blob from both sides; `analytic` is its gradient from backward."""
    start, places, directions, quotient = blob.data.copy(), [], [], []
    for place, direction in _directions(start, draw, kinks, kink_range):
        blob.data[...] = start + step * direction
        above = objective()
        blob.data[...] = start - step * direction
        below = objective()
        places.append(place)
        directions.append(direction)
        quotient.append((above - below) / (2 * step))
    blob.data[...] = start
    backward = np.array([float((analytic * d).sum()) for d in directions])
    return _Slopes(places, directions, backward, np.array(quotient))


def _directions(values: np.ndarray, draw: np.random.Generator, kinks: Sequence[float],
                kink_range: float) -> Iterator[tuple[str, np.ndarray]]:
    """Unit vectors for a small array, random directions for a large one; never across a kink."""
    smooth = np.ones(values.shape, bool)
    for kink in kinks:
        smooth &= np.abs(values - kink) > kink_range
    if values.size > EVERY_ELEMENT:
        for k in range(DIRECTIONS):
            yield f"random direction {k}", draw.standard_normal(values.shape) * smooth
        return
    for index in np.ndindex(values.shape):
        if smooth[index]:
            unit = np.zeros(values.shape)
            unit[index] = 1.0
            yield f"element {index}", unit


# --- the kind of a mistake ---------------------------------------------------------------------------


def _kind(slopes: _Slopes, analytic: np.ndarray, scaled: np.ndarray, bottom: Sequence[Blob]) -> str:
    """Name the mistake that explains all numbers, as the end of a message; '' where none does.

    `analytic` is the wrong gradient, `scaled` what it becomes where the tops' diffs are FACTOR times as large.
    """
    right = slopes.quotient
    if not np.isfinite([*slopes.backward, *right]).all() or (np.abs(right) < NOTHING).all():
        return ""
    if not analytic.any():
        return "; backward leaves it 0"
    if np.allclose(scaled, analytic, rtol=ALIKE, atol=0):
        return "; it is not multiplied by the top's diff, as it must be (for a loss: by loss_weight)"
    if not _alike(scaled, FACTOR * analytic):
        return f"; it {NOT_PROPORTIONAL}"
    factor = float(slopes.backward @ right / (right @ right))
    if factor and slopes.same_as(slopes.backward / factor):
        return _kind_of_factor(factor, bottom, proven=int(np.count_nonzero(np.abs(right) > NOTHING)) > 1)
    for order in itertools.permutations(range(analytic.ndim)):
        moved = [axis for axis, place in enumerate(order) if axis != place]
        stored = [analytic.shape[axis] for axis in order]
        if moved and (slopes.explained_by(analytic.reshape(stored).transpose(np.argsort(order)))
                      or slopes.explained_by(analytic.transpose(order).reshape(analytic.shape))):
            return f"; its axes {', '.join(map(str, moved[:-1]))} and {moved[-1]} are transposed"
    return ""


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two gradients are equal, apart from rounding."""
    return bool(np.allclose(one, other, rtol=0, atol=1e-9 * np.abs(other).max(initial=0), equal_nan=True))


def _kind_of_factor(factor: float, bottom: Sequence[Blob], proven: bool) -> str:
    """Say that the gradient is `factor` times the right one, and why that may be.

    `proven` says that several numbers have this factor. With one number alone, any error would be a factor.
    """
    size = abs(factor)
    words = ["the sign is wrong"] if factor < 0 else []
    if not math.isclose(size, 1, rel_tol=ALIKE) or factor > 0:
        if size > 1 and (count := _count_of(size, bottom)):
            words.append(f"a constant factor: is 1/N missing? N = {count}")
        elif size < 1 and (count := _count_of(1 / size, bottom)):
            words.append(f"a constant factor: is it divided by N once too often? N = {count}")
        elif proven:
            words.append("a constant factor")
        else:
            return ""
    return f"; it is {factor:.6g} times the right one: {' and '.join(words)}"


def _count_of(size: float, bottom: Sequence[Blob]) -> str:
    """Say what a factor of this size counts: the batch, all values of a bottom, or its values without one axis."""
    for i, blob in enumerate(bottom):
        counts = [(n, f"size {axis} of") for axis, n in enumerate(blob.shape[:1])]
        counts += [(blob.count, "all values of")]
        counts += [(blob.count // n, f"the values beside axis {axis} of") for axis, n in enumerate(blob.shape) if n]
        counts += [(n, f"size {axis} of") for axis, n in enumerate(blob.shape)]
        for count, what in counts:
            if count > 1 and math.isclose(size, count, rel_tol=ALIKE):
                return f"{count} is {what} bottom[{i}] {blob.shape}"
    return ""


# --- the whole contract ------------------------------------------------------------------------------


def check_layer(layer: Layer, bottom: Sequence[Blob], num_tops: int = 1, **options: object) -> float:
    """Set a layer up on filled float64 bottoms and check the whole contract that can be checked from outside.

    A second reshape changes nothing. Each pass writes only what it may. Bottom diffs are overwritten, parameter diffs
    are added to, and a diff that is not asked for is left alone. The layer keeps no array of a bottom or a top. The
    gradients are right; `options` go to `check_gradient`.

    Returns the largest relative error. Raises AssertionError for what does not hold.
    """
    top = [Blob(dtype=layer.dtype) for _ in range(num_tops)]
    layer.SetUp(bottom, top)
    shapes = [t.shape for t in top]
    layer.Reshape(bottom, top)
    if shapes != [t.shape for t in top]:
        raise AssertionError(f"{layer!r}: a second reshape gave tops {[t.shape for t in top]}, the first {shapes}")
    asked = [layer.allow_force_backward(i) for i in range(len(bottom))]
    _check_writes(layer, bottom, top, asked)
    _check_diffs(layer, bottom, top, asked)
    _check_kept(layer, bottom, top)
    return check_gradient(layer, bottom, top, **options)  # type: ignore[arg-type]


def _check_writes(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], asked: Sequence[bool]) -> None:
    """AssertionError where forward writes more than the tops' data and statistics, or backward more than diffs of
    bottoms and blobs."""
    bottoms = [(f"bottom[{i}]", blob) for i, blob in enumerate(bottom)]
    tops = [(f"top[{i}]", blob) for i, blob in enumerate(top)]
    learned = [(f"blobs[{i}]", blob) for i, blob in enumerate(layer.blobs) if layer.param_propagate_down[i]]
    rng.seed(1701)
    with _random_where_constant(layer, np.random.default_rng(1701)):
        for _, blob in [*bottoms, *learned]:
            blob.diff.fill(FILL)
        with _left_alone(layer, "forward", [*bottoms, *learned], diffs=[*bottoms, *learned]):
            layer.Forward(bottom, top)
        for blob in top:
            blob.diff.fill(1.0)
        with _left_alone(layer, "backward", [*bottoms, *tops, *learned], diffs=[] if layer.shares_data else tops):
            layer.Backward(top, asked, bottom)


@contextmanager
def _left_alone(layer: Layer, what: str, datas: Sequence[tuple[str, Blob]],
                diffs: Sequence[tuple[str, Blob]]) -> Iterator[None]:
    """AssertionError where the `with` block changes the data of one of `datas` or the diff of one of `diffs`."""
    kept = [(f"the data of {name}", blob, "data") for name, blob in datas]
    kept += [(f"the diff of {name}", blob, "diff") for name, blob in diffs]
    before = [getattr(blob, part).copy() for _, blob, part in kept]
    yield
    for (words, blob, part), values in zip(kept, before, strict=True):
        if not np.array_equal(getattr(blob, part), values, equal_nan=True):
            raise AssertionError(f"{layer!r}: {what} changes {words}, which it may only read")


def _check_diffs(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], asked: Sequence[bool]) -> None:
    """AssertionError unless backward overwrites the bottoms' diffs, adds to the blobs' and leaves unasked ones."""
    once, once_blobs = _diffs_after(layer, bottom, top, asked, fill=0.0)
    again, again_blobs = _diffs_after(layer, bottom, top, asked, fill=FILL)
    for i, (first, second) in enumerate(zip(once, again, strict=True)):
        if asked[i] and not np.array_equal(first, second, equal_nan=True):
            raise _not_overwritten(i, first, second, layer, bottom, top, asked)
    for i, (first, second) in enumerate(zip(once_blobs, again_blobs, strict=True)):
        lost = np.abs(second - first - FILL) > 1e-9 * (FILL + np.abs(first))  # False for NaN, a mistake of another kind
        if layer.param_propagate_down[i] and lost.any():
            raise AssertionError(f"{layer!r}: backward overwrites the diff of blobs[{i}] instead of adding to it "
                                 "(= where += belongs)")
    _check_unasked(layer, bottom, top, asked, once)


def _not_overwritten(i: int, first: np.ndarray, second: np.ndarray, layer: Layer, bottom: Sequence[Blob],
                     top: Sequence[Blob], asked: Sequence[bool]) -> AssertionError:
    """Return the error for a bottom whose diff is `first` when it began at 0, and `second` when it began at FILL."""
    # A third pass, which begins as the second did, tells chance from a diff that depends on what it held before.
    if not np.array_equal(second, _diffs_after(layer, bottom, top, asked, fill=FILL)[0][i], equal_nan=True):
        return AssertionError(f"{layer!r}: two passes with the same seed give bottom[{i}] different gradients; "
                              "random numbers must come from self.rng, and nothing may be left over from the "
                              "pass before")
    if not first.any() and (second == FILL).all():
        return AssertionError(f"{layer!r}: backward does not write the diff of bottom[{i}]")
    return AssertionError(f"{layer!r}: backward adds to the diff of bottom[{i}] instead of overwriting it "
                          "(+= where = belongs)")


def _check_unasked(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], asked: Sequence[bool],
                   gradients: Sequence[np.ndarray]) -> None:
    """AssertionError where backward writes a diff that is not asked for, or a gradient depends on what else is asked.

    First no bottom is asked for, then all but one, for each of them. `gradients` are those with all asked for.
    """
    for left_out in [None, *(i for i, a in enumerate(asked) if a)]:
        some = [a and left_out is not None and i != left_out for i, a in enumerate(asked)]
        if layer.shares_data and not any(some):
            continue  # the bottom's diff is the top's
        for i, diff in enumerate(_diffs_after(layer, bottom, top, some, fill=FILL)[0]):
            if not some[i] and (diff != FILL).any():
                raise AssertionError(f"{layer!r}: backward wrote the diff of bottom[{i}] without being asked")
            if some[i] and not _alike(diff, gradients[i]):
                raise AssertionError(f"{layer!r}: the gradient of bottom[{i}] is another one when bottom[{left_out}] "
                                     "is not asked for")


def _check_kept(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
    """AssertionError where an attribute of the layer holds an array of a bottom or a top.

    The net may give a blob other memory between two passes; the layer would then read or write the old one.
    """
    for name, value in vars(layer).items():
        for array in arrays_in(value):
            for words, blobs in (("bottom", bottom), ("top", top)):
                for i, blob in enumerate(blobs):
                    if any(np.shares_memory(array, a) for a in (blob.data, blob.diff)):
                        raise AssertionError(f"{layer!r}: self.{name} keeps the memory of {words}[{i}] between two "
                                             "calls; fetch it from the blob in each call, or keep a copy")


def arrays_in(value: object) -> Iterator[np.ndarray]:
    """Yield the arrays in a value, in lists, tuples and dictionaries, and in the fields of a dataclass."""
    if isinstance(value, np.ndarray):
        yield value
    elif is_dataclass(value):
        yield from arrays_in(vars(value))
    elif isinstance(value, dict):
        yield from arrays_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from arrays_in(inner)


def _diffs_after(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], asked: Sequence[bool],
                 fill: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the diffs of the bottoms and of the blobs after one backward pass.

    Before it, the tops' diffs are 1 and all others are `fill`.
    """
    rng.seed(1701)
    layer.Forward(bottom, top)
    for blob in [*bottom, *layer.blobs]:
        blob.diff.fill(fill)
    for blob in top:  # last: a layer whose bottom and top share memory has one diff
        blob.diff.fill(1.0)
    layer.Backward(top, asked, bottom)
    return [b.diff.copy() for b in bottom], [b.diff.copy() for b in layer.blobs]
