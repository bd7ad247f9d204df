"""List the engines: what each is, which library it needs, and whether it can be used. Then list the kernels.

The kernels are the operations on arrays that layers and solvers call. An engine is a set of implementations of them.
The second list names, for each kernel, the engines that implement it. On any other engine the kernel runs the
implementation of the next slower one.

The fastest engine is used, unless MINICAFFE_ENGINE names another:

  MINICAFFE_ENGINE=plain minicaffe time --model net.prototxt
"""

from __future__ import annotations

import argparse

from minicaffe import kernels
from minicaffe.cli.terminal import say
from minicaffe.kernels import registry
from minicaffe.layout import table, terminal_width, wrap

WHAT = {"plain": "the definitions: slow, written to be read", "numpy": "fast code with numpy",
        "numba": "compiled to machine code: the fastest"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    used = kernels.engine()
    engines = [("engine", "what it is", "needs", "state")]
    for name, made in registry.ENGINES.items():
        engines.append((name, WHAT.get(name, ""), made.library, _state(name, used)))
    rows = [("kernel", "engines"), *((name, ", ".join(engine for engine in registry.ENGINES
                                                      if engine in made.implementations))
                                     for name, made in sorted(kernels.kernels().items()))]
    choose = wrap("MINICAFFE_ENGINE=NAME before a command chooses another engine.", terminal_width())
    say("\n".join([*table(engines, lead=2), "", *choose, "", *table(rows)]))
    return 0


def _state(name: str, used: str) -> str:
    """Return whether an engine can be used, and if not, why."""
    if name == used:
        return "in use"
    if missing := registry.lack(name):
        return missing
    reason = registry.fault(name)
    return f"does not work: {reason}" if reason else "available"
