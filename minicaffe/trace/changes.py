"""What a function can see of arrays, and which of them have changed.

A kernel writes into its arguments, a layer into its blobs, and often several names stand for one array. So after each
line all arrays that the function's names reach are compared with what they were before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minicaffe.blob import Blob
from minicaffe.layer import Layer
from minicaffe.trace.code import Statement

LONGEST_TEXT = 80   # letters of a value that is no array
MOST_ITEMS = 12     # of a list of arrays that are watched one by one

Place = tuple[Any, ...]  # where an array lies in memory, and how it is cut: two arrays with one place are the same


class Seen:
    """The arrays that a function's names reach at one moment, with copies of what they hold.

    arrays    name -> array, by the names that the code uses: "y", "self.index", "bottom[0].diff"
    copies    place -> a copy
    texts     local name -> the text of a value that is no array
    """

    def __init__(self, names: Mapping[str, Any], before: Seen | None = None) -> None:
        """Copy what the names reach. Where an array holds what it held `before`, the copy of then is kept."""
        self.arrays = dict(arrays_in(names))
        self.texts = {name: text for name, value in names.items() if (text := text_of(value)) is not None}
        self.local = frozenset(names)
        self.copies: dict[Place, np.ndarray] = {}
        for array in self.arrays.values():
            place = place_of(array)
            if place not in self.copies:
                old = before.copies.get(place) if before else None
                same = old is not None and same_bits(old, array)
                self.copies[place] = old if same and old is not None else array.copy()

    def copy_of(self, name: str) -> np.ndarray:
        """Return what the array of this name holds."""
        return self.copies[place_of(self.arrays[name])]

    def written(self, before: Seen, statement: Statement) -> list[str]:
        """Return the names of what a statement has written. An array with several names is there under each of them.

        First come the names that the statement assigns to, even if they hold what they held before. Then come the
        arrays that have changed, names that stand in the statement before others. Of several such names the last comes
        first, because what a kernel writes stands last in its call.
        """
        targets = [name for name in statement.targets if name in self.arrays or name in self.texts]
        changed = [name for name, array in self.arrays.items() if self._changed(name, array, before)]
        changed.sort(key=lambda name: (name not in statement.names, not set(parts(name)) & statement.names,
                                       name not in self.local, -statement.text.rfind(name)))
        return list(dict.fromkeys([*targets, *changed]))

    def changes(self, names: Sequence[str], targets: Sequence[str]) -> list[tuple[str, np.ndarray | None, str]]:
        """Return (name, copy or None, text) of what was written, each array under the first of its `names` alone."""
        found: list[tuple[str, np.ndarray | None, str]] = []
        shown: list[np.ndarray] = []
        for name in names:
            if name not in self.arrays:
                found.append((name, None, self.texts[name]))
            elif name in targets or not any(np.may_share_memory(self.arrays[name], other) for other in shown):
                found.append((name, self.copy_of(name), ""))
                shown.append(self.arrays[name])
        return found

    def _changed(self, name: str, array: np.ndarray, before: Seen) -> bool:
        """Return whether an array that was there before holds something else now, or is new under its name."""
        old = before.copies.get(place_of(array))
        if old is not None:
            return self.copies[place_of(array)] is not old
        if name in self.local:
            return name not in before.arrays
        # A blob takes its memory, full of zeros, when it is first used: what is not 0 has been written since.
        return name not in before.arrays and bool(self.copies[place_of(array)].any())

    def fresh(self, name: str, before: Seen) -> bool:
        """Return whether a name's array lies in memory that no name has reached before, or has changed."""
        array = self.arrays.get(name)
        if array is None:
            return False
        return self._changed(name, array, before) and not any(
            place_of(array) != place_of(other) and np.may_share_memory(array, other)
            for other in before.arrays.values())


def arrays_in(names: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each array that local names reach: as themselves, in lists, in blobs, and as attributes of the layer."""
    for name, value in names.items():
        if isinstance(value, Layer):
            for attribute, part in vars(value).items():
                if attribute not in ("pass_draws", "_scratch", "layer_param", "param"):
                    yield from _reached(f"{name}.{attribute}", part)
        else:
            yield from _reached(name, value)


def _reached(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            yield name, value
    elif isinstance(value, np.generic):
        yield name, np.asarray(value)
    elif isinstance(value, Blob):
        data, diff = value.storages
        if data.buffer is not None:
            yield f"{name}.data", value.data
        if diff.buffer is not None and not diff.cleared:  # reading one that counts as cleared would fill it with zeros
            yield f"{name}.diff", value.diff
    elif isinstance(value, (list, tuple)) and len(value) <= MOST_ITEMS:
        for i, item in enumerate(value):
            if isinstance(item, (np.ndarray, Blob)):
                yield from _reached(f"{name}[{i}]", item)


def place_of(array: np.ndarray) -> Place:
    """Return where an array lies, and how it is cut."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays of one shape and type hold the same bits: NaN is the same as NaN."""
    if a.dtype.itemsize not in (1, 2, 4, 8):
        return a.tobytes() == b.tobytes()
    bits = f"u{a.dtype.itemsize}"  # no copies of a large array, which tobytes makes
    return np.array_equal(a.view(bits), b.view(bits))


def text_of(value: Any) -> str | None:
    """Return a value that is no array as a short text; None for an object whose repr tells a reader nothing."""
    if not _plain(value):
        return None
    text = repr(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT - 2]} …"


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str, slice, type(Ellipsis)))


def parts(name: str) -> Sequence[str]:
    """Return the words of a name: bottom[0].diff has bottom and diff."""
    return [word for word in name.replace("[", ".").split(".") if not word.endswith("]")]
