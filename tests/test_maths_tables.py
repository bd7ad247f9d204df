"""Tables and formulas of the pages of docs/maths that have no code to follow: read from the page, computed here."""

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from run_layer import filled, run_backward, run_forward

from minicaffe import rng
from minicaffe.errors import LayerError
from minicaffe.kernels.definitions import update
from minicaffe.layers import PoolingLayer, SigmoidCrossEntropyLossLayer

FOLDER = Path(__file__).parents[1] / "docs" / "maths"
LOSS, VISION, SOLVERS = ((FOLDER / f"{page}.md").read_text(encoding="utf-8") for page in ("loss", "vision", "solvers"))


def rows(text, heading):
    """The cells of the table whose first line holds this heading, without its first two lines."""
    lines = text[text.index(heading):].split("\n\n")[0].split("\n")
    return [[cell.strip().strip("$") for cell in line.strip("|").split("|")] for line in lines[2:]]


def number(cell):
    """The number in a cell, whose minus may be a long one."""
    return float(re.sub(r"[−–]", "-", cell))


# --- loss.md ------------------------------------------------------------------------------------------------

def example():
    """Scores, targets and costs of the two samples under "The four divisors by hand"."""
    cells = [row[1:] for row in rows(LOSS, "| | $x$ | | | $t$ | | | $l$ | | |")]
    x, t = (np.array([[number(cell) for cell in row[i:i + 3]] for row in cells]) for i in (0, 3))
    return x, t, [row[6:] for row in cells]


def loss_of(x, t, mode):
    """The loss and the gradient of the layer with this divisor."""
    layer = SigmoidCrossEntropyLossLayer(dtype=np.float64, loss_param={"ignore_label": -1, "normalization": mode})
    bottom, top = run_forward(layer, x, t)
    top[0].diff[...] = 1
    return float(top[0].data), run_backward(layer, bottom, top, 1, asked=[True, False])[0]


def test_cost_of_each_cell():
    """What the page says that each cell costs is −t log p − (1 − t) log(1 − p), and their sum."""
    x, t, costs = example()
    p = 1 / (1 + np.exp(-x))
    naive = -t * np.log(p) - (1 - t) * np.log(1 - p)
    for place in np.ndindex(x.shape):
        shown = costs[place[0]][place[1]]
        assert (shown == "ignored") == (t[place] == -1)
        assert shown == "ignored" or f"{naive[place]:.4f}" == shown

    assert f"The sum is {naive[t != -1].sum():.4f}." in LOSS


def test_divisors_and_rates():
    """Z and L of the four modes are the layer's, and the learning rate keeps the step of VALID."""
    x, t, _ = example()
    total, _ = loss_of(x, t, "NONE")
    valid = loss_of(x, t, "VALID")[1]
    table = rows(LOSS, "| | $Z$ | $L$ | the learning rate")

    assert ["`FULL`", "`VALID`", "`BATCH_SIZE`", "`NONE`"] == [row[0] for row in table]
    for mode, z, shown, rate in table:
        loss, dx = loss_of(x, t, mode.strip("`"))
        assert pytest.approx(total / float(z)) == loss
        assert f"{loss:.4f}" == shown
        factor = np.divide(*[*map(float, rate.removeprefix("× ").split("/")), 1][:2])
        np.testing.assert_allclose(factor * dx, valid, rtol=1e-12)


def test_slopes_of_cross_entropy_and_squared_error():
    """For t = 1 the slopes are p − t and (p − t) p (1 − p), as far as the digits of the table go."""
    table = rows(LOSS, "| $t = 1$, $x =$ |")
    assert 3 == len(table)
    for x, *shown in table:
        p = 1 / (1 + np.exp(-number(x)))
        for cell, slope in zip(shown, (p - 1, (p - 1) * p * (1 - p)), strict=True):
            assert abs(number(cell) - slope) <= 0.5 * 10.0 ** -len(cell.partition(".")[2])


def test_running_sums():
    """A running float32 sum of ln 2 falls behind by what the table says, and stands still at 2²⁴."""
    table = {eval(n.replace("\\cdot", "*").replace("^", "**")): shown
             for n, shown, *_ in rows(LOSS, "| $n$ | running sum")}
    assert 4 == len(table)
    total, added, piece = np.float32(0), 0, 10 ** 5
    for n, shown in sorted(table.items()):
        while added < n:
            steps = np.full(piece + 1, np.log(2), np.float32)
            steps[0] = total
            total, added = np.cumsum(steps, dtype=np.float32)[-1], added + piece
        percent = 100 * (float(total) / (n * np.log(2)) - 1)
        cell = re.match(r"([−-][\d.]+) %", shown)[1]
        assert abs(number(cell) - percent) <= 0.5 * 10.0 ** -len(cell.partition(".")[2])
    assert 2 ** 24 == total == np.float32(total + np.float32(np.log(2)))
    assert "it stands at 16,777,216" in LOSS


def test_cells_of_the_exercise():
    """The loss per cell of the net for edge maps."""
    loss, outputs, height, width = 216462, 6, 481, 321

    assert f"loss = {loss}" in LOSS
    assert f"{outputs} outputs of {height}×{width}" in LOSS
    assert f"{height * width:,} cells" in LOSS
    assert f"\\approx {loss / (outputs * height * width):.2f}$" in LOSS


# --- vision.md ----------------------------------------------------------------------------------------------

