"""Vector registers as values: LANES numbers that compiled code loads, compares and stores at a time.

Rows of a small image are shorter than what LLVM's vectorizer asks for before it uses registers at all. Here a load
or a store says which lanes exist, so that a row of five costs what a row of sixteen does.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from minicaffe.kernels.jit.tiles import FLOAT, INDEX, LANES
from minicaffe.kernels.jit.words import intrinsic

VECTOR, INDICES = ir.VectorType(FLOAT, LANES), ir.VectorType(INDEX, LANES)


class _Floats(types.Type):
    def __init__(self) -> None:
        super().__init__("a register of float32")


class _Indices(types.Type):
    def __init__(self) -> None:
        super().__init__("a register of int32")


@register_model(_Floats)
class _FloatsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


@register_model(_Indices)
class _IndicesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, INDICES)


floats, indices = _Floats(), _Indices()


def _made_of(function: Any, result: Any, *arguments: Any) -> Any:
    """An operation that `function(builder, *values)` builds."""
    signature = result(*arguments)

    def make(context: Any, builder: Any, _: Any, args: Any) -> Any:
        made = function(builder, *args)
        return context.get_dummy_value() if result is types.void else made

    return signature, make


def _spread_out(builder: Any, number: Any, kind: Any) -> Any:
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(INDEX, 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), ir.Constant(INDICES, [0] * LANES))


def _lanes(builder: Any, first: Any, limit: Any) -> Any:
    """The mask of the lanes l with 0 ≤ first + l < limit."""
    ramp = builder.add(_spread_out(builder, builder.trunc(first, INDEX), INDICES),
                       ir.Constant(INDICES, list(range(LANES))))
    return builder.icmp_unsigned("<", ramp, _spread_out(builder, builder.trunc(limit, INDEX), INDICES))


def _place(builder: Any, address: Any, first: Any, kind: Any) -> Any:
    return builder.inttoptr(builder.add(address, builder.mul(first, ir.Constant(first.type, 4))), kind.as_pointer())


def _load(builder: Any, address: Any, first: Any, limit: Any, other: Any) -> Any:
    mask = _lanes(builder, first, limit)
    kind = ir.FunctionType(VECTOR, [VECTOR.as_pointer(), INDEX, mask.type, VECTOR])
    load = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LANES}f32.p0")
    return builder.call(load, [_place(builder, address, first, VECTOR), ir.Constant(INDEX, 4), mask, other])


def _store(builder: Any, address: Any, first: Any, limit: Any, value: Any) -> None:
    mask = _lanes(builder, first, limit)
    kind = ir.FunctionType(ir.VoidType(), [value.type, value.type.as_pointer(), INDEX, mask.type])
    name = f"llvm.masked.store.v{LANES}{'f32' if value.type == VECTOR else 'i32'}.p0"
    store = cgutils.get_or_insert_function(builder.module, kind, name)
    builder.call(store, [value, _place(builder, address, first, value.type), ir.Constant(INDEX, 4), mask])


@intrinsic
def load(typing: Any, address: Any, first: Any, limit: Any, other: Any) -> Any:
    """Numbers first, first + 1, … of the `limit` numbers at an address; `other` where there is none."""
    return _made_of(_load, floats, types.int64, types.int64, types.int64, floats)


@intrinsic
def store(typing: Any, address: Any, first: Any, limit: Any, value: Any) -> Any:
    """Write a register to places first, first + 1, … of the `limit` at an address, as far as they exist."""
    return _made_of(_store, types.void, types.int64, types.int64, types.int64, value)


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """The number in every lane."""
    kind, result = (INDICES, indices) if isinstance(number, types.Integer) else (VECTOR, floats)
    taken = types.int32 if result is indices else types.float32
    return _made_of(lambda builder, value: _spread_out(builder, value, kind), result, taken)


@intrinsic
def ramp(typing: Any, first: Any, step: Any) -> Any:
    """first, first + step, first + 2 · step, …"""
    def make(builder: Any, first: Any, step: Any) -> Any:
        steps = builder.mul(_spread_out(builder, step, INDICES), ir.Constant(INDICES, list(range(LANES))))
        return builder.add(steps, _spread_out(builder, first, INDICES))
    return _made_of(make, indices, types.int32, types.int32)


@intrinsic
def evens(typing: Any, a: Any, b: Any) -> Any:
    """Lanes 0, 2, 4, … of two registers that follow each other."""
    every_other = ir.Constant(INDICES, list(range(0, 2 * LANES, 2)))
    return _made_of(lambda builder, a, b: builder.shuffle_vector(a, b, every_other), floats, floats, floats)


def _zip(a: int) -> Any:
    """Lanes of two registers in turn, from lane `a` on."""
    lanes = ir.Constant(INDICES, [a + i // 2 + i % 2 * LANES for i in range(LANES)])
    return _made_of(lambda builder, a, b: builder.shuffle_vector(a, b, lanes), floats, floats, floats)


@intrinsic
def zipped(typing: Any, a: Any, b: Any) -> Any:
    """a[0], b[0], a[1], b[1], … as far as they go."""
    return _zip(0)


@intrinsic
def zipped_rest(typing: Any, a: Any, b: Any) -> Any:
    """What `zipped` has no lanes for."""
    return _zip(LANES // 2)


@intrinsic
def if_greater(typing: Any, u: Any, v: Any, a: Any, b: Any) -> Any:
    """a in the lanes where u > v, else b."""
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
    return _made_of(lambda builder, a: builder.sitofp(a, VECTOR), floats, indices)
