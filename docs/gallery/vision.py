"""Drawings of layers that slide windows over images."""

from __future__ import annotations

import numpy as np

from gallery.canvas import Box, Canvas, Grid, number
from gallery.registry import cells_where, drawing, example, run

EDGE = np.array([[0, 1, 5, 6, 6], [1, 0, 6, 5, 6], [0, 1, 5, 6, 5], [1, 1, 6, 6, 6]])  # dark on the left
FILTER = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])


def square(first_row: int, first_column: int, high: int, wide: int) -> list[tuple[int, int]]:
    """The places of a rectangle of cells."""
    return [(first_row + i, first_column + j) for i in range(high) for j in range(wide)]


@drawing("Convolution")
def convolution(canvas: Canvas) -> None:
    """The filter w stands at one place of x, which is lit. Each weight is multiplied by the pixel under it; the sum of
    the products, and b, is one number of y. Then the filter moves on by the stride s: the dashed frame gives the next
    number. This filter answers where dark pixels are left of bright ones.
    """
    ran = run('layer { type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 1 kernel_size: 3 } }',
              x=EDGE[None, None], w=FILTER[None, None], b=[1])
    y = ran["y"][0, 0]
    grid = canvas.grid(6, 6, EDGE, "x[n, c]", lit=square(0, 0, 3, 3))
    canvas.frame(grid.part(range(0, 3), range(1, 4)), "window second")
    canvas.sign(160, 65, "·")
    canvas.grid(182, 6, FILTER, "w[k, c]", kind="learned", lit=square(0, 0, 3, 3))
    canvas.sign(292, 65, "+")
    canvas.grid(316, 32, [1], "b[k]", kind="learned", lit=[(0, 0)])
    canvas.sign(372, 65, "=")
    top = canvas.grid(396, 19, y, "y[n, k]", lit=[(0, 0)])
    canvas.frame(top.cell(0, 1), "window second")
    products = [f"{number(a)}·{number(b)}".replace("·−", "·(−") + (")" if b < 0 else "")
                for a, b in zip(FILTER.ravel(), EDGE[:3, :3].ravel(), strict=True) if a]
    total = " + ".join(products).replace("+ −", "− ") + f" + 1 = {number(y[0, 0])}"
    canvas.text(182, 122, f"y[n, k, (0, 0)] = {total}", "mono")
    _steps(canvas, 160)


def _steps(canvas: Canvas, y: float) -> None:
    """Draw what stride, padding and dilation change, each with its own three cells of a filter in one row."""
    for x, title, padding, places in ((6, "stride s = 2", 0, [(0, 1, 2), (2, 3, 4)]),
                                      (244, "padding p = 1", 1, [(0, 1, 2), (1, 2, 3)]),
                                      (482, "dilation d = 2", 0, [(0, 2, 4), (1, 3, 5)])):
        canvas.text(x, y + 4, title, "mono strong")
        for row, lit in enumerate(places):
            border = [(0, 0), (0, 7)] if padding else []
            canvas.cells(x, y + 14 + 26 * row, 1, 8, 20, lit=[(0, i) for i in lit], faint=border)
            canvas.text(x + 168, y + 28 + 26 * row, f"o = {row}", "mono quiet")
    canvas.text(244, y + 82, "dashed: the border of zeros", "quiet")


@drawing("Deconvolution")
def deconvolution(canvas: Canvas) -> None:
    """Every pixel of x stamps the whole filter w, times its own value, onto y. Where the stamps overlap, their numbers
    add up: that is the lit column.
    """
    ran = example("Deconvolution")
    x, w, y = ran["x"][0, 0], ran["w"][0, 0], ran["y"][0, 0]
    canvas.grid(6, 19, x, "x[n, c]", width=34)
    canvas.grid(108, 6, w, "w[c, k]", kind="learned", width=34)
    canvas.text(6, 116, "The stamp of each pixel:", "quiet")
    left, middle = 6.0, (1, 1)
    for o, pixel in enumerate(x[0]):
        stamp: list[list[float | None]] = [[None] * 3 for _ in range(2)]
        for i in range(2):
            stamp[i][o:o + 2] = [float(number) for number in pixel * w[i]]
        grid = canvas.grid(left, 124, stamp, f"{number(pixel)} · w", lit=[(0, 1), (1, 1)], width=34,
                           faint=square(0, 0 if o else 2, 2, 1))
        canvas.sign(grid.box.right + 22, grid.box.y, "=" if o else "+")
        left = grid.box.right + 44
    canvas.grid(left, 124, y, "y[n, k], with b = 0", lit=[(0, 1), middle], width=34)
    canvas.text(250, 30, "backward, the other way round:", "quiet")
    dy = canvas.grid(250, 38, ran["dy"][0, 0], "dy", kind="diff", width=34, lit=square(0, 0, 2, 2))
    dx = canvas.grid(440, 51, ran["dx"][0, 0], "dx", kind="diff", width=34, lit=[(0, 0)])
    canvas.arrow((dy.box.right + 6, dx.box.y), (dx.box.left - 6, dx.box.y), kind="line back")
    canvas.text(dy.box.right + 22, dx.box.y - 10, "Σ w · dy", "mono quiet")


