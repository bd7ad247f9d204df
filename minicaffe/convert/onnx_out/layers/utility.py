"""Layers that rearrange numbers, as ONNX nodes."""

from collections.abc import Sequence

import numpy as np

from minicaffe.convert.onnx_out.given import Given, writes
from minicaffe.convert.onnx_out.nodes import (
    BOOL,
    FLOAT,
    INT64,
    chain,
    fold,
    linear,
    refuse_open,
    reshaped,
    reversed_along,
    size_of,
)

# --- several bottoms ------------------------------------------------------------------------------------


@writes("Concat")
def concat(g: Given) -> None:
    """Concat."""
    g.node("Concat", g.x, g.y, axis=g.layer.axis)


@writes("Eltwise")
def eltwise(g: Given) -> None:
    """Add, Mul or Max, several of them for more than two bottoms. For SUM, a Mul by each coeff that is not 1."""
    p = g.param
    op = {p.SUM: "Add", p.PROD: "Mul", p.MAX: "Max"}[p.operation]
    factors = g.layer.c if p.operation == p.SUM else [1.0] * len(g.x)
    fold(g, op, [x if c == 1 else g.node("Mul", [x, g.floats(f"coeff[{j}]", c)])
                 for j, (x, c) in enumerate(zip(g.x, factors, strict=True))])


@writes("Axpy")
def axpy(g: Given) -> None:
    """Mul and Add, behind an Unsqueeze or a Squeeze where the factors have fewer or more axes than x."""
    a, have, want = g.x[0], len(g.x_shapes[0]), len(g.x_shapes[1])
    if have != want:
        axes = g.ints("axes", range(min(have, want), max(have, want)))
        a = g.node("Unsqueeze" if have < want else "Squeeze", [a, axes])
    g.node("Add", [g.node("Mul", [a, g.x[1]]), g.x[2]], g.y)


@writes("BatchReindex")
def batch_reindex(g: Given) -> None:
    """Cast to whole numbers, and Gather."""
    g.node("Gather", [g.x[0], g.node("Cast", [g.x[1]], to=INT64)], g.y, axis=0)


@writes("Filter")
def filter_(g: Given) -> None:
    """Compress, with the selector cast to true and false. The number of samples is known only when the model runs."""
    chosen = g.x[-1]
    if len(g.x_shapes[-1]) > 1:
        chosen = g.node("Reshape", [chosen, g.ints("one axis", [-1])])
    chosen = g.node("Cast", [chosen], to=BOOL)
    for t, (x, y) in enumerate(zip(g.x[:-1], g.y, strict=True)):
        g.node("Compress", [x, chosen], [y], axis=0)
        g.open_top(t, 0)


# --- several tops, or none ------------------------------------------------------------------------------


@writes("Split")
def split(g: Given) -> None:
    """Left out: in ONNX a value may be read several times."""
    for t in range(len(g.y)):
        g.pass_on(t)


@writes("Slice")
def slice_(g: Given) -> None:
    """Split. Where the batch itself is cut at given places, a Slice for each top."""
    axis, sizes = g.layer.axis, [shape[g.layer.axis] for shape in g.y_shapes]
    if len(g.y) == 1:
        g.pass_on()
    elif not g.is_open(0, axis):
        g.node("Split", [g.x[0], g.ints("sizes", sizes)], g.y, axis=axis)
    elif not g.param.slice_point:
        g.node("Split", g.x, g.y, axis=axis, num_outputs=len(g.y))
    else:
        cuts = [*g.layer.starts, np.iinfo(np.int64).max]  # the last part goes to the end, wherever it is
        for y, start, stop in zip(g.y, cuts, cuts[1:], strict=False):
            ends = [g.ints("starts", [start]), g.ints("ends", [stop]), g.ints("axes", [axis])]
            g.node("Slice", [g.x[0], *ends], [y])


@writes("Silence")
def silence(_: Given) -> None:
    """Left out: it makes nothing."""


@writes("Python")
def python(g: Given) -> None:
    """Refused: it runs code that ONNX cannot hold."""
    g.refuse(f"runs the class {g.param.layer} of the Python module {g.param.module}, which ONNX cannot hold",
             "cut the net before it, so that its bottoms become outputs, and compute the rest outside; or write it "
             "with layers of Caffe's own")


# --- one bottom, one top --------------------------------------------------------------------------------


@writes("Parameter")
def parameter(g: Given) -> None:
    """A constant."""
    g.pass_on(0, g.blob(0))


