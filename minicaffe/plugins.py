"""Layer types and fillers that come from outside: where each comes from, and how installed packages bring theirs.

An installed package brings types of its own with an entry point, which names a module:

    [project.entry-points."minicaffe.layers"]
    softsign = "softsign_layers"

When that module is imported, it must register its types and fillers (`register`, `register_filler`). It is imported
when a net names a type or a filler that is not known, and by `minicaffe layers`. It is not imported together with
minicaffe: that would make every start slower, and would run code that no net has asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from importlib.machinery import PathFinder
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from minicaffe.errors import LayerError, MinicaffeError, from_here
from minicaffe.log import At, warn

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "minicaffe.layers"
LAYER, FILLER = "layer type", "filler"
IMPORTED = "--import"  # the source of the modules that the command line imports for the user
AT = At.TYPE_LOOKED_UP
# The beginnings of the names of files that are not the user's code; their lines in a traceback do not help.
NOT_THEIRS = (str(Path(__file__).parent) + os.sep, str(Path(importlib.__file__).parent) + os.sep,
              contextlib.__file__, "<frozen importlib")
BY_HAND = "--import MODULE makes types of your own known (in Python: import the module first)"

NOT_WRITTEN = "a layer must write reshape and forward, and backward where a gradient passes through it"


class Origin(NamedTuple):
    """The module and the package that a layer type or a filler comes from."""

    module: str
    file: str  # of the module; '' where it has none, as in an interactive session
    source: str  # the installed package with its version, IMPORTED, or '' where a program imported the module itself

    def __str__(self) -> str:
        place = f"module {self.module}" + (f" ({from_here(self.file)})" if self.file else "")
        return place if self.source in ("", IMPORTED) else f"package {self.source}, {place}"


_origins: dict[tuple[str, str], Origin] = {}  # (LAYER or FILLER, its name) -> where it comes from
_modules: list[Origin] = []  # the imported ones in their order, also those that have registered nothing
_source = ContextVar("source", default="")
_permitted = ContextVar("permitted", default=True)
_looked_for = False  # whether the entry points have been loaded


def note(kind: str, name: str, module: str) -> None:
    """Remember which module has registered a layer type or a filler. Our own modules are not remembered."""
    if module.split(".")[0] != "minicaffe":
        _origins[kind, name] = _origin(module)


def count() -> int:
    """Return how many layer types and fillers from outside are registered."""
    return len(_origins)


def origin_of(kind: str, name: str) -> Origin | None:
    """Return the Origin of a layer type or a filler; None for one of ours."""
    return _origins.get((kind, name))


def brought() -> dict[Origin, list[tuple[str, str]]]:
    """Return each module from outside that may be used, with the layer types and fillers that it has registered."""
    found: dict[Origin, list[tuple[str, str]]] = {origin: [] for origin in _modules}
    for registered, origin in _origins.items():
        if not _forbidden(origin):
            found.setdefault(origin, []).append(registered)
    return found


def _forbidden(origin: Origin) -> bool:
    """Return whether this comes from an installed package, and nothing from such packages may be used now."""
    return origin.source not in ("", IMPORTED) and not _permitted.get()


def _origin(module: str) -> Origin:
    file = getattr(sys.modules.get(module), "__file__", None)
    return Origin(module, os.path.abspath(file) if file else "", _source.get())


# --- installed packages ------------------------------------------------------------------------------------

@contextlib.contextmanager
def permitted(allowed: bool) -> Iterator[None]:
    """Within the block, load and use nothing from installed packages, unless that is `allowed`."""
    before = _permitted.set(_permitted.get() and allowed)  # a block within cannot allow what one around it forbids
    try:
        yield
    finally:
        _permitted.reset(before)


def left_out() -> list[str]:
    """The installed packages with our entry point, each with its version, where they must not be loaded; else none."""
    return [] if _permitted.get() else sorted({_package(point) for point in _entry_points()})


def load_installed() -> None:
    """Import the modules of installed packages, once in a process. Warn of one that cannot be imported."""
    global _looked_for
    if _looked_for or not _permitted.get():
        return
    _looked_for = True  # already now: a package that asks for an unknown type must not begin this again
    importlib.import_module("minicaffe.layers")  # first, so that no package can take the name of a type of ours
    for point in _entry_points():
        package, before = _package(point), len(_origins)
        was_imported = point.value.partition(":")[0].strip() in sys.modules
        try:
            with bringing(package):
                point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also SystemExit: no package may end a run that does not need it
            place = f" ({where})" if (where := place_of(error)) else ""
            warn(AT, f"the installed package {package} brings no layer types: its entry point {point.name} = "
                     f"{point.value} cannot be imported: {cause_of(error)}{place}")
        else:
            if len(_origins) == before and not was_imported:
                warn(AT, f"the installed package {package} brings no layer types: its entry point {point.name} = "
                         f"{point.value} registers none, and no filler")


def _entry_points() -> list[EntryPoint]:
    from importlib import metadata  # here, for it takes longer than all else in this module

    return sorted(metadata.entry_points(group=GROUP), key=lambda point: (_package(point), point.name))


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "of an unknown name"


def check_permitted(kind: str, name: str, owner: str) -> None:
    """LayerError where `owner` (a layer, in words) uses what an installed package brings, without permission."""
    origin = _origins.get((kind, name))
    if origin and _forbidden(origin):
        raise LayerError(f"{owner} would run the code of the installed package {origin.source}, which brings the "
                         f"{kind} {name!r}: that is not allowed here",
                         hint="read that package; if you trust it, run again without --no-python (in Python: with "
                              "allow_python=True)")


def unknown_hint() -> str:
    """Return a hint that says how to make an unknown type known; '' where there is none."""
    if _permitted.get():
        return BY_HAND
    found = left_out()
    return f"installed packages bring further types, but are not loaded with --no-python (in Python: " \
           f"allow_python=False): {', '.join(found)}" if found else ""


# --- modules that a user names ---------------------------------------------------------------------------------

@contextlib.contextmanager
def importable_here() -> Iterator[None]:
    """Within the block, import modules from the current folder too, if they are found nowhere else."""
    here = os.getcwd()
    sys.path.append(here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if here in sys.path:  # an imported module may have removed it
            sys.path.remove(here)


def find_file(module: str) -> str:
    """Return the file of a module that can be imported here, or its folder; '' where there is none.

    Nothing is imported, not even the packages that hold the module.
    """
    if module in sys.modules:
        return getattr(sys.modules[module], "__file__", None) or module
    with importable_here():
        folders, file = None, ""  # None: all of sys.path
        for part in accumulate(module.split("."), "{}.{}".format):  # "rpn" and then "rpn.proposal_layer"
            spec = PathFinder.find_spec(part, folders)
            if spec is None:
                return ""
            folders, file = spec.submodule_search_locations or [], spec.origin or part
    return from_here(file)


@contextlib.contextmanager
def bringing(source: str) -> Iterator[None]:
    """Remember `source` as the origin of all that is registered within the block."""
    before = _source.set(source)
    try:
        yield
    finally:
        _source.reset(before)


def note_module(module: str) -> bool:
    """Remember that a module was imported. Return whether it was known before, also by what it has registered."""
    known = any(origin.module == module for origin in (*_modules, *_origins.values()))
    if (origin := _origin(module)) not in _modules:
        _modules.append(origin)
    return known


# --- errors in code that is not ours ------------------------------------------------------------------------------

def frames_of(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of an error that lie in the user's code, the innermost one last."""
    return [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(NOT_THEIRS)]


