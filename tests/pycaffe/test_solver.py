"""pycaffe's solvers: what a script can do with them, and which error comes where Caffe aborts."""

import os

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from minicaffe import proto, solvers
from minicaffe import pycaffe as caffe
from minicaffe.errors import MinicaffeError, NetError, SolverError
from minicaffe.pycaffe import _caffe
from minicaffe.pycaffe import global_settings as settings

NET = """
  layer { name: "x" type: "DummyData" top: "x" top: "t" dummy_data_param {
    shape { dim: 2 dim: 3 } shape { dim: 2 dim: 5 } data_filler { type: "gaussian" } data_filler { value: 1 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
          inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
FIXED = 'base_lr: 0.5 lr_policy: "fixed" max_iter: 4'
TESTED = "test_iter: 1 test_interval: 2"
TYPES = {"SGD": caffe.SGDSolver, "Nesterov": caffe.NesterovSolver, "AdaGrad": caffe.AdaGradSolver,
         "RMSProp": caffe.RMSPropSolver, "AdaDelta": caffe.AdaDeltaSolver, "Adam": caffe.AdamSolver}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """Each test runs in a folder of its own, in which the net's file stands."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)


def solver_file(fields=FIXED):
    with open("solver.prototxt", "w") as file:
        file.write(f'net: "net.prototxt" snapshot_prefix: "s" {fields}')
    return "solver.prototxt"


@pytest.mark.parametrize("name", TYPES)
def test_a_class_trains_by_its_own_formula(name):
    """The class is its type, whatever the file names, and takes the step of minicaffe's own solver of that type."""
    steps = []
    for make in (TYPES[name], solvers.get_solver):
        solver = make(solver_file(f'{FIXED} type: "{name}" random_seed: 7'))
        solver.step(2)
        steps.append(solver.net.params["ip"][0].diff.copy())
        assert solver.type == name

    np.testing.assert_array_equal(*steps)
    assert np.abs(steps[0]).max() > 0


@pytest.mark.parametrize("name", TYPES)
def test_a_class_declares_what_its_type_does(name):
    """Nothing of another type's comes in by inheritance: what is read, kept and refused is as in minicaffe's own."""
    own = type(solvers.get_solver(solver_file(f'{FIXED} type: "{name}"')))

    for attribute in ("type", "histories", "reads", "refuses", "fractions", "rule"):
        assert getattr(TYPES[name], attribute) == getattr(own, attribute)


@pytest.mark.parametrize("name", TYPES)
def test_get_solver_gives_the_class_of_the_type(name):
    """As in Caffe, isinstance says that each is a Solver and an SGDSolver."""
    solver = caffe.get_solver(solver_file(f'{FIXED} type: "{name}"'))

    assert type(solver) is TYPES[name]
    assert isinstance(solver, caffe.SGDSolver)
    assert isinstance(solver, _caffe.Solver)
    assert issubclass(TYPES[name], caffe.SGDSolver)
    assert not isinstance(solver, caffe.AdamSolver if name != "Adam" else caffe.NesterovSolver)


def test_another_type_in_the_file_is_warned_of(caplog):
    """SGDSolver(file) is SGD, and says once that the file names another type."""
    solver = caffe.SGDSolver(solver_file(f'{FIXED}\ntype: "Adam"'))

    assert [solver.type, solver.param.type] == ["SGD", "SGD"]
    assert ["solver.prototxt:2: type is 'Adam', but the script makes a solver of the class SGDSolver, so it is 'SGD'"] \
        == [record.message for record in caplog.records]


@pytest.mark.parametrize("fields", ["", 'type: "SGD"', "solver_type: SGD"])
def test_the_same_type_in_the_file_is_not_warned_of(fields, caplog):
    """Neither where the file names none."""
    caffe.SGDSolver(solver_file(f"{FIXED} {fields}"))

    assert not any("the script makes" in record.message for record in caplog.records)


def test_a_registered_type_has_pycaffes_names(monkeypatch):
    """A solver type of the user's own gets pycaffe's nets and methods, but is no SGDSolver."""
    monkeypatch.setattr(solvers.registry, "_types", dict(solvers.registry._types))

    @solvers.solver.register("Still")
    class StillSolver(solvers.solver_class(caffe.SGDSolver(solver_file()).param)):
        """Take steps of SGD."""

    first, second = (caffe.get_solver(solver_file(f'{FIXED} type: "Still"')) for _ in range(2))

    assert isinstance(first, StillSolver)
    assert isinstance(first, _caffe.Solver)
    assert not isinstance(first, caffe.SGDSolver)
    assert type(first) is type(second)
    assert first.lr == 0.5


