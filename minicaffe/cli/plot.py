"""Draw the curves of a training, or compare those of several: loss, test outputs and learning rate.

  minicaffe plot lenet.run                              the record that minicaffe train wrote beside its snapshots
  minicaffe plot a.run b.run caffe.log --out both.svg        text logs of Caffe's too
"""

from __future__ import annotations

import argparse

from minicaffe.cli import curves, run_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run's folder, its log.jsonl, or a log of Caffe's")
    parser.add_argument("--out", metavar="F", default="curves.png", help="a .png or .svg file (default: curves.png)")


def run(args: argparse.Namespace) -> int:
    runs = [run_log.read(given) for given in args.runs]
    names = [run.name for run in runs]
    for run, given in zip(runs, args.runs, strict=True):
        if names.count(run.name) > 1:
            run.name = given
    curves.draw(args.out, runs)
    for run in runs:
        print(f"{run.name}: {summary(run)}")
    print(f"curves in {args.out}")
    return 0


def summary(run: run_log.Run) -> str:
    """'iteration 500, loss 0.31, test accuracy 0.905': the last of each curve."""
    loss = run.train.get("loss", [])
    last = [f"loss {loss[-1][1]:.6g}"] if loss else []
    last += [f"test {name} {curve[-1][1]:.6g}" for name, curve in run.test.items()]
    iteration = max(curve[-1][0] for curve in (*run.train.values(), *run.test.values()))
    return f"iteration {iteration}, {', '.join(last)}"
