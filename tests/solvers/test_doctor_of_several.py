"""Where several processes train together and a value is not finite, one of them says so, and saves its own pass."""

import numpy as np
import pytest
from thread_group import Meeting, ThreadGroup

from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver
from minicaffe.solvers.doctor.doctor import Doctor
from minicaffe.solvers.doctor.failure import Replay

SOLVER = """
  net_param {
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 3 } } }
    layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 5 dim: 2 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 2 } }
    layer { name: "log" type: "Log" bottom: "ip" top: "y" log_param { shift: 1 } }
    layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
  }
  lr_policy: "fixed" base_lr: 0.01 shards: 2 snapshot_prefix: "PREFIX" """


def bad_from(solver, iteration):
    """From this iteration on, the batch of a solver leads to the logarithm of a number below 0."""
    def fill():
        solver.net.blobs["x"].data[...] = 0.1
        solver.net.blobs["t"].data[...] = 1.5
        if solver.iter >= iteration:
            solver.net.blobs["x"].data[3] = -1e5
    solver.on_start.append(fill)


@pytest.mark.parametrize("bad", [0, 1])
@pytest.mark.parametrize("brief", [False, True])
def test_one_process_reports_a_value_of_its_own_batch(tmp_path, caplog, bad, brief):
    """The others find that the gradients are not finite, which follows from it; the saved pass is that of the batch."""
    meeting = Meeting(2)
    solvers = [get_solver(proto_text.parse(SOLVER.replace("PREFIX", str(tmp_path / "s")), SolverParameter()),
                          group=ThreadGroup(meeting, rank)) for rank in range(2)]
    for rank, solver in enumerate(solvers):
        bad_from(solver, 2 if rank == bad else 99)
        solver.silence = frozenset({"loss-growth", "loss-plateau"})

    def run(rank):
        if not brief:
            Doctor(solvers[rank], stop=False)
        solvers[rank].step(4)

    meeting.run(run)

    said = [message.splitlines()[0] for message in caplog.messages if "not finite" in message]
    assert "iteration 2: a value is not finite, first in top blob 'y' of layer 'log' (Log), its data: " in said[0]
    assert [] == [line for line in said[1:] if "iteration 2" in line]
    assert [] == [solver.iter for solver in solvers if solver.iter != 4]
    saved = [path.name for path in tmp_path.glob("*.npz")]
    if brief:
        assert ([], 1) == (saved, len(said))
        return
    assert ["s_iter_2_failure.npz"] == saved
    replay = Replay(tmp_path / saved[0])
    assert replay.found == replay.run()
    assert replay.net.blobs["x"].data[3, 0] == np.float32(-1e5)
