"""The result of a solver type's `rule`: the function of its update, and the numbers that it reads, by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable


class Rule:
    """An update and its numbers: `Rule(kernels.sgd_update, rate=rate, momentum=p.momentum)`.

    The update is a kernel or any other function with the arguments (dw, *history, *numbers). A rule gives the numbers
    by the names that they have there. `numbers` holds them in the order of the update's arguments, because compiled
    code takes them by position.
    Raise TypeError for a name that the update does not have, and where a number is left out.
    """

    def __init__(self, update: Callable[..., object], **numbers: float) -> None:
        names = _parameters(update)
        names = names[len(names) - len(numbers):]  # those before are dw and the history
        if set(names) != set(numbers):
            raise TypeError(f"{update.__name__} ends in the numbers {', '.join(names)}, got {', '.join(numbers)}")
        self.update = update
        self.numbers = tuple([numbers[name] for name in names])


@functools.cache  # because each step asks for them once per parameter, and `inspect` is slow
def _parameters(update: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(update).parameters)
