"""Kernels of object detectors. A box is its corners (xmin, ymin, xmax, ymax)."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.registry import kernel


@kernel
def nms(boxes: np.ndarray, threshold: float, eta: float, pixel: float, keep: np.ndarray) -> None:
    """keep[i] = 1 where no box that is kept before i overlaps box i by more than `threshold`, else 0.

    boxes (M, 4) stand in the order in which they are looked at, the best first; keep (M,) is of uint8. A box measures
    xmax − xmin + pixel by ymax − ymin + pixel: with corners that are pixels of an image, pixel is 1. After each box
    that is kept, a threshold above 0.5 is multiplied by eta.
    """
    number = boxes.dtype.type
    threshold, eta, half = number(threshold), number(eta), number(0.5)
    most = np.zeros(len(boxes), boxes.dtype)  # the largest overlap of each box with one that is kept
    for i in range(len(boxes)):
        keep[i] = most[i] <= threshold
        if keep[i]:
            np.maximum(most, overlaps(boxes[i], boxes, number(pixel)), out=most)
            if threshold > half:
                threshold *= eta


def overlaps(box: np.ndarray, boxes: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """The area that a box (4,) shares with each of the boxes (M, 4), divided by the area that the two cover together.

    A box whose far corner lies before its near one has the area 0, and shares none.
    """
    with np.errstate(all="ignore"):  # of boxes that share nothing, or reach to infinity
        low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
        w, h = (high - low + pixel).T
        shared = w * h
        return np.where((w > 0) & (h > 0), shared / (area(box, pixel) + area(boxes, pixel) - shared), 0)


def area(boxes: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """The areas of boxes (…, 4)."""
    w, h = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return np.where((w < 0) | (h < 0), 0, (w + pixel) * (h + pixel)).astype(boxes.dtype)
