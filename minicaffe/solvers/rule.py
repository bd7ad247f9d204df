"""What a solver type's `rule` returns: the function of its update, and the numbers that the function reads, by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable


class Rule:
    """An update and its numbers: `Rule(kernels.sgd_update, rate=rate, momentum=p.momentum)`.

    The update is a kernel or any function with the arguments (dw, *history, *numbers). The numbers are given by the
    names that they have there. They are handed over by position, so `numbers` holds them in the update's own order.
    TypeError for a name that the update does not have, and where a number is left out.
    """

    def __init__(self, update: Callable[..., object], **numbers: float) -> None:
        names = _parameters(update)
        names = names[len(names) - len(numbers):]
        if set(names) != set(numbers):
            raise TypeError(f"{update.__name__} ends in the numbers {', '.join(names)}, got {', '.join(numbers)}")
        self.update = update
        self.numbers = tuple([numbers[name] for name in names])


@functools.cache  # it is asked for in each step of each parameter
def _parameters(update: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(update).parameters)
