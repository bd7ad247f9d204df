"""The forecast of a net's parameters, multiply-adds and memory."""

import threading

import numpy as np
import pytest
from extras import needs_tiles
from net_tools import convolution, fully_connected, inputs, layer, make

from minicaffe import TEST, TRAIN, Net, kernels
from minicaffe.analysis.cost import cost
from minicaffe.kernels import workspace
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text


def conv(bottom, top, outputs, kernel, more=""):
    return layer("Convolution", bottom, top, f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} {more} "
                                             'weight_filler { type: "gaussian" } }')


def pool(bottom, top, kernel):
    return layer("Pooling", bottom, top, f"pooling_param {{ kernel_size: {kernel} stride: 2 }}")


def in_place(blob, *kinds):
    return "".join(layer(kind, blob, blob, name=f"{blob}_{kind}") for kind in kinds)


LENET = (inputs(data=(64, 1, 28, 28), label=(64,)) + conv("data", "c1", 20, 5) + pool("c1", "p1", 2)
         + conv("p1", "c2", 50, 5) + pool("c2", "p2", 2) + fully_connected("p2", "f1", 500) + in_place("f1", "ReLU")
         + fully_connected("f1", "f2", 10) + layer("SoftmaxWithLoss", "f2 label", "loss"))

CAFFENET = (inputs(data=(10, 3, 227, 227))
            + conv("data", "c1", 96, 11, "stride: 4") + in_place("c1", "ReLU") + pool("c1", "p1", 3)
            + layer("LRN", "p1", "n1") + conv("n1", "c2", 256, 5, "pad: 2 group: 2") + in_place("c2", "ReLU")
            + pool("c2", "p2", 3) + layer("LRN", "p2", "n2")
            + conv("n2", "c3", 384, 3, "pad: 1") + in_place("c3", "ReLU")
            + conv("c3", "c4", 384, 3, "pad: 1 group: 2") + in_place("c4", "ReLU")
            + conv("c4", "c5", 256, 3, "pad: 1 group: 2") + in_place("c5", "ReLU") + pool("c5", "p5", 3)
            + fully_connected("p5", "f6", 4096) + in_place("f6", "ReLU", "Dropout")
            + fully_connected("f6", "f7", 4096) + in_place("f7", "ReLU", "Dropout")
            + fully_connected("f7", "f8", 1000) + layer("Softmax", "f8", "prob"))


def forecast(text, phase=TRAIN):
    return cost(Net(proto_text.parse(text, NetParameter()), phase, shapes_only=True))


