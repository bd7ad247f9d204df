"""A kernel is one named operation on arrays: its definition, and faster implementations of other engines."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Callable
from typing import Generic, NamedTuple, ParamSpec, TypeVar

import numpy as np

from minicaffe.errors import EngineError, missing_extra, near_names
from minicaffe.kernels import recording, shards, timekeeping
from minicaffe.log import one_line, warn

P = ParamSpec("P")
R = TypeVar("R")


class Engine(NamedTuple):
    """A set of implementations: the package that holds them, the library it needs, the extra that installs that."""

    package: str
    library: str
    extra: str


ENGINES = {  # from the slowest to the fastest; a kernel that an engine does not implement runs on the one before it
    "plain": Engine("minicaffe.kernels.definitions", "numpy", ""),
    "numpy": Engine("minicaffe.kernels.numpy_engine", "numpy", ""),
    "numba": Engine("minicaffe.kernels.numba_engine", "numba", "fast"),
}

_kernels: dict[str, Kernel] = {}
_engine = ""  # empty until the first call of a kernel or of use_engine
_warned: set[str] = set()
_faults: dict[str, str] = {}  # engine -> why its implementations cannot be imported, '' where they can


class Kernel(Generic[P, R]):
    """A callable with one implementation per engine; `active` is the one in use.

    Every implementation has the definition's signature, writes into the array arguments that the definition writes
    into, and may count on arrays being C-contiguous.
    """

    def __init__(self, definition: Callable[P, R]) -> None:
        functools.update_wrapper(self, definition)  # name, docstring and signature, for help() and editors
        self.name = definition.__name__
        self.definition = definition
        self.implementations: dict[str, Callable[P, R]] = {"plain": _unrecorded(definition)}
        self.recordable: set[str] = set()  # the engines whose implementation can be recorded
        self.active: Callable[P, R] = self._first_call

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.active(*args, **kwargs)

    def _first_call(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Choose the process's engine when nobody has, then run."""
        engine()
        return self.active(*args, **kwargs)

    def on(self, engine_name: str) -> Callable[P, R]:
        """What runs on an engine: its own implementation, else that of the nearest slower engine."""
        names = list(ENGINES)
        for name in reversed(names[:names.index(engine_name) + 1]):
            if name in self.implementations:
                return self.implementations[name]
        return self.implementations["plain"]

    def implementation(self, engine_name: str, *, recordable: bool = False,
                       over_images: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorator: register a function as this kernel's implementation for an engine.

        recordable     it does all its work in compiled tasks, which a recording can hold (recording.py). Such tasks
                       know float32 alone: a call with other numbers goes to the engine before, and this function
                       never sees it.
        over_images    the first axis of every array argument counts images that are independent of each other, so
                       several threads run the function, each on a slice. Arguments come by position alone.
        """

        def keep(function: Callable[P, R]) -> Callable[P, R]:
            made = _unrecorded(shared_out(function) if over_images else function)
            if recordable:
                made = self._for_float32(function, engine_name)
                self.recordable.add(engine_name)
            self.implementations[engine_name] = made
            return function

        return keep

    def _for_float32(self, function: Callable[P, R], engine_name: str) -> Callable[P, R]:
        """The function where the first array is of float32 and none of float64, else the engine before's."""
        slower = list(ENGINES)[max(0, list(ENGINES).index(engine_name) - 1)]

        @functools.wraps(function)
        def chosen(*args: P.args, **kwargs: P.kwargs) -> R:
            kinds = [a.dtype.char for a in args if isinstance(a, np.ndarray)]
            fits = kinds[0] == "f" and "d" not in kinds
            return (function if fits else self.on(slower))(*args, **kwargs)

        return chosen


PIECE, MOST_PIECES = 1 << 19, 4  # short numpy operations wait for their turn at the interpreter's lock


def shared_out(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run on slices of its images by several threads where the arrays are large."""

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


def _unrecorded(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which makes the recording that is made while it runs unusable."""

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
    if _engine:
        made.active = made.implementations["plain"]
    return made


def kernels() -> dict[str, Kernel]:
    """All kernels by name."""
    return dict(_kernels)


def import_all(package: str) -> None:
    """Import every module of `package`: importing registers what it implements."""
    folder = importlib.import_module(package)
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{package}.{module.name}")


def available_engines() -> list[str]:
    """The engines whose library is installed, from the slowest to the fastest."""
    return [name for name, made in ENGINES.items() if _is_there(made.library) and _is_there(made.package)]


def _is_there(module: str) -> bool:
    """Whether a library or a package of ours can be found; the folder of an engine may be deleted."""
    return importlib.util.find_spec(module) is not None


def fault(name: str) -> str:
    """Why an engine whose library is installed cannot be used, in the words of what failed; '' where it can."""
    if name not in _faults:
        _faults[name] = ""
        try:
            with timekeeping.standing_still():
                import_all(ENGINES[name].package)
        except Exception as error:  # a library that does not fit the others here may raise anything
            _faults[name] = one_line(str(error).strip() or type(error).__name__)
            for made in _kernels.values():
                if name != "plain":
                    made.implementations.pop(name, None)
                made.recordable.discard(name)
    return _faults[name]


def use_engine(name: str) -> str:
    """Let every kernel run its implementation of engine `name`: 'plain', 'numpy', 'numba' or 'auto'.

    A kernel that the engine does not implement runs that of the nearest slower engine. 'auto' is the fastest engine
    that can be used; one that is installed and cannot be used is warned of. Returns the engine's name. EngineError
    where the engine is unknown, or its library is not installed or does not work.
    """
    global _engine
    if name == "auto":
        return use_engine(_fastest())
    if name not in ENGINES:
        raise EngineError(f"there is no engine {name!r}; known are auto, {', '.join(ENGINES)}",
                          hint=near_names(name, list(ENGINES)))
    package, library, extra = ENGINES[name]
    if not _is_there(library):
        raise missing_extra(library, extra, f"the engine {name!r}")
    if not _is_there(package):
        raise EngineError(f"the engine {name!r} is not part of this installation: there is no {package}")
    for slower in available_engines():
        if slower == name:
            break
        fault(slower)  # imports it: kernels that this engine does not implement run there
    if reason := fault(name):
        raise EngineError(f"the engine {name!r} cannot be used: {library} is installed, but does not work: {reason}",
                          hint="the engine numpy needs nothing more: MINICAFFE_ENGINE=numpy")
    for made in _kernels.values():
        made.active = made.on(name)
    _engine = name
    return name


def _fastest() -> str:
    """The last engine that can be used; one warning of each that is installed and cannot."""
    names = available_engines()
    while reason := fault(names[-1]):
        unused = names.pop()
        if unused not in _warned:
            _warned.add(unused)
            warn("engines", f"the engine {unused!r} cannot be used, so {names[-1]!r} is: {ENGINES[unused].library} is "
                            f"installed, but does not work: {reason}")
    return names[-1]


def engine() -> str:
    """The engine in use; the first question chooses it from MINICAFFE_ENGINE, else the fastest installed."""
    return _engine or use_engine(os.environ.get("MINICAFFE_ENGINE") or "auto")