@drawing("Im2col")
def im2col(canvas: Canvas) -> None:
    """The lit window of x becomes the lit column of y: its four pixels, one below the other. The next window, with the
    dashed frame, becomes the next column. A Convolution is then one product of matrices, w times y.
    """
    x = np.arange(1, 10).reshape(3, 3)
    ran = run('layer { type: "Im2col" bottom: "x" top: "y" convolution_param { kernel_size: 2 } }', x=x[None, None])
    y = ran["y"].reshape(4, 4)
    grid = canvas.grid(6, 32, x, "x[n, c]", lit=square(0, 0, 2, 2))
    canvas.frame(grid.part(range(0, 2), range(1, 3)), "window second")
    top = canvas.grid(280, 19, y, "y[n]", lit=square(0, 0, 4, 1), width=34)
    canvas.frame(top.part(range(4), range(1, 2)), "window second")
    canvas.arrow((grid.box.right + 10, grid.box.y), (186, grid.box.y))
    for i, place in enumerate(np.ndindex(2, 2)):
        canvas.label(272, top.cell(i, 0).y, f"i = {place}".replace(",", ","), "end", "mono quiet")
    canvas.bracket_below(top.box.left, top.box.right, top.box.bottom + 6, "o, the places of the window")
    canvas.bracket_right(top.box.right + 8, top.box.top, top.box.bottom, "a channel for each place i\nof the window")


@drawing("Pooling")
def pooling(canvas: Canvas) -> None:
    """Each frame is a window, here of 2 × 2 with stride 2. MAX keeps the largest number of a window (lit), AVE the
    mean, STOCHASTIC draws one: the bottom row shows the chance of each number of the first window. Backward, MAX sends
    the gradient to the number that it chose.
    """
    x = np.array([[1, 3, 2, 0], [4, 0, 1, 5], [7, 2, 6, 1], [2, 1, 2, 3]])
    dy = np.array([[10, 20], [30, 40]])
    got = {pool: run(f'layer {{ type: "Pooling" bottom: "x" top: "y" pooling_param {{ pool: {pool} kernel_size: 2 '
                     'stride: 2 } }', x=x[None, None], dy=dy[None, None]) for pool in ("MAX", "AVE")}
    chosen = cells_where(got["MAX"]["dx"][0, 0] != 0)
    grid = canvas.grid(6, 19, x, "x", lit=chosen, width=32)
    _frame_windows(canvas, grid, 2)
    for i, (pool, ran) in enumerate(got.items()):
        top = canvas.grid(200, 12 + 74 * i, ran["y"][0, 0], f"{pool}: y", width=40,
                          lit=square(0, 0, 2, 2) if pool == "MAX" else [])
        canvas.arrow((grid.box.right + 8, top.box.y), (top.box.left - 8, top.box.y))
    diff = canvas.grid(340, 12, dy, "MAX: dy", kind="diff", width=36)
    down = canvas.grid(500, 19, got["MAX"]["dx"][0, 0], "MAX: dx", kind="diff", lit=chosen, width=36)
    canvas.arrow((diff.box.right + 8, diff.box.y), (down.box.left - 8, diff.box.y), kind="line back")
    window = x[:2, :2].ravel()
    canvas.text(6, 183, "STOCHASTIC, TRAIN: the chances x[m] / S in the first window,  "
                f"S = {' + '.join(map(number, window))} = {number(window.sum())}", "mono")
    left = 6.0
    for value in window:  # a bar of 560 pixels, cut in proportion
        width = 560 * value / window.sum()
        if width:
            canvas.rect(Box(left, 192, left + width, 218), "cell")
            canvas.label(left + width / 2, 205, f"{number(value)}: {number(value)}/{number(window.sum())}", kind="mono")
        left += width


