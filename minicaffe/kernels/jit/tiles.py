"""The innermost loops of every matrix product, as vector instructions: a tile of results stays in registers.

LLVM's own vectorizer keeps sums in memory; so these few lines are written in its language, once for all kernels.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils

from minicaffe.kernels.jit.words import helper, intrinsic

_features = llvm.get_host_cpu_features()
LANES = 16 if _features.get("avx512f") else 8 if _features.get("avx") else 4  # float32 numbers of a vector register
MASKS = bool(_features.get("avx"))                                            # whether a part of one can be moved
ROWS = 8 if LANES in (4, 16) else 4                                           # rows of a tile, for 32 registers or 16
VECTORS = 3                                                                   # vectors of a row of a tile
SLOPES_A_TILE, TAPS_A_TILE = (4, 6) if ROWS == 8 else (3, 4)                     # of a tile of dot products
WIDTH = LANES * VECTORS                                                       # columns of a tile

WORD, FLOAT, INDEX = ir.IntType(64), ir.FloatType(), ir.IntType(32)
VECTOR = ir.VectorType(FLOAT, LANES)
BITS = ir.VectorType(ir.IntType(1), LANES)


def _words(value: int) -> Any:
    return ir.Constant(WORD, value)


def _fma(builder: Any) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3),
                                          f"llvm.fma.v{LANES}f32")


def _load(builder: Any, address: Any) -> Any:
    value = builder.load(builder.bitcast(address, VECTOR.as_pointer()))
    value.align = 4
    return value


def _store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, builder.bitcast(address, VECTOR.as_pointer())).align = 4


def _clamped(builder: Any, index: int, count: Any) -> Any:
    """The index, or the last below count."""
    return builder.select(builder.icmp_signed("<", _words(index), count), _words(index),
                          builder.sub(count, _words(1)))


def _masked_load(builder: Any, address: Any, mask: Any) -> Any:
    kind = ir.FunctionType(VECTOR, [VECTOR.as_pointer(), INDEX, BITS, VECTOR])
    load = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LANES}f32.p0")
    pointer = builder.bitcast(address, VECTOR.as_pointer())
    return builder.call(load, [pointer, ir.Constant(INDEX, 4), mask, ir.Constant(VECTOR, [0.0] * LANES)])


def _masked_store(builder: Any, value: Any, address: Any, mask: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [VECTOR, VECTOR.as_pointer(), INDEX, BITS])
    store = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.store.v{LANES}f32.p0")
    builder.call(store, [value, builder.bitcast(address, VECTOR.as_pointer()), ir.Constant(INDEX, 4), mask])


def _spread(builder: Any, number: Any, kind: Any) -> Any:
    """A vector that holds the number in every lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(INDEX, 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined),
                                  ir.Constant(ir.VectorType(INDEX, LANES), [0] * LANES))


def _first_lanes(builder: Any, count: Any) -> Any:
    """The mask of the first `count` lanes."""
    kind = ir.VectorType(WORD, LANES)
    return builder.icmp_signed("<", ir.Constant(kind, list(range(LANES))), _spread(builder, count, kind))


