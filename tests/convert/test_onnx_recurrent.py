"""Layers over time as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from onnx_tools import assert_same, exported, ops

from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

T, D = 3, 6
STATES = {"LSTM": 2, "RNN": 1}


def put_in(name, *sizes):
    dims = " ".join(f"dim: {size}" for size in sizes)
    return f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ {dims} }} }} }}\n"


def layer(type_, bottoms, tops, param, name="l"):
    blobs = " ".join([*(f"bottom: '{one}'" for one in bottoms), *(f"top: '{one}'" for one in tops)])
    return f"layer {{ name: '{name}' type: '{type_}' {blobs} {param} }}\n"


def indicator(N, by="batch_size"):
    """The layer that begins every sequence at the first step, with its number of sequences from a field or a bottom."""
    given = f"batch_size: {N}" if by == "batch_size" else "axis: 1"
    return layer("ContinuationIndicator", [] if by == "batch_size" else ["x"], ["cont"],
                 f"continuation_indicator_param {{ time_step: {T} {given} }}", "ci")


def net(type_, N, cont=None, features=(4,), static=(), exposed=False, steps=T):
    """A net of one recurrent layer, for N sequences; `cont` is the layer that makes the second bottom."""
    text = put_in("x", steps, N, *features) + (put_in("cont", steps, N) if cont is None else cont)
    text += put_in("s", N, *static) if static else ""
    states = [f"s{k}" for k in range(STATES[type_])] if exposed else []
    text += "".join(put_in(name, 1, N, D) for name in states)
    tops = ["y", *(f"last_{name}" for name in states)]
    return text + layer(type_, ["x", "cont", *["s"] * bool(static), *states], tops,
                        f"recurrent_param {{ num_output: {D} {'expose_hidden: true' if exposed else ''} }}")


def same_for(make, **kw):
    """Compare a net, which `make` gives for a number of sequences, with a free batch size and with a fixed one."""
    assert_same(make(2), larger=False, **kw)
    return assert_same(make(2), larger=make(5), **kw)


def sequences(*rows):
    """A filler for `cont`: the same in each stream."""
    return lambda one: {"cont": np.repeat(np.float32(rows)[:, None], one.blobs["cont"].shape[1], axis=1)}


@pytest.mark.parametrize("type_", ["LSTM", "RNN"])
@pytest.mark.parametrize("static", [(), (9,), (9, 7)])
@pytest.mark.parametrize("features", [(4,), (4, 7)])
@pytest.mark.parametrize("exposed", [False, True])
def test_any_cont(type_, static, features, exposed):
    """Where sequences begin is known only when the model runs, so that each step is a node of its own."""
    model = same_for(lambda N: net(type_, N, None, features, static, exposed))

    assert ops(model).count(type_) == T


@pytest.mark.parametrize("rows", [(0, 1, 1), (1, 1, 1), (0, 0, 1), (1, 0, 1), (0, 1, 0), (0, 0, 0), (0.5, 0.25, 2)])
@pytest.mark.parametrize("type_", ["LSTM", "RNN"])
def test_each_cont(type_, rows):
    same_for(lambda N: net(type_, N, exposed=True), inputs=sequences(*rows))


@pytest.mark.parametrize("type_", ["LSTM", "RNN"])
@pytest.mark.parametrize("static", [(), (9,)])
@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("by", ["batch_size", "bottom"])
def test_whole_sequences(type_, static, exposed, by):
    """Behind a ContinuationIndicator one node has all steps, and states that are given have no effect."""
    model = same_for(lambda N: net(type_, N, indicator(N, by), (4,), static, exposed))

    assert ops(model).count(type_) == 1


@pytest.mark.parametrize("type_", ["LSTM", "RNN"])
def test_constant_cont_of_one(type_):
    """With a cont of 1 in all steps the states that are given are those before the first step."""
    def make(N):
        ones = f"dummy_data_param {{ shape {{ dim: {T} dim: {N} }} data_filler {{ type: 'constant' value: 1 }} }}"
        return net(type_, N, layer("DummyData", [], ["cont"], ones, "d"), exposed=True)

    assert ops(same_for(make)).count(type_) == 1


@pytest.mark.parametrize("value", [0, 0.5])
def test_constant_cont_that_begins_in_later_steps(value):
    def make(N):
        made = f"dummy_data_param {{ shape {{ dim: {T} dim: {N} }} data_filler {{ type: 'constant' value: {value} }} }}"
        return net("LSTM", N, layer("DummyData", [], ["cont"], made, "d"), exposed=True)

    assert ops(same_for(make)).count("LSTM") == T


@pytest.mark.parametrize(("first", "nodes"), [((0, 0), 1), ((1, 1), 1), ((0, 1), T), ((0.5, 0.5), T)])
def test_learned_cont(first, nodes):
    """A first step that is not the same in all streams, or neither 0 nor 1, needs products with the states."""
    def fill(one):
        one.layers[one.layer_names.index("p")].blobs[0].data[...] = np.float32([first, (1, 1), (1, 1)])

    made = layer("Parameter", [], ["cont"], f"parameter_param {{ shape {{ dim: {T} dim: 2 }} }}", "p")
    assert ops(assert_same(net("LSTM", 2, made, exposed=True), fill, larger=False)).count("LSTM") == nodes


@pytest.mark.parametrize("type_", ["LSTM", "RNN"])
def test_one_step(type_):
    """As in a loop outside of the model, which hands the states on."""
    same_for(lambda N: net(type_, N, exposed=True, steps=1))


@pytest.mark.parametrize("text", [net("LSTM", 2), net("RNN", 2, exposed=True), net("LSTM", 2, indicator(2))])
def test_the_batch_is_the_second_axis(text):
    """A free batch size is found without being told which axis it is."""
    model = exported(text)[1]

    assert [[size.dim_param or size.dim_value for size in one.type.tensor_type.shape.dim]
            for one in model.graph.output][-1] == [T, "batch", D]


@pytest.mark.parametrize("type_", ["LSTM", "RNN"])
def test_refuses_states_that_would_be_lost(type_):
    with pytest.raises(LayerError, match=f"'l' \\({type_}\\) goes on in each run with the states of the run") as error:
        exported(net(type_, 2, steps=1), larger=False)
    assert "expose_hidden: true" in error.value.hint


def test_refuses_a_cont_that_never_begins():
    """A constant of 1 means that each run goes on where the one before has ended."""
    ones = f"dummy_data_param {{ shape {{ dim: {T} dim: 2 }} data_filler {{ type: 'constant' value: 1 }} }}"
    with pytest.raises(LayerError, match="'l'.*goes on in each run with the states of the run before"):
        exported(net("LSTM", 2, layer("DummyData", [], ["cont"], ones, "d")), larger=False)


def test_refuses_time_that_grows():
    text = net("LSTM", 2)
    with pytest.raises(LayerError, match="'l'.*reads 'x', in which the number of time steps grows") as error:
        exported(text, larger=text.replace(f"dim: {T} ", "dim: 7 "))
    assert "--batch N" in error.value.hint


@pytest.mark.parametrize(("text", "size", "blob"), [
    (net("LSTM", 2), "dim: 4", "x"), (net("LSTM", 2, static=(9,)), "dim: 9", "s"),
    (put_in("x", T, 2, 4) + layer("Lstm", ["x"], ["y"], f"lstm_param {{ num_output: {D} }}"), "dim: 4", "x")])
def test_refuses_features_that_grow(text, size, blob):
    with pytest.raises(LayerError, match=f"'l'.*has weights for each place of an axis of '{blob}' that grows"):
        exported(text, larger=text.replace(size, "dim: 7"))


# --- the forks' Lstm -------------------------------------------------------------------------------------

def lstm_of_forks(*sizes, cont=(), param=""):
    return put_in("x", *sizes) + (put_in("cont", *cont) if cont else "") \
        + layer("Lstm", ["x", *["cont"] * bool(cont)], ["y"], f"lstm_param {{ num_output: {D} {param} }}")


@pytest.mark.parametrize("make", [
    lambda N: lstm_of_forks(T, N, 4), lambda N: lstm_of_forks(T, N, 4, 7),
    lambda N: lstm_of_forks(N, 3, 4),  # the number of steps grows
    lambda N: lstm_of_forks(N, 4),
    lambda N: lstm_of_forks(3 * N, 4, 7, param="batch_size: 3")])
def test_lstm_of_forks(make):
    assert ops(same_for(make)).count("LSTM") == 1


@pytest.mark.parametrize(("make", "free"), [
    (lambda N: lstm_of_forks(T, N, 4, cont=(T, N)), True), (lambda N: lstm_of_forks(T, N, 4, cont=(T * N,)), True),
    (lambda N: lstm_of_forks(T * N, 4, cont=(N * T, 1), param="batch_size: 2"), False)])
def test_lstm_of_forks_with_cont(make, free):
    model = same_for(make) if free else assert_same(make(2), larger=False)

    assert ops(model).count("LSTM") == T


def test_lstm_of_forks_behind_an_indicator():
    def make(N):
        return lstm_of_forks(T, N, 4).replace("bottom: 'x'", "bottom: 'x' bottom: 'cont'").replace(
            "layer { name: 'l'", indicator(N) + "layer { name: 'l'")

    assert ops(same_for(make)).count("LSTM") == 1


def test_clipping_has_no_effect_on_lstm_of_forks():
    same_for(lambda N: lstm_of_forks(T, N, 4, param="clipping_threshold: 0.01"))


def test_lstm_of_forks_refuses_time_that_grows_beside_cont():
    with pytest.raises(LayerError, match="'l' \\(Lstm\\) reads 'x', in which the number of time steps grows"):
        exported(lstm_of_forks(4, 3, 7, cont=(4, 3)))


def test_lstm_of_forks_refuses_states_that_would_be_lost():
    with pytest.raises(LayerError, match="'l' \\(Lstm\\) goes on in each run with the states of the run before"):
        exported(lstm_of_forks(1, 3, 7, cont=(1, 3)), larger=False)


# --- parts ----------------------------------------------------------------------------------------------

def test_lstm_unit():
    same_for(lambda N: put_in("c", 1, N, D) + put_in("x", 1, N, 4 * D) + put_in("cont", 1, N)
             + layer("LSTMUnit", ["c", "x", "cont"], ["next", "h"], ""))


@pytest.mark.parametrize("by", ["batch_size", "bottom"])
def test_continuation_indicator(by):
    """It is an output here, so that its own numbers are compared."""
    text = "layer { name: 'a' type: 'AbsVal' bottom: 'x' top: 'y' }"
    same_for(lambda N: put_in("x", T, N) + indicator(N, by) + text)
