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
    W = WIDTH if N > 1 else LONG_TILE * VECTOR
    return W, pieces(max(N, READING) * w_h.size, -(-w_h.shape[1] // W), PIECE_WORK)


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
                row = _at(w_h, d * D + b * W + j, (d + 1) * D)
                vectors.store_whole(panels, (b * rows + d) * W + j, row)


@task
def _begin(block, piece):
    """fed_back of the first step, and the cells before it, if there are cells."""
    h, cont, fed_back, c_0, c, N, D = values(block, 7)
    for n in range(N):
        before, begun, goes_on = floats_of(h, n * D, n * D + D), floats_of(fed_back, n * D, n * D + D), \
            floats_of(cont, n, n + 1)[0]
        for u in range(D):
            begun[u] = goes_on * before[u]
    if c:
        source, target = floats_of(c_0, 0, N * D), floats_of(c, 0, N * D)
        for i in range(N * D):
            target[i] = source[i]


@helper
def _at(address, first, limit):
    """Numbers from `first` on, 0 from `limit` on."""
    return vectors.load(address, first, limit, vectors.spread(np.float32(0)))


@helper
def _put(address, first, limit, value):
    """Write a vector to numbers from `first` on, as far as there are numbers before `limit`."""
    if first + VECTOR <= limit:
        vectors.store_whole(address, first, value)
    else:
        vectors.store(address, first, limit, value)


@helper
def _rest(a, b):
    """a − a · b."""
    return vectors.plus_times(a, vectors.times(a, vectors.spread(np.float32(-1))), b)


@helper
def _number(address, i):
    """The float32 number i at an address, in every element of a vector."""
    return vectors.spread(floats_of(address, i, i + 1)[0])


@helper
def _load_sums(x, pitch, first, limit, N, W, sums):
    """sums[n, j] = number first + j of row n of x, in which numbers from `limit` on count as 0."""
    for n in range(N):
        for j in range(0, W, VECTOR):
            vectors.store_whole(sums, n * W + j, _at(x, n * pitch + first + j, n * pitch + limit))


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
    """Compute gates, cells and hidden states of some blocks of units in each of the turns, which are steps."""
    (begin, stop, z, gates, cont, c, fed_back, h, panels, sums, offsets, ends, T, N, D, W, count) = values(block, 17)
    first, end = part((D + W - 1) // W, piece, count)
    size = N * W
    own = sums + 4 * piece * 5 * size
    sigmoids, tanhs, cells = floats_of(own, 0, 3 * size), floats_of(own, 3 * size, 4 * size), own + 16 * size
    tanh_c = floats_of(cells, 0, size)
    for t in range(begin, stop):
        for b in range(first, end):
            u = b * W
            for gate in range(4):
                at = own + 4 * gate * size
                _load_sums(z, 4 * D, t * N * 4 * D + gate * D + u, t * N * 4 * D + gate * D + D, N, W, at)
                _add_product(fed_back + 4 * t * N * D, N, D, panels + 4 * (b * 4 + gate) * D * W, offsets, ends,
                             min(W, D - u), W, at)
            for i in range(sigmoids.size):
                sigmoids[i] = sigmoid(sigmoids[i])
            for i in range(tanhs.size):
                tanhs[i] = tanh(tanhs[i])
            _update_cells(t, u, N, D, W, own, gates, cont, c, cells)
            for i in range(size):
                tanh_c[i] = tanh(tanh_c[i])
            _show_cells(t, T, u, N, D, W, own, cont, cells, fed_back, h)


@helper
def _update_cells(t, u, N, D, W, own, gates, cont, c, cells):
    """c_t = f · c_{t−1} + i · g for a block of units from u on, and their gates."""
    size = N * W
    for n in range(N):
        row, delta = (t * N + n) * 4 * D, _number(cont, t * N + n)
        for j in range(0, min(W, D - u), VECTOR):
            k = n * W + j
            i, o, g = (vectors.load_whole(own, k), vectors.load_whole(own, 2 * size + k),
                       vectors.load_whole(own, 3 * size + k))
            f = vectors.times(delta, vectors.load_whole(own, size + k))
            before = _at(c, (t * N + n) * D + u + j, (t * N + n + 1) * D)
            after = vectors.plus_times(vectors.times(i, g), f, before)
            _put(gates, row + u + j, row + D, i)
            _put(gates, row + D + u + j, row + 2 * D, f)
            _put(gates, row + 2 * D + u + j, row + 3 * D, o)
            _put(gates, row + 3 * D + u + j, row + 4 * D, g)
            _put(c, ((t + 1) * N + n) * D + u + j, ((t + 1) * N + n + 1) * D, after)
            vectors.store_whole(cells, k, after)


@helper
def _show_cells(t, T, u, N, D, W, own, cont, cells, fed_back, h):
    """h_t = o · tanh(c_t) for a block of units from u on, and what the next step is fed back of it."""
    for n in range(N):
        for j in range(0, min(W, D - u), VECTOR):
            k = n * W + j
            shown = vectors.times(vectors.load_whole(own, 2 * N * W + k), vectors.load_whole(cells, k))
            _keep(t, T, n, u + j, N, D, shown, cont, fed_back, h)


@helper
def _keep(t, T, n, u, N, D, shown, cont, fed_back, h):
    """Write h_t of a vector of units, and δ_{t+1} · h_t if there is another step."""
    _put(h, (t * N + n) * D + u, (t * N + n + 1) * D, shown)
    if t + 1 < T:
        later = (t + 1) * N + n
        _put(fed_back, later * D + u, (later + 1) * D, vectors.times(_number(cont, later), shown))


@task
def _lstm_grad(block, piece):
    """Compute dz of some blocks of units in each of the turns, which are steps, the last step first."""
    (begin, stop, dy, gates, c, cont, dz, dc, panels, sums, offsets, ends, T, N, D, W, limit,
     count) = values(block, 18)
    first, end = part((D + W - 1) // W, piece, count)
    size = N * W
    own = sums + 4 * piece * 2 * size
    cells = own + 4 * size
    tanh_c = floats_of(cells, 0, size)
    for turn in range(begin, stop):
        t = T - 1 - turn
        for b in range(first, end):
            u = b * W
            _clear_sums(N, W, own)
            if turn:
                _add_product(dz + 4 * (t + 1) * N * 4 * D, N, 4 * D, panels + 4 * b * 4 * D * W, offsets, ends,
                             min(W, D - u), W, own)
            _load_sums(c, D, (t + 1) * N * D + u, (t + 1) * N * D + D, N, W, cells)
            for i in range(size):
                tanh_c[i] = tanh(tanh_c[i])
            _gates_grad(turn, t, u, N, D, W, own, cells, dy, gates, c, cont, dz, dc, np.float32(words.number(limit)))


@helper
def _gates_grad(turn, t, u, N, D, W, own, cells, dy, gates, c, cont, dz, dc, limit):
    """dz_t and dc_{t−1} of a block of units from u on; `own` has w_hᵀ dz_{t+1}, and `cells` tanh c_t."""
    one, most, least = vectors.spread(np.float32(1)), vectors.spread(limit), vectors.spread(-limit)
    for n in range(N):
        unit, gate = (t * N + n) * D, (t * N + n) * 4 * D
        for j in range(0, min(W, D - u), VECTOR):
            k, at = n * W + j, u + j
            i, f = _at(gates, gate + at, gate + D), _at(gates, gate + D + at, gate + 2 * D)
            o, g = _at(gates, gate + 2 * D + at, gate + 3 * D), _at(gates, gate + 3 * D + at, gate + 4 * D)
            dh, later = _at(dy, unit + at, unit + D), _at(dc, n * D + at, n * D + D)
            if turn:
                dh = vectors.plus_times(dh, _number(cont, (t + 1) * N + n), vectors.load_whole(own, k))
            else:
                later = vectors.spread(np.float32(0))
            tanh_c = vectors.load_whole(cells, k)
            e = vectors.plus_times(later, vectors.times(dh, o), _rest(one, vectors.times(tanh_c, tanh_c)))
            dz_i = vectors.times(vectors.times(e, g), _rest(i, i))
            dz_f = vectors.times(vectors.times(e, _at(c, unit + at, unit + D)), _rest(f, f))
            dz_o = vectors.times(vectors.times(dh, tanh_c), _rest(o, o))
            dz_g = vectors.times(vectors.times(e, i), _rest(one, vectors.times(g, g)))
            _put(dz, gate + at, gate + D, _within(dz_i, least, most))
            _put(dz, gate + D + at, gate + 2 * D, _within(dz_f, least, most))
            _put(dz, gate + 2 * D + at, gate + 3 * D, _within(dz_o, least, most))
            _put(dz, gate + 3 * D + at, gate + 4 * D, _within(dz_g, least, most))
            _put(dc, n * D + at, n * D + D, vectors.times(e, f))


@helper
def _within(x, least, most):
    """x, but at least `least` and at most `most`."""
    above = vectors.if_greater(least, x, least, x)  # both comparisons leave NaN as it is
    return vectors.if_greater(above, most, most, above)


@task
def _rnn(block, piece):
    """Compute h_t of some blocks of units in each of the turns, which are steps."""
    begin, stop, z, cont, fed_back, h, panels, sums, offsets, ends, T, N, D, W, count = values(block, 15)
    first, end = part((D + W - 1) // W, piece, count)
    own = sums + 4 * piece * N * W
    numbers = floats_of(own, 0, N * W)
    for t in range(begin, stop):
        for b in range(first, end):
            u = b * W
            _load_sums(z, D, t * N * D + u, t * N * D + D, N, W, own)
            _add_product(fed_back + 4 * t * N * D, N, D, panels + 4 * b * D * W, offsets, ends,
                         min(W, D - u), W, own)
            for i in range(numbers.size):
                numbers[i] = tanh(numbers[i])
            for n in range(N):
                for j in range(0, min(W, D - u), VECTOR):
                    _keep(t, T, n, u + j, N, D, vectors.load_whole(own, n * W + j), cont, fed_back, h)


@task
def _rnn_grad(block, piece):
    """Compute dz of some blocks of units in each of the turns, which are steps, the last step first."""
    begin, stop, dh, h, cont, dz, panels, sums, offsets, ends, T, N, D, W, count = values(block, 15)
    first, end = part((D + W - 1) // W, piece, count)
    own, one = sums + 4 * piece * N * W, vectors.spread(np.float32(1))
    for turn in range(begin, stop):
        t = T - 1 - turn
        for b in range(first, end):
            u = b * W
            _clear_sums(N, W, own)
            if turn:
                _add_product(dz + 4 * (t + 1) * N * D, N, D, panels + 4 * b * D * W, offsets, ends,
                             min(W, D - u), W, own)
            for n in range(N):
                unit = (t * N + n) * D
                for j in range(0, min(W, D - u), VECTOR):
                    k = unit + u + j
                    whole, shown = _at(dh, k, unit + D), _at(h, k, unit + D)
                    if turn:
                        whole = vectors.plus_times(whole, _number(cont, (t + 1) * N + n),
                                                   vectors.load_whole(own, n * W + j))
                    _put(dz, k, unit + D, vectors.times(whole, _rest(one, vectors.times(shown, shown))))
