"""Memory by address: how compiled code reaches its arguments, other threads, and other compiled code.

Numba's own functions take arrays, whose description costs microseconds to hand over from Python. A compiled task gets
plain 64-bit words instead. The functions here turn such words into arrays and numbers, read and write them
atomically, and call a function by its address.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba.extending
import numpy as np
from llvmlite import ir
from numba import carray, types  # type: ignore[attr-defined]

intrinsic: Any = numba.extending.intrinsic   # Any, since compiled code calls the result with other arguments
helper: Any = numba.extending.register_jitable  # decorator: compiled code may call the function, which is built into it
array_at: Any = carray                       # (pointer, shape)
WORD = ir.IntType(64)
PAUSES = "sse2" in llvm.get_host_cpu_features() and sys.maxsize > 2**32  # whether the processor has a pause instruction


def address_of(array: np.ndarray) -> int:
    """Return the address of the first number of an array in C's order."""
    try:
        return ctypes.addressof(_byte_of(array))
    except (TypeError, ValueError):  # ctypes refuses read-only and empty arrays. For them a slower function is used
        if not array.flags.c_contiguous:
            raise ValueError("a compiled task takes arrays whose numbers lie one after the other, in C's order"
                             ) from None
        return int(array.__array_interface__["data"][0])


_byte_of: Callable[[Any], ctypes.c_char] = ctypes.c_char.from_buffer


def _pointer(builder: Any, address: Any, kind: Any = WORD) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _pointer_to(kind: Any) -> Any:
    """Return a function for compiled code: it makes a pointer to numbers of this type from an address."""
    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))
        return types.CPointer(kind)(types.int64), make
    return pointer


float_pointer, word_pointer = _pointer_to(types.float32), _pointer_to(types.int64)
double_pointer = _pointer_to(types.float64)
index_pointer, byte_pointer = _pointer_to(types.int32), _pointer_to(types.uint8)


@intrinsic(prefer_literal=True)
def values(typing: Any, block: Any, count: Any) -> Any:
    """Return the first `count` words of a block, as a tuple; `count` must be a number in the source, not a variable."""
    if not isinstance(count, types.IntegerLiteral):  # the length of a tuple is part of its type
        return None
    kind = types.UniTuple(types.int64, count.literal_value)

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        read = [builder.load(builder.gep(args[0], [ir.Constant(WORD, i)])) for i in range(kind.count)]
        return context.make_tuple(builder, kind, read)

    return kind(block, count), make


@helper
def floats(address, shape):
    """Return the float32 array of this shape at an address."""
    return array_at(float_pointer(address), shape)


@helper
def ints(address, shape):
    """Return the int64 array of this shape at an address."""
    return array_at(word_pointer(address), shape)


@intrinsic
def number(typing: Any, word: Any) -> Any:
    """Return the float64 whose bits the word holds."""
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())
    return types.float64(types.int64), make


@intrinsic
def read(typing: Any, address: Any) -> Any:
    """Return the word at an address. It acquires: this thread then sees all that the word's writer wrote before."""
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(builder, args[0]), "acquire", 8)
    return types.int64(types.int64), make


@intrinsic
def write(typing: Any, address: Any, value: Any) -> Any:
    """Set the word at an address. It releases: who reads the word sees all that this thread wrote before."""
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], _pointer(builder, args[0]), "release", 8)
        return context.get_dummy_value()
    return types.void(types.int64, types.int64), make


@intrinsic
def add(typing: Any, address: Any, value: Any) -> Any:
    """Add to the word at an address in one step; return what it was before."""
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], "acq_rel")
    return types.int64(types.int64, types.int64), make


@intrinsic
def replace(typing: Any, address: Any, old: Any, new: Any) -> Any:
    """Compare-and-swap: set the word at an address to `new` if it is `old`, in one step; return whether it was."""
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pair = builder.cmpxchg(_pointer(builder, args[0]), args[1], args[2], "acq_rel", "acquire")
        return builder.extract_value(pair, 1)
    return types.boolean(types.int64, types.int64, types.int64), make


@intrinsic
def pause(typing: Any) -> Any:
    """Let the core rest for 12 to 40 ns, where the processor has an instruction for it; else do nothing."""
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if PAUSES:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()
    return types.void(), make


@intrinsic
def call(typing: Any, function: Any, block: Any, piece: Any) -> Any:
    """Run one piece of the compiled task at an address, with the block of arguments at another."""
    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [WORD.as_pointer(), WORD])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [_pointer(builder, args[1]), args[2]])
        return context.get_dummy_value()
    return types.void(types.int64, types.int64, types.int64), make
