"""Write a page on which you step through a net: each line of code that runs, its formula, and the numbers.

  minicaffe trace net.prototxt --out t.html
  minicaffe trace --solver solver.prototxt --iterations 3 --out t.html
  minicaffe trace deploy.prototxt --weights net.caffemodel --data image.png --out t.html

With a solver the page shows whole updates: forward, backward, and the solver's step. Without one it shows one pass. The
engine `plain` computes everything, because its code is closest to the formulas. Beside each gradient stands the slope
of the loss, measured on a copy of the net in float64. A large batch makes a large page: --batch 2 makes it smaller.

Without --data, data layers read their sources, and Input layers get random numbers. --data takes an .npz file with an
array for each blob that the net reads. Where the net reads a single blob, an .npy file will do. Where a single input
holds images, an image file will do. It is prepared as the net's comment `# preprocessing:` says, which `minicaffe
deploy` writes.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe import log, passes, rng
from minicaffe.analysis import resize
from minicaffe.cli.classify_net import of_comment
from minicaffe.cli.flags import files, filled, natural, positive, words
from minicaffe.cli.preprocessing import no_flags
from minicaffe.cli.show import add_permissive, add_state_arguments, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import DataError, MinicaffeError, NetError, near_names
from minicaffe.io import prototxt
from minicaffe.io.files import check_can_write, read_bytes, replace_file
from minicaffe.log import one_line
from minicaffe.net import Net, location
from minicaffe.passes.filter import is_included
from minicaffe.proto import NetParameter, Phase, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import fields, get_solver
from minicaffe.solvers.definition import read_solver
from minicaffe.solvers.nets import TRAIN_FIELDS, net_to_train
from minicaffe.trace import inputs, session
from minicaffe.trace.format import WHOLE
from minicaffe.trace.page import trace_page
from minicaffe.trace.proof import affordable

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
    parser.add_argument("--proofs", metavar="N", type=natural, help="for how many numbers of each gradient the slope "
                        f"is measured; 0 is for none (default: {WHOLE}, as many as the page shows; fewer for a net "
                        "that takes long)")
    add_state_arguments(parser)
    add_permissive(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    if args.net and not args.solver and _is_solver(args.net):
        args.net, args.solver = None, args.net
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


def _is_solver(path: str) -> bool:
    """Return whether a file holds a solver rather than a net, or something that cannot be read."""
    try:
        source = prototxt.read_source(path)
        read = prototxt.as_net_or_solver(lambda message: proto_text.parse(source.text, message, source.filename))
    except MinicaffeError:
        return False  # the error is raised again where the net is read, with a hint
    return isinstance(read, SolverParameter)


def _check_ending(out: str) -> None:
    """Refuse a page that no browser would take for one."""
    ending = Path(out).suffix
    if ending.lower() not in ENDINGS:
        raise DataError(f"--out {one_line(out)}: a page ends in {' or '.join(ENDINGS)}, got "
                        f"{repr(ending) if ending else 'no ending'}", hint=near_names(ending, list(ENDINGS)))


def _of_net(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Return the page's data for one pass of a net, and remarks about what was assumed."""
    seed = 1 if args.seed is None else args.seed
    given, place = location.read(args.net, location.outside(Phase.Value(args.phase), args.level, stages(args)))
    location.set_state(given, Phase.Value(args.phase), args.level, stages(args))
    with place.in_errors(given):
        definition = passes.upgrade(given)
        arrays, remarks = _prepare(definition, args, args.net)
        rng.seed(seed)
        net = Net(definition, None, permissive=args.permissive, allow_python=not args.no_python)
    if args.weights:
        net.copy_trained_from(args.weights)
    with place.in_errors(given):
        remarks += inputs.fill(net, arrays, seed) + _of_batch(net)
        return session.of_net(net, seed=seed, proofs=_proofs(args, net, 1, remarks)), remarks


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
    given, place = location.read(choice.definition, location.outside(choice.state.phase, choice.state.level,
                                                                      choice.state.stage))
    given.state.CopyFrom(choice.state)
    with place.in_errors(given):
        definition = passes.upgrade(given)
        before = definition.SerializeToString()
        arrays, remarks = _prepare(definition, args, choice.definition)
        if definition.SerializeToString() != before:
            for field in TRAIN_FIELDS:
                param.ClearField(field)
            param.train_net_param.CopyFrom(definition)
        solver = get_solver(param, where=args.solver, net_class=partial(Net, permissive=args.permissive,
                                                                         allow_python=not args.no_python))
        remarks += inputs.fill(solver.net, arrays, param.random_seed) + _of_batch(solver.net)
        proofs = _proofs(args, solver.net, param.max_iter * fields.parts(param), remarks)
        return session.of_solver(solver, param.max_iter, seed=param.random_seed, proofs=proofs), remarks


def _prepare(definition: Any, args: argparse.Namespace, given: Any) -> tuple[dict[str, np.ndarray], list[str]]:
    """Change a net's definition as the flags about data say. Return the arrays for its inputs, and remarks.

    given    the net's file, or its definition where a solver holds it
    """
    layers = NetParameter(layer=[layer for layer in definition.layer if is_included(layer, definition.state)])
    text = prototxt.read_source(given).text if args.data and isinstance(given, str) else ""
    arrays, remarks = inputs.read(layers, args.data, partial(_image, text)) if args.data else ({}, [])
    inputs.take_over(layers, arrays, args.data or "")
    del definition.layer[:]
    definition.layer.extend(layers.layer)
    if args.batch and arrays:
        raise DataError("--batch and --data both say how many samples there are: give one of them")
    if args.batch and not resize.takes_batch(definition):
        remarks.append(f"--batch {args.batch} changes nothing: no layer of this net says in a field how "
                       "many samples it puts out.")
    return arrays, remarks + resize.resize(definition, args.batch, args.size)


def _image(text: str, path: str, top: str, shape: Sequence[int]) -> tuple[np.ndarray, list[str]]:
    """Return an image file as the array that an input of this name and shape reads, with remarks.

    text    the net's definition: its comment may say how images are prepared
    """
    made, remarks = of_comment(text, shape, no_flags())
    values = made([made.decode(read_bytes(path), path)], [path])
    if values.shape[1:] != tuple(shape[1:]):
        raise DataError(f"--data {path}: prepared as the net's comment says, the image has the shape "
                        f"{values.shape[1:]}, and the input {top!r} takes {tuple(shape[1:])}")
    return values, [f"{top} holds {Path(path).name}: {made}.", *remarks]


def _proofs(args: argparse.Namespace, net: Net, passes_of_net: int, remarks: list[str]) -> int:
    """Return for how many numbers of a gradient slopes are measured. Add a remark where a large net gets fewer."""
    if args.proofs is not None:
        return int(args.proofs)
    count = affordable(net, passes_of_net)
    if count < WHOLE:
        what = f"the slope is measured beside {count} numbers of each gradient" if count > 1 else \
            "the slope is measured beside one number of each gradient" if count else "no slopes are measured"
        remarks.append(f"To measure all slopes would take long here, so {what}; --proofs {WHOLE} measures all that are "
                       "shown.")
    return count


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
    parts += ["--phase", args.phase] * (args.phase != "TRAIN")
    parts += ["--proofs", str(args.proofs)] * (args.proofs is not None)
    parts += [part for name in args.imports for part in ("--import", name)]
    return shlex.join([*parts, "--out", Path(args.out).name])
