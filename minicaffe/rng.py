"""The one random generator of a process: fillers, Dropout and seeds draw from it. Random numbers for samples."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
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


class SampleDraws:
    """Random numbers for samples: each follows from the seed, the sample's epoch, its number and what it is for.

    So a sample gets the same numbers in whatever batch it comes, on whichever thread or machine it is prepared.

    seed        a whole number below 2⁶⁴
    epochs      of each sample, how often the source was read from end to end before
    numbers     of each sample, its place in the source: 0 for the first, whatever the order of reading

    `what` in the methods is a name for the choice, such as "mirror": two choices for one sample are independent.
    """

    def __init__(self, seed: int, epochs: Sequence[int] | np.ndarray, numbers: Sequence[int] | np.ndarray) -> None:
        state = np.full(len(numbers), seed % 2**64, np.uint64)
        for words in (epochs, numbers):
            state = _mixed(state ^ _mixed(np.asarray(words).astype(np.uint64)))
        self._state = state

    def __len__(self) -> int:
        return len(self._state)

    def unit(self, what: str) -> np.ndarray:
        """Return for each sample a number from 0 up to, but not including, 1."""
        kind: np.ndarray = np.full(1, zlib.crc32(what.encode()), np.uint64)
        # the upper 53 bits, because a float64 holds no more
        return (_mixed(self._state ^ _mixed(kind)) >> np.uint64(11)) * 2.0**-53

    def below(self, bounds: int | np.ndarray, what: str) -> np.ndarray:
        """Return for each sample a whole number from 0 up to, but not including, its bound."""
        return (self.unit(what) * bounds).astype(np.int64)


def _mixed(words: np.ndarray) -> np.ndarray:
    """Return 64-bit words in which each bit depends on all bits of the given ones (SplitMix64's last step)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
