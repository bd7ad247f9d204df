"""What can be asked of a solver while it runs."""

import enum
from collections.abc import Iterable


class Action(enum.Enum):
    """A request to a running solver, answered between two iterations."""

    NONE = "none"
    SNAPSHOT = "snapshot"
    STOP = "stop"


def agreed(asked: Iterable[Action]) -> Action:
    """Return what several processes do when each was asked something: stop if one was, else a snapshot if one was."""
    return max(asked, key=list(Action).index)
