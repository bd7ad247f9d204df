"""What happens to a NetParameter before the first layer is made: pure functions, one after another.

Each pass copies its argument and returns the changed copy; run twice, it changes nothing more.
`minicaffe show NET --after PASS` prints the net after any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minicaffe.errors import NetError, near_names
from minicaffe.passes.filter import filter_layers
from minicaffe.passes.insert_splits import insert_splits
from minicaffe.passes.upgrade_fields import upgrade_fields
from minicaffe.passes.upgrade_v0 import upgrade_v0
from minicaffe.passes.upgrade_v1 import upgrade_v1

Pass = Callable[[Any], Any]

UPGRADES: tuple[tuple[str, Pass], ...] = (
    ("upgrade_v0", upgrade_v0), ("upgrade_v1", upgrade_v1), ("upgrade_fields", upgrade_fields))
PASSES: tuple[tuple[str, Pass], ...] = (*UPGRADES, ("filter", filter_layers), ("insert_splits", insert_splits))


def upgrade(net: Any) -> Any:
    """The net in today's format: every old form of layers and fields rewritten."""
    for _, run in UPGRADES:
        net = run(net)
    return net


def apply(net: Any, after: str = "insert_splits") -> Any:
    """The net after every pass up to and including `after`; NetError for an unknown pass."""
    names = [name for name, _ in PASSES]
    if after not in names:
        raise NetError(f"there is no pass {after!r}; in order they are {', '.join(names)}",
                       hint=near_names(after, names))
    for name, run in PASSES:
        net = run(net)
        if name == after:
            break
    return net
