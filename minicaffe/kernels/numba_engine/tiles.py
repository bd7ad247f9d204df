"""The innermost loops of all matrix products and correlations, written as vector instructions.

Each loop computes a *tile*: a small rectangle of results that stays in vector registers until it is finished. LLVM's
own vectorizer would write the sums to memory and read them again at each step. So these few loops are written in LLVM's
language, once for all kernels.

A tile finds what it multiplies through a table of offsets. So one loop serves rows of a matrix, taps of a filter, and
pixels of an image.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from minicaffe.kernels.numba_engine.registers import (
    FLOAT,
    REGISTERS,
    VECTOR,
    WORD,
    ZEROS,
    elements_below,
    fma,
    load,
    pointer,
    spread,
    store,
    total,
    word,
)
from minicaffe.kernels.numba_engine.words import helper, intrinsic

# A tile's sums must all stay in registers, beside the vectors that are being multiplied. With 32 registers, 8 rows of 3
# vectors take 24, and a tile of dot products takes 4 · 6 = 24, too. With 16 registers, both take 12. For dot products,
# LLVM also keeps the vectors of all taps and one of a row in registers: 3 + 1 fit beside 12 sums, and 4 + 1 do not.
ROWS = REGISTERS // 4                                 # rows of a tile
TILE_VECTORS = 3                                      # vectors of a row of a tile
WIDTH = VECTOR * TILE_VECTORS                         # columns of a tile
DOT_ROWS, DOT_TAPS = (4, 6) if ROWS == 8 else (4, 3)  # rows and taps of a tile of dot products

Body = Callable[[Any, Sequence[Any]], Sequence[Any]]


@functools.lru_cache(maxsize=128)
def starts(step: int, count: int) -> np.ndarray:
    """Return the offsets of rows that lie `step` numbers apart."""
    return np.arange(count, dtype=np.int64) * step


@functools.lru_cache(maxsize=64)
def zeros(count: int) -> np.ndarray:
    """Zeros: the bias of a correlation without one."""
    return np.zeros(count, np.float32)


def outer_tile(rows: int, vectors: int, *, scatter: bool = False) -> Any:
    """Return the tile  y[m, j] = Σ w[m, d] · x[offset[d] + j]  over d, for `rows` m and `vectors` vectors of j.

    The arguments of the tile are addresses, numbers, and distances that count numbers:

    w, stride, have, deep  the address of w, the distance of its rows, how many rows exist, the distance of its columns
    x, offsets, depth      the address of x, the address of the int64 offsets, and how many of these there are
    in_last                how many numbers of the last vector of a row exist, in x and in out
    out, pitch             the address of the result, and the distance of its rows
    ends                   the address of a float32 for each row, which is added to all numbers of the row

    With `scatter` the tile is added to the numbers in `out`. Then `ends` is the address of an int64 for each row, which
    says where in `out` the row begins, and `pitch` is not used.
    """

    @intrinsic
    def tile(typing: Any, w: Any, stride: Any, have: Any, deep: Any, x: Any, offsets: Any, depth: Any, in_last: Any,
             ends: Any, out: Any, pitch: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, stride, have, deep, x, offsets, depth, in_last, ends, out, pitch = args
            masks = [None] * (vectors - 1) + [elements_below(builder, in_last)]
            # Rows that do not exist are computed as copies of the last one: a loop without branches is quicker than one
            # that leaves rows out.
            real = [_clamped(builder, m, have) for m in range(rows)]
            lines = [_ahead(builder, pointer(builder, w), builder.mul(row, stride)) for row in real]
            sums = _outer_sums(builder, lines, deep, pointer(builder, x), pointer(builder, offsets, WORD), depth, masks)
            target = pointer(builder, out)
            if scatter:
                _add_rows(builder, sums, masks, have, target, pointer(builder, ends, WORD))
            else:
                _write_rows(builder, sums, masks, in_last, real, target, pitch, pointer(builder, ends))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), make

    return tile


def _outer_sums(builder: Any, lines: Sequence[Any], deep: Any, x: Any, offsets: Any, depth: Any,
                masks: Sequence[Any], apart: Sequence[Any] | None = None) -> list[list[Any]]:
    """For each line, Σ over d of its number d · deep times the vectors at x + offset[d].

    The vectors lie side by side, or at the distances `apart`.
    """
    places = apart or [word(v * VECTOR) for v in range(len(masks))]

    def step(d: Any, sums: Sequence[Any]) -> list[Any]:
        at = _ahead(builder, x, builder.load(_ahead(builder, offsets, d)))
        pixels = [load(builder, _ahead(builder, at, place), mask) for place, mask in zip(places, masks, strict=True)]
        added = []
        for m, line in enumerate(lines):
            weight = spread(builder, builder.load(_ahead(builder, line, builder.mul(d, deep))))
            added += [fma(builder, weight, pixel, sums[m * len(masks) + v]) for v, pixel in enumerate(pixels)]
        return added

    flat = _loop(builder, depth, 1, [ZEROS] * (len(lines) * len(masks)), step)
    return [list(flat[m * len(masks):(m + 1) * len(masks)]) for m in range(len(lines))]


def spaced_tile(rows: int, vectors: int) -> Any:
    """Return an outer_tile whose vectors lie anywhere, such as one in each row of a narrow image.

    Its `places` is the address of three int64 for each vector: how far it lies from x, and how far from `out`, and how
    many of its numbers are written. All of them are read. The other arguments are those of outer_tile.
    """

    @intrinsic
    def tile(typing: Any, w: Any, stride: Any, have: Any, x: Any, offsets: Any, depth: Any, places: Any, ends: Any,
             out: Any, pitch: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, stride, have, x, offsets, depth, places, ends, out, pitch = args
            table = pointer(builder, places, WORD)
            apart, distances, counts = ([builder.load(_ahead(builder, table, word(3 * v + i))) for v in range(vectors)]
                                        for i in range(3))
            real = [_clamped(builder, m, have) for m in range(rows)]
            lines = [_ahead(builder, pointer(builder, w), builder.mul(row, stride)) for row in real]
            sums = _outer_sums(builder, lines, word(1), pointer(builder, x), pointer(builder, offsets, WORD), depth,
                               [None] * vectors, apart)
            last = [spread(builder, builder.load(_ahead(builder, pointer(builder, ends), row))) for row in real]
            target = [_ahead(builder, pointer(builder, out), builder.mul(row, pitch)) for row in real]
            for v, (distance, count) in enumerate(zip(distances, counts, strict=True)):
                column = [(builder.fadd(line[v], end), _ahead(builder, row, distance))
                          for line, end, row in zip(sums, last, target, strict=True)]
                with builder.if_else(builder.icmp_signed("==", count, word(VECTOR))) as (whole, cut):
                    with whole:
                        for value, at in column:
                            store(builder, value, at)
                    with cut:
                        for value, at in column:
                            store(builder, value, at, elements_below(builder, count))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10), make

    return tile


def _write_rows(builder: Any, sums: Sequence[Sequence[Any]], masks: Sequence[Any], in_last: Any, real: Sequence[Any],
                out: Any, pitch: Any, ends: Any) -> None:
    """Write the sums, each row with its number of `ends` added, to rows that are `pitch` apart."""

    def write(masks: Sequence[Any]) -> None:
        for row, line in zip(real, sums, strict=True):
            end = spread(builder, builder.load(_ahead(builder, ends, row)))
            at = _ahead(builder, out, builder.mul(row, pitch))
            for v, (result, mask) in enumerate(zip(line, masks, strict=True)):
                store(builder, builder.fadd(result, end), _ahead(builder, at, word(v * VECTOR)), mask)

    # With AVX2, AMD's processors take longer for a masked store than for one without a mask.
    with builder.if_else(builder.icmp_signed("==", in_last, word(VECTOR))) as (whole, cut):
        with whole:
            write([None] * len(masks))
        with cut:
            write(masks)


def _add_rows(builder: Any, sums: Sequence[Sequence[Any]], masks: Sequence[Any], have: Any, out: Any,
              distances: Any) -> None:
    """Add the sums to rows of `out` that begin at these distances, as far as they exist."""
    for m, line in enumerate(sums):
        with builder.if_then(builder.icmp_signed("<", word(m), have)):
            at = _ahead(builder, out, builder.load(_ahead(builder, distances, word(m))))
            for v, (result, mask) in enumerate(zip(line, masks, strict=True)):
                place = _ahead(builder, at, word(v * VECTOR))
                store(builder, builder.fadd(load(builder, place, mask), result), place, mask)


@intrinsic
def tile_memory(typing: Any) -> Any:
    """Return the address of memory for a tile, on the stack of the function that calls this."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # the largest tile has less, ROWS · WIDTH
        memory = cgutils.alloca_once(builder, ir.ArrayType(FLOAT, 32 * VECTOR))
        memory.align = 64  # a cache line, so that no vector lies across two
        return builder.ptrtoint(memory, WORD)

    return types.int64(), make


