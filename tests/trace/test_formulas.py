"""The formula that is lit while a line runs: in a sensible order, and the line of the right method."""

import numpy as np
import pytest
from net_tools import fully_connected, inputs, layer
from traced import net_of

from minicaffe.trace import session

LOSS = layer("Reduction", "y", "loss", "loss_weight: 1 reduction_param { operation: SUMSQ }")
RECURRENT = ('recurrent_param { num_output: 4 weight_filler { type: "gaussian" std: 0.4 } '
             'bias_filler { type: "gaussian" std: 0.4 } }')
# A net, and for each pass the lines of its formulas, counted from 0, in the order in which they are first lit. A line
# of code that calls a function is lit for what it computes in the end, before the lines of that function.
CASES = {
    "InnerProduct": (inputs(x=(2, 3)) + fully_connected("x", "y", 4) + LOSS, [0], [1, 2, 0]),
    "Convolution": (inputs(x=(2, 3, 5, 4)) + layer(
        "Convolution", "x", "y", 'convolution_param { num_output: 6 kernel_size: 2 weight_filler { type: "xavier" } '
        'bias_filler { type: "xavier" } }') + LOSS, [0], [2, 1, 0]),
    "Pooling": (inputs(x=(2, 3, 5, 4)) + layer("Pooling", "x", "y", "pooling_param { pool: MAX kernel_size: 2 }")
                + LOSS, [0], [0]),
    "Pooling AVE": (inputs(x=(2, 3, 5, 4)) + layer("Pooling", "x", "y", "pooling_param { pool: AVE kernel_size: 2 }")
                    + LOSS, [1], [1]),
    "ReLU": (inputs(x=(2, 3)) + layer("ReLU", "x", "y") + LOSS, [0], [0]),
    "SoftmaxWithLoss": (inputs(x=(2, 3), label=(2,)) + layer("SoftmaxWithLoss", "x label", "y"), [0, 1, 2], [0]),
    "SigmoidCrossEntropyLoss": (inputs(x=(2, 3), t=(2, 3)) + layer("SigmoidCrossEntropyLoss", "x t", "y"),
                                [1, 2], [2, 1]),
    "LSTM": (inputs(x=(5, 2, 3), cont=(5, 2)) + layer("LSTM", "x cont", "y", RECURRENT) + LOSS,
             [0, 2, 1], [2, 0, 1, 3, 4]),
}


def lit(data, name, way):
    """The formula lines of a layer's pass in the order in which they are first lit, and all of them in order."""
    moment = next(m for m in data["moments"] if m["pass"] == way and data["layers"][m["layer"]]["name"] == name)
    steps = data["steps"][moment["first"]:moment["first"] + moment["count"]]
    found = [step["formula"] for step in steps if step["formula"] is not None]
    return list(dict.fromkeys(found)), found


def code_of(data, step):
    """The line of code of a step."""
    source = data["sources"][step["source"]]
    return source["lines"][step["line"] - source["first"]].strip()


@pytest.mark.parametrize("kind", CASES)
def test_formulas_are_lit_in_the_order_of_the_code(kind):
    text, forward, backward = CASES[kind]
    net = net_of("force_backward: true " + text)
    if kind == "SigmoidCrossEntropyLoss":
        net.blobs["t"].data[...] = np.abs(net.blobs["t"].data) % 1
    data = session.of_net(net, proofs=0)
    assert lit(data, "y", "forward")[0] == forward
    assert lit(data, "y", "backward")[0] == backward


def test_the_gates_of_an_lstm_are_lit_before_its_cell_in_every_step_of_time():
    data = session.of_net(net_of("force_backward: true " + CASES["LSTM"][0]), proofs=0)
    order = [step["formula"] for step in data["steps"] if data["sources"][step["source"]]["name"] == "kernels.lstm_unit"
             and "[...] =" in code_of(data, step)]
    changes = [number for number, before in zip(order, [None, *order], strict=False) if number != before]
    assert changes == [1, 2] * 3  # two steps of time and the last


def test_a_line_that_only_fetches_an_array_lights_nothing():
    data = session.of_net(net_of("force_backward: true " + CASES["InnerProduct"][0]), proofs=0)
    fetching = [step for step in data["steps"] if code_of(data, step).startswith(("dx =", "db =", "dw, add ="))]
    assert len(fetching) == 3
    assert [step["formula"] for step in fetching] == [None] * 3


def test_what_a_kernel_does_belongs_to_the_line_that_called_it():
    data = session.of_net(net_of("force_backward: true " + CASES["InnerProduct"][0]), proofs=0)
    for step in data["steps"]:
        if data["sources"][step["source"]]["name"] == "kernels.add_channel_sums":
            assert step["formula"] == 2
