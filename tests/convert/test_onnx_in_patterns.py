"""Sequences of nodes that are put together before a net is written, compared with onnxruntime."""

import numpy as np
import pytest
from extras import needs
from onnx_models import assert_reads, model_of, node

from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_in import reading
from minicaffe.convert.onnx_in.folding import graph_of
from minicaffe.convert.onnx_in.net import net_of, runnable
from minicaffe.convert.onnx_in.patterns import simplify
from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

DRAW = np.random.default_rng(11)


def floats(*shape):
    return DRAW.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def number(value):
    return np.array(value, np.float32)


def ops(model):
    """The operators after all patterns were applied."""
    graph = graph_of(model, reading.input_shapes(model, None, {}))
    simplify(graph)
    return [one.op for one in graph.nodes]


# --- activations -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("beta", [1.0, 1.7])
@pytest.mark.parametrize("swapped", [False, True])
def test_swish(beta, swapped):
    inner = [node("Mul", ["k", "x"] if swapped else ["x", "k"], ["s"])] if beta != 1 else []
    nodes = [*inner, node("Sigmoid", ["s" if inner else "x"], ["g"]),
             node("Mul", ["g", "x"] if swapped else ["x", "g"])]
    model = model_of(nodes, {"x": (2, 3, 5)}, constants={"k": number(beta)})

    assert ops(model) == ["Swish"]
    assert assert_reads(model, "bvlc") == ["Swish"]
    assert assert_reads(model) == ["Power"] * len(inner) + ["Sigmoid", "Eltwise"]


def test_gate_of_another_blob_is_no_swish():
    model = model_of([node("Sigmoid", ["z"], ["g"]), node("Mul", ["x", "g"])], {"x": (2, 3, 5), "z": (2, 3, 5)})

    assert assert_reads(model, "bvlc") == ["Sigmoid", "Eltwise"]


def softplus(limit, op="Greater"):
    nodes = [node("Softplus", ["x"], ["s"]), node(op, ["x", "t"], ["large"]), node("Where", ["large", "x", "s"])]
    return model_of(nodes, {"x": (2, 3, 5)}, constants={"t": number(limit)})


@pytest.mark.parametrize("op", ["Greater", "GreaterOrEqual"])
def test_softplus(op):
    assert assert_reads(softplus(20, op), inputs={"x": 15 * floats(2, 3, 5)}) == ["BNLL"]


def test_softplus_with_a_low_limit_is_another_function():
    assert "Where" in ops(softplus(2))


# --- windows ---------------------------------------------------------------------------------------------------------

def padded(op, added, value=0.0, before=None, **attributes):
    constants = {"p": ints(*added), "v": number(value), "w": floats(4, 3, 2, 3)}
    first = [node(before, ["x"], ["a"])] if before else []
    pad = node("Pad", ["a" if before else "x", "p", "v"], ["padded"])
    reads = ["padded", "w"] if op == "Conv" else ["padded"]
    return model_of([*first, pad, node(op, reads, **attributes)], {"x": (2, 3, 7, 9)}, constants=constants)


def test_pad_and_conv():
    model = padded("Conv", [0, 0, 1, 2, 0, 0, 1, 2], pads=[1, 0, 1, 0])

    assert assert_reads(model) == ["Convolution"]


def test_pad_and_conv_with_sides_that_differ():
    assert ops(padded("Conv", [0, 0, 0, 2, 0, 0, 1, 0], strides=[2, 1])) == ["Conv"]
    assert_reads(padded("Conv", [0, 0, 0, 2, 0, 0, 1, 0], strides=[2, 1]))


def test_pad_and_average():
    """What the Pad added counts, as Caffe counts it, too."""
    model = padded("AveragePool", [0, 0, 1, 0, 0, 0, 1, 0], kernel_shape=[3, 2])

    assert assert_reads(model) == ["Pooling"]


@pytest.mark.parametrize("given", [{"value": -np.inf}, {"before": "Relu"}], ids=str)
def test_pad_and_largest(given):
    model = padded("MaxPool", [0, 0, 1, 0, 0, 0, 1, 0], kernel_shape=[3, 2], **given)

    assert ops(model)[-1] == "MaxPool"
    assert assert_reads(model)[-1] == "Pooling"


@pytest.mark.parametrize("given", [
    {"op": "Conv", "value": 1.5}, {"op": "MaxPool", "kernel_shape": [3, 2]}, {"op": "Conv", "auto_pad": "VALID"},
    {"op": "AveragePool", "kernel_shape": [3, 2], "pads": [1, 0, 1, 0]}], ids=str)
def test_pad_that_is_not_the_layers_own_stays(given):
    """Where the numbers around the image are others than those of the layer, the Pad is a layer by itself."""
    model = padded(added=[0, 0, 1, 0, 0, 0, 1, 0], **given)

    assert ops(model)[0] == "Pad"
    assert_reads(model)


# --- moves -----------------------------------------------------------------------------------------------------------

def turned(shape, seen, order, new):
    nodes = [node("Reshape", ["x", "a"], ["s"]), node("Transpose", ["s"], ["t"], perm=order),
             node("Reshape", ["t", "b"])]
    return model_of(nodes, {"x": shape}, constants={"a": ints(*seen), "b": ints(*new)})


@pytest.mark.parametrize("seen", [(2, 3, 4, 5, 7), (2, 3, 4, 35)], ids=str)
def test_channel_shuffle(seen):
    model = turned((2, 12, 5, 7), seen, [0, 2, 1, 3, 4][:len(seen)], (2, 12, 5, 7))

    assert ops(model) == ["ChannelShuffle"]
    assert assert_reads(model, "ncnn") == ["ShuffleChannel"]
    assert set(assert_reads(model)) == {"Slice", "Reshape", "Concat"}


