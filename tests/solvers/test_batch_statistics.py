"""BatchNorm and BN in updates of several passes: they store what as many passes by hand leave in their blobs."""

import numpy as np
import pytest
from thread_group import Meeting, ThreadGroup

from minicaffe import TRAIN
from minicaffe.net import Net
from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

UPDATES, BATCH = 2, 4
KINDS = {
    "BVLC": "BatchNorm",
    "stored": "BatchNorm batch_norm_param { use_global_stats: true }",
    "NVIDIA": "BatchNorm batch_norm_param { scale_bias: true }",
    "Intel": "BatchNorm batch_norm_param { use_weight_bias: true }",
    "SegNet": "BN bn_param { bn_mode: LEARN }",
    "PSPNet": "BN bn_param { momentum: 0.75 }",
    "frozen": "BN bn_param { frozen: true }",
    "CTPN": "BN bn_param { decay: 0.25 }",
}
NET = f"""
layer {{ name: "data" type: "MemoryData" top: "x" top: "t"
        memory_data_param {{ batch_size: {BATCH} channels: 3 height: 5 width: 1 }} }}
layer {{ name: "scores" type: "InnerProduct" bottom: "x" top: "scores" inner_product_param {{ num_output: 2 }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "t" top: "loss" }}
""" + "".join(f'layer {{ name: "{name}" type: "{of.partition(" ")[0]}" bottom: "x" top: "{name}" '
              f'{of.partition(" ")[2]} }}\n' for name, of in KINDS.items())


def hand_over(net, batches):
    """Give the net the same samples each time."""
    draw = np.random.default_rng(1)
    (data,) = (layer for layer in net.layers if layer.type == "MemoryData")
    data.reset(draw.standard_normal((batches * BATCH, 3, 5, 1)) * 2 + 1, np.arange(batches * BATCH) % 2)


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_updates_store_what_single_passes_do(passes):
    """Each layer's blobs hold the same bits, whatever it measures or takes from its blobs."""
    solver = get_solver(proto_text.parse(f"""net_param {{ {NET} }} base_lr: 0.1 lr_policy: "fixed"
        iter_size: {passes}""", SolverParameter()))
    by_hand = Net(proto_text.parse(NET, NetParameter()), TRAIN)
    fresh = {name: by_hand.params[name][1].data.copy() for name in KINDS}
    hand_over(solver.net, passes * UPDATES)
    hand_over(by_hand, passes * UPDATES)
    solver.step(UPDATES)
    for _ in range(passes * UPDATES):
        by_hand.forward()

    for name in KINDS:
        for have, want in zip(solver.net.params[name], by_hand.params[name], strict=True):
            np.testing.assert_array_equal(have.data, want.data)
    changed = {name for name in ("BVLC", "stored", "NVIDIA", "Intel") if
               (by_hand.params[name][1].data != fresh[name]).any()}
    assert changed == {"BVLC", "NVIDIA", "Intel"}


MEASURED_IN_TESTS = f"""
layer {{ name: "data" type: "MemoryData" top: "x" top: "t"
        memory_data_param {{ batch_size: {BATCH} channels: 3 height: 5 width: 1 }} }}
layer {{ name: "bn" type: "BatchNorm" bottom: "x" top: "bn" batch_norm_param {{ use_global_stats: false }} }}
layer {{ name: "scores" type: "InnerProduct" bottom: "bn" top: "scores" inner_product_param {{ num_output: 2 }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "t" top: "loss" }}
"""


def solved(ranks):
    """The statistics, and the last loss and test result, of each of so many threads that train together."""
    meeting = Meeting(ranks)
    param = proto_text.parse(f"""net_param {{ {MEASURED_IN_TESTS} }} base_lr: 0.1 lr_policy: "fixed" random_seed: 2
        shards: 4 max_iter: 2 display: 2 test_iter: 4 test_interval: 2
        snapshot_after_train: false""", SolverParameter())

    def run(rank):
        solver, results = get_solver(param, group=ThreadGroup(meeting, rank)), []
        for net in (solver.net, *solver.test_nets):
            hand_over(net, 9)
        solver.on_test.append(lambda index, result: results.append(result))
        solver.solve()
        return [*(blob.data.tolist() for blob in solver.net.params["bn"]), solver.smoothed_loss, results]

    return meeting.run(run)


def test_passes_beside_the_updates():
    """A test that measures its batches, and the last pass for the log, leave the same statistics in each process."""
    (alone,) = solved(1)

    passes = 2 * 4 + 1 + 2 * 4  # of two updates, for the log, and of two tests
    assert alone[2] == pytest.approx([sum(0.999 ** i for i in range(passes))])
    for ranks in (2, 4):
        assert [alone] * ranks == solved(ranks)
