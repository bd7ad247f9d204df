"""`minicaffe COMMAND ...`: find the command's module, read its flags, and turn errors into one clean message."""

from __future__ import annotations

import _thread
import argparse
import contextlib
import importlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from minicaffe.cli import failure, launcher
from minicaffe.cli.terminal import complain, prepare, say
from minicaffe.errors import MinicaffeError, near_names
from minicaffe.layout import entry, prose, terminal_width, wrap

GROUPS = {  # what a command is for -> command -> (module of this package, what it does)
    "Train, judge, use": {
        "train": ("train", "train a net as a solver definition says, or go on from a snapshot"),
        "test": ("evaluate", "score a net with given weights"),
        "classify": ("classify", "say what is in images, with a trained net"),
        "deploy": ("deploy", "write the net to use after a training: without data layers, labels and losses"),
        "plot": ("plot", "draw and compare the curves of trainings"),
        "replay": ("replay", "repeat the pass in which a training met a NaN or Inf"),
    },
    "Bring data": {
        "data": ("data", "look at a source: count, shapes, labels, means, duplicates, a sheet of images"),
        "convert_imageset": ("convert_imageset", "make an LMDB of images, from a list or a folder of class folders"),
        "convert_csv": ("convert_csv", "make an HDF5 file of a table, for HDF5Data"),
        "convert_idx": ("convert_idx", "make an LMDB of MNIST's or Fashion-MNIST's files"),
        "convert_cifar": ("convert_cifar", "make LMDBs of CIFAR-10's or CIFAR-100's binary files"),
        "compute_image_mean": ("compute_image_mean", "compute the mean image of a database"),
        "extract_features": ("extract_features", "write what a trained net's blobs hold for each image"),
    },
    "Look at nets": {
        "lint": ("lint", "find mistakes in nets, solvers and data before a training"),
        "check": ("check", "check every gradient of a net by measuring its loss; name the first layer that is wrong"),
        "summary": ("summary", "forecast a net's shapes, parameters, multiply-adds and memory"),
        "draw": ("draw", "draw a net as an image or a page, with shapes and costs"),
        "show": ("show", "print a net as its layers are made: upgraded, filtered by phase, with splits"),
        "time": ("timing", "measure each layer, forward and backward"),
        "trace": ("trace", "write a page on which you step through a net's formulas, code and numbers"),
        "layers": ("layers", "list the layer types, or print one's datasheet"),
        "explain": ("explain", "explain a layer type: formulas, the maths as code, an example with numbers"),
        "stub": ("stub", "write a Python layer to fill in, for a layer type that minicaffe lacks"),
    },
    "Files": {
        "weights": ("weights", "list what is in a weight file, or compare two"),
        "convert": ("convert", "rewrite a definition, weights or a solver state in another format; or a net as ONNX"),
        "upgrade": ("upgrade", "bring a net, its weights or a solver into today's format, and say what changed"),
        "fmt": ("fmt", "format a prototxt; its comments stay"),
        "schema": ("schema", "write a JSON Schema, with which editors complete nets and solvers in YAML"),
    },
    "Begin, and set up": {
        "new": ("new", "write a net, a solver and data that train at once, to begin with"),
        "course": ("course", "build a small framework of your own in twenty steps, each of them graded"),
        "demo": ("demo", "train LeNet on real images, from nothing to a picture of the result"),
        "engines": ("engines", "list the engines, and which kernels each implements"),
        "warm": ("warm", "compile the fast kernels before their first use"),
        "caffe-root": ("caffe_root", "make a folder with Caffe's tools under their own names, for shell scripts"),
        "completion": ("completion", "print a script that lets a shell complete commands, flags and more"),
    },
}
COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


class Help(argparse.RawDescriptionHelpFormatter):
    """argparse's help, with paragraphs that fit the terminal and examples that keep a line of their own.

    Where an example and the words beside it do not fit into a line, the words go below it.
    """

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(" ".join(text.split()), width)  # argparse would break names such as no-gradient at the hyphen

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = [re.sub(r"^(  minicaffe .*?) {2,}", r"\1\n      ", line) if len(line) > width else line
                 for line in text.strip().split("\n")]
        return prose("\n".join(lines), width)


