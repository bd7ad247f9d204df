"""Nodes that are joined: BatchNormalization, Mul and Add with each other, and with the weights of the node before."""

import numpy as np
import pytest
from extras import needs

from minicaffe.convert import onnx_package
from minicaffe.convert.onnx_out.fold import fold
from minicaffe.convert.onnx_out.graph import Graph

C = 6


@pytest.fixture
def draw():
    return np.random.default_rng(5)


class Chain:
    """A graph in which each node reads the one before. The first reads x, of the shape `shape`."""

    def __init__(self, shape, draw):
        self.graph, self.shape, self.draw, self.value = Graph(), shape, draw, "x"
        self.ranks = {"x": len(shape)}

    def add(self, op, *shapes, **attributes):
        """Add a node with random constants of these shapes behind its input."""
        name = f"{op}{len(self.graph.nodes)}"
        constants = [self.graph.constant(f"{name}/{k}", self.draw.uniform(0.5, 2, shape).astype(np.float32))
                     for k, shape in enumerate(shapes)]
        self.graph.node(op, name, [self.value, *constants], [f"{name}/y"], **attributes)
        self.value = f"{name}/y"
        self.ranks[self.value] = len(self.shape)
        return self

    def normalize(self, channels=C):
        return self.add("BatchNormalization", *[(channels,)] * 4, epsilon=0.01)

    def joined(self, into_weights, *more_outputs, ranks=None):
        """The operators after folding, which must give the same numbers as before."""
        needs("onnx.checker")
        outputs = [self.value, *more_outputs]
        before = self.run(outputs)
        fold(self.graph, outputs, self.ranks if ranks is None else ranks, into_weights)
        for old, new in zip(before, self.run(outputs), strict=True):
            np.testing.assert_allclose(new, old, rtol=2e-5, atol=2e-5 * np.abs(old).max())
        return [node.op_type for node in self.graph.nodes]

    def run(self, outputs):
        needs("onnxruntime")
        sizes = {name: [f"{name}{axis}" for axis in range(len(self.shape))] for name in outputs}
        model = self.graph.model("net", {"x": self.shape}, sizes, {})
        x = np.random.default_rng(1).normal(size=self.shape).astype(np.float32)
        return list(onnx_package.run(model.SerializeToString(), {"x": x}).values())


IMAGES = (2, C, 5, 7)


def test_batch_norm_and_scale(draw):
    chain = Chain(IMAGES, draw).normalize().add("Mul", (C, 1, 1)).add("Add", (C, 1, 1))
    assert ["BatchNormalization"] == chain.joined(False)


def test_batch_norm_and_one_factor_for_all(draw):
    chain = Chain(IMAGES, draw).normalize().add("Mul", ()).add("Add", (1, C, 1, 1))
    assert ["BatchNormalization"] == chain.joined(False)


def test_of_the_weights_nothing_changes_unless_it_is_wanted(draw):
    chain = Chain(IMAGES, draw).add("Conv", (9, C, 3, 2)).normalize(9).add("Mul", (9, 1, 1))
    assert ["Conv", "BatchNormalization"] == chain.joined(False)


@pytest.mark.parametrize(("op", "shapes", "attributes", "made"), [
    ("Conv", [(9, C, 3, 2)], {}, 9),
    ("Conv", [(9, 2, 3, 2), (9,)], {"group": 3}, 9),
    ("ConvTranspose", [(C, 9, 3, 2), (9,)], {}, 9),
    ("ConvTranspose", [(C, 4, 3, 2)], {"group": 3}, 12),
    ("ConvTranspose", [(C, 1, 3, 2), (C,)], {"group": C}, C),
])
def test_into_the_weights_of_filters(draw, op, shapes, attributes, made):
    chain = Chain(IMAGES, draw).add(op, *shapes, **attributes).normalize(made).add("Mul", (made, 1, 1))
    assert [op] == chain.add("Add", (1, made, 1, 1)).joined(True)


@pytest.mark.parametrize(("shapes", "attributes"), [
    ([(9, C)], {"transB": 1}), ([(C, 9), (9,)], {}), ([(C, 9), (1, 9)], {"transB": 0})])
def test_into_the_weights_of_gemm(draw, shapes, attributes):
    chain = Chain((2, C), draw).add("Gemm", *shapes, **attributes).normalize(9).add("Mul", (9,)).add("Add", (1, 9))
    assert ["Gemm"] == chain.add("Mul", (1,)).joined(True)


def test_along_one_axis(draw):
    assert ["Conv"] == Chain((2, C, 8), draw).add("Conv", (9, C, 3)).add("Mul", (9, 1)).joined(True)


@pytest.mark.parametrize(("op", "shape"), [
    ("Mul", (7,)), ("Mul", (5, 1)), ("Add", (C, 5, 7)), ("Mul", (2, 1, 1, 1)), ("Add", (1, 1, C, 1, 1)),
    ("Add", (3, 1, C, 1, 1))])
def test_what_is_not_one_number_for_each_channel_stays(draw, op, shape):
    assert ["BatchNormalization", op] == Chain(IMAGES, draw).normalize().add(op, shape).joined(True)


def test_channels_that_the_operand_brings_stay(draw):
    """A single channel is repeated for those of the operand."""
    assert ["Conv", "Mul"] == Chain(IMAGES, draw).add("Conv", (1, C, 3, 2)).add("Mul", (4, 1, 1)).joined(True)
    assert ["BatchNormalization", "Mul"] == Chain((2, 1, 5, 7), draw).normalize(1).add("Mul", (4, 1, 1)).joined(True)


def test_a_value_that_is_read_twice_stays(draw):
    chain = Chain(IMAGES, draw).normalize()
    chain.graph.node("Mul", "square", [chain.value, chain.value], ["y"])
    chain.value = "y"
    assert ["BatchNormalization", "Mul"] == chain.joined(True)


def test_an_output_stays(draw):
    chain = Chain(IMAGES, draw).normalize()
    output = chain.value
    assert ["BatchNormalization", "Mul"] == chain.add("Mul", (C, 1, 1)).joined(True, output)


def test_a_value_of_an_unknown_rank_stays(draw):
    chain = Chain(IMAGES, draw).normalize().add("Mul", (C, 1, 1))
    assert ["BatchNormalization", "Mul"] == chain.joined(True, ranks={})


def test_weights_that_two_nodes_read(draw):
    """Each node gets numbers of its own."""
    chain = Chain(IMAGES, draw).add("Conv", (9, C, 3, 2))
    first, shared = chain.value, chain.graph.nodes[0].input[1]
    chain.graph.node("Conv", "second", ["x", shared], ["second/y"])
    chain.value = first
    assert ["Conv", "Conv"] == chain.add("Mul", (9, 1, 1)).joined(True, "second/y")


def test_a_gemm_with_factors_stays(draw):
    assert ["Gemm", "Mul"] == Chain((2, C), draw).add("Gemm", (C, 9), (9,), alpha=2.0).add("Mul", (9,)).joined(True)
