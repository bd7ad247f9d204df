"""Scale images (H, W, K) as Caffe's Python did: without smoothing, and with numpy alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.pycaffe.errors import ImageError

_ORDERS = (0, 1, 3)
_MODES = ("constant", "edge", "symmetric", "reflect")
_PADDING = 12  # pixels around an image before its spline is computed: what is farther off counts less than 1e-6


def resize_image(im: np.ndarray, new_dims: Sequence[int] | np.ndarray, interp_order: int = 1) -> np.ndarray:
    """Return the image (H, W, K) as a float32 array (new_dims[0], new_dims[1], K).

    With one or three channels, pixels are squares whose centres are interpolated. Beyond the border the image has its
    lowest value, so the border of an enlarged image fades. An image is not smoothed before it is made smaller.
    With another number of channels, the centres of the four corners stay in the corners, and nothing fades.

    interp_order    0 takes the nearest pixel, 1 interpolates linearly, 3 with a cubic spline

    Raise ImageError for another number of axes, an image without pixels and another order.
    """
    if isinstance(im, (str, os.PathLike)):
        raise ImageError(f"an image is an array, got the name {str(im)!r}", hint="io.load_image(name) reads the file")
    im = np.asarray(im)
    _check(im, new_dims, interp_order)
    size = int(new_dims[0]), int(new_dims[1])
    if im.shape[-1] not in (1, 3):
        return _corners(im, size, interp_order).astype(np.float32)
    low, high = im.min(), im.max()
    if not high > low:
        return np.full((*size, im.shape[-1]), low, np.float32)
    unit = (im - low) / (high - low)  # Caffe: beyond the border is the lowest value, which is 0 here
    return (_centres(unit, size, interp_order, "constant") * (high - low) + low).astype(np.float32)


def resize(image: np.ndarray, output_shape: Sequence[int], order: int = 1, mode: str = "constant", cval: float = 0,
           clip: bool = True, preserve_range: bool = False, anti_aliasing: bool = False) -> np.ndarray:
    """Return an image (H, W) or (H, W, K) in another height and width, as the function of scikit-image does.

    Caffe's `io` has it, and scripts call it there.

    order             0 takes the nearest pixel, 1 interpolates linearly, 3 with a cubic spline
    mode              what lies beyond the border: 'constant' (the value `cval`), 'edge', 'symmetric' or 'reflect'
    clip              whether the result stays between the lowest and the highest value of the image
    preserve_range    whether whole numbers stay as they are; else they are divided by the largest of their type

    Raise ImageError where another axis would change, for other orders and modes, and for smoothing.
    """
    image = np.asarray(image)
    if anti_aliasing:
        raise ImageError("io.resize does not smooth an image before it makes it smaller",
                         hint="leave out anti_aliasing")
    if mode not in _MODES:
        raise ImageError(f"io.resize has no mode {mode!r}, only {', '.join(_MODES)}")
    x = image[:, :, np.newaxis] if image.ndim == 2 else image
    if tuple(output_shape[2:]) not in ((), image.shape[2:]):
        raise ImageError(f"io.resize changes height and width alone, and cannot make {tuple(output_shape)} of an image "
                         f"of the shape {image.shape}")
    _check(x, output_shape, order)
    x = (x.astype(float) if preserve_range else as_float(x)) - cval
    out = _centres(x, (int(output_shape[0]), int(output_shape[1])), order, mode, clip) + cval
    return out[:, :, 0] if image.ndim == 2 else out


def as_float(image: np.ndarray) -> np.ndarray:
    """Return an image of whole numbers divided by the largest of their type; one of floats is returned as it is.

    Raise ImageError for numbers with a sign, whose type does not tell which of them is white.
    """
    if image.dtype.kind == "f":
        return image
    if image.dtype == bool:
        return image.astype(float)
    if image.dtype.kind == "u":
        return image / float(np.iinfo(image.dtype).max)
    raise ImageError(f"an image has numbers of the type {image.dtype}, which does not tell which of them is white",
                     hint="make it floats between 0 and 1, or uint8")


def _check(im: np.ndarray, new_dims: Sequence[int] | np.ndarray, order: int) -> None:
    if im.ndim != 3 or not im.size:
        raise ImageError(f"an image has the shape (height, width, channels), got {im.shape}",
                         hint="image[:, :, numpy.newaxis] gives a grey image its channel" if im.ndim == 2 else "")
    if len(new_dims) < 2 or min(new_dims[:2]) < 1:
        raise ImageError(f"an image is resized to a height and a width of at least 1, got {tuple(new_dims)}")
    if order not in _ORDERS:
        raise ImageError(f"an image cannot be interpolated with order {order}, only with 0 (the nearest pixel), "
                         "1 (linear) and 3 (cubic spline)")


def _centres(x: np.ndarray, size: tuple[int, int], order: int, mode: str, clip: bool = True) -> np.ndarray:
    """Return x in another height and width, where the centres of the pixels are interpolated."""
    out = x
    for axis, m in enumerate(size):
        n = x.shape[axis]
        out = _interpolate(out, axis, (np.arange(m) + 0.5) * (n / m) - 0.5, order, mode)
    if not clip:
        return out
    low, high = x.min(), x.max()
    if mode == "constant" and out.min() <= 0 <= out.max():  # the 0 beyond the border is seen
        low, high = min(low, 0), max(high, 0)
    return np.clip(out, low, high)


def _corners(x: np.ndarray, size: tuple[int, int], order: int) -> np.ndarray:
    """Return x in another height and width, where the centres of the corners stay in the corners."""
    out = x.astype(float)
    for axis, m in enumerate(size):
        out = _interpolate(out, axis, np.linspace(0, x.shape[axis] - 1, m), order, "reflect")
    # Caffe: what was in whole numbers comes out in whole numbers
    return out if x.dtype.kind == "f" else np.floor(out + 0.5)


def _interpolate(x: np.ndarray, axis: int, place: np.ndarray, order: int, mode: str) -> np.ndarray:
    """Return the values of x along an axis at each `place`, which is counted in pixels from the first one's centre."""
    if order == 3:
        n = x.shape[axis]
        x = _spline(x, axis, mode)
        if x.shape[axis] > n:  # it was padded
            place, mode = place + _PADDING, "reflect"
    across = [1] * x.ndim
    across[axis] = len(place)
    out: Any = 0
    for pixel, weight in _neighbours(place, order):
        index, counts = _beyond(pixel, x.shape[axis], mode)
        out = out + np.take(x, index, axis) * (weight * counts).astype(x.dtype).reshape(across)
    return out


