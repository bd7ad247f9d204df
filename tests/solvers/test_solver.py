"""The training loop: when it tests, displays and stops, and which nets it makes."""

import logging

import numpy as np
import pytest
from nets import NET, feed, make

from minicaffe.errors import ProtoError, SolverError
from minicaffe.proto import TEST, TRAIN, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import Action, get_solver
from minicaffe.solvers.nets import net_to_train, nets_to_test
from minicaffe.solvers.schedule.report import SmoothedLoss

TESTED = NET % "" + 'layer { name: "only" type: "Silence" bottom: "x" include { phase: TEST stage: "extra" } }'


@pytest.fixture
def lines(caplog):
    """A function that gives what was reported since the last call, each line with its place."""
    caplog.set_level(logging.INFO, "minicaffe")

    def take():
        found = [f"{record.at}] {record.getMessage()}" for record in caplog.records]
        caplog.clear()
        return found

    return take


def test_smoothing_follows_caffe():
    """The smoothed loss is the mean of the last three losses, and of all while there are fewer."""
    smooth = SmoothedLoss(3)

    assert [6, 5, 4, 2, 3] == pytest.approx([smooth.add(loss) for loss in (6, 4, 2, 0, 7)])


def test_display_prints_caffes_lines(lines):
    """The lines have the words and the places that log parsers look for."""
    solver = feed(make("display: 2 max_iter: 3"))
    lines()
    solver.step(3)
    found = lines()

    assert [0, 2] == [int(line.split()[2]) for line in found if line.startswith("solver.cpp:239] Iteration")]
    assert f"sgd_solver.cpp:112] Iteration 0, lr = {0.1:g}" in found
    output = next(line for line in found if line.startswith("solver.cpp:258]"))
    assert output.startswith("solver.cpp:258]     Train net output #0: loss = ")
    assert output.endswith(" loss)")
    assert "(* 1 = " in output


def test_test_nets_run_when_due(lines):
    """Tests come before iterations 0, 2 and 4, and not at 0 without test_initialization."""
    for extra, expected in (("", [0, 2, 4]), ("test_initialization: false", [2, 4])):
        solver = feed(make(f"test_iter: 2 test_interval: 2 {extra}"))
        lines()
        solver.step(5)

        assert expected == [int(line.split()[2][:-1]) for line in lines() if "Testing net (#0)" in line]


def test_a_test_means_over_its_batches_with_the_trained_weights():
    """A test net gives the mean loss of the weights that were just trained."""
    solver = feed(make("test_iter: 4 test_interval: 100 test_initialization: false"))
    solver.step(3)
    solver.net.forward()

    assert [("loss", pytest.approx(float(solver.net.blobs["loss"].data)))] == solver.test(0)


def test_the_solvers_state_overrules_the_nets():
    """The solver's state overrules the net's own, which overrules the phase that follows from its role."""
    param = proto_text.parse(f"""net_param {{ {TESTED} state {{ level: 3 stage: "own" }} }}
        train_state {{ level: 5 }} test_iter: 1 test_interval: 1 test_state {{ stage: "extra" }}""", SolverParameter())
    train, (test,) = net_to_train(param, ""), nets_to_test(param, "")

    assert (TRAIN, 5, ["own"]) == (train.state.phase, train.state.level, list(train.state.stage))
    assert (TEST, 3, ["own", "extra"]) == (test.state.phase, test.state.level, list(test.state.stage))


def test_test_nets_come_in_caffes_order(tmp_path):
    """First come test_net_param, then test_net, then the train net for the rest of test_iter."""
    file = tmp_path / "other.prototxt"
    file.write_text(NET % "")
    param = proto_text.parse(f"""net_param {{ {NET % ""} }} test_net: "{file}" test_net_param {{ {NET % ""} }}
        test_iter: 1 test_iter: 2 test_iter: 3 test_interval: 1""", SolverParameter())

    assert ["test_net_param", f"test_net file: {file}", "net_param"] == [
        choice.source for choice in nets_to_test(param, "")]


@pytest.mark.parametrize(("fields", "words"), [
    ("", ["exactly one of", "here is none"]),
    ('net: "a" train_net: "b"', ["net and train_net"]),
    ('net_param {} test_net: "a"', ["test_iter is given 0 times for 1 test nets"]),
    ('train_net_param {} test_net_param {} test_iter: 1 test_iter: 2', ["given 2 times for 1"]),
    ("net_param {} test_iter: 1 test_interval: 1 test_state {} test_state {}", ["test_state is given 2 times for 1"]),
    ("net_param {} test_iter: 1", ["test_interval must be at least 1", "got 0"]),
])
def test_contradictions_between_nets_are_refused(fields, words):
    """The error gives the fields and the counts."""
    with pytest.raises(SolverError) as error:
        get_solver(proto_text.parse(fields, SolverParameter()))

    assert [] == [word for word in words if word not in str(error.value)]


def test_a_net_beside_the_solver_is_pointed_out(tmp_path, monkeypatch):
    """A path that counts from elsewhere gets a hint."""
    (tmp_path / "net.prototxt").write_text(NET % "")
    (tmp_path / "solver.prototxt").write_text('net: "net.prototxt" lr_policy: "fixed"')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ProtoError) as error:
        get_solver(str(tmp_path / "solver.prototxt"))

    assert "no such file: net.prototxt" in str(error.value)
    assert f"stands in {tmp_path}" in str(error.value)