def test_nets_are_pycaffes_and_in_a_vector():
    """`net` is one Net, `test_nets` a NetVec of those that are tested."""
    solver = caffe.SGDSolver(solver_file(f"{FIXED} {TESTED}"))

    assert type(solver.net) is caffe.Net
    assert type(solver.test_nets) is _caffe.NetVec
    assert [caffe.Net] == [type(net) for net in solver.test_nets]
    assert type(caffe.SGDSolver(solver_file()).test_nets) is _caffe.NetVec


def test_step_and_iter():
    """`iter` counts the updates; a step of 0 makes none; further ones go on after `solve`."""
    solver = caffe.SGDSolver(solver_file())
    seen = [solver.iter]
    for count in (0, 1, 1, 3):
        solver.step(count)
        seen.append(solver.iter)
    solver.solve()  # max_iter has been passed
    seen.append(solver.iter)
    solver.step(2)

    assert [0, 0, 1, 2, 5, 5, 7] == [*seen, solver.iter]


def test_diff_holds_the_update_after_step():
    """As in Caffe: what was subtracted from the weights, rate included."""
    solver = caffe.SGDSolver(solver_file())
    before = solver.net.params["ip"][0].data.copy()
    solver.step(1)

    blob = solver.net.params["ip"][0]
    np.testing.assert_allclose(before - blob.data, blob.diff, rtol=1e-4, atol=1e-6)


def test_a_pass_by_hand_and_apply_update():
    """forward, backward and apply_update are one update, as step makes it."""
    solver = caffe.SGDSolver(solver_file('base_lr: 0.25 lr_policy: "fixed"'))
    solver.net.clear_param_diffs()
    solver.net.forward()
    solver.net.backward()
    weights, gradient = (array.copy() for array in (solver.net.params["ip"][0].data, solver.net.params["ip"][0].diff))
    solver.apply_update()

    np.testing.assert_allclose(solver.net.params["ip"][0].data, weights - 0.25 * gradient, rtol=1e-6)
    assert solver.iter == 1


def test_param_takes_effect():
    """A rate that a script sets is that of the next update, and `lr` says so; all fields can be read."""
    solver = caffe.SGDSolver(solver_file(f"{FIXED} display: 3"))
    assert [0.5, 4, 3, True] == [solver.param.base_lr, solver.param.max_iter, solver.param.display,
                                 solver.param.layer_wise_reduce]
    solver.param.base_lr = 0
    before = solver.net.params["ip"][0].data.copy()
    solver.step(1)

    np.testing.assert_array_equal(before, solver.net.params["ip"][0].data)
    assert solver.lr == 0
    solver.param.base_lr = 0.5
    assert solver.lr == 0.5
    solver.step(1)
    assert np.abs(before - solver.net.params["ip"][0].data).max() > 0


def test_lr_is_the_rate_of_the_next_update():
    """It falls where the policy says, and reading it changes nothing."""
    solver = caffe.SGDSolver(solver_file('base_lr: 8 lr_policy: "multistep" gamma: 0.5 stepvalue: 1 stepvalue: 3'))
    solver.net.params["ip"][0].data[...] = 0
    rates = []
    for _ in range(5):
        rates += [solver.lr, solver.lr]
        solver.step(1)
        assert solver.rate == rates[-1]

    assert [8, 8, 4, 4, 4, 4, 2, 2, 2, 2] == rates


def test_reading_lr_logs_nothing(caplog):
    """The line that a stepvalue is reached comes once, from the update."""
    solver = caffe.SGDSolver(solver_file('base_lr: 1 lr_policy: "multistep" gamma: 0.5 stepvalue: 1'))
    solver.step(1)
    with caplog.at_level("INFO", "minicaffe"):
        assert solver.lr == 0.5
        assert [] == caplog.records
        solver.step(1)

    assert 1 == sum("MultiStep Status" in record.message for record in caplog.records)


