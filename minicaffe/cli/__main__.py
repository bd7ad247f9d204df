"""`minicaffe COMMAND ...`: finds the command's module, reads its flags, and turns errors into one clean message."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from minicaffe.errors import MinicaffeError, near_names, out_of_memory

COMMANDS = {  # command -> (module of this package, what it does)
    "train": ("train", "train a net as a solver definition says, or go on from a snapshot"),
    "test": ("evaluate", "score a net with given weights"),
    "time": ("timing", "measure each layer, forward and backward"),
    "show": ("show", "print a net as it is after the rules, upgrades and splits"),
    "summary": ("summary", "forecast a net's shapes, parameters, multiply-adds and memory"),
    "weights": ("weights", "list what is in a weight file, or compare two"),
    "convert": ("convert", "rewrite a definition, weights or a solver state in another format"),
    "layers": ("layers", "list the layer types, or print one's datasheet"),
    "engines": ("engines", "list the engines and which kernels each has"),
    "warm": ("warm", "compile the fast kernels ahead of their first use"),
    "plot": ("plot", "draw and compare the curves of trainings"),
    "replay": ("replay", "run again the pass in which a training met a NaN or Inf"),
    "demo": ("demo", "train LeNet on real images, from nothing to a picture of the result"),
}


class Parser(argparse.ArgumentParser):
    """argparse that exits with 1, like every user error here, and knows a misspelt flag."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but a flag that is not known comes before one that is missing: it may be the same, misspelt."""
        for arg in args or ():
            if arg[2:] and arg.startswith("--") and arg.split("=")[0] not in self._option_string_actions:
                self.error(f"unrecognized arguments: {arg}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: (-\S+)", message)
        hint = ""
        if unknown:
            near = near_names(unknown[1].split("=")[0], list(self._option_string_actions))
            hint = f"\n  hint: {near}" if near else ""
        print(f"{self.prog}: error: {message}{hint}\n  {self.prog} --help lists what it takes", file=sys.stderr)
        raise SystemExit(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. A user's error is one message on stderr and status 1."""
    warnings.showwarning = _show_warning
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except MinicaffeError as error:
        print(f"minicaffe: error: {_memory(error)}{error}", file=sys.stderr)
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        _drop_output()
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"minicaffe: error: {_memory(error)}{place}{error.strerror or error}", file=sys.stderr)
        _drop_output()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print(f"minicaffe: error: {_memory(error)}{error}".removesuffix(": "), file=sys.stderr)
    except KeyboardInterrupt:
        print("minicaffe: stopped", file=sys.stderr)
        return 130
    return 1


def _memory(error: BaseException) -> str:
    """What to say first: that nothing else is wrong, where it is memory that was not there."""
    return "there is not enough memory: " if out_of_memory(error) else ""


def _run(args: list[str]) -> int:
    """Find the command and run it; its exit status."""
    if not args or args[0] in ("-h", "--help", "-help", "help"):
        print(_usage())
        return 0
    if args[0] in ("--version", "-version"):
        from minicaffe import __version__

        print(f"minicaffe {__version__}")
        return 0
    command = args[0]
    if command not in COMMANDS:
        near = near_names(command, list(COMMANDS))
        raise MinicaffeError(f"there is no command {command!r}", hint=near or "minicaffe --help lists them")
    module = importlib.import_module(f"minicaffe.cli.{COMMANDS[command][0]}")
    parser = Parser(prog=f"minicaffe {command}", description=module.__doc__, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(_double_dashes(args[1:]))))


def _drop_output() -> None:
    """Let what stdout still holds go nowhere, should it not take it: Python would complain of it at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _double_dashes(args: Sequence[str]) -> list[str]:
    """Caffe's users write `-solver F` as often as `--solver=F`; argparse wants two dashes on long flags."""
    return [re.sub(r"^-(?=[a-zA-Z_]\w)", "--", arg) for arg in args]


def _usage() -> str:
    rows = "\n".join(f"  {name:10}{what}" for name, (_, what) in COMMANDS.items())
    return f"usage: minicaffe COMMAND [flags]\n\n{rows}\n\nminicaffe COMMAND --help lists a command's flags."


def _show_warning(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
    print(f"minicaffe: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
