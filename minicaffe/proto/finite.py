"""The numbers of a definition that are NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

MAY_BE_INFINITE = ("clip_gradients", "clip_param.min", "clip_param.max")  # infinity: no limit


def not_finite(message: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers in a message, and in messages inside it, that are NaN or infinite: ('lrn_param.alpha', nan).

    Blobs are left out, for their numbers are data.
    """
    for field, value in message.ListFields():
        name = path + field.name
        values = value if hasattr(value, "extend") else [value]
        if field.message_type:
            if field.message_type.name != "BlobProto":
                for inner in values:
                    yield from not_finite(inner, f"{name}.")
        elif isinstance(values[0], float):
            yield from ((name, v) for v in values if math.isnan(v) or (math.isinf(v) and name not in MAY_BE_INFINITE))
