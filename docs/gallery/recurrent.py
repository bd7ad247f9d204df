"""Drawings of layers that run along time."""

from __future__ import annotations

import itertools

import numpy as np

from gallery.canvas import Box, Canvas, number
from gallery.registry import drawing, run

X, START = [1.0, -1.0, 0.5, 2.0], [0, 1, 1, 0]  # four time steps; δ is 0 where a sequence begins


def film(canvas: Canvas, x: float, y: float, frames: list[str], width: float) -> list[Box]:
    """Draw a strip of film with a frame for each time step."""
    boxes = []
    canvas.rect((x, y, x + width * len(frames), y + 58), "box")
    for t, words in enumerate(frames):
        box = Box(x + width * t + 8, y + 13, x + width * (t + 1) - 8, y + 45)
        canvas.rect(box, "cell", 3)
        canvas.label(box.x, box.y, words, kind="mono")
        for hole in np.arange(x + width * t + 8, x + width * (t + 1) - 6, 18):
            for top in (y + 3, y + 49):
                canvas.rect((hole, top, hole + 8, top + 6), "hole", 1)
        boxes.append(box)
    return boxes


def unroll(layer: str, learned: dict[str, list[float]], states: int) -> list[dict[str, np.ndarray]]:
    """Run a recurrent layer over the first step, over the first two, and so on: y and the last states of each run."""
    names = ["h", "c"][:states]
    found = []
    for steps in range(1, len(X) + 1):
        bottoms = ["x", "cont", *(f"{name}_0" for name in names)]
        tops = ["y", *(f"{name}_T" for name in names)]
        text = " ".join([*(f'bottom: "{name}"' for name in bottoms), *(f'top: "{name}"' for name in tops)])
        values = {"x": np.reshape(X[:steps], (steps, 1, 1)), "cont": np.reshape(START[:steps], (steps, 1)),
                  **{f"{name}_0": [[[0]]] for name in names}}
        found.append(run(f'layer {{ type: "{layer}" {text} recurrent_param {{ num_output: 1 expose_hidden: true }} }}',
                         **values, **learned))
    return found


@drawing("RNN")
def rnn(canvas: Canvas) -> None:
    """The same layer at each time step of one stream: the film at the bottom is x. The state h_t goes on to the next
    step through w_h. Where a sequence begins, δ is 0 and the state of the step before is cut off (the two strokes).
    """
    learned = {"w_x": [[1]], "b": [0], "w_h": [[0.5]], "w_o": [[2]], "b_o": [0]}
    steps = unroll("RNN", learned, 1)
    wide = 166.0
    frames = film(canvas, 6, 204, [f"x_{t + 1} = {number(x)}" for t, x in enumerate(X)], wide)
    for t, (frame, ran) in enumerate(zip(frames, steps, strict=True)):
        state = Box(frame.x - 46, 112, frame.x + 46, 160)
        canvas.rect(state, "box", 5)
        canvas.text(state.x, 131, "tanh", "quiet", "middle")
        canvas.text(state.x, 149, f"h_{t + 1} = {number(ran['h_T'].item())}", "mono", "middle")
        out = Box(frame.x - 40, 42, frame.x + 40, 72)
        canvas.rect(out, "box", 5)
        canvas.label(out.x, out.y, "tanh", kind="quiet")
        canvas.text(out.x, 22, f"y_{t + 1} = {number(ran['y'].ravel()[t])}", "mono strong", "middle")
        canvas.arrow((frame.x, 203), (frame.x, 162))
        canvas.text(frame.x + 8, 186, "w_x", "mono quiet")
        canvas.arrow((frame.x, 111), (frame.x, 74))
        canvas.text(frame.x + 8, 98, "w_o", "mono quiet")
        canvas.arrow((frame.x, 41), (frame.x, 27))
        if t:
            _hand_on(canvas, (frame.x - wide + 46, 136), (frame.x - 48, 136), START[t], "w_h")
        canvas.text(frame.x, 282, f"t = {t + 1}, δ = {START[t]}", "mono quiet", "middle")


def _hand_on(canvas: Canvas, start: tuple[float, float], end: tuple[float, float], cont: int, name: str) -> None:
    """Draw how a state goes on to the next step, or where it is cut off."""
    middle = (start[0] + end[0]) / 2
    if cont:
        canvas.arrow(start, end, kind="line accent")
        canvas.text(middle - 4, start[1] - 8, name, "mono quiet", "middle")
        return
    canvas.line([start, (middle - 5, start[1])], "line accent")
    for x in (middle - 5, middle + 3):
        canvas.line([(x, start[1] - 9), (x, start[1] + 9)], "cross")
    canvas.arrow((middle + 3, start[1]), end, kind="line accent")
    canvas.text(middle, start[1] - 14, "δ = 0", "mono quiet", "middle")


