"""Several processes that train together end with the numbers of one. Here they are threads; tests/ranks has processes.

The net has all that could tell one number of processes from another: draws for samples and for batches, statistics,
labels that do not count, two losses, a parameter of two layers, a test net whose result sets the learning rate.
"""

import numpy as np
import pytest
from thread_group import Meeting, ThreadGroup

from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.errors import SolverError
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import Action, get_solver
from minicaffe.solvers.resume.group_start import begin_together, check_alike

DATA = """
layer { name: "data" type: "Data" top: "x" top: "t" data_param { source: "PATH" batch_size: 3 backend: LMDB
                                                                  SHUFFLE }
        transform_param { crop_size: 4 mirror: true scale: 0.01 } }
"""
NET = DATA + """
layer { name: "bn" type: "BatchNorm" bottom: "x" top: "bn" }
layer { name: "a" type: "InnerProduct" bottom: "bn" top: "a" param { name: "w" } param { name: "b" }
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "b" type: "InnerProduct" bottom: "x" top: "b" param { name: "w" } param { name: "b" }
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "b" top: "b" }
layer { name: "one" type: "SoftmaxWithLoss" bottom: "a" bottom: "t" top: "one" loss_param { ignore_label: 1 } }
layer { name: "two" type: "SoftmaxWithLoss" bottom: "b" bottom: "t" top: "two" loss_weight: 0.5 loss_param { LOSS } }
"""
SOLVER = """
base_lr: 0.05 lr_policy: "plateau" gamma: 0.5 plateau_patience: 1 plateau_metric: "one:max" momentum: 0.9
random_seed: 3 clip_gradients: 1 test_iter: 5 test_interval: 2 average_loss: 3 snapshot_prefix: "PREFIX" snapshot: 3
"""
SGD, ADAM = 'type: "SGD" weight_decay: 0.01', 'type: "Adam"'


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """23 images of 5×6 with labels; the last epoch of a training always ends within an update."""
    draw, path = np.random.default_rng(0), tmp_path_factory.mktemp("group") / "db"
    write_lmdb(path, [(f"{i:04d}", make(draw.integers(256, size=(2, 5, 6)).astype(np.uint8), int(draw.integers(5))))
                      for i in range(23)])
    return path


def solver_for(database, folder, fields, group=None, loss="ignore_label: 1", shuffle="shuffle: true"):
    """A solver that is one of a group."""
    net = NET.replace("PATH", str(database)).replace("LOSS", loss).replace("SHUFFLE", shuffle)
    text = f"{SOLVER.replace('PREFIX', str(folder / 's'))} {fields} net_param {{ {net} }}"
    return get_solver(proto_text.parse(text, SolverParameter()), group=group)


def train(database, folder, fields, ranks, *, updates=7, resume="", **net):
    """Train on so many threads. Return the solvers."""
    folder.mkdir(exist_ok=True)
    meeting = Meeting(ranks)
    solvers = [solver_for(database, folder, fields, ThreadGroup(meeting, rank) if ranks > 1 else None, **net)
               for rank in range(ranks)]

    def run(rank):
        if resume and not rank:
            solvers[rank].restore(str(folder / resume))
        begin_together(solvers[rank])
        solvers[rank].step(updates - solvers[rank].iter)

    meeting.run(run)
    return solvers


def numbers(solver):
    """Everything that a training has made: weights, statistics, history, losses, rate, best test result."""
    arrays = [param.blob.data for param in solver.net.learnable_params] + solver.history
    return [*(array.tobytes() for array in arrays), solver.smoothed_loss, solver.loss, solver.rate, solver.current_step,
            *(one.best for one in solver.criteria().values())]


@pytest.mark.parametrize(("fields", "loss"), [(SGD, "ignore_label: 1"), (f"{ADAM} iter_size: 3", "normalization: FULL"),
                                              (SGD, "normalization: NONE")])
def test_any_number_of_processes_has_the_same_bits(database, tmp_path, fields, loss):
    """One, two and four, and one process whose iter_size is as large as all shards together."""
    [alone] = train(database, tmp_path / "1", f"{fields} shards: 4", 1, loss=loss)
    passes = f"iter_size: {4 * alone.param.iter_size}"
    [without] = train(database, tmp_path / "0", f"{fields.replace('iter_size: 3', '')} {passes}", 1, loss=loss)

    assert numbers(alone) == numbers(without)
    for ranks in (2, 4):
        for solver in train(database, tmp_path / str(ranks), f"{fields} shards: 4", ranks, loss=loss):
            assert numbers(alone) == numbers(solver)
    assert 0 < alone.current_step
    one, four = (tmp_path / ranks / "s_iter_6.caffemodel" for ranks in "14")
    assert one.read_bytes() == four.read_bytes()


