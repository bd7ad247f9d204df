"""`minicaffe convert NET WEIGHTS OUT.py`: write a net as a PyTorch module with its weights beside it, and prove it."""

from __future__ import annotations

import argparse
import keyword
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minicaffe import passes
from minicaffe.cli import carried, leaving
from minicaffe.cli.deploy import Sizes, roles_of
from minicaffe.cli.leaving import Leaving
from minicaffe.cli.preprocessing import PREPROCESSING
from minicaffe.cli.real_inputs import real_runs
from minicaffe.cli.terminal import say_lines
from minicaffe.convert import proof
from minicaffe.convert.torch_out import proof as torch_proof
from minicaffe.convert.torch_out.module import Written, module_of
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io.files import check_can_write
from minicaffe.log import plural, silent
from minicaffe.net import Net
from minicaffe.passes import deploy as deploying
from minicaffe.passes.filter import filter_layers
from minicaffe.proto import TRAIN, NetParameter

READS = (*leaving.READS, "inputs", *PREPROCESSING)
IMPORTED = ("torch", "json", "math", "pathlib")  # modules that a written file may import
TRIED = (1, 3)  # batch sizes of the proof, others than the one for which the net is made


def run(args: argparse.Namespace) -> int:
    leaving.check_files(args)
    weights = str(Path(args.target).with_suffix(".safetensors"))
    _check_names(args, weights)
    made = leaving.leaving(args)
    training, why = _training(args, made)
    files = " and ".join(Path(name).name for name in (args.model, *args.source.split(",")))
    with made.place.in_errors(made.given), silent():
        written = module_of(made.net, training, made.larger, made.outputs, files, made.line_of)
    lines = [*made.remarks, *filter(None, [why, _name_line(args.target)]), *written.remarks,
             *prove(args, made, written, training)]
    torch_proof.save(Path(args.target), written)
    say_lines([*lines, f"wrote {args.target} and {weights}"])
    return 0


def _check_names(args: argparse.Namespace, weights: str) -> None:
    """Raise DataError where a file cannot be written, or must not have its name."""
    for path in (args.target, weights):
        check_can_write("B", path)
    if Path(args.target).stem in IMPORTED:
        raise DataError(f"B: {args.target} would hide the module {Path(args.target).stem!r}, which it imports itself",
                        hint="give another name")
    for path in args.source.split(","):
        if os.path.realpath(path) == os.path.realpath(weights):
            raise DataError(f"B: the weights beside {args.target} would be written over {path}, which is read",
                            hint="give another name")


def _name_line(target: str) -> str:
    """Say where `import` cannot find the file by its name, '' where it can."""
    name = Path(target).stem
    legal = name.isidentifier() and not keyword.iskeyword(name)
    return "" if legal else f"no program can say `import {name}`: rename both files to use them so"


def _training(args: argparse.Namespace, made: Leaving) -> tuple[Net | None, str]:
    """Return the net of the phase TRAIN, with Inputs in place of its data layers; or None, and in words why.

    Nothing is to be said where the net has no loss.
    """
    net = NetParameter()
    net.CopyFrom(made.given)
    try:
        with silent():
            net = passes.upgrade(net)
            net.state.phase = TRAIN
            net = filter_layers(net)
            roles = roles_of(net)
            if not any(roles[layer.type].kind == deploying.LOSS for layer in net.layer):
                return None, ""
            if args.outputs:
                return None, "no method loss is written, because --outputs ends the net before its losses"
            batch = made.net.blobs[made.net.inputs[0]].shape[0]
            data = [layer for layer in net.layer if roles[layer.type].kind == deploying.DATA]
            shapes = Sizes(net, data, args.shape, batch).shapes
            return Net(_with_inputs(net, shapes, batch), TRAIN, weights=args.source,
                       allow_python=not args.no_python), ""
    except MinicaffeError as error:
        return None, f"no method loss is written, because the net for training cannot be made: {error.message}"


def _with_inputs(net: Any, shapes: dict[str, list[int]], batch: int) -> Any:
    """Return the net with an Input for each top of its data layers, and with its Inputs at the same batch size."""
    changed = NetParameter()
    changed.CopyFrom(net)
    del changed.layer[:]
    for layer in net.layer:
        if layer.top and layer.top[0] in shapes:
            for top in layer.top:
                changed.layer.add(name=top, type="Input", top=[top]).input_param.shape.add(dim=shapes[top])
            continue
        added = changed.layer.add()
        added.CopyFrom(layer)
        for shape in added.input_param.shape:
            shape.dim[0] = batch
    return changed


def prove(args: argparse.Namespace, made: Leaving, written: Written, training: Net | None) -> Iterator[str]:
    """Compare the module in PyTorch with the net, and say how they agree. Raise DataError where they do not."""
    if words := proof.why_not("PyTorch", "torch", torch_proof.load_torch):
        yield words
        return
    with silent(), torch_proof.imported(written) as module:
        nets = [made.net] if made.larger is None else [made.at(batch) for batch in TRIED]
        runs: Sequence[proof.Run] = [run for net in nets for run in proof.random_runs(net, made.outputs)]
        runs = [*runs, *real_runs(args, made, nets[0], carried.preparation(args, made))]
        found = proof.prove(made.net, runs, torch_proof.forward_of(module, written.inputs))
        step = torch_proof.step(module, written, made.net, training)
        version = module.torch.__version__
    if not found.holds or not step.holds:
        wrong = [*found.lines(), *(f"{one.name!r}, its gradient: {one}" for one in step.all if one.fails)]
        raise DataError("in PyTorch the module gives other numbers than the net: " + "; ".join(wrong),
                        hint=f"nothing was written, because a difference may be at most {proof.LIMIT:g} of the range "
                             "of an output or a gradient")
    yield f"proved in PyTorch {version}, with {' and '.join(found.kinds)}:"
    yield from found.lines()
    if step.loss:
        yield f"the loss in one step of training: {step.loss}"
    if step.gradients:
        worst = max(step.gradients, key=lambda one: one.part)
        yield f"the gradients of {plural(len(step.gradients), 'tensor')} in one step of training: {worst}, for " \
              f"{worst.name!r}"
    yield from step.remarks
