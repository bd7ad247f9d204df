"""List the engines, which of them this machine has, and which kernels each brings a version of its own for."""

from __future__ import annotations

import argparse

from minicaffe import kernels
from minicaffe.cli.terminal import say
from minicaffe.kernels import registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    used = kernels.engine()
    for name, made in registry.ENGINES.items():
        if name == used:
            state = "in use"
        elif not (state := registry.lack(name)):
            reason = registry.fault(name)
            state = f"does not work: {reason}" if reason else "available"
        say(f"{name:8}{made.library:10}{state}")
    say()
    for name, kernel in sorted(kernels.kernels().items()):
        say(f"  {name:28}" + ", ".join(e for e in registry.ENGINES if e in kernel.implementations))
    return 0