@drawing("LSTM")
def lstm(canvas: Canvas) -> None:
    """The chain of cells c_t runs along the top, the outputs h_t below it. At each step three gates between 0 (empty)
    and 1 (full) decide: f how much of the cell stays, i how much of the new g comes in, o how much of the cell is
    shown.
    """
    learned = {"w_x": [[1], [2], [3], [0.5]], "b": [0, 1, 0, 0], "w_h": [[0.1], [0.2], [0.3], [0.4]]}
    steps, wide, h = unroll("LSTM", learned, 2), 170.0, 0.0
    frames = film(canvas, 6, 266, [f"x_{t + 1} = {number(x)}" for t, x in enumerate(X)], wide)
    for t, (frame, ran) in enumerate(zip(frames, steps, strict=True)):
        z = np.array(learned["w_x"])[:, 0] * X[t] + learned["b"] + np.array(learned["w_h"])[:, 0] * START[t] * h
        gates = run('layer { type: "Sigmoid" bottom: "z" top: "y" }', z=z[:3])["y"] * [1, START[t], 1]
        g = float(run('layer { type: "TanH" bottom: "z" top: "y" }', z=z[3:])["y"][0])
        h, c = ran["h_T"].item(), ran["c_T"].item()
        cell = Box(frame.x - 48, 24, frame.x + 48, 52)
        canvas.rect(cell, "box lit", 5)
        canvas.label(cell.x, cell.y, f"c_{t + 1} = {number(c)}", kind="mono")
        canvas.rect((frame.x - 64, 74, frame.x + 64, 188), "box", 5)
        for row, (name, value) in enumerate(zip("fio", gates[[1, 0, 2]], strict=True)):
            _gauge(canvas, frame.x - 54, 84 + 24 * row, name, float(value))
        canvas.text(frame.x - 54, 175, f"g  {number(g)}", "mono")
        canvas.arrow((frame.x, 73), (frame.x, 54))
        out = Box(frame.x - 54, 210, frame.x + 54, 238)
        canvas.rect(out, "cell", 5)
        canvas.label(out.x, out.y, f"h_{t + 1} = {number(h)}", kind="mono")
        canvas.arrow((frame.x, 189), (frame.x, 208))
        canvas.arrow((frame.x - 60, 265), (frame.x - 60, 190))
        canvas.text(frame.x - 52, 256, "w_x", "mono quiet")
        if t:
            _hand_on(canvas, (frame.x - wide + 48, cell.y), (frame.x - 50, cell.y), START[t], "f ·")
            before = frame.x - wide
            if START[t]:
                canvas.arrow((before + 54, out.y), (before + 84, out.y), (before + 84, 150), (frame.x - 66, 150))
                canvas.text(before + 64, 244, "w_h", "mono quiet")
            else:  # the state before the start is cut off here too
                canvas.line([(before + 54, out.y), (before + 62, out.y)])
                canvas.line([(before + 62, out.y - 9), (before + 62, out.y + 9)], "cross")
        canvas.text(frame.x, 344, f"t = {t + 1}, δ = {START[t]}", "mono quiet", "middle")


def _gauge(canvas: Canvas, x: float, y: float, name: str, value: float) -> None:
    """Draw a gate as a bar that is filled from 0 to 1."""
    canvas.text(x, y + 12, name, "mono strong")
    canvas.rect((x + 16, y + 1, x + 68, y + 15), "cell")
    canvas.rect((x + 16, y + 1, x + 16 + 52 * value, y + 15), "bar")
    canvas.text(x + 74, y + 12, number(value), "mono")


@drawing("Lstm")
def lstm_of_forks(canvas: Canvas) -> None:
    """An LSTM for x (T · N, …): here the rows of two streams take turns, and those of the second are lit. Each stream
    runs through its own steps. With δ, the state before the first step is that of the forward pass before. Where δ is
    0, no state comes in.
    """
    x, begins = [1.0, 2.0, -0.5, 0.5, 0.5, 1.0], [1, 0, 1, 1, 1, 0]
    ran = run('layer { type: "Lstm" bottom: "x" bottom: "cont" top: "y" lstm_param { num_output: 1 batch_size: 2 } }',
              x=np.reshape(x, (6, 1)), cont=begins, w_x=[[1], [2], [3], [0.5]], w_h=[[0.1], [0.2], [0.3], [0.4]],
              b=[0, 1, 0, 0])
    second = [(row, 0) for row in (1, 3, 5)]
    taken, cont = canvas.grid(50, 24, np.reshape(x, (6, 1)), "x", lit=second), canvas.grid(
        108, 24, np.reshape(begins, (6, 1)), "δ", lit=second)
    y = canvas.grid(662, 24, ran["y"], "y", lit=second)
    for row in range(6):
        canvas.label(42, taken.cell(row, 0).y, f"t = {row // 2 + 1}", "end", "mono quiet")
    canvas.arrow((cont.box.right + 6, taken.box.y), (164, taken.box.y))
    canvas.arrow((y.box.left - 38, taken.box.y), (y.box.left - 10, taken.box.y))
    for n in range(2):
        line = taken.cell(1 + 3 * n, 0).y
        before = Box(168, line - 24, 256, line + 24)
        canvas.rect(before, "cell faint", 5)
        canvas.text(before.x, line - 3, "state after", "quiet", "middle")
        canvas.text(before.x, line + 14, "last pass", "quiet", "middle")
        for t in range(3):
            step = Box(308 + 116 * t, line - 24, 384 + 116 * t, line + 24)
            canvas.rect(step, "box lit" if n else "box", 5)
            canvas.text(step.x, line - 3, f"t = {t + 1}", "mono quiet", "middle")
            canvas.text(step.x, line + 14, f"h_{t + 1} = {number(ran['y'].item(2 * t + n))}", "mono", "middle")
            start = (before.right + 2 if t == 0 else step.left - 38, line)
            _hand_on(canvas, start, (step.left - 2, line), begins[2 * t + n], "")


