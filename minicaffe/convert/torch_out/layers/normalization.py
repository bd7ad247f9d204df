"""Layers that normalize, as lines of Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.convert.torch_out.given import Given, says
from minicaffe.convert.torch_out.names import listed, num
from minicaffe.layers.normalization import bn as bn_layers

CLASSES = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}
COUNT = np.array(0, np.int64)  # the num_batches_tracked of PyTorch, which counts the batches of a training


@says("BatchNorm")
def batch_norm(g: Given) -> None:
    """`nn.BatchNorm2d`, with the weight and the bias of the Scale behind it; `FrozenBatchNorm2d` where use_global_stats is
    true in training, too.
    """
    layer, own = g.layer, len(g.layer.blobs) > 3
    in_training = g.twin.use_global_stats if g.twin is not None else (
        bool(g.param.use_global_stats) if not layer.of_nvidia else False)
    statistics = _statistics(g)
    entries: dict[str, Any] = {}
    affine = own or g.follower is not None
    if affine:
        w = 3 if own else len(layer.blobs)
        entries["weight"] = w
        entries["bias"] = w + 1 if not own or len(layer.blobs) == 5 else np.zeros(layer.C, np.float32)
        g.refuse_if(own and len(layer.blobs) == 4, "scales without a bias, and PyTorch's BatchNorm would learn one",
                    "set bias_term: true, and give it a bias of zeros")
    _write(g, layer.C, layer.eps, layer.fraction, affine, entries, statistics,
           test=layer.use_global_stats, train=in_training)


@says("BN")
def bn(g: Given) -> None:
    """`nn.BatchNorm2d` with a weight and a bias; SegNet's always normalizes by the statistics of the batch."""
    layer = g.layer
    axis = g.param.axis if layer.kind == bn_layers.CTPN else 1
    g.refuse_if(axis != 1, f"normalizes along axis {axis}", "put a Permute before and behind it, and set axis: 1")
    g.refuse_if(len(g.y) > 1, "puts out the mean and the variance of the batch", "remove the second and third top")
    if not layer.stored and not layer.uses_batch:  # SegNet's bn_mode: INFERENCE
        shape = (layer.C, *[1] * (g.axes() - 2))
        g.put(f"{g.x[0]} * {g.parameter('_weight', 0, shape)} + {g.parameter('_bias', 1, shape)}")
        return
    flat = {"weight": (0, lambda a: a.reshape(-1)), "bias": (1, lambda a: a.reshape(-1))}
    statistics = (g.blob(2).reshape(-1), g.blob(3).reshape(-1)) if len(layer.blobs) > 2 else None
    g.refuse_if(layer.kind == bn_layers.CTPN and not layer.stored and g.twin is None,
                "takes the statistics of the batch in TEST", "set moving_average: true")
    _write(g, layer.C, layer.eps, layer.fraction, True, flat, statistics, test=layer.stored, train=layer.frozen)


