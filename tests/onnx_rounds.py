"""Write a small net as ONNX, read it back as a net, and compare both, for tests."""

import numpy as np
from onnx_tools import difference, exported, larger_net, ops

from minicaffe.convert.onnx_in.net import net_of, runnable
from minicaffe.convert.onnx_out.model import model_of
from minicaffe.testing.random_numbers import random_inputs

TOLERANCE = 1e-5  # of the largest number of an output
X = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 6 dim: 9 dim: 7 } } } "


def named(name, *dims):
    """An Input with another blob."""
    sizes = " ".join(f"dim: {n}" for n in dims)
    return f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ {sizes} }} }} }} "


Z = named("z", 2, 6, 9, 7)


def layer(type, fields="", bottoms="x", tops="y", name="l"):
    blobs = " ".join([*(f"bottom: '{b}'" for b in bottoms.split()), *(f"top: '{t}'" for t in tops.split())])
    return f"layer {{ name: '{name}' type: '{type}' {blobs} {fields} }} "


def round_trip(prototxt, dialect="", larger=True, fill=None, inputs=None):
    """Write a net, read it back, and compare all outputs.

    Return what `described` says of both, the net that was read and its NetParameter, and the first model.
    """
    net, model = exported(prototxt, fill, larger)
    random_inputs(net, np.random.default_rng(3))
    for name, values in (inputs or {}).items():
        net.blobs[name].data[...] = values
    draft = net_of(model, {name: net.blobs[name].shape for name in net.inputs}, dialect)
    back = runnable(draft)
    assert [*back.inputs] == [*net.inputs]
    assert {*back.outputs} == {*net.outputs}
    for name in net.inputs:
        back.blobs[name].data[...] = net.blobs[name].data
    net.forward()
    back.forward()
    for name in net.outputs:
        assert difference(net.blobs[name].data, back.blobs[name].data) <= TOLERANCE, name
    return [described(net), described(back)], (back, draft.net), model


def described(net):
    """The type, the name, the bottoms and the tops of each layer, but for the Splits that a net adds."""
    names = net.wiring.blob_names
    copies, layers = {}, []
    for layer, bottoms, tops in zip(net.layers, net.wiring.bottoms, net.wiring.tops, strict=True):
        if layer.type == "Split":
            copies.update(dict.fromkeys(tops, bottoms[0]))
        else:
            layers.append((layer.type, layer.name, [names[copies.get(b, b)] for b in bottoms],
                           [names[t] for t in tops]))
    return layers


def assert_comes_back(prototxt, **given):
    """The net that comes back has the same layers and blobs, and is written as the same nodes again."""
    nets, (back, param), model = round_trip(prototxt, **given)
    assert nets[0] == nets[1]
    assert ops(model) == ops(written_again(back, param, **given))
    return param


def written_again(back, param, larger=True, **_):
    """The second model, with a free batch size."""
    return model_of(back, larger_net(back, param, larger, shapes_only=True) if larger else None)
