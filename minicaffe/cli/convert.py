"""Rewrite a file in another format. The content of A says what A is, and the name of B says what to make of it.

  minicaffe convert net.prototxt net.yaml                    a net or a solver, and back
  minicaffe convert lenet.caffemodel lenet.safetensors       weights: .caffemodel, .h5, .npz, .safetensors
  minicaffe convert old.caffemodel new.caffemodel            upgrade layers of Caffe's old formats V0 and V1
  minicaffe convert lenet.npz lenet.caffemodel --model lenet.prototxt      put the net into the file as well
  minicaffe convert lenet.caffemodel lenet.prototxt          take the net out of a weight file
  minicaffe convert a.solverstate a.solverstate.h5           a solver state, and back
  minicaffe convert lenet.prototxt lenet.caffemodel lenet.onnx     a net with its weights as an ONNX model
  minicaffe convert lenet.prototxt lenet.caffemodel lenet.py       as a PyTorch module, with lenet.safetensors beside it
  minicaffe convert model.onnx net.prototxt                        an ONNX model as a net, with net.caffemodel beside it

A net that becomes an ONNX model or a PyTorch module is that of the phase TEST, with inputs in place of data layers,
with Softmax or Sigmoid in place of losses, and without labels. The new one is run beside the old one, and the largest
difference of each output is printed; where one is too large, nothing is written. docs/leaving.md and docs/entering.md
say more.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from minicaffe import passes
from minicaffe.cli import leaving
from minicaffe.cli.class_names import add_labels
from minicaffe.cli.flags import add_dialect, filled
from minicaffe.cli.preprocessing import add_preprocessing
from minicaffe.cli.real_inputs import add_inputs
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import DataError, ProtoError
from minicaffe.io import binary, prototxt, renumber, solverstate, weights
from minicaffe.io.binary import LayerWeights
from minicaffe.io.files import HDF5_SUFFIXES, is_hdf5_name, without_hdf5_suffix
from minicaffe.io.prototxt import as_net_or_solver
from minicaffe.log import warn
from minicaffe.proto import TEST, NetParameter
from minicaffe.records import glog

DEFINITIONS = (".prototxt", ".yaml", ".yml")
ONNX = ".onnx"
ALWAYS = ("help", "imports", "no_python")  # the flags that every form takes
OUTSIDE = {ONNX: "to_onnx", ".py": "to_torch"}  # suffix of B -> the module that writes it
STATES = (".solverstate", *[f".solverstate{suffix}" for suffix in HDF5_SUFFIXES])
_CONVOLUTIONS = ("Convolution", "Deconvolution", "CONVOLUTION", "DECONVOLUTION", "conv")
_INNER_PRODUCTS = ("InnerProduct", "INNER_PRODUCT", "innerproduct")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="A", type=filled, help="the file to read; with three files, the net")
    parser.add_argument("weights", metavar="WEIGHTS", nargs="?", type=filled,
                        help="the weights of the net A; commas separate several files")
    parser.add_argument("target", metavar="B", type=filled, help="the file to write")
    parser.add_argument("--model", metavar="NET", help="load the weights into this net first: a .caffemodel then holds "
                        "its definition too, and blobs that layers share are written for each of them")
    add_dialect(parser, also=". Where A is an ONNX model: the fork whose layers may be written too")
    leaving.add_arguments(parser)
    parser.add_argument("--fold", action="store_true",
                        help="for .onnx: put BatchNorm, Scale and the like into the weights of the layers before them")
    add_inputs(parser)
    add_labels(parser)
    add_preprocessing(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    if args.weights:
        if args.model:
            raise DataError(f"the net is given twice, as {args.source} and as --model {args.model}",
                            hint=f"minicaffe convert {args.source} {args.weights} {args.target}")
        _check_net(args)
        args.model, args.source = args.source, args.weights
    if _is_onnx(args.source):
        return _other("from_onnx", args)
    suffix = os.path.splitext(args.target.lower())[1]
    return _other(OUTSIDE[suffix], args) if suffix in OUTSIDE else _rewrite(args)


def _check_net(args: argparse.Namespace) -> None:
    """Raise DataError where one of three files is an ONNX model in the place of the net or of its weights."""
    if _is_onnx(args.source):
        raise DataError(f"{args.source} is an ONNX model, which has its weights inside: {args.weights} has no effect",
                        hint=f"minicaffe convert {args.source} {args.target}")
    if _is_onnx(args.weights) or args.weights.lower().endswith(tuple(OUTSIDE)):
        raise DataError(f"{args.weights} is in the place of the weights",
                        hint=f"the file that is written comes last: minicaffe convert {args.source} WEIGHTS OUT.onnx")


def _is_onnx(path: str) -> bool:
    """Return whether a file is an ONNX model, as its name or its content says."""
    return path.lower().endswith(ONNX) or (os.path.isfile(path) and binary.sniff(path) == "onnx")


def _other(module: str, args: argparse.Namespace) -> int:
    """Let another module of this package do the work: one for nets that come from other programs or go to them."""
    found = importlib.import_module(f"minicaffe.cli.{module}")
    _refuse_others(args, found.READS)
    return int(found.run(args))


def _refuse_others(args: argparse.Namespace, reads: Collection[str]) -> None:
    """Raise DataError for a flag that has no effect on what A is made into. `reads` are the flags that have one."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for action in parser._actions:
        if action.option_strings and action.dest not in (*reads, *ALWAYS) \
                and getattr(args, action.dest, action.default) != action.default:
            raise DataError(f"{action.option_strings[-1]} has no effect where {args.source} becomes {args.target}",
                            hint="leave it out; minicaffe convert --help says what each flag is for")


