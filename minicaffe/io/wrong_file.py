"""The error for a file of another kind than wanted. It says what the file is.

It also names the right file where one is in the same folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from minicaffe.errors import MinicaffeError, ProtoError
from minicaffe.io.files import PathLike, is_hdf5_name, without_hdf5_suffix
from minicaffe.io.sniff import describe, sniff

SUFFIXES = {  # kind wanted -> the suffixes of its files
    "caffemodel": (".caffemodel", ".caffemodel.h5", ".npz", ".safetensors"),
    "solverstate": (".solverstate", ".solverstate.h5"),
    "blob": (".binaryproto",),
    "prototxt": (".prototxt", ".yaml", ".yml"),
}
_HOLDERS = {"caffemodel": ("hdf5", "npz", "safetensors"), "solverstate": ("hdf5",), "prototxt": ("text",)}
MOST_SEEN = 1000  # entries of a folder that are looked at


def wrong_file(path: PathLike, found: str, wanted: str) -> ProtoError:
    """Return the error for a file that holds `found`, a kind of KINDS or words for it, where `wanted` belongs."""
    is_what, is_not = describe(found), describe(wanted)
    sentence = f"this is not {is_not} but {is_what}" if ":" in is_what else f"this is {is_what}, not {is_not}"
    return ProtoError(sentence, where=str(path), hint=right_file_hint(path, wanted))


def right_file_hint(path: PathLike, wanted: str) -> str:
    """'did you mean NAME?' where `path`'s folder has files of that kind: one of the same snapshot, else up to three."""
    found = [name for name in _siblings(path, wanted) if _is(name, wanted)][:1] or list(_others(Path(path), wanted))
    return f"did you mean {' or '.join(map(str, found))}?" if 0 < len(found) <= 3 else ""


def sibling(path: PathLike, wanted: str) -> str:
    """Return the file of the kind `wanted`, by its name, of the snapshot that `path` belongs to, or ''."""
    return next((str(name) for name in _siblings(path, wanted) if name.is_file()), "")


def _siblings(path: PathLike, wanted: str) -> list[Path]:
    """Return the names of the same snapshot's files, HDF5 first where `path` is of that kind."""
    given = Path(path)
    names = [f"{stem(given.name)}{suffix}" for suffix in SUFFIXES[wanted]]
    names.sort(key=lambda name: is_hdf5_name(name) != is_hdf5_name(given))
    return [given.parent / name for name in names if name != given.name]


def stem(name: str) -> str:
    """Return a file's name without the endings of snapshots: 'lenet_iter_300' of 'lenet_iter_300.caffemodel.h5'."""
    name = without_hdf5_suffix(name)
    for suffixes in SUFFIXES.values():
        for suffix in suffixes:
            name = name.removesuffix(suffix)
    return name


def _others(given: Path, wanted: str) -> Iterator[Path]:
    try:
        for _, entry in zip(range(MOST_SEEN), sorted(given.parent.iterdir()), strict=False):
            if entry.name != given.name and entry.name.endswith(SUFFIXES[wanted]) and _is(entry, wanted):
                yield entry
    except OSError:
        return


def _is(path: Path, wanted: str) -> bool:
    try:
        return path.is_file() and sniff(path) in (wanted, *_HOLDERS.get(wanted, ()))
    except (OSError, MinicaffeError):
        return False