def _frame_windows(canvas: Canvas, grid: Grid, bins: int) -> None:
    """Draw frames that cut a grid into bins × bins windows."""
    high, wide = grid.rows // bins, grid.columns // bins
    for i, j in np.ndindex(bins, bins):
        canvas.rect(grid.part(range(i * high, (i + 1) * high), range(j * wide, (j + 1) * wide)), "window", 3)


@drawing("SPP")
def spp(canvas: Canvas) -> None:
    """Three poolings of the same channel, with 1, 2 × 2 and 4 × 4 bins. Their numbers stand side by side in y, and
    there are always equally many, however large the image is.
    """
    x = np.array([[1, 3, 2, 0], [4, 0, 1, 5], [7, 2, 6, 1], [2, 1, 2, 8]])
    y = run('layer { type: "SPP" bottom: "x" top: "y" spp_param { pyramid_height: 3 pool: MAX } }',
            x=x[None, None])["y"][0]
    top = canvas.grid(6, 176, [y], "y", lit=square(0, 1, 1, 4))
    first = 0
    for level, left in enumerate((6, 172, 360)):
        bins = 2**level
        last = first + bins**2
        grid = canvas.grid(left, 6, x, f"level {level}: {bins} × {bins}", width=28,
                           lit=_largest(x, bins) if level < 2 else [])
        _frame_windows(canvas, grid, bins)
        ends = top.part(range(1), range(first, last))
        canvas.arrow((grid.box.x, grid.box.bottom + 8), (max(ends.x, top.box.left), ends.top - 8))
        canvas.bracket_below(ends.left + 2, ends.right - 2, ends.bottom + 5, ("1", "4 numbers", "16 numbers")[level])
        first = last


def _largest(x: np.ndarray, bins: int) -> list[tuple[int, int]]:
    """The places of the largest number of each bin."""
    step, found = len(x) // bins, []
    for i, j in np.ndindex(bins, bins):
        row, column = np.unravel_index(x[i * step:(i + 1) * step, j * step:(j + 1) * step].argmax(), (step, step))
        found.append((i * step + int(row), j * step + int(column)))
    return found


@drawing("Crop")
def crop(canvas: Canvas) -> None:
    """Of the reference only the size is read. A part of that size is cut out of x; it begins offset rows and columns
    from the corner. Backward, the gradient goes to the same place, and there is 0 around it.
    """
    x = np.arange(1, 21).reshape(4, 5)
    dy = np.array([[1, 2, 3], [4, 5, 6]])
    ran = run('layer { type: "Crop" bottom: "x" bottom: "r" top: "y" crop_param { axis: 2 offset: 1 offset: 2 } }',
              x=x[None, None], r=np.zeros((1, 1, 2, 3)), dy=dy[None, None])
    kept = square(1, 2, 2, 3)
    grid = canvas.grid(30, 32, x, "x", lit=kept)
    canvas.arrow((12, grid.box.top), (12, grid.cell(1, 0).top))
    canvas.text(4, grid.box.bottom + 22, "o_h = 1, o_w = 2", "mono")
    canvas.arrow((grid.box.left, grid.box.bottom + 4), (grid.cell(0, 2).left, grid.box.bottom + 4))
    canvas.text(214, 25, "reference", "mono strong")
    canvas.cells(214, 32, 2, 3, 20)
    canvas.text(280, 57, "(·, ·, h = 2, w = 3)", "mono quiet")
    top = canvas.grid(214, 86, ran["y"][0, 0], "y", lit=square(0, 0, 2, 3))
    canvas.arrow((grid.box.right + 8, top.box.y), (top.box.left - 8, top.box.y))
    diff = canvas.grid(346, 86, dy, "dy", kind="diff", lit=square(0, 0, 2, 3))
    down = canvas.grid(490, 32, ran["dx"][0, 0], "dx", kind="diff", lit=kept)
    canvas.arrow((diff.box.right + 8, diff.box.y), (down.box.left - 8, diff.box.y), kind="line back")


@drawing("DepthwiseConvolution")
def depthwise_convolution(canvas: Canvas) -> None:
    """Each channel has a filter of its own and makes a channel of y. A Convolution with group 1 would add the products
    of all channels up instead. With two channels, group is 2.
    """
    _depthwise(canvas, "DepthwiseConvolution", "group: 2")