def test_lenet_by_hand():
    """LeNet's parameters are its weights and biases; its multiply-adds are outputs × what each of them sums."""
    found = forecast(LENET)
    parameters = {"c1": 20 * 25 + 20, "c2": 50 * 20 * 25 + 50, "f1": 500 * 800 + 500, "f2": 10 * 500 + 10}
    multiply_adds = {"c1": 20 * 24 * 24 * 25, "c2": 50 * 8 * 8 * 20 * 25, "f1": 500 * 800, "f2": 10 * 500}

    assert parameters == {row.name: row.parameters for row in found.layers if row.parameters}
    assert multiply_adds == {row.name: row.multiply_adds // 64 for row in found.layers if row.multiply_adds}
    assert (431080, 64 * 2293000) == (found.parameters, found.multiply_adds)
    assert 4 * 64 * 20 * 24 * 24 == next(row.activation_bytes for row in found.layers if row.name == "c1")
    assert ("in place", 0) == next((row.note, row.activation_bytes) for row in found.layers if row.name == "f1_ReLU")


def test_caffenet():
    """CaffeNet has its known figures: 60,965,224 parameters, 724 million multiply-adds an image."""
    found = forecast(CAFFENET, TEST)

    assert (60965224, 724406816) == (found.parameters, found.multiply_adds // found.batch)
    assert 10 == found.batch
    assert 4 * 60965224 == found.parameter_bytes
    assert not found.trains


def test_nothing_is_allocated():
    """A net of shapes alone takes no memory for its blobs: here of hundreds of gigabytes."""
    net = Net(proto_text.parse(CAFFENET.replace("dim: 10 ", "dim: 100000 "), NetParameter()), TRAIN, shapes_only=True)
    blobs = [*net.blobs.values(), *(param.blob for param in net.all_params)]

    assert cost(net).activations > 1 << 38
    assert [] == [storage for blob in blobs for storage in blob.storages if storage.buffer is not None]


@pytest.mark.parametrize(("text", "multiply_adds"), [
    (inputs(x=(2, 6, 5, 7)) + conv("x", "y", 4, 3, "group: 2 stride: 2"), 2 * 4 * 2 * 3 * 3 * 9),
    (inputs(x=(2, 6, 5, 7)) + layer("Deconvolution", "x", "y", "convolution_param { num_output: 4 kernel_size: 3 "
                                    "group: 2 }"), 2 * 6 * 5 * 7 * 2 * 9),
    (inputs(x=(2, 3, 5, 7)) + layer("InnerProduct", "x", "y", "inner_product_param { num_output: 4 axis: 2 }"),
     2 * 3 * 4 * 5 * 7),
    (inputs(x=(5, 2, 3), c=(5, 2)) + layer("LSTM", "x c", "y", "recurrent_param { num_output: 4 }"),
     5 * 2 * (16 * 3 + 16 * 4)),
    (inputs(x=(5, 2, 3), c=(5, 2), s=(2, 7)) + layer("LSTM", "x c s", "y", "recurrent_param { num_output: 4 }"),
     5 * 2 * (16 * 3 + 16 * 4) + 2 * 16 * 7),
    (inputs(x=(5, 2, 3), c=(5, 2), s=(2, 7)) + layer("RNN", "x c s", "y", "recurrent_param { num_output: 4 }"),
     5 * 2 * (4 * 3 + 4 * 4 + 4 * 4) + 2 * 4 * 7),
    (inputs(x=(5, 2, 3), c=(5, 2), h=(1, 2, 4))
     + layer("RNN", "x c h", "y last", "recurrent_param { num_output: 4 expose_hidden: true }", name="y"),
     5 * 2 * (4 * 3 + 4 * 4 + 4 * 4)),
], ids=["Convolution", "Deconvolution", "InnerProduct", "LSTM", "LSTM, x_static", "RNN, x_static", "RNN, exposed"])
def test_multiply_adds(text, multiply_adds):
    """Each kind of layer multiplies every weight once for each place, row or step."""
    assert multiply_adds == forecast(text).multiply_adds


def measured(net):
    """The bytes that a net holds for data, for diffs, and for what layers keep."""
    data, diffs, parameters = {}, {}, {}
    for param in net.all_params:
        parameters[id(param.blob.storages[0])] = param.blob.storages[0]
    for blob in net._blobs:
        for found, storage in zip((data, diffs), blob.storages, strict=True):
            if storage.buffer is not None and id(storage) not in parameters:
                found[id(storage)] = storage
    total = [sum(s.buffer.nbytes for s in found.values()) for found in (data, diffs, parameters)]
    return (*total, sum({id(array): array.nbytes for made in net.layers for array in made.scratch_arrays}.values()))


WINOGRAD = (inputs(x=(3, 64, 14, 18), y=(3, 5)) + conv("x", "a", 64, 3, "pad: 1") + layer("LRN", "a", "n")
            + conv("n", "b", 6, 5, "stride: 2 group: 2") + layer("Deconvolution", "b", "d", "convolution_param { "
            "num_output: 4 kernel_size: 2 stride: 2 }") + pool("d", "p", 3) + fully_connected("p", "f", 5)
            + layer("EuclideanLoss", "f y", "loss"))


RECURRENT = (inputs(x=(5, 2, 3), cont=(5, 2), y=(5, 2, 41))
             + layer("LSTM", "x cont", "h", "recurrent_param { num_output: 7 }")
             + layer("RNN", "h cont", "o", "recurrent_param { num_output: 41 }")
             + layer("EuclideanLoss", "o y", "loss"))


@pytest.mark.parametrize("text", [LENET.replace("dim: 64", "dim: 19"), WINOGRAD, RECURRENT],
                         ids=["LeNet", "Winograd", "recurrent"])
def test_kernels_borrow_what_was_forecast(text):
    """The dry run finds, to the byte, what kernels borrow in a forward and in both passes."""
    needs_tiles()
    if kernels.engine() != "numba":
        pytest.skip("a dry run calls no numpy kernels")
    net, held = make(text, dtype=np.float32), []
    net.blobs["label" if "label" in net.blobs else "y"].data.fill(1)

    def both_passes():
        for run in (net.forward, net.backward):
            run()
            held.append(workspace.held())

    fresh = threading.Thread(target=both_passes)  # memory is borrowed thread by thread
    fresh.start()
    fresh.join()
    assert [*forecast(text).borrowed] == held


@pytest.mark.parametrize("text", [
    LENET.replace("dim: 64", "dim: 3"),
    inputs(x=(3, 2, 4, 5), y=(3, 2)) + convolution("x", "a", 2, 3) + in_place("a", "BatchNorm", "Scale", "ReLU")
    + convolution("a", "b", 2, 3) + layer("Eltwise", "x b", "s") + layer("Flatten", "s", "f")
    + in_place("f", "Dropout") + fully_connected("f", "g", 2) + layer("EuclideanLoss", "g y", "loss"),
    inputs(x=(3, 4), z=(3, 4)) + fully_connected("x", "a", 5, 'param { name: "w" }')
    + fully_connected("z", "b", 5, 'param { name: "w" }') + layer("Concat", "a b", "c", "loss_weight: 1"),
    inputs(x=(3, 4)) + fully_connected("x", "a", 5, "param { lr_mult: 0 } param { lr_mult: 0 }")
    + layer("Sigmoid", "a", "s") + layer("ReLU", "s", "s", name="r") + fully_connected("s", "b", 2, "loss_weight: 1"),
    inputs(x=(3, 4)) + fully_connected("x", "a", 5) + layer("Slice", "a", "b c", "slice_param { slice_point: 2 }")
    + layer("Power", "b", "d", "loss_weight: 1"),
], ids=["LeNet", "residual block", "shared weights", "frozen layer", "unread top"])
def test_forecast_is_what_a_run_takes(text):
    """After forward and backward a net holds exactly the bytes that were forecast."""
    found = forecast(text)
    net = make(text, dtype=np.float32)
    if "label" in net.blobs:
        net.blobs["label"].data[...] = 1
    net.forward_backward()

    assert (found.activations, found.gradients, found.parameter_bytes, found.own) == measured(net)
