"""iter_size: k passes over batches of n make the update of one pass over a batch of k · n."""

import numpy as np
import pytest

from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

N, K, C = 3, 4, 5  # batch, passes, classes
IGNORED = 9
NET = """
layer { name: "data" type: "MemoryData" top: "x" top: "t"
        memory_data_param { batch_size: BATCH channels: 2 height: 7 width: 1 } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.3 } } }
"""
SOFTMAX = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "loss" %s loss_param { %s } }'


def batches():
    """Images and labels for three updates; of the passes of each, one counts nothing and no two counts are equal."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((3 * K * N, 2, 7, 1))
    t = draw.integers(C, size=(3, K, N)).astype(float)
    t[0, 0] = t[1, 1] = t[2, 3] = IGNORED  # the first, a middle and the last pass
    t[0, 1, 0] = t[1, 0, 1:] = t[2, 0, 2] = IGNORED
    return x, t.reshape(-1)


def train(layers, passes, fields="base_lr: 0.3 momentum: 0.9 weight_decay: 0.01", *, dtype=np.float64, labels=None):
    """The learned blobs after three updates."""
    net = NET.replace("BATCH", str(N * K // passes)) + layers
    solver = get_solver(proto_text.parse(f"""net_param {{ {net} }} lr_policy: "fixed" random_seed: 2
        iter_size: {passes} {fields}""", SolverParameter()), dtype=dtype)
    x, t = batches()
    solver.net.layers[0].reset(x, t if labels is None else labels)
    solver.step(3)
    return [blob.data for blob in solver.net.params["ip"]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weights", ["", "class_weight: 0.5 class_weight: 3 class_weight: 1 class_weight: 0.1 "
                                     "class_weight: 2"], ids=["plain", "weighted"])
@pytest.mark.parametrize("mode", ["FULL", "VALID", "BATCH_SIZE", "NONE"])
def test_passes_add_up_to_one_large_batch(mode, weights, dtype):
    """In each mode the update is that of the large batch, to rounding, with unequal numbers of ignored labels."""
    loss = SOFTMAX % ("", f"ignore_label: {IGNORED} normalization: {mode} {weights}")
    large, small = train(loss, 1, dtype=dtype), train(loss, K, dtype=dtype)

    tolerance = 1e-12 if dtype is np.float64 else 2e-6
    for one, several in zip(large, small, strict=True):
        np.testing.assert_allclose(several, one, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("fields", ['type: "Adam" momentum: 0.9', 'type: "Nesterov" momentum: 0.9', 'type: "RMSProp"'])
def test_types_other_than_sgd(fields):
    """Clipping and decay, which follow, see the same gradient as with one large batch."""
    loss = SOFTMAX % ("", f"ignore_label: {IGNORED} normalization: VALID")
    large, small = (train(loss, passes, f"{fields} base_lr: 0.01") for passes in (1, K))

    for one, several in zip(large, small, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-9)


def test_losses_that_count_in_one_proportion():
    """A net may have two losses, one of them a sum that is not divided."""
    two = (SOFTMAX % ("loss_weight: 0.5", "normalization: FULL")
           + 'layer { name: "more" type: "HingeLoss" bottom: "ip" bottom: "t" top: "more" '
             "loss_param { normalization: NONE } }")
    labels = np.arange(3 * K * N) % C
    large, small = train(two, 1, labels=labels), train(two, K, labels=labels)

    for one, several in zip(large, small, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-12)


@pytest.mark.parametrize("mode", ["FULL", "NONE"])
def test_losses_that_count_in_different_proportions(mode):
    """One sum cannot serve two divisors, so the passes run once more on the same batches, with exact weights."""
    two = (SOFTMAX % ("", f"ignore_label: {IGNORED} normalization: VALID")
           + 'layer { name: "more" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "more" '
             f"loss_param {{ ignore_label: {IGNORED} normalization: {mode} }} }}")
    large, small = train(two, 1), train(two, K)

    for one, several in zip(large, small, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-12, atol=1e-15)


def test_equal_counts_are_the_mean_bit_by_bit():
    """Where no label is ignored, the gradients are added in the order of the tree, divided, and nothing else is done.

    Each gradient is computed by itself. So it does not matter which process computes it.
    """
    loss = SOFTMAX % ("", "")
    x = batches()[0][:K * N]
    labels = np.arange(K * N) % C
    net = NET.replace("BATCH", str(N)) + loss
    solver = get_solver(proto_text.parse(f"""net_param {{ {net} }} base_lr: 1 lr_policy: "fixed" random_seed: 2
        iter_size: {K}""", SolverParameter()))
    solver.net.layers[0].reset(x, labels)
    w = solver.net.params["ip"][0]
    before, gradients = w.data.copy(), []
    for _ in range(K):
        solver.net.clear_param_diffs()
        solver.net.forward_backward()
        gradients.append(w.diff.copy())
    a, b, c, d = gradients
    mean = ((a + b) + (c + d)) * np.float32(1 / K)
    solver.step(1)

    np.testing.assert_array_equal(w.data, before - mean)
    assert 1.0 == solver.net.layers[-1].share