def outer_tile(rows: int, vectors: int, *, scatter: bool = False) -> Any:
    """The tile  y[m, j] = Σ w[m, d] · x[offset[d] + j]  over d, for `rows` m and `vectors` vectors of j.

    Arguments are addresses and numbers: of w, with the distance `stride` of its rows, of which `have` exist, and the
    distance `deep` of its columns; of x; of the int64 offsets, `depth` of them; of `out`. Of the last vector of x and
    of out, `lanes` exist. `ends` are what is added to each row and `pitch` is the distance of the rows of out; with
    `scatter`, `ends` are int64 distances in out, one a row, and the tile is added to what is there.
    """

    @intrinsic
    def tile(typing: Any, w: Any, stride: Any, have: Any, deep: Any, x: Any, offsets: Any, depth: Any, lanes: Any,
             ends: Any, out: Any, pitch: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            w, stride, have, deep, x, offsets, depth, lanes, ends, out, pitch = args
            floats, zero = FLOAT.as_pointer(), ir.Constant(VECTOR, [0.0] * LANES)
            first, source = builder.inttoptr(w, floats), builder.inttoptr(x, floats)
            table, fma = builder.inttoptr(offsets, WORD.as_pointer()), _fma(builder)
            mask = _first_lanes(builder, lanes)
            chosen = [_clamped(builder, m, have) for m in range(rows)]  # a row that does not exist is the last again
            lines = [builder.gep(first, [builder.mul(row, stride)]) for row in chosen]
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)
            builder.position_at_end(loop)
            d = builder.phi(WORD)
            d.add_incoming(_words(0), before)
            sums = [[builder.phi(VECTOR) for _ in range(vectors)] for _ in range(rows)]
            at = builder.gep(source, [builder.load(builder.gep(table, [d]))])
            pixels = [_load(builder, builder.gep(at, [_words(v * LANES)])) for v in range(vectors - 1)]
            end = builder.gep(at, [_words((vectors - 1) * LANES)])
            pixels.append(_masked_load(builder, end, mask))
            for line, total in zip(lines, sums, strict=True):
                weight = _spread(builder, builder.load(builder.gep(line, [builder.mul(d, deep)])), VECTOR)
                for phi, pixel in zip(total, pixels, strict=True):
                    phi.add_incoming(zero, before)
                    phi.add_incoming(builder.call(fma, [weight, pixel, phi]), loop)
            following = builder.add(d, _words(1))
            d.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
            builder.position_at_end(after)
            target = builder.inttoptr(out, floats)
            distances, starts = builder.inttoptr(ends, WORD.as_pointer()), builder.inttoptr(ends, floats)
            for m, (row, total) in enumerate(zip(chosen, sums, strict=True)):
                results = [phi.incomings[1][0] for phi in total]
                if scatter:
                    with builder.if_then(builder.icmp_signed("<", _words(m), have)):
                        at = builder.gep(target, [builder.load(builder.gep(distances, [row]))])
                        for v, result in enumerate(results[:-1]):
                            place = builder.gep(at, [_words(v * LANES)])
                            _store(builder, builder.fadd(_load(builder, place), result), place)
                        place = builder.gep(at, [_words((vectors - 1) * LANES)])
                        there = _masked_load(builder, place, mask)
                        _masked_store(builder, builder.fadd(there, results[-1]), place, mask)
                else:
                    start = _spread(builder, builder.load(builder.gep(starts, [row])), VECTOR)
                    at = builder.gep(target, [builder.mul(row, pitch)])
                    for v, result in enumerate(results[:-1]):
                        _store(builder, builder.fadd(result, start), builder.gep(at, [_words(v * LANES)]))
                    place = builder.gep(at, [_words((vectors - 1) * LANES)])
                    _masked_store(builder, builder.fadd(results[-1], start), place, mask)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11), make

    return tile


