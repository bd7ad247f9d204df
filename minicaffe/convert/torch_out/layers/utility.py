"""Layers that rearrange numbers, as lines of Python. PriorBox is here, too: its boxes are constants."""

from __future__ import annotations

import numpy as np

from minicaffe.convert.torch_out.given import Given, says
from minicaffe.convert.torch_out.names import listed, num


@says("ArgMax")
def arg_max(g: Given) -> None:
    """`largest`, a short function: of equal numbers the last one comes first."""
    p, x = g.param, g.x[0]
    axis = p.axis % g.axes() if p.HasField("axis") else 1
    if not p.HasField("axis") and g.axes() != 2:
        x = f"{x}.flatten(1)" if g.axes() > 1 else f"{x}[:, None]"
    call = f"{g.helper('largest')}({x}, {p.top_k}, dim={axis})"
    if p.HasField("axis"):
        g.put(f"{call}[{0 if p.out_max_val else 1}]")
        return
    values, places = g.temporary(f"{g.y[0]}_values"), g.temporary(f"{g.y[0]}_places")
    g.line(f"{values}, {places} = {call}")
    y = f"torch.stack([{places}, {values}], dim=1)" if p.out_max_val else f"{places}[:, None]"
    behind = len(g.y_shapes[0]) - 3
    g.put(f"{y}[..., {', '.join(['None'] * behind)}]" if behind > 0 else y)


@says("Axpy")
def axpy(g: Given) -> None:
    """`a * x + z`."""
    behind = g.axes(1) - g.axes(0)
    a = g.x[0] if not behind else f"{g.x[0]}[..., {', '.join(['None'] * behind)}]" if behind > 0 else \
        f"{g.x[0]}.flatten({g.axes(1) - 1})" if g.axes(1) > 2 else f"{g.x[0]}.flatten(1)"
    g.put(f"{a} * {g.x[1]} + {g.x[2]}")


@says("BatchReindex")
def batch_reindex(g: Given) -> None:
    """An index."""
    g.put(f"{g.x[0]}[{g.x[1]}.long()]")


@says("Concat")
def concat(g: Given) -> None:
    """`torch.cat`."""
    g.put(f"torch.cat([{', '.join(g.x)}], dim={g.layer.axis})")


@says("Eltwise")
def eltwise(g: Given) -> None:
    """A sum, a product, or `torch.maximum`."""
    p = g.param
    if p.operation == p.MAX:
        y = g.x[0]
        for x in g.x[1:]:
            y = f"torch.maximum({y}, {x})"
        g.put(y)
    elif p.operation == p.PROD:
        g.put(" * ".join(g.x))
    else:
        text = ""
        for x, c in zip(g.x, g.layer.c, strict=True):
            sign = (" - " if c < 0 else " + ") if text else ("-" if c < 0 else "")
            text += sign + (x if abs(c) == 1 else f"{num(abs(c))} * {x}")
        g.put(text)


@says("Filter")
def select(g: Given) -> None:
    """An index with the samples that the selector marks."""
    chosen = g.temporary("chosen")
    g.line(f"{chosen} = {g.x[-1]}.flatten() != 0")
    for t in range(len(g.y)):
        g.put(f"{g.x[t]}[{chosen}]", t)


@says("Flatten")
def flatten(g: Given) -> None:
    """`flatten`."""
    p, n = g.param, g.axes()
    axis, end = p.axis % n, p.end_axis % n
    if end == axis - 1:
        g.put(f"{g.x[0]}.unsqueeze({axis})")
    else:
        g.put(g.x[0] if end == axis else
              f"{g.x[0]}.flatten({axis})" if end == n - 1 else f"{g.x[0]}.flatten({axis}, {end})")


@says("Parameter")
def parameter(g: Given) -> None:
    """`nn.Parameter`."""
    g.put(g.parameter("", 0))


@says("Permute", "Transpose")
def permute(g: Given) -> None:
    """`permute`."""
    g.put(f"{g.x[0]}.permute({', '.join(map(str, g.layer.order))})")


@says("Reduction")
def reduction(g: Given) -> None:
    """`sum` or `mean` over the last axes."""
    p, x = g.param, g.x[0]
    axis = p.axis % g.axes()
    x = {p.SUM: x, p.MEAN: x, p.ASUM: f"{x}.abs()", p.SUMSQ: f"{x}.pow(2)"}[p.operation]
    how = "mean" if p.operation == p.MEAN else "sum"
    y = f"{x}.{how}()" if axis == 0 else f"{x}.flatten({axis}).{how}({axis})"
    g.put(y if p.coeff == 1 else f"{num(p.coeff)} * {y}")


@says("Reshape")
def reshape(g: Given) -> None:
    """`reshape`, with the sizes of the bottom where `shape` has 0."""
    p, x, n = g.param, g.x[0], g.axes()
    start = p.axis if p.axis >= 0 else n + 1 + p.axis
    stop = n if p.num_axes == -1 else start + p.num_axes
    kept = [f"{x}.shape[{i}]" for i in range(start)]
    new = [f"{x}.shape[{start + k}]" if dim == 0 else str(dim) for k, dim in enumerate(g.layer.dims)]
    sizes = [*kept, *new, *[f"{x}.shape[{i}]" for i in range(stop, n)]]
    g.put(f"{x}.reshape({', '.join(sizes) if sizes else '()'})")


@says("Reverse")
def reverse(g: Given) -> None:
    """`flip`."""
    g.put(f"{g.x[0]}.flip({g.layer.axis})")


@says("ShuffleChannel")
def shuffle_channel(g: Given) -> None:
    """`unflatten`, `transpose` and `flatten`."""
    g.put(f"{g.x[0]}.unflatten(1, ({g.param.group}, -1)).transpose(1, 2).flatten(1, 2)")


@says("Slice")
def cut(g: Given) -> None:
    """`split`."""
    axis = g.layer.axis
    if len(g.y) == 1:
        g.put(g.x[0])
        return
    sizes = [shape[axis] for shape in g.y_shapes]
    g.line(f"{', '.join(g.y)} = {g.x[0]}.split({sizes}, dim={axis})")


@says("Softmax")
def softmax(g: Given) -> None:
    """`F.softmax`."""
    t = g.layer.t
    x = g.x[0] if t == 1 else f"{g.x[0]} / {num(t)}"
    g.put(f"F.softmax({x}, dim={g.layer.axis})")


@says("Silence", "Split")
def left_out(g: Given) -> None:
    """Left out: a variable may be read several times, or never.

    These layers are no steps of the module, so nobody calls this function.
    """


@says("Tile")
def tile(g: Given) -> None:
    """`repeat`."""
    times = [g.layer.k if axis == g.layer.axis else 1 for axis in range(g.axes())]
    g.put(f"{g.x[0]}.repeat{listed(times)}")


@says("DummyData")
def dummy_data(g: Given) -> None:
    """A buffer, for numbers that are always the same."""
    for t, (filler, shape) in enumerate(zip(g.layer.fillers, g.y_shapes, strict=True)):
        g.refuse_if(filler.type != "constant", f"draws random numbers ({filler.type})",
                    "put an Input in its place, and give the numbers to the module")
        g.put(g.buffer(f"_{t}" if len(g.y) > 1 else "", np.full(shape, filler.value, np.float32)), t)


@says("PriorBox")
def prior_box(g: Given) -> None:
    """A buffer with the boxes for the image size of the prototxt."""
    g.put(g.buffer("", g.layer.priors))
