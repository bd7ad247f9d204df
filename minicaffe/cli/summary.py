"""Forecast what a net costs, layer by layer, without running it: shapes, parameters, multiply-adds and memory.

  minicaffe summary train_val.prototxt --batch 64 --size 227x227

The multiply-adds are those of one forward pass, in layers that multiply by weights. The activations are the memory of a
layer's tops: nothing for a layer that computes in place, and nothing for Split, Flatten and Reshape, whose tops share
the memory of their bottom. "memory, reused" is for a net that only runs forward, where a blob may take the memory of
another that is no longer needed. `minicaffe test` and Net(..., reuse_memory=True) run so.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from minicaffe import layout, passes
from minicaffe.analysis import data_tops
from minicaffe.analysis.cost import NetCost, cost
from minicaffe.cli.flags import positive
from minicaffe.cli.show import add_permissive, add_state_arguments, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import DataError, NetError
from minicaffe.layer import layer_class, registered_types
from minicaffe.layout import terminal_width, wrap
from minicaffe.log import one_line, shape_text
from minicaffe.net import Net, location, memory_plan
from minicaffe.passes.filter import is_included
from minicaffe.proto import Phase

MOST_TOPS = 6  # whose shapes are shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="NET", help="a prototxt or YAML file")
    parser.add_argument("--batch", metavar="N", type=positive, default=0,
                        help="number of samples in a batch (default: what the net says)")
    parser.add_argument("--size", metavar="HxW", default="",
                        help="size of the images, also as CxHxW; the sources of data layers are then not read")
    parser.add_argument("--weights", action="store_true", help="list the shape of every learnable blob too")
    add_state_arguments(parser)
    add_permissive(parser)
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    net, remarks = read(args.net, Phase.Value(args.phase), args.level, stages(args), args.batch, args.size,
                        args.permissive, not args.no_python)
    costs = cost(net)  # before the plan lets blobs share memory; the second cost is the one with that
    memory_plan.apply(net)
    say("\n".join([table(net, costs, cost(net), weights=args.weights),
                   *(line for remark in remarks for line in wrap(remark, terminal_width()))]))
    return 0


def read(path: str, phase: int, level: int = 0, stages: list[str] | None = None, batch: int = 0,
         size: str = "", permissive: bool = False, allow_python: bool = True,
         shapes_only: bool = True) -> tuple[Net, list[str]]:
    """Return a file's net, and in words what had to be assumed.

    A batch of 0 and an empty size stand for what the file says. With `shapes_only` the net has no memory.
    """
    given, place = location.read(path)
    return made(given, place, phase, level, stages, batch, size, permissive, allow_python, shapes_only)


def made(definition: Any, place: location.Location, phase: int, level: int = 0, stages: list[str] | None = None,
         batch: int = 0, size: str = "", permissive: bool = False, allow_python: bool = True,
         shapes_only: bool = True) -> tuple[Net, list[str]]:
    """Do what `read` does, with a definition that has been read already. The definition is not changed."""
    given = type(definition)()
    given.CopyFrom(definition)
    given.state.phase, given.state.level = phase, level
    given.state.stage.extend(stages or [])
    with place.in_errors(given):
        definition = passes.upgrade(given)
        remarks = resize(definition, batch, size)
        net = Net(definition, None, permissive=permissive, allow_python=allow_python, shapes_only=shapes_only)
    net._location = place
    return net, remarks


def resize(definition: Any, batch: int, size: str) -> list[str]:
    """Give the data of an upgraded NetParameter another batch or image size. Return in words what had to be assumed."""
    layers = [layer for layer in definition.layer if is_included(layer, definition.state)]
    sequences = _sequences(layers)
    return [remark for layer in layers if (remark := _resize(layer, batch, _sizes(size), sequences))]


def _sizes(size: str) -> list[int]:
    """Return [C, H, W] or [H, W] from the text of --size, and [] if it is empty."""
    if not size:
        return []
    if not re.fullmatch(r"\d+x\d+(x\d+)?", size):
        raise NetError(f"--size must be HxW or CxHxW, such as 227x227 or 1x28x28, got {size!r}")
    return [int(n) for n in size.split("x")]


def _sequences(layers: list[Any]) -> list[int]:
    """Return [T, N], the time steps and sequences that an Input gives to a recurrent layer; [] where there is none."""
    known = registered_types()  # an unknown type is not looked for in installed packages: --no-python may forbid that
    names = {layer.bottom[1] for layer in layers
             if len(layer.bottom) > 1 and layer.type in known and layer_class(layer.type).recurrent}
    for layer in layers:
        shapes = [list(shape.dim) for shape in _shapes(layer)]
        for top, shape in zip(layer.top, shapes * len(layer.top) if len(shapes) == 1 else shapes, strict=False):
            if top in names and len(shape) == 2:
                return shape
    return []


def _params(layer: Any) -> list[Any]:
    """Return the parameter messages of a layer without bottoms, which say what it puts out; [] for other layers."""
    return [] if layer.bottom else [value for field, value in layer.ListFields() if field.name.endswith("_param")]


def _shapes(layer: Any) -> list[Any]:
    """Return the shapes in the definition of a layer such as Input or DummyData: one for all of its tops, or one each.

    A Parameter layer's shape is left out: it is a single message, not a list, and what it learns has no batch axis.
    """
    given = [getattr(param, "shape", None) for param in _params(layer)]
    return [shape for shapes in given if shapes is not None and hasattr(shapes, "extend") for shape in shapes]


def takes_batch(definition: Any) -> bool:
    """Return whether a layer of an upgraded NetParameter says how many samples it puts out, so that --batch can."""
    layers = [layer for layer in definition.layer if is_included(layer, definition.state)]
    return any(any(shape.dim for shape in _shapes(layer)) or any(hasattr(data, "batch_size") for data in _params(layer))
               for layer in layers)


def _resize(layer: Any, batch: int, size: list[int], sequences: list[int]) -> str:
    """Give a layer without bottoms another batch or image size, and return in words what had to be assumed.

    A data layer whose source is not there becomes an Input layer, and so does one for which --size is given.
    """
    for shape in _shapes(layer):
        if batch and shape.dim:
            # What a recurrent layer reads is (T, N, ...): its first axis is time, and the batch is the second.
            axis = 1 if sequences and list(shape.dim[:2]) == sequences else 0
            shape.dim[axis] = batch
        if len(shape.dim) == 4:  # images; an empty size leaves them as they are
            shape.dim[4 - len(size):] = size
    for data in _params(layer):
        if batch and hasattr(data, "batch_size"):
            data.batch_size = batch
        if hasattr(data, "source") and (size or not Path(data.source).exists()):
            return _become_input(layer, data, size)
    return ""


def _become_input(layer: Any, data: Any, size: list[int]) -> str:
    """Make a data layer an Input that puts out images (N, C, H, W), and a number per sample in each further top."""
    size = size or list(data_tops.image_size(layer))
    if not size:
        raise DataError(f"layer {layer.name!r} ({layer.type}): its source {one_line(data.source)} is not there, so the "
                        f"size of its images is not known", hint="give it: --size HxW, or CxHxW")
    if not data.batch_size:
        raise DataError(f"layer {layer.name!r} ({layer.type}) has no batch_size", hint="give it: --batch N")
    gray = layer.transform_param.force_gray or not getattr(data, "is_color", True)
    shape = [data.batch_size, *([1 if gray else 3] if len(size) == 2 else []), *size]
    name, kind, tops = layer.name, layer.type, list(layer.top)
    layer.Clear()
    layer.name, layer.type = name, "Input"
    layer.top.extend(tops)
    for i in range(len(tops)):
        layer.input_param.shape.add(dim=shape if i == 0 else shape[:1])
    return f"Layer {name!r} is counted as a {kind} layer that puts out {shape_text(shape)}; its source was not read."


def table(net: Net, costs: NetCost, reusing: NetCost, weights: bool = False) -> str:
    """Return the layers as a table, then the totals; `reusing` is the cost of the net if it reuses memory."""
    rows = [("layer", "type", "tops", "parameters", "multiply-adds", "activations")]
    for i, row in enumerate(costs.layers):
        rows.append((row.name, row.type, _tops(row.shapes), _count(row.parameters),
                     _count(row.multiply_adds), row.note or _bytes(row.activation_bytes)))
        if weights:
            rows += [("", "", "", shape_text(blob.shape), "", "") for blob in net.layers[i].blobs]
    totals = (line for text in _totals(costs, reusing) for line in wrap(text, terminal_width(), hanging=" " * 16))
    return "\n".join([*layout.table(rows, right=(3, 4, 5), lead=2), "", *totals])


def _totals(costs: NetCost, reusing: NetCost) -> list[str]:
    batch, macs = costs.batch, costs.multiply_adds
    what, one = f"{batch}", "sample"
    if costs.steps is not None:
        what, one = f"{batch} sequences of {costs.steps} time steps", "sequence"
    lines = [f"parameters      {costs.parameters:,} ({_bytes(costs.parameter_bytes)})",
             f"multiply-adds   {macs:,} a batch of {what}, {macs // max(batch, 1):,} a {one}",
             f"memory, TEST    {_test(costs)}"]
    if costs.trains:
        lines += [f"memory, TRAIN   {_bytes(costs.train_bytes)} = the same + gradients {_bytes(costs.gradients)} + the "
                  f"parameters' gradients and one history {_bytes(2 * costs.parameter_bytes)} + the kernels' "
                  f"{_bytes(costs.borrowed[1] - costs.borrowed[0])} more"]
    else:
        lines += ["memory, TRAIN   nothing to train: no layer is a loss"]
    lines += [f"memory, reused  {_test(reusing)}"]
    return lines if costs.borrowed[1] else [*lines, "The kernels need a little more while they run."]


def _test(costs: NetCost) -> str:
    return (f"{_bytes(costs.test_bytes)} = activations {_bytes(costs.activations)} + parameters "
            f"{_bytes(costs.parameter_bytes)} + the layers' own {_bytes(costs.own)} + the kernels' "
            f"{_bytes(costs.borrowed[0])}")


def _tops(shapes: list[tuple[int, ...]]) -> str:
    """Return the shapes of a layer's tops: only the first of many, because the widest cell widens every row."""
    shown = ", ".join(map(shape_text, shapes[:MOST_TOPS]))
    return shown if len(shapes) <= MOST_TOPS else f"{shown}, … ({len(shapes)} tops)"


def _count(number: int) -> str:
    return f"{number:,}" if number else "–"


def _bytes(number: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"
