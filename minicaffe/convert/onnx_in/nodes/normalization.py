"""Normalizations."""

from __future__ import annotations

import numpy as np

from minicaffe.convert.onnx_in.given import Given, reads
from minicaffe.convert.onnx_in.graph import Shape
from minicaffe.convert.onnx_in.nodes.arithmetic import scaled, shifted, spread
from minicaffe.convert.onnx_in.nodes.reduce import along


@reads("BatchNormalization")
def batch_normalization(g: Given) -> None:
    """BatchNorm and Scale."""
    g.refuse_if(g.attribute("training_mode", 0), "is exported for training (training_mode)",
                "call model.eval() before the export")
    scale, shift, mean, variance = (g.constant(k, "a statistic") for k in (1, 2, 3, 4))
    y = g.layer("BatchNorm", g.bottom(), [mean, variance, np.ones(1)],
                batch_norm_param={"eps": g.attribute("epsilon", 1e-5), "use_global_stats": True})
    if g.graph.ours and not g.node.joined and np.all(scale == 1) and not np.any(shift):
        g.give(y)  # the net has no Scale behind this BatchNorm
    else:
        g.give(g.layer("Scale", y, [scale, shift], name=g.node.joined, scale_param={"bias_term": True}))


@reads("BatchNorm")
def by_batch(g: Given) -> None:
    """BatchNorm with use_global_stats: false, for ReduceMean, Sub, Add, Sqrt and Div that measure the batch."""
    C = g.shape()[1]
    g.give(g.layer("BatchNorm", g.bottom(), [np.zeros(C), np.zeros(C), np.zeros(1)],
                   batch_norm_param={"eps": g.attribute("eps"), "use_global_stats": False}))


@reads("InstanceNormalization")
def instance_normalization(g: Given) -> None:
    """Reduction, Bias and Scale, which normalize as PyTorch does: Caffe's MVN adds eps to the deviation, and PyTorch to
    the variance. A Scale with the weights follows.
    """
    y = _normalized(g, g.bottom(), g.shape(), 2, g.attribute("epsilon", 1e-5))
    scale, shift = g.constant(1, "a scale"), g.constant(2, "a shift")
    g.give(g.layer("Scale", y, [scale, shift], scale_param={"bias_term": True}))


@reads("LayerNormalization")
def layer_normalization(g: Given) -> None:
    """Reduction, Bias and Scale, as for InstanceNormalization, and the weights."""
    g.refuse_if(any(value and (g.graph.readers(value) or value in g.graph.outputs) for value in g.y[1:]),
                "has a second output that is read, the mean")
    shape, axis = g.shape(), g.axis(g.attribute("axis", -1))
    y = _normalized(g, g.bottom(), shape, axis, g.attribute("epsilon", 1e-5))
    y = scaled(g, y, shape, g.constant(1, "a scale"))
    g.give(shifted(g, y, shape, g.constant(2, "a shift")) if g.has(2) else y)


@reads("GroupNormalization")
def group_normalization(g: Given) -> None:
    """Reduction, Bias and Scale between two Reshapes, as for InstanceNormalization, and the weights."""
    shape, groups = g.shape(), g.attribute("num_groups")
    grouped = (shape[0], groups, int(np.prod(shape[1:])) // groups)
    y = _normalized(g, g.reshape(g.bottom(), shape, grouped), grouped, 2, g.attribute("epsilon", 1e-5))
    scale, shift = g.constant(1, "a scale"), g.constant(2, "a shift")
    if scale.size != shape[1]:  # before opset 21 there is one for each group
        scale, shift = (np.repeat(w, shape[1] // groups) for w in (scale, shift))
    g.give(g.layer("Scale", g.reshape(y, grouped, shape), [scale, shift], scale_param={"bias_term": True}))


def _normalized(g: Given, x: str, shape: Shape, first: int, eps: float) -> str:
    """Return x without its mean and divided by its deviation √(v + eps), along the axes from `first` on."""
    count = int(np.prod(shape[first:]))
    mean = g.layer("Reduction", x, suffix="mean", reduction_param={"operation": "MEAN", "axis": first, "coeff": -1})
    x = g.layer("Bias", [x, mean], suffix="centred", bias_param={"axis": 0})
    variance = g.layer("Reduction", x, suffix="variance",
                       reduction_param={"operation": "SUMSQ", "axis": first, "coeff": 1 / count})
    inverse = g.power(variance, power=-0.5, shift=eps, suffix="inverse")
    return g.layer("Scale", [x, inverse], scale_param={"axis": 0})


@reads("LpNormalization")
def lp_normalization(g: Given) -> None:
    """AbsVal or Power, a Pooling that sums up along the axis, Power and Scale."""
    shape, axis, p = g.shape(), g.axis(g.attribute("axis", -1)), g.attribute("p", 2)
    x = g.bottom()
    parts = g.power(x, power=2) if p == 2 else g.layer("AbsVal", x)
    g.refuse_if(axis == 0, "normalizes along the axis of the batch")
    mean = along(g, parts, shape, axis, axis + 1, "AVE")
    inverse = g.power(mean, power=-1 / p, scale=shape[axis])
    g.give(spread(g, "Scale", x, shape, inverse, [*shape[:axis], 1, *shape[axis + 1:]]))


@reads("MVN")
def mvn(g: Given) -> None:
    """MVN, for ReduceMean, Sub, Sqrt, Add and Div, where eps is added to the deviation."""
    eps = g.attribute("eps")
    across = {"across_channels": True} if g.attribute("across") else {}
    g.give(g.layer("MVN", g.bottom(), mvn_param={
        **({"normalize_variance": False} if eps is None else {"eps": eps}), **across}))


@reads("LRN")
def lrn(g: Given) -> None:
    """LRN across channels. In Caffe the number of channels is odd. LRN within channels is found where an AveragePool of
    squares, Mul, Add, Pow and Div make it.
    """
    size = g.attribute("size")
    if g.attribute("within", 0):
        g.give(g.layer("LRN", g.bottom(), lrn_param={
            "local_size": size, "alpha": g.attribute("alpha"), "beta": g.attribute("beta"),
            "norm_region": "WITHIN_CHANNEL"}))
        return
    g.refuse_if(size % 2 == 0, f"has a window of {size} channels, and Caffe one of an odd number")
    g.refuse_if(len(g.shape()) != 4, f"has {len(g.shape())} axes, and Caffe's LRN 4")
    g.give(g.layer("LRN", g.bottom(), lrn_param={
        "local_size": size, "alpha": g.attribute("alpha", 1e-4), "beta": g.attribute("beta", 0.75),
        "k": g.attribute("bias", 1.0)}))
