"""The formula that is lit while a line runs: in a sensible order, and the line of the right method."""

import numpy as np
import pytest
from cases import CASES as OF_ALL_TYPES
from cases import Case, HalfLayer, uniform
from net_tools import fully_connected, inputs, layer
from traced import net_of, net_of_case

from minicaffe.layer import layer_class
from minicaffe.trace import session
from minicaffe.trace.code import equations
from minicaffe.trace.formulas import joined, letters, of_layer

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
    "SoftmaxWithLoss": (inputs(x=(2, 3), label=(2,)) + layer("SoftmaxWithLoss", "x label", "y"), [0, 2, 1], [0]),
    "SigmoidCrossEntropyLoss": (inputs(x=(2, 3), t=(2, 3)) + layer("SigmoidCrossEntropyLoss", "x t", "y"),
                                [0, 1], [1, 0]),
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


# --- all types ------------------------------------------------------------------------------------------------

MORE = [Case("Reduction", "reduction_param { axis: 1 coeff: 2 }", name="sum"),
        Case("Reduction", "reduction_param { axis: 1 operation: MEAN }", name="mean"),
        Case("Pooling", "phase: TEST pooling_param { pool: STOCHASTIC kernel_size: 2 }", [uniform(0.5, 2, 2, 3, 7, 5)],
             name="stochastic test")]
NO_CODE = "the two are the same memory: no line of code runs"
UNLIT = {  # (type, pass, line) -> why no line of code computes it
    ("Flatten", "forward", 0): NO_CODE, ("Flatten", "backward", 0): NO_CODE,
    ("Reshape", "forward", 0): NO_CODE, ("Reshape", "backward", 0): NO_CODE,
    ("Parameter", "forward", 0): NO_CODE, ("Parameter", "backward", 0): NO_CODE,
    ("Split", "forward", 0): NO_CODE,
    ("RNN", "backward", 1): "it says in which order the lines below it are computed",
    ("WindowData", "forward", 1): "no window of the case reaches beyond the image",
}


def lines_that_are_lit(case, folder, in_place=False):
    """The formulas of a case's layer, and the (pass, line) pairs that its trace lights."""
    data = session.of_net(net_of_case(case, folder, in_place), proofs=0)
    index = next(i for i, entry in enumerate(data["layers"]) if entry["name"] == "layer")
    found = set()
    for moment in data["moments"]:
        if moment["layer"] == index:
            steps = data["steps"][moment["first"]:moment["first"] + moment["count"]]
            found |= {(moment["pass"], step["formula"]) for step in steps if step["formula"] is not None}
    return data["layers"][index]["formulas"], found


@pytest.mark.slow  # it traces a net of each type
@pytest.mark.parametrize("kind", sorted({case.type for case in OF_ALL_TYPES}))
def test_each_equation_of_each_type_is_lit_by_a_line_of_its_code(kind, tmp_path):
    lit, formulas = set(), {}
    for number, case in enumerate(case for case in [*OF_ALL_TYPES, *MORE] if case.type == kind):
        (folder := tmp_path / str(number)).mkdir()
        formulas, found = lines_that_are_lit(case, folder)
        lit |= found
    lines = {(way, i) for way, texts in formulas.items() for i, text in enumerate(texts) if equations(text)}
    assert lines - lit == {line[1:] for line in UNLIT if line[0] == kind}


@pytest.mark.parametrize("case", [
    case for case in OF_ALL_TYPES if layer_class(case.type).in_place and case.feeds
    and case.id != "Dropout-test"],  # in place it has nothing to do: y is x already
    ids=lambda case: case.id)
def test_a_layer_in_place_lights_the_same_formulas_forward(case, tmp_path):
    lit = [{line for line in lines_that_are_lit(case, tmp_path, in_place)[1] if line[0] == "forward"}
           for in_place in (False, True)]
    assert lit[0] == lit[1]


@pytest.mark.parametrize(("name", "lines"), {"": {("forward", 0), ("backward", 0)}, "square": {
    ("forward", 0), ("backward", 0), ("backward", 1)}}.items())
def test_a_power_lights_the_line_of_its_own_power(name, lines, tmp_path):
    case = next(case for case in OF_ALL_TYPES if case.type == "Power" and case.name == name)
    assert lines_that_are_lit(case, tmp_path)[1] == lines


def test_a_formula_that_goes_on_in_the_next_line_is_one():
    assert joined(["l = d for", "   e", "L = l,", "l = 2", "SUM  y = x", "     TEST: y = 0"]) == \
        ["l = d for\n   e", "L = l,\nl = 2", "SUM  y = x", "     TEST: y = 0"]


def test_a_users_layer_is_lit_by_its_own_docstring():
    """It has no labels for bottoms and tops, so these are x and y."""
    class Documented(HalfLayer):
        """y = x / 2.

        Forward   y = x / 2
        Backward  dx = dy / 2
        """

    made = Documented()
    assert of_layer(made)["forward"].lines == ["y = x / 2"]
    assert letters(made) == {"bottom": ["x"], "top": ["y"], "param": []}
