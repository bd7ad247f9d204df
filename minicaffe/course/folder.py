"""A student's folder: the files that are written into it, and what is remembered of the steps and hunts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minicaffe.course.step import PACKAGE, Step, steps
from minicaffe.errors import DataError
from minicaffe.io.files import replace_file

MEMORY = ".minicaffe_course.json"
INIT = '"""My own small Caffe, built in the course of minicaffe."""\n'


class Folder:
    """The folder, and what is remembered in it.

    passed     the numbers of the steps that are passed
    hints      step -> how many hints were asked for
    found      the numbers of the bugs that are found
    answers    bug -> how many answers were given
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise DataError(f"{path} is not a folder", hint="--folder says where your files are; make the folder first")
        if path.resolve().name == PACKAGE and (path / "__init__.py").is_file():
            raise DataError(f"{path.resolve()} holds the files of your package; the course needs the folder around it",
                            hint="go there: cd ..")
        self.path = path
        self.passed, self.hints, self.found, self.answers = _remembered(path / MEMORY)

    def next_step(self) -> Step:
        """Return the first step that is not passed, or the last one of all."""
        return steps()[min((n for n in steps() if n not in self.passed), default=max(steps()))]

    def write(self, step: Step) -> list[tuple[str, str]]:
        """Write the files with which a step begins; return for each file what was done."""
        package = f"{PACKAGE}/__init__.py"
        return (self.put({package: INIT}) if not (self.path / package).exists() else []) + self.put(step.files)

    def put(self, files: dict[str, str]) -> list[tuple[str, str]]:
        """Write files: path in the folder -> text. Return for each what was done. No file is written over."""
        done = []
        for name, text in files.items():
            path = self.path / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, [text.encode()])
                done.append((name, "written"))
            else:
                changed = path.read_bytes() != text.encode()
                done.append((name, "left as it is: you have changed it" if changed else "there already, unchanged"))
        return done

    def remember(self) -> None:
        """Store what is known of the steps and hunts."""
        content = {"passed": sorted(self.passed), "hints": self.hints, "found": sorted(self.found),
                   "answers": self.answers}
        replace_file(self.path / MEMORY, [(json.dumps(content) + "\n").encode()])


def _remembered(path: Path) -> tuple[set[int], dict[int, int], set[int], dict[int, int]]:
    """Return what a folder remembers: steps that are passed, hints, bugs that are found, answers."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return (set(map(int, content["passed"])), _counts(content["hints"]), set(map(int, content["found"])),
                _counts(content["answers"]))
    except FileNotFoundError:
        return set(), {}, set(), {}
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        raise DataError(f"{path} cannot be read: it is not what `minicaffe course` has written",
                        hint="remove it, and check the steps again") from None


def _counts(content: Any) -> dict[int, int]:
    """Return counts by number; JSON has these numbers as texts."""
    return {int(number): int(count) for number, count in content.items()}