@pytest.mark.parametrize("more", ["shuffle: true", "partial_last_batch: true"])
def test_samples_that_are_left_out(tmp_path, more):
    """A bad sample in one process moves no batch of another one, in training and in tests."""
    draw = np.random.default_rng(7)
    bad = {2, 3, 11, 15, 16, 17, 22}  # also a whole batch of a test
    write_lmdb(tmp_path / "db", [
        (f"{i:04d}", b"" if i in bad else make(draw.integers(256, size=(2, 5, 6)).astype(np.uint8), i % 5))
        for i in range(23)])
    [alone] = train(tmp_path / "db", tmp_path / "1", f"{SGD} shards: 4", 1, updates=5, shuffle=f"skip_bad: true {more}")

    for ranks in (2, 4):
        for solver in train(tmp_path / "db", tmp_path / str(ranks), f"{SGD} shards: 4", ranks, updates=5,
                            shuffle=f"skip_bad: true {more}"):
            assert numbers(alone) == numbers(solver)
            assert alone.test_nets[0].layers[0].cursor == solver.test_nets[0].layers[0].cursor


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_training_goes_on_with_another_number_of_processes(database, tmp_path, ranks):
    """The snapshot has the number of shards, and each process finds its own batches."""
    [alone] = train(database, tmp_path / "1", f"{ADAM} shards: 4", 1)
    train(database, tmp_path / "4", f"{ADAM} shards: 4", 4, updates=4)
    solvers = train(database, tmp_path / "4", ADAM, ranks, resume="s_iter_3.solverstate")

    assert [numbers(alone)] * ranks == [numbers(solver) for solver in solvers]
    assert [4] * ranks == [solver.param.shards for solver in solvers]


def test_shards_of_a_snapshot_are_not_changed(database, tmp_path):
    """Another number would make other updates, so it is an error, as is one that the processes cannot share."""
    train(database, tmp_path, f"{SGD} shards: 4", 1, updates=3)
    state = "s_iter_3.solverstate"

    with pytest.raises(SolverError, match=r"s_iter_3\.resume: .*has 4 shards, but shards: 2 is given"):
        train(database, tmp_path, f"{SGD} shards: 2", 1, resume=state)
    with pytest.raises(SolverError, match="8 processes cannot share the 4 shards"):
        train(database, tmp_path, SGD, 8, resume=state)


@pytest.mark.parametrize(("ranks", "fields", "said"), [
    (3, "", "3 processes train together, but their number must be a power of two\n  hint: mpirun -n 2"),
    (4, "shards: 2", "4 processes cannot share the 2 shards of an update equally\n  hint: mpirun -n 1 or 2"),
    (2, "shards: 1", "2 processes cannot share the 1 shard of an update equally\n  hint: mpirun -n 1"),
])
def test_processes_that_cannot_share_an_update(database, tmp_path, ranks, fields, said):
    """The error says what would do."""
    with pytest.raises(SolverError, match=said):
        solver_for(database, tmp_path, f"{SGD} {fields}", ThreadGroup(Meeting(ranks), 0))


def test_what_one_process_is_asked_all_do(database, tmp_path):
    """A signal that reaches one process alone stops all of them after the same update."""
    meeting = Meeting(2)
    solvers = [solver_for(database, tmp_path, SGD, ThreadGroup(meeting, rank)) for rank in range(2)]
    solvers[1].requested_action = lambda: Action.STOP if solvers[1].iter == 3 else Action.NONE
    meeting.run(lambda rank: solvers[rank].step(9))

    assert [3, 3] == [solver.iter for solver in solvers]


@pytest.mark.parametrize(("fields", "loss", "words"), [
    ("max_iter: 9", "ignore_label: 1",
     "the solver differs between the ranks: it has 'max_iter: 7' on rank 0 and 'max_iter: 9' on rank 1"),
    ("max_iter: 7", "normalization: NONE",
     "layer 'two' (8) of the train net differs between the ranks: it has 'ignore_label: 1' on rank 0 and "
     "'normalization: NONE' on rank 1")])
def test_processes_that_have_read_different_files_do_not_begin(database, tmp_path, fields, loss, words):
    """A host may still have an old file. All processes say what differs, and none waits for another for ever."""
    meeting, errors = Meeting(2), []
    solvers = [solver_for(database, tmp_path, f"{SGD} max_iter: 7", ThreadGroup(meeting, 0)),
               solver_for(database, tmp_path, f"{SGD} {fields}", ThreadGroup(meeting, 1), loss=loss)]

    def begin(rank):
        try:
            begin_together(solvers[rank])
        except SolverError as error:
            errors.append(error.message)

    meeting.run(begin)

    assert [words] * 2 == errors


def test_processes_that_have_drifted_apart_write_no_snapshot(database, tmp_path):
    """A layer that changes its blobs by itself may do that."""
    meeting = Meeting(2)
    solvers = [solver_for(database, tmp_path, SGD, ThreadGroup(meeting, rank)) for rank in range(2)]
    solvers[1].net.params["a"][1].data[3] += 1

    def check(rank):
        with pytest.raises(SolverError, match="the weights of rank 1 are not the same as those of rank 0"):
            check_alike(solvers[rank])

    meeting.run(check)
