"""The student's package, imported from its files."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from minicaffe.course.checking import Wrong
from minicaffe.course.step import PACKAGE, steps


class Student:
    """The student's modules: `my.blob` is `my_caffe/blob.py`, imported when it is first asked for."""

    def __init__(self, folder: Path, allow_minicaffe: bool = False) -> None:
        self._finder = _Finder(folder, allow_minicaffe)
        sys.meta_path.insert(0, self._finder)

    def __getattr__(self, name: str) -> Any:
        return importlib.import_module(f"{PACKAGE}.{name}")


class _Finder:
    """Finds the student's modules by their paths, wherever else Python would look for modules of these names."""

    def __init__(self, folder: Path, allow_minicaffe: bool) -> None:
        self.folder, self.allow_minicaffe = folder, allow_minicaffe

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where a module of the student's is; None for all others. Raise Wrong where its file is missing."""
        if name != PACKAGE and not name.startswith(f"{PACKAGE}."):
            return None
        below = self.folder.joinpath(*name.split("."))
        file = below / "__init__.py" if below.is_dir() else below.with_suffix(".py")
        shown = file.relative_to(self.folder).as_posix()
        if not file.is_file():
            raise _missing(self.folder, name, shown)
        loader = _Loader(name, str(file), shown, self.allow_minicaffe)
        return importlib.util.spec_from_file_location(
            name, file, loader=loader, submodule_search_locations=[str(below)] if below.is_dir() else None)


class _Loader(SourceFileLoader):
    """Compiles a file anew each time. A file of compiled code may be out of date, where two saves fall in a second."""

    def __init__(self, name: str, path: str, shown: str, allow_minicaffe: bool) -> None:
        super().__init__(name, path)
        self.shown, self.allow_minicaffe = shown, allow_minicaffe

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the file. Raise Wrong where it is not Python, or takes minicaffe's code for its own."""
        try:
            tree = ast.parse(self.get_data(self.path), self.path)
            code = compile(tree, self.path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            place = f"{self.shown}:{getattr(error, 'lineno', None) or 1}"
            words = f"{type(error).__name__}: {getattr(error, 'msg', error)}"
            raise Wrong(f"import {fullname}", f"{words}, in {place}", "a file that Python can read", "not_python",
                        f"look at {place}, and at the line above it") from None
        if not self.allow_minicaffe and (line := _imports_minicaffe(tree)):
            raise Wrong(f"import {fullname}", f"{self.shown}:{line} imports minicaffe", "code of your own and numpy",
                        "imports_minicaffe", "minicaffe has what you are to build. Read its files as much as you like, "
                        "and write yours without it.")
        return code


def _missing(folder: Path, name: str, shown: str) -> Wrong:
    """Return what is wrong where a module of the student's has no file."""
    if not (folder / PACKAGE).is_dir():
        return Wrong(f"import {name}", f"there is no folder {PACKAGE} in {folder}", f"{PACKAGE}, with your files",
                     "missing_folder", f"go to the folder in which you began, which holds {PACKAGE}, or name it by "
                     "--folder. `minicaffe course start` makes a new one.")
    number = next((one.number for one in steps().values() if shown in one.files), None)
    hint = (f"`minicaffe course start {number}` writes it" if number else
            "no step has such a file; `minicaffe course start` writes those that a step begins with")
    if (folder / Path(shown).name).is_file():
        hint = f"{Path(shown).name} lies beside {PACKAGE}: move it to {shown}"
    return Wrong(f"import {name}", f"there is no file {shown} in {folder}", f"the file {shown}", "missing_file", hint)


def _imports_minicaffe(tree: ast.Module) -> int:
    """Return the line of the first import of minicaffe, 0 where there is none."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \
            [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] == "minicaffe" for name in names):
            return int(getattr(node, "lineno", 1))
    return 0
