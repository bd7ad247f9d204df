"""`minicaffe COMMAND ...`: finds the command's module, reads its flags, and turns errors into one clean message."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import importlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from minicaffe.cli.layout import entry, prose, terminal_width, wrap
from minicaffe.cli.terminal import complain, prepare, say
from minicaffe.errors import MinicaffeError, near_names, out_of_memory

COMMANDS = {  # command -> (module of this package, what it does)
    "train": ("train", "train a net as a solver definition says, or go on from a snapshot"),
    "test": ("evaluate", "score a net with given weights"),
    "time": ("timing", "measure each layer, forward and backward"),
    "show": ("show", "print a net as it is after the rules, upgrades and splits"),
    "summary": ("summary", "forecast a net's shapes, parameters, multiply-adds and memory"),
    "weights": ("weights", "list what is in a weight file, or compare two"),
    "convert": ("convert", "rewrite a definition, weights or a solver state in another format"),
    "fmt": ("fmt", "lay out a prototxt anew, with its comments"),
    "schema": ("schema", "write a JSON Schema with which editors complete nets and solvers in YAML"),
    "layers": ("layers", "list the layer types, or print one's datasheet"),
    "explain": ("explain", "explain a layer type: formulas, the maths as code, an example with numbers"),
    "engines": ("engines", "list the engines and which kernels each has"),
    "warm": ("warm", "compile the fast kernels ahead of their first use"),
    "plot": ("plot", "draw and compare the curves of trainings"),
    "replay": ("replay", "run again the pass in which a training met a NaN or Inf"),
    "completion": ("completion", "print a script with which a shell completes commands, flags and more"),
    "demo": ("demo", "train LeNet on real images, from nothing to a picture of the result"),
}


LONGEST_LINE = 2000  # letters of an error's line that are shown


class Help(argparse.RawDescriptionHelpFormatter):
    """argparse's help, but a paragraph fits the terminal; an example stays a line, with its words below if need be."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = [re.sub(r"^(  minicaffe .*?) {2,}", r"\1\n      ", line) if len(line) > width else line
                 for line in text.strip().split("\n")]
        return prose("\n".join(lines), width)


class Parser(argparse.ArgumentParser):
    """argparse that exits with 1, like every user error here, and knows a misspelt flag."""

    bare = "-"  # the first argument

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but an unknown flag is reported before a missing one: it may be the same flag, misspelt."""
        self.bare = next(iter(args or ()), "-")  # the name of a file, where its flag was forgotten
        for arg in args or ():
            if arg[2:] and arg.startswith("--") and arg.split("=")[0] not in self._option_string_actions:
                self.error(f"unrecognized arguments: {arg}")
            if arg.startswith("--") and arg.endswith("=--"):  # argparse would take it for a list
                self.error(f"argument {arg.removesuffix('=--')}: expects a value, got '--'")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: --?([^\s=]+)", message)
        missing = re.fullmatch(r"the following arguments are required: (--\w+)", message)
        hint = ""
        if unknown:  # compared without the dashes, which make all flags look alike
            flags = {flag.lstrip("-"): flag for flag in self._option_string_actions}
            hint = re.sub(r"'(\S+)'", lambda near: repr(flags[near[1]]), near_names(unknown[1], list(flags)))
        elif missing and not self.bare.startswith("-"):
            hint = f"did you mean {missing[1]} {self.bare}?"
        hint = f"\n  hint: {hint}" if hint else ""
        complain(f"{self.prog}: error: {message}{hint}\n  {self.prog} --help lists what it takes")
        raise SystemExit(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. A user's error is one message on stderr and status 1."""
    warnings.showwarning = _show_warning
    prepare()
    stopped: list[int] = []  # noted here, for Ctrl-C during an import of numpy may come out as an ImportError

    def stop(number: int, frame: Any) -> None:
        stopped.append(number)
        signal.default_int_handler(number, frame)

    try:
        with _answering_ctrl_c(stop):
            status = _run(list(sys.argv[1:] if argv is None else argv))
            sys.stdout.flush()
            return status
    except BaseException as error:
        if not stopped and not isinstance(error, KeyboardInterrupt):
            return _report(error)
    complain("minicaffe: stopped")
    return 130


