"""The other file of a snapshot: weights and state stand side by side under one name."""

from __future__ import annotations

import os
from pathlib import Path


def sibling(path: str | os.PathLike[str], wanted: str) -> str:
    """The file of the kind `wanted` ("caffemodel" or "solverstate") of the snapshot that `path` belongs to, or ''."""
    given = Path(path)
    stem = given.name
    for suffix in (".h5", ".caffemodel", ".solverstate"):
        stem = stem.removesuffix(suffix)
    names = [f"{stem}.{wanted}", f"{stem}.{wanted}.h5"]
    if given.suffix == ".h5":
        names.reverse()
    for name in names:
        if name != given.name and (given.parent / name).is_file():
            return str(given.parent / name)
    return ""


def sibling_hint(path: str | os.PathLike[str], wanted: str) -> str:
    """'did you mean NAME?' where there is such a sibling."""
    found = sibling(path, wanted)
    return f"did you mean {found}?" if found else ""
