"""The kernel that makes a data layer's top of images, as their sources hold them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def crop_and_scale(x: Sequence[np.ndarray], tops: np.ndarray, lefts: np.ndarray, mirrored: np.ndarray,
                   mean: np.ndarray | None, scale: float, out: np.ndarray) -> None:
    """out[n] = (crop − mean) · scale, where the crop begins in image x[n] at row tops[n] and column lefts[n].

    The images (C, H, W) are uint8 and may differ in height and width, and so may the order in which their memory holds
    the three axes. A mean (C, 1, 1) or (1, 1, 1) has a number for each channel or one for all; one (C, H, W) has the
    size of the images, and is cropped as they are. Where mirrored[n] is true, out[n] has its columns in reverse order.
    out (N, C, h, w) has the size of the crops. Its number type is also that of the arithmetic.
    """
    h, w = out.shape[2:]
    for n, image in enumerate(x):
        crop = np.s_[:, tops[n]:tops[n] + h, lefts[n]:lefts[n] + w]
        y = out[n, :, :, ::-1] if mirrored[n] else out[n]
        y[...] = image[crop]
        if mean is not None:
            y -= (mean[crop] if mean[0].size > 1 else mean).astype(out.dtype)
        y *= out.dtype.type(scale)
