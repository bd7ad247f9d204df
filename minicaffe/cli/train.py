"""Train a net as a solver definition says, from fillers, from given weights, or from a snapshot.

  minicaffe train --solver=lenet_solver.prototxt
  minicaffe train -solver F --weights base.caffemodel        fine-tune
  minicaffe train -solver F --snapshot lenet_iter_5000.solverstate        go on
  minicaffe train -solver F --resume auto        go on from the newest complete snapshot, or begin

Only one training at a time may write the files of a snapshot_prefix. A second one is refused. With --resume auto it
waits until the first has ended, for a cluster may requeue a job before its old process has stopped.
With --keep best the best weights are also called PREFIX_best.caffemodel. Beside the snapshots, in PREFIX.run, stands
the record of the training: log.jsonl, train.log and run.yaml; minicaffe plot draws it.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from functools import partial
from typing import Any

from minicaffe import lint
from minicaffe.cli import progress, signals
from minicaffe.cli.flags import files, filled, seconds, whole, words
from minicaffe.cli.show import add_permissive
from minicaffe.cli.threads import add_threads, use_threads
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import NetError, SolverError
from minicaffe.log import At, lines, log, warn
from minicaffe.net import Net
from minicaffe.records import recorder
from minicaffe.solvers import Solver, checks, definition, get_solver, lr_policy
from minicaffe.solvers.doctor import doctor
from minicaffe.solvers.resume import keep, snapshot
from minicaffe.solvers.schedule import criterion

REQUEUE_WAIT = 120.0  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--solver", metavar="F", required=True, help="the solver, a prototxt or YAML file")
    parser.add_argument("--snapshot", metavar="F", type=filled, help="a solver state to go on from")
    parser.add_argument("--weights", metavar="F,F", type=files, help="weights to begin with, by layer name")
    parser.add_argument("--strict", action="store_true", help="refuse weights that do not fit the net exactly")
    parser.add_argument("--resume", metavar="auto|F", type=filled, help="auto: go on from the newest complete "
                        "snapshot of the solver's prefix, or begin where there is none; a state: as --snapshot")
    parser.add_argument("--wait", metavar="SECONDS", type=seconds, help="how long to wait while another training "
                        f"writes snapshots of the same prefix (default: {REQUEUE_WAIT:.0f} with --resume auto, else 0)")
    parser.add_argument("--override", metavar="K=V,K=V", type=words, action="append", default=[],
                        help="set fields of the solver: base_lr=0.001,max_iter=2000")
    parser.add_argument("--keep", metavar="WHICH", type=filled, help="snapshots to keep on the disk: best, last:3, or "
                        "best,last:3 (default: all)")
    parser.add_argument("--early-stop", metavar="RULE", type=filled, help="stop when a test net's output gets no "
                        "better: accuracy:max:patience=5 (tests)")
    parser.add_argument("--iterations", metavar="N", type=whole, help="train up to update N instead of max_iter")
    parser.add_argument("--level", type=whole, default=0, help="the train net's level")
    parser.add_argument("--stage", type=words, default="", help="the train net's stages, separated by commas")
    parser.add_argument("--gpu", type=words, default="", help="accepted as Caffe's; the CPU does the work")
    add_permissive(parser)
    add_user_code(parser)
    add_threads(parser)
    parser.add_argument("--on-nan", choices=("stop", "warn"), default="stop", help="what a value that is NaN or Inf "
                        "does: stop with its place and likely causes (default), or warn and go on")
    known = ", ".join([*lint.rules(), *doctor.HINTS])
    parser.add_argument("--silence", metavar="RULE,RULE", type=filled, action="append", default=[],
                        help=f"rules that are not to be checked, all of trainings that learn nothing: {known}")
    parser.add_argument("--no-record", action="store_true", help="write no PREFIX.run beside the snapshots")
    parser.add_argument("--tensorboard", metavar="DIR", type=filled, help="write event files for TensorBoard into DIR")
    for name, default in (("sigint", "stop"), ("sigterm", "stop"), ("sighup", "snapshot")):
        parser.add_argument(f"--{name}_effect", choices=signals.EFFECTS, default=default,
                            help=f"what {name.upper()} does (default: {default})")


def run(args: argparse.Namespace) -> int:
    use_threads(args)
    if args.resume and args.snapshot:
        raise SolverError("--resume and --snapshot both say where to go on: give one of them")
    args.snapshot = args.snapshot or (args.resume if args.resume != "auto" else "")
    if args.snapshot and args.weights:
        raise SolverError("--snapshot goes on with a training and --weights begins one: give one of them")
    if args.strict and not args.weights:
        raise SolverError("--strict judges the files of --weights, but none is given")
    silence = lint.silenced(name for names in args.silence for name in names.split(",") if name)
    with ExitStack() as locked, progress.reporting() as report, \
            recorder.recording(not args.no_record, args.tensorboard or "") as record:
        param = _param(args)
        locked.enter_context(snapshot.alone(param.snapshot_prefix, wait=_wait(args), where=args.solver))
        solver = get_solver(param, where=args.solver, net_class=partial(Net, permissive=args.permissive,
                                                                         allow_python=not args.no_python),
                            strict=args.strict)
        solver.silence = silence
        _check_rules(solver)
        if param.snapshot_after_train:
            snapshot.check_writable(solver)
        _long_run(solver, args)
        if args.snapshot:
            log(At.RESUMING, f"Resuming from {args.snapshot}")
            solver.restore(args.snapshot)
        elif args.resume:
            state = solver.restore_newest()
            log(At.RESUMING, f"Resuming from {state}" if state else
                f"There is no snapshot {param.snapshot_prefix}_iter_*.solverstate: training begins")
        log(At.TRAINING_BEGINS, "Starting Optimization")
        with record.following(solver), report.following(solver), \
                signals.watching(solver, args.sigint_effect, args.sighup_effect, args.sigterm_effect):
            watching = doctor.Doctor(solver, stop=args.on_nan == "stop")
            try:
                solver.solve()
            finally:
                watching.detach()
        log(At.TRAINING_DONE, "Optimization Done.")
    return 0


def _check_rules(solver: Solver) -> None:
    """Say what the rules find in the nets; NetError for what can only be a mistake."""
    findings = {(found.rule, found.layer): found for net in [*reversed(solver.test_nets), solver.net]
                for found in lint.check(net, alone=True, silence=solver.silence)}
    for found in findings.values():
        if found.severity == lint.WARNING:
            warn(At.NET_BEGINS, *lines(str(found)))
    for found in findings.values():
        if found.severity == lint.ERROR:
            raise NetError(found.message, where=found.where,
                           hint=f"{found.cure}; --silence {found.rule} if it is meant so")


def _wait(args: argparse.Namespace) -> float:
    """How many seconds to wait for another training of the same prefix.

    A cluster that requeues a job may start it while the old process still writes its last snapshot, from which
    --resume auto is to go on.
    """
    if args.wait is not None:
        return float(args.wait)
    return REQUEUE_WAIT if args.resume == "auto" else 0.0


def _long_run(solver: Solver, args: argparse.Namespace) -> None:
    """What --early-stop and --keep say."""
    if args.early_stop:
        solver.early_stop = criterion.parse(args.early_stop, "--early-stop")
        if not solver.early_stop.patience:
            raise SolverError(f"--early-stop {args.early_stop} says not when to stop",
                              hint=f"{args.early_stop}:patience=5 stops after five tests without a better one")
        solver.early_stop.check(solver)
    if args.keep:
        solver.keep = keep.parse(args.keep, solver, solver.early_stop)


def _param(args: argparse.Namespace) -> Any:
    """The solver's definition with what the flags change."""
    param = definition.read_solver(args.solver)
    param.train_state.level = args.level
    param.train_state.stage.extend(args.stage.split(","))  # Caffe: no --stage is the stage ""
    for text in args.override:
        for line in definition.override(param, text):
            log(At.FIELD_OVERRIDDEN, line)
    if args.iterations is not None:
        param.max_iter = args.iterations
        param.ClearField("max_epoch")
    if not param.HasField("max_iter") and not param.max_epoch:
        raise SolverError("max_iter is missing: it says how many updates to make", where=args.solver,
                          hint="max_epoch counts epochs instead")
    lr_policy.check(param, args.solver)
    if args.snapshot or args.weights:
        param.ClearField("weights")
    if args.weights:
        param.weights.append(args.weights)
    log(At.MODE, "Use CPU.")
    if args.gpu:  # Caffe: the flag goes before solver_mode and device_id
        checks.warn_of_devices(param, flag=f"--gpu {args.gpu}")
        checks.forget_devices(param)
    return param