def test_an_error_in_the_net_names_its_line(tmp_path):
    """A net's mistake is found through the solver with file and line."""
    (tmp_path / "net.prototxt").write_text('name: "a"\nlayer {\n  name: "b"\n  type: "Nonesuch"\n}\n')
    (tmp_path / "solver.prototxt").write_text(f'net: "{tmp_path}/net.prototxt" lr_policy: "fixed"')
    with pytest.raises(Exception, match=r"net\.prototxt:2.*Nonesuch"):
        get_solver(str(tmp_path / "solver.prototxt"))


def test_a_seed_makes_runs_equal():
    """random_seed fixes the fillers."""
    one, other, third = make("random_seed: 3"), make("random_seed: 3"), make("random_seed: 4")

    np.testing.assert_array_equal(one.net.params["ip"][0].data, other.net.params["ip"][0].data)
    assert not np.array_equal(one.net.params["ip"][0].data, third.net.params["ip"][0].data)


def test_what_nothing_reads_is_warned_of(lines):
    """A field of another policy or type is not silently ignored."""
    make("gamma: 0.5 momentum2: 0.9 momentum: 0.9")
    warned = [line.split("] ")[1].split(" ")[0] for line in lines() if "is set, but" in line]

    assert ["gamma", "momentum2"] == warned


def test_hooks_run_around_each_update():
    """The hooks are called in the order start, gradients ready, update, and iter counts the updates."""
    solver, seen = feed(make("iter_size: 2")), []
    solver.on_start.append(lambda: seen.append(("start", solver.iter)))
    solver.on_gradients_ready.append(lambda: seen.append(("gradients", solver.iter)))
    solver.on_update.append(lambda: seen.append(("update", solver.iter)))
    solver.step(2)

    assert [("start", 0), ("gradients", 0), ("update", 1), ("start", 1), ("gradients", 1), ("update", 2)] == seen


def test_a_stop_ends_the_loop_after_its_iteration(tmp_path, lines):
    """A stop finishes the iteration, and solve then writes a snapshot."""
    solver = feed(make(f'max_iter: 10 snapshot_prefix: "{tmp_path}/s"'))
    solver.requested_action = lambda: Action.STOP if solver.iter == 3 else Action.NONE
    solver.solve()

    assert 3 == solver.iter
    assert (tmp_path / "s_iter_3.solverstate").exists()
    assert "solver.cpp:311] Optimization stopped early." in lines()


def test_a_stop_during_a_test_is_answered(lines):
    """A stop does not wait for the end of a long test."""
    solver = feed(make("test_iter: 100 test_interval: 1 max_iter: 5 snapshot_after_train: false"))
    solver.requested_action = lambda: Action.STOP
    # the first question is asked before the first batch
    solver.requested_action = iter([Action.STOP, Action.NONE]).__next__
    solver.solve()

    assert 0 == solver.iter
    assert "solver.cpp:396] Test interrupted." in lines()


def test_debug_info_prints_blobs_and_gradients_of_displayed_iterations(lines):
    """debug_info prints on iterations that display, and on no other."""
    solver = feed(make("display: 2 debug_info: true"))
    lines()
    solver.step(1)
    found = lines()
    solver.step(1)

    assert any("[Forward] Layer ip, top blob ip data: " in line for line in found)
    assert any("[Backward] Layer ip, param blob 0 diff: " in line for line in found)
    assert any("All net params (data, diff): L1 norm = " in line for line in found)
    assert [] == [line for line in lines() if "[Forward]" in line]


def test_training_learns():
    """Every type brings the loss of a linear fit down."""
    for fields in ("momentum: 0.9 base_lr: 0.05", 'type: "Nesterov" momentum: 0.9 base_lr: 0.05', 'type: "AdaGrad"',
                   'type: "RMSProp" base_lr: 0.01', 'type: "AdaDelta" momentum: 0.95 base_lr: 1 delta: 1e-3',
                   'type: "Adam" momentum: 0.9'):
        solver = feed(make(fields))
        first = solver.net.forward()
        solver.step(200)

        assert solver.net.forward() < 0.7 * first, fields


def test_test_compute_loss_prints_the_mean_loss(lines):
    """The line of the total loss comes before the outputs, only where it is asked for."""
    for extra, expected in (("test_compute_loss: true", 1), ("", 0)):
        solver = feed(make(f"test_iter: 2 test_interval: 100 {extra}"))
        loss = solver.net.forward()
        lines()
        solver.test(0)

        assert expected == lines().count(f"solver.cpp:401] Test loss: {loss:.6g}")


def test_the_displayed_loss_is_smoothed(lines):
    """average_loss smooths the loss line and leaves the outputs' lines alone."""
    solver = feed(make("display: 1 average_loss: 2"))
    lines()
    solver.step(3)
    found = lines()
    shown = [float(line.rsplit(" ", 1)[1]) for line in found if line.startswith("solver.cpp:239]")]
    raw = [float(line.split(" = ")[1].split()[0]) for line in found if line.startswith("solver.cpp:258]")]

    assert [raw[0], (raw[0] + raw[1]) / 2, (raw[1] + raw[2]) / 2] == pytest.approx(shown, rel=1e-5)


def test_no_test_batches_print_no_outputs(lines):
    """test_iter: 0 turns a test off without an error."""
    solver = feed(make("test_iter: 0 test_interval: 1 test_compute_loss: true"))
    lines()

    assert [] == solver.test(0)
    assert ["solver.cpp:347] Iteration 0, Testing net (#0)", "solver.cpp:401] Test loss: nan"] == lines()
