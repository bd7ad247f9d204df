"""Round trips of whole nets: the layers, the blobs and their names are as before."""

import numpy as np
import pytest
from onnx_rounds import TOLERANCE, X, assert_comes_back, layer, named, round_trip, written_again
from onnx_tools import difference, exported, ops

from minicaffe.convert.onnx_in import reading
from minicaffe.convert.onnx_in.net import net_of, runnable
from minicaffe.convert.onnx_out.model import model_of
from minicaffe.testing.random_numbers import random_inputs

pytestmark = pytest.mark.slow  # hundreds of small conversions

# --- names -----------------------------------------------------------------------------------------------------------

def test_names_with_strokes_and_layers_in_place():
    net = "".join([X, layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }", "x", "c/out", "c/1"),
                   in_place("BatchNorm", "c/out", "c/bn"),
                   in_place("Scale", "c/out", "c/scale", "scale_param { bias_term: true }"), relu("c/out", "c/relu")])
    assert_comes_back(net)
    assert_comes_back(net + layer("TanH", bottoms="c/out"))


def test_blobs_that_are_called_like_other_layers():
    assert_comes_back(X + layer("TanH", tops="b", name="a") + layer("AbsVal", bottoms="b", tops="c", name="b")
                      + layer("Sigmoid", bottoms="c", tops="a", name="c"))


def test_a_layer_that_did_not_run_in_place_does_not_afterwards():
    assert_comes_back(X + layer("TanH", tops="t", name="t") + layer("ReLU", bottoms="t", name="r"))


def test_scale_keeps_its_name():
    nets, _, _ = round_trip(X + layer("BatchNorm", tops="b", name="bn")
                            + layer("Scale", "scale_param { bias_term: true }", "b", name="sc"))

    assert [one[:2] for one in nets[1][1:]] == [("BatchNorm", "bn"), ("Scale", "sc")]


def test_a_blob_that_is_read_twice_before_a_layer_runs_in_place():
    assert_comes_back(X + layer("TanH", tops="t", name="t") + layer("AbsVal", bottoms="t", tops="a", name="a")
                      + layer("Sigmoid", bottoms="t", tops="s", name="s"))


# --- whole nets ------------------------------------------------------------------------------------------------------

def conv(name, bottom, fields):
    return layer("Convolution", f"convolution_param {{ {fields} }}", bottom, name, name)


def pool(name, bottom, fields):
    return layer("Pooling", f"pooling_param {{ {fields} }}", bottom, name, name)


def product(name, bottom, fields):
    return layer("InnerProduct", f"inner_product_param {{ {fields} }}", bottom, name, name)


def in_place(type, blob, name, fields=""):
    return layer(type, fields, blob, blob, name)


def relu(blob, name):
    return in_place("ReLU", blob, name)


def lenet():
    return "".join([
        named("data", 2, 1, 28, 27),
        conv("conv1", "data", "num_output: 5 kernel_size: 5"), pool("pool1", "conv1", "kernel_size: 2 stride: 2"),
        conv("conv2", "pool1", "num_output: 8 kernel_size: 5"), pool("pool2", "conv2", "kernel_size: 2 stride: 2"),
        product("ip1", "pool2", "num_output: 20"), relu("ip1", "relu1"), product("ip2", "ip1", "num_output: 10"),
        layer("Softmax", "", "ip2", "prob", "prob")])


def cifar10_full():
    lrn = "lrn_param { local_size: 3 alpha: 5e-05 beta: 0.75 norm_region: WITHIN_CHANNEL }"
    return "".join([
        named("data", 2, 3, 32, 31), conv("conv1", "data", "num_output: 6 pad: 2 kernel_size: 5"),
        pool("pool1", "conv1", "kernel_size: 3 stride: 2"), relu("pool1", "relu1"),
        layer("LRN", lrn, "pool1", "norm1", "norm1"), conv("conv2", "norm1", "num_output: 7 pad: 2 kernel_size: 5"),
        relu("conv2", "relu2"), pool("pool2", "conv2", "pool: AVE kernel_size: 3 stride: 2"),
        layer("LRN", lrn, "pool2", "norm2", "norm2"), product("ip1", "norm2", "num_output: 10"),
        layer("Softmax", "", "ip1", "prob", "prob")])


def inception():
    """A small GoogLeNet: a stem with LRN, and one block, whose names have strokes."""
    stem = [
        named("data", 2, 3, 33, 31), conv("conv1/7x7_s2", "data", "num_output: 6 pad: 3 kernel_size: 7 stride: 2"),
        relu("conv1/7x7_s2", "conv1/relu_7x7"), pool("pool1/3x3_s2", "conv1/7x7_s2", "kernel_size: 3 stride: 2"),
        layer("LRN", "lrn_param { local_size: 5 alpha: 0.1 }", "pool1/3x3_s2", "pool1/norm1", "pool1/norm1"),
        pool("inception/pool", "pool1/norm1", "kernel_size: 3 stride: 1 pad: 1")]
    block = [("1x1", "pool1/norm1", "num_output: 4 kernel_size: 1"),
             ("3x3_reduce", "pool1/norm1", "num_output: 5 kernel_size: 1"),
             ("3x3", "inception/3x3_reduce", "num_output: 7 kernel_size: 3 pad: 1"),
             ("pool_proj", "inception/pool", "num_output: 3 kernel_size: 1")]
    convolutions = [conv(f"inception/{name}", bottom, fields) + relu(f"inception/{name}", f"inception/relu_{name}")
                    for name, bottom, fields in block]
    joined = "inception/1x1 inception/3x3 inception/pool_proj"
    end = [layer("Concat", "", joined, "inception/output", "inception/output"),
           pool("pool5/8x7_s1", "inception/output", "pool: AVE kernel_h: 8 kernel_w: 7 stride: 1"),
           product("loss3/classifier", "pool5/8x7_s1", "num_output: 11"),
           layer("Softmax", "", "loss3/classifier", "prob", "prob")]
    return "".join([*stem, *convolutions, *end])


