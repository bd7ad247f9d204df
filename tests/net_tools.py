"""Nets from short texts, and the check of a whole net's gradients by finite differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe import TRAIN, Net, rng
from minicaffe.blob import Blob
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

# It trains without any files. It has 16 images, so that kernels for interleaved images run too.
TRAINABLE = """
layer { name: "data" type: "DummyData" top: "x" top: "t"
        dummy_data_param { shape { dim: 16 dim: 3 dim: 9 dim: 7 } shape { dim: 16 }
                           data_filler { type: "gaussian" } data_filler { value: 1 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "c"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "c" top: "c" }
layer { name: "pool" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "p" top: "ip"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" }
"""


def inputs(**shapes: Sequence[int]) -> str:
    """An Input layer for each name, of this shape."""
    return "".join(f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
                   + " ".join(f"dim: {n}" for n in shape) + " } } }\n" for name, shape in shapes.items())


def layer(kind: str, bottoms: str, tops: str, more: str = "", name: str = "") -> str:
    """One layer; bottoms and tops are names with spaces between, the layer's name is the first top's."""
    joined = "".join(f' bottom: "{b}"' for b in bottoms.split()) + "".join(f' top: "{t}"' for t in tops.split())
    return f'layer {{ name: "{name or tops.split()[0]}" type: "{kind}"{joined} {more} }}\n'


def fully_connected(bottom: str, top: str, outputs: int, more: str = "", name: str = "") -> str:
    """An InnerProduct layer with random weights and biases."""
    fillers = 'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "gaussian" std: 0.5 }'
    return layer("InnerProduct", bottom, top, f"inner_product_param {{ num_output: {outputs} {fillers} }} {more}", name)


def convolution(bottom: str, top: str, outputs: int, kernel: int, more: str = "", name: str = "") -> str:
    """A Convolution that keeps the height and width (for an odd kernel), with random weights."""
    fields = (f'num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2} '
              f'weight_filler {{ type: "gaussian" std: 0.4 }} bias_filler {{ type: "gaussian" std: 0.4 }}')
    return layer("Convolution", bottom, top, f"convolution_param {{ {fields} }} {more}", name)


def make(text: str, phase: int = TRAIN, dtype: type = np.float64, **options: Any) -> Net:
    """The net of a text, its inputs filled with normal numbers."""
    net = Net(proto_text.parse(text, NetParameter()), phase, dtype=dtype, **options)
    draw = np.random.default_rng(7)
    for name in net.inputs:
        net.blobs[name].data[...] = draw.standard_normal(net.blobs[name].shape)
    return net


def gradient_errors(net: Net, step: float = 1e-5) -> dict[str, float]:
    """For each input and each learnable blob the largest difference between backward and the difference quotient of
    the net's loss, over the largest of the blob's numbers. The inputs' own data are kept and put back before each
    forward: an in-place layer may have written over them."""
    start = {name: net.blobs[name].data.copy() for name in net.inputs}
    asked = {name for i, flags in enumerate(net.plan.bottoms) for name, flag in
             zip([net.wiring.blob_names[b] for b in net.wiring.bottoms[i]], flags, strict=True) if flag}

    def loss() -> float:
        rng.seed(3)
        for name, values in start.items():
            net.blobs[name].data[...] = values
        return net.forward()

    loss()
    net.clear_param_diffs()
    net.backward()
    checked: dict[str, tuple[np.ndarray, Blob]] = {}
    for name in net.inputs:
        if name in asked:
            checked[name] = (start[name], net.blobs[name])
    for param in net.learnable_params:
        if net.layers[net.layer_index(param.layer)].param_propagate_down[param.index]:
            checked[f"{param.layer}/{param.index}"] = (param.blob.data, param.blob)
    analytic = {name: blob.diff.copy() for name, (_, blob) in checked.items()}
    return {name: _error(values, analytic[name], loss, step) for name, (values, _) in checked.items()}


def _error(values: np.ndarray, analytic: np.ndarray, loss: Any, step: float) -> float:
    numeric = np.empty(values.shape)
    for index in np.ndindex(values.shape):
        kept = values[index]
        values[index] = kept + step
        above = loss()
        values[index] = kept - step
        numeric[index] = (above - loss()) / (2 * step)
        values[index] = kept
    scale = max(np.abs(numeric).max(), np.abs(analytic).max(), 1e-6)
    return float(np.abs(analytic - numeric).max() / scale)
