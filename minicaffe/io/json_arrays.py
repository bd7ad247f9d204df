"""Arrays in JSON, which has none of its own: resume files and saved failures hold the layers' arrays in this form."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np


def to_json(value: Any) -> Any:
    """For json.dumps(default=...): an array as its bytes, type and shape, and a number of numpy as one of Python."""
    if isinstance(value, np.ndarray):
        return {"array": base64.b64encode(np.ascontiguousarray(value).tobytes()).decode(), "type": value.dtype.str,
                "shape": list(value.shape)}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a resume_state holds numbers, strings, lists and arrays, got {value!r}")


def from_json(value: dict[str, Any]) -> Any:
    """For json.loads(object_hook=...): the array that `to_json` wrote; any other dict as it is."""
    if set(value) == {"array", "type"}:  # saved failures held lists of numbers at first
        return np.array(value["array"], value["type"])
    if set(value) == {"array", "type", "shape"}:
        return np.frombuffer(base64.b64decode(value["array"]), value["type"]).reshape(value["shape"]).copy()
    return value
