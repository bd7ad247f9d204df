"""Compile the kernels of the numba engine before their first use, so that no training waits for that.

  minicaffe warm                          compile every kernel, for float32
  minicaffe warm lenet_train_test.prototxt        then also run a forward and a backward pass of this net

Compiled code stays on the disk, and is used again until the processor, numba or minicaffe changes. It is written to the
folder that NUMBA_CACHE_DIR names. Without that it is written beside the kernels or, if that folder is not writable, to
the cache folder in your home folder.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np

from minicaffe import kernels
from minicaffe.cli.show import add_permissive, add_state_arguments, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.threads import add_threads, use_threads
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import missing_extra
from minicaffe.kernels import registry
from minicaffe.net import Net
from minicaffe.proto import Phase

Calls = Iterator[tuple[Any, ...]]
NO_PLACE = "cache: none, because no folder for it is writable: each process compiles again\n" \
           "  hint: let NUMBA_CACHE_DIR name a folder that is writable"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="NET", nargs="?", default="", help="a net of which to run a pass as well")
    add_state_arguments(parser)
    add_permissive(parser)
    add_user_code(parser)
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    use_threads(args)
    name = kernels.engine()
    if name != "numba":
        say(f"engine {name}: there is nothing to warm, for it compiles nothing")
        if why := _why_numba_is_not_used():
            say(why)
        return 0
    net = Net(args.net, Phase.Value(args.phase), level=args.level, stages=stages(args),
              permissive=args.permissive, allow_python=not args.no_python) if args.net else None
    say(f"engine {name}: all kernels compiled in {_seconds(lambda: compile_all(name)):.2f} s")
    if net:
        say(f"{args.net}: one pass forward and backward in {_seconds(net.forward) + _seconds(net.backward):.2f} s")
    say("\n".join(_cache_lines()))
    return 0


def _why_numba_is_not_used() -> str:
    """Return why the numba engine cannot be used here, and what helps; '' if it can be used."""
    if "numba" in kernels.available_engines():
        reason = registry.fault("numba")
        return reason and f"the engine 'numba', which compiles, cannot be used: {reason}"
    if importlib.util.find_spec(registry.ENGINES["numba"].package) is None:  # a user deleted its folder
        return "the engine 'numba', which compiles, is not part of this installation"
    return str(missing_extra("numba", "fast", "the engine 'numba', which compiles,"))


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def compile_all(engine: str) -> None:
    """Compile every task, then call each other implementation of the engine on small arrays, which compiles it."""
    from minicaffe.kernels.numba_engine import task

    task.compile_all()
    for name, made in sorted(kernels.kernels().items()):
        if engine in made.implementations and name in CALLS:
            for arguments in CALLS[name]():
                made.implementations[engine](*arguments)


def _cache_lines() -> list[str]:
    """Return how many functions were compiled, how many were in the cache, and where the cache is."""
    from minicaffe.kernels.numba_engine import task
    from minicaffe.kernels.numba_engine.compiled import functions

    made, there = task.origins()
    made += sum(sum(function.stats.cache_misses.values()) for function in functions)
    there += sum(sum(function.stats.cache_hits.values()) for function in functions)
    places = sorted({function.stats.cache_path or "" for function in functions})
    return [f"{made} compiled now, {there} already in the cache",
            *(f"cache: {place}" if place else NO_PLACE for place in places)]


# --- small arguments for the implementations that no recording can hold -----------------------------------

def _ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def _windows() -> Iterator[tuple[np.ndarray, tuple[Any, ...], np.ndarray]]:
    """Yield x, (stride, pad, dilation) and the columns, for windows of two axes and for windows of one."""
    yield _ones(2, 3, 6, 5), ((1, 1), (0, 0), (1, 1)), _ones(3, 3, 2, 2, 4, 4)
    yield _ones(2, 3, 6), ((1,), (0,), (1,)), _ones(3, 2, 2, 5)


def _im2col() -> Calls:
    return ((x, *geometry, columns) for x, geometry, columns in _windows())


def _col2im() -> Calls:
    return ((columns, *geometry, x) for x, geometry, columns in _windows())


def _window_sum() -> Calls:
    yield _ones(2, 5, 4, 6), 3, 1, _ones(2, 5, 4, 6)


def _negative_power() -> Calls:
    yield _ones(2, 5), 0.75, _ones(2, 5)


def _crop_and_scale() -> Calls:
    first, mirrored = np.array([0, 1]), np.array([False, True])
    yield np.ones((2, 3, 6, 5), np.uint8), first, first, mirrored, None, 0.5, _ones(2, 3, 4, 2)


CALLS: dict[str, Callable[[], Calls]] = {  # a kernel that no recording can hold -> calls that compile all its tasks
    "col2im": _col2im, "crop_and_scale": _crop_and_scale, "im2col": _im2col, "negative_power": _negative_power,
    "window_sum": _window_sum}
