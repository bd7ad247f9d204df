"""Boxes of object detectors in compiled tasks."""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import boxes as definitions
from minicaffe.kernels.numba_engine.pieces import flags_of, floats_of
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.words import helper, number, values
from minicaffe.kernels.workspace import borrow


@definitions.nms.implementation("numba", recordable=True)
def nms(boxes: np.ndarray, threshold: float, eta: float, pixel: float, keep: np.ndarray) -> None:
    """Compare a box only with those kept before it, and only up to the first that overlaps it too much.

    The boxes depend on each other, so this is one piece.
    """
    kept = borrow("kept boxes", (len(boxes), 5), np.float32)  # their corners and areas
    _nms(1, boxes, float(threshold), float(eta), float(pixel), kept, keep, len(boxes))


@task
def _nms(block, piece):
    """keep[i] = 1 where no box kept before i overlaps box i by more than the threshold."""
    boxes_at, threshold_bits, eta_bits, pixel_bits, kept_at, keep_at, M = values(block, 7)
    boxes, keep = floats_of(boxes_at, 0, 4 * M), flags_of(keep_at, 0, M)
    kept = floats_of(kept_at, 0, 5 * M)
    threshold, eta = np.float32(number(threshold_bits)), np.float32(number(eta_bits))
    pixel, count = np.float32(number(pixel_bits)), 0
    for i in range(M):
        x0, y0, x1, y1 = boxes[4 * i], boxes[4 * i + 1], boxes[4 * i + 2], boxes[4 * i + 3]
        area, apart = _area(x0, y0, x1, y1, pixel), True
        for k in range(0, 5 * count, 5):
            w = _lesser(x1, kept[k + 2]) - _greater(x0, kept[k]) + pixel
            h = _lesser(y1, kept[k + 3]) - _greater(y0, kept[k + 1]) + pixel
            if w > 0 and h > 0:
                shared = w * h
                if not shared / (kept[k + 4] + area - shared) <= threshold:
                    apart = False
                    break
        keep[i] = 1 if apart else 0
        if apart:
            at = 5 * count
            kept[at], kept[at + 1], kept[at + 2], kept[at + 3], kept[at + 4] = x0, y0, x1, y1, area
            count += 1
            if threshold > np.float32(0.5):
                threshold *= eta


@helper
def _area(x0, y0, x1, y1, pixel):
    """The area of a box, 0 where its far corner lies before its near one."""
    w, h = x1 - x0, y1 - y0
    return np.float32(0) if w < 0 or h < 0 else (w + pixel) * (h + pixel)


@helper
def _lesser(a, b):
    """The smaller number; NaN where one of them is NaN."""
    return b if b < a or b != b else a


@helper
def _greater(a, b):
    """The larger number; NaN where one of them is NaN."""
    return b if b > a or b != b else a
