"""Passes: functions that change a NetParameter before the first layer is made, one after another.

Each pass copies its argument and returns the changed copy. To run a pass a second time changes nothing more.
`minicaffe show NET --after PASS` prints the net after any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minicaffe.errors import NetError, near_names
from minicaffe.passes.filter import filter_layers
from minicaffe.passes.insert_splits import insert_splits
from minicaffe.passes.separate_relu import separate_relu
from minicaffe.passes.upgrade_fields import upgrade_fields
from minicaffe.passes.upgrade_v0 import upgrade_v0
from minicaffe.passes.upgrade_v1 import upgrade_v1

Pass = Callable[[Any], Any]

UPGRADES: tuple[tuple[str, Pass], ...] = (
    ("upgrade_v0", upgrade_v0), ("upgrade_v1", upgrade_v1), ("upgrade_fields", upgrade_fields))
PASSES: tuple[tuple[str, Pass], ...] = (
    *UPGRADES, ("filter", filter_layers), ("separate_relu", separate_relu), ("insert_splits", insert_splits))


def upgrade(net: Any) -> Any:
    """Return the net in today's format, without old forms of layers and fields."""
    for _, run in UPGRADES:
        net = run(net)
    return net


def apply(net: Any, after: str = "insert_splits") -> Any:
    """Return the net after all passes up to `after`, this one included. Raise NetError where there is no such pass."""
    names = [name for name, _ in PASSES]
    if after not in names:
        raise NetError(f"there is no pass {after!r}; in order they are {', '.join(names)}",
                       hint=near_names(after, names))
    for name, run in PASSES:
        net = run(net)
        if name == after:
            break
    return net
