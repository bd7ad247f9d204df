"""Drawings of the layers of object detectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gallery.canvas import Box, Canvas, number
from gallery.registry import cells_where, drawing, example, run

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
    found_grid(canvas, found, before.left, before.bottom + 18)


@drawing("Proposal")
def proposal(canvas: Canvas) -> None:
    """A map of three cells, each with one anchor, on an image of 12 × 4 pixels. The numbers t move the first anchor a
    little to the right, and the third onto the second. Of two boxes at one place the one with the lower score (crossed
    out) is left out. y has the others, the best first: the number of the image, and the corners.
    """
    ran = example("Proposal")
    score, t, found = ran["score"][0, 1, 0], ran["t"][0, 0, 0], ran["y"]
    before, after = Box(6, 28, 306, 128), Box(366, 28, 666, 128)
    canvas.text(before.left, 18, "the anchors, with the scores", "strong")
    canvas.text(after.left, 18, "the boxes", "strong")
    for frame in (before, after):
        canvas.rect(frame, "plot")
    for cell in range(3):
        spot = place(before, (cell / 3, 0, (cell + 1) / 3, 1))
        canvas.rect(spot, "window")
        canvas.text(spot.x, spot.y, number(score[cell]), "mono", "middle")
        canvas.text(spot.x, spot.y + 18, f"t_x = {number(t[cell])}", "mono quiet", "middle")
    for (_, x1, y1, x2, y2), kept in zip(found, score[[0, 2]], strict=True):
        spot = place(after, (x1 / 12, y1 / 4, (x2 + 1) / 12, (y2 + 1) / 4))  # the last pixel is part of the box
        canvas.rect(spot, "window")
        middle = spot.x + (-24 if kept == score[0] else 24)  # beside the part that both boxes cover
        canvas.text(middle, spot.y, number(kept), "mono", "middle")
    canvas.text(middle, spot.y + 20, number(score[1]), "mono", "middle")
    canvas.line([(middle - 15, spot.y + 16), (middle + 15, spot.y + 16)], "cross")
    canvas.arrow((before.right + 10, before.y), (after.left - 10, after.y))
    grid = canvas.grid(after.left, 164, found, "y", width=52)
    for j, words in enumerate(("image", "x1", "y1", "x2", "y2")):
        canvas.text(grid.cell(0, j).x, grid.box.bottom + 16, words, "mono quiet", "middle")


def image(canvas: Canvas, frame: Box, size: tuple[float, float], title: str,
          boxes: Sequence[tuple[Sequence[float], str, str, tuple[float, float]]]) -> None:
    """Draw boxes on an image of `size` = (width, height) pixels: corners, kind, words, and where the words stand.

    That place is given in parts of the box. The last pixels are part of a box.
    """
    canvas.text(frame.left, frame.top - 10, title, "strong")
    canvas.rect(frame, "plot")
    for (x1, y1, x2, y2), kind, words, (right, down) in boxes:
        spot = place(frame, (x1 / size[0], y1 / size[1], (x2 + 1) / size[0], (y2 + 1) / size[1]))
        canvas.rect(spot, kind)
        canvas.label(spot.left + right * (spot.right - spot.left), spot.top + down * (spot.bottom - spot.top), words,
                     kind="mono")


def columns(canvas: Canvas, left: float, top: float, rows: np.ndarray, words: str) -> None:
    """Draw a table of found boxes, with a word below each column."""
    grid = canvas.grid(left, top, rows, "y", width=52)
    for j, word in enumerate(words.split()):
        canvas.text(grid.cell(0, j).x, grid.box.bottom + 16, word, "mono quiet", "middle")


@drawing("BoxGroupOutput")
def box_group_output(canvas: Canvas) -> None:
    """A map of three cells, each with one anchor around its middle, on an image of 12 × 4 pixels. The numbers t move
    the first anchor a little to the right, and the third onto the second. A score is 1 − p. Of two boxes at one place
    the one with the lower score (crossed out) is left out. y has the others, the best first.
    """
    ran = example("BoxGroupOutput")
    p, t, found = ran["p"][0, 0, 0], ran["t"][0, 0, 0], ran["y"][:, :, 0, 0]
    before, after = Box(6, 28, 306, 128), Box(366, 28, 666, 128)
    image(canvas, before, (12, 4), "the anchors, with p", [
        ((4 * cell, 0, 4 * cell + 3, 3), "window", number(p[cell]), (0.5, 0.4)) for cell in range(3)])
    for cell in range(3):
        canvas.text(before.left + 50 + 100 * cell, 100, f"t_x = {number(t[cell])}", "mono quiet", "middle")
    image(canvas, after, (12, 4), "the boxes, with 1 − p", [
        (row[1:], "window", number(1 - p[cell]), (part, 0.4))
        for row, cell, part in zip(found, (0, 2), (0.35, 0.7), strict=True)])
    x = after.left + 25 * 4 + 0.7 * 100
    canvas.label(x, 90, number(1 - p[1]), kind="mono")
    canvas.line([(x - 18, 90), (x + 18, 90)], "cross")
    canvas.arrow((before.right + 10, before.y), (after.left - 10, after.y))
    columns(canvas, after.left, 164, found, "image x1 y1 x2 y2")


@drawing("DecodeBBox")
def decode_b_box(canvas: Canvas) -> None:
    """A region of one stage (dashed) and the region that the next stage looks at. The numbers t of class 1 move its
    centre by half its width, make it exp(0.4) times as wide and keep its height.
    """
    roi, t = [0, 2, 2, 6, 5], [0, 0, 0, 0, 0.5, 0, 0.4, 0]
    ran = run('layer { type: "DecodeBBox" bottom: "t" bottom: "roi" top: "y" }', t=[t], roi=[roi])
    found = ran["y"][0, :, 0, 0]
    frame = Box(6, 28, 316, 188)
    image(canvas, frame, (15.5, 8), "the image", [(roi[1:], "window second", "", (0.5, 0.5)),
                                                  (found[1:], "window", "", (0.5, 0.5))])
    middles = [place(frame, (x / 15.5, 4 / 8, x / 15.5, 4 / 8)).x
               for x in ((roi[1] + roi[3] + 1) / 2, (found[1] + found[3] + 1) / 2)]
    canvas.arrow((middles[0], frame.y), (middles[1], frame.y))
    grid = canvas.grid(376, 28, [t[4:]], "t[r, 4 … 7]", width=52)
    for j, word in enumerate(("d_x", "d_y", "d_w", "d_h")):
        canvas.text(grid.cell(0, j).x, grid.box.bottom + 16, word, "mono quiet", "middle")
    canvas.grid(376, 104, [roi], "roi[r]", width=52)
    columns(canvas, 376, 158, np.array([[round(float(v), 2) for v in found]]), "image x1 y1 x2 y2")


@drawing("FrcnnOutput")
def frcnn_output(canvas: Canvas) -> None:
    """Three regions with their scores of class 1 or 2. The first two overlap by 0.8, more than iou_thr, so the one with
    the lower score (crossed out) is left out. The third is moved by its numbers t. The first row of y is no box.
    """
    ran = example("FrcnnOutput")
    p, roi, found = ran["p"], ran["roi"][:, 1:], ran["y"][:, :, 0, 0]
    before, after = Box(6, 28, 266, 228), Box(326, 28, 586, 228)
    image(canvas, before, (13, 10), "the regions", [
        (roi[1], "window second", number(p[1, 1]), (0.5, 0.7)), (roi[0], "window", number(p[0, 1]), (0.5, 0.4)),
        (roi[2], "window", number(p[2, 2]), (0.5, 0.5))])
    image(canvas, after, (13, 10), "what is kept", [
        (row[1:5], "window", f"class {number(row[5])}", (0.5, 0.5)) for row in found[1:]])
    x, y = before.left + 60, before.top + 20 + 0.4 * 80
    canvas.line([(x - 22, y), (x + 22, y)], "cross")
    canvas.arrow((before.right + 10, before.y), (after.left - 10, after.y))
    columns(canvas, 6, 262, found, "image x1 y1 x2 y2 class score")


@drawing("ScaleRoute")
def scale_route(canvas: Canvas) -> None:
    """Three regions. Their size is the root of their area: 4, 8 and 8 pixels. With low_scale 5, the first one (dashed)
    is left out. A second layer with high_scale 5 would let it through alone.
    """
    ran = example("ScaleRoute")
    roi, found = ran["roi"], ran["y"][:, :, 0, 0]
    frame = Box(6, 28, 326, 268)
    image(canvas, frame, (16, 12), "the regions, with their sizes", [
        (row[1:], "window second" if r == 0 else "window", number(size), at)
        for r, (row, size, at) in enumerate(zip(roi, (4, 8, 8), ((0.5, 0.5), (0.5, 0.13), (0.1, 0.5)), strict=True))])
    grid = canvas.grid(386, 28, roi, "roi", lit=[(r, j) for r in (1, 2) for j in range(5)], width=44)
    canvas.arrow((grid.box.x, grid.box.bottom + 10), (grid.box.x, grid.box.bottom + 36))
    below = canvas.grid(386, grid.box.bottom + 40, found, "y", width=44)
    for j, word in enumerate(("image", "x1", "y1", "x2", "y2")):
        canvas.text(below.cell(0, j).x, below.box.bottom + 16, word, "mono quiet", "middle")


@drawing("ROIAlign")
def roi_align(canvas: Canvas) -> None:
    """A region (dashed) is not rounded to pixels. y holds the values of x at the corners of its bins (dots), here of
    2 × 2 bins. A point between the middles of four pixels takes a part of each: the nearer a pixel, the more of it.
    """
    x = np.array([[1, 3, 2, 0, 4, 1], [4, 0, 1, 5, 2, 7], [7, 2, 6, 1, 0, 3], [2, 1, 3, 2, 8, 1]])
    roi = [0, 1.25, 1, 4.75, 3]
    ran = run('layer { type: "ROIAlign" bottom: "x" bottom: "roi" top: "y" roi_pooling_param { pooled_h: 2 pooled_w: 2 '
              "} }", x=x[None, None], roi=[roi])
    grid = canvas.grid(6, 32, x, "x[n, c]", width=44)
    corner = grid.cell(0, 0)
    side = corner.right - corner.left, corner.bottom - corner.top
    _, x1, y1, x2, y2 = roi
    box = Box(grid.box.left + x1 * side[0], grid.box.top + y1 * side[1], grid.box.left + x2 * side[0],
              grid.box.top + y2 * side[1])
    canvas.frame(box, "window second")
    for i, j in np.ndindex(3, 3):
        canvas.circle(box.left + j * (box.right - box.left) / 2, box.top + i * (box.bottom - box.top) / 2, 4, "dot")
    top = canvas.grid(340, 45, ran["y"][0, 0], "y[r, c]", width=52)
    canvas.arrow((grid.box.right + 14, top.box.y), (top.box.left - 10, top.box.y))
    canvas.text(6, grid.box.bottom + 22, f"roi = {', '.join(map(number, roi))}", "mono quiet")
    canvas.text(340, grid.box.bottom + 22, "Pooling AVE makes 2 × 2 bins of it", "quiet")


@drawing("ROIPooling")
def roi_pooling(canvas: Canvas) -> None:
    """Two regions of one feature map, the second with a dashed frame. Each is cut into oh × ow bins, here 2 × 2, and
    gives the largest number of each bin (lit). So y has one size, however large the regions are. Backward, the gradient
    goes to the numbers that were chosen.
    """
    x = np.array([[1, 3, 2, 0, 4, 1], [4, 0, 1, 5, 2, 7], [7, 2, 6, 1, 0, 3], [2, 1, 3, 2, 8, 1], [0, 5, 1, 2, 1, 6]])
    regions = [[0, 0, 0, 3, 3], [0, 4, 1, 5, 2]]
    dy = np.array([[[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]])
    ran = run('layer { type: "ROIPooling" bottom: "x" bottom: "roi" top: "y" roi_pooling_param { pooled_h: 2 '
              "pooled_w: 2 } }", x=x[None, None], roi=regions, dy=dy)
    chosen = cells_where(ran["dx"][0, 0] != 0)
    grid = canvas.grid(6, 32, x, "x[n, c]", lit=chosen, width=30)
    down = canvas.grid(440, 32, ran["dx"][0, 0], "dx[n, c]", kind="diff", lit=chosen, width=30)
    for r, (_, x1, y1, x2, y2) in enumerate(regions):
        rows, columns = range(y1, y2 + 1), range(x1, x2 + 1)
        half = len(rows) // 2, len(columns) // 2
        for i, j in np.ndindex(2, 2):
            canvas.rect(grid.part(rows[i * half[0]:(i + 1) * half[0]], columns[j * half[1]:(j + 1) * half[1]]),
                        "window", 3)
        canvas.frame(grid.part(rows, columns), "window" if r == 0 else "window second")
        top = canvas.grid(270, 19 + 100 * r, ran["y"][r, 0], f"y[r = {r}, c]", lit=[(0, 0), (0, 1), (1, 0), (1, 1)],
                          width=34)
        canvas.arrow((grid.box.right + 12, top.box.y), (top.box.left - 8, top.box.y))
        canvas.text(270, top.box.bottom + 18, f"roi = {', '.join(map(str, regions[r]))}", "mono quiet")
        canvas.arrow((top.box.right + 20, top.box.y), (down.box.left - 12, top.box.y), kind="line back")


@drawing("PSROIPooling")
def psroi_pooling(canvas: Canvas) -> None:
    """The four channels of x are maps of the four parts of an object: each is high where it sees its own part. For a
    region (dashed) of a 2 × 2 grid, bin (i, j) is the mean of its pixels (lit) in the channel that belongs to the bin.
    Where an object fills the region, all four are high.
    """
    x = np.zeros((4, 4, 4))
    places = [(range(1, 2), range(0, 2)), (range(1, 2), range(2, 4)), (range(2, 3), range(0, 2)),
              (range(2, 3), range(2, 4))]
    numbers = [(7, 9), (8, 6), (5, 9), (9, 9)]
    for plane, (rows, columns), pair in zip(x, places, numbers, strict=True):
        plane[rows[0], columns] = pair
        plane[(rows[0] + 2) % 4, columns] = 1
    ran = run('layer { type: "PSROIPooling" bottom: "x" bottom: "roi" top: "y" psroi_pooling_param { spatial_scale: 1 '
              'output_dim: 1 group_size: 2 } }', x=x[None], roi=[[0, 0, 1, 3, 2]])
    top = canvas.grid(520, 92, ran["y"][0, 0], "y[r, d]", lit=[(0, 0), (0, 1), (1, 0), (1, 1)], width=44)
    for k, (rows, columns) in enumerate(places):
        i, j = divmod(k, 2)
        lit = [(row, column) for row in rows for column in columns]
        grid = canvas.grid(6 + 236 * j, 19 + 148 * i, x[k], f"x[n, {k}], for bin ({i}, {j})", lit=lit, width=28)
        canvas.frame(grid.part(range(1, 3), range(0, 4)), "window second")
        canvas.text(grid.box.right + 10, grid.box.y + 4, f"mean\n= {number(ran['y'][0, 0, i, j])}", "mono")
    canvas.arrow((468, top.box.y), (top.box.left - 10, top.box.y))
    canvas.text(520, top.box.bottom + 20, "roi = 0, 0, 1, 3, 2", "mono quiet")


@drawing("YoloDetectionOutput")
def yolo_detection_output(canvas: Canvas) -> None:
    """A map of four cells, each with one box, whose centre (dot) lies in its cell. The numbers t put the first two so
    near to each other that the one with the lower score (crossed out) goes. The third cell has a score near 0, so it
    has no box. The last box is half as wide as the first.
    """
    ran = example("YoloDetectionOutput")
    everything = run('layer { type: "YoloDetectionOutput" bottom: "t" top: "y" yolo_detection_output_param { '
                     "num_classes: 2 num_box: 1 biases: 2 biases: 1 nms_threshold: 1.5 } }", t=ran["t"])["y"][0, 0]
    frame = Box(50, 38, 50 + 2 * SIDE, 38 + SIDE / 2)
    canvas.text(frame.left, 18, "the image, in four cells", "strong")
    canvas.rect(frame, "plot")
    for j in range(1, 4):
        canvas.line([(frame.left + j * SIDE / 2, frame.top), (frame.left + j * SIDE / 2, frame.bottom)], "rule")
    draw_found(canvas, frame, everything, set(ran["y"][0, 0, :, 2].round(6)))
    found_grid(canvas, ran["y"][0, 0], 50, frame.bottom + 48)


@drawing("Yolov3DetectionOutput")
def yolov3_detection_output(canvas: Canvas) -> None:
    """Two maps of one image: `wide` has one cell, and `fine` has four, whose boxes are half as large (thin lines divide
    them). The second box of `fine` has grown to twice its size, and covers most of that of `wide`. So the one with the
    lower score (crossed out) goes, though it is of another map.
    """
    ran = example("Yolov3DetectionOutput")
    everything = run('layer { type: "Yolov3DetectionOutput" bottom: "wide" bottom: "fine" top: "y" '
                     "yolov3_detection_output_param { num_classes: 1 num_box: 1 biases: [8, 8, 4, 4] mask: [0, 1] "
                     "anchors_scale: [8, 4] nms_threshold: 1.5 } }", wide=ran["wide"], fine=ran["fine"])["y"][0, 0]
    frame = Box(6, 58, 6 + SIDE, 58 + SIDE)
    canvas.text(frame.left, 18, "the image", "strong")
    canvas.rect(frame, "plot")
    canvas.line([(frame.x, frame.top), (frame.x, frame.bottom)], "rule")
    canvas.line([(frame.left, frame.y), (frame.right, frame.y)], "rule")
    draw_found(canvas, frame, everything, set(ran["y"][0, 0, :, 2].round(6)))
    found_grid(canvas, ran["y"][0, 0], 280, frame.top + 40)


def draw_found(canvas: Canvas, frame: Box, rows: np.ndarray, kept: set[float]) -> None:
    """Draw the boxes of rows (D, 7) with their scores, and cross out those whose score is not among the kept ones."""
    for row in rows:
        spot, gone = place(frame, row[3:]), round(float(row[2]), 6) not in kept
        canvas.rect(spot, "window third" if gone else "window")
        canvas.circle(spot.x, spot.y, 3, "dot")
        if gone:
            canvas.text(spot.right - 4, spot.top + 16, number(row[2]), "mono", "end")
            canvas.line([(spot.right - 34, spot.top + 12), (spot.right - 2, spot.top + 12)], "cross")
        else:
            canvas.text(spot.left + 6, spot.bottom - 8, number(row[2]), "mono")


def found_grid(canvas: Canvas, rows: np.ndarray, x: float, y: float) -> None:
    """Draw the rows (D, 7) of a top that holds boxes, with the names of the columns below."""
    grid = canvas.grid(x, y, rows, "y[0, 0]", width=60)
    for j, words in enumerate(("image", "class", "score", "xmin", "ymin", "xmax", "ymax")):
        canvas.text(grid.cell(0, j).x, grid.box.bottom + 16, words, "mono quiet", "middle")