def _neighbours(place: np.ndarray, order: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the pixels that are added up for each place, and the weights of each."""
    if order == 0:
        return [(np.floor(place + 0.5).astype(int), np.ones(len(place)))]
    low = np.floor(place).astype(int)
    t = place - low
    s = 1 - t
    if order == 1:
        return [(low, s), (low + 1, t)]
    return [(low - 1, s**3 / 6), (low, 2 / 3 - t**2 * (2 - t) / 2), (low + 1, 2 / 3 - s**2 * (2 - s) / 2),
            (low + 2, t**3 / 6)]


def _beyond(pixel: np.ndarray, n: int, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the n pixels is read for each one, also beyond the border; and its weight, 0 for a constant."""
    one = np.ones(len(pixel))
    if mode == "symmetric":  # the border's pixels are repeated: 1 0 | 0 1 2
        around = pixel % (2 * n)
        return np.minimum(around, 2 * n - 1 - around), one
    if mode == "reflect":  # they are not: 2 1 | 0 1 2
        around = pixel % max(2 * n - 2, 1)
        return np.minimum(around, 2 * n - 2 - around), one
    inside = np.clip(pixel, 0, n - 1)
    return inside, one if mode == "edge" else (pixel == inside).astype(float)


def _spline(x: np.ndarray, axis: int, mode: str) -> np.ndarray:
    """Return the coefficients c of the cubic spline through x along an axis; unless `mode` is 'reflect', x is padded.

    They solve (c[i-1] + 4 c[i] + c[i+1]) / 6 = x[i], where c is mirrored at both ends.
    """
    c = 6 * np.moveaxis(x, axis, 0).astype(float)
    if mode != "reflect":
        c = np.pad(c, [(_PADDING, _PADDING)] + [(0, 0)] * (c.ndim - 1), mode)  # type: ignore[call-overload]
    n = len(c)
    if n == 1:
        return x
    ratio = np.empty(n)  # Gaussian elimination, from the first row to the last and back
    c[0] /= 4
    ratio[0] = 2 / 4
    for i in range(1, n):
        left = 2 if i == n - 1 else 1
        ratio[i] = 1 / (4 - left * ratio[i - 1])
        c[i] = (c[i] - left * c[i - 1]) * ratio[i]
    for i in range(n - 2, -1, -1):
        c[i] -= ratio[i] * c[i + 1]
    return np.moveaxis(c, 0, axis)
