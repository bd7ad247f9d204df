"""What the tests of the course share: solutions, wrong variants of them, and a student's folder of either."""

import importlib.util
import shutil
from functools import cache
from pathlib import Path
from typing import NamedTuple

from minicaffe.course.step import steps

HERE = Path(__file__).parent / "course"
EXAMPLE = HERE / "solutions"


class Variant(NamedTuple):
    """A mistake that students make, as an edit of the solution, and the name of the hint that it must get."""

    name: str
    file: str
    old: str
    new: str
    hint: str


@cache
def wrong_variants(number: int) -> list[Variant]:
    """The wrong variants of a step."""
    path = HERE / "wrong" / f"s{number:02}.py"
    spec = importlib.util.spec_from_file_location(f"course_wrong_{number}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WRONG


def solution_files(number: int) -> dict[str, str]:
    """The files of the solution of one step: path in the student's folder -> text."""
    root = EXAMPLE / f"s{number:02}"
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in root.rglob("*.py")}


def solved(folder: Path, upto: int) -> Path:
    """Put the solutions of the steps from the first to this one into a folder, with the files that are given whole."""
    (folder / "my_caffe").mkdir(parents=True, exist_ok=True)
    (folder / "my_caffe" / "__init__.py").touch()
    for number, one in steps().items():
        if number <= upto and (EXAMPLE / f"s{number:02}").is_dir():
            shutil.copytree(one.folder / "files", folder, dirs_exist_ok=True)
            shutil.copytree(EXAMPLE / f"s{number:02}", folder, dirs_exist_ok=True)
    return folder
