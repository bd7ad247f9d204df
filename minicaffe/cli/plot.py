"""Draw the curves of a training, or compare those of several: loss, test outputs and learning rate.

  minicaffe plot lenet.run                              the record that minicaffe train wrote beside its snapshots
  minicaffe plot a.run b.run caffe.log --out both.svg        text logs of Caffe and its forks too

A log may hold several trainings, each of which is drawn, and anything before each line, such as a container's name.
"""

from __future__ import annotations

import argparse

from minicaffe.cli.terminal import say
from minicaffe.log import one_line
from minicaffe.records import curves, run_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run's folder, its log.jsonl, or a log of Caffe's")
    parser.add_argument("--out", metavar="F", default="curves.png", help="a .png or .svg file (default: curves.png)")


def run(args: argparse.Namespace) -> int:
    found = [(given, run) for given in args.runs for run in run_log.read_all(given)]
    names = [run.name for _, run in found]
    for given, run in found:
        if names.count(run.name) > 1:
            run.name = given
    runs = curves.without_repeats([run for _, run in found])
    left_out = curves.draw(args.out, runs)
    for run in runs:
        say(f"{one_line(run.name)}: {summary(run)}")
    say(f"curves in {args.out}" + (f"; it has no room for {left_out} more of them" if left_out else ""))
    return 0


def summary(run: run_log.Run) -> str:
    """'iteration 500, loss 0.31, test accuracy 0.905': the last of each loss and test; then what is missing."""
    named = [(name, curve) for name, curve in run.train.items() if "loss" in name]
    losses = named or list(run.train.items())  # a net's only loss may have any name, "(automatic)" among them
    last = [f"{one_line(name)} {curve[-1][1]:.6g}" for name, curve in losses]
    last += [f"test {one_line(name)} {curve[-1][1]:.6g}" for name, curve in run.test.items()]
    words = ", ".join([f"iteration {run.last}", *last])
    if run.failure:
        words += f"; failed at iteration {run.failure[0]}: {one_line(run.failure[1].splitlines()[0])}" \
            if run.failure[1] else f"; failed at iteration {run.failure[0]}"
    missing = [what for what, there in (("training loss", losses), ("test", run.test), ("learning rate", run.rate))
               if not there]
    return words + (f"; the log shows no {' and no '.join(missing)}" if missing else "")
