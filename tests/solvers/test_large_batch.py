"""The gradient of an update of n parts is that of one batch n times as large, to the rounding of float64.

The parts count different numbers of labels, and the first one may have nothing to count.
"""

import numpy as np
import pytest

from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

SAMPLES, FEATURES, CLASSES, IGNORED = 24, 7, 5, 9  # n = 2, 3, 4 and 6 all divide the samples
WEIGHTS = " ".join(f"class_weight: {w}" for w in (0.5, 3, 0, 0.1, 2))


def memory(name, tops, channels, batch):
    """A layer that hands out rows of an array and their labels."""
    return f"""layer {{ name: "{name}" type: "MemoryData" {" ".join(f'top: "{top}"' for top in tops)}
        memory_data_param {{ batch_size: {batch} channels: {channels} height: 1 width: 1 }} }}"""


def head(kind, name, fields="", bottoms=("t",), weight=1):
    """A score for each class, and a loss that counts the labels that are not ignored."""
    return f"""layer {{ name: "{name}_scores" type: "InnerProduct" bottom: "x" top: "{name}_scores"
        inner_product_param {{ num_output: {CLASSES} weight_filler {{ type: "gaussian" std: 0.5 }} }} }}
      layer {{ name: "{name}" type: "{kind}" bottom: "{name}_scores" {" ".join(f'bottom: "{b}"' for b in bottoms)}
        top: "{name}" loss_weight: {weight}
        loss_param {{ ignore_label: {IGNORED} normalization: VALID {fields} }} }}"""


LOSSES = {
    "ignored labels": head("SoftmaxWithLoss", "a"),
    "class weights": head("SoftmaxWithLoss", "a", WEIGHTS),
    "sample weights": head("SoftmaxWithLoss", "a", bottoms=("t", "s")),
    "both weights": head("HingeLoss", "a", WEIGHTS, bottoms=("t", "s")),
    "two losses": head("SoftmaxWithLoss", "a", weight=0.25) + head("HingeLoss", "b"),
    "two weighted losses": head("HingeLoss", "a", WEIGHTS) + head("SoftmaxWithLoss", "b", WEIGHTS, weight=3),
}


def gradients(losses, parts, labels, fields=""):
    """The gradient of each learned blob in the first update, which has so many parts of equal size."""
    batch = SAMPLES // parts
    net = memory("data", "xt", FEATURES, batch) + memory("weights", ["more", "s"], 2, batch) + losses
    solver = get_solver(proto_text.parse(f"""net_param {{ {net} }} base_lr: 1 lr_policy: "fixed" random_seed: 4
        iter_size: {parts} {fields}""", SolverParameter()), dtype=np.float64)
    data, weights = (layer for layer in solver.net.layers if layer.type == "MemoryData")
    draw = np.random.default_rng(3)
    data.reset(draw.standard_normal((SAMPLES, FEATURES, 1, 1)), labels)
    weights.reset(np.zeros((SAMPLES, 2, 1, 1)), draw.uniform(0.1, 4, SAMPLES))
    solver.step(1)
    return [param.blob.diff.copy() for param in solver.net.learnable_params]  # what was subtracted, at the rate 1


@pytest.mark.parametrize("empty", [False, True], ids=["", "part 0 empty"])
@pytest.mark.parametrize("parts", [2, 3, 4, 6])
@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_parts_give_the_gradient_of_one_large_batch(losses, parts, empty):
    """With ignored labels and weights, in any number of parts, also where the first part ignores all of its labels."""
    labels = np.random.default_rng(5).integers(CLASSES, size=SAMPLES).astype(float)
    labels[[1, 7, 9, 10, 11, 21]] = IGNORED
    if empty:
        labels[:SAMPLES // parts] = IGNORED
    counts = (labels.reshape(parts, -1) != IGNORED).sum(axis=1)
    assert len(set(counts)) > 1
    assert empty == (counts[0] == 0)

    for have, want in zip(gradients(losses, parts, labels), gradients(losses, 1, labels), strict=True):
        assert np.abs(want).max() > 0.01
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-15)


def test_a_learned_blob_that_is_a_top():
    """The reader of Parameter's top overwrites the blob's diff, and still the gradients of all parts are added."""
    losses = """layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 1 dim: 5 } } }
      layer { name: "rows" type: "Tile" bottom: "p" top: "rows" tile_param { axis: 0 tiles: ROWS } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "rows" bottom: "t" top: "loss" }"""
    labels = np.repeat(np.arange(4.), 6)
    large, small = (gradients(losses.replace("ROWS", str(SAMPLES // parts)), parts, labels) for parts in (1, 4))

    np.testing.assert_allclose(small, large, rtol=1e-12)


@pytest.mark.parametrize("first", [0, 1, 5])
def test_clipping_does_not_depend_on_the_first_part(first):
    """The norm is that of the sum of n equal parts, as in Caffe, whatever the first part counts."""
    parts, labels = 4, (np.arange(SAMPLES) % CLASSES).astype(float)
    labels[first:SAMPLES // parts] = IGNORED
    losses = LOSSES["ignored labels"]
    large = gradients(losses, 1, labels, "clip_gradients: 0.125")
    clipped = gradients(losses, parts, labels, f"clip_gradients: {0.125 * parts}")

    assert 0.125 == pytest.approx(sum((dw ** 2).sum() for dw in large) ** 0.5)
    for have, want in zip(clipped, large, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-15)