@writes("Flatten")
def flatten(g: Given) -> None:
    """Flatten where all axes from the second on become one, else Reshape."""
    n = len(g.x_shapes[0])
    if n > 2 and g.param.axis % n == 1 and g.param.end_axis % n == n - 1:
        g.node("Flatten", g.x, g.y, axis=1)
    else:
        reshaped(g)


@writes("Reshape")
def reshape(g: Given) -> None:
    """Reshape, with the sizes that the net has; that of the batch is free."""
    reshaped(g)


@writes("Permute", "Transpose")
def permute(g: Given) -> None:
    """Transpose."""
    g.node("Transpose", g.x, g.y, perm=g.layer.order)


@writes("Reverse")
def reverse(g: Given) -> None:
    """Slice with a step of −1."""
    reversed_along(g, g.x[0], g.layer.axis, g.y)


@writes("Tile")
def tile(g: Given) -> None:
    """Tile."""
    repeats = [1] * len(g.x_shapes[0])
    repeats[g.layer.axis] = g.layer.k
    g.node("Tile", [g.x[0], g.ints("repeats", repeats)], g.y)


@writes("ShuffleChannel")
def shuffle_channel(g: Given) -> None:
    """Reshape to groups, Transpose, and Reshape back."""
    refuse_open(g, [1], "a new place")
    C, G = g.x_shapes[0][1], g.param.group
    table = g.node("Reshape", [g.x[0], g.ints("groups", [0, G, C // G, -1])])
    columns = g.node("Transpose", [table], perm=[0, 2, 1, 3])
    g.node("Reshape", [columns, g.ints("shape", g.sizes())], g.y)


@writes("Softmax")
def softmax(g: Given) -> None:
    """Softmax, with a Mul before it for scaling_temperature."""
    x = g.x[0]
    if g.layer.t != 1:
        x = g.node("Mul", [x, g.floats("1/t", 1 / g.layer.t)])
    g.node("Softmax", [x], g.y, axis=g.layer.axis)


@writes("Reduction")
def reduction(g: Given) -> None:
    """ReduceSum, ReduceL1, ReduceSumSquare or ReduceMean, with a Mul by coeff."""
    p, n = g.param, len(g.x_shapes[0])
    op = {p.SUM: "ReduceSum", p.ASUM: "ReduceL1", p.SUMSQ: "ReduceSumSquare", p.MEAN: "ReduceMean"}[p.operation]
    axes, factor = g.ints("axes", range(p.axis % n, n)), linear(p.coeff)
    y = g.node(op, [g.x[0], axes], 1 if factor else g.y, keepdims=0)
    if factor:
        chain(g, factor, y)


@writes("ArgMax")
def arg_max(g: Given) -> None:
    """ArgMax for the place of one value, else TopK, and Cast. Of equal values the last comes first in Caffe, and the
    first in TopK: so TopK reads the axis from its end.
    """
    p, k, x, n = g.param, g.param.top_k, g.x[0], len(g.x_shapes[0])
    if p.HasField("axis") and p.out_max_val:
        g.node("TopK", [x, g.ints("k", [k])], [g.y[0], *g.new_names("places", 1)], axis=p.axis % n)
    elif p.HasField("axis"):
        g.node("Cast", [_largest(g, x, [p.axis % n])[0]], g.y, to=FLOAT)
    else:
        places, values = _largest(g, g.node("Flatten", [x], axis=1), range(1, n))
        rows = [g.node("Cast", [places], to=FLOAT), *([values] if p.out_max_val else [])]
        new = g.ints("axes", [1, *range(3, len(g.y_shapes[0]))])  # (N, k) becomes (N, 1, k, 1, ...)
        rows = [g.node("Unsqueeze", [row, new], 1 if p.out_max_val else g.y) for row in rows]
        if p.out_max_val:
            g.node("Concat", rows, g.y, axis=1)


def _largest(g: Given, x: str, axes: Sequence[int]) -> tuple[str, str]:
    """Return the places of the top_k largest values and, where they are wanted, these values, for an ArgMax.

    x       bottom 0, with all of `axes` as axis 1 where there are several
    """
    k, axis = g.param.top_k, axes[0] if len(axes) == 1 else 1
    if k == 1 and not g.param.out_max_val:
        return g.node("ArgMax", [x], axis=axis, keepdims=1, select_last_index=1), ""
    values, places = g.new_names("TopK", 2)
    g.node("TopK", [reversed_along(g, x, axis), g.ints("k", [k])], [values, places], axis=axis)
    if g.x_open[0] & set(axes):
        last = g.node("Sub", [size_of(g, x, axis), g.ints("one", [1])])
    else:
        last = g.ints("last place", g.layer.sizes[1] - 1)
    return g.node("Sub", [last, places]), values
