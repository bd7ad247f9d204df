"""Drawings of layers that compute number by number: the curve of y over x, and of its slope dy/dx."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gallery.canvas import Box, Canvas, Point, number
from gallery.plot import Axes, pieces
from gallery.registry import drawing, example, run

WIDE, HIGH = 270, 170


def curves(canvas: Canvas, layer: str, x: Point, y: Point, slope: Point, *, variants: Sequence[tuple[str, str, Point]],
           ticks: tuple[Sequence[float], Sequence[float], Sequence[float]], breaks: Sequence[float] = (),
           dots: Sequence[float] = (), backward: bool = True, title: str = "y") -> tuple[Axes, Axes | None]:
    """Draw y over x on the left, and the slope that backward multiplies dy by on the right.

    layer       the type
    x, y, slope the ranges of the axes; `ticks` has what stands at each of them
    variants    for each curve the parameters, its name, and where the name stands in the left plot
    breaks      where a curve or its slope jumps or bends
    dots        numbers x whose y is written at the first curve
    """
    left = Axes(canvas, Box(40, 26, 40 + WIDE, 26 + HIGH), x, y, title, "x", ticks[0], ticks[1])
    right = Axes(canvas, Box(390, 26, 390 + WIDE, 26 + HIGH), x, slope, "∂y/∂x, the slope", "x", ticks[0],
                 ticks[2]) if backward else None
    for (param, name, place), kind in zip(variants, ("", " other", " third"), strict=False):
        for xs in pieces([x[0], *breaks, x[1]]):
            got = run_elementwise(layer, param, xs, backward)
            left.curve(xs, got["y"], f"curve{kind}")
            if right:
                right.curve(xs, got["dx"], f"curve slope{kind}")
        if name:
            left.note(*place, name)
    if dots:
        for dot, value in zip(dots, run_elementwise(layer, variants[0][0], dots, backward)["y"], strict=True):
            left.dot(dot, value, number(value), dx=-8, dy=-9, anchor="end")
    return left, right


def run_elementwise(layer: str, param: str, xs: Sequence[float], backward: bool = True) -> dict[str, np.ndarray]:
    """Run a layer on numbers. With backward, dx is the slope, for dy is 1."""
    diff = {"dy": np.ones(len(xs))} if backward else {}
    return run(f'layer {{ type: "{layer}" bottom: "x" top: "y" {param} }}', x=xs, **diff)


def name_slopes(axes: Axes | None, places: Sequence[tuple[float, float, str]]) -> None:
    """Write names at the curves of the slope."""
    assert axes is not None
    for x, y, name in places:
        axes.note(x, y, name)


@drawing("AbsVal")
def abs_val(canvas: Canvas) -> None:
    """Left of 0 the sign turns: y falls with slope −1, right of 0 it rises with slope 1. The slope at 0 itself is 0."""
    y, slope = curves(canvas, "AbsVal", (-3, 3), (-1, 3), (-1.5, 1.5), variants=[("", "", (0, 0))], breaks=[0],
                      ticks=([-2, 0, 2], [0, 1, 2], [-1, 0, 1]), dots=[2])
    got = float(run_elementwise("AbsVal", "", [-2])["y"][0])
    y.dot(-2, got, number(got), dx=9, anchor="start")
    slope.dot(0, float(run_elementwise("AbsVal", "", [0])["dx"][0]))


@drawing("BNLL")
def bnll(canvas: Canvas) -> None:
    """BNLL is a ReLU (grey, dashed) without the corner. Its slope is a sigmoid."""
    left, _ = curves(canvas, "BNLL", (-5, 5), (-1, 5), (-0.2, 1.2), variants=[("", "", (0, 0))],
                     ticks=([-4, 0, 4], [0, 2, 4], [0, 0.5, 1]), dots=[0])
    xs = np.array([-5.0, 0, 5])
    left.curve(xs, run_elementwise("ReLU", "", xs)["y"], "curve quiet")
    left.note(-4.7, 1, "y(0) = ln 2")
    left.note(0.9, 0.45, "ReLU", kind="mono halo quiet")


@drawing("Clip")
def clip(canvas: Canvas) -> None:
    """Between a and b the numbers pass; outside they become the nearer end, and no gradient comes back."""
    left, _ = curves(canvas, "Clip", (-3, 3), (-2, 2), (-0.2, 1.2), breaks=[-1, 1],
                     variants=[("clip_param { min: -1 max: 1 }", "", (0, 0))], ticks=([-1, 0, 1], [-1, 0, 1], [0, 1]))
    left.note(-2.7, -0.65, "a = −1")
    left.note(1.4, 1.35, "b = 1")


@drawing("ELU")
def elu(canvas: Canvas) -> None:
    """Positive numbers pass. Negative ones bend towards −α: the solid curve has α = 1, the dashed one α = 2."""
    _, slope = curves(canvas, "ELU", (-5, 3), (-2.5, 3), (-0.3, 2.3), breaks=[0],
                      variants=[("elu_param { alpha: 1 }", "α = 1", (-4.7, -0.6)),
                                ("elu_param { alpha: 2 }", "α = 2", (-4.7, -1.5))],
                      ticks=([-4, -2, 0, 2], [-2, -1, 0, 1, 2], [0, 1, 2]))
    name_slopes(slope, [(-1.0, 0.15, "α = 1"), (-2.2, 1.5, "α = 2")])


@drawing("Exp")
def exp(canvas: Canvas) -> None:
    """A step of 1 to the right multiplies y by the base g. The slope grows in the same way."""
    g = "exp_param { base: 2 }"
    _, slope = curves(canvas, "Exp", (-3, 3), (0, 8), (0, 8), dots=[0, 1, 2],
                      variants=[(g, "g = 2", (2.1, 2.9)), ("", "g = e", (0.45, 6))],
                      ticks=([-2, -1, 0, 1, 2], [1, 2, 4], [1, 2, 4]))
    name_slopes(slope, [(2.1, 1.6, "g = 2"), (0.45, 6, "g = e")])


@drawing("Log")
def log(canvas: Canvas) -> None:
    """Multiplying x by the base g moves y up by 1. Near 0 the logarithm falls without end, and its slope grows so."""
    _, slope = curves(canvas, "Log", (0.02, 10), (-2, 4), (-0.5, 3), breaks=[0.2, 1], dots=[1, 2, 4, 8],
                      variants=[("log_param { base: 2 }", "g = 2", (5.1, 3.1)),
                                ("log_param { base: 10 }", "g = 10", (7.1, 0.35))],
                      ticks=([1, 2, 4, 8], [-1, 0, 1, 2, 3], [0, 1, 2]))
    name_slopes(slope, [(1.6, 1.4, "g = 2"), (4.3, -0.22, "g = 10")])


@drawing("Power")
def power(canvas: Canvas) -> None:
    """One formula, many curves: p is the power, s scales x first, and b is added to it."""
    _, slope = curves(canvas, "Power", (-2, 2), (-2.5, 4), (-3, 4), breaks=[0],
                      variants=[("power_param { power: 2 }", "p = 2", (1.3, 0.9)),
                                ("power_param { power: 3 }", "p = 3", (0.65, 2.6)),
                                ("power_param { power: 1 scale: -1 shift: 1 }", "p = 1, s = −1, b = 1", (-0.45, -1.9))],
                      ticks=([-1, 0, 1], [-1, 0, 1, 2], [-1, 0, 2]))
    name_slopes(slope, [(1.0, 1.0, "p = 2"), (-0.7, 3.2, "p = 3"), (0.6, -1.5, "p = 1")])


@drawing("ReLU")
def relu(canvas: Canvas) -> None:
    """Positive numbers pass, and so do their gradients. The others become 0, or pass by the small slope α (dashed)."""
    leaky = "relu_param { negative_slope: 0.1 }"
    _, slope = curves(canvas, "ReLU", (-4, 4), (-1.5, 4), (-0.3, 1.3), breaks=[0], dots=[2],
                      variants=[("", "α = 0", (-3.7, 0.55)), (leaky, "α = 0.1", (-3.7, -0.95))],
                      ticks=([-2, 0, 2], [0, 1, 2, 3], [0, 0.5, 1]))
    name_slopes(slope, [(-3.7, -0.12, "α = 0"), (-3.7, 0.25, "α = 0.1")])


@drawing("ReLU6")
def relu6(canvas: Canvas) -> None:
    """Between 0 and 6 the numbers pass, and so do their gradients. Above 6 they become 6. Below 0 they become 0, or
    pass by the small slope α (dashed).
    """
    leaky = "relu6_param { negative_slope: 0.1 }"
    _, slope = curves(canvas, "ReLU6", (-6, 10), (-2, 8), (-0.3, 1.3), breaks=[0, 6], dots=[3],
                      variants=[("", "α = 0", (-5.4, 0.6)), (leaky, "α = 0.1", (-5.4, -1.5))],
                      ticks=([-3, 0, 3, 6, 9], [0, 3, 6], [0, 0.5, 1]))
    name_slopes(slope, [(-5.4, -0.14, "α = 0"), (-5.4, 0.25, "α = 0.1")])


@drawing("Sigmoid")
def sigmoid(canvas: Canvas) -> None:
    """All numbers become numbers between 0 and 1. The slope is at most 1/4, and nearly 0 far away from x = 0."""
    curves(canvas, "Sigmoid", (-6, 6), (-0.2, 1.2), (-0.05, 0.3), variants=[("", "", (0, 0))], dots=[-2, 0, 2],
           ticks=([-4, -2, 0, 2, 4], [0, 0.5, 1], [0, 0.25]))


@drawing("Swish")
def swish(canvas: Canvas) -> None:
    """y is x times a sigmoid of βx. It dips below 0 once, where the slope changes its sign. A large β makes it a ReLU.
    """
    _, slope = curves(canvas, "Swish", (-5, 5), (-1, 4), (-0.4, 1.4),
                      variants=[("", "β = 1", (-4.7, -0.65)), ("swish_param { beta: 5 }", "β = 5", (-2.2, 0.65))],
                      ticks=([-4, -2, 0, 2, 4], [0, 1, 2, 3], [0, 0.5, 1]))
    name_slopes(slope, [(-4.7, -0.22, "β = 1"), (0.9, 0.7, "β = 5")])


@drawing("TanH")
def tanh(canvas: Canvas) -> None:
    """All numbers become numbers between −1 and 1, of the same sign. The slope is 1 at x = 0 and vanishes far away."""
    curves(canvas, "TanH", (-4, 4), (-1.3, 1.3), (-0.1, 1.2), variants=[("", "", (0, 0))], dots=[-1, 0, 1],
           ticks=([-2, -1, 0, 1, 2], [-1, 0, 1], [0, 0.5, 1]))


@drawing("Threshold")
def threshold(canvas: Canvas) -> None:
    """A step at t: 0 up to t itself, 1 above it. There is no gradient, so nothing below this layer can learn."""
    left, _ = curves(canvas, "Threshold", (-2, 3), (-0.4, 1.4), (0, 1), breaks=[0.5], dots=[0.5], backward=False,
                     variants=[("threshold_param { threshold: 0.5 }", "", (0, 0))],
                     ticks=([-1, 0, 0.5, 1, 2], [0, 1], []))
    left.note(0.7, 0.3, "t = 0.5")
    ran = example("Threshold")
    x = canvas.grid(380, 40, ran["x"], "x")
    y = canvas.grid(550, 40, ran["y"], "y", lit=[tuple(place) for place in np.argwhere(ran["y"] == 1)])
    canvas.arrow((x.box.right + 8, x.box.y), (y.box.left - 8, y.box.y))
    canvas.text(380, 150, "Backward: none. The slope is 0 on both\nsides of t, and at t there is none.")


@drawing("PReLU")
def prelu(canvas: Canvas) -> None:
    """Each channel has a slope a[c] of its own for negative numbers, and learns it: da adds up dy · x of those numbers.
    """
    ran = example("PReLU")
    axes = Axes(canvas, Box(40, 26, 300, 196), (-4, 4), (-2, 3), "y", "x", [-2, 0, 2], [-1, 0, 1, 2])
    xs = np.array([-4.0, 0, 4])
    for c, kind in enumerate(("curve", "curve other", "curve third")):
        got = run('layer { type: "PReLU" bottom: "x" top: "y" }', x=xs[:, None], dy=np.ones((3, 1)), a=[ran["a"][c]])
        axes.curve(xs, got["y"][:, 0], kind)
    for c, (x, y) in enumerate(((-2.3, -1.6), (-3.8, -0.45), (-3.8, 0.35))):
        axes.note(x, y, f"a[{c}]")
    negative = [tuple(place) for place in np.argwhere(ran["x"] < 0)]
    x = canvas.grid(350, 6, ran["x"], "x", lit=negative, width=44)
    y = canvas.grid(540, 6, ran["y"], "y", lit=negative, width=44)
    canvas.grid(350, 84, ran["a"], "a", kind="learned", width=44)
    dy = canvas.grid(350, 138, ran["dy"], "dy", kind="diff", width=44)
    da = canvas.grid(540, 151, ran["da"], "da", kind="diff", width=44)
    canvas.arrow((x.box.right + 8, x.box.y), (y.box.left - 8, y.box.y))
    canvas.arrow((dy.box.right + 8, da.box.y), (da.box.left - 8, da.box.y), kind="line back")
    canvas.text(500, 122, "lit: x < 0, times a[c]", "quiet")


@drawing("Bias")
def bias(canvas: Canvas) -> None:
    """Each column is a channel here, and b has a number for each: it is added to the whole column. Backward, the column
    of dy adds up to db.
    """
    _channels(canvas, "Bias", ["b"], "+")


@drawing("Scale")
def scale(canvas: Canvas) -> None:
    """Each column is a channel here: it is multiplied by its number in w, and gets its number of b. Backward, dw adds
    up dy · x of the column, and db adds up dy.
    """
    _channels(canvas, "Scale", ["w", "b"], "·")


def _channels(canvas: Canvas, layer: str, learned: Sequence[str], sign: str) -> None:
    """Draw how numbers of a channel go into the values of that channel, and what comes back."""
    ran, column = example(layer), [(0, 1), (1, 1)]
    x = canvas.grid(6, 6, ran["x"], "x", lit=column, width=36)
    place, signs = x, [sign, "+"]
    for name, between in zip(learned, signs, strict=False):
        canvas.sign(place.box.right + 22, x.box.y, between)
        place = canvas.grid(place.box.right + 44, x.box.y - 33, ran[name], name, kind="learned", lit=[(0, 1)], width=36)
    canvas.sign(place.box.right + 22, x.box.y, "=")
    canvas.grid(place.box.right + 44, 6, ran["y"], "y", lit=column, width=36)
    dy = canvas.grid(6, 104, ran["dy"], "dy", kind="diff", lit=column, width=36)
    place = canvas.grid(dy.box.right + 60, 104, ran["dx"], "dx", kind="diff", lit=column, width=36)
    canvas.arrow((dy.box.right + 8, dy.box.y), (place.box.left - 8, dy.box.y), kind="line back")
    for name in learned:
        place = canvas.grid(place.box.right + 60, 117, ran[f"d{name}"], f"d{name}", kind="diff", lit=[(0, 1)], width=36)