def windows(size, kernel, stride, pad, mode):
    """How many windows Pooling makes; "error" where it refuses."""
    layer = PoolingLayer(dtype=np.float64, pooling_param={
        "kernel_h": kernel, "kernel_w": 1, "stride_h": stride, "stride_w": 1, "pad_h": pad, "pad_w": 0,
        "round_mode": mode})
    try:
        _, top = run_forward(layer, filled(np.ones((2, 3, size, 5))).data)
    except LayerError:
        return "error"
    return str(top[0].shape[2])


def test_numbers_of_windows():
    """Each row of the table: rounded up, with what Caffe drops, and rounded down."""
    table = rows(VISION, "| H | k | s | p | up | down | why |")
    assert 4 == len(table)
    for *sizes, up, down, _ in table:
        h, k, s, p = map(int, sizes)
        assert windows(h, k, s, p, "CEIL") == up.split(" → ")[-1]
        assert windows(h, k, s, p, "FLOOR") == down
        if "→" in up:
            assert str(-(-(h + 2 * p - k) // s) + 1) == up.split(" → ")[0]


# --- solvers.md ---------------------------------------------------------------------------------------------

def gradient(w):
    """The gradient of a bowl that is steeper along one axis."""
    return np.array([1.0, 10.0]) * w


def test_nesterov_is_the_gradient_at_the_look_ahead():
    """The rule of the solver makes the w̃ of Nesterov's own form, whose gradient is taken at w − μ v."""
    mu, rate = 0.9, 0.02
    w, v = np.array([1.0, -2.0]), np.zeros(2)
    ahead, remembered = w.copy(), np.zeros(2)
    for _ in range(20):
        v = mu * v + rate * gradient(w - mu * v)
        w = w - v
        step = gradient(ahead)
        update.nesterov_update.definition(step, remembered, rate, mu)
        ahead -= step

        np.testing.assert_allclose(ahead, w - mu * v, rtol=1e-10)


def test_momentum_multiplies_the_rate():
    """With an equal gradient each step comes near α dw / (1 − μ): with μ = 0.9 ten times the rate."""
    v = np.zeros(2)
    for _ in range(300):
        step = np.array([2.0, -3.0])
        update.sgd_update.definition(step, v, 0.1, 0.9)

    np.testing.assert_allclose(step, 0.1 * np.array([2.0, -3.0]) * 10, rtol=1e-10)
    assert "momentum 0.9 multiplies the rate by ten" in SOLVERS


def test_adam_divides_by_what_is_missing():
    """With the corrected rate, adam_update steps by the corrected m over the root of the corrected v."""
    beta1, beta2, rate, delta = 0.9, 0.99, 0.01, 1e-14
    m, v, mine, squares = (np.zeros(2) for _ in range(4))
    for t in range(1, 8):
        dw = np.array([3.0, -0.02]) * np.cos(t)
        mine, squares = beta1 * mine + (1 - beta1) * dw, beta2 * squares + (1 - beta2) * dw ** 2
        wanted = rate * (mine / (1 - beta1 ** t)) / np.sqrt(squares / (1 - beta2 ** t))
        step = dw.copy()
        corrected = rate * np.sqrt(1 - beta2 ** t) / (1 - beta1 ** t)
        update.adam_update.definition(step, m, v, corrected, beta1, beta2, delta)

        np.testing.assert_allclose(step, wanted, rtol=1e-8)
        if t == 1:  # but for δ, the first step is α sign(dw)
            np.testing.assert_allclose(step, rate * np.sign(dw), rtol=1e-8)


# --- chance.md ----------------------------------------------------------------------------------------------

def mixed(word):
    """The function h of the page: SplitMix64's last step, in Python's whole numbers."""
    word = (word + 0x9E3779B97F4A7C15) % 2 ** 64
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2 ** 64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2 ** 64
    return word ^ (word >> 31)


def unmixed(word):
    """What h made this word of: each of its parts is undone, the last one first."""
    word ^= (word >> 31) ^ (word >> 62)
    word = word * pow(0x94D049BB133111EB, -1, 2 ** 64) % 2 ** 64
    word ^= (word >> 27) ^ (word >> 54)
    word = word * pow(0xBF58476D1CE4E5B9, -1, 2 ** 64) % 2 ** 64
    word ^= (word >> 30) ^ (word >> 60)
    return (word - 0x9E3779B97F4A7C15) % 2 ** 64


def test_what_is_drawn_for_a_sample():
    """u = 2⁻⁵³ ⌊h(z ⊕ h(c)) / 2¹¹⌋ with z = h(h(s ⊕ h(e)) ⊕ h(n)), and ⌊u b⌋ below b."""
    seed, epochs, numbers = 1701, [0, 3, 3], [5, 5, 12345]
    c = zlib.crc32(b"mirror")
    draws = rng.SampleDraws(seed, epochs, numbers)
    want = [2.0 ** -53 * (mixed(mixed(mixed(seed ^ mixed(e)) ^ mixed(n)) ^ mixed(c)) >> 11)
            for e, n in zip(epochs, numbers, strict=True)]

    np.testing.assert_array_equal(draws.unit("mirror"), want)
    np.testing.assert_array_equal(draws.below(7, "mirror"), [int(u * 7) for u in want])


def test_mixing_can_be_undone():
    """So no two words become the same one."""
    words = [0, 1, 2 ** 64 - 1, *map(mixed, range(50))]

    assert words == [unmixed(mixed(word)) for word in words]
