"""The loops over time of LSTM and RNN: one turn of a compiled task for each step, without Python between the steps.

In each step every unit needs the product of w_h with what all units put out one step before. So the units are cut into
blocks, and w_h is first copied into *panels*: what a block reads, in the order in which it reads it. A piece computes
the products of its blocks and then all else that its units need in this step, so the threads wait for each other only
once a step. Small layers have one piece, which runs through all steps by itself.
"""

from __future__ import annotations

import numpy as np

from minicaffe.kernels.definitions import recurrent as definitions
from minicaffe.kernels.numba_engine import tiles, vectors, words
from minicaffe.kernels.numba_engine.exponential import sigmoid, tanh
from minicaffe.kernels.numba_engine.pieces import floats_of, part, pieces
from minicaffe.kernels.numba_engine.registers import MASKS, REGISTERS, VECTOR
from minicaffe.kernels.numba_engine.task import task
from minicaffe.kernels.numba_engine.tiles import ROWS, WIDTH, starts
from minicaffe.kernels.numba_engine.words import helper, values
from minicaffe.kernels.workspace import borrow

PIECE_WORK = 1 << 18  # multiplications in a step that are worth a piece of their own
READING = 4           # to read a weight takes as long as so many multiplications
DEEP = 256            # rows of a panel that are multiplied at a time: they stay in the first cache
LONG_TILE = 12 if REGISTERS == 32 else 8  # vectors of a tile for a single stream, whose row it has alone

_one_row = tiles.outer_tile(1, LONG_TILE, scatter=True)


@definitions.lstm.implementation("numba", recordable=True)
def lstm(z: np.ndarray, w_h: np.ndarray, cont: np.ndarray, h_0: np.ndarray, c_0: np.ndarray, gates: np.ndarray,
         c: np.ndarray, fed_back: np.ndarray, h: np.ndarray) -> None:
    """Each block of units has a panel for each of its four gates."""
    if not MASKS or not h.size:
        definitions.lstm.on("numpy")(z, w_h, cont, h_0, c_0, gates, c, fed_back, h)
        return
    T, N, D = h.shape
    W, count = _cut(N, w_h)
    panels, sums = _panels(w_h, W, across=True), borrow("recurrent sums", (count, 5, N, W), z.dtype)
    _begin(1, h_0, cont, fed_back, c_0, c, N, D)
    _lstm.in_turns(T, count, z, gates, cont, c, fed_back, h, panels, sums, starts(W, DEEP), starts(W, N), T, N, D, W,
                   count)


@definitions.lstm_grad.implementation("numba", recordable=True)
def lstm_grad(dy: np.ndarray, gates: np.ndarray, c: np.ndarray, w_h: np.ndarray, cont: np.ndarray, limit: float,
              dz: np.ndarray) -> None:
    """Each block of units has one panel, with the weights of all gates that read these units."""
    if not MASKS or not dy.size:
        definitions.lstm_grad.on("numpy")(dy, gates, c, w_h, cont, limit, dz)
        return
    T, N, D = dy.shape
    W, count = _cut(N, w_h)
    panels, sums = _panels(w_h, W, across=False), borrow("recurrent sums", (count, 2, N, W), dy.dtype)
    dc, most = borrow("recurrent dc", (N, D), dy.dtype), float(limit) if limit > 0 else np.inf
    _lstm_grad.in_turns(T, count, dy, gates, c, cont, dz, dc, panels, sums, starts(W, DEEP), starts(W, N), T, N, D, W,
                        most, count)


@definitions.rnn.implementation("numba", recordable=True)
def rnn(z: np.ndarray, w_h: np.ndarray, cont: np.ndarray, h_0: np.ndarray, fed_back: np.ndarray,
        h: np.ndarray) -> None:
    """Each block of units has one panel."""
    if not MASKS or not h.size:
        definitions.rnn.on("numpy")(z, w_h, cont, h_0, fed_back, h)
        return
    T, N, D = h.shape
    W, count = _cut(N, w_h)
    panels, sums = _panels(w_h, W, across=True), borrow("recurrent sums", (count, N, W), z.dtype)
    _begin(1, h_0, cont, fed_back, None, None, N, D)
    _rnn.in_turns(T, count, z, cont, fed_back, h, panels, sums, starts(W, DEEP), starts(W, N), T, N, D, W, count)


@definitions.rnn_grad.implementation("numba", recordable=True)
def rnn_grad(dh: np.ndarray, h: np.ndarray, w_h: np.ndarray, cont: np.ndarray, dz: np.ndarray) -> None:
    """Each block of units has one panel."""
    if not MASKS or not h.size:
        definitions.rnn_grad.on("numpy")(dh, h, w_h, cont, dz)
        return
    T, N, D = h.shape
    W, count = _cut(N, w_h)
    panels, sums = _panels(w_h, W, across=False), borrow("recurrent sums", (count, N, W), h.dtype)
    _rnn_grad.in_turns(T, count, dh, h, cont, dz, panels, sums, starts(W, DEEP), starts(W, N), T, N, D, W, count)