def _report(error: BaseException) -> int:
    """Print the one message of a user's error; the exit status. Other errors are raised again."""
    # Where memory ran out, the message begins with that: the file it names is then not at fault.
    begin = "minicaffe: error: " + ("there is not enough memory: " if out_of_memory(error) else "")
    if isinstance(error, MinicaffeError):
        complain(f"{begin}{_readable(str(error))}")
    elif isinstance(error, BrokenPipeError):  # the reader of our output, such as `head`, has gone
        _drop_output()
    elif isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        complain(f"{begin}{place}{error.strerror or error}")
        _drop_output()
    elif isinstance(error, UnicodeEncodeError) and _no_file_name(error):
        letters = error.object[error.start:error.end]
        complain(f"{begin}no file can be called {error.object!r} here: the locale's encoding, {error.encoding}, lacks "
                 f"{letters!r}\n  hint: set LC_ALL=C.UTF-8 or PYTHONUTF8=1")
    elif out_of_memory(error):
        complain(f"{begin}{error}".removesuffix(": "))
    else:
        raise error
    return 1


def _no_file_name(error: UnicodeEncodeError) -> bool:
    """Whether it is the system's names of files that cannot hold a text; UTF-8 lacks only halves of characters."""
    return codecs.lookup(error.encoding) == codecs.lookup(sys.getfilesystemencoding())


@contextlib.contextmanager
def _answering_ctrl_c(stop: Any) -> Iterator[None]:
    """Call `stop` at Ctrl-C while the block runs, where Python's own handler would be called."""
    ours = (threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    if ours:
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(args: list[str]) -> int:
    """Find the command and run it; its exit status."""
    if not args or args[0] in ("-h", "--help", "-help", "help"):
        say(_usage())
        return 0
    if args[0] in ("--version", "-version"):
        from minicaffe import __version__

        say(f"minicaffe {__version__}")
        return 0
    command = args[0]
    if command not in COMMANDS:
        raise MinicaffeError(f"there is no command {command!r}", hint=_meant(args))
    module, parser = parser_of(command)
    given = parser.parse_args(_double_dashes(args[1:]))
    if "imports" in given:  # the command takes the flags about code that is not ours
        from minicaffe.cli import user_code  # here, for it takes numpy, which `minicaffe --help` need not wait for

        with user_code.obeying(given):
            return int(module.run(given))
    return int(module.run(given))


def parser_of(command: str) -> tuple[Any, Parser]:
    """The module of a command, and what reads its flags."""
    module = importlib.import_module(f"minicaffe.cli.{COMMANDS[command][0]}")
    parser = Parser(prog=f"minicaffe {command}", description=module.__doc__, allow_abbrev=False,
                    formatter_class=Help)
    module.add_arguments(parser)
    return module, parser


def _meant(args: list[str]) -> str:
    """The hint for a first word that is no command."""
    following = next((arg for arg in args[1:] if arg in COMMANDS), "")
    if following and (args[0].startswith("-") or args[0] in ("caffe", "minicaffe")):
        return f"the command comes first: minicaffe {following} ..."
    if args[0] == "device_query":
        return "minicaffe computes on the CPU; minicaffe engines says with what"
    return near_names(args[0], list(COMMANDS)) or "minicaffe --help lists them"


def _readable(message: str) -> str:
    """The message with the middle of overlong lines left out: a name in a file may have a million letters."""
    return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE // 2]} … {line[-LONGEST_LINE // 2:]}"
                     for line in message.split("\n"))


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
    width = terminal_width(80)
    rows = [line for name, (_, what) in COMMANDS.items() for line in entry(name, what, 14, width)]
    return "\n".join(["usage: minicaffe COMMAND [flags]", "", *rows, "",
                      *wrap("minicaffe COMMAND --help lists a command's flags.", width), "",
                      *wrap("A net with Python layers runs their code in train, test, time, summary, warm NET, "
                            "convert --model and replay, and so does a net with layer types that installed packages "
                            "bring; --no-python refuses such a net. --import MODULE runs a module of your own first, "
                            "for the layer types that it registers, and layers runs installed packages to list "
                            "theirs. All other commands run no code that a file names.",
                            width)])


def _show_warning(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
    complain(f"minicaffe: warning: {message}")


if __name__ == "__main__":
    raise SystemExit(main())
