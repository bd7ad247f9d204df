"""Train a net as a solver definition says: from its fillers, from given weights, or from a snapshot.

  minicaffe train --solver=lenet_solver.prototxt
  minicaffe train -solver F --weights base.caffemodel        fine-tune
  minicaffe train -solver F --snapshot lenet_iter_5000.solverstate        go on
  minicaffe train -solver F --resume auto        go on from the newest complete snapshot, or begin
  mpirun -n 4 minicaffe train -solver F        train on four processes

Only one training at a time may write the files of a snapshot_prefix. A second one is refused. With --resume auto it
waits until the first has ended, because a cluster may start a job again before its old process has stopped.
With --keep best the best weights are also kept as PREFIX_best.caffemodel. The run folder PREFIX.run beside the
snapshots holds the log of the training (train.log and log.jsonl) and what it was made of (run.yaml). minicaffe plot
draws the curves.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from minicaffe import lint, rng
from minicaffe.cli import failure, launcher, progress, signals
from minicaffe.cli.flags import files, filled, listed, one_second, power_of_two, seconds, whole, words
from minicaffe.cli.show import add_level_and_stage, add_permissive
from minicaffe.cli.skip_bad import add_skip_bad, report_left_out
from minicaffe.cli.terminal import complain
from minicaffe.cli.threads import add_gpu, add_threads, is_number_given, use_threads
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import NetError, SolverError
from minicaffe.log import At, lines, log, warn
from minicaffe.net import Net
from minicaffe.records import recorder
from minicaffe.solvers import Solver, checks, definition, get_solver, lr_policy
from minicaffe.solvers.doctor import doctor
from minicaffe.solvers.group import Group
from minicaffe.solvers.resume import keep, snapshot
from minicaffe.solvers.resume.group_start import begin_together
from minicaffe.solvers.schedule import criterion

REQUEUE_WAIT = 120.0  # seconds that --resume auto waits for another training of the same prefix


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--solver", metavar="F", required=True, help="the solver, a prototxt or YAML file")
    parser.add_argument("--snapshot", metavar="F", type=filled, help="a solver state (.solverstate) to go on from")
    parser.add_argument("--weights", metavar="F,F", type=files, help="files with weights to begin with, given to "
                        "the layers of the same names")
    parser.add_argument("--strict", action="store_true", help="refuse weights that lack a layer of the net, or hold "
                        "one that the net does not have")
    parser.add_argument("--resume", metavar="auto|F", type=filled, help="auto: go on from the newest complete "
                        "snapshot of the solver's prefix, or begin if there is none; a file: the same as --snapshot")
    parser.add_argument("--wait", metavar="SECONDS", type=seconds, help="how long to wait while another training "
                        f"writes snapshots of the same prefix (default: {REQUEUE_WAIT:.0f} with --resume auto, else 0)")
    parser.add_argument("--override", metavar="K=V,K=V", type=words, action="append", default=[],
                        help="change fields of the solver, such as base_lr=0.001,max_iter=2000")
    parser.add_argument("--keep", metavar="WHICH", type=filled, help="which snapshots stay on the disk: best, last:3, "
                        "or best,last:3 (default: all)")
    parser.add_argument("--early-stop", metavar="RULE", type=filled, help="stop when an output of a test net no "
                        "longer improves: accuracy:max:patience=5 stops after five tests without a better accuracy")
    parser.add_argument("--iterations", metavar="N", type=whole, help="train up to iteration N instead of max_iter")
    add_level_and_stage(parser, "train net")
    add_gpu(parser)
    add_permissive(parser)
    add_skip_bad(parser)
    add_user_code(parser)
    add_threads(parser)
    parser.add_argument("--shards", metavar="V", type=power_of_two, help="make each update of so many times iter_size "
                        "batches, which the processes that mpirun has started share; a power of two, and a multiple of "
                        "their number (default: the field shards of the solver, else their number)")
    parser.add_argument("--rank-timeout", metavar="SECONDS", type=one_second, default=60.0, help="end the training "
                        "when one of its processes has given no sign of life for so long (default: 60)")
    parser.add_argument("--on-nan", choices=("stop", "warn"), default="stop", help="what to do when a value is NaN or "
                        "Inf: stop, and say where it arose and what the likely causes are (default), or warn and go "
                        "on")
    known = ", ".join([*lint.rules(lint.NET), *doctor.HINTS])
    parser.add_argument("--silence", metavar="RULE,RULE", type=filled, action="append", default=[],
                        help=f"do not check these rules, each of which finds a training that learns nothing: {known}")
    parser.add_argument("--no-record", action="store_true", help="do not write the run folder PREFIX.run")
    parser.add_argument("--tensorboard", metavar="DIR", type=filled, help="write event files for TensorBoard into DIR")
    for name, default in (("sigint", "stop"), ("sigterm", "stop"), ("sighup", "snapshot"), ("sigusr1", "stop")):
        parser.add_argument(f"--{name}_effect", choices=signals.EFFECTS, default=default,
                            help=f"what the signal {name.upper()} makes the training do (default: {default})")


def run(args: argparse.Namespace) -> int:
    use_threads(args)
    if args.resume and args.snapshot:
        raise SolverError("--resume and --snapshot both say where to go on: give one of them")
    args.snapshot = args.snapshot or (args.resume if args.resume != "auto" else "")
    if args.snapshot and args.weights:
        raise SolverError("--snapshot goes on with a training and --weights begins one: give one of them")
    if args.strict and not args.weights:
        raise SolverError("--strict is about the files of --weights, but none is given")
    silence = lint.silenced(listed(args.silence))
    first = launcher.rank() == 0  # of several processes, one alone writes files and shows progress
    # The lock comes before the record so that it is released last: no other training begins before the run folder is
    # complete. And the record comes before the group, whose end it notes where another rank has failed.
    with progress.reporting(bar=first) as report, ExitStack() as locked, \
            recorder.recording(first and not args.no_record, args.tensorboard or "" if first else "") as record, \
            _together(args, record.failed) as group:
        param = _param(args)
        if first:
            locked.enter_context(snapshot.alone(param.snapshot_prefix, wait=_wait(args), where=args.solver))
        solver = _solver(param, args, group, silence)
        if first:
            _restore(solver, args)
        begin_together(solver)
        log(At.TRAINING_BEGINS, "Starting Optimization")
        with record.following(solver), report.following(solver), \
                signals.watching(solver, args.sigint_effect, args.sighup_effect, args.sigterm_effect,
                                 args.sigusr1_effect):
            watching = doctor.Doctor(solver, stop=args.on_nan == "stop")
            nets, all_are_here = [solver.net, *solver.test_nets], False
            try:
                solver.solve()
                all_are_here = True
            finally:
                watching.detach()
                report_left_out(nets, group if all_are_here else None)
        log(At.TRAINING_DONE, "Optimization Done.")
    return 0


@contextmanager
def _together(args: argparse.Namespace, note: Callable[[str], None]) -> Iterator[Group]:
    """Yield the group of the processes that train together. `note` is called with the error that ends all of them."""
    if launcher.processes() == 1:
        yield Group()
        return
    from minicaffe.ranks import cores, launch  # not above: one process alone needs no MPI

    def tell(text: str) -> None:
        complain(f"minicaffe: error: {text}")
        note(text)

    launcher.begin()
    with launch.together(launcher.processes(), launcher.rank, args.rank_timeout, failure.words, tell) as group:
        cores.share_cores(group, is_number_given(args))
        yield group


def _solver(param: Any, args: argparse.Namespace, group: Group, silence: frozenset[str]) -> Solver:
    """Make the solver, and check all that can be checked before it begins."""
    if param.random_seed < 0 and group.size > 1:
        rng.seed(group.broadcast(rng.upcoming()))  # so that all processes make the same nets
    net_class = partial(Net, permissive=args.permissive, allow_python=not args.no_python, skip_bad=args.skip_bad)
    solver = get_solver(param, where=args.solver, net_class=net_class, strict=args.strict, group=group)
    solver.silence = silence | set(doctor.HINTS) if group.rank else silence  # all processes would give the same hints
    _check_rules(solver)
    if param.snapshot_after_train:
        snapshot.check_writable(solver)
    _long_run(solver, args)
    return solver


def _restore(solver: Solver, args: argparse.Namespace) -> None:
    """Go on from the snapshot that --snapshot or --resume asks for."""
    if args.snapshot:
        log(At.RESUMING, f"Resuming from {args.snapshot}")
        solver.restore(args.snapshot)
    elif args.resume:
        state = solver.restore_newest()
        log(At.RESUMING, f"Resuming from {state}" if state else
            f"There is no snapshot {solver.param.snapshot_prefix}_iter_*.solverstate: training begins")


def _check_rules(solver: Solver) -> None:
    """Check the nets for mistakes: warn of likely ones, and raise NetError for certain ones."""
    # By rule and layer, so that a mistake in a layer of both nets is reported once: the train net's, which comes last.
    findings = {(found.rule, found.layer): found for net in [*reversed(solver.test_nets), solver.net]
                for found in lint.check(net, alone=True, silence=solver.silence)}
    for found in findings.values():
        if found.severity == lint.WARNING:
            warn(At.NET_BEGINS, *lines(str(found)))
    for found in findings.values():
        if found.severity == lint.ERROR:
            raise NetError(found.message, where=found.where,
                           hint=f"{found.cure}; --silence {found.rule} if this is intended")


def _wait(args: argparse.Namespace) -> float:
    """Return how many seconds to wait for another training of the same prefix.

    A cluster may start a job again while the old process still writes its last snapshot. --resume auto must go on from
    that one.
    """
    if args.wait is not None:
        return float(args.wait)
    return REQUEUE_WAIT if args.resume == "auto" else 0.0


def _long_run(solver: Solver, args: argparse.Namespace) -> None:
    """Set up what --early-stop and --keep ask for."""
    if args.early_stop:
        solver.early_stop = criterion.parse(args.early_stop, "--early-stop")
        if not solver.early_stop.patience:
            raise SolverError(f"--early-stop {args.early_stop} does not say when to stop",
                              hint=f"{args.early_stop}:patience=5 stops after five tests without a better value")
        solver.early_stop.check(solver)
    if args.keep:
        solver.keep = keep.parse(args.keep, solver, solver.early_stop)


def _param(args: argparse.Namespace) -> Any:
    """Return the solver's definition, changed as the flags say."""
    param = definition.read_solver(args.solver)
    param.train_state.level = args.level
    param.train_state.stage.extend(args.stage.split(","))  # Caffe: without --stage, the only stage is ""
    for text in args.override:
        for line in definition.override(param, text):
            log(At.FIELD_OVERRIDDEN, line)
    if args.shards is not None:
        param.shards = args.shards
    if args.iterations is not None:
        param.max_iter = args.iterations
        param.ClearField("max_epoch")
    if not param.HasField("max_iter") and not param.max_epoch:
        raise SolverError("max_iter is missing, the number of updates to make", where=args.solver,
                          hint="or set max_epoch, the number of epochs")
    lr_policy.check(param, args.solver)
    if args.snapshot or args.weights:  # both replace the weights that the solver names
        param.ClearField("weights")
    if args.weights:
        param.weights.append(args.weights)
    log(At.MODE, "Use CPU.")
    if args.gpu:  # Caffe: the flag replaces solver_mode and device_id
        checks.warn_of_devices(param, flag=f"--gpu {args.gpu}")
        checks.forget_devices(param)
    return param
