"""List the engines, which of them this machine has, and which kernels each brings a version of its own for."""

from __future__ import annotations

import argparse

from minicaffe import kernels
from minicaffe.cli.terminal import say
from minicaffe.kernels import registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    available = kernels.available_engines()
    used = kernels.engine()
    for name, (_, library, extra) in registry.ENGINES.items():
        state = f"not installed: pip install 'minicaffe[{extra}]'" if name not in available else \
            "in use" if name == used else f"does not work: {reason}" if (reason := registry.fault(name)) else \
            "available"
        say(f"{name:8}{library:10}{state}")
    say()
    for name, made in sorted(kernels.kernels().items()):
        say(f"  {name:28}" + ", ".join(made.implementations))
    return 0
