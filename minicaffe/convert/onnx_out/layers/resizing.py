"""Layers that give images another size, as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence

from minicaffe.convert.onnx_out.given import ONE_BATCH, Given, writes
from minicaffe.convert.onnx_out.nodes import INT64, needs_fixed


@writes("Interp")
def interp(g: Given) -> None:
    """Resize, linear with align_corners, behind a Slice where negative padding cuts rows off; Expand of one pixel."""
    needs_fixed(g, (2, 3))
    g.refuse_if({2, 3} & g.y_open[0], f"takes the size of bottom[1] {g.x_shapes[-1]}, which grows with the batch",
                ONE_BATCH)
    x, (start, size) = g.x[0], (g.layer.start, g.layer.size)
    if size != g.x_shapes[0][2:]:
        ends = [first + n for first, n in zip(start, size, strict=True)]
        x = g.node("Slice", [x, g.ints("starts", start), g.ints("ends", ends), g.ints("axes", (2, 3))])
    made = g.y_shapes[0][2:]
    if made == size:
        g.pass_on(0, x)
        return
    if tuple(size) == (1, 1):  # one pixel is repeated; OpenCV 5.0 computes other numbers of it by Resize
        g.node("Expand", [x, shape_of(g, x, made)], g.y)
        return
    g.node("Resize", [x, "", "", shape_of(g, x, made)], g.y, mode="linear",
           coordinate_transformation_mode="align_corners")


@writes("Upsample")
def upsample(g: Given) -> None:
    """Resize, nearest; with a mask ScatterElements, which puts the numbers at their places among zeros.

    Of several numbers for one place the last counts in Caffe and in onnxruntime, while ONNX leaves that open.
    """
    if len(g.x) == 1:
        scales = g.floats("scales", (1, 1, *g.layer.scale))
        g.node("Resize", [g.x[0], "", scales], g.y, mode="nearest", coordinate_transformation_mode="asymmetric",
               nearest_mode="floor")
        return
    needs_fixed(g, (2, 3))
    H, W = g.x_shapes[0][2:]
    planes = g.ints("planes", (0, 0, H * W))
    x, m = (g.node("Reshape", [value, planes]) for value in g.x)
    zeros = g.node("Expand", [g.floats("zero", 0), shape_of(g, g.x[0], [g.layer.places])])
    filled = g.node("ScatterElements", [zeros, g.node("Cast", [m], to=INT64), x], axis=2)
    g.node("Reshape", [filled, g.ints("shape", (0, 0, *g.y_shapes[0][2:]))], g.y)


def shape_of(g: Given, x: str, sizes: Sequence[int]) -> str:
    """Return a value that holds N and C of x, and then these sizes."""
    if not {0, 1} & g.x_open[0]:
        return g.ints("shape", (*g.x_shapes[0][:2], *sizes))
    return g.node("Concat", [g.node("Shape", [x], end=2), g.ints("sizes", sizes)], axis=0)
