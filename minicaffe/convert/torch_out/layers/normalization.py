"""Layers that normalize, as lines of Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.convert.torch_out.given import Given, says
from minicaffe.convert.torch_out.names import listed, num

CLASSES = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}
COUNT = np.array(0, np.int64)  # the num_batches_tracked of PyTorch, which counts the batches of a training


@says("BatchNorm")
def batch_norm(g: Given) -> None:
    """`nn.BatchNorm2d`, with the weight and the bias of the Scale behind it; `FrozenBatchNorm2d` where use_global_stats
    is true in training, too.
    """
    layer, own = g.layer, len(g.layer.blobs) - 3
    in_training = g.param.use_global_stats and not layer.of_nvidia if g.twin is None else g.twin.use_global_stats
    entries: dict[str, Any] = {"weight": 3, "bias": 4} if own == 2 or g.follower else {}
    normalize = _module(g, layer.fraction, entries, stored_statistics(layer), test=layer.use_global_stats,
                        train=in_training)
    w = f" * {g.parameter('_weight', 3, (layer.C, *[1] * (g.axes() - 2)))}" if own == 1 else ""
    g.put(f"{normalize}({g.x[0]}){w}")


@says("BN")
def bn(g: Given) -> None:
    """`nn.BatchNorm2d` with a weight and a bias; SegNet's always normalizes by the statistics of the batch."""
    layer, x = g.layer, g.x[0]
    swap = f".transpose(1, {layer.axis})" if layer.axis != 1 else ""
    g.refuse_if(len(g.y) > 1, "puts out the mean and the variance of the batch", "remove the second and third top")
    if not layer.stored and not layer.uses_batch:  # SegNet's bn_mode: INFERENCE
        shape = (layer.C, *[1] * (g.axes() - 2))
        g.put(f"{x} * {g.parameter('_weight', 0, shape)} + {g.parameter('_bias', 1, shape)}")
        return
    entries: dict[str, Any] = {"weight": (0, np.ravel), "bias": (1, np.ravel)}
    statistics = (np.ravel(g.blob(2)), np.ravel(g.blob(3))) if len(layer.blobs) > 2 else None
    normalize = _module(g, layer.fraction, entries, statistics, test=layer.stored, train=layer.frozen)
    g.put(f"{normalize}({x}{swap}){swap}")


def stored_statistics(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the variance that a BatchNorm has stored, as the numbers that PyTorch keeps."""
    mean, variance, factor = (np.array(blob.data) for blob in layer.blobs[:3])
    scale = 1.0
    if not layer.of_nvidia:
        scale = 1 / float(factor[0]) if factor[0] else 0.0  # Caffe: with the factor 0, as at the start, both are 0
    return (mean * scale).astype(np.float32), (variance * scale).astype(np.float32)


def _module(g: Given, fraction: float, entries: dict[str, Any], statistics: tuple[np.ndarray, np.ndarray] | None, *,
            test: bool, train: bool) -> str:
    """Make a module that normalizes channels, and return the expression that names it.

    fraction        how much of the stored statistics a batch leaves
    entries         the weight and the bias, or nothing
    statistics      the mean and the variance that are stored
    test, train     whether the stored ones count in that phase
    """
    g.refuse_if(g.axes() not in CLASSES, f"normalizes a blob with {g.axes()} axes", "Reshape it to 2 to 5 axes")
    g.refuse_if(train and not test, "takes stored statistics in TRAIN and those of the batch in TEST",
                "set use_global_stats alike for both phases")
    kind, eps, remark = f"nn.{CLASSES[g.axes()]}", num(g.layer.eps), ""
    options = [num(g.layer.C)] + ([] if entries else ["affine=False"]) + ([f"eps={eps}"] if eps != "1e-05" else [])
    if test and statistics is not None:
        mean, variance = statistics
        entries = {**entries, "running_mean": mean, "running_var": variance, "num_batches_tracked": COUNT}
        if train:
            kind = g.helper(f"Frozen{CLASSES[g.axes()]}")
        else:
            options.append(f"momentum={num(round(1 - fraction, 7))}")
    else:
        options.append("track_running_stats=False")
        remark = "the statistics of the batch count in both phases"
    return g.module(f"{kind}({', '.join(options)})", entries, remark)


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
