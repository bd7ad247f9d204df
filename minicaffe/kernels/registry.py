"""A kernel is one named operation on arrays, with a numpy reference and optional twins for other engines."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Callable
from typing import Any, overload

import numpy as np

from minicaffe.errors import EngineError, missing_extra, near_names
from minicaffe.kernels import shards, tape, timekeeping
from minicaffe.log import one_line, warn

ENGINES = {  # engine name -> (package that holds its twins, the library it needs, the extra that brings it)
    "numpy": ("minicaffe.kernels.reference", "numpy", ""),
    "numba": ("minicaffe.kernels.jit", "numba", "fast"),
}

_kernels: dict[str, Kernel] = {}
_engine = ""  # empty until the first call of a kernel or of use_engine
_warned: set[str] = set()
_faults: dict[str, str] = {}  # engine -> why its twins cannot be imported, '' where they are


class Kernel:
    """A callable with one implementation per engine; `active` is the one in use.

    Every implementation has the reference's signature, writes into its last array arguments, and may count on arrays
    being C-contiguous.
    """

    def __init__(self, reference: Callable[..., Any]) -> None:
        self.name = reference.__name__
        self.reference = _unrecorded(reference)
        self.twins: dict[str, Callable[..., Any]] = {}
        self.entered: set[str] = set()  # the engines whose twin runs entries, by itself on all threads
        self.active = self._first_call
        self.__doc__ = reference.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.active(*args, **kwargs)

    def _first_call(self, *args: Any, **kwargs: Any) -> Any:
        """Choose the process's engine when nobody has, then run."""
        engine()
        return self.active(*args, **kwargs)

    def twin(self, engine_name: str, *, entries: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator: register a function as this kernel's implementation for an engine.

        `entries` says that it does all its work in entries, which a tape can hold, or in the reference, which none can.
        Entries know float32 alone: a call with other numbers goes to the reference, and the function never sees it.
        """

        def keep(function: Callable[..., Any]) -> Callable[..., Any]:
            self.twins[engine_name] = self._for_float32(function) if entries else _unrecorded(function)
            if entries:
                self.entered.add(engine_name)
            return function

        return keep

    def _for_float32(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function where the first array is of float32 and none of float64, else the reference."""

        @functools.wraps(function)
        def chosen(*args: Any, **kwargs: Any) -> Any:
            kinds = [a.dtype.char for a in args if isinstance(a, np.ndarray)]
            return (function if kinds[0] == "f" and "d" not in kinds else self.reference)(*args, **kwargs)

        return chosen


class ShardedKernel(Kernel):
    """A kernel for which the images are independent, so that they can be shared out to threads.

    The first axis of every array argument counts images; implementations get slices of it. Arguments come by
    position alone.
    """

    PIECE, MOST_PIECES = 1 << 17, 16  # values of the largest array that are worth a piece: waking costs as much as half
    PIECE_OF_NUMPY, MOST_PIECES_OF_NUMPY = 1 << 19, 4  # short operations wait for their turn at the interpreter's lock

    def __call__(self, *args: Any) -> None:
        if engine() in self.entered:
            self.active(*args)
            return
        arrays = [a for a in args if isinstance(a, np.ndarray)]
        images, largest = len(arrays[0]) if arrays[0].ndim else 1, max(a.size for a in arrays)
        if self.active is self.reference:
            pieces = min(images, self.MOST_PIECES_OF_NUMPY, largest // self.PIECE_OF_NUMPY + 1)
        else:
            pieces = min(images, self.MOST_PIECES, largest // self.PIECE + 1)
        if pieces <= 1:
            self.active(*args)
            return

        def piece(i: int) -> None:
            cut = slice(i * images // pieces, (i + 1) * images // pieces)
            self.active(*(a[cut] if isinstance(a, np.ndarray) else a for a in args))

        shards.run(piece, pieces)


def _unrecorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which spoils the tape that is recorded while it runs."""

    @functools.wraps(function)
    def spoiling(*args: Any, **kwargs: Any) -> Any:
        return None if tape.spoil() else function(*args, **kwargs)

    return spoiling


@overload
def kernel(reference: Callable[..., Any]) -> Kernel: ...
@overload
def kernel(*, sharded: bool) -> Callable[[Callable[..., Any]], Kernel]: ...
def kernel(reference: Callable[..., Any] | None = None, *, sharded: bool = False) -> Any:
    """Decorator: make a numpy function a kernel under its own name; `@kernel(sharded=True)` a ShardedKernel."""

    def keep(function: Callable[..., Any]) -> Kernel:
        if function.__name__ in _kernels:
            raise EngineError(f"the kernel {function.__name__!r} is defined twice")
        made = _kernels[function.__name__] = (ShardedKernel if sharded else Kernel)(function)
        if _engine:
            made.active = made.reference
        return made

    return keep if reference is None else keep(reference)


def kernels() -> dict[str, Kernel]:
    """All kernels by name."""
    return dict(_kernels)


def import_all(package: str) -> None:
    """Import every module of `package`: for kernels and twins that is their registration."""
    folder = importlib.import_module(package)
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{package}.{module.name}")


def available_engines() -> list[str]:
    """The engines whose library is installed."""
    return [name for name, (_, library, _) in ENGINES.items() if importlib.util.find_spec(library)]


def fault(name: str) -> str:
    """Why an engine whose library is installed cannot be used, in the words of what failed; '' where it can."""
    if name not in _faults:
        _faults[name] = ""
        try:
            with timekeeping.standing_still():
                import_all(ENGINES[name][0])
        except Exception as error:  # a library that does not fit the others here may raise anything
            _faults[name] = one_line(str(error).strip() or type(error).__name__)
            for made in _kernels.values():
                made.twins.pop(name, None)
                made.entered.discard(name)
    return _faults[name]


def use_engine(name: str) -> str:
    """Set every kernel to its twin for engine `name` ('numpy', 'numba' or 'auto'), else to its reference.

    Returns the engine's name; 'auto' is the fastest that can be used, and one that cannot is warned of. EngineError
    where the engine is unknown, or its library is not installed or does not work.
    """
    global _engine
    if name == "auto":
        return use_engine(_fastest())
    if name not in ENGINES:
        raise EngineError(f"there is no engine {name!r}; known are auto, {', '.join(ENGINES)}",
                          hint=near_names(name, list(ENGINES)))
    _, library, extra = ENGINES[name]
    if not importlib.util.find_spec(library):
        raise missing_extra(library, extra, f"the engine {name!r}")
    if reason := fault("numpy") or fault(name):
        raise EngineError(f"the engine {name!r} cannot be used: {library} is installed, but does not work: {reason}",
                          hint="the engine numpy needs nothing more: MINICAFFE_ENGINE=numpy")
    for made in _kernels.values():
        made.active = made.twins.get(name, made.reference)
    _engine = name
    return name


def _fastest() -> str:
    """The last engine that can be used; one warning of each that is installed and cannot."""
    names = available_engines()
    while reason := fault(names[-1]):
        unused = names.pop()
        if unused not in _warned:
            _warned.add(unused)
            warn("engines", f"the engine {unused!r} cannot be used, so {names[-1]!r} is: {ENGINES[unused][1]} is "
                            f"installed, but does not work: {reason}")
    return names[-1]


def engine() -> str:
    """The engine in use; the first question chooses it from MINICAFFE_ENGINE, else the fastest installed."""
    return _engine or use_engine(os.environ.get("MINICAFFE_ENGINE") or "auto")
