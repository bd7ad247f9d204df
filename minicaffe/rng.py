"""All random numbers: of the process, of a pass through a net, and of a sample.

There are three kinds of random numbers, which differ in what the numbers follow from:

    the process     `generator()`: the seed and all that was drawn before. Initial weights and seeds come from it, and
                    whatever is drawn outside of a training
    a pass          `PassDraws`: the training's seed, the update, the part of the batch and the layer, as for the mask
                    of Dropout
    a sample        `SampleDraws`: the data layer's seed, the epoch and the number of the sample, as for a crop

What is drawn in a training thus depends neither on what was drawn before, nor on who draws it: a test in between, a
stop and a resume, and a second machine that does a part of the work change no number.
"""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
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
    """Continue from a state of the generator. Raise ValueError, TypeError or KeyError for what is no state."""
    bits = np.random.PCG64()  # what default_rng uses
    bits.state = state  # type: ignore[assignment]  # on an error the generator is still the one before
    global _generator
    _generator = np.random.Generator(bits)


def upcoming() -> int:
    """Return the whole number below 2⁶³ that the process's generator would draw next, without drawing it."""
    bits = np.random.PCG64()
    bits.state = _generator.bit_generator.state  # type: ignore[assignment]
    return int(np.random.Generator(bits).integers(2**63))


class PassDraws:
    """The generators of a net's layers. During a pass, each is one that follows from the pass and the layer's name.

    place       which pass runs: whole numbers such as the seed, the update and the part of the batch. Between the
                passes it is None, and all layers draw from the process's generator
    libraries   whether a pass also seeds the generators of numpy (`np.random.seed`) and Python (`random.seed`), from
                which users' layers may draw
    """

    def __init__(self) -> None:
        self.place: tuple[int, ...] | None = None
        self.libraries = False
        self._generators: dict[str, np.random.Generator] = {}  # by layer; each is made once, for that takes long
        self._begun: set[str] = set()  # the layers that have drawn in this pass

    @contextmanager
    def during(self, seed: int | None, *place: int) -> Iterator[None]:
        """Run the block as the pass with this seed and place; without a seed, as if there were no pass."""
        self.place = None if seed is None else (int(seed), *map(int, place))  # one form for numpy's numbers, too
        self._begun.clear()
        if self.libraries and self.place is not None:
            _seed_libraries(_digest(*self.place, ""))
        try:
            yield
        finally:
            self.place = None

    def of(self, layer: str) -> np.random.Generator:
        """Return the generator from which the layer with this name draws now.

        Within a pass it goes on where the layer's last draw ended, so that two draws of one layer differ.
        """
        if self.place is None:
            return _generator
        if layer not in self._generators:
            self._generators[layer] = np.random.Generator(np.random.PCG64(0))
        generator = self._generators[layer]
        if layer not in self._begun:
            self._begun.add(layer)
            generator.bit_generator.state = _state_for(*self.place, layer)
        return generator


def _state_for(*words: int | str) -> dict[str, Any]:
    """Return a state of PCG64 that follows from the words: their cryptographic hash, so that no two states are alike.

    This takes a fifth of the time that numpy needs to make a generator from a seed.
    """
    digest = _digest(*words)
    state, increment = int.from_bytes(digest[:16], "little"), int.from_bytes(digest[16:], "little")
    return {"bit_generator": "PCG64", "has_uint32": 0, "uinteger": 0,
            "state": {"state": state, "inc": increment | 1}}  # PCG64 wants it odd


def _digest(*words: int | str) -> bytes:
    """Return 32 bytes that follow from the words."""
    # `ascii` and not `repr`: which characters `repr` escapes differs between versions of Python
    return hashlib.blake2b(ascii(words).encode(), digest_size=32).digest()


def _seed_libraries(digest: bytes) -> None:
    np.random.seed(np.frombuffer(digest, "<u4"))
    random.seed(digest)


class SampleDraws:
    """Random numbers for samples: each follows from the seed, the sample's epoch, its number and what it is for.

    So a sample gets the same numbers in whatever batch it comes, on whichever thread or machine it is prepared.

    seed        a whole number below 2⁶⁴
    epochs      for each sample, how often the source was read from end to end before
    numbers     for each sample, its place in the source: 0 for the first, whatever the order of reading

    In the methods, `what` names what is drawn, such as "mirror": two draws for one sample are independent.
    """

    def __init__(self, seed: int, epochs: Sequence[int] | np.ndarray, numbers: Sequence[int] | np.ndarray) -> None:
        self._seed, self._epochs, self._numbers = seed, epochs, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @cached_property
    def _state(self) -> np.ndarray:
        """A word for each sample. It is made when something is drawn, since most data layers draw nothing."""
        state: np.ndarray = np.full(len(self), self._seed % 2**64, np.uint64)
        for words in (self._epochs, self._numbers):
            state = _mixed(state ^ _mixed(np.asarray(words).astype(np.uint64)))
        return state

    def unit(self, what: str) -> np.ndarray:
        """Return for each sample a number from 0 up to, but not including, 1."""
        # the upper 53 bits, because a float64 holds no more
        return (_mixed(self._state ^ _word_for(what)) >> np.uint64(11)) * 2.0**-53

    def below(self, bounds: int | np.ndarray, what: str) -> np.ndarray:
        """Return for each sample a whole number from 0 up to, but not including, its bound."""
        return (self.unit(what) * bounds).astype(np.int64)


def _mixed(words: np.ndarray) -> np.ndarray:
    """Return 64-bit words in which each bit depends on all bits of the given ones (SplitMix64's last step)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


@cache
def _word_for(what: str) -> np.ndarray:
    """Return the 64-bit word (1,) of a choice."""
    return _mixed(np.full(1, zlib.crc32(what.encode()), np.uint64))
