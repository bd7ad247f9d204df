"""Drawings of the layers of object detectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gallery.canvas import Box, Canvas, number
from gallery.registry import drawing, example, run

SIDE = 200  # pixels of the drawing for an image's width


def place(frame: Box, corners: Sequence[float]) -> Box:
    """Return where a box lies whose corners are parts of the width and height of what the frame shows."""
    wide, high = frame.right - frame.left, frame.bottom - frame.top
    xmin, ymin, xmax, ymax = (float(corner) for corner in corners)
    return Box(frame.left + xmin * wide, frame.top + ymin * high, frame.left + xmax * wide, frame.top + ymax * high)


@drawing("PriorBox")
def prior_box(canvas: Canvas) -> None:
    """The map has two cells. Around each centre lie four boxes: the small square of min_size 20 (thick line), the
    square of 40 that is between min_size and max_size (dashed), and the two shapes of aspect_ratio 4. y has their
    corners as parts of the image's width and height.
    """
    boxes = run('layer { type: "PriorBox" bottom: "map" bottom: "image" top: "y" prior_box_param { min_size: 20 '
                "max_size: 80 aspect_ratio: 4 img_h: 100 img_w: 200 } }", map=np.zeros((1, 1, 1, 2)),
                image=np.zeros((1, 1, 1, 1)))["y"][0, 0].reshape(2, 4, 4)
    frame = Box(6, 28, 6 + 2 * SIDE, 28 + SIDE)
    canvas.text(frame.left, 18, "the image, 200 × 100 pixels", "strong")
    canvas.rect(frame, "plot")
    canvas.line([(frame.x, frame.top), (frame.x, frame.bottom)], "rule")
    for cell in range(2):
        for corners, kind in zip(boxes[cell], ("window", "window second", "outline", "outline"), strict=True):
            canvas.rect(place(frame, corners), kind if cell == 0 else "outline")
        center = place(frame, boxes[cell][0])
        canvas.circle(center.x, center.y, 3, "dot")
        canvas.text(frame.left + cell * SIDE + 6, frame.bottom - 8, f"cell {cell}", "quiet")
    left = frame.right + 24
    grid = canvas.grid(left, 28, [[number(value) for value in corners] for corners in boxes[0]],
                       "y[0, 0] of cell 0", lit=[(0, j) for j in range(4)], width=52)
    for i, words in enumerate(("20 × 20", "40 × 40", "40 × 10", "10 × 40")):
        canvas.label(grid.box.right + 10, grid.cell(i, 0).y, words, "start", "quiet")
    for j, words in enumerate(("xmin", "ymin", "xmax", "ymax")):
        canvas.text(grid.cell(0, j).x, grid.box.bottom + 16, words, "mono quiet", "middle")


@drawing("DetectionOutput")
def detection_output(canvas: Canvas) -> None:
    """The three prior boxes on the left have the scores that stand in them. The first two overlap by 0.6, which is more
    than nms_threshold, so the one with the lower score (crossed out) is left out. The third is moved by its numbers t.
    """
    ran = example("DetectionOutput")
    corners, scores = ran["prior"][0, 0].reshape(3, 4), ran["conf"][0, 1::2]
    found = ran["y"][0, 0]
    corners, moved = corners / 10, found[:, 3:] / 10  # the drawing shows a square with sides of 10
    before, after = Box(6, 28, 6 + SIDE, 28 + SIDE), Box(56 + SIDE, 28, 56 + 2 * SIDE, 28 + SIDE)
    canvas.text(before.left, 18, "the prior boxes", "strong")
    canvas.text(after.left, 18, "what is kept, decoded", "strong")
    for frame in (before, after):
        canvas.rect(frame, "plot")
    kept = set(found[:, 2].round(6))
    for i, (box, score) in enumerate(zip(corners, scores, strict=True)):
        spot = place(before, box)
        gone = round(float(score), 6) not in kept
        canvas.rect(spot, "window third" if gone else "window")
        end = spot.right if gone else spot.left
        canvas.text(end, spot.top - 6, number(score), "mono", "end" if gone else "start")
        if gone:
            canvas.line([(end - 26, spot.top - 10), (end + 2, spot.top - 10)], "cross")
        elif i == 2:
            canvas.rect(place(after, box), "outline")
    for score, box in zip(found[:, 2], moved, strict=True):
        spot = place(after, box)
        canvas.rect(spot, "window")
        canvas.text(spot.left, spot.top - 6, number(score), "mono")
    canvas.arrow((before.right + 10, before.y), (after.left - 10, after.y))
    grid = canvas.grid(before.left, before.bottom + 18, found, "y[0, 0]", width=58)
    for j, words in enumerate(("image", "class", "score", "xmin", "ymin", "xmax", "ymax")):
        canvas.text(grid.cell(0, j).x, grid.box.bottom + 16, words, "mono quiet", "middle")
