"""Drawings of layers that move, join and choose numbers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import numpy as np

from gallery import double
from gallery.canvas import Canvas, Grid
from gallery.plot import bars
from gallery.registry import drawing, example, run


def row(i: int, columns: int) -> list[tuple[int, int]]:
    """The places of a row."""
    return [(i, j) for j in range(columns)]


def columns(first: int, last: int, rows: int) -> list[tuple[int, int]]:
    """The places of the columns from first up to, but without, last."""
    return [(i, j) for i in range(rows) for j in range(first, last)]


def across(canvas: Canvas, left: Grid, right: Grid, kind: str = "line") -> None:
    """Draw an arrow from one grid to another on its right."""
    canvas.arrow((left.box.right + 8, left.box.y), (right.box.left - 8, right.box.y), kind=kind)


@drawing("ArgMax")
def arg_max(canvas: Canvas) -> None:
    """The bars are the scores of the two samples. y has the places of the largest ones, here of two, the largest first.
    In the second sample two scores are equal: the later place comes first.
    """
    ran = example("ArgMax")
    for n, scores in enumerate(ran["x"]):
        best = [int(place) for place in ran["y"][n]]
        left = 6 + 330 * n
        canvas.text(left, 16, f"x[{n}]", "mono strong")
        places = bars(canvas, left, 116, scores, [f"place {i}" for i in range(3)], wide=58,
                      kinds=lambda i, best=best: "bar lit" if i in best else "bar faint")
        for rank, place in enumerate(best):
            canvas.label(places[place].x, places[place].bottom - 10, ("1st", "2nd")[rank])
        top = canvas.grid(left + 224, 62, [best], f"y[{n}]", lit=row(0, 2))
        canvas.arrow((left + 186, top.box.y), (top.box.left - 8, top.box.y))
    canvas.text(6, 160, "Backward: none.", "quiet")


@drawing("BatchReindex")
def batch_reindex(canvas: Canvas) -> None:
    """The numbers in i say which samples (rows) of x make up the new batch. Sample 1 comes twice, so backward adds up
    the two gradients that come back for it.
    """
    ran = example("BatchReindex")
    places = [int(place) for place in ran["i"]]
    x = canvas.grid(26, 32, ran["x"], "x", lit=row(1, 3))
    for n in range(2):
        canvas.label(20, x.cell(n, 0).y, str(n), "end", "mono quiet")
    i = canvas.grid(164, 19, ran["i"][:, None], "i", lit=[(0, 0), (2, 0)])
    y = canvas.grid(256, 19, ran["y"], "y", lit=row(0, 3) + row(2, 3))
    for m, place in enumerate(places):
        canvas.arrow((x.box.right + 4, x.cell(place, 0).y + (m - 1) * 5), (i.box.left - 4, i.cell(m, 0).y))
        canvas.arrow((i.box.right + 4, i.cell(m, 0).y), (y.box.left - 5, y.cell(m, 0).y))
    dy = canvas.grid(410, 19, ran["dy"], "dy", kind="diff", lit=row(0, 3) + row(2, 3))
    dx = canvas.grid(580, 32, ran["dx"], "dx", kind="diff", lit=row(1, 3))
    for m, place in enumerate(places):
        canvas.arrow((dy.box.right + 4, dy.cell(m, 0).y), (dx.box.left - 5, dx.cell(place, 0).y + (m - 1) * 5),
                     kind="line back")


@drawing("Concat")
def concat(canvas: Canvas) -> None:
    """The columns of x[0] come first, then those of x[1] (lit). Backward cuts dy at the same place."""
    ran = example("Concat")
    lit = columns(3, 4, 2)
    first = canvas.grid(6, 6, ran["x0"], "x[0]")
    second = canvas.grid(6, 88, ran["x1"], "x[1]", lit=columns(0, 1, 2))
    y = canvas.grid(176, 46, ran["y"], "y", lit=lit)
    dy = canvas.grid(350, 46, ran["dy"], "dy", kind="diff", lit=lit)
    back = [canvas.grid(530, 6, ran["dx0"], "dx[0]", kind="diff"),
            canvas.grid(530, 88, ran["dx1"], "dx[1]", kind="diff", lit=columns(0, 1, 2))]
    for part, to in ((first, -8), (second, 8)):
        canvas.arrow((part.box.right + 8, part.box.y), (y.box.left - 8, y.box.y + to))
    for part, of in zip(back, (-8, 8), strict=True):
        canvas.arrow((dy.box.right + 8, dy.box.y + of), (part.box.left - 8, part.box.y), kind="line back")


@drawing("Slice")
def slice_(canvas: Canvas) -> None:
    """The thick line is the cut. What is left of it is y[0], what is right of it y[1]. Backward joins the gradients."""
    ran = example("Slice")
    lit = columns(0, 1, 2)
    x = canvas.grid(6, 46, ran["x"], "x", lit=lit)
    tops = [canvas.grid(176, 6, ran["y0"], "y[0]", lit=lit), canvas.grid(176, 88, ran["y1"], "y[1]")]
    diffs = [canvas.grid(350, 6, ran["dy0"], "dy[0]", kind="diff", lit=lit),
             canvas.grid(350, 88, ran["dy1"], "dy[1]", kind="diff")]
    dx = canvas.grid(530, 46, ran["dx"], "dx", kind="diff", lit=lit)
    for grid in (x, dx):
        cut = grid.cell(0, 0).right
        canvas.line([(cut, grid.box.top - 8), (cut, grid.box.bottom + 8)], "window")
    for top, diff, shift in zip(tops, diffs, (-8, 8), strict=True):
        canvas.arrow((x.box.right + 8, x.box.y + shift), (top.box.left - 8, top.box.y))
        canvas.arrow((diff.box.right + 8, diff.box.y), (dx.box.left - 8, dx.box.y + shift), kind="line back")


@drawing("Eltwise")
def eltwise(canvas: Canvas) -> None:
    """Two blobs of one shape become one: the numbers at the same place (lit) are added, multiplied, or the larger one
    is kept. With coeff each bottom of a sum has a factor. The last row says what backward hands to x[0].
    """
    x0, x1 = np.array([[1, 5], [3, 2]]), np.array([[4, 2], [6, 1]])
    for i, (operation, sign) in enumerate((("SUM", "+"), ("PROD", "·"), ("MAX", "max"))):
        ran = run(f'layer {{ type: "Eltwise" bottom: "x0" bottom: "x1" top: "y" eltwise_param {{ '
                  f'operation: {operation} }} }}', x0=x0, x1=x1, dy=np.ones((2, 2)))
        left = 6 + 234 * i
        canvas.text(left, 16, operation, "strong")
        a = canvas.grid(left, 26, x0, "x[0]", lit=[(0, 1)])
        if sign == "max":
            canvas.label(a.box.right + 16, a.box.y, sign, kind="mono")
        else:
            canvas.sign(a.box.right + 16, a.box.y, sign)
        b = canvas.grid(a.box.right + 32, 26, x1, "x[1]", lit=[(0, 1)])
        canvas.sign(b.box.right + 14, b.box.y, "=")
        canvas.grid(b.box.right + 28, 26, ran["y"], "y", lit=[(0, 1)])
        dx = canvas.grid(left, 130, ran["dx0"], "dx[0]", kind="diff", lit=[(0, 1)])
        words = {"SUM": "c[0] · dy", "PROD": "dy · x[1]", "MAX": "dy where x[0]\nwas the largest"}[operation]
        canvas.label(dx.box.right + 12, dx.box.y, words, "start", "quiet")
    canvas.text(6, 122, "Backward, for dy = 1 everywhere:", "quiet")


@drawing("Filter")
def filter_(canvas: Canvas) -> None:
    """The selector s has a number for each sample (row). Where it is 0 the sample is left out of y, and backward its
    gradient is 0.
    """
    x = np.arange(1, 13).reshape(4, 3)
    ran = run('layer { type: "Filter" bottom: "x" bottom: "s" top: "y" }', x=x, s=[1, 0, 0, 1],
              dy=[[1, 2, 3], [4, 5, 6]])
    gone = row(1, 3) + row(2, 3)
    canvas.grid(6, 6, x, "x", faint=gone)
    s = canvas.grid(120, 6, ran["s"][:, None], "s", lit=[(0, 0), (3, 0)], faint=[(1, 0), (2, 0)])
    y = canvas.grid(222, 32, ran["y"], "y")
    dy = canvas.grid(376, 32, ran["dy"], "dy", kind="diff")
    dx = canvas.grid(540, 6, ran["dx"], "dx", kind="diff", faint=gone)
    for n, place in enumerate((0, 3)):
        canvas.arrow((s.box.right + 6, s.cell(place, 0).y), (y.box.left - 8, y.cell(n, 0).y))
        canvas.arrow((dy.box.right + 8, dy.cell(n, 0).y), (dx.box.left - 8, dx.cell(place, 0).y), kind="line back")
    for place in (1, 2):
        canvas.line([(s.box.right + 6, s.cell(place, 0).y), (s.box.right + 26, s.cell(place, 0).y)])
        canvas.line([(s.box.right + 26, s.cell(place, 0).y - 7), (s.box.right + 26, s.cell(place, 0).y + 7)])


@drawing("Flatten")
def flatten(canvas: Canvas) -> None:
    """Two channels of 2 × 3 become one row of twelve: channel after channel, and row after row in each. No number moves
    in memory; only the shape changes.
    """
    x = np.arange(1, 13).reshape(2, 2, 3)
    y = run('layer { type: "Flatten" bottom: "x" top: "y" }', x=x[None])["y"]
    for c in range(2):
        grid = canvas.grid(6 + 120 * c, 6, x[c], f"x[n, {c}]", lit=row(0, 3) if c == 0 else [])
        canvas.label(grid.box.right + 6, grid.cell(0, 0).y, "1st" if c == 0 else "3rd", "start", "quiet")
        canvas.label(grid.box.right + 6, grid.cell(1, 0).y, "2nd" if c == 0 else "4th", "start", "quiet")
    canvas.text(276, 50, "(N, C, H, W) becomes (N, C · H · W)", "mono quiet")
    top = canvas.grid(6, 104, y, "y[n]", lit=row(0, 3))
    for i, words in enumerate(("1st row", "2nd row", "3rd row", "4th row")):
        ends = top.part(range(1), range(3 * i, 3 * i + 3))
        canvas.bracket_below(ends.left + 2, ends.right - 2, ends.bottom + 5, words)
    canvas.arrow((140, 84), (140, 106))


@drawing("Reshape")
def reshape(canvas: Canvas) -> None:
    """The numbers keep their order, row after row, and get another shape. The size that is −1 is the one that is left:
    6 numbers in 3 rows are 2 columns.
    """
    ran = example("Reshape")
    x = canvas.grid(6, 19, ran["x"], "x (2, 3)", lit=[(0, 0), (0, 1)])
    y = canvas.grid(240, 6, ran["y"], "y (3, 2)", lit=[(0, 0), (0, 1)])
    across(canvas, x, y)
    canvas.text(108, 56, "dim: 3 dim: −1", "mono quiet")
    canvas.grid(6, 112, ran["y"].reshape(1, -1), "the same memory for both", lit=[(0, 0), (0, 1)])
    dy = canvas.grid(390, 6, ran["dy"], "dy", kind="diff")
    dx = canvas.grid(540, 19, ran["dx"], "dx", kind="diff")
    across(canvas, dy, dx, "line back")


@drawing("Parameter")
def parameter(canvas: Canvas) -> None:
    """There is no bottom. The learned blob w itself is the top, so that other layers can compute with it. Their
    gradient is dw, and the solver changes w with it.
    """
    ran = example("Parameter")
    w = canvas.grid(30, 32, ran["w"], "w = y, the same memory", kind="learned")
    canvas.arrow((w.box.right + 8, w.box.y - 10), (312, w.box.y - 10))
    canvas.box(320, 54, "a layer that reads y\nas its bottom")
    canvas.arrow((312, w.box.y + 12), (w.box.right + 8, w.box.y + 12), kind="line back")
    canvas.label(212, w.box.y - 22, "y", kind="mono strong")
    canvas.label(212, w.box.y + 25, "dy = dw", kind="mono strong")
    solver = canvas.box(30, 126, "solver: w changes by dw")
    canvas.arrow((w.box.x, solver.top - 2), (w.box.x, w.box.bottom + 4), kind="line accent")
    canvas.grid(550, 32, ran["dw"], "dw = dy", kind="diff")


@drawing("Python")
def python(canvas: Canvas) -> None:
    """The prototxt names a module and a class of the user's. The net makes an object of the class and calls its methods
    as it calls those of its own layers.
    """
    named = 'module: "gallery.double" layer: "Double"'
    ran = run(f'layer {{ type: "Python" bottom: "x" top: "y" python_param {{ {named} }} }}', x=[[1, 2, 3]],
              dy=[[1, 1, 1]])
    canvas.text(6, 16, "prototxt", "strong")
    net = canvas.code(6, 26, 'type: "Python"\npython_param {\n  ' + named.replace(" layer", "\n  layer") + "\n}")
    canvas.text(276, 16, "gallery/double.py", "strong")
    code = canvas.code(276, 26, inspect.getsource(double.Double).strip())
    canvas.arrow((net.right + 4, net.y), (code.left - 4, net.y))
    x = canvas.grid(6, 232, ran["x"], "x")
    y = canvas.grid(180, 232, ran["y"], "y")
    across(canvas, x, y)
    canvas.label((x.box.right + y.box.left) / 2, x.box.y - 12, "forward", kind="quiet")
    dy = canvas.grid(330, 232, ran["dy"], "dy", kind="diff")
    dx = canvas.grid(510, 232, ran["dx"], "dx", kind="diff")
    across(canvas, dy, dx, "line back")
    canvas.label((dy.box.right + dx.box.left) / 2, dy.box.y - 12, "backward", kind="quiet")


@drawing("Reduction")
def reduction(canvas: Canvas) -> None:
    """Each row becomes one number. The four operations differ in what they do with its numbers."""
    x = np.array([[1, -2, 3], [4, 0, -4]])
    grid = canvas.grid(6, 32, x, "x", lit=row(0, 3), width=30)
    for i, operation in enumerate(("SUM", "ASUM", "SUMSQ", "MEAN")):
        y = run('layer { type: "Reduction" bottom: "x" top: "y" reduction_param { axis: 1 operation: '
                f"{operation} }} }}", x=x, dy=[1, 1])
        left = 196 + 124 * i
        canvas.grid(left, 32, y["y"][:, None], operation, lit=[(0, 0)], width=44)
        canvas.grid(left, 124, y["dx"], "dx", kind="diff", lit=row(0, 3))
        canvas.text(left, 22, ("Σ x", "Σ |x|", "Σ x²", "Σ x / D")[i], "mono quiet")
    canvas.arrow((grid.box.right + 10, grid.box.y), (178, grid.box.y))
    canvas.text(6, 166, "backward, for dy = 1\nin both rows:", "quiet")


@drawing("Silence")
def silence(canvas: Canvas) -> None:
    """A blob that no layer reads would be an output of the net. Silence reads it and hands nothing on; the gradient is
    0 everywhere.
    """
    ran = example("Silence")
    x = canvas.grid(6, 19, ran["x"], "x")
    box = canvas.box(190, 48, "Silence")
    canvas.arrow((x.box.right + 8, box.y), (box.left - 4, box.y))
    canvas.line([(box.right, box.y), (box.right + 34, box.y)])
    canvas.line([(box.right + 34, box.y - 14), (box.right + 34, box.y + 14)], "cross")
    canvas.label(box.right + 44, box.y, "no top", "start", "quiet")
    canvas.grid(440, 19, ran["dx"], "dx", kind="diff")


@drawing("Softmax")
def softmax(canvas: Canvas) -> None:
    """Scores on the left, probabilities on the right: all are positive, and their sum is 1. A score that is larger by 1
    has e = 2.72 times the probability. Adding the same number to all scores changes nothing.
    """
    x = [-1.0, 0.0, 1.0, 2.0]
    y = run('layer { type: "Softmax" bottom: "x" top: "y" }', x=[x])["y"][0]
    canvas.text(6, 16, "x, scores", "mono strong")
    bars(canvas, 6, 110, x, wide=52, high=72)
    canvas.arrow((226, 90), (306, 90))
    canvas.text(228, 76, "exp(x), then\n\ndivided by\ntheir sum", "quiet")
    canvas.text(330, 16, "y, probabilities", "mono strong")
    bars(canvas, 330, 110, y, wide=52, high=72, kinds=lambda _: "bar faint")
    left, scale = 330.0, 208
    for probability in y:  # the same as parts of 1
        canvas.rect((left, 128, left + scale * probability, 146), "bar faint")
        left += scale * probability
    canvas.label(330 + scale + 8, 137, "= 1", "start", "mono")


@drawing("Split")
def split(canvas: Canvas) -> None:
    """One blob with two readers: both tops are x, without a copy. Backward adds up what the readers send back, number
    by number (lit).
    """
    ran = example("Split")
    x = canvas.grid(6, 46, ran["x"], "x")
    tops = [canvas.grid(170, 6 + 82 * i, ran[f"y{i}"], f"y[{i}]") for i in range(2)]
    diffs = [canvas.grid(350, 6 + 82 * i, ran[f"dy{i}"], f"dy[{i}]", kind="diff", lit=[(0, 0)]) for i in range(2)]
    dx = canvas.grid(570, 46, ran["dx"], "dx", kind="diff", lit=[(0, 0)])
    canvas.circle(506, dx.box.y, 12, "plane")
    canvas.sign(506, dx.box.y, "+")
    for top, diff, shift in zip(tops, diffs, (-8, 8), strict=True):
        canvas.arrow((x.box.right + 8, x.box.y + shift), (top.box.left - 8, top.box.y))
        canvas.arrow((diff.box.right + 8, diff.box.y), (495, dx.box.y + shift), kind="line back")
    canvas.arrow((519, dx.box.y), (dx.box.left - 8, dx.box.y), kind="line back")


@drawing("Tile")
def tile(canvas: Canvas) -> None:
    """The whole of x is laid side by side, here twice. Backward adds up the gradients of the copies: the two lit
    numbers of dy are copies of the same number of x.
    """
    ran = example("Tile")
    x = canvas.grid(6, 6, ran["x"], "x", lit=[(0, 1)])
    y = canvas.grid(170, 6, ran["y"], "y", lit=[(0, 1), (0, 4)])
    across(canvas, x, y)
    dy = canvas.grid(170, 110, ran["dy"], "dy", kind="diff", lit=[(0, 1), (0, 4)])
    dx = canvas.grid(430, 110, ran["dx"], "dx", kind="diff", lit=[(0, 1)])
    across(canvas, dy, dx, "line back")
    _seam(canvas, [y, dy])
    first, second = y.part(range(1), range(3)), y.part(range(1), range(3, 6))
    for part, words in ((first, "first copy"), (second, "second copy")):
        canvas.bracket_below(part.left + 2, part.right - 2, y.box.bottom + 4, words)
    canvas.text(dy.box.right + 14, dy.box.y - 10, "Σ", "mono quiet")


def _seam(canvas: Canvas, grids: Sequence[Grid]) -> None:
    """Mark the place where copies meet."""
    for grid in grids:
        canvas.line([(grid.cell(0, 3).left, grid.box.top - 5), (grid.cell(0, 3).left, grid.box.bottom + 5)], "window")


@drawing("Permute")
def permute(canvas: Canvas) -> None:
    """The last two axes change places: row 0 of x (lit) becomes column 0 of y. Backward puts the axes of dy back. With
    order 0 2 3 1 the channels of an image go behind its pixels.
    """
    ran = example("Permute")
    x = canvas.grid(6, 19, ran["x"][0], "x[0]", lit=row(0, 3))
    y = canvas.grid(180, 6, ran["y"][0], "y[0]", lit=columns(0, 1, 3))
    dy = canvas.grid(360, 6, ran["dy"][0], "dy[0]", kind="diff", lit=columns(0, 1, 3))
    dx = canvas.grid(520, 19, ran["dx"][0], "dx[0]", kind="diff", lit=row(0, 3))
    across(canvas, x, y)
    canvas.label((x.box.right + y.box.left) / 2, x.box.y - 14, "order 0 2 1", kind="quiet")
    across(canvas, dy, dx, "line back")


@drawing("Axpy")
def axpy(canvas: Canvas) -> None:
    """Every channel (row) of x is multiplied by its own number in a, and z is added. Backward, da adds up dy · x of
    each channel, dx is dy times a, and dz is dy itself.
    """
    ran = run('layer { type: "Axpy" bottom: "a" bottom: "x" bottom: "z" top: "y" }', a=[[2, 0]],
              x=[[[1, 2, 3], [4, 5, 6]]], z=[[[10, 10, 10], [20, 20, 20]]], dy=[[[1, 0, 1], [0, 1, 0]]])
    a = canvas.grid(6, 6, ran["a"].T, "a[n]", lit=[(0, 0)])
    canvas.sign(50, a.box.y, "·")
    canvas.grid(68, 6, ran["x"][0], "x[n]", lit=row(0, 3))
    canvas.sign(164, a.box.y, "+")
    canvas.grid(182, 6, ran["z"][0], "z[n]", lit=row(0, 3))
    canvas.sign(294, a.box.y, "=")
    canvas.grid(312, 6, ran["y"][0], "y[n]", lit=row(0, 3))
    dy = canvas.grid(6, 100, ran["dy"][0], "dy[n]", kind="diff", lit=row(0, 3))
    place = canvas.grid(150, 100, ran["da"].T, "da[n]", kind="diff", lit=[(0, 0)])
    across(canvas, dy, place, "line back")
    canvas.grid(240, 100, ran["dx"][0], "dx[n]", kind="diff", lit=row(0, 3))
    canvas.grid(370, 100, ran["dz"][0], "dz[n]", kind="diff", lit=row(0, 3))


@drawing("ShuffleChannel")
def shuffle_channel(canvas: Canvas) -> None:
    """Six channels in two groups. As a table with a row for each group, they are read column by column: so the first
    channels of all groups (lit) come first. Backward reads the table row by row again.
    """
    ran = run('layer { type: "ShuffleChannel" bottom: "x" top: "y" shuffle_channel_param { group: 2 } }',
              x=[[0, 1, 2, 10, 11, 12]])
    x = canvas.grid(6, 32, ran["x"][0], "x, by channel", lit=[(0, 0), (0, 3)])
    canvas.bracket_below(x.box.left + 2, x.box.x - 2, x.box.bottom + 5, "group 0")
    canvas.bracket_below(x.box.x + 2, x.box.right - 2, x.box.bottom + 5, "group 1")
    table = canvas.grid(240, 19, ran["x"].reshape(2, 3), "as a table", lit=columns(0, 1, 2))
    y = canvas.grid(400, 32, ran["y"][0], "y, by channel", lit=[(0, 0), (0, 1)])
    across(canvas, x, table)
    across(canvas, table, y)


@drawing("Transpose")
def transpose(canvas: Canvas) -> None:
    """The two axes change places: row 0 of x (lit) becomes column 0 of y. Backward puts the axes of dy back."""
    ran = example("Transpose")
    x = canvas.grid(6, 19, ran["x"], "x", lit=row(0, 3))
    y = canvas.grid(180, 6, ran["y"], "y", lit=columns(0, 1, 3))
    dy = canvas.grid(360, 6, ran["dy"], "dy", kind="diff", lit=columns(0, 1, 3))
    dx = canvas.grid(520, 19, ran["dx"], "dx", kind="diff", lit=row(0, 3))
    across(canvas, x, y)
    canvas.label((x.box.right + y.box.left) / 2, x.box.y - 14, "dim 1 0", kind="quiet")
    across(canvas, dy, dx, "line back")


@drawing("Reverse")
def reverse(canvas: Canvas) -> None:
    """Axis 0 is turned around: the last row of x (lit) is the first of y. Backward turns dy around in the same way."""
    ran = example("Reverse")
    x = canvas.grid(6, 6, ran["x"], "x", lit=row(2, 2))
    y = canvas.grid(160, 6, ran["y"], "y", lit=row(0, 2))
    dy = canvas.grid(330, 6, ran["dy"], "dy", kind="diff", lit=row(0, 2))
    dx = canvas.grid(490, 6, ran["dx"], "dx", kind="diff", lit=row(2, 2))
    across(canvas, x, y)
    across(canvas, dy, dx, "line back")
