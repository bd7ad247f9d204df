"""Paths in nets and solvers that do not exist.

If none of the paths in a file exists, the file may come from another computer, and none of them need be wrong: that is
one note. If others exist, or the folder of the missing one, it is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from minicaffe.analysis import data_tops
from minicaffe.io.files import DRIVE, missing_hint, windows_hint
from minicaffe.lint.registry import DEFINITION, ERROR, NOTE, Finding, rule
from minicaffe.lint.subjects import Definition, Training
from minicaffe.solvers.fields import place

RULE = "missing-path"
SHOWN = 3  # paths that a note lists


@rule(RULE, DEFINITION)
def missing_path(definition: Definition) -> Iterator[Finding]:
    """A source, a mean_file or a file that a solver names is not there.

    Training ends before its first iteration. Paths count from the folder in which minicaffe is started, and not from
    the folder of the file that names them. It is an error if other paths of the file exist, or the folder of the
    missing one, or a file of a similar name; then each other missing path of the file is an error, too. Otherwise there
    is one note: the net may come from another computer, and is examined without its data. The folder for snapshots
    counts as such a path.

    Example
        data_param { source: "data/trian_lmdb" batch_size: 64 backend: LMDB }

        where data/train_lmdb is there

    Cure
        Correct the path, or start minicaffe in the folder from which the paths count.
    """
    return iter(())  # `findings` looks at all files together


def named(definition: Definition) -> Iterator[tuple[int, str, str]]:
    """Yield each path that a net names: the index of the layer, the field and the path."""
    for i, layer in enumerate(definition.layers):
        for message in data_tops.messages(layer):
            for name in ("source", "mean_file"):
                if not layer.bottom and (path := getattr(message, name, "")):
                    yield i, name, path


def of_solver(param: Any) -> Iterator[tuple[str, str]]:
    """Yield each path that a solver reads: the field and the path."""
    yield from ((name, getattr(param, name)) for name in ("net", "train_net") if getattr(param, name))
    yield from (("test_net", path) for path in param.test_net if path)
    yield from (("weights", path.strip()) for paths in param.weights for path in paths.split(",") if path.strip())


def findings(definitions: Iterable[Definition], trainings: Iterable[Training]) -> Iterator[Finding]:
    """Return the findings about the paths of all files."""
    by_file: dict[str, dict[str, Finding]] = {}
    there: set[str] = set()  # the files that name a path which exists
    for definition in definitions:
        for i, name, path in named(definition):
            if Path(path).exists():
                there.add(definition.file)
                continue
            one = definition.found(ERROR, i, f"{definition.title(i)}: {name} {path!r} is not there", _cure(path))
            by_file.setdefault(definition.file, {}).setdefault(path, one)
    for training in trainings:
        for name, path in of_solver(training.param):
            if Path(path).exists():
                there.add(training.file)
                continue
            beside = Path(training.file).parent / path
            if beside.exists():
                there.add(training.file)
            one = Finding(ERROR, "", place(training.param, name, training.file), f"{name} {path!r} is not there",
                          _cure(path, beside))
            by_file.setdefault(training.file, {}).setdefault(path, one)
        if (snapshots := _no_snapshot_folder(training)) is not None:
            by_file.setdefault(training.file, {}).setdefault(training.param.snapshot_prefix, snapshots)
    for file, missing in by_file.items():
        certain = [one for path, one in missing.items() if file in there or _in_folder(path) or _near(path)]
        # one path that is certainly wrong means that the file belongs to this computer, and so do its other paths
        yield from missing.values() if certain else [_note(file, missing)]


def _cure(path: str, beside: Path | None = None) -> str:
    """Say what to do about a missing path. `beside` is the same path, counted from the folder of the solver."""
    if beside is not None and beside.exists():
        return f"{beside} is there: start minicaffe in {beside.parent}, or give the path from the folder you are in"
    hint = _near(path) or windows_hint(path)
    return hint or "correct the path; it counts from the folder in which minicaffe is started"


def _in_folder(path: str) -> bool:
    """Return whether the path names a folder and that folder is there."""
    folder = Path(path).parent
    return folder not in (Path("."), Path("/")) and folder.is_dir()


def _near(path: str) -> str:
    """Return the hint that a file in the folder of a missing one has a similar name; '' where none has.

    A path that only Windows has is near to nothing: its net comes from another computer.
    """
    return missing_hint(Path(path)) if Path(path).parent.is_dir() and not DRIVE.match(path) else ""


def _no_snapshot_folder(training: Training) -> Finding | None:
    """Return the finding that the folder for snapshots is not there; None where it is, or where none is needed."""
    p = training.param
    folder = Path(p.snapshot_prefix).parent
    if not p.snapshot_prefix or folder.is_dir() or not (p.snapshot or p.snapshot_after_train):
        return None
    return Finding(ERROR, "", place(p, "snapshot_prefix", training.file), f"snapshot_prefix {p.snapshot_prefix!r}: the "
                   f"folder {str(folder)!r} is not there", f"mkdir -p {folder}")


def _note(file: str, missing: dict[str, Finding]) -> Finding:
    """Return one note about all paths of a file."""
    names = [repr(path) for path in missing]
    of_net = any(one.layer for one in missing.values())
    what = "the net was examined without its data" if of_net else "the solver was examined without them"
    listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")
    are = "is not there" if len(names) == 1 else "are not there"
    return Finding(NOTE, "", next(iter(missing.values())).where or file, f"{listed} {are}, so {what}",
                   "start minicaffe in the folder from which the paths count")
