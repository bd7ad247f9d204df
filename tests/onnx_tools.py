"""Write a small net as ONNX, run it in onnxruntime and compare, for tests."""

import copy

import numpy as np
from extras import needs

from minicaffe import passes
from minicaffe.analysis.resize import resize
from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_out.model import model_of
from minicaffe.net import Net
from minicaffe.proto import TEST, NetParameter, text
from minicaffe.testing.random_numbers import random_inputs, random_weights

TOLERANCE = 1e-5  # of the largest number of an output


def net_of(prototxt, batch=None, **kw):
    """A net of the phase TEST, from its text; `batch` puts another batch size into its Inputs."""
    definition = text.parse(prototxt, NetParameter()) if isinstance(prototxt, str) else copy.deepcopy(prototxt)
    definition = passes.upgrade(definition)
    if batch:
        resize(definition, batch, "")
    return Net(definition, TEST, **kw)


def exported(prototxt, fill=None, larger=True, seed=0):
    """(net, model): a net with random weights, and its ModelProto with an open batch size.

    fill    called with the net after its weights are drawn, to change them
    larger  False writes the model for the batch size of the net; a text is the same net for a larger batch
    """
    needs("onnx.checker")
    net = net_of(prototxt)
    random_weights(net, np.random.default_rng(seed))
    if fill:
        fill(net)
    return net, model_of(net, larger_net(net, prototxt, larger, shapes_only=True) if larger else None)


def larger_net(net, prototxt, larger, **kw):
    """The net for a larger batch: that of the text `larger`, or `prototxt` with another batch size."""
    if isinstance(larger, str):
        return net_of(larger, **kw)
    return net_of(prototxt, 2 * net.blobs[net.inputs[0]].shape[0] + 1, **kw)


def differences(net, model, inputs=None, seed=1):
    """The largest difference of each output between the net and the model, as a part of the output's largest number.

    inputs  name -> array, for the inputs that need special numbers; the others get random ones
    """
    needs("onnxruntime")
    for name in net.inputs:
        net.blobs[name].data[...] = 0
    random_inputs(net, np.random.default_rng(seed))
    for name, values in (inputs or {}).items():
        net.blobs[name].data[...] = values
    given = {name: net.blobs[name].data.copy() for name in net.inputs}
    net.forward()
    found = onnx_package.run(model.SerializeToString(), given)
    assert [*found] == [*net.outputs]
    return {name: difference(net.blobs[name].data, values) for name, values in found.items()}


def difference(ours, theirs):
    """The largest difference of two arrays of one shape, as a part of the largest number."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max(initial=0)) / max(float(np.abs(ours).max(initial=0)), 1e-30)


def ops(model):
    """The operators of a model in their order."""
    return [node.op_type for node in model.graph.node]


def assert_same(prototxt, fill=None, inputs=None, tolerance=TOLERANCE, larger=True):
    """Write a net, check the model, and compare at the batch size of the net and, if it is open, at another one.

    inputs  name -> array, or a function that makes them for a net; arrays fit one batch size alone

    Return the model.
    """
    onnx = needs("onnx")
    net, model = exported(prototxt, fill, larger)
    onnx.checker.check_model(model, full_check=True)
    nets = [net]
    if larger and (inputs is None or callable(inputs)):
        other = larger_net(net, prototxt, larger)
        for mine, theirs in zip(other.layers, net.layers, strict=True):
            for blob, given in zip(mine.blobs, theirs.blobs, strict=True):
                blob.data[...] = given.data
        nets.append(other)
    for one in nets:
        found = differences(one, model, inputs(one) if callable(inputs) else inputs)
        assert max(found.values()) <= tolerance, found
    return model


