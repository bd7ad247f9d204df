"""Poolings as minicaffe writes them: with Caffe's divisors, of several levels, by chance, and with a mask."""

from __future__ import annotations

import numpy as np

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.patterns import both_ways, ends_with, instead, made_by, number

METHODS = {"MaxPool": "MAX", "AveragePool": "AVE"}


@ends_with("Mul")
def average_by_share(graph: Graph, node: Node) -> Node | None:
    """AveragePool, and a Mul by a number for each place: an AveragePool with other divisors."""
    for mean, share in both_ways(node):
        pool, numbers = made_by(graph, mean, "AveragePool"), graph.constants.get(share)
        made = graph.shapes.get(mean)
        if pool is None or numbers is None or made is None or len(made) != 4 or "share" in pool.attributes or \
                numbers.shape != (1, 1, *made[2:]) or graph.only_reader(mean) is not node:
            continue
        return instead(node, "AveragePool", pool.inputs, **pool.attributes, share=numbers[0, 0].astype(np.float64))
    return None


@ends_with("Where")
def by_chance(graph: Graph, node: Node) -> Node | None:
    """The mean of x², divided by the mean of x where this is above 0: what Pooling with STOCHASTIC gives in TEST."""
    condition, quotient, zero = node.inputs
    above, divided = made_by(graph, condition, "Greater"), made_by(graph, quotient, "Div")
    squares, mean = (made_by(graph, value, "AveragePool") for value in divided.inputs) if divided else (None, None)
    product = made_by(graph, squares.inputs[0], "Mul") if squares else None
    if above is None or divided is None or squares is None or mean is None or product is None or \
            product.inputs != mean.inputs * 2 or above.inputs[0] != divided.inputs[1] or \
            number(graph, above.inputs[1]) != 0 or number(graph, zero) != 0 or \
            squares.attributes != mean.attributes or not mean.attributes.get("count_include_pad", 0):
        return None
    return instead(node, "StochasticPool", mean.inputs, **mean.attributes)


@ends_with("Cast")
def mask(graph: Graph, node: Node) -> Node | None:
    """The second output of MaxPool, by Mod in each plane: the mask of Caffe's Pooling."""
    place = made_by(graph, node.inputs[0], "Mod")
    pool = made_by(graph, place.inputs[0], "MaxPool") if place else None
    shape = graph.shapes.get(pool.inputs[0]) if pool else None
    if place is None or pool is None or shape is None or len(shape) != 4 or pool.attributes.get("storage_order", 0) or \
            number(graph, place.inputs[1]) != shape[2] * shape[3] or len(pool.outputs) != 2 or \
            place.inputs[0] != pool.outputs[1] or graph.only_reader(pool.outputs[1]) is not place or \
            graph.only_reader(place.outputs[0]) is not node or graph.kinds.get(node.outputs[0]) != np.float32:
        return None
    pool.outputs[1] = node.outputs[0]
    pool.attributes["mask"] = 1
    return Node("Identity", node.path, [node.outputs[0]], ["of no use"], scope=node.scope)


@ends_with("Concat")
def pyramid(graph: Graph, node: Node) -> Node | None:
    """Poolings to 1, 2 x 2, 4 x 4 ... numbers, each with a Flatten, and Concat: SPP."""
    flats = [made_by(graph, value, "Flatten") for value in node.inputs]
    pools = [made_by(graph, flat.inputs[0], *METHODS) if flat else None for flat in flats]
    if not graph.ours or not node.scope or node.attributes.get("axis") != 1:
        return None
    found = [pool for pool in pools if pool is not None and pool.scope == node.scope]
    if len(found) != len(node.inputs) or len({(pool.op, pool.inputs[0]) for pool in found}) != 1:
        return None
    shape = graph.shapes.get(found[0].inputs[0])
    bins = [graph.shapes.get(pool.outputs[0], ())[2:] for pool in found]
    if shape is None or bins != [(2 ** k, 2 ** k) for k in range(len(bins))]:
        return None
    kernels = [[-(-n // 2 ** k) for n in shape[2:]] for k in range(len(bins))]
    if any(list(pool.attributes["kernel_shape"]) != kernel or list(pool.attributes["strides"]) != kernel
           for pool, kernel in zip(found, kernels, strict=True)):
        return None
    return instead(node, "SPP", [found[0].inputs[0]], levels=len(bins), method=METHODS[found[0].op])
