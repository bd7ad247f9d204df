"""What a trace says is what the net computes: every number is read back and compared with a net that runs by itself."""

import json
import sys

import numpy as np
import pytest
from traced import IMAGES, NETS, TWO_LAYERS, assert_holds, engine_plain, net_of, numbers

from minicaffe import kernels, rng
from minicaffe.io import prototxt
from minicaffe.proto import SolverParameter
from minicaffe.solvers import get_solver
from minicaffe.trace import session

SEED = 5


def held_by(net):
    """Run a net by itself; return (pass, layer) -> (role, place) -> (data, diff) right after the layer."""
    found, top_diffs = {}, {}

    def note(way):
        def after(i):
            blobs = [(role, j, blob) for role, group in (("bottom", net.bottoms[i]), ("top", net.tops[i]),
                                                         ("param", net.layers[i].blobs))
                     for j, blob in enumerate(group)]
            found[way, i] = {(role, j): (blob.data.copy(), top_diffs[i][j] if role == "top" and i in top_diffs else
                                         blob.diff.copy() if way == "backward" else None) for role, j, blob in blobs}
        return after

    net.after_layer.append(note("forward"))
    net.before_backward.append(lambda i: top_diffs.update({i: [top.diff.copy() for top in net.tops[i]]}))
    net.after_backward.append(note("backward"))
    with engine_plain(), net.draws.during(SEED, 0, 0, 0):
        net.forward()
        net.backward()
    return found


@pytest.mark.parametrize("name", NETS)
def test_each_number_of_the_page_is_the_nets(name):
    data = json.loads(json.dumps(session.of_net(net_of(NETS[name]), seed=SEED, proofs=0)))
    net = net_of(NETS[name])
    held, plan = held_by(net), net.plan.layers
    assert len(data["moments"]) == 2 * len(data["layers"])
    for moment in data["moments"]:
        places = {"bottom": 0, "top": 0, "param": 0}
        for value in moment["values"]:
            key = value["role"], places[value["role"]]
            places[value["role"]] += 1
            array, diff = held[moment["pass"], moment["layer"]][key]
            if value["data"] is not None:
                assert_holds(data, value["data"], array)
            if value["diff"] is not None:
                assert_holds(data, value["diff"], diff)
        runs = moment["pass"] == "backward" and plan[moment["layer"]]
        assert any(value["diff"] is not None for value in moment["values"]) == runs


def test_data_that_a_layer_in_place_has_overwritten_is_left_out():
    data = session.of_net(net_of(IMAGES), proofs=0)
    conv = next(moment for moment in data["moments"] if moment["pass"] == "backward"
                and data["layers"][moment["layer"]]["name"] == "conv")
    top = next(value for value in conv["values"] if value["role"] == "top")
    assert top["data"] is None
    assert "overwritten" in top["note"]
    assert top["diff"] is not None


@pytest.mark.parametrize("name", NETS)
def test_what_the_lines_write_last_is_what_the_layer_puts_out(name):
    """The data of each first top, or an array with the same numbers in another shape, stands among the steps."""
    data = session.of_net(net_of(NETS[name]), proofs=0)
    for moment in data["moments"]:
        if moment["pass"] == "forward" and moment["count"]:
            top = next(value for value in moment["values"] if value["role"] == "top")
            steps = data["steps"][moment["first"]:moment["first"] + moment["count"]]
            written = [array for step in steps for _, array, _ in step["new"] if array is not None]
            wanted = list(numbers(data, top["data"]).values())
            assert any(list(numbers(data, array).values()) == wanted for array in written)


def test_a_trace_changes_nothing():
    """The net computes the same with a trace as without, and the engine is afterwards the one that was chosen."""
    engine = kernels.engine()
    mine, other = net_of(IMAGES), net_of(IMAGES)
    session.of_net(mine, seed=SEED, proofs=3)
    assert kernels.engine() == engine
    held_by(other)
    for a, b in zip(mine.all_params, other.all_params, strict=True):
        assert a.blob.data.tobytes() == b.blob.data.tobytes()
        assert a.blob.diff.tobytes() == b.blob.diff.tobytes()


