"""Kernels, and the engines that run them.

A kernel is one named operation on arrays. Its definition says what it computes. All definitions together are the
engine `plain`. The other engines have faster implementations of some kernels. A kernel that an engine does not
implement runs on the next slower engine that does. The whole process uses one engine, which `use_engine` or the
environment variable MINICAFFE_ENGINE chooses.

The folder of any engine but `plain` may be deleted. `definitions/` cannot, because it gives the kernels their names.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import pkgutil
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

import numpy as np

from minicaffe.errors import EngineError, missing_extra, near_names
from minicaffe.kernels import recording, shards, timekeeping
from minicaffe.log import one_line, warn

P = ParamSpec("P")
R = TypeVar("R")


class Engine(NamedTuple):
    """The package with an engine's implementations, the library they need, and the extra that installs it."""

    package: str
    library: str
    extra: str


ENGINES = {  # from the slowest to the fastest
    "plain": Engine("minicaffe.kernels.definitions", "numpy", ""),
    "numpy": Engine("minicaffe.kernels.numpy_engine", "numpy", ""),
    "numba": Engine("minicaffe.kernels.numba_engine", "numba", "fast"),
}

_kernels: dict[str, Kernel] = {}
_engine = ""  # the engine in use; empty until a kernel or use_engine is called for the first time
_warned: set[str] = set()  # the engines about which `_warn_of` has warned
_faults: dict[str, str] = {}  # what `fault` has found out about each engine


