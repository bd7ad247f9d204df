"""The one random generator of a process: fillers, Dropout and shuffles all draw from it."""

from __future__ import annotations

from typing import Any

import numpy as np

_generator = np.random.default_rng()


def seed(value: int | None) -> None:
    """Start the generator anew from `value`, or from the system's random numbers with None."""
    global _generator
    _generator = np.random.default_rng(value)


def generator() -> np.random.Generator:
    """Return the process's generator. Fetch it for each use: `seed` replaces it."""
    return _generator


def state() -> dict[str, Any]:
    """Return the generator's state, as numbers and strings that JSON can hold."""
    return dict(_generator.bit_generator.state)


def restore(state: dict[str, Any]) -> None:
    """Continue from a state of the generator. ValueError, TypeError or KeyError where `state` is none."""
    bits = np.random.PCG64()  # what default_rng uses
    bits.state = state  # type: ignore[assignment]  # on an error the generator is still the one before
    global _generator
    _generator = np.random.Generator(bits)
