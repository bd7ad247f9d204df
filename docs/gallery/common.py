"""Drawings of Dropout, Embed and InnerProduct."""

from __future__ import annotations

import numpy as np

from gallery.canvas import Canvas, number
from gallery.registry import cells_where, drawing, example, run


@drawing("Dropout")
def dropout(canvas: Canvas) -> None:
    """While training, values are crossed out by chance and become 0. The others are multiplied by 1 / (1 − p), so that
    the sum stays the same on average. Backward takes the same m. While testing, everything passes.
    """
    x = np.arange(1, 13).reshape(3, 4)
    layer = 'type: "Dropout" bottom: "x" top: "y" dropout_param { dropout_ratio: 0.5 }'
    ran = run(f"layer {{ {layer} }}", x=x, dy=np.ones((3, 4)))
    tested = run(f"layer {{ {layer} phase: TEST }}", x=x)["y"]
    dropped = cells_where(ran["y"] == 0)
    canvas.text(6, 16, "TRAIN, p = 0.5", "strong")
    left = canvas.grid(6, 24, x, "x", crossed=dropped)
    canvas.sign(132, left.box.y, "·")
    mask = canvas.grid(154, 24, ran["y"] / x, "m", faint=dropped)
    canvas.sign(280, mask.box.y, "=")
    canvas.grid(302, 24, ran["y"], "y", faint=dropped)
    canvas.grid(6, 134, ran["dx"], "dx, for dy = 1 everywhere", kind="diff", faint=dropped)
    canvas.text(470, 16, "TEST", "strong")
    x_test = canvas.grid(470, 24, x, "x")
    y_test = canvas.grid(470, 134, tested, "y")
    canvas.arrow((x_test.box.x, x_test.box.bottom + 6), (x_test.box.x, y_test.box.top - 6))


@drawing("Embed")
def embed(canvas: Canvas) -> None:
    """Each index of x names a row of the learned table w, which becomes a row of y; b is added to all of them.
    Backward, the rows of dy add up in the rows of dw that they came from: row 2 was looked up twice.
    """
    ran = example("Embed")
    indices = [int(index) for index in ran["x"]]
    x = canvas.grid(6, 19, ran["x"][:, None], "x", lit=[(0, 0), (2, 0)])
    w = canvas.grid(130, 19, ran["w"], "w", kind="learned", lit=[(2, 0), (2, 1)])
    for r in range(w.rows):
        canvas.label(w.box.left - 6, w.cell(r, 0).y, f"{r}", "end", "mono quiet")
    y = canvas.grid(280, 19, ran["y"], "y, with b added", width=36, lit=[(0, 0), (0, 1), (2, 0), (2, 1)])
    canvas.grid(130, 140, [ran["b"]], "b", kind="learned")
    for i, row in enumerate(indices):
        canvas.arrow((x.cell(i, 0).right + 3, x.cell(i, 0).y), (w.box.left - 19, w.cell(row, 0).y + (i - 1) * 5))
        canvas.arrow((w.box.right + 3, w.cell(row, 0).y + (i - 1) * 5), (y.box.left - 4, y.cell(i, 0).y))
    dy = canvas.grid(416, 19, ran["dy"], "dy", kind="diff", width=36, lit=[(0, 0), (0, 1), (2, 0), (2, 1)])
    dw = canvas.grid(566, 19, ran["dw"], "dw", kind="diff", width=36, lit=[(2, 0), (2, 1)])
    for i, row in enumerate(indices):
        canvas.arrow((dy.box.right + 3, dy.cell(i, 0).y), (dw.box.left - 4, dw.cell(row, 0).y + (i - 1) * 5),
                     kind="line back")
    db = canvas.grid(566, 140, [ran["db"]], "db", kind="diff", width=36)
    canvas.arrow((dy.box.x, dy.box.bottom + 4), (dy.box.x, db.box.y), (db.box.left - 4, db.box.y), kind="line back")


@drawing("InnerProduct")
def inner_product(canvas: Canvas) -> None:
    """Each row of w is an output. A row of x and a row of w (both lit) are multiplied number by number; the sum of the
    products, and the number of b, is one number of y. The drawing below shows the same as connections.
    """
    ran = example("InnerProduct")
    x, w, b, y = ran["x"], ran["w"], ran["b"], ran["y"]
    row = [(0, j) for j in range(3)]
    canvas.grid(6, 6, x, "x (N, D)", lit=row)
    canvas.sign(104, 52, "·")
    canvas.grid(126, 6, w, "w (K, D)", kind="learned", lit=row)
    canvas.sign(224, 52, "+")
    canvas.grid(246, 19, [b], "b", kind="learned", lit=[(0, 0)])
    canvas.sign(320, 52, "=")
    canvas.grid(342, 6, y, "y (N, K)", lit=[(0, 0)])
    products = " + ".join(f"{number(a)}·{number(c) if c >= 0 else f'({number(c)})'}" for a, c in zip(x[0], w[0],
                                                                                                 strict=True))
    canvas.text(6, 98, f"y = x · wᵀ + b: y[0, 0] = {products} + {number(b[0])} = {number(y[0, 0])}", "mono")
    for k in range(2):
        for j in range(3):
            lit = " accent" if k == 0 else ""
            canvas.line([(90, 132 + 34 * j), (234, 149 + 34 * k)], f"line{lit}" if k == 0 else "line thin")
    for j, value in enumerate(x[0]):
        canvas.circle(80, 132 + 34 * j, 14, "plane")
        canvas.label(80, 132 + 34 * j, number(value), kind="mono")
        canvas.label(58, 132 + 34 * j, f"x[{j}]", "end", "mono quiet")
        canvas.label(116, (124, 156, 181)[j], number(w[0, j]), kind="mono halo")
    for k, value in enumerate(y[0]):
        canvas.circle(250, 149 + 34 * k, 16, "plane lit" if k == 0 else "plane")
        canvas.label(250, 149 + 34 * k, number(value), kind="mono")
        canvas.label(274, 149 + 34 * k, f"y[{k}]", "start", "mono quiet")
    canvas.text(320, 126, "Backward, dy goes the same ways back:", "quiet")
    dy = canvas.grid(320, 134, ran["dy"], "dy", kind="diff")
    dx = canvas.grid(440, 134, ran["dx"], "dx = dy · w", kind="diff")
    canvas.grid(566, 134, ran["dw"], "dw = dyᵀ · x", kind="diff", width=30)
    canvas.arrow((dy.box.right + 6, dy.box.y), (dx.box.left - 6, dx.box.y), kind="line back")
