"""The other file of a snapshot: weights and state stand side by side under one name."""

from __future__ import annotations

import os
from pathlib import Path


def sibling_hint(path: str | os.PathLike[str], wanted: str) -> str:
    """'did you mean NAME?' where the snapshot that `path` belongs to has a file of the kind `wanted` beside it.

    `wanted` is "caffemodel" or "solverstate".
    """
    given = Path(path)
    stem = given.name
    for suffix in (".h5", ".caffemodel", ".solverstate"):
        stem = stem.removesuffix(suffix)
    for name in (f"{stem}.{wanted}", f"{stem}.{wanted}.h5"):
        if (given.parent / name).is_file() and name != given.name:
            return f"did you mean {given.parent / name}?"
    return ""
