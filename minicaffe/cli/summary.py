"""Forecast what a net costs, layer by layer, without running it: shapes, parameters, multiply-adds and memory.

  minicaffe summary train_val.prototxt --batch 64 --size 227x227

The multiply-adds are those of one forward pass, in layers that multiply by weights. The activations are the memory of a
layer's tops: nothing for a layer that computes in place, and nothing for Split, Flatten and Reshape, whose tops share
the memory of their bottom. "memory, reused" is for a net that only runs forward, where a blob may take the memory of
another that is no longer needed. `minicaffe test` and Net(..., reuse_memory=True) run so.
"""

from __future__ import annotations

import argparse
from typing import Any

from minicaffe import layout, passes
from minicaffe.analysis.cost import NetCost, cost
from minicaffe.analysis.resize import resize
from minicaffe.cli.flags import positive
from minicaffe.cli.show import add_permissive, add_state_arguments, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.layout import terminal_width, wrap
from minicaffe.log import shape_text
from minicaffe.net import Net, location, memory_plan
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
    given, place = location.read(path, location.outside(phase, level, stages or []))
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
