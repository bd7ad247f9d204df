"""A student's folder: the files that a step begins with, and what is remembered of the steps."""

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
    """The folder, with the numbers of the steps that are passed, and how many hints were asked for each step."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise DataError(f"{path} is not a folder", hint="--folder says where your files are; make the folder first")
        self.path = path
        self.passed, self.hints = _remembered(path / MEMORY)

    def next_step(self) -> Step:
        """Return the first step that is not passed, or the last one of all."""
        return steps()[min((n for n in steps() if n not in self.passed), default=max(steps()))]

    def write(self, step: Step) -> list[tuple[str, str]]:
        """Write the files with which a step begins; return for each file what was done. No file is written over."""
        done = []
        for name, text in {f"{PACKAGE}/__init__.py": INIT, **step.files}.items():
            path = self.path / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, [text.encode()])
                done.append((name, "written"))
            elif name in step.files:
                changed = path.read_bytes() != text.encode()
                done.append((name, "left as it is: you have changed it" if changed else "there already, unchanged"))
        return done

    def remember(self) -> None:
        """Store what is known of the steps."""
        content = {"passed": sorted(self.passed), "hints": {str(step): count for step, count in self.hints.items()}}
        replace_file(self.path / MEMORY, [(json.dumps(content) + "\n").encode()])


def _remembered(path: Path) -> tuple[set[int], dict[int, int]]:
    """Return the steps that are passed and the hints that were asked for, as a folder remembers them."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return set(map(int, content["passed"])), {int(step): int(count) for step, count in content["hints"].items()}
    except FileNotFoundError:
        return set(), {}
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        raise DataError(f"{path} cannot be read: it is not what `minicaffe course` has written",
                        hint="remove it, and check the steps again") from None
