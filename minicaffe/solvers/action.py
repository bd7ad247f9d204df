"""What can be asked of a solver while it runs."""

import enum
from collections.abc import Sequence

from minicaffe.log import At, log


class Action(enum.Enum):
    """A request to a running solver, answered between two iterations."""

    NONE = "none"
    SNAPSHOT = "snapshot"
    STOP = "stop"


IN_WORDS = {Action.SNAPSHOT: "write a snapshot", Action.STOP: "stop"}


def agreed(asked: Sequence[Action]) -> Action:
    """Return what several processes do when each was asked something: stop if one was, else a snapshot if one was.

    Where rank 0 itself was not asked to do so, the log says which rank was.
    """
    action = max(asked, key=list(Action).index)
    if asked[0] is not action:
        log(At.SIGNAL, f"rank {asked.index(action)} was asked to {IN_WORDS[action]}, as by a signal: all ranks do so")
    return action
