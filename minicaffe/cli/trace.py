"""Write a page on which you step through a net: each line of code that runs, its formula, and the numbers.

  minicaffe trace net.prototxt --out t.html
  minicaffe trace --solver solver.prototxt --iterations 3 --out t.html
  minicaffe trace deploy.prototxt --weights net.caffemodel --data image.png --out t.html

With a solver the page shows whole updates: forward, backward, and the solver's step. Without one it shows one pass. The
engine `plain` computes everything, because its code is closest to the formulas. Beside each gradient stands the slope
of the loss, measured on a copy of the net in float64. A large batch makes a large page: --batch 2 makes it smaller.

Without --data, data layers read their sources, and Input layers get random numbers. --data takes an .npz file with an
array for each blob that the net reads. Where the net reads a single blob, an .npy file will do. Where a single input
holds images, an image file will do.
"""

from __future__ import annotations

import argparse
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe import log, passes, rng
from minicaffe.cli import summary
from minicaffe.cli.flags import files, filled, natural, positive, words
from minicaffe.cli.show import add_permissive, add_state_arguments, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import DataError, NetError, near_names
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.log import one_line
from minicaffe.net import Net, location
from minicaffe.passes.filter import is_included
from minicaffe.proto import NetParameter, Phase
from minicaffe.solvers import get_solver
from minicaffe.solvers.definition import read_solver
from minicaffe.solvers.nets import TRAIN_FIELDS, net_to_train
from minicaffe.trace import inputs, session
from minicaffe.trace.format import WHOLE
from minicaffe.trace.page import trace_page

