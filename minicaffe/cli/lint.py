"""Find mistakes in nets, solvers and data before a training: each with its file, line, reason and cure.

  minicaffe lint solver.prototxt                    the solver, its nets, and the first samples of their data
  minicaffe lint solver.prototxt deploy.prototxt    and the net to deploy, compared with the train net
  minicaffe lint train_val.prototxt                 a net alone, in the phases TRAIN and TEST
  minicaffe lint --explain label-range              what a rule means, an example, and the cure

An error can only be a mistake, and the exit status is 1 where there is one. A warning probably is one. A note is about
what cannot be decided from the files alone. A net can be examined without its data: the rules about data look at what
is there, and read the first --samples samples of each source.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

from minicaffe import lint
from minicaffe.cli.flags import filled, listed, natural
from minicaffe.cli.results import json_text
from minicaffe.cli.show import add_level_and_stage, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import MinicaffeError
from minicaffe.layout import code, entry, terminal_width, wrap
from minicaffe.log import one_line, plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="*", help="nets and solvers, prototxt or YAML")
    parser.add_argument("--silence", metavar="RULE,RULE", type=filled, action="append", default=[],
                        help="leave these rules out")
    parser.add_argument("--json", action="store_true", help="print JSON: files, findings, and what was read")
    parser.add_argument("--samples", metavar="N", type=natural, default=1000,
                        help="how many samples of each source are read, at most (default: 1000; 0 reads none)")
    parser.add_argument("--explain", metavar="RULE", type=filled, help="explain a rule; `all` lists the rules")
    add_level_and_stage(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    if args.explain:
        explain(args.explain)
        return 0
    if not args.files:
        raise MinicaffeError("lint needs the names of nets or solvers", hint="minicaffe lint solver.prototxt")
    report = lint.examine(args.files, silence=listed(args.silence), level=args.level, stages=stages(args),
                          samples=args.samples, allow_python=not args.no_python)
    if args.json:
        say(json_text(as_json(report)), end="")
    else:
        show(report)
    return int(report.count(lint.ERROR) > 0)


def as_json(report: lint.Report) -> dict[str, Any]:
    """Return the report as what --json prints."""
    return {"files": report.files, "read": report.read, "findings": [
        {"rule": one.rule, "severity": one.severity, "file": one.file, "line": one.line or None,
         "layer": one.layer or None, "reason": one.message, "cure": one.cure} for one in report.findings]}


def show(report: lint.Report) -> None:
    """Print the findings, then what was read and how many there are."""
    width = terminal_width()
    for one in report.findings:
        first, *excerpt = one.message.split("\n")  # a parse error shows the line itself below its message
        for line in wrap(one_line(f"{one.where}: {one.severity}: {first} ({one.rule})"), width, hanging="    "):
            say(line)
        for line in excerpt:
            say(line)
        for line in wrap(one_line(f"cure: {one.cure}"), width, "    ", "        "):
            say(line)
    for words in report.read:
        for line in wrap(one_line(words), width, hanging="    "):
            say(line)
    for line in wrap(in_words(report), width):
        say(line)


def in_words(report: lint.Report) -> str:
    """Return '2 errors, 1 warning and no notes in 3 files'."""
    errors, warnings, notes = (re.sub("^0", "no", plural(report.count(severity), severity))
                               for severity in (lint.ERROR, lint.WARNING, lint.NOTE))
    return f"{errors}, {warnings} and {notes} in {plural(len(report.files), 'file')}"


def explain(name: str) -> None:
    """Print what a rule means, or list all rules."""
    width = terminal_width(80)
    if name == "all":
        for rule in sorted(lint.rules()):
            for line in entry(rule, lint.explanation(rule).summary, 26, width):
                say(line)
        return
    text = lint.explanation(name)
    for line in [name, "", *wrap(text.summary, width), "", *(wrap(text.why, width) if text.why else []), "",
                 "Example", *(line for part in text.example.split("\n") for line in code(part, width)), "",
                 *wrap(f"Cure: {text.cure}", width)]:
        say(line)