@intrinsic
def tile_memory(typing: Any) -> Any:
    """The address of room for a tile, on the stack of the function that asks."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        room = cgutils.alloca_once(builder, ir.ArrayType(FLOAT, 32 * LANES))
        room.align = 64
        return builder.ptrtoint(room, WORD)

    return types.int64(), make


_whole = {v: outer_tile(ROWS, v) for v in range(1, VECTORS + 1)}
_added = {v: outer_tile(ROWS, v, scatter=True) for v in range(1, VECTORS + 1)}
_whole_1, _whole_2, _whole_3 = _whole[1], _whole[2], _whole[3]
_added_1, _added_2, _added_3 = _added[1], _added[2], _added[3]


@helper
def multiply(w, stride, have, deep, x, offsets, depth, columns, ends, out, pitch):
    """An outer_tile of ROWS rows, of which `have` exist, and so many columns as there are, at most WIDTH."""
    vectors = (columns + LANES - 1) // LANES
    lanes = columns - (vectors - 1) * LANES
    if vectors == 3:
        _whole_3(w, stride, have, deep, x, offsets, depth, lanes, ends, out, pitch)
    elif vectors == 2:
        _whole_2(w, stride, have, deep, x, offsets, depth, lanes, ends, out, pitch)
    else:
        _whole_1(w, stride, have, deep, x, offsets, depth, lanes, ends, out, pitch)


@helper
def multiply_and_add(w, stride, have, deep, x, offsets, depth, columns, ends, out):
    """The same, added to rows of `out` that begin at the distances `ends`."""
    vectors = (columns + LANES - 1) // LANES
    lanes = columns - (vectors - 1) * LANES
    if vectors == 3:
        _added_3(w, stride, have, deep, x, offsets, depth, lanes, ends, out, 0)
    elif vectors == 2:
        _added_2(w, stride, have, deep, x, offsets, depth, lanes, ends, out, 0)
    else:
        _added_1(w, stride, have, deep, x, offsets, depth, lanes, ends, out, 0)


def dot_tile(rows: int, taps: int) -> Any:
    """Add to the tile  t[m, d] += Σ dy[n, m, j] · x[n, offset[d] + j]  over n and j, for `rows` m and `taps` d.

    Its arguments are addresses and distances: of dy, with the distance of its rows, of which `have` exist, and of its
    images; of x and the distance of its images; of the int64 offsets, of which `reach` exist; the numbers of columns j
    and of images n; and the address of the tile, with the distance of its rows.
    """

    @intrinsic
    def tile(typing: Any, dy: Any, row: Any, have: Any, dy_image: Any, x: Any, x_image: Any, offsets: Any, reach: Any,
             columns: Any, images: Any, out: Any, stride: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            dy, row, have, dy_image, x, x_image, offsets, reach, columns, images, out, stride = args
            floats, zero = FLOAT.as_pointer(), ir.Constant(VECTOR, [0.0] * LANES)
            table, fma = builder.inttoptr(offsets, WORD.as_pointer()), _fma(builder)

            lines = [builder.mul(_clamped(builder, m, have), row) for m in range(rows)]
            places = [builder.load(builder.gep(table, [_clamped(builder, d, reach)])) for d in range(taps)]
            whole = builder.mul(builder.sdiv(columns, _words(LANES)), _words(LANES))
            mask = _first_lanes(builder, builder.sub(columns, whole))

            def step(slopes: Any, pixels: Any, j: Any, sums: Any, load: Any) -> Any:
                a = [load(builder.gep(slopes, [builder.add(line, j)])) for line in lines]
                b = [load(builder.gep(pixels, [builder.add(place, j)])) for place in places]
                return [[builder.call(fma, [p, q, total]) for q, total in zip(b, line, strict=True)]
                        for p, line in zip(a, sums, strict=True)]

            before = builder.block
            image, inner, tail, after = (builder.append_basic_block() for _ in range(4))
            builder.branch(image)
            builder.position_at_end(image)
            n = builder.phi(WORD)
            carried = [[builder.phi(VECTOR) for _ in range(taps)] for _ in range(rows)]
            slopes = builder.gep(builder.inttoptr(dy, floats), [builder.mul(n, dy_image)])
            pixels = builder.gep(builder.inttoptr(x, floats), [builder.mul(n, x_image)])
            builder.cbranch(builder.icmp_signed("<", _words(0), whole), inner, tail)
            builder.position_at_end(inner)
            j = builder.phi(WORD)
            sums = [[builder.phi(VECTOR) for _ in range(taps)] for _ in range(rows)]
            added = step(slopes, pixels, j, sums, lambda at: _load(builder, at))
            following = builder.add(j, _words(LANES))
            j.add_incoming(_words(0), image)
            j.add_incoming(following, inner)
            builder.cbranch(builder.icmp_signed("<", following, whole), inner, tail)
            builder.position_at_end(tail)
            joined = [[builder.phi(VECTOR) for _ in range(taps)] for _ in range(rows)]
            ended = step(slopes, pixels, whole, joined, lambda at: _masked_load(builder, at, mask))
            next_image = builder.add(n, _words(1))
            n.add_incoming(_words(0), before)
            n.add_incoming(next_image, tail)
            for m in range(rows):
                for d in range(taps):
                    carried[m][d].add_incoming(zero, before)
                    carried[m][d].add_incoming(ended[m][d], tail)
                    sums[m][d].add_incoming(carried[m][d], image)
                    sums[m][d].add_incoming(added[m][d], inner)
                    joined[m][d].add_incoming(carried[m][d], image)
                    joined[m][d].add_incoming(added[m][d], inner)
            builder.cbranch(builder.icmp_signed("<", next_image, images), image, after)
            builder.position_at_end(after)
            reduce = cgutils.get_or_insert_function(builder.module, ir.FunctionType(FLOAT, [FLOAT, VECTOR]),
                                                    f"llvm.vector.reduce.fadd.v{LANES}f32")
            target = builder.inttoptr(out, floats)
            for m in range(rows):
                for d in range(taps):
                    with builder.if_then(builder.and_(builder.icmp_signed("<", _words(m), have),
                                                      builder.icmp_signed("<", _words(d), reach))):
                        at = builder.gep(target, [builder.add(builder.mul(_words(m), stride), _words(d))])
                        total = builder.call(reduce, [ir.Constant(FLOAT, 0.0), ended[m][d]], fastmath=("reassoc",))
                        builder.store(builder.fadd(builder.load(at), total), at)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 12), make

    return tile


def map_tile(matrix: Any, *, biased: bool = False) -> Any:
    """The tile  M x Mᵀ  of vectors, for a matrix M of constants and as many vectors x as it has columns, squared.

    Arguments are addresses and distances: of x, with those of its rows and columns; of the result, with those of its
    rows and columns; with `biased`, of a vector to be added to each.
    """
    M = [[float(value) for value in row] for row in matrix]

    def apply(builder: Any, vectors: Any) -> Any:
        """M times a column of vectors."""
        results = []
        for row in M:
            total = None
            for factor, vector in zip(row, vectors, strict=True):
                if factor == 0:
                    continue
                if total is None:
                    plain = factor == 1
                    total = vector if plain else builder.fmul(ir.Constant(VECTOR, [factor] * LANES), vector)
                elif abs(factor) == 1:
                    total = (builder.fadd if factor == 1 else builder.fsub)(total, vector)
                else:
                    total = builder.call(_fma(builder), [ir.Constant(VECTOR, [factor] * LANES), vector, total])
            results.append(total)
        return results

    @intrinsic
    def tile(typing: Any, x: Any, row: Any, column: Any, out: Any, out_row: Any, out_column: Any, bias: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, row, column, out, out_row, out_column, bias = args
            floats, size = FLOAT.as_pointer(), len(M[0])
            source, target = builder.inttoptr(x, floats), builder.inttoptr(out, floats)

            def place(base: Any, i: int, rows: Any, j: int, columns: Any) -> Any:
                return builder.gep(base, [builder.add(builder.mul(_words(i), rows), builder.mul(_words(j), columns))])

            half = [apply(builder, [_load(builder, place(source, i, row, j, column)) for i in range(size)])
                    for j in range(size)]
            more = _load(builder, builder.inttoptr(bias, floats)) if biased else None
            for i in range(len(M)):
                for j, result in enumerate(apply(builder, [half[j][i] for j in range(size)])):
                    total = builder.fadd(result, more) if biased else result
                    _store(builder, total, place(target, i, out_row, j, out_column))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), make

    return tile


@intrinsic
def transpose_tile(typing: Any, x: Any, stride: Any, columns: Any, out: Any, pitch: Any, rows: Any) -> Any:
    """out[j, i] = x[i, j] for LANES rows i and LANES columns j, of which `columns` are read and `rows` are written.

    x and out are addresses, their rows `stride` and `pitch` numbers apart. Rows of x beyond `rows` are the last again.
    """

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, stride, columns, out, pitch, rows = args
        floats = FLOAT.as_pointer()
        source, target = builder.inttoptr(x, floats), builder.inttoptr(out, floats)
        mask, written = _first_lanes(builder, columns), _first_lanes(builder, rows)
        lines = [_masked_load(builder, builder.gep(source, [builder.mul(_clamped(builder, i, rows), stride)]), mask)
                 for i in range(LANES)]
        step = 1
        while step < LANES:  # swap the off-diagonal blocks of step × step
            low = [i if not i & step else i - step + LANES for i in range(LANES)]
            high = [i + step if not i & step else i + LANES for i in range(LANES)]
            for i in range(LANES):
                if not i & step:
                    pair = lines[i], lines[i + step]
                    lines[i], lines[i + step] = (
                        builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(INDEX, LANES), order))
                        for order in (low, high))
            step *= 2
        for j, line in enumerate(lines):
            with builder.if_then(builder.icmp_signed("<", _words(j), columns)):
                at = builder.gep(target, [builder.mul(_words(j), pitch)])
                _masked_store(builder, line, at, written)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), make
