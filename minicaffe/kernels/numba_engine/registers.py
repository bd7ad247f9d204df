"""A vector register of this machine, and the words of LLVM that fill it, mask it and write it.

LLVM's vectorizer keeps sums in memory and leaves short rows alone, so what must be fast is written in LLVM's own
language: tiles.py (whole loops) and vectors.py (single steps). Both are made of what is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

_features = llvm.get_host_cpu_features()
VECTOR = 16 if _features.get("avx512f") else 8 if _features.get("avx") else 4  # float32 numbers of a register
MASKS = bool(_features.get("avx"))                                            # whether a part of one can be moved
REGISTERS = 16 if VECTOR == 8 else 32                                          # how many there are

WORD, FLOAT, INDEX = ir.IntType(64), ir.FloatType(), ir.IntType(32)
FLOATS, INDICES, MASK = (ir.VectorType(kind, VECTOR) for kind in (FLOAT, INDEX, ir.IntType(1)))
ZEROS = ir.Constant(FLOATS, [0.0] * VECTOR)
RAMP = ir.Constant(INDICES, list(range(VECTOR)))
ALIGNED = 4  # bytes: a register may be read from any number on


def word(value: int) -> Any:
    """A constant int64."""
    return ir.Constant(WORD, value)


def pointer(builder: Any, address: Any, kind: Any = FLOAT) -> Any:
    """The address as a pointer to what lies there."""
    return builder.inttoptr(address, kind.as_pointer())


def spread(builder: Any, number: Any, kind: Any = FLOATS) -> Any:
    """A register that holds the number in every lane."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(INDEX, 0))
    return chosen(builder, first, ir.Constant(kind, ir.Undefined), [0] * VECTOR)


def chosen(builder: Any, a: Any, b: Any, lanes: Sequence[int]) -> Any:
    """Some lanes of two registers: b's are numbered behind a's."""
    return builder.shuffle_vector(a, b, ir.Constant(INDICES, list(lanes)))


def lanes_below(builder: Any, count: Any, first: Any = None) -> Any:
    """The mask of the lanes l with 0 ≤ first + l < count; `first` is 0 where it is not given."""
    at = RAMP if first is None else builder.add(RAMP, spread(builder, builder.trunc(first, INDEX), INDICES))
    return builder.icmp_unsigned("<", at, spread(builder, builder.trunc(count, INDEX), INDICES))


def load(builder: Any, at: Any, mask: Any = None, other: Any = ZEROS) -> Any:
    """The numbers from a pointer on; with a mask, `other` in the lanes that it leaves out, whose memory is not read."""
    place = builder.bitcast(at, FLOATS.as_pointer())
    if mask is None:
        value = builder.load(place)
        value.align = ALIGNED
        return value
    kind = ir.FunctionType(FLOATS, [place.type, INDEX, MASK, FLOATS])
    read = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{VECTOR}f32.p0")
    return builder.call(read, [place, ir.Constant(INDEX, ALIGNED), mask, other])


def store(builder: Any, value: Any, at: Any, mask: Any = None) -> None:
    """Write a register from a pointer on; with a mask, only the lanes that it has."""
    place = builder.bitcast(at, value.type.as_pointer())
    if mask is None:
        builder.store(value, place).align = ALIGNED
        return
    kind = ir.FunctionType(ir.VoidType(), [value.type, place.type, INDEX, MASK])
    name = f"llvm.masked.store.v{VECTOR}{'f32' if value.type == FLOATS else 'i32'}.p0"
    write = cgutils.get_or_insert_function(builder.module, kind, name)
    builder.call(write, [value, place, ir.Constant(INDEX, ALIGNED), mask])


def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once."""
    kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{VECTOR}f32"), [a, b, c])


def total(builder: Any, value: Any) -> Any:
    """The sum of all lanes."""
    kind = ir.FunctionType(FLOAT, [FLOAT, FLOATS])
    add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{VECTOR}f32")
    return builder.call(add, [ir.Constant(FLOAT, 0.0), value], fastmath=("reassoc",))
