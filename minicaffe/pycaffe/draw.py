"""Draw nets, as pycaffe does: `draw_net_to_file(net, "net.png")`. The drawings are those of `minicaffe draw`.

Formats:
  svg, html       minicaffe's own, from top to bottom
  dot, gv, raw    the text for graphviz
  png, pdf, ...   whatever graphviz makes of that text, where its program `dot` is installed; graphviz also draws an
                  svg in another direction

`rankdir` is the direction of the drawing: "TB" (from top to bottom), "BT", "LR" (from left to right) or "RL". None is
"LR" where graphviz places the boxes, as in pycaffe, and "TB" where minicaffe does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from minicaffe import proto
from minicaffe.drawing import Drawing, draw_definition, graphviz
from minicaffe.drawing.dot import RANKDIRS
from minicaffe.errors import DataError, NetError, near_names
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.log import At, one_line, warn

WIDTH = 1240  # pixels that a tall drawing may take for its columns
TEXTS = ("dot", "gv", "raw")
WITH_LR_MULT = ("Convolution", "Deconvolution", "InnerProduct")  # the types of which Caffe shows it


class Graph:
    """The drawing of a net, with the methods by which scripts write a graph of pydot's to a file.

    `create("png")` returns the bytes of a file and `write("net.png", format="png")` makes one; `create_png()`,
    `write_pdf("net.pdf")` and all others of their kind do the same. `to_string()` is the text for graphviz.
    """

    def __init__(self, drawing: Drawing, rankdir: str | None, labels: bool) -> None:
        self.drawing, self.rankdir, self.labels = drawing, rankdir, labels

    def to_string(self) -> str:
        return self.drawing.dot(self.rankdir or "LR", self.labels)

    def create(self, prog: Any = None, format: str = "ps") -> bytes:
        """Return the drawing as the bytes of a file. `prog`, an argument that pydot has, must be "dot"."""
        if prog not in (None, "dot"):
            raise DataError(f"a net is drawn by graphviz's program 'dot', not by {prog!r}")
        form = format.lower()
        if form in TEXTS:
            return self.to_string().encode("utf-8", "replace")
        upright = self.rankdir in (None, "TB") and self.labels
        if form == "html" or (form == "svg" and (upright or not graphviz.is_there())):
            if not upright:
                warn(At.FIELD_WARNING, f"an {form} is drawn from top to bottom, with labels"
                     + "; another direction needs graphviz" * (form == "svg"))
            return self.drawing.text(f".{form}").encode("utf-8", "replace")
        return graphviz.render(self.to_string(), form)

    def write(self, path: str | os.PathLike[str], prog: Any = None, format: str = "raw") -> bool:
        """Write the drawing to a file. `format` says in which format, and not the file's name."""
        check_can_write("drawing", path)
        replace_file(path, [self.create(prog, format)])
        return True

    def __getattr__(self, name: str) -> Callable[..., Any]:
        verb, _, form = name.partition("_")
        if verb == "create" and form:
            return lambda prog=None: self.create(prog, form)
        if verb == "write" and form:
            return lambda path, prog=None: self.write(path, prog, form)
        raise AttributeError(f"the drawing of a net has no {name!r}; pydot.graph_from_dot_data(graph.to_string())[0] "
                             "makes a graph of pydot's from it")

    def _repr_svg_(self) -> str:
        return self.drawing.svg()


def get_pydot_graph(caffe_net: Any, rankdir: str | None, label_edges: bool = True, phase: int | None = None,
                    display_lrm: bool = False) -> Graph:
    """Return the drawing of a NetParameter as an object that has pydot's methods for writing it.

    label_edges    whether shapes stand beside the lines
    phase          TRAIN or TEST; None draws both
    display_lrm    whether boxes show the lr_mult of weights and biases
    """
    if rankdir is not None and rankdir not in RANKDIRS:
        raise DataError(f"rankdir must be one of {', '.join(RANKDIRS)}, got {rankdir!r}",
                        hint=near_names(str(rankdir), list(RANKDIRS)))
    if phase not in (None, proto.TRAIN, proto.TEST):
        raise NetError(f"phase must be TRAIN (0), TEST (1) or None, got {phase!r}")
    drawing = draw_definition(_ours(caffe_net), phase=phase, width=WIDTH, lr_mult=WITH_LR_MULT if display_lrm else ())
    return Graph(drawing, rankdir, label_edges)