class Parser(argparse.ArgumentParser):
    """argparse that exits with status 1, as every user error does here, and recognises a misspelt flag."""

    bare = "-"  # the first argument of the command

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Do as argparse does, but let flags stand between positional arguments of which the last may be left out."""
        optional = any(action.nargs == "?" for action in self._get_positional_actions())
        return self.parse_intermixed_args(args, namespace) if optional else super().parse_args(args, namespace)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Do as argparse does, but report an unknown flag before a missing one: it may be the same flag, misspelt."""
        args = [self._known_form(arg) for arg in args or ()]
        self.bare = next(iter(args), "-")  # a file name, if the user forgot the flag before it
        for arg in args:
            if arg[2:] and arg.startswith("--") and arg.split("=")[0] not in self._option_string_actions:
                self.error(f"unrecognized arguments: {arg}")
            if arg.startswith("--") and arg.endswith("=--"):  # argparse would take the value for an empty list
                self.error(f"argument {arg.removesuffix('=--')}: expects a value, got '--'")
        return super().parse_known_args(args, namespace)

    def _known_form(self, arg: str) -> str:
        """Return a flag as it was added: dashes may stand for underscores in its name, as in gflags, and the reverse.

        The value of a switch may be in capitals: --gray=True. Raise argparse's error where it is no such value.
        """
        name, equals, value = arg.partition("=")
        flags = self._option_string_actions
        if name.startswith("--") and name not in flags:
            plain = {flag.replace("-", "_"): flag for flag in flags}
            name = plain.get(name.replace("-", "_"), name)
        if equals and f"{name}=true" in flags:
            value = value.lower()
            if f"{name}={value}" not in flags:
                self.error(f"argument {name}: expects true or false, got {arg.partition('=')[2]!r}")
        return name + equals + value

    def error(self, message: str) -> NoReturn:
        unknown = re.search(r"unrecognized arguments: --?([^\s=]+)", message)
        missing = re.fullmatch(r"the following arguments are required: (--\w+)", message)
        hint = ""
        if unknown:  # near names are sought without the dashes, for these make all flags look alike
            flags = {flag.lstrip("-"): flag for flag, action in self._option_string_actions.items()
                     if action.help is not argparse.SUPPRESS}
            hint = re.sub(r"'(\S+)'", lambda near: repr(flags[near[1]]), near_names(unknown[1], list(flags)))
        elif missing and not self.bare.startswith("-"):
            hint = f"did you mean {missing[1]} {self.bare}?"
        if valued := re.fullmatch(r"argument (\S+): ignored explicit argument (.*)", message):
            flag = valued[1].rpartition("/")[2]  # argparse names all forms of a flag
            message = f"argument {flag}: takes no value, got {valued[2]}"
        hint = f"\n  hint: {hint}" if hint else ""
        launcher.complain_once(f"{self.prog}: error: {message}{hint}\n  {self.prog} --help lists what it takes")
        raise SystemExit(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit status. A user's error is one message on stderr and status 1."""
    return guarded(lambda: run_command(list(sys.argv[1:] if argv is None else argv)))


def guarded(call: Callable[[], int]) -> int:
    """Call a function that returns an exit status, and return it. A user's error is one message and status 1."""
    warnings.showwarning = _show_warning
    prepare()
    stopped: list[int] = []  # a list of our own, because Ctrl-C while numpy is imported may end as an ImportError

    def stop(number: int, frame: Any) -> None:
        stopped.append(number)
        signal.default_int_handler(number, frame)

    try:
        with _answering_ctrl_c(stop):
            status = call()
            sys.stdout.flush()
            return status
    except BaseException as error:
        if not stopped and not isinstance(error, KeyboardInterrupt):
            return _report(error)
    complain("minicaffe: stopped")
    return 130


def _report(error: BaseException) -> int:
    """Print a user's error as one message, and return the exit status. Raise every other error again."""
    text = failure.words(error)
    if text is None:
        raise error
    if text:
        launcher.complain_once(f"minicaffe: error: {text}")
    if isinstance(error, OSError):
        _drop_output()
    return 1


@contextlib.contextmanager
def _answering_ctrl_c(stop: Any) -> Iterator[None]:
    """Call `stop` at Ctrl-C while the block runs, unless a handler other than Python's own is already set."""
    ours = (threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    before = sys.unraisablehook
    if ours:
        signal.signal(signal.SIGINT, stop)
        sys.unraisablehook = lambda lost: _interrupt_again(lost, before)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.unraisablehook = before


def _interrupt_again(lost: Any, otherwise: Callable[[Any], object]) -> None:
    """Repeat a Ctrl-C that Python has dropped, because it came while a callback of the garbage collector ran."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        threading.Timer(0.01, _interrupt_main).start()  # a little later, when the callback is over
    else:
        otherwise(lost)


def _interrupt_main() -> None:
    """Send Ctrl-C to the main thread. Where threads have signals of their own, one also ends a wait of that thread."""
    main_thread = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main_thread is not None:
        signal.pthread_kill(main_thread, signal.SIGINT)
    else:
        _thread.interrupt_main()


def run_command(args: list[str]) -> int:
    """Find the command, run it, and return its exit status."""
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
    if "imports" in given:  # the command takes --import and --no-python
        from minicaffe.cli import (
            user_code,  # not above: it imports numpy, and `minicaffe --help` need not wait for that
        )

        with user_code.obeying(given):
            return int(module.run(given))
    return int(module.run(given))


def parser_of(command: str) -> tuple[Any, Parser]:
    """Return the module of a command, and the parser of its flags."""
    module = importlib.import_module(f"minicaffe.cli.{COMMANDS[command][0]}")
    parser = Parser(prog=f"minicaffe {command}", description=module.__doc__, allow_abbrev=False,
                    formatter_class=Help)
    module.add_arguments(parser)
    return module, parser


def _meant(args: list[str]) -> str:
    """Return the hint for a first word that is not a command."""
    following = next((arg for arg in args[1:] if arg in COMMANDS), "")
    if following and (args[0].startswith("-") or args[0] in ("caffe", "minicaffe")):
        return f"the command comes first: minicaffe {following} ..."
    if args[0] == "device_query":
        return "minicaffe computes on the CPU; minicaffe engines says with what"
    return near_names(args[0], list(COMMANDS)) or "minicaffe --help lists them"


def _drop_output() -> None:
    """Flush stdout, and discard its buffer if that fails.

    Otherwise Python would try again at its end, and print a second error.
    """
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _double_dashes(args: Sequence[str]) -> list[str]:
    """Return the arguments with two dashes before long flags, as argparse wants them: Caffe takes `-solver F` too."""
    # A single letter, as in -o, keeps its one dash, and so does a negative number.
    return [re.sub(r"^-(?=[a-zA-Z_]\w)", "--", arg) for arg in args]


def _usage() -> str:
    width, first = terminal_width(80), 4 + max(map(len, COMMANDS))
    rows = [line for title, group in GROUPS.items()
            for line in ["", f"{title}:", *(line for name, (_, what) in group.items()
                                            for line in entry(name, what, first, width))]]
    return "\n".join(["usage: minicaffe COMMAND [flags]", *rows, "",
                      *wrap("minicaffe COMMAND --help lists a command's flags.", width), "",
                      *wrap("These commands run the code of a net's Python layers, and of layer types from installed "
                            "packages: train, test, classify, data NET, time, check, summary, draw, trace, lint, "
                            "deploy, warm NET, stub, convert with a net, extract_features and replay. With --no-python "
                            "they refuse such a net. The commands layers, explain and schema run installed packages "
                            "too, to show their types. --import MODULE first runs a module of your own, for the types "
                            "that it registers. No other command runs code that a file names.",
                            width)])


def _show_warning(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
    complain(f"minicaffe: warning: {message}")


if __name__ == "__main__":
    raise SystemExit(main())