@drawing("DepthwiseConv")
def depthwise_conv(canvas: Canvas) -> None:
    """The same layer as DepthwiseConvolution, under another name: each channel has a filter of its own."""
    _depthwise(canvas, "DepthwiseConv", "group: 2")


@drawing("ConvolutionDepthwise")
def convolution_depthwise(canvas: Canvas) -> None:
    """Each channel has filters of its own, here one, and makes a channel of y. No group is given: it is the number of
    channels.
    """
    _depthwise(canvas, "ConvolutionDepthwise", "")


def _depthwise(canvas: Canvas, layer: str, group: str) -> None:
    """Draw two channels with a filter each."""
    ran = run(f'layer {{ type: "{layer}" bottom: "x" top: "y" convolution_param {{ num_output: 2 kernel_size: 2 '
              f'bias_term: false {group} }} }}', x=[[[[1, 2, 3], [4, 5, 6]], [[1, 0, 2], [0, 3, 1]]]],
              w=[[[[1, 0], [0, 1]]], [[[2, 1], [0, 1]]]])
    for k in range(2):
        top = 6 + 92 * k
        x = canvas.grid(6, top, ran["x"][0, k], f"x[n, {k}]", lit=square(0, 0, 2, 2))
        canvas.frame(x.part(range(0, 2), range(1, 3)), "window second")
        canvas.sign(x.box.right + 24, x.box.y, "·")
        w = canvas.grid(x.box.right + 48, top, ran["w"][k, 0], f"w[{k}]", kind="learned", lit=square(0, 0, 2, 2))
        canvas.sign(w.box.right + 22, w.box.y, "=")
        y = canvas.grid(w.box.right + 44, top + 13, ran["y"][0, k], f"y[n, {k}]", lit=[(0, 0)])
        canvas.frame(y.cell(0, 1), "window second")
        products = " + ".join(f"{number(a)}·{number(b)}" for a, b in
                              zip(ran["w"][k, 0].ravel(), ran["x"][0, k, :2, :2].ravel(), strict=True) if a)
        canvas.label(y.box.right + 24, y.box.y, f"{products} = {number(ran['y'][0, k, 0, 0])}", "start", "mono")


@drawing("CropCenter")
def crop_center(canvas: Canvas) -> None:
    """One row is cut off above and below, and two columns on the left and on the right. Backward, the gradient goes to
    the middle, and there is 0 around it.
    """
    ran = run('layer { type: "CropCenter" bottom: "x" top: "y" crop_center_param { crop_size: 0 crop_size: 0 '
              "crop_size: 1 crop_size: 2 } }", x=np.arange(1, 25).reshape(1, 1, 4, 6), dy=[[[[1, 2], [3, 4]]]])
    kept = square(1, 2, 2, 2)
    faint = [place for place in square(0, 0, 4, 6) if place not in kept]
    x = canvas.grid(6, 6, ran["x"][0, 0], "x", lit=kept, faint=faint)
    y = canvas.grid(230, 32, ran["y"][0, 0], "y", lit=square(0, 0, 2, 2))
    dy = canvas.grid(360, 32, ran["dy"][0, 0], "dy", kind="diff", lit=square(0, 0, 2, 2))
    dx = canvas.grid(480, 6, ran["dx"][0, 0], "dx", kind="diff", lit=kept)
    canvas.arrow((x.box.right + 8, x.box.y), (y.box.left - 8, x.box.y))
    canvas.arrow((dy.box.right + 8, dx.box.y), (dx.box.left - 8, dx.box.y), kind="line back")
    canvas.text(6, 152, "c_H = 1, c_W = 2", "mono quiet")


