"""What can be asked of a solver while it runs."""

import enum


class Action(enum.Enum):
    """A request to a running solver, answered between two iterations."""

    NONE = "none"
    SNAPSHOT = "snapshot"
    STOP = "stop"