ENDINGS = (".html", ".htm")
LARGE_BATCH = 8  # samples; more make a large page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="NET", nargs="?", help="a prototxt or YAML file (default: the solver's net)")
    parser.add_argument("--out", metavar="F", type=filled, required=True, help="the page to write, an HTML file")
    parser.add_argument("--solver", metavar="F", type=filled, help="show updates by this solver, a prototxt or YAML "
                        "file")
    parser.add_argument("--iterations", metavar="K", type=positive, help="number of updates to show (default: 1)")
    parser.add_argument("--weights", metavar="F,F", type=files,
                        help="files with learned weights, given to the layers of the same names")
    parser.add_argument("--data", metavar="F", type=filled, help="what the net reads: .npz, .npy or an image")
    parser.add_argument("--batch", metavar="N", type=positive, default=0,
                        help="number of samples in a batch (default: what the net says)")
    parser.add_argument("--size", metavar="HxW", type=words, default="",
                        help="size of the images, also as CxHxW; the sources of data layers are then not read")
    parser.add_argument("--seed", metavar="N", type=natural, help="what all random numbers follow from (default: the "
                        "solver's random_seed, else 1)")
    parser.add_argument("--proofs", metavar="N", type=natural, default=WHOLE, help="for how many numbers of each "
                        f"gradient the slope is measured; 0 is for none (default: {WHOLE}, as many as the page shows)")
    add_state_arguments(parser)
    add_permissive(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    if not args.net and not args.solver:
        raise NetError("trace needs a net, or a --solver that names one")
    if args.iterations and not args.solver:
        raise NetError("--iterations counts updates, which need a --solver")
    if args.solver and args.phase != "TRAIN":
        raise NetError("--solver trains, so the phase is TRAIN", hint=f"leave out --solver or --phase {args.phase}")
    _check_ending(args.out)
    check_can_write("--out", args.out)
    with log.silent():
        data, remarks = _of_solver(args) if args.solver else _of_net(args)
    data["net"] = data["net"] or Path(args.net or args.solver).name
    data["command"] = command(args)
    data["notes"] = [*remarks, *data["notes"]]
    text = trace_page(data).encode()
    replace_file(args.out, [text])
    steps = sum(max(moment["count"], 1) for moment in data["moments"])  # as the page counts them
    say(f"{args.out}: {len(data['layers'])} layers, {len(data['moments'])} passes of a layer, {steps} steps, "
        f"{len(text) / 1000:.0f} KB")
    for remark in remarks:
        say(remark)
    return 0


def _check_ending(out: str) -> None:
    """Refuse a page that no browser would take for one."""
    ending = Path(out).suffix
    if ending.lower() not in ENDINGS:
        raise DataError(f"--out {one_line(out)}: a page ends in {' or '.join(ENDINGS)}, got "
                        f"{repr(ending) if ending else 'no ending'}", hint=near_names(ending, list(ENDINGS)))


def _of_net(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Return the page's data for one pass of a net, and remarks about what was assumed."""
    seed = 1 if args.seed is None else args.seed
    given, place = location.read(args.net)
    given.state.phase, given.state.level = Phase.Value(args.phase), args.level
    given.state.stage.extend(stages(args))
    with place.in_errors(given):
        definition = passes.upgrade(given)
        arrays, remarks = _prepare(definition, args)
        rng.seed(seed)
        net = Net(definition, None, permissive=args.permissive, allow_python=not args.no_python)
    if args.weights:
        net.copy_trained_from(args.weights)
    with place.in_errors(given):
        remarks += inputs.fill(net, arrays, seed) + _of_batch(net)
        return session.of_net(net, seed=seed, proofs=args.proofs), remarks


def _of_solver(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Return the page's data for updates of a solver, and remarks about what was assumed."""
    param = session.without_tests(read_solver(args.solver))
    param.train_state.level = args.level
    param.train_state.stage.extend(stages(args))
    if args.net:
        for field in TRAIN_FIELDS:
            param.ClearField(field)
        param.net = args.net
    if args.seed is not None or param.random_seed < 0:
        param.random_seed = 1 if args.seed is None else args.seed
    if args.weights:
        param.ClearField("weights")
        param.weights.append(args.weights)
    param.max_iter = args.iterations or 1
    choice = net_to_train(param, args.solver)
    given, place = location.read(choice.definition)
    given.state.CopyFrom(choice.state)
    with place.in_errors(given):
        definition = passes.upgrade(given)
        before = definition.SerializeToString()
        arrays, remarks = _prepare(definition, args)
        if definition.SerializeToString() != before:
            for field in TRAIN_FIELDS:
                param.ClearField(field)
            param.train_net_param.CopyFrom(definition)
        solver = get_solver(param, where=args.solver, net_class=partial(Net, permissive=args.permissive,
                                                                         allow_python=not args.no_python))
        remarks += inputs.fill(solver.net, arrays, param.random_seed) + _of_batch(solver.net)
        return session.of_solver(solver, param.max_iter, seed=param.random_seed, proofs=args.proofs), remarks


def _prepare(definition: Any, args: argparse.Namespace) -> tuple[dict[str, np.ndarray], list[str]]:
    """Change a net's definition as the flags about data say. Return the arrays for its inputs, and remarks."""
    layers = NetParameter(layer=[layer for layer in definition.layer if is_included(layer, definition.state)])
    arrays, remarks = inputs.read(layers, args.data) if args.data else ({}, [])
    inputs.take_over(layers, arrays, args.data or "")
    del definition.layer[:]
    definition.layer.extend(layers.layer)
    if args.batch and arrays:
        raise DataError("--batch and --data both say how many samples there are: give one of them")
    if args.batch and not summary.takes_batch(definition):
        remarks.append(f"--batch {args.batch} changes nothing: no layer of this net says in a field how "
                       "many samples it puts out.")
    return arrays, remarks + summary.resize(definition, args.batch, args.size)


def _of_batch(net: Net) -> list[str]:
    """Return a remark where the batch is large."""
    first = [top.shape[0] for tops, bottoms in zip(net.tops, net.bottoms, strict=True) if not bottoms
             for top in tops if len(top.shape) == 4]
    if not first or max(first) <= LARGE_BATCH:
        return []
    return [f"The batch has {max(first)} samples; --batch 2 makes a smaller page in less time."]


def command(args: argparse.Namespace) -> str:
    """Return the command that makes the same page again."""
    parts = ["minicaffe", "trace", *filter(None, [args.net])]
    for name in ("solver", "iterations", "weights", "data", "batch", "size", "seed", "level", "stage"):
        if value := getattr(args, name):
            parts += [f"--{name}", str(value)]
    parts += ["--phase", args.phase] * (args.phase != "TRAIN") + ["--proofs", str(args.proofs)] * (args.proofs != WHOLE)
    parts += [part for name in args.imports for part in ("--import", name)]
    return shlex.join([*parts, "--out", Path(args.out).name])
