"""Train a net as a solver definition says, from fillers, from given weights, or from a snapshot.

  minicaffe train --solver=lenet_solver.prototxt
  minicaffe train -solver F --weights base.caffemodel        fine-tune
  minicaffe train -solver F --snapshot lenet_iter_5000.solverstate        go on
"""

from __future__ import annotations

import argparse
from typing import Any

from minicaffe.cli import progress, signals
from minicaffe.errors import SolverError
from minicaffe.log import log, warn
from minicaffe.proto import SolverParameter
from minicaffe.solvers import definition, get_solver


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--solver", metavar="F", required=True, help="the solver, a prototxt or YAML file")
    parser.add_argument("--snapshot", metavar="F", default="", help="a solver state to go on from")
    parser.add_argument("--weights", metavar="F,F", default="", help="weights to begin with, by layer name")
    parser.add_argument("--iterations", metavar="N", type=int, help="train up to update N instead of max_iter")
    parser.add_argument("--level", type=int, default=0, help="the train net's level")
    parser.add_argument("--stage", default="", help="the train net's stages, separated by commas")
    parser.add_argument("--gpu", default="", help="accepted as Caffe's; the CPU does the work")
    for name, default in (("sigint", "stop"), ("sighup", "snapshot")):
        parser.add_argument(f"--{name}_effect", choices=signals.EFFECTS, default=default,
                            help=f"what {name.upper()} does (default: {default})")


def run(args: argparse.Namespace) -> int:
    if args.snapshot and args.weights:
        raise SolverError("--snapshot goes on with a training and --weights begins one: give one of them")
    with progress.reporting() as report:
        param = _param(args)
        solver = get_solver(param, where=args.solver)
        if args.snapshot:
            log("caffe.cpp:235", f"Resuming from {args.snapshot}")
            solver.restore(args.snapshot)
        log("caffe.cpp:239", "Starting Optimization")
        with report.following(solver), signals.watching(solver, args.sigint_effect, args.sighup_effect):
            solver.solve()
        log("caffe.cpp:250", "Optimization Done.")
    return 0


def _param(args: argparse.Namespace) -> Any:
    """The solver's definition with what the flags change."""
    param = definition.read_solver(args.solver)
    param.train_state.level = args.level
    param.train_state.stage.extend(args.stage.split(","))  # Caffe: no --stage is the stage ""
    if args.iterations is not None:
        param.max_iter = args.iterations
    if args.snapshot or args.weights:
        param.ClearField("weights")
    if args.weights:
        param.weights.append(args.weights)
    log("caffe.cpp:197", "Use CPU.")
    if args.gpu or (param.HasField("solver_mode") and param.solver_mode == SolverParameter.GPU):
        asked = f"--gpu {args.gpu}" if args.gpu else "solver_mode: GPU"
        warn("caffe.cpp:204", f"{asked} is set, but minicaffe computes on the CPU: training goes on there")
    return param
