"""A page of a training holds the numbers of `Solver.step` without a trace, bit for bit, whatever the solver does."""

import json

import numpy as np
import pytest
from net_tools import fully_connected, layer
from traced import ASKED, INCEPTION, LOGISTIC, LSTM, NORMALIZED, SIAMESE, assert_holds, engine_plain, net_of, numbers

from minicaffe import rng
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver
from minicaffe.trace import session

LENET = """
layer { name: "data" type: "DummyData" top: "data" top: "label"
        dummy_data_param { shape { dim: 2 dim: 1 dim: 28 dim: 28 } shape { dim: 2 }
                           data_filler { type: "uniform" } data_filler { value: 3 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 20 kernel_size: 5 weight_filler { type: "xavier" } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
        convolution_param { num_output: 50 kernel_size: 5 weight_filler { type: "xavier" } } }
layer { name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2" pooling_param { kernel_size: 2 stride: 2 } }
""" + fully_connected("pool2", "ip1", 500) + layer("ReLU", "ip1", "ip1", name="relu1") + \
    fully_connected("ip1", "ip2", 10) + layer("SoftmaxWithLoss", "ip2 label", "loss")
TRAININGS = {  # a net, and what its solver does besides SGD with momentum
    "LeNet": (LENET, "weight_decay: 0.0005"),
    "logistic regression": (LOGISTIC, 'lr_policy: "inv" gamma: 0.1 power: 0.75'),
    "LSTM": (LSTM, "clip_gradients: 0.5"),
    "siamese": (SIAMESE, 'type: "Adam" momentum2: 0.99'),
    "inception": (INCEPTION, 'weight_decay: 0.01 regularization_type: "L1"'),
    "normalized": (NORMALIZED, "iter_size: 2 clip_gradients: 0.1 weight_decay: 0.01"),
    "asked": (ASKED, 'type: "Nesterov" iter_size: 3'),
}


NAMES = [pytest.param(name, marks=pytest.mark.slow) if name == "LeNet" else name for name in TRAININGS]


def solver_of(text, more):
    """A solver of a net whose inputs and weights are the same each time."""
    like = net_of(text)
    param = proto_text.parse('base_lr: 0.05 momentum: 0.9 random_seed: 6 max_iter: 2 '
                             f'{more if "lr_policy" in more else more + " lr_policy: " + chr(34) + "fixed" + chr(34)}',
                             SolverParameter())
    param.net_param.CopyFrom(like.param)
    rng.seed(6)
    solver = get_solver(param)
    for name in solver.net.inputs:
        solver.net.blobs[name].data[...] = like.blobs[name].data
    return solver


def moments_of(solver, iterations):
    """Train without a trace; return (pass, what was held), in the order of the page's moments."""
    net, found, top_diffs = solver.net, [], {}

    def held(way, i):
        return way, {(role, j): (blob.data.copy(), top_diffs.get((i, j)) if role == "top" else blob.diff.copy())
                     for role, blobs in (("bottom", net.bottoms[i]), ("top", net.tops[i]), (
                         "param", net.layers[i].blobs)) for j, blob in enumerate(blobs)}

    update, params = solver.apply_update, net.learnable_params

    def apply_update():
        before = [(param.blob.data.copy(), param.blob.diff.copy()) for param in params]
        update()
        found.extend(("update", {"w": w, "dw": dw, "step": param.blob.diff.copy(), "new": param.blob.data.copy()})
                     for (w, dw), param in zip(before, params, strict=True))

    solver.apply_update = apply_update
    net.after_layer.append(lambda i: found.append(held("forward", i)))
    net.before_backward.append(lambda i: top_diffs.update(
        {(i, j): top.diff.copy() for j, top in enumerate(net.tops[i])}))
    net.after_backward.append(lambda i: found.append(held("backward", i)))
    with engine_plain():
        solver.step(iterations)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_each_number_of_a_training_is_that_of_the_solver_without_a_trace(name):
    data = json.loads(json.dumps(session.of_solver(solver_of(*TRAININGS[name]), 2, proofs=2)))
    expected = moments_of(solver_of(*TRAININGS[name]), 2)
    assert [moment["pass"] for moment in data["moments"]] == [way for way, _ in expected]
    diffs = 0
    for moment, (_, held) in zip(data["moments"], expected, strict=True):
        places = {"bottom": 0, "top": 0, "param": 0}
        for value in moment["values"]:
            array, diff = held[value["role"], places[value["role"]]]
            places[value["role"]] += 1
            if value["data"] is not None:
                assert_holds(data, value["data"], array)
            if value["diff"] is not None:
                assert_holds(data, value["diff"], diff)
                diffs += 1
        for column in ("w", "dw", "step", "new"):
            if "update" in moment:
                assert_holds(data, moment["update"][column], held[column])
    assert diffs


@pytest.mark.parametrize("name", NAMES)
def test_a_training_goes_on_from_a_trace_as_without_one(name):
    mine, other = (solver_of(*TRAININGS[name]) for _ in range(2))
    session.of_solver(mine, 1, proofs=1)
    with engine_plain():
        mine.step(1)
        other.step(2)
    for a, b in zip(mine.net.all_params, other.net.all_params, strict=True):
        assert np.array_equal(a.blob.data, b.blob.data)


@pytest.mark.parametrize("name", ["inception", "normalized"])
def test_the_decay_column_is_what_the_regularization_adds_to_these_weights(name):
    text, more = TRAININGS[name]
    data = session.of_solver(solver_of(text, more), 1, proofs=0)
    rate = next(float(word) for before, word in zip(more.split(), more.split()[1:], strict=False)
                if before == "weight_decay:")
    decays = 0
    for moment in data["moments"]:
        if "update" in moment and moment["update"]["decay"] is not None:
            w = numbers(data, moment["update"]["w"])
            for place, decay in numbers(data, moment["update"]["decay"]).items():
                added = np.sign(w[place]) if "L1" in more else w[place]
                assert np.float32(decay) == np.float32(rate) * np.float32(added)
            decays += 1
    assert decays


def test_in_the_test_phase_the_page_holds_what_the_net_computes_there():
    data = session.of_net(net_of(NORMALIZED.replace("0.25", "0.5"), phase=1), proofs=0)
    net = net_of(NORMALIZED.replace("0.25", "0.5"), phase=1)
    found = []
    net.after_layer.append(lambda i: found.append([top.data.copy() for top in net.tops[i]]))
    with engine_plain():
        net.forward()
    assert data["phase"] == "TEST"
    for moment, tops in zip([m for m in data["moments"] if m["pass"] == "forward"], found, strict=True):
        values = [value for value in moment["values"] if value["role"] == "top"]
        for value, top in zip(values, tops, strict=True):
            assert_holds(data, value["data"], top)
