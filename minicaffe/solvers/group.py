"""The processes that train together. Here is the group of one; minicaffe/ranks has that of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from minicaffe.net import Net
from minicaffe.net.param_sharing import Param

T = TypeVar("T")


class Exchange(Protocol):
    """Adds up the gradients of all processes, while the last backward pass of an update still runs."""

    def begin(self, before: Callable[[Sequence[int]], None]) -> None:
        """Begin with the gradients of the next backward pass.

        `before` is called with the numbers of some parameters, when their gradients of this pass are complete. It adds
        those of the process's other passes to them, and they are sent then.
        """
        ...

    def finish(self) -> None:
        """After the backward pass: wait until each diff holds the sum over all processes."""
        ...


class Group:
    """One process, which trains alone.

    rank    the number of this process, counted from 0
    size    the number of processes
    """

    rank: int = 0
    size: int = 1

    def gather(self, mine: T) -> list[T]:
        """Return what each process has given, in the order of their ranks."""
        return [mine]

    def broadcast(self, mine: T) -> T:
        """Return what rank 0 has given."""
        return mine

    def exchange(self, net: Net, params: Sequence[Param], overlap: bool) -> Exchange | None:
        """Return what adds up the diffs of these parameters; None where there is nothing to add.

        overlap    send each gradient while the backward pass goes on, and not after it
        """
        return None
