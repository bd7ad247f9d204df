"""Is what a layer's `backward` computes the derivative of its `forward`?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.layer import Layer
from minicaffe.testing.slopes import FACTOR, NOT_PROPORTIONAL, GradientError, alike, kind_of_mistake, slopes_of


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
    with random_where_constant(layer, draw):
        for which, ((name, blob), analytic) in enumerate(zip(checked, loss.gradients(checked), strict=True)):
            slopes = slopes_of(blob, analytic, loss.value, draw, step, kinks, kink_range)
            scaled = loss.gradients(checked, FACTOR)[which]
            try:
                errors.append(slopes.largest_error(tolerance, zero=name in zero_names))
            except GradientError as error:
                kind = kind_of_mistake(slopes, analytic, scaled, bottom)
                raise GradientError(f"{layer!r}: the gradient of {name} {blob.shape} {error}{kind}") from None
            if not alike(scaled, FACTOR * analytic):
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
def random_where_constant(layer: Layer, draw: np.random.Generator) -> Iterator[None]:
    """Put random numbers into each learnable blob whose numbers are all equal; afterwards put the old ones back."""
    kept = [(blob, blob.data.copy()) for blob, learned in zip(layer.blobs, layer.param_propagate_down, strict=True)
            if learned and blob.count and np.ptp(blob.data) == 0]
    for blob, values in kept:
        blob.data[...] = varied(values, draw)
    try:
        yield
    finally:
        for blob, values in kept:
            blob.data[...] = values


def varied(values: np.ndarray, draw: np.random.Generator, size: float = 1.0) -> np.ndarray:
    """Return random numbers for an array that holds one number all over: normal ones of this size where it is 0."""
    if values.any():  # around the number, with its sign: it may have to be positive
        return values * draw.uniform(0.5, 1.5, values.shape)
    return size * draw.standard_normal(values.shape)
