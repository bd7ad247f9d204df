"""Vector registers that numba may use, and the LLVM instructions that load, mask, combine and store them.

LLVM's vectorizer keeps sums in memory, and uses no vectors for short rows. So the code that must be quick is written in
LLVM's own language: whole loops in tiles.py, single steps in vectors.py. Both are built from the functions here.

These functions run when numba compiles. `builder` writes the instructions; a value is the result of one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config
from numba.core import cgutils


def features(host: Mapping[str, bool], name: str | None, setting: str | None) -> dict[str, bool]:
    """Return the features that numba compiles for, from its settings NUMBA_CPU_NAME and NUMBA_CPU_FEATURES.

    Without features in the settings they are those of this processor, `host`. Otherwise the setting changes them, as in
    "-avx512f". With a name of a processor, only what the setting adds counts: which features the name stands for is not
    known here, and one too few only costs speed.
    """
    if setting is None:
        return dict(host)
    changes = {part.strip()[1:]: part.strip()[0] == "+" for part in setting.split(",") if part.strip()}
    return {**({} if name else host), **changes}


_name, _setting = (getattr(config, setting, None) for setting in ("CPU_NAME", "CPU_FEATURES"))
_features = features(llvm.get_host_cpu_features(), _name, _setting)
MASKS = bool(_features.get("avx"))                                       # whether part of a vector can be loaded
VECTOR = 16 if MASKS and _features.get("avx512f") else 8 if MASKS else 4  # float32 numbers in a register
REGISTERS = 16 if VECTOR == 8 else 32                                     # how many registers there are

WORD, FLOAT, INDEX = ir.IntType(64), ir.FloatType(), ir.IntType(32)
FLOATS, INDICES, MASK = (ir.VectorType(kind, VECTOR) for kind in (FLOAT, INDEX, ir.IntType(1)))
ZEROS = ir.Constant(FLOATS, [0.0] * VECTOR)
RAMP = ir.Constant(INDICES, list(range(VECTOR)))
ALIGNED = 4  # bytes: a vector may begin at any float32 number in memory


def word(value: int) -> Any:
    """Return a constant int64."""
    return ir.Constant(WORD, value)


def pointer(builder: Any, address: Any, kind: Any = FLOAT) -> Any:
    """Return the address as a pointer to numbers of this type."""
    return builder.inttoptr(address, kind.as_pointer())


def spread(builder: Any, number: Any, kind: Any = FLOATS) -> Any:
    """Return a vector that holds the number in every element."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(INDEX, 0))
    return chosen(builder, first, ir.Constant(kind, ir.Undefined), [0] * VECTOR)


def chosen(builder: Any, a: Any, b: Any, which: Sequence[int]) -> Any:
    """A vector of elements of a and b, by their numbers: those of a are 0, 1, …, and those of b follow."""
    return builder.shuffle_vector(a, b, ir.Constant(INDICES, list(which)))


def elements_below(builder: Any, count: Any, first: Any = None) -> Any:
    """Return the mask of the elements i with 0 ≤ first + i < count; `first` is 0 where it is not given."""
    # unsigned, so that one comparison refuses negative numbers too
    at = RAMP if first is None else builder.add(RAMP, spread(builder, builder.trunc(first, INDEX), INDICES))
    return builder.icmp_unsigned("<", at, spread(builder, builder.trunc(count, INDEX), INDICES))


def load(builder: Any, at: Any, mask: Any = None, other: Any = ZEROS) -> Any:
    """Return the vector at a pointer; with a mask, memory that it leaves out is not read, and `other` stands there."""
    place = builder.bitcast(at, FLOATS.as_pointer())
    if mask is None:
        value = builder.load(place)
        value.align = ALIGNED
        return value
    kind = ir.FunctionType(FLOATS, [place.type, INDEX, MASK, FLOATS])
    read = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{VECTOR}f32.p0")
    return builder.call(read, [place, ir.Constant(INDEX, ALIGNED), mask, other])


def store(builder: Any, value: Any, at: Any, mask: Any = None) -> None:
    """Write a vector to a pointer; with a mask, only the elements that it has."""
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
    """Return the sum of all elements, in any order."""
    kind = ir.FunctionType(FLOAT, [FLOAT, FLOATS])
    add = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{VECTOR}f32")
    return builder.call(add, [ir.Constant(FLOAT, 0.0), value], fastmath=("reassoc",))
