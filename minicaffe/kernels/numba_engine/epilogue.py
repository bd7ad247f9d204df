"""Steps in place after a product, such as ReLU, done by the pieces of the product itself.

A layer in place reads and writes all numbers that the layer before it has just written. A task of its own would begin
when all of them are written, and take half of them from another core's cache. So in a recorded pass such calls become
*steps* of the call before them: each of its pieces does the steps on what it has computed, while that is in its core's
first cache.

Nothing else changes. The operations and their order are the same, so the bits are too. A step reads means, slopes and
the like where the layers keep them, at the time that it runs, so a script may write there between two passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicaffe.kernels.numba_engine import words
from minicaffe.kernels.numba_engine.compiled import compiled
from minicaffe.kernels.numba_engine.pieces import add, flags_of, floats_of
from minicaffe.kernels.numba_engine.words import helper
from minicaffe.kernels.recording import Call

RELU, PRELU, AFFINE = range(3)
LEAST = np.finfo(np.float32).min
STEP_WORDS = 4  # of a step in memory: its kind and three arguments


class Made(NamedTuple):
    """What a call writes: `size` numbers from `address` on, by rows of `each` numbers of a channel.

    Channels repeat after `channels` rows. `channels` is 0 where the pieces don't know of which channel a number is.
    """

    address: int
    size: int
    channels: int
    each: int


class Step(NamedTuple):
    """A call that changes these numbers in place: its kind, and the three words that `finish` reads."""

    made: Made
    kind: int
    arguments: tuple[int, int, int]


class Fusing(NamedTuple):
    """What a task says of its calls, each by a function of a call's block of arguments.

    makes     what the call writes, given also the number of its pieces. The task can do steps on it: a word with the
              address of the steps ends its block
    step      the call as a step, or None if it doesn't work in place
    prepares  the addresses of the few numbers that the call reads and writes to prepare a later step
    """

    makes: Callable[[Any, int], Made] | None = None
    step: Callable[[Any], Step | None] | None = None
    prepares: Callable[[Any], Sequence[int]] | None = None


def planes_written(address: int, rows: int, channels: int, each: int) -> Made:
    """What a call writes plane by plane. A plane of one number counts as of no channel: others go through rows then."""
    return Made(int(address), int(rows * each), int(channels) if each > 1 else 0, int(each))


def joined(calls: Sequence[Call], tasks: Mapping[int, Fusing]) -> list[Call]:
    """The calls, with those in place as steps of the calls before them; `tasks` are known by their addresses."""
    done: list[_Joined] = []
    for call in calls:
        task = tasks[call[0]]
        step = task.step(call[1]) if task.step else None
        if step and done and done[-1].takes(step):
            done[-1].steps.append(step)
            continue
        one = _Joined(call, task.makes(call[1], call[2]) if task.makes else None)
        if task.prepares and done and done[-1].may_wait_for(task.prepares(call[1])):
            done.insert(len(done) - 1, one)
        else:
            done.append(one)
    return [one.call() for one in done]


class _Joined:
    """A call and the steps that its pieces will do."""

    def __init__(self, call: Call, made: Made | None) -> None:
        self._call, self._made = call, made
        self.steps: list[Step] = []

    def takes(self, step: Step) -> bool:
        """Return whether the step changes just what this call writes, and reads nothing of it as its arguments."""
        return (self._made is not None and step.made[:2] == self._made[:2]
                and (not step.made.channels or step.made[2:] == self._made[2:])
                and not any(map(self._writes, step.arguments)))

    def may_wait_for(self, addresses: Sequence[int]) -> bool:
        """Return whether a call that reads and writes at these addresses may run before this one."""
        used = {int(word) for word in self._call[1]}.union(*(step.arguments for step in self.steps))
        return self._made is not None and not any(one in used or self._writes(one) for one in map(int, addresses))

    def _writes(self, address: int) -> bool:
        return self._made is not None and 0 <= address - self._made.address < 4 * self._made.size

    def call(self) -> Call:
        """Return the call with its steps, which follow its arguments in memory."""
        if not self.steps:
            return self._call
        task, block, pieces = self._call
        table = [len(self.steps)]
        for step in self.steps:
            table += [step.kind, *step.arguments]
        longer = np.array([*block, *table], np.int64)
        longer[len(block) - 1] = words.address_of(longer) + 8 * len(block)
        return task, longer, pieces


# --- in compiled code: `steps` is 0 where there are none ------------------------------------------------------------

@compiled
def finish(steps, y, first, end, channel):
    """Do the steps on numbers `first` to `end` of the array y, all of one channel."""
    if steps == 0:
        return
    out = floats_of(y, first, end)
    for i in range(words.ints(steps, 1)[0]):
        kind, a, b, c = _step(steps, i)
        if kind == RELU:
            if b:
                set_positive(out, flags_of(b, first, end))
            rectify(out, np.float32(words.number(a)))
        elif kind == PRELU:
            bend(out, number(a, channel, 0))
        else:
            move_and_scale(out, number(a, channel, 0), number(b, channel, 1), number(c, channel, 0))


@compiled
def finish_row(steps, y, first, end, channel):
    """Do the steps on numbers `first` to `end` of the array y, one of each channel from `channel` on."""
    if steps == 0:
        return
    out = floats_of(y, first, end)
    for i in range(words.ints(steps, 1)[0]):
        kind, a, b, c = _step(steps, i)
        if kind == RELU:
            if b:
                set_positive(out, flags_of(b, first, end))
            rectify(out, np.float32(words.number(a)))
        elif kind == PRELU:
            slopes = floats_of(a, channel, channel + end - first)
            for j in range(out.size):
                out[j] = bent(out[j], slopes[j])
        else:
            move_and_scale_row(out, a, b, c, channel)


@helper
def _step(steps, i):
    table = words.ints(steps + 8 + 8 * STEP_WORDS * i, STEP_WORDS)
    return table[0], table[1], table[2], table[3]


@compiled
def rectify(out, alpha):
    """y = y where y > 0, else alpha · y.

    LLVM makes a masked store of a choice between a new number and the one that is there, and with AVX2 that takes four
    times as long. So what is stored is a product, with 1 where nothing changes.
    """
    zero, one = np.float32(0), np.float32(1)
    if alpha == 0:
        for i in range(out.size):
            v = out[i]
            v = LEAST if v < LEAST else v  # 0 · −∞ would be NaN
            out[i] = v * (zero if v <= zero else one) + zero  # −0 + 0 is 0, as in `rectified`
    else:
        for i in range(out.size):
            out[i] *= alpha if out[i] <= zero else one


@helper
def rectified(v, alpha):
    """v where v > 0, else alpha · v; NaN, for which v <= 0 is false, stays NaN."""
    below = np.float32(0) if alpha == 0 else alpha * v  # 0 · −∞ would be NaN
    return below if v <= 0 else v


@compiled
def set_positive(x, positive):
    """Set each element of the mask that has a positive number."""
    for i in range(x.size):
        positive[i] = np.uint8(x[i] > 0)


@compiled
def bend(out, a):
    """y = max(y, 0) + a · min(y, 0)."""
    for i in range(out.size):
        out[i] = bent(out[i], a)


@helper
def bent(v, a):
    """max(v, 0) + a · min(v, 0)."""
    zero = np.float32(0)
    return (zero if v < zero else v) + a * (zero if v > zero else v)


@compiled
def move_and_scale(out, before, scale, after):
    """y = (y − before) · scale + after."""
    for i in range(out.size):
        out[i] = (out[i] - before) * scale + after


@compiled
def move_and_scale_row(out, before, scale, after, channel):
    """Do the same with arrays at these addresses, or 0 for none, whose numbers from `channel` on belong to the row."""
    end = channel + out.size
    if before:
        means = floats_of(before, channel, end)
        for i in range(out.size):
            out[i] -= means[i]
    if scale:
        factors = floats_of(scale, channel, end)
        for i in range(out.size):
            out[i] *= factors[i]
    if after:
        add(floats_of(after, channel, end), out)


@helper
def number(address, index, default):
    """Number `index` of the array at an address, or the default where there is no array."""
    return words.floats(address, index + 1)[index] if address else np.float32(default)
