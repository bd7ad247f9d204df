"""What `Net(...)` of pycaffe is called with: in which order the arguments come, and which values they may have."""

from __future__ import annotations

import operator
import os
from typing import Any

from minicaffe.errors import NetError
from minicaffe.proto import TEST, TRAIN


def in_order(phase: Any = TEST, level: Any = 0, stages: Any = None, weights: Any = None) -> tuple[Any, ...]:
    """Return the arguments after the file, checked: phase, level, stages and weights."""
    if phase is not None and not _is_int(phase):
        raise TypeError(f"phase must be caffe.TRAIN or caffe.TEST, got {kind(phase)}")
    if phase not in (None, TRAIN, TEST):
        raise NetError(f"phase must be caffe.TRAIN ({TRAIN}) or caffe.TEST ({TEST}), got {phase}")
    if not _is_int(level):
        cure = f": write weights={str(level)!r}" if is_path(level) else ""
        raise TypeError(f"level must be a whole number, got {kind(level)}{cure}")
    if isinstance(stages, str) or not all(isinstance(stage, str) for stage in stages or ()):
        raise TypeError(f"stages must be a list of names, got {kind(stages)}")
    if weights is not None:
        check_weights(weights)
    return phase, operator.index(level), list(stages or ()), weights or ()


def check_weights(weights: Any) -> None:
    """Raise TypeError for what is no file of weights, and NetError for the empty name, which would copy nothing."""
    paths = weights if isinstance(weights, (list, tuple)) else [weights]
    if not hasattr(weights, "DESCRIPTOR") and not all(map(is_path, paths)):
        raise TypeError(f"weights must be the path of a file, got {kind(weights)}")
    if "" in paths:
        raise NetError("the name of the file of weights is empty", hint="leave weights out for a net without them")


def in_older_order(weights: Any, phase: Any = TEST, level: Any = 0, stages: Any = None) -> tuple[Any, ...]:
    """Return the same for Net(file, weights, phase)."""
    return in_order(phase, level, stages, weights)


def decoded(value: Any) -> Any:
    """Return a path of bytes as a string, for Caffe takes both; anything else as it is."""
    return os.fsdecode(value) if isinstance(value, bytes) else value


def is_path(value: Any) -> bool:
    """Return whether a value can be the name of a file."""
    return isinstance(value, (str, os.PathLike))


def _is_int(value: Any) -> bool:
    return hasattr(value, "__index__")


def kind(value: Any) -> str:
    """Return what an error shows of a value that has the wrong type."""
    return f"{value!r}" if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"