# A tile of each number of vectors, for what remains of a row at its end. Each has a name of its own, since compiled
# code cannot look up a function in a dictionary.
_whole = {v: outer_tile(ROWS, v) for v in range(1, TILE_VECTORS + 1)}
_added = {v: outer_tile(ROWS, v, scatter=True) for v in range(1, TILE_VECTORS + 1)}
_spaced = {v: spaced_tile(ROWS, v) for v in range(1, TILE_VECTORS + 1)}
_whole_1, _whole_2, _whole_3 = _whole[1], _whole[2], _whole[3]
_spaced_1, _spaced_2, _spaced_3 = _spaced[1], _spaced[2], _spaced[3]
_added_1, _added_2, _added_3 = _added[1], _added[2], _added[3]


@helper
def multiply(w, stride, have, deep, x, offsets, depth, columns, ends, out, pitch):
    """An outer_tile of ROWS rows, of which `have` exist, and `columns` columns, at most WIDTH."""
    vectors = (columns + VECTOR - 1) // VECTOR
    in_last = columns - (vectors - 1) * VECTOR
    if vectors == 3:
        _whole_3(w, stride, have, deep, x, offsets, depth, in_last, ends, out, pitch)
    elif vectors == 2:
        _whole_2(w, stride, have, deep, x, offsets, depth, in_last, ends, out, pitch)
    else:
        _whole_1(w, stride, have, deep, x, offsets, depth, in_last, ends, out, pitch)