def cause_of(error: BaseException) -> str:
    """Return an error's message in one line, without the place that `place_of` gives."""
    if isinstance(error, MinicaffeError):
        return error.message
    return f"{type(error).__name__}: {error.msg}" if isinstance(error, SyntaxError) else _last_line(error)


def _last_line(error: BaseException) -> str:
    """Return the last line of an error's traceback: 'ValueError: no such name'."""
    try:
        words = str(error)
    except Exception:  # the user's __str__ is as likely to be wrong as the rest
        words = "(its __str__ raised an error, too)"
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def place_of(error: BaseException) -> str:
    """FILE:LINE of the user's line that raised an error while a module was imported, or ''.

    It is the innermost line in the folder of the module that was imported first. The error itself may have been raised
    in a library, whose lines would help less.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{from_here(error.filename)}:{error.lineno}"
    frames = frames_of(error)
    theirs = [f for f in frames if f.filename.startswith(os.path.dirname(frames[0].filename))]
    return f"{from_here(theirs[-1].filename)}:{theirs[-1].lineno}" if theirs else ""


def layer_error(error: Exception, name: str, type_name: str) -> LayerError | None:
    """Return a LayerError for an error in code that --import or an installed package has brought.

    Return None for an error in minicaffe itself, and for one in code that a program has imported by itself. Python's
    own traceback then tells the author of the program more.
    """
    origin = _origins.get((LAYER, type_name))
    if not (origin and origin.source) and not _through_theirs(error):
        return None
    return LayerError(f"layer {name!r} ({type_name}): {with_traceback(error)}", hint=cure_of(error))


def cure_of(error: BaseException) -> str:
    """Return a hint for an error in code that is not ours: a method is missing, or the code is Python 2; else ''."""
    from minicaffe import python2  # only where something has failed: to compile its patterns takes a while

    # With no line of the user's in it, such an error is about a method that the class does not write.
    if not frames_of(error) and (isinstance(error, NotImplementedError)
                                 or getattr(error, "name", "") in ("forward", "backward")):
        return NOT_WRITTEN
    try:
        return python2.hint(error)
    except Exception:  # the user's __str__ is as likely to be wrong as the rest
        return ""


def _through_theirs(error: Exception) -> bool:
    """Return whether the failed line was called, perhaps indirectly, by code from --import or an installed package.

    The layer itself may be one of ours that called a user's filler.
    """
    theirs = {origin.module.split(".")[0] for origin in _origins.values() if origin.source}
    step = error.__traceback__
    while step is not None:
        if str(step.tb_frame.f_globals.get("__name__")).split(".")[0] in theirs:
            return True
        step = step.tb_next
    return False


def with_traceback(error: BaseException) -> str:
    """Return an error's message, and below it the part of its traceback that is in the user's code."""
    lines = "".join(traceback.format_list(frames_of(error))).rstrip()
    return f"{_last_line(error)}\n{lines}" if lines else _last_line(error)
