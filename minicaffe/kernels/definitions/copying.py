"""Kernels that move numbers from one array to another: all of them, or a part along some axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def copy(x: np.ndarray, out: np.ndarray) -> None:
    """out = x. Both are of one shape."""
    out[...] = x


@kernel
def take_slice(x: np.ndarray, axis: int, start: int, out: np.ndarray) -> None:
    """out = the slice of x that begins at place `start` of `axis` and is as long as out. Other axes are equal."""
    part = (*[slice(None)] * axis, slice(start, start + out.shape[axis]))
    out[...] = x[part]


@kernel
def put_slice(x: np.ndarray, axis: int, start: int, out: np.ndarray) -> None:
    """The slice of out that begins at place `start` of `axis` and is as long as x becomes x; the rest of out stays."""
    part = (*[slice(None)] * axis, slice(start, start + x.shape[axis]))
    out[part] = x


@kernel
def crop(x: np.ndarray, start: Sequence[int], out: np.ndarray) -> None:
    """out = the part of x that begins at the index `start` and has the shape of out. There is at least one axis."""
    out[...] = x[tuple(slice(first, first + size) for first, size in zip(start, out.shape, strict=True))]


@kernel
def transpose(x: np.ndarray, order: Sequence[int], out: np.ndarray) -> None:
    """out = x with its axes in another order: axis k of out is axis order[k] of x. The two share no memory."""
    out[...] = x.transpose(order)
