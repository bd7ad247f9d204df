"""Make small ONNX models, read them as nets, and compare both in numbers, for tests."""

import numpy as np
from extras import needs

from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_in.net import filled, net_of
from minicaffe.convert.onnx_in.reading import input_shapes, widen
from minicaffe.net import Net
from minicaffe.proto import TEST

TOLERANCE = 1e-5  # of the largest number of an output
OPSET = 18


def model_of(nodes, inputs, outputs=("y",), constants=None, opset=OPSET, kinds=None):
    """A ModelProto.

    nodes       of `node`
    inputs      name -> shape; a text stands for an open size
    outputs     names
    constants   name -> array
    kinds       name of an input -> its number type, where that is not float32
    """
    onnx = needs("onnx")
    helper, kinds = onnx.helper, kinds or {}
    given = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kinds.get(name, "float32"))),
                                           list(shape)) for name, shape in inputs.items()]
    made = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    stored = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "model", given, made, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op, inputs, outputs=("y",), name=None, **attributes):
    """A node of a model."""
    return needs("onnx").helper.make_node(op, list(inputs), list(outputs), name=name or f"{op} of {outputs[0]}",
                                          **attributes)


def assert_reads(model, dialect="", batch=None, shapes=None, inputs=None, tolerance=TOLERANCE):
    """Read a model, compare its outputs with onnxruntime's, and return its layer types without Input.

    inputs  name -> array, for the inputs that need special numbers; the others get random ones
    """
    needs("onnxruntime")
    widen(model)
    sizes = input_shapes(model, batch, shapes or {})
    draft = net_of(model, sizes, dialect)
    net = Net(filled(draft), TEST)
    draw = np.random.default_rng(1)
    given = {name: np.asarray((inputs or {}).get(name, draw.standard_normal(size)), np.float32)
             for name, size in sizes.items()}
    for name, values in given.items():
        net.blobs[name].data[...] = values
    net.forward()
    found = onnx_package.run(model.SerializeToString(), given)
    assert set(found) == set(net.outputs)
    for name, theirs in found.items():
        ours = net.blobs[name].data
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max(), name
    return [layer.type for layer in draft.net.layer if layer.type != "Input"]


def read_one(op, *shapes, constants=(), dialect="", opset=OPSET, outputs=("y",), **attributes):
    """Compare a model of one node: its first inputs have these shapes, the others are constants (None: left out)."""
    inputs = {f"x{k}": shape for k, shape in enumerate(shapes)}
    stored = {f"c{k}": array for k, array in enumerate(constants) if array is not None}
    names = [*inputs, *[f"c{k}" if array is not None else "" for k, array in enumerate(constants)]]
    return assert_reads(model_of([node(op, names, outputs, **attributes)], inputs, outputs, stored, opset), dialect)