def _rewrite(args: argparse.Namespace) -> int:
    """Write A in another format."""
    kind, target = binary.sniff(args.source), args.target.lower()
    if args.weights and not target.endswith(weights.SUFFIXES):
        raise DataError(f"a net with its weights cannot be written as {args.target}", hint="give a name that ends in "
                        + ", ".join([*OUTSIDE, *weights.SUFFIXES]))
    _refuse_others(args, ("dialect",) if target.endswith((*DEFINITIONS, *STATES)) else ("dialect", "model"))
    if kind in ("prototxt", "text", "empty"):  # other text is read as a prototxt, which finds its mistakes
        _check_target(args, DEFINITIONS, "a definition")
        prototxt.write(args.target, read_net_or_solver(args.source))
    elif kind == "solverstate" or target.endswith(STATES):
        state = solverstate.read(args.source)
        _check_target(args, STATES, "a solver state")
        if not is_hdf5_name(target) and is_hdf5_name(state.learned_net):
            # Caffe: what a binary state names is read as a binary file
            state = state._replace(learned_net=without_hdf5_suffix(state.learned_net))
            say(f"{args.target} names the weights {state.learned_net}: convert them too")
        solverstate.write(args.target, state)
    elif kind == "caffemodel" and target.endswith(DEFINITIONS):
        prototxt.write(args.target, _definition(args.source, args.dialect))
    else:
        layers = weights.read(args.source)
        _check_target(args, weights.SUFFIXES, "weights")
        say(f"{args.target}: {_convert_weights(args, layers, kind)}")
    return 0


def read_net_or_solver(path: str) -> Any:
    """Read a file as a NetParameter or a SolverParameter, whichever it is."""
    return as_net_or_solver(lambda message: prototxt.read(path, message))


def _check_target(args: argparse.Namespace, suffixes: Sequence[str], what: str) -> None:
    if not args.target.lower().endswith(tuple(suffixes)):
        raise DataError(f"{args.source} is {what}, which cannot be written as {args.target}",
                        hint=f"give a name that ends in {', '.join(suffixes)}")


def _convert_weights(args: argparse.Namespace, layers: list[LayerWeights], kind: str) -> str:
    """Write the weights, and return in words what was written."""
    if args.model:
        from minicaffe.net import Net

        net = Net(args.model, TEST, weights=args.source, allow_python=not args.no_python)
        say(net.loaded)
        layers = [LayerWeights(layer.name, layer.type, [blob.data for blob in layer.blobs]) for layer in net.layers]
        weights.save(args.target, net)
    else:
        definition = None
        if kind == "caffemodel" and args.target.lower().endswith(".caffemodel"):
            try:
                layers, definition = upgraded_weights(args.source, layers, args.dialect)
            except renumber.AmbiguousDialectError:
                raise  # --dialect mends that
            except ProtoError as error:
                warn("convert", f"{args.target} gets names, types and blobs alone: {error.message}")
        weights.write(args.target, layers if definition else _with_todays_shapes(layers), definition)
    blobs = [blob for layer in layers for blob in layer.blobs if blob.size]
    with_blobs = sum(bool(layer.blobs) for layer in layers)
    return f"{with_blobs} layers with {len(blobs)} blobs, {sum(blob.size for blob in blobs)} parameters"


def upgraded_weights(path: str, layers: Sequence[LayerWeights],
                     dialect: str | None) -> tuple[list[LayerWeights], Any]:
    """Return what a .caffemodel holds in today's format: the layers read from it, and the definition in it.

    Raise ProtoError where the definition cannot be read.
    """
    definition = _definition(path, dialect)
    return _in_order_of(definition, _with_todays_shapes(layers)), definition


def _definition(path: str, dialect: str | None) -> Any:
    """Return the net's definition in a .caffemodel, upgraded, without its blobs."""
    with glog.listening(_Dialect()):
        net = binary.read(path, NetParameter(), dialect)
    for layer in net.layer:
        layer.ClearField("blobs")
    for layer in net.layers:
        layer.ClearField("blobs")
        if layer.HasField("layer"):  # a layer of V0 holds its blobs in a message of its own
            layer.layer.ClearField("blobs")
    return passes.upgrade(net)


class _Dialect(logging.Handler):
    """Tells the user which fork's numbers a net is read with. That was guessed, and the numbers decide what it says."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "at", "") == renumber.AT_DIALECT:
            say(record.getMessage())


def _in_order_of(definition: Any, layers: list[LayerWeights]) -> list[LayerWeights]:
    """Return the weights layer by layer as the definition lists them: the upgrade may have joined or added layers."""
    left = [layer for layer in layers if layer.blobs]
    ordered = []
    for given in definition.layer:
        mine = next((layer for layer in left if layer.name == given.name), None)
        if mine is not None:
            left.remove(mine)
        ordered.append(LayerWeights(given.name, given.type, mine.blobs if mine else []))
    return ordered


def _with_todays_shapes(layers: Sequence[LayerWeights]) -> list[LayerWeights]:
    return [LayerWeights(name, kind, _todays_shapes(kind, blobs)) for name, kind, blobs in layers]


def _todays_shapes(kind: str, blobs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the blobs in the shapes that layers give them now: files from before 2015 hold four sizes for each."""
    axes = [4] if kind in _CONVOLUTIONS else [2] if kind in _INNER_PRODUCTS else []
    return [_without_ones(blob, axes[k] if k < len(axes) else 1) for k, blob in enumerate(blobs)]


def _without_ones(blob: np.ndarray, axes: int) -> np.ndarray:
    """Return a blob of four axes with only its last ones, if all sizes before these are 1."""
    old = blob.ndim == 4 and blob.shape[: 4 - axes] == (1,) * (4 - axes)
    return blob.reshape(blob.shape[4 - axes :]) if old else blob
