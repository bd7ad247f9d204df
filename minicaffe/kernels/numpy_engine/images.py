"""Images made ready for a net with few calls of numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.kernels.definitions import images as definitions

CACHED = 1 << 18  # bytes of out that are computed at once: so many stay in the processor's cache


@definitions.crop_and_scale.implementation("numpy")
def crop_and_scale(x: Sequence[np.ndarray], tops: np.ndarray, lefts: np.ndarray, mirrored: np.ndarray,
                   mean: np.ndarray | None, scale: float, out: np.ndarray) -> None:
    """Several images at once where they are in one array and so small that they fit into the cache."""
    some = CACHED // out[0].nbytes if isinstance(x, np.ndarray) and out.size else 0
    if some < 2:
        definitions.crop_and_scale.definition(x, tops, lefts, mirrored, mean, scale, out)
        return
    h, w = out.shape[2:]
    whole = None if mean is None or mean[0].size == 1 else np.broadcast_to(mean, (len(out), *mean.shape))
    for part in (slice(start, start + some) for start in range(0, len(out), some)):
        y, turned = out[part], np.flatnonzero(mirrored[part])
        y[...] = _crops(x[part], tops[part], lefts[part], h, w)
        if mean is not None:
            m = mean if whole is None else _crops(whole[part], tops[part], lefts[part], h, w)
            y -= m.astype(y.dtype, copy=False)
        if scale != 1:
            y *= y.dtype.type(scale)
        if len(turned):
            y[turned] = y[turned, :, :, ::-1]


def _crops(images: Any, tops: np.ndarray, lefts: np.ndarray, h: int, w: int) -> np.ndarray:
    """Return the crop (h, w) of each image (N, C, H, W) that begins at its row and column."""
    if (tops == tops[0]).all() and (lefts == lefts[0]).all():
        return images[:, :, tops[0]:tops[0] + h, lefts[0]:lefts[0] + w]
    windows = np.lib.stride_tricks.sliding_window_view(images, (h, w), (2, 3))
    return windows[np.arange(len(images)), :, tops, lefts]
