"""Follow a page as a reader does: what it runs is run, and what it prints is compared.

A page's code blocks are taken in order:

    ```console           commands behind `$ `, each followed by what it prints on stdout and stderr
    ```python            is run; a ```text block right below it is what it prints
    ```prototxt          is parsed, as layers, as fields of a layer or as a solver
    ```LANGUAGE NAME     is written into the file NAME

In an output, a line `...` stands for any lines and `…` for any part of a line. A number with a decimal point may be
half or double, or differ by 0.1; before a unit of time, speed or memory it may be any. Dates, times and process
numbers of log lines are not compared.
"""

import os
import re
import subprocess
import sys

import pytest

from minicaffe.errors import ProtoError
from minicaffe.proto import LayerParameter, NetParameter, SolverParameter
from minicaffe.proto.text import parse

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOG = r"[IWE]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ "  # how a line of Caffe's log begins
NUMBER = r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e[+-]?\d+"
UNIT = r"(?= ?(?:iter/s|images/s|ms\b|s\b|s/|[KMG]iB|GFLOP))"
TOKENS = re.compile(f"(?P<log>{LOG})|(?P<measured>(?:{NUMBER}){UNIT})|(?P<number>{NUMBER})|(?P<any>…)|(?P<text>.)")
PATTERNS = {"log": LOG, "measured": r"[\d.e+-]+", "any": r".*"}
ANY_NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"


def pattern(line):
    """The regular expression for a line as it is shown; its groups are the numbers to compare."""
    if line == "...":
        return r"(?:.*\n)*?"
    parts = (PATTERNS.get(token.lastgroup) or (ANY_NUMBER if token.lastgroup == "number" else re.escape(token[0]))
             for token in TOKENS.finditer(line))
    return "".join(parts) + "\n"


def near(shown, found):
    """Whether two numbers are those of two runs of the same training."""
    return abs(shown - found) <= 0.1 or 0.5 <= found / (shown or 1) <= 2


def agree(shown, found):
    """Whether the text that a command printed is the one that is shown."""
    match = re.fullmatch("".join(map(pattern, shown.splitlines())), found)
    numbers = [float(token[0]) for line in shown.splitlines() for token in TOKENS.finditer(line)
               if token.lastgroup == "number"]
    return bool(match) and all(near(a, float(b)) for a, b in zip(numbers, match.groups(), strict=True))


class Reader:
    """Follows a page in the folder `page` below `folder`, which may hold files already."""

    def __init__(self, folder):
        self.here = folder / "page"
        programs = folder / "programs"
        programs.mkdir()
        self.here.mkdir(exist_ok=True)
        for name, arguments in (("python", ""), ("minicaffe", " -m minicaffe.cli")):
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        self.printed = ""

    def follow(self, page):
        """Take the blocks of a page in order."""
        for language, name, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            self.block(language, name, text)

    def block(self, language, name, text):
        if name:
            (self.here / name).write_text(text, encoding="utf-8")
        elif language == "console":
            for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                self.command(command, shown)
        elif language == "python":
            self.printed = self.run(f'"{sys.executable}" -', text)
        elif language == "text":
            assert agree(text, self.printed), f"shown:\n{text}\nprinted:\n{self.printed}"
        elif language == "prototxt":
            assert parses(text), text
        else:
            pytest.fail(f"no rule for a block of {language}")

    def command(self, command, shown):
        if command.startswith("cd "):
            self.here = self.here / command[3:]
            return
        printed = self.run(command)
        assert agree(shown, printed), f"$ {command}\nshown:\n{shown}\nprinted:\n{printed[-6000:]}"

    def run(self, command, given=None):
        run = subprocess.run(command, shell=True, cwd=self.here, env=self.environment, input=given, text=True,
                             encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert given is None or run.returncode == 0, run.stdout
        return run.stdout


def parses(text):
    """Whether a text is layers, fields of a layer, or fields of a solver."""
    for message in (NetParameter, LayerParameter, SolverParameter):
        try:
            parse(text, message())
        except ProtoError:
            continue
        return True
    return False