class Kernel(Generic[P, R]):
    """One operation on arrays, called like a function.

    name               the name of its definition
    definition         the function that says what the kernel computes, as maths
    implementations    engine -> function. Each function has the signature of the definition, and writes its results
                       into the same arguments. Arrays are C-contiguous, unless the definition says otherwise
    recordable         the engines whose implementation can be recorded (recording.py)
    active             the implementation that runs when the kernel is called
    """

    def __init__(self, definition: Callable[P, R]) -> None:
        functools.update_wrapper(self, definition)  # its name, docstring and signature, for help() and for editors
        self.name = definition.__name__
        self.definition = definition
        self.implementations: dict[str, Callable[P, R]] = {"plain": _unrecorded(definition)}
        self.recordable: set[str] = set()
        self.active: Callable[P, R] = self._first_call

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.active(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<kernel {self.name}{inspect.signature(self.definition)}>"

    def _first_call(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Choose an engine for the process, because none has been chosen yet, and then run on it."""
        engine()
        return self.active(*args, **kwargs)

    def on(self, engine_name: str) -> Callable[P, R]:
        """Return the function that runs on an engine: its own, else that of the next slower engine that has one."""
        names = (engine_name, *_slower(engine_name))
        return next(self.implementations[name] for name in names if name in self.implementations)

    def implementation(self, engine_name: str, *, recordable: bool = False,
                       over_images: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorator: register a function as this kernel's implementation for an engine.

        recordable     says that all its work is done in compiled tasks, which a recording can hold (recording.py).
                       These tasks compute in float32 only, so calls with other numbers run on a slower engine
        over_images    says that it computes each image by itself, and that the first axis of every array argument
                       counts the images. Then several threads share them (`shared_out`)
        """

        def keep(function: Callable[P, R]) -> Callable[P, R]:
            if recordable:
                self.recordable.add(engine_name)
                self.implementations[engine_name] = self._for_float32(function, engine_name)
            else:
                run = function
                if over_images:
                    run = _by_position(self.definition, shared_out(function))
                elif _positional(function) != _positional(self.definition):
                    run = _by_position(self.definition, function)
                self.implementations[engine_name] = _unrecorded(run)
            return function

        return keep

    def _for_float32(self, function: Callable[P, R], engine_name: str) -> Callable[P, R]:
        """Return the function, for calls in which the first array is float32 and no array is float64.

        Other calls run what a slower engine runs. Arrays of indices and of bool may be among the arguments.
        """
        slower = _slower(engine_name)[0]

        @functools.wraps(function)
        def chosen(*args: P.args, **kwargs: P.kwargs) -> R:
            kinds = [a.dtype.char for a in args if isinstance(a, np.ndarray)]
            fits = kinds[:1] == ["f"] and "d" not in kinds
            return (function if fits else self.on(slower))(*args, **kwargs)

        return _by_position(self.definition, chosen)


def _slower(engine_name: str) -> list[str]:
    """Return the engines that are slower than this one, beginning with the fastest of them."""
    names = list(ENGINES)
    return names[:names.index(engine_name)][::-1]


PIECE = 1 << 19   # another piece of work for each so many numbers of the largest array
MOST_PIECES = 4   # numpy's short operations wait for their turn at the interpreter's lock: more threads bring nothing


def shared_out(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function, run by several threads where arrays are large, each time on a slice of the images."""

    @functools.wraps(function)
    def shared(*args: P.args, **kwargs: P.kwargs) -> R:
        arrays = [a for a in args if isinstance(a, np.ndarray)]
        images, largest = len(arrays[0]) if arrays[0].ndim else 1, max(a.size for a in arrays)
        pieces = min(images, MOST_PIECES, largest // PIECE + 1)
        if pieces <= 1:
            return function(*args, **kwargs)
        run: Callable[..., object] = function

        def piece(i: int) -> None:
            cut = slice(i * images // pieces, (i + 1) * images // pieces)
            run(*(a[cut] if isinstance(a, np.ndarray) else a for a in args))

        shards.run(piece, pieces)
        return None  # type: ignore[return-value]  # kernels that work on images return nothing

    return shared


def _by_position(definition: Callable[P, R], function: Callable[P, R]) -> Callable[P, R]:
    """Return the function, called by position also where the caller gives arguments by name.

    It is for implementations whose arguments have other names than the definition's, and for those that look for
    arrays among the arguments given by position.
    """
    signature, names = inspect.signature(definition), set(_positional(definition))
    run: Callable[..., R] = function

    @functools.wraps(function)
    def by_position(*args: P.args, **kwargs: P.kwargs) -> R:
        if (kwargs and not names.isdisjoint(kwargs)) or not args:
            bound = signature.bind(*args, **kwargs)  # TypeError where an argument is missing or not known
            return run(*bound.args, **bound.kwargs)
        return run(*args, **kwargs)

    return by_position


def _positional(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that may be given by position."""
    return [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]


def _unrecorded(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which marks the recording that is being made as unusable, since it cannot hold what this runs."""

    @functools.wraps(function)
    def unrecorded(*args: P.args, **kwargs: P.kwargs) -> R:
        if recording.mark_unusable():  # a dry run: nothing is computed
            return None  # type: ignore[return-value]
        return function(*args, **kwargs)

    return unrecorded


def kernel(definition: Callable[P, R]) -> Kernel[P, R]:
    """Decorator: make a definition a kernel under its own name."""
    if definition.__name__ in _kernels:
        raise EngineError(f"the kernel {definition.__name__!r} is defined twice")
    made = _kernels[definition.__name__] = Kernel(definition)
    if _engine:  # the engine was chosen before this kernel existed, so no other code will set `active`
        made.active = made.implementations["plain"]
    return made


def kernels() -> dict[str, Kernel]:
    """All kernels by name."""
    return dict(_kernels)


def import_all(package: str) -> None:
    """Import every module of `package`. The decorators in it register its implementations."""
    folder = importlib.import_module(package)
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{package}.{module.name}")


def available_engines() -> list[str]:
    """Return the engines whose folder exists and whose library is installed, from the slowest to the fastest."""
    return [name for name in ENGINES if not lack(name)]


def lack(name: str) -> str:
    """Return what an engine lacks: its library, with the command to install it, or its folder; '' for nothing."""
    package, library, extra = ENGINES[name]
    if not importlib.util.find_spec(library):
        return f"not installed: pip install 'minicaffe[{extra}]'"
    return "" if importlib.util.find_spec(package) else f"not part of this installation: there is no {package}"


def fault(name: str) -> str:
    """Why an engine that lacks nothing does not work: the text of the error that was raised. '' if it works.

    This imports the engine. If that fails, the implementations that were registered before the error are removed.
    """
    if name not in _faults:
        _faults[name] = ""
        try:
            with timekeeping.standing_still():
                import_all(ENGINES[name].package)
        except Exception as error:  # a library that does not fit the others here may raise anything
            _faults[name] = one_line(str(error).strip() or type(error).__name__)
            for made in _kernels.values():
                made.implementations.pop(name, None)
                made.recordable.discard(name)
    return _faults[name]


def use_engine(name: str) -> str:
    """Let every kernel run on the engine `name`: 'plain', 'numpy', 'numba', or 'auto' for the fastest that works.

    Return the name of the engine. Raise EngineError if the engine is unknown, lacks something or does not work. With
    'auto', an engine that is installed and does not work is only warned of, and a slower one takes its place.
    """
    global _engine
    if name == "auto":
        name = _fastest()
    if name not in ENGINES:
        raise EngineError(f"there is no engine {name!r}; known are auto, {', '.join(ENGINES)}",
                          hint=near_names(name, list(ENGINES)))
    if not importlib.util.find_spec(ENGINES[name].library):
        raise missing_extra(ENGINES[name].library, ENGINES[name].extra, f"the engine {name!r}")
    if lack(name):
        raise EngineError(f"the engine {name!r} is {lack(name)}")
    if fault(name):
        raise EngineError(_does_not_work(name), hint="MINICAFFE_ENGINE=auto takes the fastest engine that works")
    for slower in _slower(name):  # for the kernels that this engine leaves out
        if not lack(slower) and fault(slower):
            _warn_of(slower)
    for made in _kernels.values():
        made.active = made.on(name)
    _engine = name
    return name


def _fastest() -> str:
    """Return the fastest engine that works, after a warning of each faster one that is installed and does not."""
    for name in reversed(available_engines()):
        if not fault(name):
            return name
        _warn_of(name)
    return "plain"


def _does_not_work(name: str) -> str:
    return f"the engine {name!r} cannot be used: {ENGINES[name].library} is installed, but does not work: {fault(name)}"


def _warn_of(name: str) -> None:
    """Warn, but only once, that an engine does not work and that a slower one takes its place."""
    if name not in _warned:
        _warned.add(name)
        warn("engines", f"{_does_not_work(name)}; a slower engine takes its place")


def engine() -> str:
    """The name of the engine in use. If none is chosen yet, choose the one of MINICAFFE_ENGINE, else the fastest."""
    return _engine or use_engine(os.environ.get("MINICAFFE_ENGINE") or "auto")
