"""Normalizations that PyTorch exports as several nodes."""

from __future__ import annotations

from minicaffe.convert.onnx_in.graph import Graph, Node
from minicaffe.convert.onnx_in.joins.moves import RESHAPES
from minicaffe.convert.onnx_in.patterns import both_ways, ends_with, instead, made_by, number


@ends_with("Div")
def lrn(graph: Graph, node: Node) -> Node | None:
    """x / (k + α · mean of x² over neighbouring channels)^β, with the mean by Pad and AveragePool: LRN."""
    x, power = node.inputs[0], made_by(graph, node.inputs[1], "Pow")
    beta = number(graph, power.inputs[1]) if power else None
    added = made_by(graph, power.inputs[0], "Add") if power else None
    if beta is None or added is None:
        return None
    for summed, k in both_ways(added):
        product, bias = made_by(graph, summed, "Mul"), number(graph, k)
        for mean, factor in both_ways(product) if product and bias is not None else ():
            alpha, size = number(graph, factor), _window(graph, mean, x)
            if alpha is not None and size:
                return instead(node, "LRN", [x], size=size, alpha=alpha, beta=beta, bias=bias)
            side = _square_window(graph, mean, x)
            if alpha is not None and side and bias == 1:
                return instead(node, "LRN", [x], size=side, alpha=alpha, beta=beta, within=1)
    return None


def _square_window(graph: Graph, mean: str, x: str) -> int:
    """Return the side of the square of pixels over which a value is the mean of x², padding included; 0 where it is
    none.
    """
    pool = made_by(graph, mean, "AveragePool")
    square = made_by(graph, pool.inputs[0], "Mul") if pool else None
    if pool is None or square is None or square.inputs != [x, x]:
        return 0
    kernel, given = list(pool.attributes["kernel_shape"]), pool.attributes
    side = kernel[0]
    fits = kernel == [side, side] and side % 2 == 1 and set(given.get("strides") or [1]) == {1} and \
        list(given.get("pads") or []) == [side // 2] * 4 and given.get("count_include_pad", 0)
    return side if fits else 0


def _mean(graph: Graph, value: str) -> tuple[str, list[int]] | None:
    """Return what a value is the mean of, and along which axes, which stay with size 1; None where it is no mean."""
    node = made_by(graph, value, "ReduceMean")
    shape = graph.shapes.get(node.inputs[0]) if node else None
    if node is None or shape is None or len(shape) != 4 or not node.attributes.get("keepdims", 1):
        return None
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1] in graph.constants:
        axes = graph.constants[node.inputs[1]].tolist()
    found = sorted(axis % 4 for axis in axes or [])
    return (node.inputs[0], found) if found in ([1, 2, 3], [2, 3]) else None


def _centred(graph: Graph, value: str) -> tuple[str, list[int]] | None:
    """Return the x of which a value is x less its mean, and the axes of the mean; None where it is no such value."""
    node = made_by(graph, value, "Sub")
    mean = _mean(graph, node.inputs[1]) if node else None
    return mean if node is not None and mean is not None and mean[0] == node.inputs[0] else None


@ends_with("Div")
def mvn(graph: Graph, node: Node) -> Node | None:
    """x less its mean, divided by its deviation + eps: MVN. Nothing else adds eps to the deviation."""
    centred, added = _centred(graph, node.inputs[0]), made_by(graph, node.inputs[1], "Add")
    for deviation, eps in both_ways(added) if added and centred else ():
        root = made_by(graph, deviation, "Sqrt")
        variance = _mean(graph, root.inputs[0]) if root else None
        square = made_by(graph, variance[0], "Mul") if variance else None
        if centred and variance and square and square.inputs == [node.inputs[0]] * 2 and variance[1] == centred[1] and \
                (least := number(graph, eps)) is not None:
            return instead(node, "MVN", [centred[0]], eps=least, across=int(centred[1][0] == 1))
    return None


def _channel_mean(graph: Graph, value: str) -> str | None:
    """Return the blob whose mean of each channel a value is, over the batch, too; None where it is no such mean."""
    axes: set[int] = set()
    while (node := made_by(graph, value, "ReduceMean")) is not None and node.attributes.get("keepdims", 1) and \
            len(node.inputs) > 1 and node.inputs[1] in graph.constants:
        axes.update(int(axis) for axis in graph.constants[node.inputs[1]])
        value = node.inputs[0]
    return value if axes == set(range(len(graph.shapes.get(value, ())))) - {1} else None


@ends_with("Div")
def by_batch(graph: Graph, node: Node) -> Node | None:
    """x less the mean of its channel, divided by √(variance + eps), over the batch: BatchNorm that measures the batch.
    """
    centred, root = made_by(graph, node.inputs[0], "Sub"), made_by(graph, node.inputs[1], "Sqrt")
    added = made_by(graph, root.inputs[0], "Add") if root else None
    for variance, eps in both_ways(added) if added and centred else ():
        of = _channel_mean(graph, variance)
        square = made_by(graph, of, "Mul") if of else None
        if centred and square and square.inputs == [node.inputs[0]] * 2 and number(graph, eps) is not None and \
                _channel_mean(graph, centred.inputs[1]) == centred.inputs[0]:
            return instead(node, "BatchNorm", [centred.inputs[0]], eps=number(graph, eps))
    return None


@ends_with("Sub", late=True)
def mvn_without_variance(graph: Graph, node: Node) -> Node | None:
    """x less its mean: MVN with normalize_variance: false."""
    centred = _centred(graph, node.outputs[0])
    return instead(node, "MVN", [centred[0]], across=int(centred[1][0] == 1)) if centred else None


def _window(graph: Graph, mean: str, x: str) -> int:
    """Return over how many channels a value is the mean of x²; 0 where it is none."""
    value, kernel = _through(graph, mean), []
    pool = made_by(graph, value, "AveragePool")
    if pool is None:
        return 0
    value = _through(graph, pool.inputs[0])
    kernel = [n for n in pool.attributes["kernel_shape"] if n != 1]
    pads = list(pool.attributes.get("pads") or [])
    if any(pads) and not pool.attributes.get("count_include_pad", 0):
        return 0
    if (pad := made_by(graph, value, "Pad")) is not None:
        value = _through(graph, pad.inputs[0])
        pads = (pad.attributes.get("pads") or graph.constants[pad.inputs[1]].tolist())
    square = made_by(graph, value, "Mul")
    if square is None or square.inputs != [x, x] or len(kernel) != 1:
        return 0
    side = kernel[0] // 2
    rank = len(graph.shapes.get(mean, ()))
    whole = set(pads) <= {0, side} and sum(pads) == 2 * side and kernel[0] % 2 == 1
    return kernel[0] if whole and rank >= 3 and set(pool.attributes.get("strides") or [1]) == {1} else 0


def _through(graph: Graph, value: str) -> str:
    """Return the value whose numbers another value shows, maybe in another shape."""
    while (node := made_by(graph, value, *RESHAPES, "Identity")) is not None:
        value = node.inputs[0]
    return value