def test_callbacks_run_around_the_passes():
    """In the order in which they were added: before the forward pass, and between the backward pass and the update."""
    solver = caffe.SGDSolver(solver_file())
    solver.net.params["ip"][0].data[...] = 0
    events = []
    for name in "ab":
        solver.add_callback(lambda name=name: events.append((name, "start", solver.iter)),
                            lambda name=name: events.append((name, "ready", solver.iter)))
    weights = []
    solver.add_callback(lambda: "", lambda: weights.append(np.abs(solver.net.params["ip"][0].data).max()))
    solver.add_callback(caffe.NCCL(solver, caffe.NCCL.new_uid()))
    solver.step(2)

    assert [(name, when, i) for i in range(2) for when in ("start", "ready") for name in "ab"] == events
    assert weights[0] == 0  # the update came after the callback
    assert weights[1] > 0


@pytest.mark.parametrize("functions", [(lambda: 0,), (lambda: 0, 3), (None, lambda: 0), ("x",)])
def test_a_callback_that_is_no_function(functions):
    """It is refused at once, not in the first update."""
    with pytest.raises(SolverError, match="add_callback takes two functions without arguments, got"):
        caffe.SGDSolver(solver_file()).add_callback(*functions)


def test_share_weights():
    """Another net then sees every update."""
    solver = caffe.SGDSolver(solver_file())
    other = caffe.Net("net.prototxt", caffe.TEST)
    solver.share_weights(other)
    solver.step(1)

    np.testing.assert_array_equal(other.params["ip"][0].data, solver.net.params["ip"][0].data)
    assert np.shares_memory(other.params["ip"][0].data, solver.net.params["ip"][0].data)


def test_test_nets_share_weights_from_the_first_test_on():
    """Before it they have their own, unless a script asks for it."""
    solver = caffe.SGDSolver(solver_file(f"{FIXED} {TESTED} test_initialization: false"))

    def shared():
        return np.shares_memory(solver.test_nets[0].params["ip"][0].data, solver.net.params["ip"][0].data)

    seen = [shared()]
    for _ in range(3):
        solver.step(1)
        seen.append(shared())
    assert [False, False, False, True] == seen

    asked = caffe.SGDSolver(solver_file(f"{FIXED} {TESTED}"))
    asked.test_nets[0].share_with(asked.net)
    assert np.shares_memory(asked.test_nets[0].params["ip"][0].data, asked.net.params["ip"][0].data)


def test_passes_before_the_first_step():
    """A script looks at the nets' outputs before it trains, and may train then."""
    solver = caffe.SGDSolver(solver_file(f"{FIXED} {TESTED}"))
    for net in (solver.net, solver.test_nets[0]):
        assert net.forward()["loss"] > 0
    solver.step(1)

    assert solver.iter == 1


def test_snapshot_and_restore():
    """The files have Caffe's names, and another solver goes on from them with the same steps."""
    first = caffe.AdamSolver(solver_file(f"{FIXED} random_seed: 3"))
    first.step(2)
    first.snapshot()
    first.step(1)
    second, third = (caffe.AdamSolver(solver_file(f"{FIXED} random_seed: 3")) for _ in range(2))
    second.restore("s_iter_2.solverstate")
    assert second.iter == 2
    second.step(1)
    third.solve("s_iter_2.solverstate")

    assert os.path.exists("s_iter_2.caffemodel")
    assert third.iter == 4
    np.testing.assert_array_equal(first.net.params["ip"][0].data, second.net.params["ip"][0].data)


def test_nets_outlive_the_solver():
    """A script may keep a net alone."""
    solver = caffe.SGDSolver(solver_file(f"{FIXED} {TESTED}"))
    nets = [solver.net, *solver.test_nets]
    del solver

    assert all(np.isfinite(net.forward()["loss"]) for net in nets)


def test_a_path_and_a_message():
    """The file may be a path or bytes; a SolverParameter serves as well, and stays as it was."""
    path = solver_file(f'{FIXED} type: "Adam"')
    message = solvers.definition.read_solver(path)
    from_message = caffe.SGDSolver(message, where=path)

    assert message.type == "Adam"
    for solver in (from_message, caffe.SGDSolver(os.fsencode(path)), caffe.SGDSolver(os.path.abspath(path))):
        assert 0.5 == solver.param.base_lr


