"""The steps of the course, read from their folders."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from minicaffe.errors import MinicaffeError

STEPS = Path(__file__).parent / "steps"
PACKAGE = "my_caffe"  # what the student writes
Check = Callable[[Any, Any], None]


class Step(NamedTuple):
    """A step: its number, and the folder that has its page, files, hints and checks."""

    number: int
    folder: Path

    @property
    def page(self) -> str:
        """What `show` prints; its first line is the title."""
        return (self.folder / "page.md").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """The heading of the page."""
        return self.page.partition("\n")[0].removeprefix("# ")

    @property
    def files(self) -> dict[str, str]:
        """The files that a student begins with: path in the student's folder -> text."""
        root = self.folder / "files"
        return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in sorted(
            root.rglob("*.py"))}

    @property
    def hints(self) -> list[str]:
        """The hints, from the first to the last."""
        text = (self.folder / "hints.md").read_text(encoding="utf-8")
        return [hint.strip() for hint in re.split(r"^# \d+$", text, flags=re.MULTILINE)[1:]]

    @property
    def checks(self) -> dict[str, Check]:
        """The checks by name, in the order of their file."""
        found = {name: function for name, function in vars(self._module()).items() if name.startswith("check_")}
        if not found:
            raise MinicaffeError(f"step {self.number} has no checks, so it cannot be graded",
                                 hint="this is a mistake of minicaffe, not of yours; please report it")
        return found

    @property
    def allow_minicaffe(self) -> bool:
        """Whether the student's files may import minicaffe, which otherwise has what they are to build."""
        return bool(getattr(self._module(), "ALLOW_MINICAFFE", False))

    def _module(self) -> ModuleType:
        return importlib.import_module(f"minicaffe.course.steps.{self.folder.name}.checks")


def spoken(check: str) -> str:
    """Return the name of a check in words."""
    return check.removeprefix("check_").replace("_", " ")


@cache
def steps() -> dict[int, Step]:
    """Return all steps by number."""
    found = (re.fullmatch(r"s(\d\d)_\w+", path.name) for path in sorted(STEPS.iterdir()))
    return {int(match[1]): Step(int(match[1]), STEPS / match[0]) for match in found if match}


def step(number: int) -> Step:
    """Return one step. Raise MinicaffeError where there is none of this number."""
    if number not in steps():
        raise MinicaffeError(f"the course has no step {number}", hint=f"its steps are {min(steps())} to {max(steps())}")
    return steps()[number]
