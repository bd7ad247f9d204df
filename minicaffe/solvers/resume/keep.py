"""Choose which snapshots stay on the disk: the best one, the last few, or both.

    last:3      the three newest
    best        the one with the best test result; its weights are PREFIX_best.caffemodel, too
    best,last   the best and the newest

Only snapshots that this training has written are ever removed, those of the runs that it was resumed from included.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from minicaffe.errors import SolverError
from minicaffe.io.files import is_hdf5_name, temporary
from minicaffe.log import At, log
from minicaffe.solvers.resume import resume_file
from minicaffe.solvers.schedule import criterion
from minicaffe.system import sync_folder

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver


class Keep:
    """Says which of the snapshots that a solver writes are kept.

    best    the Criterion that says which is best; None where the best one is not kept
    last    the number of newest snapshots that are kept
    """

    def __init__(self, best: criterion.Criterion | None, last: int) -> None:
        self.best, self.last = best, last

    def surplus(self, written: list[int]) -> list[int]:
        """Those of the iterations `written` whose snapshots are to be removed."""
        stay = set(written[-self.last:]) if self.last else set()
        if self.best is not None and self.best.best is not None:
            stay.add(self.best.at)
        return [iteration for iteration in written if iteration not in stay]


def parse(text: str, solver: Solver, best: criterion.Criterion | None = None) -> Keep:
    """Return the Keep that a text such as 'best,last:3' describes.

    `best` says which is best; without it, the solver's test nets do. Raise SolverError for any other text.
    """
    parts = [part.partition(":") for part in text.split(",")]
    names = [name for name, _, _ in parts]
    counts = {name: int(count) if count.isdecimal() else 1 if not colon else 0 for name, colon, count in parts}
    if not set(names) <= {"best", "last"} or len(set(names)) < len(names) or 0 in counts.values() \
            or any(name == "best" and colon for name, colon, _ in parts):
        raise SolverError(f"--keep must be best, last:N with N from 1, or both with a comma between, got {text!r}")
    if "best" not in names:
        return Keep(None, counts["last"])
    wanted = criterion.default(solver) if best is None else criterion.Criterion(best.name, best.sign, net=best.net)
    wanted.check(solver)
    log(At.SNAPSHOTS_KEPT, f"The best snapshot is that with the best {wanted}")
    return Keep(wanted, counts.get("last", 1))  # the newest is what a resume needs


def remove(base: str) -> None:
    """Remove the files of a snapshot: the state first, so that a state on the disk always has the others beside it."""
    for name in (f"{base}.solverstate", f"{base}.solverstate.h5", resume_file.path_beside(f"{base}.solverstate"),
                 f"{base}.caffemodel", f"{base}.caffemodel.h5"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def name_best(model: str, prefix: str) -> str:
    """Give the file `model` the name PREFIX_best.caffemodel as well, as a second name of one file or as a copy."""
    best = f"{prefix}_best.caffemodel{'.h5' if is_hdf5_name(model) else ''}"
    beside = temporary(Path(best))
    try:
        try:
            os.link(model, beside)
        except OSError:  # a file system without links
            _copy(model, beside)
        os.replace(beside, best)
        sync_folder(Path(best).parent)
    finally:
        # where both are names of one file already, the system's replace does nothing, so the temporary name is left
        with contextlib.suppress(OSError):
            beside.unlink()
    return best


def _copy(path: str, new: Path) -> None:
    """Copy a file, and wait until it is on the disk."""
    with open(path, "rb") as source, open(new, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 22)
        target.flush()
        os.fsync(target.fileno())
