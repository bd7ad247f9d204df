"""Kernels that treat each channel with its own numbers: a few images at a time, so that they stay in cache."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minicaffe.kernels import shards
from minicaffe.kernels.definitions import channels as definitions


@definitions.add_bias.implementation("numpy")
def add_bias(x: np.ndarray, b: np.ndarray, axis: int, out: np.ndarray) -> None:
    """One addition, on a few images at a time."""
    _apply(x, axis, out, (np.add, b))


@definitions.scale_channels.implementation("numpy")
def scale_channels(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, axis: int, out: np.ndarray) -> None:
    """The product and then the sum, on a few images at a time."""
    _apply(x, axis, out, (np.multiply, w), *([] if b is None else [(np.add, b)]))


@definitions.normalize_channels.implementation("numpy")
def normalize_channels(x: np.ndarray, mu: np.ndarray, inverse_std: np.ndarray, out: np.ndarray) -> None:
    """The difference and then the product, on a few images at a time."""
    _apply(x, 1, out, (np.subtract, mu), (np.multiply, inverse_std))


@definitions.scale_around.implementation("numpy")
def scale_around(x: np.ndarray, mu: np.ndarray, w: np.ndarray, b: np.ndarray | None, out: np.ndarray) -> None:
    """The difference, the product and the sum, on a few images at a time."""
    _apply(x, 1, out, (np.subtract, mu), (np.multiply, w), *([] if b is None else [(np.add, b)]))


def _apply(x: np.ndarray, axis: int, out: np.ndarray, *steps: tuple[Callable[..., object], np.ndarray]) -> None:
    """Apply numpy operations one after the other, each with an array whose axes are those of x from `axis` on."""
    b = steps[0][1]  # the arrays of all steps are of one shape
    sizes = math.prod(x.shape[:axis]), b.size, math.prod(x.shape[axis + b.ndim:])
    columns = [(step, values.reshape(-1, 1)) for step, values in steps]

    def images(x: np.ndarray, out: np.ndarray) -> None:
        for step, values in columns:
            step(x, values, out=out)
            x = out

    shards.for_images(images, x.reshape(sizes), out.reshape(sizes))


@definitions.prelu.implementation("numpy")
def prelu(x: np.ndarray, a: np.ndarray, out: np.ndarray) -> None:
    """A few images at a time, with memory for what they have below 0."""
    sizes, slopes = (*x.shape[:2], math.prod(x.shape[2:])), a.reshape(-1, 1)

    def images(x: np.ndarray, out: np.ndarray) -> None:
        below = np.minimum(x, 0)
        below *= slopes
        np.maximum(x, 0, out=out)
        out += below

    shards.for_images(images, x.reshape(sizes), out.reshape(sizes))
