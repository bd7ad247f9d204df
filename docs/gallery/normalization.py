"""Drawings of BatchNorm, MVN, LRN and Normalize."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from gallery.canvas import Box, Canvas, number
from gallery.plot import Axes, bars
from gallery.registry import drawing, example, run

COUNT = 40  # numbers of each channel


def channels() -> np.ndarray:
    """Return numbers of three channels (COUNT, 3), whose means and spreads differ. They are not drawn by chance."""
    share = (np.arange(COUNT) + 0.5) / COUNT
    bell = np.array([NormalDist().inv_cdf(float(p)) for p in share])
    return np.stack([-3 + 0.6 * bell, 1 + 3 * (share - 0.5), 3 + 2 * share**2], axis=1)


def histograms(canvas: Canvas, x: float, y: float, values: np.ndarray, span: tuple[float, float], title: str,
               names: Callable[[int], str]) -> None:
    """Draw histograms of the columns of values, with a line at the mean and a bar of one deviation on each side."""
    wide, high, step = 190, 34, 58
    canvas.text(x, y + 10, title, "mono strong")
    for c in range(values.shape[1]):
        base = y + 58 + step * c
        def place(value: float) -> float:
            return x + (value - span[0]) / (span[1] - span[0]) * wide
        counts, edges = np.histogram(values[:, c], bins=24, range=span)
        for count, low, up in zip(counts, edges, edges[1:], strict=False):
            if count:
                canvas.rect((place(low), base - high * count / 14, place(up), base), "bar faint")
        canvas.line([(x, base), (x + wide, base)], "line thin")
        mean, deviation = float(values[:, c].mean()), float(values[:, c].std())
        canvas.line([(place(mean), base - high), (place(mean), base + 7)], "line accent")
        canvas.line([(place(mean - deviation), base + 7), (place(mean + deviation), base + 7)], "line accent")
        canvas.text(x + wide + 8, base - 6, names(c), "mono quiet")
    for tick in range(int(np.ceil(span[0])), int(span[1]) + 1, 2):
        canvas.text(x + (tick - span[0]) / (span[1] - span[0]) * wide, y + 58 + step * (values.shape[1] - 1) + 24,
                    number(tick), "mono quiet", "middle")


def moments(values: np.ndarray, deviation: str) -> str:
    """Return the mean and the deviation of values in the letters of the formula."""
    return f"μ {number(values.mean())}\n{deviation} {number(values.std())}"


def together(canvas: Canvas, x: float, y: float, lit: set[tuple[int, int]], title: str) -> None:
    """Draw images n with their channels c as planes; those that are lit have one mean together."""
    canvas.text(x, y + 10, title, "strong")
    for n in range(3):
        for c in range(3):
            left, top = x + 42 + 40 * c, y + 40 + 40 * n
            canvas.rect((left, top, left + 32, top + 32), "plane lit" if (n, c) in lit else "plane", 3)
        canvas.label(x + 36, y + 56 + 40 * n, f"n {n}", "end", "mono quiet")
    for c in range(3):
        canvas.text(x + 58 + 40 * c, y + 32, f"c {c}", "mono quiet", "middle")


@drawing("BatchNorm")
def batch_norm(canvas: Canvas) -> None:
    """Left: the lit planes, one channel in all images of the batch, have one mean and one variance together. Right:
    histograms of three channels. The line marks the mean, and the bar below one deviation on each side. Behind the
    layer all channels have the mean 0 and the deviation 1; their shapes stay.
    """
    x = channels()
    y = run('layer { type: "BatchNorm" bottom: "x" top: "y" }', x=x, mean=[0, 0, 0], variance=[0, 0, 0],
            factor=[0])["y"]
    together(canvas, 6, 6, {(n, 1) for n in range(3)}, "one μ and one v")
    histograms(canvas, 184, 6, x, (-6, 6), "x", lambda c: moments(x[:, c], "√v"))
    histograms(canvas, 462, 6, y, (-6, 6), "y", lambda c: moments(y[:, c], "√v"))


@drawing("BN")
def bn(canvas: Canvas) -> None:
    """Histograms of three channels. Behind the layer each has the mean b and the deviation w that were learned for it,
    here −3, 0 and 3, and 0.5, 1 and 1.5. The line marks the mean, and the bar below one deviation on each side.
    """
    x, w, b = channels(), np.array([0.5, 1, 1.5]), np.array([-3, 0, 3])
    blobs = {name: np.reshape(values, (1, 3, 1, 1)) for name, values in (
        ("slope", w), ("bias", b), ("mean", np.zeros(3)), ("variance", np.zeros(3)))}
    y = run('layer { type: "BN" bottom: "x" top: "y" }', x=x, **blobs)["y"]
    histograms(canvas, 60, 6, x, (-6, 6), "x", lambda c: moments(x[:, c], "√v"))
    histograms(canvas, 400, 6, y, (-6, 6), "y", lambda c: f"b {number(b[c])}\nw {number(w[c])}")


@drawing("MVN")
def mvn(canvas: Canvas) -> None:
    """Left: each channel of each image has a mean and a deviation of its own, whatever the other images are; with
    across_channels each image has one for all its channels. Right: an image of three channels before and after.
    """
    x = channels()
    y = run('layer { type: "MVN" bottom: "x" top: "y" }', x=x.T[None, :, :, None])["y"][0, :, :, 0].T
    together(canvas, 6, 6, {(1, 1)}, "one μ and one σ")
    histograms(canvas, 184, 6, x, (-6, 6), "x", lambda c: moments(x[:, c], "σ"))
    histograms(canvas, 462, 6, y, (-6, 6), "y", lambda c: moments(y[:, c], "σ"))


@drawing("LRN")
def lrn(canvas: Canvas) -> None:
    """Bars are the values of nine channels at one place. Channel 4 is strong. The windows of the channels with a thick
    border hold it, so these are scaled down more than the others. On the right, the window of WITHIN_CHANNEL: places
    around i.
    """
    x = np.array([1, 1.5, 1, 1.5, 4, 1.5, 1, 1.5, 1])
    param = "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 }"
    y = run(f'layer {{ type: "LRN" bottom: "x" top: "y" {param} }}', x=x[None, :, None, None])["y"].ravel()
    near = range(3, 6)
    for top, values, name in ((96, x, "x"), (218, y, "y = x · s^−β,  n = 3, α = 0.5, β = 0.75, k = 1")):
        canvas.text(6, top - 78, name, "mono strong")
        bars(canvas, 6, top, values, [f"{j}" for j in range(9)], wide=46, high=52, limit=4,
             kinds=lambda j: "bar lit" if j in near else "bar faint")
    canvas.text(456, 20, "ACROSS_CHANNELS:\nthe same place in n\nchannels around i", "quiet")
    canvas.text(456, 104, "WITHIN_CHANNEL:\nn × n places\nof the same\nchannel", "quiet")
    grid = canvas.cells(592, 94, 5, 5, 20, lit=[(i, j) for i in range(1, 4) for j in range(1, 4)])
    canvas.label(grid.cell(2, 2).x, grid.cell(2, 2).y, "i", kind="mono strong")


@drawing("Normalize")
def normalize(canvas: Canvas) -> None:
    """An image with two channels: each of its two pixels is a vector (points). Divided by its length r, it reaches the
    circle of radius 1. Then each channel is multiplied by the number learned for it, here 10 and 20.
    """
    ran = example("Normalize")
    x, y = ran["x"][0, :, 0], ran["y"][0, :, 0]
    r = np.hypot(*x)
    plot = Axes(canvas, Box(40, 30, 240, 230), (-0.4, 4.6), (-0.4, 4.6), "channel 1", "channel 0", range(5), range(5))
    turn = np.linspace(0, np.pi / 2, 33)
    plot.curve(np.cos(turn), np.sin(turn), "curve quiet")
    for pixel, (dx, anchor) in enumerate(((-8, "end"), (10, "start"))):
        a, b = (float(value) for value in x[:, pixel])
        canvas.line([plot.at(0, 0), plot.at(a, b)], "line accent")
        plot.dot(a, b, f"x {number(a)}, {number(b)}", dx=dx, dy=-8, anchor=anchor)
        plot.dot(a / r[pixel], b / r[pixel])
    plot.note(1.15, 0.5, "x / r")
    left = 322
    for name, values, kind in (("x", x, ""), ("r", r[None], ""), ("x / r", x / r, ""),
                               ("w", ran["w"][:, None], "learned"), ("y", y, "")):
        left = canvas.grid(left, 14, values, name, kind=kind, width=36).box.right + 13
    left = 322
    for name in ("dy", "dx"):
        left = canvas.grid(left, 118, ran[name][0, :, 0], name, kind="diff", width=36).box.right + 13
    canvas.grid(left, 118, ran["dw"][:, None], "dw", kind="diff", width=36)
    canvas.text(322, 226, "Rows are channels, columns are pixels.", "quiet")