@helper
def multiply_spaced(w, stride, have, x, offsets, depth, vectors, places, ends, out, pitch):
    """A spaced_tile of ROWS rows, of which `have` exist, and of so many vectors, at most TILE_VECTORS."""
    if vectors == 3:
        _spaced_3(w, stride, have, x, offsets, depth, places, ends, out, pitch)
    elif vectors == 2:
        _spaced_2(w, stride, have, x, offsets, depth, places, ends, out, pitch)
    else:
        _spaced_1(w, stride, have, x, offsets, depth, places, ends, out, pitch)


@helper
def multiply_and_add(w, stride, have, deep, x, offsets, depth, columns, ends, out):
    """An outer_tile with `scatter`: added to rows of `out`, each of which begins at its distance in `ends`."""
    vectors = (columns + VECTOR - 1) // VECTOR
    in_last = columns - (vectors - 1) * VECTOR
    if vectors == 3:
        _added_3(w, stride, have, deep, x, offsets, depth, in_last, ends, out, 0)
    elif vectors == 2:
        _added_2(w, stride, have, deep, x, offsets, depth, in_last, ends, out, 0)
    else:
        _added_1(w, stride, have, deep, x, offsets, depth, in_last, ends, out, 0)


def dot_tile(rows: int, taps: int) -> Any:
    """Add to the tile  t[m, d] += Σ dy[n, m, j] · x[n, offset[d] + j]  over n and j, for `rows` m and `taps` d.

    The arguments of the tile are addresses, numbers, and distances that count numbers:

    dy, row, have, dy_image  the address of dy, the distance of its rows, how many of them exist, and that of its images
    x, x_image               the address of x, and the distance of its images
    offsets, reach           the address of the int64 offsets, and how many of them exist
    columns, images          how many j, and how many n, the sum is over
    out, stride              the address of the tile in memory, and the distance of its rows
    """

    @intrinsic
    def tile(typing: Any, dy: Any, row: Any, have: Any, dy_image: Any, x: Any, x_image: Any, offsets: Any, reach: Any,
             columns: Any, images: Any, out: Any, stride: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            dy, row, have, dy_image, x, x_image, offsets, reach, columns, images, out, stride = args
            table = pointer(builder, offsets, WORD)
            lines = [builder.mul(_clamped(builder, m, have), row) for m in range(rows)]
            places = [builder.load(_ahead(builder, table, _clamped(builder, d, reach))) for d in range(taps)]

            def image(n: Any, sums: Sequence[Any]) -> Sequence[Any]:
                grads = _ahead(builder, pointer(builder, dy), builder.mul(n, dy_image))
                pixels = _ahead(builder, pointer(builder, x), builder.mul(n, x_image))
                return _dot_sums(builder, grads, lines, pixels, places, columns, sums)

            sums = _loop(builder, images, 1, [ZEROS] * (rows * taps), image)
            _add_totals(builder, sums, taps, have, reach, pointer(builder, out), stride)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 12), make

    return tile


