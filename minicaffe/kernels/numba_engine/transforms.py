"""Small squares of vectors, transposed or multiplied by constant matrices, without leaving the registers.

Transposing changes the layout of images (interleaved.py, winograd.py). The constant matrices are those of Winograd's
transforms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from minicaffe.kernels.numba_engine.registers import (
    FLOATS,
    VECTOR,
    chosen,
    elements_below,
    fma,
    load,
    pointer,
    store,
    word,
)
from minicaffe.kernels.numba_engine.words import intrinsic


def map_tile(matrix: Any, *, biased: bool = False) -> Any:
    """Return the intrinsic that computes M x Mᵀ, for a constant matrix M and a square x whose elements are vectors.

    Its arguments are the address of x and the distances between its rows and between its columns, and the same of the
    result. With `biased` the address of a vector follows, which is added to each element.
    """
    factors = _factors(np.asarray(matrix, np.float64))
    rows, size = np.shape(matrix)

    @intrinsic
    def tile(typing: Any, x: Any, row: Any, column: Any, out: Any, out_row: Any, out_column: Any, bias: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, row, column, out, out_row, out_column, bias = args
            source, target = pointer(builder, x), pointer(builder, out)
            half = [_product(builder, factors, [load(builder, _place(builder, source, i, row, j, column))
                                                for i in range(size)]) for j in range(size)]
            more = load(builder, pointer(builder, bias)) if biased else None
            for i in range(rows):
                for j, result in enumerate(_product(builder, factors, [half[j][i] for j in range(size)])):
                    value = builder.fadd(result, more) if biased else result
                    store(builder, value, _place(builder, target, i, out_row, j, out_column))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), make

    return tile


def _place(builder: Any, base: Any, i: int, row: Any, j: int, column: Any) -> Any:
    return builder.gep(base, [builder.add(builder.mul(word(i), row), builder.mul(word(j), column))])


def _factors(M: np.ndarray) -> list[np.ndarray]:
    """Return matrices whose product is M, the first to be applied last, with fewer terms to add up than M has.

    Two neighbouring rows may differ in signs alone: Winograd's points p and −p give such rows. Then the terms that they
    share and the terms of opposite signs are summed once, and the rows are the sum and the difference of these. Where M
    has such columns, its transpose has such rows.
    """
    mixed, terms = _in_pairs(M)
    if len(mixed):
        return [mixed, terms]
    mixed, terms = _in_pairs(M.T)
    return [terms.T, mixed.T] if len(mixed) else [M]


def _in_pairs(M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return H and R with M = H · R, where H takes sums and differences of rows; H is empty where no rows allow it."""
    H, R, i, found = np.eye(len(M)), M.copy(), 0, False
    while i < len(M) - 1:
        a, b = M[i], M[i + 1]
        if (abs(a) == abs(b)).all() and np.count_nonzero(a) > 2 and (a != b).any():
            R[i], R[i + 1] = np.where(a == b, a, 0), np.where(a == b, 0, a)
            H[i:i + 2, i:i + 2] = [[1, 1], [1, -1]]
            i, found = i + 1, True
        i += 1
    return (H, R) if found else (np.empty((0, 0)), R)


def _product(builder: Any, factors: Sequence[np.ndarray], vectors: Sequence[Any]) -> Sequence[Any]:
    """Return the product of the matrices and a column of vectors. Numbers 0 and ±1 in them cost no multiplication."""
    for M in reversed(factors):
        vectors = [_weighted_sum(builder, row, vectors) for row in M]
    return vectors


def _weighted_sum(builder: Any, factors: Sequence[float], vectors: Sequence[Any]) -> Any:
    total: Any = None
    for factor, vector in zip(factors, vectors, strict=True):
        if factor == 0:
            continue
        times = ir.Constant(FLOATS, [float(factor)] * VECTOR)
        if total is None:
            total = vector if factor == 1 else builder.fmul(times, vector)
        elif abs(factor) == 1:
            total = (builder.fadd if factor == 1 else builder.fsub)(total, vector)
        else:
            total = fma(builder, times, vector, total)
    return total


@intrinsic
def transpose_tile(typing: Any, x: Any, stride: Any, columns: Any, out: Any, pitch: Any, rows: Any) -> Any:
    """out[j, i] = x[i, j] for VECTOR rows i and VECTOR columns j, of which `columns` are read and `rows` are written.

    x and out are addresses; their rows are `stride` and `pitch` numbers apart.
    """

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, stride, columns, out, pitch, rows = args
        source, target, read = pointer(builder, x), pointer(builder, out), elements_below(builder, columns)

        def turn(lines: Sequence[Any], written: Any) -> None:
            loaded = [load(builder, builder.gep(source, [builder.mul(line, stride)]), read) for line in lines]
            for j, line in enumerate(_transposed(builder, loaded)):
                with builder.if_then(builder.icmp_signed("<", word(j), columns)):
                    store(builder, line, builder.gep(target, [builder.mul(word(j), pitch)]), written)

        # With AVX2, AMD's processors take longer for a masked store than for one without a mask.
        with builder.if_else(builder.icmp_signed("==", rows, word(VECTOR))) as (all_exist, some_exist):
            with all_exist:
                turn([word(i) for i in range(VECTOR)], None)
            with some_exist:  # a row beyond the last may be no memory of ours, so the last is read again
                last = builder.sub(rows, word(1))
                lines = [builder.select(builder.icmp_signed("<", word(i), rows), word(i), last) for i in range(VECTOR)]
                turn(lines, elements_below(builder, rows))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), make


def _transposed(builder: Any, lines: Sequence[Any]) -> list[Any]:
    """Return the transpose of a square of VECTOR vectors.

    First the numbers of each 2 × 2 square swap across its diagonal, then the 2 × 2 squares of each 4 × 4 square, and so
    on. Each round takes one instruction a vector, and there are log₂ VECTOR rounds.
    """
    turned, step = list(lines), 1
    while step < VECTOR:
        low = [i if not i & step else i - step + VECTOR for i in range(VECTOR)]
        high = [i + step if not i & step else i + VECTOR for i in range(VECTOR)]
        for i in range(VECTOR):
            if not i & step:
                pair = turned[i], turned[i + step]
                turned[i], turned[i + step] = (chosen(builder, *pair, order) for order in (low, high))
        step *= 2
    return turned