def test_a_message_of_another_caffe_pb2():
    """It serves as well: a script may have one that protoc has made."""
    file = descriptor_pb2.FileDescriptorProto.FromString(proto.DESCRIPTOR.serialized_pb)
    own = solvers.definition.read_solver(solver_file())
    other = message_factory.GetMessages([file], descriptor_pool.DescriptorPool())["caffe.SolverParameter"]()
    other.ParseFromString(own.SerializeToString())
    assert type(other) is not type(own)

    for make in (caffe.SGDSolver, caffe.get_solver):
        assert 0.5 == make(other).param.base_lr


@pytest.mark.parametrize(("make", "words"), [
    (lambda: caffe.SGDSolver(proto.NetParameter()), r"from a file name or a SolverParameter, not from caffe\.NetParam"),
    (lambda: caffe.get_solver(None), "not from NoneType"),
    (lambda: caffe.SGDSolver("sulver.prototxt"), "no such file: sulver.prototxt\n  hint: did you mean"),
    (lambda: caffe.get_solver(solver_file(f'{FIXED} type: "adam"')), "no solver type 'adam'.*\n  hint: .*'Adam'"),
    (lambda: caffe.SGDSolver(solver_file('net: "ent.prototxt"')), "ent.prototxt"),
    (lambda: _caffe.Solver(solver_file()), r"makes no solver itself\n  hint: get_solver\(file\)"),
    (lambda: caffe.SGDSolver(solver_file()).restore("s_iter_9.solverstate"), "s_iter_9.solverstate"),
    (lambda: caffe.SGDSolver(solver_file('base_lr: 1')).step(1), "lr_policy is missing"),
])
def test_where_caffe_aborts(make, words):
    """An exception comes that a script can catch as RuntimeError, and it says what to do."""
    solver_file()
    with pytest.raises(RuntimeError, match=f"(?s){words}") as caught:
        make()
    assert isinstance(caught.value, MinicaffeError)


class TestNCCL:
    """The name by which Caffe's scripts train on several GPUs."""

    def test_one_solver_needs_none(self):
        """What Caffe's train.py does with one GPU works."""
        solver = caffe.SGDSolver(solver_file())
        uid = caffe.NCCL.new_uid()
        nccl = caffe.NCCL(solver, uid)
        nccl.bcast()
        nccl(0)
        solver.add_callback(nccl)
        solver.step(1)

        assert isinstance(uid, bytes)
        assert uid != caffe.NCCL.new_uid()
        assert not caffe.has_nccl()

    def test_several_solvers_are_refused(self, monkeypatch):
        """Each would train on its own, and a script would not notice."""
        monkeypatch.setattr(settings._Settings, "solver_count", 3)
        with pytest.raises(SolverError, match=r"set_solver_count\(3\).*alone\n  hint: .*iter_size: 3"):
            caffe.NCCL(caffe.SGDSolver(solver_file()), b"")


def test_the_error_of_a_net_that_fails_is_not_changed():
    """A net's own errors come as they are."""
    with open("net.prototxt", "w") as file:
        file.write(NET.replace('bottom: "y"', 'bottom: "z"'))
    with pytest.raises(NetError, match="'z'"):
        caffe.SGDSolver(solver_file())


@pytest.mark.parametrize("train", [lambda solver: solver.step(1), lambda solver: solver.solve()])
def test_the_error_of_a_python_layer_keeps_its_type(train, tmp_path, monkeypatch):
    """A script can catch what its own layer raises in a training."""
    (tmp_path / "failing_in_backward.py").write_text("""
import caffe
class Failing(caffe.Layer):
    def setup(self, bottom, top):
        pass
    def reshape(self, bottom, top):
        top[0].reshape(1)
    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data.sum()
    def backward(self, top, propagate_down, bottom):
        raise ZeroDivisionError("of mine")
""")
    monkeypatch.syspath_prepend(tmp_path)
    with open("net.prototxt", "w") as file:
        file.write(NET.replace('type: "EuclideanLoss"', 'type: "Python" loss_weight: 1 '
                               'python_param { module: "failing_in_backward" layer: "Failing" }'))
    solver = caffe.SGDSolver(solver_file())
    with pytest.raises(ZeroDivisionError, match="of mine"):
        train(solver)


@pytest.mark.parametrize("name", ["net", "test_nets"])
def test_nets_cannot_be_replaced(name):
    """The solver would train on with the net it had."""
    solver = caffe.SGDSolver(solver_file())

    with pytest.raises(AttributeError, match=rf"SGDSolver\.{name} cannot be replaced"):
        setattr(solver, name, None)
