"""Drawings of the layers of object detectors."""

from __future__ import annotations

import numpy as np

from gallery.canvas import Canvas, number
from gallery.registry import cells_where, drawing, run


@drawing("ROIPooling")
def roi_pooling(canvas: Canvas) -> None:
    """Two regions of one feature map, the second with a dashed frame. Each is cut into oh × ow bins, here 2 × 2, and
    gives the largest number of each bin (lit). So y has one size, however large the regions are. Backward, the gradient
    goes to the numbers that were chosen.
    """
    x = np.array([[1, 3, 2, 0, 4, 1], [4, 0, 1, 5, 2, 7], [7, 2, 6, 1, 0, 3], [2, 1, 3, 2, 8, 1], [0, 5, 1, 2, 1, 6]])
    regions = [[0, 0, 0, 3, 3], [0, 4, 1, 5, 2]]
    dy = np.array([[[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]])
    ran = run('layer { type: "ROIPooling" bottom: "x" bottom: "roi" top: "y" roi_pooling_param { pooled_h: 2 pooled_w: 2 '
              "} }", x=x[None, None], roi=regions, dy=dy)
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
