"""Replayed passes at TRAIN, and replayed updates, give the bits of a step layer by layer."""

import numpy as np
import pytest
from extras import needs, needs_tiles
from net_tools import convolution, fully_connected, inputs, layer

from minicaffe import TRAIN, kernels, rng
from minicaffe.net import hooks
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

IMAGE, CLASSES = (9, 3, 12, 10), 5  # 9 images: a whole vector of them, and one beside it
LENET = (inputs(x=IMAGE, t=IMAGE[:1]) + convolution("x", "a", 6, 3)
         + layer("Pooling", "a", "p", "pooling_param { kernel_size: 2 stride: 2 }") + convolution("p", "b", 7, 3)
         + fully_connected("b", "f", 11) + layer("ReLU", "f", "f", name="r") + fully_connected("f", "g", CLASSES)
         + layer("SoftmaxWithLoss", "g t", "loss"))


@pytest.fixture(autouse=True)
def numba():
    """Use the engine that can be recorded; afterwards the process has its own engine again."""
    needs("numba")
    engine, threads = kernels.engine(), kernels.threads()
    kernels.use_engine("numba")
    yield
    kernels.use_engine(engine)
    kernels.set_threads(threads)


class Pair:
    """A solver that replays and one that does not, with the same weights and inputs."""

    def __init__(self, net, fields="", **options):
        text = f'net_param {{ {net} }} base_lr: 1e-6 lr_policy: "inv" gamma: 0.1 power: 0.7 random_seed: 3 {fields}'
        self.played, self.plain = (get_solver(proto_text.parse(text, SolverParameter()), **options) for _ in range(2))
        self.plain.net.replay = False
        self.nets = self.played.net, self.plain.net
        self.draw = np.random.default_rng(3)

    def feed(self, batch=None):
        """New numbers in the inputs, of another batch size if given; those named t are labels."""
        for name in self.played.net.inputs:
            for net in self.nets:
                if batch:
                    net.blobs[name].reshape(batch, *net.blobs[name].shape[1:])
            shape = self.played.net.blobs[name].shape
            values = (self.draw.integers(CLASSES, size=shape) if name.startswith("t")
                      else self.draw.standard_normal(shape))
            for net in self.nets:
                net.blobs[name].data[...] = values

    def check(self, batch=None):
        """Feed both, make a step of both, and compare every bit of losses, blobs and diffs."""
        self.feed(batch)
        for solver in (self.plain, self.played):
            solver.step(1)
        self.compare()

    def compare(self):
        assert self.plain.loss == self.played.loss
        played, plain = self.nets
        for name, one in plain.blobs.items():
            np.testing.assert_array_equal(one.data, played.blobs[name].data, name)
            np.testing.assert_array_equal(one.diff, played.blobs[name].diff, name)
        for mine, theirs in zip(plain.all_params, played.all_params, strict=True):
            np.testing.assert_array_equal(mine.blob.data, theirs.blob.data)
            np.testing.assert_array_equal(mine.blob.diff, theirs.blob.diff)
        for mine, theirs in zip(self.plain.history, self.played.history, strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def warm(self, steps=5):
        """Make some steps; after four there are recordings."""
        for _ in range(steps):
            self.check()


def count_runs(net, monkeypatch):
    """A list to which each layer that runs in Python adds its index: forward, or backward as −1 − index."""
    ran, forward, backward = [], net.run_layer, net.run_layer_backward
    monkeypatch.setattr(net, "run_layer", lambda i: (ran.append(i), forward(i))[1])
    monkeypatch.setattr(net, "run_layer_backward", lambda i: (ran.append(-1 - i), backward(i))[1])
    return ran


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_same_bits(threads):
    """Steps from the first to the sixth, on new inputs each, give every number the same bits."""
    kernels.set_threads(threads)
    Pair(LENET, "momentum: 0.9 weight_decay: 0.01").warm(6)
