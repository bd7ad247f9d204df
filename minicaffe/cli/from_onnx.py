"""`minicaffe convert MODEL.onnx OUT.prototxt`: read an ONNX model as a net, and prove it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minicaffe.analysis.resize import resize
from minicaffe.cli.deploy import sample_shape
from minicaffe.cli.terminal import say_lines
from minicaffe.convert import onnx_package, proof
from minicaffe.convert.onnx_in import reading
from minicaffe.convert.onnx_in.draft import Draft
from minicaffe.convert.onnx_in.net import net_of, runnable
from minicaffe.errors import DataError, MinicaffeError
from minicaffe.io.binary_weights import LARGEST
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.io.weights import write_caffemodel
from minicaffe.log import one_line, plural, silent
from minicaffe.net import Net
from minicaffe.proto import TEST, NetParameter
from minicaffe.proto import text as proto_text

READS = ("batch", "shape", "outputs", "dialect")  # the flags that have an effect
DEFINITIONS = (".prototxt", ".yaml", ".yml")


def run(args: argparse.Namespace) -> int:
    if not args.target.lower().endswith(DEFINITIONS):
        raise DataError(f"{args.source} is an ONNX model, which cannot be written as {args.target}",
                        hint=f"give a name that ends in {', '.join(DEFINITIONS)}; the weights go to a .caffemodel "
                             "beside it")
    weights = str(Path(args.target).with_suffix(".caffemodel"))
    for path in (args.target, weights):
        check_can_write("B", path)
    onnx_package.onnx()  # where the package is not installed, the error comes before the work
    model = reading.load(args.source)
    if model.ByteSize() > LARGEST:
        raise DataError(f"{args.source} has {model.ByteSize() / 1e9:.1f} GB, and a caffemodel holds at most "
                        f"{LARGEST / 1e9:.1f} GB")
    reading.end_at(model, [name for one in args.outputs for name in one.split(",")])
    inputs = reading.inputs_of(model)
    shapes = reading.input_shapes(model, args.batch or None,
                                  dict(sample_shape(one, inputs[0].name if inputs else "") for one in args.shape))
    reading.set_input_shapes(model, shapes)
    draft = net_of(model, shapes, args.dialect or "")
    draft.net.name = Path(args.source).stem  # exporters call every graph alike
    lines = [f"{plural(len(draft.net.layer), 'layer')}: {_types(draft)}", *_other_batch(draft), *_prove(model, draft)]
    write_caffemodel(weights, draft.layers())  # names, types and blobs alone: a fork's reader may number fields anew
    head = f"# made by minicaffe convert from {one_line(Path(args.source).name)}\n\n"
    replace_file(args.target, [(head + proto_text.format_for(args.target, draft.net)).encode()])
    say_lines([*lines, f"wrote {args.target} and {weights}"])
    return 0


def _types(draft: Draft) -> str:
    """Return how many layers there are of each type."""
    types = [layer.type for layer in draft.net.layer]
    return ", ".join(f"{types.count(name)} {name}" for name in dict.fromkeys(types))


def _other_batch(draft: Draft) -> Iterator[str]:
    """Say whether the net runs at other batch sizes than the one for which it was made."""
    first = next((layer for layer in draft.net.layer if layer.type == "Input"), None)
    if first is None or not first.input_param.shape[0].dim:
        return
    batch = first.input_param.shape[0].dim[0]
    copy = NetParameter()
    copy.CopyFrom(draft.net)
    try:
        with silent():
            resize(copy, 2 * batch + 1, "")
            Net(copy, TEST, shapes_only=True)
        yield f"the batch size is {batch}; the net runs at others too, by the first dim of its Inputs"
    except MinicaffeError as error:
        yield f"the net is for the batch size {batch} alone: at {2 * batch + 1}, {error.message}"


def _prove(model: Any, draft: Draft) -> list[str]:
    """Compare the net with the model in onnxruntime, and say how they agree. Raise DataError where they do not."""
    with silent():
        net = runnable(draft)
    if words := proof.why_not("onnxruntime", "onnxruntime", onnx_package.runtime):
        return [words]
    data = model.SerializeToString()
    outputs = [value.name for value in model.graph.output]
    with silent():
        runs: Sequence[proof.Run] = list(proof.random_runs(net, outputs))
        found = proof.prove(net, runs, lambda inputs: list(onnx_package.run(data, inputs).values()))
    if not found.holds:
        raise DataError("the net gives other numbers than the model in onnxruntime: " + "; ".join(found.lines()),
                        hint=f"nothing was written, because a difference may be at most {proof.LIMIT:g} of the range "
                             "of an output. --outputs VALUE, with a value in the middle of the model, shows which half "
                             "is wrong")
    return [f"proved in onnxruntime, with {' and '.join(found.kinds)}:", *found.lines()]