def _cut(N: int, w_h: np.ndarray) -> tuple[int, int]:
    """Return how many units a block has, and into how many pieces the blocks of a step are cut."""
    D = w_h.shape[1]
    blocks = -(-D // (WIDTH if N > 1 else LONG_TILE * VECTOR))
    # equal blocks, so that two blocks of 16 units, and not one of 24 and one of 8, hold 32 units
    W = -(-D // (blocks * VECTOR)) * VECTOR if N > 1 else LONG_TILE * VECTOR
    return W, pieces(max(N, READING) * w_h.size, blocks, PIECE_WORK)


def _panels(w_h: np.ndarray, W: int, across: bool) -> np.ndarray:
    """Copy w_h into panels, whose rows are W numbers wide, one for each unit of a block.

    Row d of a panel holds the weights with which a gate of these units reads unit d (`across`), or the weights with
    which gate d reads these units.
    """
    rows, D = w_h.shape
    blocks = -(-D // W)
    panels = borrow("recurrent panels", (blocks * rows * W,), w_h.dtype)
    count = pieces(w_h.size, blocks)
    (_panels_across if across else _panels_along)(count, w_h, panels, rows, D, W, count)
    return panels


# --- compiled tasks: the first two words of a block are the turns to do, from the first to before the last -----------

@task
def _panels_across(block, piece):
    """panel[d, j] = w_h[gate · D + u + j, d], for some blocks of units from u on and each of their gates."""
    w_h, panels, rows, D, W, count = values(block, 6)
    first, end = part((D + W - 1) // W, piece, count)
    for b in range(first, end):
        have = min(W, D - b * W)
        for gate in range(rows // D):
            panel = floats_of(panels, (b * rows + gate * D) * W, (b * rows + gate * D + D) * W)
            weights = floats_of(w_h, (gate * D + b * W) * D, (gate * D + b * W + have) * D)
            for some in range(0, have, 8):  # more rows at a time may share places of the first cache
                for d in range(D):
                    for j in range(some, min(have, some + 8)):
                        panel[d * W + j] = weights[j * D + d]


@task
def _panels_along(block, piece):
    """panel[d, j] = w_h[d, u + j], for some blocks of units from u on."""
    w_h, panels, rows, D, W, count = values(block, 6)
    first, end = part((D + W - 1) // W, piece, count)
    for b in range(first, end):
        for d in range(rows):
            for j in range(0, min(W, D - b * W), VECTOR):
                vectors.store_whole(panels, (b * rows + d) * W + j, _at(w_h + 4 * d * D, b * W + j, D))


@task
def _begin(block, piece):
    """Compute fed_back of the first step, and copy the cells before it, if there are cells."""
    h, cont, fed_back, c_0, c, N, D = values(block, 7)
    for n in range(N):
        for u in range(0, D, VECTOR):
            before = _at(_row(h, 0, n, N, D), u, D)
            _put(_row(fed_back, 0, n, N, D), u, D, vectors.times(_delta(cont, 0, n, N), before))
            if c:
                _put(_row(c, 0, n, N, D), u, D, _at(_row(c_0, 0, n, N, D), u, D))


@helper
def _row(address, t, n, N, width):
    """Return the address of row n of step t in an array (T, N, width)."""
    return address + 4 * (t * N + n) * width


@helper
def _at(row, first, limit):
    """Numbers of a row from `first` on; 0 from `limit` on."""
    return vectors.load(row, first, limit, vectors.spread(np.float32(0)))


@helper
def _put(row, first, limit, value):
    """Write a vector to numbers of a row from `first` on, as far as there are numbers before `limit`."""
    if first + VECTOR <= limit:
        vectors.store_whole(row, first, value)
    else:
        vectors.store(row, first, limit, value)


@helper
def _delta(cont, t, n, N):
    """δ_t of stream n, in every element of a vector."""
    return vectors.spread(floats_of(cont, t * N + n, t * N + n + 1)[0])


@helper
def _less(a, b):
    """a − a · b."""
    return vectors.plus_times(a, vectors.times(a, vectors.spread(np.float32(-1))), b)


@helper
def _load_sums(x, t, N, width, first, limit, W, sums):
    """sums[n, j] = number first + j of row n of step t of x (T, N, width); 0 from `limit` on."""
    for n in range(N):
        for j in range(0, W, VECTOR):
            vectors.store_whole(sums, n * W + j, _at(_row(x, t, n, N, width), first + j, limit))


@helper
def _clear_sums(N, W, sums):
    """sums = 0."""
    for i in range(0, N * W, VECTOR):
        vectors.store_whole(sums, i, vectors.spread(np.float32(0)))


@helper
def _add_product(rows, N, depth, panel, offsets, ends, columns, W, sums):
    """sums[n, j] += Σ rows[n, d] · panel[d, j] over d, for j below `columns`."""
    for d in range(0, depth, DEEP):
        deep, part_of_panel = min(DEEP, depth - d), panel + 4 * d * W
        if N == 1:
            _one_row(rows + 4 * d, depth, 1, 1, part_of_panel, offsets, deep, VECTOR, ends, sums, 0)
        else:
            for n in range(0, N, ROWS):
                tiles.multiply_and_add(rows + 4 * (n * depth + d), depth, min(ROWS, N - n), 1, part_of_panel, offsets,
                                       deep, columns, ends + 8 * n, sums)


@task
def _lstm(block, piece):
    """Compute gates, cells and hidden states of some blocks of units. The turns are the steps."""
    begin, stop, z, gates, cont, c, fed_back, h, panels, sums, offsets, ends, T, N, D, W, count = values(block, 17)
    first, end = part((D + W - 1) // W, piece, count)
    size = N * W
    own = sums + 4 * piece * 5 * size  # of the gates i, f, o, g and of the cells
    cells = own + 4 * 4 * size
    for t in range(begin, stop):
        for b in range(first, end):
            u = b * W
            for gate in range(4):
                at = own + 4 * gate * size
                _load_sums(z, t, N, 4 * D, gate * D + u, gate * D + D, W, at)
                _add_product(_row(fed_back, t, 0, N, D), N, D, panels + 4 * (b * 4 + gate) * D * W, offsets, ends,
                             min(W, D - u), W, at)
            _sigmoid_all(floats_of(own, 0, 3 * size))
            _tanh_all(floats_of(own, 3 * size, 4 * size))
            _update_cells(t, u, N, D, W, own, gates, cont, c, cells)
            _tanh_all(floats_of(cells, 0, size))
            for n in range(N):
                for j in range(0, min(W, D - u), VECTOR):
                    o, tanh_c = vectors.load_whole(own, 2 * size + n * W + j), vectors.load_whole(cells, n * W + j)
                    _put_state(t, T, n, u + j, N, D, vectors.times(o, tanh_c), cont, fed_back, h)


@helper
def _sigmoid_all(x):
    """x = σ(x)."""
    for i in range(x.size):
        x[i] = sigmoid(x[i])


@helper
def _tanh_all(x):
    """x = tanh(x)."""
    for i in range(x.size):
        x[i] = tanh(x[i])


@helper
def _update_cells(t, u, N, D, W, own, gates, cont, c, cells):
    """Write the gates and c_t = f · c_{t−1} + i · g of the units from u on; `cells` gets c_t, too."""
    size = N * W
    for n in range(N):
        row = _row(gates, t, n, N, 4 * D)
        for j in range(0, min(W, D - u), VECTOR):
            k, at = n * W + j, u + j
            i, o = vectors.load_whole(own, k), vectors.load_whole(own, 2 * size + k)
            f, g = vectors.load_whole(own, size + k), vectors.load_whole(own, 3 * size + k)
            f = vectors.times(f, _delta(cont, t, n, N))
            after = vectors.plus_times(vectors.times(i, g), f, _at(_row(c, t, n, N, D), at, D))
            _put(row, at, D, i)
            _put(row + 4 * D, at, D, f)
            _put(row + 8 * D, at, D, o)
            _put(row + 12 * D, at, D, g)
            _put(_row(c, t + 1, n, N, D), at, D, after)
            vectors.store_whole(cells, k, after)


@helper
def _put_state(t, T, n, u, N, D, state, cont, fed_back, h):
    """Write h_t of the units from u on, and δ_{t+1} · h_t where there is a next step."""
    _put(_row(h, t, n, N, D), u, D, state)
    if t + 1 < T:
        _put(_row(fed_back, t + 1, n, N, D), u, D, vectors.times(_delta(cont, t + 1, n, N), state))


@task
def _lstm_grad(block, piece):
    """Compute dz of some blocks of units. The turns are the steps from the last to the first."""
    (begin, stop, dy, gates, c, cont, dz, dc, panels, sums, offsets, ends, T, N, D, W, limit,
     count) = values(block, 18)
    first, end = part((D + W - 1) // W, piece, count)
    size = N * W
    own = sums + 4 * piece * 2 * size  # of w_hᵀ dz_{t+1} and of the cells
    cells = own + 4 * size
    for turn in range(begin, stop):
        t = T - 1 - turn
        for b in range(first, end):
            u = b * W
            _clear_sums(N, W, own)
            if turn:
                _add_product(_row(dz, t + 1, 0, N, 4 * D), N, 4 * D, panels + 4 * b * 4 * D * W, offsets, ends,
                             min(W, D - u), W, own)
            _load_sums(c, t + 1, N, D, u, D, W, cells)
            _tanh_all(floats_of(cells, 0, size))
            _gates_grad(t, T, u, N, D, W, own, cells, dy, gates, c, cont, dz, dc, np.float32(words.number(limit)))


@helper
def _gates_grad(t, T, u, N, D, W, own, cells, dy, gates, c, cont, dz, dc, limit):
    """Compute dz_t and dc_{t−1} of the units from u on; `own` has w_hᵀ dz_{t+1}, and `cells` tanh c_t."""
    one, most, least = vectors.spread(np.float32(1)), vectors.spread(limit), vectors.spread(-limit)
    for n in range(N):
        gate, into, dc_row = _row(gates, t, n, N, 4 * D), _row(dz, t, n, N, 4 * D), _row(dc, 0, n, N, D)
        for j in range(0, min(W, D - u), VECTOR):
            k, at = n * W + j, u + j
            i, f, o, g = _at(gate, at, D), _at(gate + 4 * D, at, D), _at(gate + 8 * D, at, D), _at(gate + 12 * D, at, D)
            dh, dc_t = _at(_row(dy, t, n, N, D), at, D), vectors.spread(np.float32(0))
            if t + 1 < T:
                dh = vectors.plus_times(dh, _delta(cont, t + 1, n, N), vectors.load_whole(own, k))
                dc_t = _at(dc_row, at, D)
            tanh_c, before = vectors.load_whole(cells, k), _at(_row(c, t, n, N, D), at, D)
            e = vectors.plus_times(dc_t, vectors.times(dh, o), _less(one, vectors.times(tanh_c, tanh_c)))
            dz_i, dz_f = _product(e, g, _less(i, i)), _product(e, before, _less(f, f))
            dz_o, dz_g = _product(dh, tanh_c, _less(o, o)), _product(e, i, _less(one, vectors.times(g, g)))
            _put(into, at, D, _within(dz_i, least, most))
            _put(into + 4 * D, at, D, _within(dz_f, least, most))
            _put(into + 8 * D, at, D, _within(dz_o, least, most))
            _put(into + 12 * D, at, D, _within(dz_g, least, most))
            _put(dc_row, at, D, vectors.times(e, f))


@helper
def _product(a, b, c):
    """a · b · c."""
    return vectors.times(vectors.times(a, b), c)


@helper
def _within(x, least, most):
    """x, but at least `least` and at most `most`."""
    above = vectors.if_greater(least, x, least, x)  # both comparisons leave NaN as it is
    return vectors.if_greater(above, most, most, above)


@task
def _rnn(block, piece):
    """Compute h_t of some blocks of units. The turns are the steps."""
    begin, stop, z, cont, fed_back, h, panels, sums, offsets, ends, T, N, D, W, count = values(block, 15)
    first, end = part((D + W - 1) // W, piece, count)
    own = sums + 4 * piece * N * W
    for t in range(begin, stop):
        for b in range(first, end):
            u = b * W
            _load_sums(z, t, N, D, u, D, W, own)
            _add_product(_row(fed_back, t, 0, N, D), N, D, panels + 4 * b * D * W, offsets, ends, min(W, D - u), W, own)
            _tanh_all(floats_of(own, 0, N * W))
            for n in range(N):
                for j in range(0, min(W, D - u), VECTOR):
                    _put_state(t, T, n, u + j, N, D, vectors.load_whole(own, n * W + j), cont, fed_back, h)


@task
def _rnn_grad(block, piece):
    """Compute dz of some blocks of units. The turns are the steps from the last to the first."""
    begin, stop, dh, h, cont, dz, panels, sums, offsets, ends, T, N, D, W, count = values(block, 15)
    first, end = part((D + W - 1) // W, piece, count)
    own, one = sums + 4 * piece * N * W, vectors.spread(np.float32(1))
    for turn in range(begin, stop):
        t = T - 1 - turn
        for b in range(first, end):
            u = b * W
            _clear_sums(N, W, own)
            if turn:
                _add_product(_row(dz, t + 1, 0, N, D), N, D, panels + 4 * b * D * W, offsets, ends, min(W, D - u), W,
                             own)
            for n in range(N):
                for j in range(0, min(W, D - u), VECTOR):
                    state, whole = _at(_row(h, t, n, N, D), u + j, D), _at(_row(dh, t, n, N, D), u + j, D)
                    if turn:
                        later = vectors.load_whole(own, n * W + j)
                        whole = vectors.plus_times(whole, _delta(cont, t + 1, n, N), later)
                    slope = _less(one, vectors.times(state, state))
                    _put(_row(dz, t, n, N, D), u + j, D, vectors.times(whole, slope))
