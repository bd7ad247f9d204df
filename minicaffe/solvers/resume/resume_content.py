"""Check the content of a resume file before anything in a solver changes.

A checksum finds a damaged file. It does not find a file that another program wrote, or another version of minicaffe.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from minicaffe.io.solverstate import LARGEST

Check = Callable[[Any], bool]


def check(content: Any) -> None:
    """Raise ValueError, which names the entry, unless all that a resume reads is there and of the right kind."""
    _entries(content, "", {"iter": _count, "weights": _text, "history": _text, "written": _list(_count),
                          "solver": _dict(_text), "random": _is(dict), "nets": _list(_dict(_is(dict))),
                          "smoothed": _is(dict), "tested": _whole, "criteria": _is(dict)})
    if not _list(_dict(_text))(content.get("types", [])):
        raise ValueError(f"'types' is {_shown(content['types'])}")
    if not _list(_dict(_dict(_text)))(content.get("data", [])):
        raise ValueError(f"'data' is {_shown(content['data'])}")
    count = content.get("shards", 1)
    if not _count(count) or count.bit_count() != 1:
        raise ValueError(f"'shards' is {_shown(count)}")
    seed = content.get("draw_seed")
    if seed is not None and not _seed(seed):
        raise ValueError(f"'draw_seed' is {_shown(seed)}")
    _entries(content["smoothed"], "smoothed", {"window": _count, "losses": _list(_number), "count": _count,
                                              "mean": _number})
    if len(content["smoothed"]["losses"]) > content["smoothed"]["window"]:
        raise ValueError("smoothed holds more losses than its window")
    for name, state in content["criteria"].items():
        _entries(state, f"criteria.{name}", {"of": _text, "best": lambda value: value is None or _number(value),
                                             "at": _count, "stale": _count})
    _random(content["random"])


def _entries(found: Any, place: str, wanted: dict[str, Check]) -> None:
    """Check that a dict has the entries that are `wanted`; `place` is its name in the file, '' for the whole."""
    if not isinstance(found, dict):
        raise ValueError(f"{place or 'it'} is {_shown(found)}")
    for name, is_right in wanted.items():
        where = f"{place}.{name}" if place else name
        if name not in found:
            raise ValueError(f"{where!r} is missing")
        if not is_right(found[name]):
            raise ValueError(f"{where!r} is {_shown(found[name])}")


def _shown(value: Any) -> str:
    words = repr(value) if isinstance(value, (str, int, float, type(None))) else f"a {type(value).__name__}"
    return words if len(words) < 60 else f"{words[:60]}…"


def _random(states: dict[str, Any]) -> None:
    """Raise ValueError unless the states fit the generators; they are tried on new ones, which nothing else uses."""
    try:
        np.random.PCG64().state = states["ours"]
        if "numpy" in states:
            name, words, position, *more = states["numpy"]
            if not 0 <= position <= len(words):  # numpy does not check it, and would read memory behind the words
                raise ValueError(f"position {position} of {len(words)}")
            np.random.RandomState().set_state((name, words, position, *more))
            version, words, gauss = states["python"]
            random.Random().setstate((version, tuple(words), gauss))
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"'random' is no state of a generator: {error!r}") from error


def _is(kind: type) -> Check:
    return lambda value: isinstance(value, kind)


def _list(item: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(item, value))


def _dict(item: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(item, value.values()))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    # −1 means no iteration; in Python True is an int, too
    return isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= LARGEST


def _count(value: Any) -> bool:
    return _whole(value) and value >= 0


def _seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _number(value: Any) -> bool:
    # JSON's integers have no limit, and a float cannot hold all of them
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63)
