"""`minicaffe convert NET WEIGHTS OUT.onnx`: write a net as an ONNX model, and prove it."""

from __future__ import annotations

import argparse
from typing import Any

from minicaffe.cli import leaving
from minicaffe.cli.terminal import say
from minicaffe.convert import onnx_package, proof
from minicaffe.convert.onnx_out.model import model_of
from minicaffe.errors import DataError
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.layout import terminal_width, wrap
from minicaffe.log import one_line, silent


def run(args: argparse.Namespace) -> int:
    leaving.check_files(args)
    check_can_write("OUT", args.target)
    onnx = onnx_package.onnx()
    made = leaving.leaving(args)
    with made.place.in_errors(made.given):
        model = model_of(made.net, made.larger)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    lines = [*made.remarks, batch_line(made), *prove(made, data)]
    replace_file(args.target, [data])
    for line in (*lines, f"wrote {args.target}"):
        for shown in wrap(one_line(line), terminal_width(), hanging="  "):
            say(shown)
    return 0


def batch_line(made: leaving.Leaving) -> str:
    """Say for which batch sizes the model is."""
    if made.larger is not None:
        return "the batch size is free: the model takes any number of samples"
    return f"the batch size is {made.net.blobs[made.net.inputs[0]].shape[0]}"


def prove(made: leaving.Leaving, data: bytes) -> list[str]:
    """Compare the model in onnxruntime with the net, and say how they agree. Raise DataError where they do not."""
    if not onnx_package.has_runtime():
        return ["nothing was proved, because onnxruntime is not installed: pip install onnxruntime"]
    with silent():
        nets: list[Any] = [made.net] if made.larger is None else [made.at(1), made.at(3)]
        runs = proof.random_runs(nets)
        found = proof.compare(runs, lambda inputs: list(onnx_package.run(data, inputs).values()))
    wrong = [one for one in found if not one.agrees]
    if wrong:
        raise DataError("the model gives other numbers in onnxruntime than the net, so nothing was written: "
                        + "; ".join(map(str, wrong)),
                        hint=f"a difference may be {proof.LIMIT:g} of the range of an output at the most")
    return ["proved in onnxruntime:", *map(str, found)]