@pytest.mark.parametrize("name", ["images", "inception"])
def test_the_same_trace_gives_the_same_data(name):
    """Also where a kernel writes bit by bit into new memory, as the sums of LRN do: what was there before is not shown.
    """
    first = session.of_net(net_of(NETS[name]), proofs=1)
    kept = [np.full(shape, 7, np.float32) for shape in ((2, 4, 8, 7), (2, 4, 11, 9)) * 50]  # fills memory, ...
    del kept                                                                              # and gives it back
    assert json.dumps(first) == json.dumps(session.of_net(net_of(NETS[name]), proofs=1))


def test_a_layer_that_fails_leaves_no_tracer_behind(monkeypatch):
    net, engine, before = net_of(IMAGES), kernels.engine(), sys.gettrace()

    def fail(bottom, top):
        raise ValueError("broken")

    monkeypatch.setattr(net.layers[2], "forward", fail)
    with pytest.raises(ValueError, match="broken"):
        session.of_net(net)
    assert sys.gettrace() is before
    assert kernels.engine() == engine
    assert not net.before_layer


SOLVERS = {
    "SGD": "momentum: 0.9", "Nesterov": "momentum: 0.9", "AdaGrad": "delta: 1e-3", "RMSProp": "rms_decay: 0.9",
    "AdaDelta": "momentum: 0.9 delta: 1e-3", "Adam": "momentum: 0.9 momentum2: 0.99"}


def solver_of(folder, kind, more=""):
    (folder / "net.prototxt").write_text(TWO_LAYERS)
    (folder / "solver.prototxt").write_text(
        f'net: "{folder}/net.prototxt" type: "{kind}" base_lr: 0.1 lr_policy: "fixed" weight_decay: 0.01 '
        f'random_seed: 4 {SOLVERS[kind]} {more}')
    rng.seed(1)
    solver = get_solver(prototxt.read(str(folder / "solver.prototxt"), SolverParameter()))
    draw = np.random.default_rng(2)
    for name in solver.net.inputs:
        solver.net.blobs[name].data[...] = draw.standard_normal(solver.net.blobs[name].shape)
    return solver


@pytest.mark.parametrize("kind", SOLVERS)
def test_the_columns_of_each_update_are_the_solvers(tmp_path, kind):
    data = session.of_solver(solver_of(tmp_path, kind), 2, proofs=0)
    solver = solver_of(tmp_path, kind)
    params = solver.net.learnable_params
    updates = [moment for moment in data["moments"] if moment["pass"] == "update"]
    assert len(updates) == 2 * len(params)
    with engine_plain():
        for iteration in range(2):
            before = [param.blob.data.copy() for param in params]
            histories = [h.copy() for h in solver.history]
            gradients = []
            solver.on_gradients_ready[:] = [lambda: gradients.extend(p.blob.diff.copy() for p in params)]  # noqa: B023
            solver.step(1)
            for i, param in enumerate(params):
                moment = updates[iteration * len(params) + i]
                columns = moment["update"]
                assert moment["iteration"] == iteration
                assert moment["count"] > 0
                assert data["blobs"][moment["param"]]["name"].startswith(param.layer)
                assert_holds(data, columns["w"], before[i])
                assert_holds(data, columns["dw"], gradients[i])
                assert_holds(data, columns["decay"], np.float32(0.01) * before[i])
                assert_holds(data, columns["step"], param.blob.diff)
                assert_holds(data, columns["new"], param.blob.data)
                for (_, old, new), h, now in zip(columns["history"], histories[i::len(params)],
                                                 solver.history[i::len(params)], strict=True):
                    assert_holds(data, old, h)
                    assert_holds(data, new, now)
                assert float(columns["rate"]) == pytest.approx(0.1)


@pytest.mark.parametrize("kind", SOLVERS)
def test_an_update_lights_its_formulas_down_to_the_last(tmp_path, kind):
    data = session.of_solver(solver_of(tmp_path, kind), proofs=0)
    moment = next(moment for moment in data["moments"] if moment["pass"] == "update")
    lit = [step["formula"] for step in data["steps"][moment["first"]:moment["first"] + moment["count"]]]
    lit = [one for one in lit if one is not None]
    assert set(lit) == set(range(len(data["solver"]["formulas"])))
    assert lit[-1] == len(data["solver"]["formulas"]) - 1
