"""The exponential as plain arithmetic, so that LLVM can compute a whole vector of them at a time.

The one of C's library is a function call for each number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from minicaffe.kernels.numba_engine.words import helper, intrinsic

LOG2_E = np.float32(1 / math.log(2))
LN_2 = np.float32(0.693359375)                       # ln 2 to so few bits that n · LN_2 is exact
LN_2_REST = np.float32(math.log(2) - 0.693359375)
ROUNDER = np.float32(3 << 22)  # so large that its last bit counts 1: adding it rounds a number to a whole one
ROUNDER_BITS = np.int32(np.float32(3 << 22).view(np.int32))
SERIES = tuple(np.float32(1 / math.factorial(k)) for k in range(8))
SERIES_7, SERIES_6, SERIES_5, SERIES_4, SERIES_3, SERIES_2 = SERIES[:1:-1]


@helper
def exp(x):
    """e^x, to one unit in the last place."""
    rest, half, other = _split(x)
    return (rest + np.float32(1)) * half * other


@helper
def expm1(x):
    """e^x − 1, exact also near 0, where e^x rounds to 1; x is at most 88."""
    rest, half, other = _split(np.float32(-40) if x < np.float32(-40) else x)  # e^−40 − 1 is −1
    return rest * half * other + (half * other - np.float32(1))


@helper
def sigmoid(x):
    """1 / (1 + e^−x)."""
    # e^−40 + 1 is 1 already. Beyond that, e^−x would become so small that processors compute with it slowly.
    most = np.float32(40) if x > np.float32(40) else x
    return np.float32(1) / (np.float32(1) + exp(-most))


@helper
def tanh(x):
    """(e^2x − 1) / (e^2x + 1)."""
    size = abs(x)
    size = np.float32(20) if size > np.float32(20) else size  # expm1 takes at most 88; from 9 on, the result is 1
    e = expm1(size + size)  # which computes e^2x − 1 as a whole, so that no digits get lost near 0
    rise = e / (e + np.float32(2))
    return np.copysign(rise, x)


@helper
def _split(x):
    """e^r − 1 and two powers of 2 with the product 2^n, where x = n · ln 2 + r and |r| ≤ ln 2 / 2.

    Without r⁸ and above, the series lacks less than 6e-9. 2^n comes in two factors, for n reaches from -150 to 129.
    """
    # Below −104, e^x is 0 in float32, and above 89 it is ∞. The comparisons leave NaN as it is.
    v = np.float32(-104) if x < np.float32(-104) else x
    v = np.float32(89) if v > np.float32(89) else v
    shifted = v * LOG2_E + ROUNDER
    n = bits_of(shifted) - ROUNDER_BITS
    rounded = shifted - ROUNDER
    r = (v - rounded * LN_2) - rounded * LN_2_REST  # in two steps, for r is small and would lose its last digits
    tail = ((((SERIES_7 * r + SERIES_6) * r + SERIES_5) * r + SERIES_4) * r + SERIES_3) * r + SERIES_2
    half = n >> np.int32(1)
    return tail * r * r + r, _two_to_the(half), _two_to_the(n - half)


@helper
def _two_to_the(n):
    """2^n for n from −126 to 127: a float32 has the exponent n + 127 in its bits 23 to 30."""
    return number_of((n + np.int32(127)) << np.int32(23))


def _bitcast(source: Any, target: Any, kind: Any) -> Any:
    @intrinsic
    def cast(typing: Any, value: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], kind)
        return target(source), make
    return cast


bits_of = _bitcast(types.float32, types.int32, ir.IntType(32))
number_of = _bitcast(types.int32, types.float32, ir.FloatType())
