"""The two flags about code from outside minicaffe: --import runs a module of the user's, --no-python forbids it."""

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
from minicaffe.cli import launcher
from minicaffe.cli.flags import filled
from minicaffe.errors import MinicaffeError, near_names
from minicaffe.io.files import MOST_NAMES, missing_hint
from minicaffe.log import warn
from minicaffe.pycaffe import alias


def add_user_code(parser: argparse.ArgumentParser) -> None:
    """Add --import and --no-python, which every command has that makes a net or looks up a layer type."""
    parser.add_argument("--import", dest="imports", metavar="MODULE", type=filled, action="append", default=[],
                        help="first import a module that registers layer types or fillers of your own. Give its name, "
                             "which is looked for in the current folder too, or the path of its .py file. Repeat the "
                             "flag for each further module")
    parser.add_argument("--no-python", action="store_true",
                        help="refuse a net with Python layers, or with layer types from installed packages. Without "
                             "this flag their code is run, so read it first if you do not know who wrote it")


@contextmanager
def obeying(args: argparse.Namespace) -> Iterator[None]:
    """Do what the two flags say: import the modules first, and run the block without installed packages if told so.

    These modules and those of Python layers may say `import caffe`. They get minicaffe's, also where Caffe itself is
    installed: its layers could not run here.

    Raise MinicaffeError if a module cannot be imported.
    """
    if args.imports and args.no_python:
        raise MinicaffeError(f"--import {args.imports[0]} runs the code of a module, and --no-python forbids that: "
                             "give one of the two")
    with alias.installed():
        for name in args.imports:
            import_one(name)
        with plugins.permitted(not args.no_python):
            yield


def import_one(name: str) -> None:
    """Import a module by its name or its file, and warn if it registers no layer type and no filler."""
    importlib.import_module("minicaffe.layers")  # first: the module then cannot take the name of a type of ours
    is_path = name.endswith(".py") or os.sep in name or "/" in name
    count = plugins.count()
    with plugins.importable_here(), plugins.bringing(plugins.IMPORTED):
        module = _import_file(Path(name)) if is_path else _import_named(name)
        known = plugins.note_module(module)
    if plugins.count() == count and not known and not launcher.rank():
        file = getattr(sys.modules[module], "__file__", None) or "a folder without __init__.py"
        warn(plugins.AT, f"--import {name} brings nothing: the module {module} ({file}) registers no layer type and no "
                         "filler")


def _import_named(name: str) -> str:
    """Import a module by its dotted name, and return that name."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise MinicaffeError(f"--import {name}: this is not a module's name", hint=_not_a_name(name))
    try:
        importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a module must not end the command without a message
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise _not_found(name, str(error.name)) from None
        raise _failed(name, error) from error
    return name


def _import_file(path: Path) -> str:
    """Import a module from its file, under the file's name without .py, and return that name."""
    if not path.is_file():
        raise _no_file(path)
    name = path.stem
    if name in sys.stdlib_module_names:
        raise MinicaffeError(f"--import {path}: {name!r} is the name of a module of Python's own, which it would hide",
                             hint="give the file another name")
    if name in sys.modules:  # imported before, perhaps by its name; or another module, which must not be replaced
        file = getattr(sys.modules[name], "__file__", None)
        if file and os.path.exists(file) and os.path.samefile(file, path):
            return name
        raise MinicaffeError(f"--import {path}: another module with the name {name!r} is loaded already, from {file}",
                             hint="give the file another name")
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise MinicaffeError(f"--import {path}: this is not a Python file", hint="its name must end in .py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    # As `python FILE` does, so that the module can import those beside it. At the end of the list, unlike there: a file
    # of that folder must not hide a module that minicaffe imports later.
    sys.path.append(str(path.resolve().parent))
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


def _no_file(path: Path) -> MinicaffeError:
    """Return the error for a path that is not a file."""
    if path.is_dir():
        return MinicaffeError(f"--import {path}: this is a folder, not a file",
                              hint="give the path of a .py file, or the name of a package")
    looked = [f"looked for it in {path.parent.resolve()}"] if path.parent.is_dir() else []
    return MinicaffeError(f"--import {path}: there is no such file",
                          hint="; ".join([*looked, *filter(None, [missing_hint(path)])]))


def _not_a_name(name: str) -> str:
    """Return the hint for a text that is not the name of a module: what the user may have meant by it."""
    if "," in name:
        return "give the flag once for each module: " + " ".join(f"--import {part}" for part in name.split(",") if part)
    if Path(f"{name}.py").is_file():
        return f"for the file of this name, write --import {name}.py"
    return "write a name such as my_layers or package.my_layers, or the path of a .py file"


def _not_found(name: str, missing: str) -> MinicaffeError:
    """Return the error for a module that does not exist; `missing` is the first part of its name that was not found."""
    package, _, last = missing.rpartition(".")
    if package:  # the package was found, so the user must mean another module in it
        folders, where = list(getattr(sys.modules[package], "__path__", [])), f"in the package {package}"
        if not folders:
            where = f"in {package}, which is a module and not a package"
    else:
        folders, where = [os.getcwd()], f"in {os.getcwd()}, and among the installed modules"
    near = near_names(last, [module for folder in folders for module in _modules_in(Path(folder))])
    return MinicaffeError(f"--import {name}: there is no module {missing!r}",
                          hint=f"looked for it {where}" + (f"; {near}" if near else ""))


def _modules_in(folder: Path) -> list[str]:
    """Return the names of the modules and packages in a folder."""
    try:
        found = list(islice(folder.iterdir(), MOST_NAMES))
    except OSError:  # the user may enter the folder, but not list it
        return []
    return [entry.stem for entry in found if entry.stem.isidentifier()
            and (entry.suffix == ".py" or (entry / "__init__.py").is_file())]


def _failed(name: str, error: BaseException) -> MinicaffeError:
    """Return the error for a module whose import failed: what was raised there, and in which line."""
    hint = error.hint if isinstance(error, MinicaffeError) else plugins.cure_of(error)
    return MinicaffeError(f"--import {name}: the module cannot be imported: {plugins.cause_of(error)}",
                          where=plugins.place_of(error), hint=hint)
