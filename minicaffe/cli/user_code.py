"""The two flags about code that is not ours: --import runs a module of the user's, --no-python forbids all of it."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from minicaffe import plugins
from minicaffe.cli.flags import filled
from minicaffe.errors import MinicaffeError, near_names
from minicaffe.io.files import MOST_NAMES, missing_hint
from minicaffe.log import warn


def add_user_code(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that makes a net or looks up a layer type."""
    parser.add_argument("--import", dest="imports", metavar="MODULE", type=filled, action="append", default=[],
                        help="first import a module that registers layer types or fillers of your own: its name, as "
                             "Python finds it from the current folder, or the path of its .py file; give the flag "
                             "once for each module")
    parser.add_argument("--no-python", action="store_true",
                        help="refuse a net with Python layers, or with layer types of installed packages; without it "
                             "their code is imported and run, so read it first where the net is a stranger's")


@contextmanager
def obeying(args: argparse.Namespace) -> Iterator[None]:
    """Import what --import names, and load no installed package within the block where --no-python is given.

    MinicaffeError where a module cannot be imported.
    """
    if args.imports and args.no_python:
        raise MinicaffeError(f"--import {args.imports[0]} runs the code of a module, and --no-python forbids that: "
                             "give one of the two")
    for name in args.imports:
        import_one(name)
    with plugins.permitted(not args.no_python):
        yield


def import_one(name: str) -> None:
    """Import a module by its name or its file; warn of one that registers no layer type and no filler."""
    importlib.import_module("minicaffe.layers")  # first, so that the module cannot take the name of a type of ours
    is_path = name.endswith(".py") or os.sep in name or "/" in name
    count = plugins.count()
    with plugins.importable_here(), plugins.bringing(plugins.IMPORTED):
        module = _import_file(Path(name)) if is_path else _import_named(name)
        known = plugins.note_module(module)
    if plugins.count() == count and not known:
        file = getattr(sys.modules[module], "__file__", None) or "a folder without __init__.py"
        warn(plugins.AT, f"--import {name} brings nothing: the module {module} ({file}) registers no layer type and no "
                         "filler")


def _import_named(name: str) -> str:
    """Import a module by its dotted name, and return that name."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise MinicaffeError(f"--import {name}: this is no module's name", hint=_not_a_name(name))
    try:
        importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise _not_found(name, str(error.name)) from None
        raise _failed(name, error) from error
    return name


def _import_file(path: Path) -> str:
    """Import a module from its file, under the file's name without .py, and return that name."""
    if not path.is_file():
        if path.is_dir():
            raise MinicaffeError(f"--import {path}: this is a folder, not a file",
                                 hint="give the path of a .py file, or the name of a package")
        looked = [f"looked for it in {path.parent.resolve()}"] if path.parent.is_dir() else []
        raise MinicaffeError(f"--import {path}: there is no such file",
                             hint="; ".join([*looked, *filter(None, [missing_hint(path)])]))
    name = path.stem
    if name in sys.stdlib_module_names:
        raise MinicaffeError(f"--import {path}: {name!r} is the name of a module of Python's own, which it would hide",
                             hint="give the file another name")
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file and os.path.exists(file) and os.path.samefile(file, path):
            return name
        raise MinicaffeError(f"--import {path}: another module with the name {name!r} is loaded already, from {file}",
                             hint="give the file another name")
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise MinicaffeError(f"--import {path}: this is no Python file", hint="its name must end in .py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    sys.path.append(str(path.resolve().parent))  # as `python FILE` does, so that it may import what lies beside it
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _failed(str(path), error) from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return name


def _not_a_name(name: str) -> str:
    if "," in name:
        return "give the flag once for each module: " + " ".join(f"--import {part}" for part in name.split(",") if part)
    if Path(f"{name}.py").is_file():
        return f"for the file of this name, write --import {name}.py"
    return "write a name such as my_layers or package.my_layers, or the path of a .py file"


def _not_found(name: str, missing: str) -> MinicaffeError:
    """The error for a module that is not there; `missing` is the first part of its name that was not found."""
    package, _, last = missing.rpartition(".")
    if package:  # the package is there, so the other modules in it are what can be meant
        folders, where = list(getattr(sys.modules[package], "__path__", [])), f"in the package {package}"
        if not folders:
            where = f"in {package}, which is a module and no package"
    else:
        folders, where = [os.getcwd()], f"in {os.getcwd()}, and among the installed modules"
    near = near_names(last, [module for folder in folders for module in _modules_in(Path(folder))])
    return MinicaffeError(f"--import {name}: there is no module {missing!r}",
                          hint=f"looked for it {where}" + (f"; {near}" if near else ""))


def _modules_in(folder: Path) -> list[str]:
    """The names of the modules and packages in a folder."""
    try:
        found = list(islice(folder.iterdir(), MOST_NAMES))
    except OSError:  # a folder that may be entered, but not listed
        return []
    return [entry.stem for entry in found if entry.stem.isidentifier()
            and (entry.suffix == ".py" or (entry / "__init__.py").is_file())]


def _failed(name: str, error: BaseException) -> MinicaffeError:
    """The error for a module that raised one while it was imported: what it said, and the line that did."""
    hint = error.hint if isinstance(error, MinicaffeError) else ""
    if isinstance(error, ModuleNotFoundError) and error.name == "caffe":
        hint = "write 'from minicaffe import pycaffe as caffe'"
    return MinicaffeError(f"--import {name}: the module cannot be imported: {plugins.cause_of(error)}",
                          where=plugins.place_of(error), hint=hint)