def _dot_sums(builder: Any, grads: Any, lines: Sequence[Any], pixels: Any, places: Sequence[Any], columns: Any,
              sums: Sequence[Any]) -> Sequence[Any]:
    """Add the products of every line with every place to the sums, a vector at a time, over so many columns."""
    # Whole vectors come in a loop without masks, which is quicker; the columns that are left come in one masked step.
    whole = builder.mul(builder.sdiv(columns, word(VECTOR)), word(VECTOR))

    def step(j: Any, sums: Sequence[Any], mask: Any = None) -> list[Any]:
        a = [load(builder, _ahead(builder, grads, builder.add(line, j)), mask) for line in lines]
        b = [load(builder, _ahead(builder, pixels, builder.add(place, j)), mask) for place in places]
        return [fma(builder, p, q, sums[m * len(b) + d]) for m, p in enumerate(a) for d, q in enumerate(b)]

    rest = elements_below(builder, builder.sub(columns, whole))
    return step(whole, _loop(builder, whole, VECTOR, sums, step), rest)


def _add_totals(builder: Any, sums: Sequence[Any], taps: int, have: Any, reach: Any, out: Any, stride: Any) -> None:
    """Add up each vector, and add the total to its element of the tile, where that exists; rows have `taps`."""
    for i, vector in enumerate(sums):
        m, d = word(i // taps), word(i % taps)
        with builder.if_then(builder.and_(builder.icmp_signed("<", m, have), builder.icmp_signed("<", d, reach))):
            at = _ahead(builder, out, builder.add(builder.mul(m, stride), d))
            builder.store(builder.fadd(builder.load(at), total(builder, vector)), at)


def _loop(builder: Any, end: Any, step: int, carried: Sequence[Any], body: Body) -> Sequence[Any]:
    """Build the loop: for i = 0, step, … below end: carried = body(i, carried). Returns the last `carried`."""
    before = builder.block
    head, inside, after = (builder.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    phis = [builder.phi(kind) for kind in (WORD, *(value.type for value in carried))]
    builder.cbranch(builder.icmp_signed("<", phis[0], end), inside, after)
    builder.position_at_end(inside)
    results = [builder.add(phis[0], word(step)), *body(phis[0], phis[1:])]
    for phi, start, result in zip(phis, [word(0), *carried], results, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(result, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return phis[1:]


def _ahead(builder: Any, at: Any, distance: Any) -> Any:
    """Return the pointer, moved forward by so many numbers."""
    return builder.gep(at, [distance])


def _clamped(builder: Any, index: int, count: Any) -> Any:
    """Return the index, or count − 1 if that is less."""
    return builder.select(builder.icmp_signed("<", word(index), count), word(index), builder.sub(count, word(1)))