def resnet():
    """Two blocks with BatchNorm, Scale and ReLU in place."""
    def normalized(name, bottom, fields):
        return (conv(name, bottom, f"{fields} bias_term: false") + in_place("BatchNorm", name, f"bn_{name}")
                + in_place("Scale", name, f"scale_{name}", "scale_param { bias_term: true }"))

    parts, bottom = [named("data", 2, 3, 17, 15)], "data"
    for block in ("res2a", "res2b"):
        one, two, three = (f"{block}_branch{part}" for part in ("1", "2a", "2b"))
        parts += [normalized(one, bottom, "num_output: 6 kernel_size: 1 stride: 2"),
                  normalized(two, bottom, "num_output: 5 kernel_size: 3 pad: 1 stride: 2"), relu(two, f"{two}_relu"),
                  normalized(three, two, "num_output: 6 kernel_size: 3 pad: 1"),
                  layer("Eltwise", "", f"{one} {three}", block, block), relu(block, f"{block}_relu")]
        bottom = block
    return "".join([*parts, pool("pool5", bottom, "pool: AVE global_pooling: true"),
                    product("fc", "pool5", "num_output: 11")])


def onet():
    """The head of MTCNN: PReLU, Dropout, and several outputs."""
    return "".join([
        named("data", 2, 3, 13, 11), conv("conv1", "data", "num_output: 4 kernel_size: 3"),
        in_place("PReLU", "conv1", "prelu1"), pool("pool1", "conv1", "kernel_size: 3 stride: 2"),
        product("conv5", "pool1", "num_output: 9"), in_place("Dropout", "conv5", "drop5"),
        in_place("PReLU", "conv5", "prelu5"),
        *(product(name, "conv5", f"num_output: {n}") for n, name in ((2, "conv6-1"), (4, "conv6-2"), (10, "conv6-3"))),
        layer("Softmax", "", "conv6-1", "prob1", "prob1")])


def lrcn():
    """Words as an Embed, an LSTM, and scores in each step."""
    return "".join([
        named("words", 5, 3), named("cont", 5, 3),
        layer("Embed", "embed_param { input_dim: 8 num_output: 4 bias_term: false }", "words", "embedded", "embedding"),
        layer("LSTM", "recurrent_param { num_output: 7 }", "embedded cont", "lstm1", "lstm1"),
        product("predict", "lstm1", "num_output: 9 axis: 2"),
        layer("Softmax", "softmax_param { axis: 2 }", "predict", "probs", "probs")])


@pytest.mark.parametrize("net", [lenet, cifar10_full, inception, resnet, lrcn])
def test_whole_net(net):
    assert_comes_back(net())


def test_whole_net_with_dropout():
    """The layers are the same but for the Dropout, and the second model is the first."""
    nets, written, model = round_trip(onet())

    assert [one for one in nets[0] if one[0] != "Dropout"] == nets[1]
    assert ops(model) == ops(written_again(*written))


def test_fully_convolutional_net():
    """Its Crop comes back as Slice layers, and all else as it was."""
    upscore = "convolution_param { num_output: 5 group: 5 kernel_size: 4 stride: 2 bias_term: false }"
    net = "".join([
        named("data", 2, 3, 19, 17),
        conv("conv1", "data", "num_output: 4 kernel_size: 3 pad: 4"), relu("conv1", "relu1"),
        pool("pool1", "conv1", "kernel_size: 2 stride: 2"), conv("score", "pool1", "num_output: 5 kernel_size: 1"),
        layer("Deconvolution", upscore, "score", "upscore", "upscore"),
        layer("Crop", "crop_param { axis: 2 offset: 3 offset: 4 }", "upscore data", "out", "crop")])
    nets, _, _ = round_trip(net)

    assert nets[1][:len(nets[0]) - 1] == nets[0][:-1]
    assert [one[0] for one in nets[1][len(nets[0]) - 1:]] == ["Slice", "Slice", "Silence"]
    assert "out" in nets[1][-2][3]


def test_the_prototxt_is_readable():
    """A layer has only the fields that it needs."""
    net = assert_comes_back(named("data", 2, 3, 9, 7) + conv("conv1", "data", "num_output: 4 kernel_size: 3 pad: 1")
                            + relu("conv1", "relu1"))

    assert str(net.layer[1].convolution_param).split() == ["num_output:", "4", "pad:", "1", "kernel_size:", "3"]
    assert str(net.layer[2]).split() == ["name:", '"relu1"', "type:", '"ReLU"', "bottom:", '"conv1"', "top:", '"conv1"']


def test_folded_weights_come_back_as_one_convolution():
    """With --fold, BatchNorm and Scale are in the weights, and the net is shorter."""
    net, _ = exported(resnet())
    model = model_of(net, into_weights=True)
    random_inputs(net, np.random.default_rng(3))
    back = runnable(net_of(model, reading.input_shapes(model, None, {})))
    back.blobs["data"].data[...] = net.blobs["data"].data
    net.forward()
    back.forward()

    assert not {"BatchNorm", "Scale"} & {one.type for one in back.layers}
    assert difference(net.blobs["fc"].data, back.blobs["fc"].data) <= TOLERANCE