def _statistics(g: Given) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the variance that a BatchNorm has stored."""
    mean, variance = g.blob(0), g.blob(1)
    if g.layer.of_nvidia:
        return mean, variance
    factor = float(g.blob(2)[0])
    scale = 1 / factor if factor else 0.0  # Caffe: with the factor 0, as at the start, both are 0
    return mean * scale, variance * scale


def _write(g: Given, channels: int, eps: float, fraction: float, affine: bool, entries: dict[str, Any],
           statistics: tuple[np.ndarray, np.ndarray] | None, *, test: bool, train: bool) -> None:
    """Write a layer that normalizes channels.

    fraction        how much of the stored statistics a batch leaves
    statistics      the mean and the variance that are stored
    test, train     whether the stored ones count in that phase
    """
    g.refuse_if(g.axes() not in CLASSES, f"normalizes a blob with {g.axes()} axes", "Reshape it to 2 to 5 axes")
    g.refuse_if(train and not test, "takes stored statistics in TRAIN and those of the batch in TEST",
                "set use_global_stats alike for both phases")
    kind = CLASSES[g.axes()]
    options = ["" if affine else "affine=False", f"eps={num(eps)}" if num(eps) != "1e-05" else ""]
    remark = ""
    if test and statistics is not None:
        for name, values in zip(("running_mean", "running_var"), statistics, strict=True):
            entries[name] = values.astype(np.float32)
        entries["num_batches_tracked"] = COUNT
        if train:
            base, kind = kind, f"Frozen{kind}"
            g.helper(kind)
            remark = "" if base else remark
        else:
            options.append(f"momentum={num(round(1 - fraction, 7))}")
    else:
        options.append("track_running_stats=False")
        remark = "it normalizes by the batch in both phases"
    prefix = "nn." if not kind.startswith("Frozen") else ""
    arguments = ", ".join([num(channels), *filter(None, options)])
    g.put(f"{g.module(f'{prefix}{kind}({arguments})', entries, remark)}({g.x[0]})")


@says("LRN")
def lrn(g: Given) -> None:
    """`F.local_response_norm` across channels; within a channel a formula with `F.avg_pool2d`."""
    p, x, n = g.param, g.x[0], g.param.local_size
    if p.norm_region == p.ACROSS_CHANNELS:
        g.put(f"F.local_response_norm({x}, {n}, alpha={num(p.alpha)}, beta={num(p.beta)}, k={num(p.k)})")
    else:
        window = f"F.avg_pool2d({x} * {x}, {n}, stride=1, padding={n // 2})"
        g.put(f"{x} / (1 + {num(p.alpha)} * {window}) ** {num(p.beta)}")


@says("MVN")
def mvn(g: Given) -> None:
    """A formula with `mean` and `std`. Caffe adds eps to the deviation, not to the variance."""
    p, x, shape = g.param, g.x[0], g.x_shapes[0]
    if len(shape) < 4:
        x = f"{x}[{', '.join(['...', *['None'] * (4 - len(shape))])}]"
    axes = (1, 2, 3) if p.across_channels else (2, 3)
    centred = g.temporary(f"{g.y[0]}_centred")
    g.line(f"{centred} = {x} - {x}.mean({listed(axes)}, keepdim=True)")
    y = centred
    if p.normalize_variance:
        y = f"{centred} / ({centred}.pow(2).mean({listed(axes)}, keepdim=True).sqrt() + {num(p.eps)})"
    g.put(y if len(g.y_shapes[0]) == 4 else f"({y}).reshape_as({g.x[0]})")


@says("Normalize")
def normalize(g: Given) -> None:
    """A division by the length of a vector, and a product with an `nn.Parameter`."""
    layer, x = g.layer, g.x[0]
    if layer.for_faces:
        _for_faces(g)
        return
    axes = tuple(range(1, g.axes())) if layer.across_spatial else (1,)
    length = f"({x}.pow(2).sum({listed(axes)}, keepdim=True) + {num(layer.eps)}).sqrt()"
    shape = () if g.param.channel_shared else (layer.C, *[1] * (g.axes() - 2))
    g.put(f"{x} / {length} * {g.parameter('_weight', 0, shape)}")


def _for_faces(g: Given) -> None:
    """Write the layer of the forks for face recognition."""
    p, x = g.layer.layer_param.normalize_param, g.x[0]
    if g.axes() < 4:
        x = f"{x}[{', '.join(['...', *['None'] * (4 - g.axes())])}]"
    length = g.temporary(f"{g.y[0]}_length")
    total = f"{x}.abs().sum(1, keepdim=True) + {num(g.layer.eps)}" if g.layer.by_sum else \
        f"({x}.pow(2).sum(1, keepdim=True) + {num(g.layer.eps)}).sqrt()"
    g.line(f"{length} = {total}")
    g.put(f"{x} / {length}{'.detach()' if p.fix_gradient else ''}")
    if len(g.y) > 1:
        g.put(length if p.bp_norm else f"{length}.detach()", 1)
