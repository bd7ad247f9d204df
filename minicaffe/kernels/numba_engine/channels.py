"""Channel by channel in compiled tasks, which change every number once for all steps of a kernel."""

from __future__ import annotations

import math

import numpy as np

from minicaffe.kernels.definitions import channels as definitions
from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.pieces import add, copy, floats_of, part, pieces, unless_same
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import helper, values


@definitions.add_bias.implementation("numba", recordable=True)
def add_bias(x: np.ndarray, b: np.ndarray, axis: int, out: np.ndarray) -> None:
    """Run the task that all these kernels share: (x − m) · s + b in one pass over memory."""
    _affine(x, None, None, b, axis, out)


@definitions.scale_channels.implementation("numba", recordable=True)
def scale_channels(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, axis: int, out: np.ndarray) -> None:
    """Run the same task as `add_bias`, in one pass over memory."""
    _affine(x, None, w, b, axis, out)


@definitions.normalize_channels.implementation("numba", recordable=True)
def normalize_channels(x: np.ndarray, mu: np.ndarray, inverse_std: np.ndarray, out: np.ndarray) -> None:
    """Run the same task as `add_bias`, in one pass over memory."""
    _affine(x, mu, inverse_std, None, 1, out)


@definitions.scale_around.implementation("numba", recordable=True)
def scale_around(x: np.ndarray, mu: np.ndarray, w: np.ndarray, b: np.ndarray | None, out: np.ndarray) -> None:
    """Run the same task as `add_bias`, in one pass over memory."""
    _affine(x, mu, w, b, 1, out)


def _affine(x: np.ndarray, before: np.ndarray | None, scale: np.ndarray | None, after: np.ndarray | None, axis: int,
            out: np.ndarray) -> None:
    """out = (x − before) · scale + after, where None leaves a step out. Their axes are those of x from `axis` on."""
    channels = next(values for values in (before, scale, after) if values is not None)
    N, C, P = math.prod(x.shape[:axis]), channels.size, math.prod(x.shape[axis + channels.ndim:])
    if P == 1:  # a row of channels is longer than rows of one number
        count = pieces(x.size, N)
        _affine_rows(count, unless_same(x, out), before, scale, after, out, N, C, count)
    else:
        count = pieces(x.size, N * C)
        _affine_planes(count, unless_same(x, out), before, scale, after, out, N * C, C, P, count)


@definitions.global_stats.implementation("numba", recordable=True)
def global_stats(mean: np.ndarray, variance: np.ndarray, factor: np.ndarray, eps: float, mu: np.ndarray,
                 inverse_std: np.ndarray) -> None:
    """Compute all channels in one piece.

    This is little work, but only a compiled task can be recorded with the rest of a pass.
    """
    _global_stats(1, mean, variance, factor, float(eps), mu, inverse_std, mean.size)


@definitions.divide_by_std.implementation("numba", recordable=True)
def divide_by_std(w: np.ndarray | None, variance: np.ndarray, eps: float, out: np.ndarray) -> None:
    """Compute all numbers in one piece, as `global_stats` does and for the same reason."""
    _divide_by_std(1, w, variance, float(eps), out, out.size)


@definitions.prelu.implementation("numba", recordable=True)
def prelu(x: np.ndarray, a: np.ndarray, out: np.ndarray) -> None:
    """In one pass over memory, row by row: all numbers of a row have the same slope."""
    N, C, P = *x.shape[:2], math.prod(x.shape[2:])
    count = pieces(x.size, N * C)
    _prelu(count, unless_same(x, out), a, out, N * C, a.size, P, count)


# --- compiled tasks: x is address 0 to work in place, and then the first of two loops runs (see unless_same) --------

@task
def _prelu(block, piece):
    """y = max(x, 0) + a · min(x, 0), by rows of P numbers with a slope each: slopes repeat."""
    x, slopes, y, rows, channels, P, count = values(block, 7)
    a_of = words.floats(slopes, channels)
    first, end = part(rows, piece, count)
    for r in range(first, end):
        a, out = a_of[r % channels], floats_of(y, r * P, (r + 1) * P)
        if x == 0:
            for i in range(P):
                out[i] = _bent(out[i], a)
        else:
            source = floats_of(x, r * P, (r + 1) * P)
            for i in range(P):
                out[i] = _bent(source[i], a)


@helper
def _bent(v, a):
    zero = np.float32(0)
    return (zero if v < zero else v) + a * (zero if v > zero else v)


@task
def _affine_planes(block, piece):
    """y = (x − before[c]) · scale[c] + after[c], by rows of P numbers of a channel c."""
    x, before, scale, after, y, rows, C, P, count = values(block, 9)
    first, end = part(rows, piece, count)
    for r in range(first, end):
        m, s, b = _number(before, r % C, 0), _number(scale, r % C, 1), _number(after, r % C, 0)
        out = floats_of(y, r * P, (r + 1) * P)
        if x == 0:
            for i in range(P):
                out[i] = (out[i] - m) * s + b
        else:
            source = floats_of(x, r * P, (r + 1) * P)
            for i in range(P):
                out[i] = (source[i] - m) * s + b


@helper
def _number(address, index, default):
    """Number `index` of the array at an address, or the default where there is no array."""
    return words.floats(address, index + 1)[index] if address else np.float32(default)


@task
def _affine_rows(block, piece):
    """Compute the same as `_affine_planes` where each row of x holds one number of every channel."""
    x, before, scale, after, y, N, C, count = values(block, 8)
    first, end = part(N, piece, count)
    for n in range(first, end):
        out = floats_of(y, n * C, (n + 1) * C)
        if x:
            copy(floats_of(x, n * C, (n + 1) * C), out)
        if before:
            means = words.floats(before, C)
            for c in range(C):
                out[c] -= means[c]
        if scale:
            factors = words.floats(scale, C)
            for c in range(C):
                out[c] *= factors[c]
        if after:
            add(words.floats(after, C), out)


@task
def _global_stats(block, piece):
    """mu = mean / factor and inverse_std = 1 / √(variance / factor + eps), for each channel; here 1 / 0 is 0."""
    mean_at, variance_at, factor_at, little, mu_at, inverse_at, C = values(block, 7)
    mean, variance, factor = words.floats(mean_at, C), words.floats(variance_at, C), words.floats(factor_at, 1)[0]
    mu, inverse_std, eps = words.floats(mu_at, C), words.floats(inverse_at, C), np.float32(words.number(little))
    share = np.float32(1) / factor if factor != 0 else np.float32(0)
    for c in range(C):
        mu[c] = mean[c] * share
        inverse_std[c] = np.float32(1) / np.sqrt(variance[c] * share + eps)


@task
def _divide_by_std(block, piece):
    """out = w / √(variance + eps), number by number."""
    w, variance_at, little, out_at, C = values(block, 5)
    variance, out, eps = words.floats(variance_at, C), words.floats(out_at, C), np.float32(words.number(little))
    for c in range(C):
        out[c] = _number(w, c, 1) / np.sqrt(variance[c] + eps)
