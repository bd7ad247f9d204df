"""Draw the curves of a training, or compare those of several: loss, test outputs and learning rate.

  minicaffe plot lenet.run                              the run folder that minicaffe train wrote
  minicaffe plot a.run b.run caffe.log --out both.svg        also text logs of Caffe and its forks

If a log holds several trainings, each of them is drawn. Its lines may begin with other words, such as the name of a
container.
"""

from __future__ import annotations

import argparse

from minicaffe.cli.terminal import say
from minicaffe.log import one_line
from minicaffe.records import curves, run_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run folder, its log.jsonl, or a text log of Caffe")
    parser.add_argument("--out", metavar="F", default="curves.png", help="a .png or .svg file (default: curves.png)")


def run(args: argparse.Namespace) -> int:
    found = [(given, run) for given in args.runs for run in run_log.read_all(given)]
    names = [run.name for _, run in found]
    for given, run in found:
        if names.count(run.name) > 1:  # two folders may hold runs of one name: tell them apart by their paths
            run.name = given
    runs = curves.without_repeats([run for _, run in found])
    left_out = curves.draw(args.out, runs)
    for run in runs:
        say(f"{one_line(run.name)}: {summary(run)}")
    say(f"curves in {args.out}" + (f"; there is no room in it for {left_out} more of them" if left_out else ""))
    return 0


def summary(run: run_log.Run) -> str:
    """Return 'iteration 500, loss 0.31, test accuracy 0.905': the last values, and then what the log does not hold."""
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
