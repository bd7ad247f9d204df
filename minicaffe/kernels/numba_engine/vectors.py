"""Vectors as values in compiled code: VECTOR numbers that are loaded, compared and stored at a time.

LLVM's vectorizer uses vectors only for rows that are long enough, and rows of a small image are not. Here each load and
store says how many numbers exist, and the rest of the vector is masked. So a row of five costs no more than a row of
sixteen.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import models, register_model

from minicaffe.kernels.numba_engine import registers
from minicaffe.kernels.numba_engine.registers import FLOATS, INDICES, RAMP, VECTOR
from minicaffe.kernels.numba_engine.words import intrinsic


class _Floats(types.Type):
    def __init__(self) -> None:
        super().__init__("a vector of float32")


class _Indices(types.Type):
    def __init__(self) -> None:
        super().__init__("a vector of int32")


@register_model(_Floats)
class _FloatsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, FLOATS)


@register_model(_Indices)
class _IndicesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, INDICES)


floats, indices = _Floats(), _Indices()


def _made_of(function: Any, result: Any, *arguments: Any) -> Any:
    """Return an intrinsic of these types, whose instructions `function(builder, *values)` writes."""
    signature = result(*arguments)

    def make(context: Any, builder: Any, _: Any, args: Any) -> Any:
        made = function(builder, *args)
        return context.get_dummy_value() if result is types.void else made

    return signature, make


def _place(builder: Any, address: Any, first: Any) -> Any:
    return registers.pointer(builder, builder.add(address, builder.mul(first, registers.word(4))))


@intrinsic
def load(typing: Any, address: Any, first: Any, limit: Any, other: Any) -> Any:
    """Numbers first, first + 1, … of the `limit` numbers at an address; `other` where there is none."""
    def make(builder: Any, address: Any, first: Any, limit: Any, other: Any) -> Any:
        existing = registers.elements_below(builder, limit, first)
        return registers.load(builder, _place(builder, address, first), existing, other)
    return _made_of(make, floats, types.int64, types.int64, types.int64, floats)


@intrinsic
def store(typing: Any, address: Any, first: Any, limit: Any, value: Any) -> Any:
    """Write a vector to numbers first, first + 1, … of the `limit` numbers at an address, as far as they exist."""
    def make(builder: Any, address: Any, first: Any, limit: Any, value: Any) -> None:
        existing = registers.elements_below(builder, limit, first)
        registers.store(builder, value, _place(builder, address, first), existing)
    return _made_of(make, types.void, types.int64, types.int64, types.int64, value)


@intrinsic
def load_whole(typing: Any, address: Any, first: Any) -> Any:
    """Numbers first, first + 1, … at an address, all of which exist."""
    return _made_of(lambda builder, address, first: registers.load(builder, _place(builder, address, first)), floats,
                    types.int64, types.int64)


@intrinsic
def load_indices(typing: Any, address: Any, first: Any) -> Any:
    """Indices first, first + 1, … at an address, all of which exist."""
    def make(builder: Any, address: Any, first: Any) -> Any:
        value = builder.load(builder.bitcast(_place(builder, address, first), INDICES.as_pointer()))
        value.align = registers.ALIGNED
        return value
    return _made_of(make, indices, types.int64, types.int64)


@intrinsic
def store_whole(typing: Any, address: Any, first: Any, value: Any) -> Any:
    """Write a vector to numbers first, first + 1, … at an address, all of which exist.

    AMD's processors take longer for a masked store with AVX2 than for this one.
    """
    def make(builder: Any, address: Any, first: Any, value: Any) -> None:
        registers.store(builder, value, _place(builder, address, first))
    return _made_of(make, types.void, types.int64, types.int64, value)


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """Return a vector that holds the number in every element."""
    kind, result = (INDICES, indices) if isinstance(number, types.Integer) else (FLOATS, floats)
    taken = types.int32 if result is indices else types.float32
    return _made_of(lambda builder, value: registers.spread(builder, value, kind), result, taken)


@intrinsic
def ramp(typing: Any, first: Any, step: Any) -> Any:
    """first, first + step, first + 2 · step, …"""
    def make(builder: Any, first: Any, step: Any) -> Any:
        steps = builder.mul(registers.spread(builder, step, INDICES), RAMP)
        return builder.add(steps, registers.spread(builder, first, INDICES))
    return _made_of(make, indices, types.int32, types.int32)


@intrinsic
def evens(typing: Any, a: Any, b: Any) -> Any:
    """Elements 0, 2, 4, … of two vectors seen as one."""
    every_other = range(0, 2 * VECTOR, 2)
    return _made_of(lambda builder, a, b: registers.chosen(builder, a, b, every_other), a, a, a)


@intrinsic
def odds(typing: Any, a: Any, b: Any) -> Any:
    """Elements 1, 3, 5, … of two vectors seen as one."""
    every_other = range(1, 2 * VECTOR, 2)
    return _made_of(lambda builder, a, b: registers.chosen(builder, a, b, every_other), floats, floats, floats)


def _zip(a: int) -> Any:
    """Elements of two vectors in turn, from element `a` on."""
    order = [a + i // 2 + i % 2 * VECTOR for i in range(VECTOR)]
    return _made_of(lambda builder, a, b: registers.chosen(builder, a, b, order), floats, floats, floats)


@intrinsic
def zipped(typing: Any, a: Any, b: Any) -> Any:
    """a[0], b[0], a[1], b[1], … up to the end of the vector."""
    return _zip(0)


@intrinsic
def zipped_rest(typing: Any, a: Any, b: Any) -> Any:
    """Return the rest of a[0], b[0], a[1], b[1], …, which does not fit into `zipped`."""
    return _zip(VECTOR // 2)


@intrinsic
def if_greater(typing: Any, u: Any, v: Any, a: Any, b: Any) -> Any:
    """a where u > v, else b, element by element."""
    return _made_of(lambda builder, u, v, a, b: builder.select(builder.fcmp_ordered(">", u, v), a, b), a, floats,
                    floats, a, a)


@intrinsic
def plus(typing: Any, a: Any, b: Any) -> Any:
    """a + b."""
    if a is indices:
        return _made_of(lambda builder, a, b: builder.add(a, b), indices, indices, indices)
    return _made_of(lambda builder, a, b: builder.fadd(a, b), floats, floats, floats)


@intrinsic
def times(typing: Any, a: Any, b: Any) -> Any:
    """a · b."""
    return _made_of(lambda builder, a, b: builder.fmul(a, b), floats, floats, floats)


@intrinsic
def plus_times(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a + b · c, rounded once."""
    return _made_of(lambda builder, a, b, c: registers.fma(builder, b, c, a), floats, floats, floats, floats)


@intrinsic
def over(typing: Any, a: Any, b: Any) -> Any:
    """a / b."""
    return _made_of(lambda builder, a, b: builder.fdiv(a, b), floats, floats, floats)


@intrinsic
def lesser(typing: Any, a: Any, b: Any) -> Any:
    """min(a, b) of indices."""
    return _made_of(lambda builder, a, b: builder.select(builder.icmp_signed("<", a, b), a, b), indices, indices,
                    indices)


@intrinsic
def as_floats(typing: Any, a: Any) -> Any:
    """Indices as float32."""
    return _made_of(lambda builder, a: builder.sitofp(a, FLOATS), floats, indices)
