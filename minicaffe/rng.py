"""The one random generator of a process: fillers, Dropout and shuffles all draw from it."""

from __future__ import annotations

from typing import Any

import numpy as np

_generator = np.random.default_rng()


def seed(value: int | None) -> None:
    """Start the generator anew, from `value` or, with None, from the system's entropy."""
    global _generator
    _generator = np.random.default_rng(value)


def generator() -> np.random.Generator:
    """The process's generator. Fetch it for each use: `seed` replaces it."""
    return _generator


def state() -> dict[str, Any]:
    """Where the generator stands, as numbers and strings that JSON can hold."""
    return dict(_generator.bit_generator.state)


def restore(state: dict[str, Any]) -> None:
    """Go on where the generator stood. ValueError, TypeError or KeyError where `state` is none of its states."""
    bits = np.random.PCG64()  # what default_rng makes; the restored generator is the old one only when all went well
    bits.state = state  # type: ignore[assignment]
    global _generator
    _generator = np.random.Generator(bits)
