"""`minicaffe convert NET WEIGHTS OUT.onnx`: write a net as an ONNX model, and prove it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from minicaffe.cli import carried, leaving
from minicaffe.cli.leaving import Leaving
from minicaffe.cli.preprocessing import PREPROCESSING
from minicaffe.cli.real_inputs import real_runs
from minicaffe.cli.terminal import say_lines
from minicaffe.convert import onnx_package, proof
from minicaffe.convert.onnx_out import stages
from minicaffe.convert.onnx_out.model import model_of, refuse_unknown_types
from minicaffe.errors import DataError, LayerError
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.log import shape_text, silent

READS = (*leaving.READS, "fold", "inputs", "labels", *PREPROCESSING)
LARGEST = 2**31 - 1  # bytes of a model: protobuf holds no more in one message
TRIED = (1, 3)  # batch sizes of the proof, others than the one for which the net is made


def run(args: argparse.Namespace) -> int:
    leaving.check_files(args)
    check_can_write("B", args.target)
    onnx_package.onnx()  # where the package is not installed, the error comes before the work
    made = leaving.leaving(args)
    plan = carried.preparation(args, made)
    facts, lacking = carried.facts(plan, carried.class_names(args, made, plan))
    made, model, batch = _written(args, made, facts)
    data = _bytes_of(model)
    lines = [*made.remarks, *_values(made, model), batch, *filter(None, [lacking]),
             *prove(args, made, model, data, plan)]
    replace_file(args.target, [data])
    say_lines([*lines, f"wrote {args.target}"])
    return 0


def _written(args: argparse.Namespace, made: Leaving, facts: dict[str, str]) -> tuple[Leaving, Any, str]:
    """Return the net that the model was made of, the model, and in words for which batch sizes it is.

    Where a layer does not let the batch size be free, and no flag asks for that, the batch size is the net's.
    """
    with made.place.in_errors(made.given), silent():
        refuse_unknown_types(made.net, made.line_of)
        try:
            model = model_of(made.net, made.larger, facts, made.outputs, args.fold)
            return made, model, _batch_line(made)
        except LayerError as error:
            if made.larger is None or args.batch is not None:
                raise
            fixed = leaving.leaving(args, free=False)
            model = model_of(fixed.net, None, facts, fixed.outputs, args.fold)
            return fixed, model, f"{_batch_line(fixed)}, because {error.message}"


def _batch_line(made: Leaving) -> str:
    if made.larger is not None:
        return "the batch size is free: the model takes any number of samples"
    name = made.net.inputs[0]
    return f"the batch size is {made.net.blobs[name].shape[made.batch_axis(name)]}"


def _values(made: Leaving, model: Any) -> Iterator[str]:
    """Say what goes into the model and what comes out, with shapes; and which outputs are not called as their blobs."""
    for what, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            sizes = [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
            yield f"{what} {value.name!r}: {shape_text(sizes)}"
    for blob, output in zip(made.outputs, model.graph.output, strict=True):
        if blob != output.name:
            yield f"{output.name!r} is what the net puts into {blob!r}, a name that the input has"


def _bytes_of(model: Any) -> bytes:
    """Return the model's bytes, after onnx has checked them."""
    size = model.ByteSize()
    if size > LARGEST:
        raise DataError(f"the model has {size / 1e9:.1f} GB, and an .onnx file holds at most {LARGEST / 1e9:.1f} GB")
    onnx_package.check(model)
    data: bytes = model.SerializeToString()
    return data


def prove(args: argparse.Namespace, made: Leaving, model: Any, data: bytes, plan: Any) -> list[str]:
    """Compare the model in onnxruntime with the net, and say how they agree. Raise DataError where they do not."""
    if words := proof.why_not("onnxruntime", "onnxruntime", onnx_package.runtime):
        return [words]
    cut = stages.cuts(made.net, model)
    blobs = [*made.outputs, *(name for name in cut if name not in made.outputs)]
    with silent():
        nets = [made.net] if made.larger is None else [made.at(batch) for batch in TRIED]
        runs: Sequence[proof.Run] = [run for net in nets for run in proof.random_runs(net, blobs)]
        runs = [*runs, *real_runs(args, replace(made, outputs=blobs), nets[0], plan)]
        whole = [run._replace(outputs={name: run.outputs[name] for name in made.outputs}) for run in runs]
        found = proof.prove(made.net, whole, lambda inputs: list(onnx_package.run(data, inputs).values()))
        by_stage = None if found.holds or not cut else _by_stage(made, model, cut, runs)
    kinds = " and ".join(found.kinds)
    if found.holds:
        return [f"proved in onnxruntime, with {kinds}:", *found.lines()]
    if by_stage is not None and by_stage.holds:
        return ["on the same numbers the model may choose other boxes or places than the net where two are nearly "
                "equal, and so it did:", *found.lines(),
                f"proved in onnxruntime stage by stage, with {kinds}; each layer that chooses was given what the net "
                "gives to it:", *by_stage.lines()]
    raise DataError("in onnxruntime the model gives other numbers than the net: " + "; ".join(found.lines()),
                    hint=f"nothing was written, because a difference may be at most {proof.LIMIT:g} of the range "
                         "of an output. --outputs BLOB, with a blob in the middle of the net, shows which half is "
                         "wrong")


def _by_stage(made: Leaving, model: Any, cut: Sequence[str], runs: Sequence[proof.Run]) -> proof.Proof:
    """Compare each stage of the net by itself: the blobs in `cut` are given to the layers behind them."""
    data = stages.in_stages(model, cut).SerializeToString()
    given = [run._replace(inputs={**run.inputs, **{stages.given_name(name): run.outputs[name] for name in cut}})
             for run in runs]
    return proof.prove(made.net, given, lambda inputs: list(onnx_package.run(data, inputs).values()))
