"""Write a small net as a PyTorch module, run it in PyTorch and compare, for tests."""

import copy

import numpy as np
from extras import needs_torch

from minicaffe.convert import proof
from minicaffe.convert.torch_out import proof as torch_proof
from minicaffe.convert.torch_out.module import module_of
from minicaffe.net import Net
from minicaffe.proto import TEST, TRAIN, NetParameter, text
from minicaffe.testing.random_numbers import random_weights

TOLERANCE = 1e-5  # of the range of an output or a gradient

IMAGES = "name: '{}' layer {{ name: 'data' type: 'Input' top: 'data' input_param {{ shape {{ dim: 2 dim: 4 dim: 7 " \
         "dim: 9 }} }} }}\n"
LABEL = "layer { name: 'label' type: 'Input' top: 'label' input_param { shape { dim: 2 } } }\n"


def images(name="Small"):
    """The beginning of a net of this name, with images."""
    return IMAGES.format(name)


LENET = """name: "LeNet"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 64 dim: 1 dim: 28 dim: 28 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 20 kernel_size: 5 } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 50 kernel_size: 5 } }
layer { name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "ip1" type: "InnerProduct" bottom: "pool2" top: "ip1" inner_product_param { num_output: 500 } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2" inner_product_param { num_output: 10 } }
"""
PROB = 'layer { name: "prob" type: "Softmax" bottom: "ip2" top: "prob" }'
LOSS = LABEL.replace("dim: 2", "dim: 64") + \
    'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }'


def nets_of(prototxt, training="", fill=None):
    """(net, training): the net of a text for TEST, and one for TRAIN that has the layers of `training` behind it.

    fill    called with each net after its weights are drawn, to change them
    """
    def made(content, phase):
        definition = text.parse(content, NetParameter()) if isinstance(content, str) else copy.deepcopy(content)
        net = Net(definition, phase)
        random_weights(net, np.random.default_rng(3))
        if fill:
            fill(net)
        return net
    net = made(prototxt, TEST)
    if not training:
        return net, None
    other = made(prototxt + training, TRAIN)
    for layer in net.layers:
        for blob, source in zip(layer.blobs, other.params.get(layer.name, []), strict=True):
            blob.data[...] = source.data
    return net, other


def written(prototxt, training="", fill=None):
    """The module that a net becomes. PyTorch is not needed for it."""
    return module_of(*nets_of(prototxt, training, fill))


def assert_same(prototxt, training="", fill=None, tolerance=TOLERANCE):
    """Write a net, run it in PyTorch, and compare the outputs and the gradients of one step. Return (module, proof)."""
    needs_torch()
    net, other = nets_of(prototxt, training, fill)
    module = module_of(net, other)
    return module, compare(module, net, other, tolerance=tolerance)


def compare(module, net, other=None, runs=None, tolerance=TOLERANCE):
    """Run a written module and the nets from which it was written. Return the Step after the comparison."""
    runs = list(proof.random_runs(net, module.outputs)) if runs is None else runs
    with torch_proof.imported(module) as found:
        forward = proof.prove(net, runs, torch_proof.forward_of(found, module.inputs)) if runs else None
        step = torch_proof.step(found, module, net, other)
    worst = [*(forward.worst(name)[1] for name in forward.found), *step.all] if forward else step.all
    assert max((one.part for one in worst), default=0) <= tolerance, (*map(str, worst), module.text)
    return step


def body(module, method="forward"):
    """The statements of a method of a written module, without their indentation."""
    lines = module.text.split(f"    def {method}(")[1].split("\n    def ")[0].split("\n\n\n")[0].splitlines()[1:]
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith('"""')]