def _ours(net: Any) -> Any:
    """Return a NetParameter of another caffe_pb2 as one of ours."""
    if isinstance(net, proto.NetParameter):
        return net
    if getattr(getattr(net, "DESCRIPTOR", None), "full_name", "") == proto.NetParameter.DESCRIPTOR.full_name:
        return proto.NetParameter.FromString(net.SerializeToString())
    raise NetError(f"expected a NetParameter to draw, got {type(net).__name__}",
                   hint="draw spec.to_proto()" if hasattr(net, "to_proto") else "text_format.Parse makes one of a "
                   "prototxt's text, minicaffe.drawing.draw draws a Net")


def draw_net(caffe_net: Any, rankdir: str | None, ext: str = "png", phase: int | None = None,
             display_lrm: bool = False) -> bytes:
    """Return the drawing of a NetParameter as the bytes of a file of the format `ext`."""
    return get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm).create(format=ext)


def draw_net_to_file(caffe_net: Any, filename: str | os.PathLike[str], rankdir: str | None = None,
                     phase: int | None = None, display_lrm: bool = False) -> None:
    """Draw a NetParameter into a file, whose ending is the format."""
    form = format_of(filename)
    get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm).write(filename, format=form)


def format_of(filename: str | os.PathLike[str]) -> str:
    """Return the format of a drawing, the ending of its file's name. Raise DataError where it has none."""
    ending = os.path.splitext(filename)[1].removeprefix(".")
    if not ending:
        raise DataError(f"{one_line(filename)}: a drawing's format is the ending of its name, and there is none",
                        hint=".svg, .html, .dot, or .png where graphviz is installed")
    return ending


# --- what pycaffe says of a layer -----------------------------------------------------------------------------

def get_pooling_types_dict() -> dict[int, str]:
    """Return the names of the pooling methods by their numbers."""
    values = proto.PoolingParameter.DESCRIPTOR.enum_types_by_name["PoolMethod"].values
    return {value.number: value.name for value in values}


def get_edge_label(layer: Any) -> str:
    """Return what pycaffe writes beside the line to a layer's top: how many outputs or samples it has, or '""'."""
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    if layer.type == "InnerProduct":
        return str(layer.inner_product_param.num_output)
    return '""'


def get_layer_lr_mult(layer: Any) -> tuple[float, float]:
    """Return the lr_mult of the weights and of the bias of a Convolution, Deconvolution or InnerProduct."""
    if layer.type not in WITH_LR_MULT:
        raise ValueError(f"a {layer.type} layer has no weights and bias, so it has no lr_mult for them")
    if len(layer.param) > 2:
        raise ValueError(f"layer {layer.name!r} ({layer.type}) has weights and a bias, but {len(layer.param)} params")
    weights, bias = [*(param.lr_mult for param in layer.param), 1.0, 1.0][:2]
    return weights, bias


def get_layer_label(layer: Any, rankdir: str, display_lrm: bool = False) -> str:
    """Return what pycaffe writes into a layer's box, in quotes; the parts stand on lines of their own in "LR"."""
    parts = [layer.name, f"({layer.type})"]
    window: tuple[int, ...] = ()
    if layer.type == "Pooling":
        p = layer.pooling_param
        parts[1] = f"(Pooling {get_pooling_types_dict()[p.pool]})"
        window = p.kernel_size, p.stride, p.pad
    elif layer.type in ("Convolution", "Deconvolution"):
        p = layer.convolution_param
        window = [*p.kernel_size, 1][0], [*p.stride, 1][0], [*p.pad, 0][0]
    parts += [f"{name}: {size}" for name, size in zip(("kernel size", "stride", "pad"), window, strict=False)]
    if display_lrm and layer.type in WITH_LR_MULT:
        mults = get_layer_lr_mult(layer)
        parts += [f"lr mult: {mults[0]:.1f}, {mults[1]:.1f}"] * any(mults)
    separator = " " if rankdir in ("TB", "BT") else r"\n"
    return f'"{separator.join(parts)}"'


def choose_color_by_layertype(layertype: str) -> str:
    """Return the colour in which pycaffe draws a layer of a type."""
    colors = {"Convolution": "#FF5050", "Deconvolution": "#FF5050", "Pooling": "#FF9900", "InnerProduct": "#CC33FF"}
    return colors.get(layertype, "#6495ED")