@drawing("Interp")
def interp(canvas: Canvas) -> None:
    """The corners of x (lit) become the corners of y. Between them, a number is a mean of its neighbours: on an edge of
    two of them, inside of all four. Nearer neighbours count for more.
    """
    ran = run('layer { type: "Interp" bottom: "x" top: "y" interp_param { height: 3 width: 5 } }',
              x=[[[[0, 8], [16, 0]]]], dy=[[[[0, 0, 0, 0, 0], [0, 16, 0, 0, 0], [0, 0, 0, 0, 0]]]])
    corners = [(0, 0), (0, 4), (2, 0), (2, 4)]
    x = canvas.grid(6, 19, ran["x"][0, 0], "x", lit=square(0, 0, 2, 2), width=34)
    y = canvas.grid(120, 6, ran["y"][0, 0], "y", lit=corners, width=34)
    canvas.frame(y.cell(1, 1), "window second")
    dy = canvas.grid(336, 6, ran["dy"][0, 0], "dy", kind="diff", width=34)
    canvas.frame(dy.cell(1, 1), "window second")
    dx = canvas.grid(552, 19, ran["dx"][0, 0], "dx", kind="diff", width=34)
    canvas.arrow((x.box.right + 8, x.box.y), (y.box.left - 8, x.box.y))
    canvas.arrow((dy.box.right + 8, dx.box.y), (dx.box.left - 8, dx.box.y), kind="line back")
    canvas.text(6, 128, "The framed number: half of each row, and 3/4 of the left and 1/4 of the right column:\n"
                "1/2 · (3/4 · 0 + 1/4 · 8) + 1/2 · (3/4 · 16 + 1/4 · 0) = " + number(ran["y"][0, 0, 1, 1]), "mono")


@drawing("Reorg")
def reorg(canvas: Canvas) -> None:
    """The 16 numbers of x, four channels of 2 × 2, are read as one channel of 4 × 4. Its blocks of 2 × 2 give the
    channels of y: the left top numbers of all blocks are the first one (lit). y has 16 channels of one pixel.
    """
    ran = run('layer { type: "Reorg" bottom: "x" top: "y" reorg_param { stride: 2 } }',
              x=np.arange(16).reshape(1, 4, 2, 2))
    for c in range(4):
        canvas.grid(6 + c % 2 * 76, 6 + c // 2 * 84, ran["x"][0, c], f"x[n, {c}]", lit=[(0, 0)] if c % 2 == 0 else [])
        canvas.grid(430 + c % 2 * 76, 6 + c // 2 * 84, ran["y"].reshape(4, 2, 2)[c], f"o = {c}",
                    lit=square(0, 0, 2, 2) if c == 0 else [])
    wide = canvas.grid(230, 32, np.arange(16).reshape(4, 4), "as 4 × 4 pixels", lit=[(0, 0), (0, 2), (2, 0), (2, 2)])
    for i, j in np.ndindex(2, 2):
        canvas.rect(wide.part(range(2 * i, 2 * i + 2), range(2 * j, 2 * j + 2)), "window", 3)
    canvas.arrow((160, wide.box.y), (wide.box.left - 10, wide.box.y))
    canvas.arrow((wide.box.right + 10, wide.box.y), (420, wide.box.y))
    canvas.text(430, 190, "Four numbers are channels 4·o to\n4·o + 3 of y, of one pixel each.", "quiet")


@drawing("Upsample")
def upsample(canvas: Canvas) -> None:
    """m comes from a MAX Pooling: the place where each window had found its largest number (lit). Upsample puts each
    number there, and 0 elsewhere. Without m, every number is repeated instead.
    """
    picture = np.array([[1, 3, 2, 0], [4, 0, 1, 5]])
    pooled = run('layer { type: "Pooling" bottom: "x" top: "y" top: "m" pooling_param { kernel_size: 2 stride: 2 } }',
                 x=picture[None, None])
    ran = run('layer { type: "Upsample" bottom: "x" bottom: "m" top: "y" }', x=pooled["y"], m=pooled["m"])
    nearest = run('layer { type: "Upsample" bottom: "x" top: "y" upsample_param { scale: 2 } }', x=pooled["y"])
    places = cells_where(ran["y"][0, 0] != 0)
    before = canvas.grid(6, 19, picture, "Pooling's bottom", lit=places)
    for j in (0, 2):
        canvas.rect(before.part(range(2), range(j, j + 2)), "window", 3)
    x = canvas.grid(190, 6, ran["x"][0, 0], "x", lit=square(0, 0, 1, 2))
    m = canvas.grid(190, 64, ran["m"][0, 0], "m", lit=square(0, 0, 1, 2))
    canvas.arrow((before.box.right + 8, before.box.y), (x.box.left - 10, x.box.y + 6))
    canvas.arrow((before.box.right + 8, before.box.y), (m.box.left - 10, m.box.y - 6))
    y = canvas.grid(330, 19, ran["y"][0, 0], "y, with m", lit=places)
    canvas.arrow((x.box.right + 10, x.box.y + 6), (y.box.left - 10, y.box.y - 4))
    canvas.arrow((m.box.right + 10, m.box.y - 6), (y.box.left - 10, y.box.y + 4))
    canvas.grid(500, 19, nearest["y"][0, 0], "y, without m")
