"""The bug hunts of the course, read from their folders, and what is said of an answer."""

from __future__ import annotations

import difflib
import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from minicaffe.course import sealed
from minicaffe.errors import MinicaffeError, near_names

HUNTS = Path(__file__).parent / "hunts"
RIGHT, NEAR, WRONG = "right", "near", "wrong"
NOT_IT = "The fault is not there."


class Verdict(NamedTuple):
    """What is said of an answer: the place that was understood, right, near or wrong, and words."""

    place: str
    state: str
    words: str


class Hunt(NamedTuple):
    """A hunt: its number, and the folder that has its page, files and sealed answers."""

    number: int
    folder: Path

    @property
    def name(self) -> str:
        """The folder of the hunt's files in the student's folder."""
        return f"bug_{self.number}"

    @property
    def page(self) -> str:
        """What the student reads; its first line is the title."""
        return (self.folder / "page.md").read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """The heading of the page."""
        return self.page.partition("\n")[0].removeprefix("# ")

    @property
    def files(self) -> dict[str, str]:
        """The files of the hunt by name."""
        paths = sorted(path for path in (self.folder / "files").iterdir() if path.is_file())
        return {path.name: path.read_text(encoding="utf-8") for path in paths}

    def judge(self, answer: str, folder: Path) -> Verdict:
        """Return what is said of an answer, `bug_3/layers.py:41`. The files may have been changed in the folder."""
        file, line = self._place(answer)
        path = folder / self.name / file
        if path.is_file():
            line = self._line_as_written(file, line, path.read_text(encoding="utf-8", errors="replace"))
        lines = self.files[file].count("\n")
        if not 1 <= line <= lines:
            raise MinicaffeError(f"{self.name}/{file} has no line {line}", hint=f"its lines are 1 to {lines}")
        place = f"{self.name}/{file}:{line}"
        state, _, words = sealed.open_with(place, self._sealed()).partition("\n")
        return Verdict(place, state or WRONG, words or NOT_IT)

    def _sealed(self) -> dict[str, str]:
        return json.loads((self.folder / "answers.json").read_text(encoding="utf-8"))

    def _place(self, answer: str) -> tuple[str, int]:
        """Return the file and the line that an answer names."""
        match = re.fullmatch(r"(?:.*[/\\])?([^/\\:]+):(\d+)", answer.strip())
        known = ", ".join(f"{self.name}/{name}" for name in self.files)
        if not match:
            raise MinicaffeError(f"the answer {answer!r} is not a file and a line",
                                 hint=f"write it so: {self.name}/{next(iter(self.files))}:12; the files are {known}")
        file, line = match.groups()
        other = re.search(r"bug_(\d+)[/\\][^/\\]+$", answer)
        if other and int(other[1]) != self.number:
            raise MinicaffeError(f"the answer {answer} is a place in bug {other[1]}, and this is bug {self.number}")
        if file not in self.files:
            raise MinicaffeError(f"bug {self.number} has no file {file!r}",
                                 hint=near_names(file, list(self.files)) or f"its files are {known}")
        return file, int(line)

    def _line_as_written(self, file: str, line: int, text: str) -> int:
        """Return which line, as the hunt writes the file, is this line of the student's, who may have changed it."""
        ours, theirs = self.files[file].splitlines(), text.splitlines()
        for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
            if i1 < line <= i2 and tag == "delete":
                raise MinicaffeError(f"line {line} of {self.name}/{file} is one that you have added",
                                     hint="name a line that was there from the beginning")
            if i1 < line <= i2:
                return min(line - i1 + j1, j2)
        return line


@cache
def hunts() -> dict[int, Hunt]:
    """Return all hunts by number."""
    found = (re.fullmatch(r"h(\d\d)_\w+", path.name) for path in sorted(HUNTS.iterdir()))
    return {int(match[1]): Hunt(int(match[1]), HUNTS / match[0]) for match in found if match}


def hunt(number: int) -> Hunt:
    """Return one hunt. Raise MinicaffeError where there is none of this number."""
    if number not in hunts():
        raise MinicaffeError(f"there is no bug {number} to hunt", hint=f"they are {min(hunts())} to {max(hunts())}")
    return hunts()[number]