@drawing("LSTMUnit")
def lstm_unit(canvas: Canvas) -> None:
    """One step of an LSTM as a circuit. From the left comes the cell c0. The forget gate f lets a part of it through,
    the input gate i adds a part of g, and the output gate o shows a part of tanh(c).
    """
    c0, x = 2.0, {"f": -1.0, "i": 1.0, "g": 0.5, "o": 2.0}
    ran = run('layer { type: "LSTMUnit" bottom: "c0" bottom: "x" bottom: "cont" top: "c" top: "h" }', c0=[[[c0]]],
              x=[[[x["i"], x["f"], x["o"], x["g"]]]], cont=[[1]])
    value = {name: float(run(f'layer {{ type: "{"TanH" if name == "g" else "Sigmoid"}" bottom: "x" top: "y" }}',
                             x=[z])["y"][0]) for name, z in x.items()}
    line = 50.0
    places = {"f": 150.0, "i": 290.0, "g": 380.0, "o": 560.0}
    canvas.text(6, line + 4, f"c0 = {number(c0)}", "mono strong")
    stops = [84.0, places["f"], 290.0, 470.0]
    for start, end in itertools.pairwise(stops):
        canvas.arrow((start if start == 84 else start + 13, line), (end - (13 if end != 470 else 0), line),
                     kind="line accent")
    for name, left in places.items():
        box = canvas.box(left - 32, 150, f"{'tanh' if name == 'g' else 'σ'}", width=64)
        canvas.text(left, 222, f"x_{name} = {number(x[name])}", "mono", "middle")
        canvas.arrow((left, 208), (left, box.bottom + 2))
    for left, sign in ((places["f"], "·"), (290.0, "+")):
        canvas.circle(left, line, 12, "plane")
        canvas.sign(left, line, sign)
    canvas.circle(335, 106, 12, "plane")
    canvas.sign(335, 106, "·")
    canvas.arrow((places["f"], 149), (places["f"], line + 14))
    canvas.text(places["f"] + 8, 110, f"f = {number(value['f'])}", "mono")
    canvas.arrow((places["i"], 149), (places["i"], 106), (321, 106))
    canvas.text(places["i"] - 8, 134, f"i = {number(value['i'])}", "mono", "end")
    canvas.arrow((places["g"], 149), (places["g"], 106), (349, 106))
    canvas.text(places["g"] + 8, 134, f"g = {number(value['g'])}", "mono")
    canvas.arrow((335, 93), (335, 74), (304, line + 8))
    canvas.text(346, 84, f"i · g = {number(value['i'] * value['g'])}", "mono")
    canvas.text(166, line - 12, f"f · c0 = {number(value['f'] * c0)}", "mono")
    canvas.text(476, line + 4, f"c = {number(ran['c'].item())}", "mono strong")
    tanh = canvas.box(446, 86, "tanh", width=52)
    canvas.arrow((472, line + 10), (472, tanh.top - 2))
    canvas.arrow((tanh.right + 2, tanh.y), (546, tanh.y))
    canvas.circle(560, tanh.y, 12, "plane")
    canvas.sign(560, tanh.y, "·")
    canvas.arrow((560, 149), (560, tanh.y + 14))
    canvas.text(568, 140, f"o = {number(value['o'])}", "mono")
    canvas.arrow((573, tanh.y), (606, tanh.y))
    canvas.text(612, tanh.y + 4, f"h = {number(ran['h'].item())}", "mono strong")


@drawing("ContinuationIndicator")
def continuation_indicator(canvas: Canvas) -> None:
    """A column for each sequence, and a row for each time step. All sequences begin at the first step, where a 0 (lit)
    makes LSTM and RNN forget the state of the batch before.
    """
    ran = run('layer { type: "ContinuationIndicator" top: "y" continuation_indicator_param { time_step: 4 '
              "batch_size: 3 } }")
    y = canvas.grid(60, 6, ran["y"], "y", lit=[(0, n) for n in range(3)])
    for t in range(4):
        canvas.label(52, y.cell(t, 0).y, f"t = {t}", "end", "mono quiet")
    box = canvas.box(240, y.box.y - 14, "LSTM or RNN", width=120)
    canvas.arrow((y.box.right + 10, box.y), (box.left - 4, box.y))
    canvas.label((y.box.right + box.left) / 2 + 4, box.y - 14, "cont", kind="mono quiet")
    canvas.text(390, box.y + 5, "its second bottom", "quiet")
