"""pycaffe's net.set_input_arrays: a program hands arrays to a net whose first layer is MemoryData."""

import re

import numpy as np
import pytest

from minicaffe import pycaffe as caffe
from minicaffe.errors import LayerError, NetError
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

DATA = """layer { name: "data" type: "MemoryData" top: "data" top: "label"
                  memory_data_param { batch_size: 3 channels: 2 height: 5 width: 4 } }"""
SCORES = """
  layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
          inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
  layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" }
"""
X = np.random.default_rng(1).normal(size=(6, 2, 5, 4)).astype(np.float32)
LABELS = np.array([0, 6, 2, 3, 1, 5], np.float32)


def make(text):
    return caffe.Net(proto_text.parse(text, NetParameter()), caffe.TEST)


@pytest.mark.parametrize("shape", [(6,), (6, 1, 1, 1)])
def test_a_net_on_arrays(shape):
    """Batches come in order and over again, losses and accuracies take the labels, and later changes are seen."""
    net, x, labels = make(DATA + SCORES), X.copy(), LABELS.copy()
    net.set_input_arrays(x, labels.reshape(shape))
    seen = []
    for i in range(3):
        net.forward()
        seen += net.blobs["label"].data.ravel().tolist()
        assert (net.blobs["data"].data == X[i % 2 * 3:][:3]).all()
        assert np.isfinite(net.blobs["loss"].data)
    x[3:] = 9
    labels[3] = 4
    net.forward()

    assert [*LABELS, *LABELS[:3]] == seen
    assert (9, 4) == (net.blobs["data"].data.min(), net.blobs["label"].data[0, 0, 0, 0])


@pytest.mark.parametrize(("data", "labels", "error", "words"), [
    (X.astype(np.float64), LABELS, NetError, "data must be an array of float32, got float64"),
    (X.tolist(), LABELS, NetError, "data must be an array of float32, got list"),
    (X, LABELS.astype(int), NetError, "labels must be an array of float32, got int64"),
    (X.transpose(0, 1, 3, 2), LABELS, NetError, "data must be an array in C order .*\n  hint: np.ascontiguousarray"),
    (X, np.repeat(LABELS, 2)[::2][:, None, None, None], NetError, "labels must be an array in C order"),
    (X, LABELS.reshape(6, 1), NetError, r"labels must have the shape \(n,\) or .*, got \(6, 1\)"),
    (X.reshape(6, 40), LABELS, NetError, r"data must have the shape \(n, C, H, W\), got \(6, 40\)"),
    (X.reshape(6, 2, 4, 5), LABELS, LayerError, r"\(C, H, W\) = \(2, 5, 4\), got \(6, 2, 4, 5\)"),
    (X[:5], LABELS[:5], LayerError, "a multiple of batch_size 3, got 5"),
    (X, LABELS[:5], LayerError, "got 6 images and 5 labels"),
])
def test_arrays_that_do_not_fit(data, labels, error, words):
    """What Caffe refuses is refused, and the message says what was seen."""
    net = make(DATA)
    with pytest.raises(error, match=words):
        net.set_input_arrays(data, labels)


def test_labels_of_one_axis_may_have_gaps():
    """As in Caffe, which copies them."""
    net = make(DATA)
    net.set_input_arrays(X, np.repeat(LABELS, 2)[::2])
    net.forward()

    assert LABELS[:3].tolist() == net.blobs["label"].data.ravel().tolist()


def test_the_first_layer_must_be_memory_data():
    """Of another net the arrays are refused, as in Caffe; a later layer is reached by its own `reset`."""
    net = make('layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }' + DATA)
    hint = re.escape("hint: call net.layers[net.layer_index('data')].reset(data, labels)")
    with pytest.raises(NetError, match=rf"but layer 'x' is of type Input\n  {hint}"):
        net.set_input_arrays(X, LABELS)
    net.layers[net.layer_index("data")].reset(X, LABELS)
    net.forward()

    assert (net.blobs["data"].data == X[:3]).all()


def test_a_net_without_memory_data():
    """The error proposes the layers that take arrays, and no method that the net does not have."""
    net = make('layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }')
    with pytest.raises(NetError, match=r"is of type Input\n  hint: make it a MemoryData layer, or an Input layer"):
        net.set_input_arrays(X, LABELS)