def test_channels_to_pixels_and_back():
    deep = turned((2, 12, 5, 7), (2, 3, 2, 2, 5, 7), [0, 1, 4, 2, 5, 3], (2, 3, 10, 14))
    flat = turned((2, 3, 10, 14), (2, 3, 5, 2, 7, 2), [0, 1, 3, 5, 2, 4], (2, 12, 5, 7))

    assert (ops(deep), ops(flat)) == (["DepthToSpace"], ["SpaceToDepth"])
    assert (assert_reads(deep), assert_reads(flat)) == (["Deconvolution"], ["Convolution"])


def test_another_order_is_no_shuffle():
    model = turned((2, 12, 5, 7), (2, 3, 4, 7, 5), [0, 2, 1, 3, 4], (2, 12, 5, 7))

    assert "Transpose" in ops(model)
    assert_reads(model)


def test_two_transposes():
    both = [node("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]), node("Transpose", ["a"], perm=[0, 3, 1, 2])]
    assert ops(model_of(both, {"x": (2, 3, 4, 5)})) == ["Identity"]

    other = [node("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]), node("Transpose", ["a"], perm=[0, 2, 1, 3])]
    model = model_of(other, {"x": (2, 3, 4, 5)})
    assert ops(model) == ["Transpose"]
    assert assert_reads(model, "ssd") == ["Permute"]


@pytest.mark.parametrize("product", ["Gemm", "MatMul", "Gemm with transB"])
def test_order_of_the_weights(product):
    """A fully connected layer that reads the pixels first and then the channels gets other weights instead."""
    op, transposed = product.split()[0], "transB" in product
    constants = {"w": floats(6, 60) if transposed else floats(60, 6), "b": floats(6), "to": ints(2, -1)}
    reads = ["flat", "w"] + (["b"] if op == "Gemm" else [])
    nodes = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("Reshape", ["t", "to"], ["flat"]),
             node(op, reads, **({"transB": 1} if transposed else {}))]
    model = model_of(nodes, {"x": (2, 3, 4, 5)}, constants=constants)

    assert assert_reads(model) == ["Flatten", "InnerProduct"]


def test_rows_that_are_read_twice_keep_their_order():
    nodes = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), node("Flatten", ["t"], ["flat"]),
             node("MatMul", ["flat", "w"], ["y"]), node("Relu", ["flat"], ["z"])]

    assert_reads(model_of(nodes, {"x": (2, 3, 4, 5)}, ["y", "z"], {"w": floats(60, 6)}))


# --- normalizations --------------------------------------------------------------------------------------------------

def lrn(size=5, pads=(2, 2)):
    nodes = [node("Mul", ["x", "x"], ["s"]), node("Reshape", ["s", "deep"], ["d"]), node("Pad", ["d", "p"], ["e"]),
             node("AveragePool", ["e"], ["m"], kernel_shape=[size, 1]), node("Reshape", ["m", "flat"], ["n"]),
             node("Mul", ["n", "alpha"], ["a"]), node("Add", ["a", "k"], ["b"]), node("Pow", ["b", "beta"], ["c"]),
             node("Div", ["x", "c"])]
    constants = {"deep": ints(2, 1, 7, 12), "p": ints(0, 0, pads[0], 0, 0, 0, pads[1], 0), "flat": ints(2, 7, 3, 4),
                 "alpha": number(0.3), "k": number(1.5), "beta": number(0.6)}
    return model_of(nodes, {"x": (2, 7, 3, 4)}, constants=constants)


def test_lrn():
    assert assert_reads(lrn()) == ["LRN"]


def test_window_that_is_not_in_the_middle_is_no_lrn():
    assert ops(lrn(pads=(1, 3)))[-1] == "Div"
    assert_reads(lrn(pads=(1, 3)))


# --- sequences -------------------------------------------------------------------------------------------------------

def test_sequence_with_the_batch_first_runs_at_other_sizes():
    """An LSTM reads the steps first. Both Transposes and the Squeeze between them leave the size of the batch open."""
    needs("onnxruntime")
    nodes = [node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), node("LSTM", ["t", "w", "r"], ["h"], hidden_size=3),
             node("Squeeze", ["h", "one"], ["s"]), node("Transpose", ["s"], perm=[1, 0, 2])]
    model = model_of(nodes, {"x": ("batch", 5, 4)}, constants={"w": floats(1, 12, 4), "r": floats(1, 12, 3),
                                                               "one": ints(1)})
    net = runnable(net_of(model, reading.input_shapes(model, None, {})))
    x = floats(6, 5, 4)
    net.blobs["x"].reshape(*x.shape)
    net.reshape()
    net.blobs["x"].data[...] = x
    net.forward()

    y = onnx_package.run(model.SerializeToString(), {"x": x})["y"]
    assert net.blobs["y"].shape == y.shape == (6, 5, 3)
    np.testing.assert_allclose(net.blobs["y"].data, y, atol=1e-6)


# --- choices ---------------------------------------------------------------------------------------------------------

def where(**constants):
    nodes = [node("Greater", ["x", "limit"], ["c"]), node("Where", ["c", "x", "other"])]
    inputs = {"x": (2, 3, 5)} if "other" in constants else {"x": (2, 3, 5), "other": (3, 1)}
    return model_of(nodes, inputs, constants={"limit": number(0.3), **constants})


def test_where():
    """The other numbers are put in, or constant; either way they may have to be repeated."""
    assert assert_reads(where())[-1] == "Eltwise"
    assert assert_reads(where(other=floats(1, 1)))[-1] == "Eltwise"


def test_where_with_infinity_is_refused():
    with pytest.raises(LayerError, match="infinity"):
        assert_reads(where(other=number(-np.inf)))
