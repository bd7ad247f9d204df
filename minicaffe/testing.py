"""Checks for layers, ours and users' own: does `backward` compute the derivative of `forward`?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.layer import Layer

EVERY_ELEMENT = 400  # larger blobs are checked along random directions instead
DIRECTIONS = 8


class GradientError(AssertionError):
    """`backward` disagrees with the difference quotient of `forward`."""


def check_gradient(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], *,
                   bottoms: Sequence[int] | None = None, tops: Sequence[int] | None = None,
                   parameters: bool = True, step: float = 1e-5, tolerance: float = 1e-6,
                   kinks: Sequence[float] = (), kink_range: float = 1e-3, seed: int = 1701) -> float:
    """Compare a layer's gradients with central differences of L = Σ r · y for a random r.

    layer, bottom, top    a layer whose SetUp(bottom, top) has run; all blobs float64, bottoms filled
    bottoms, tops         indices of the bottoms to check and the tops that L sums (default: all; losses
                          leave their labels out)
    parameters            whether the learnable blobs are checked too
    step                  ε of (L(v + ε) − L(v − ε)) / 2ε
    tolerance             largest allowed |analytic − numeric| / max |numeric| within one blob
    kinks, kink_range     elements this close to one of these values are skipped: no derivative there
    seed                  of the process's generator before each forward, so that Dropout repeats itself

    Returns the largest relative error. Raises GradientError, with both numbers, and TypeError for
    blobs that are not float64.
    """
    if any(b.dtype is not np.float64 for b in [*bottom, *top, *layer.blobs]):
        raise TypeError("a gradient is checked in float64: make the layer and its blobs with dtype=np.float64")
    if bottoms is None:
        bottoms = [i for i in range(len(bottom)) if layer.allow_force_backward(i)]
    tops = range(len(top)) if tops is None else tops
    draw = np.random.default_rng(seed)
    r = {i: draw.standard_normal(top[i].shape) for i in tops}

    def objective() -> float:
        rng.seed(seed)
        layer.Forward(bottom, top)
        return float(sum((r[i] * top[i].data).sum() for i in tops))

    objective()
    _run_backward(layer, bottom, top, r, bottoms)
    checked = [(f"bottom[{i}]", bottom[i], bottom[i].diff.copy()) for i in bottoms]
    if parameters:
        checked += [(f"blobs[{i}]", b, b.diff.copy()) for i, b in enumerate(layer.blobs)
                    if layer.param_propagate_down[i]]
    return max((_compare(layer, name, blob, analytic, objective, draw, step, tolerance, kinks, kink_range)
                for name, blob, analytic in checked), default=0.0)


def _run_backward(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], r: dict[int, np.ndarray],
                  bottoms: Sequence[int]) -> None:
    for i, blob in enumerate(top):
        blob.diff[...] = r.get(i, 0.0)
    for blob in layer.blobs:
        blob.diff.fill(0)
    layer.Backward(top, [i in bottoms for i in range(len(bottom))], bottom)


def _compare(layer: Layer, name: str, blob: Blob, analytic: np.ndarray, objective, draw: np.random.Generator,  # type: ignore[no-untyped-def]
             step: float, tolerance: float, kinks: Sequence[float], kink_range: float) -> float:
    start, pairs = blob.data.copy(), []
    for label, direction in _directions(start, draw, kinks, kink_range):
        blob.data[...] = start + step * direction
        above = objective()
        blob.data[...] = start - step * direction
        below = objective()
        pairs.append((label, float((analytic * direction).sum()), (above - below) / (2 * step)))
    blob.data[...] = start
    objective()
    scale = max([abs(n) for _, _, n in pairs] + [abs(a) for _, a, _ in pairs] + [1e-8])
    errors = [abs(a - n) / scale for _, a, n in pairs]
    if not errors:
        return 0.0
    worst = int(np.argmax(np.nan_to_num(errors, nan=np.inf)))
    if not errors[worst] <= tolerance:
        label, a, n = pairs[worst]
        raise GradientError(
            f"{layer!r}: the gradient of {name} {start.shape} is wrong in {sum(not e <= tolerance for e in errors)} "
            f"of {len(errors)} places, worst at {label}: backward says {a:.9g}, the difference quotient {n:.9g}")
    return errors[worst]


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


def check_layer(layer: Layer, bottom: Sequence[Blob], num_tops: int = 1, **options: object) -> float:
    """Set a layer up on filled float64 bottoms and check the whole contract that can be checked from outside.

    Reshape is repeatable, bottom diffs are overwritten, parameter diffs are accumulated, an unasked diff is
    left alone, and the gradients are right (`options` go to `check_gradient`). Returns the largest relative
    error; raises AssertionError for what does not hold.
    """
    top = [Blob(dtype=layer.dtype) for _ in range(num_tops)]
    layer.SetUp(bottom, top)
    shapes = [t.shape for t in top]
    layer.Reshape(bottom, top)
    if shapes != [t.shape for t in top]:
        raise AssertionError(f"{layer!r}: a second reshape gave tops {[t.shape for t in top]}, the first {shapes}")
    worst = check_gradient(layer, bottom, top, **options)  # type: ignore[arg-type]
    asked = [layer.allow_force_backward(i) for i in range(len(bottom))]
    once = _diffs_after(layer, bottom, top, asked, fill=7.0)
    again = _diffs_after(layer, bottom, top, asked, fill=-3.0)
    for i, (first, second) in enumerate(zip(*once[:1], *again[:1], strict=True)):
        if asked[i] and not np.array_equal(first, second):
            raise AssertionError(f"{layer!r}: backward adds to the diff of bottom[{i}] instead of overwriting it")
    for i, (first, second) in enumerate(zip(once[1], again[1], strict=True)):
        if not np.allclose(first - 7.0, second + 3.0, rtol=1e-9, atol=1e-9):
            raise AssertionError(f"{layer!r}: backward overwrites the diff of blobs[{i}] instead of adding to it")
    untouched = _diffs_after(layer, bottom, top, [False] * len(bottom), fill=5.0)[0]
    for i, diff in enumerate(untouched):
        if (diff != 5.0).any():
            raise AssertionError(f"{layer!r}: backward wrote the diff of bottom[{i}] without being asked")
    return worst


def _diffs_after(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], asked: Sequence[bool],
                 fill: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """All diffs after one backward from unit top diffs, every diff having started at `fill`."""
    rng.seed(1701)
    layer.Forward(bottom, top)
    for blob in top:
        blob.diff.fill(1.0)
    for blob in [*bottom, *layer.blobs]:
        blob.diff.fill(fill)
    layer.Backward(top, asked, bottom)
    return [b.diff.copy() for b in bottom], [b.diff.copy() for b in layer.blobs]
