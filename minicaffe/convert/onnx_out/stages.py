"""A model whose layers that choose are given the numbers of the net, so that each stage is compared by itself.

Which boxes stay is a choice: where two scores are nearly equal, rounding decides, and all that follows is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicaffe.convert.onnx_package import onnx
from minicaffe.net import Net

# A small change of what these layers read can be a large one of what they make: they choose, or they round.
CHOOSING = frozenset(("ArgMax", "BoxGroupOutput", "DetectionOutput", "PSROIPooling", "Proposal", "Python", "ROIPooling",
                      "ScaleRoute", "Threshold", "YoloDetectionOutput", "Yolov3DetectionOutput"))
GIVEN = "given to the next stage"  # what stands behind the name of a value in the name of the input that replaces it


def cuts(net: Net, model: Any) -> list[str]:
    """Return the blobs that layers which choose read, as far as nodes of the model make them."""
    made = {name for node in model.graph.node for name in node.output}
    found: dict[str, None] = {}
    sources: dict[int, int] = {}  # blob -> the one that it is a copy of
    for i, layer in enumerate(net.layers):
        bottoms = [sources.get(b, b) for b in net.wiring.bottoms[i]]
        if layer.type == "Split":
            sources.update(dict.fromkeys(net.wiring.tops[i], bottoms[0]))
        if layer.type in CHOOSING or (layer.type == "Pooling" and len(net.tops[i]) > 1):
            found.update({net.wiring.blob_names[b]: None for b in bottoms})
    return [name for name in found if name in made]


def given_name(cut: str) -> str:
    """Return the name of the input that takes the place of a blob."""
    return f"{cut}, {GIVEN}"


def in_stages(model: Any, cut: Sequence[str]) -> Any:
    """Return a copy of a ModelProto in which nodes read inputs in place of these values, which it also puts out."""
    helper, copy = onnx().helper, type(model)()
    copy.CopyFrom(model)
    put_out = {value.name for value in copy.graph.output}
    for node in copy.graph.node:
        node.input[:] = [given_name(name) if name in cut else name for name in node.input]
    for name in cut:
        copy.graph.input.append(helper.make_tensor_value_info(given_name(name), 1, None))
        if name not in put_out:
            copy.graph.output.append(helper.make_tensor_value_info(name, 1, None))
    return copy
