"""Fillers: how learnable blobs begin.

For a blob of shape (K, C, ...) with n values, fan_in = n / K (what one output sums over) and fan_out = n / C.
variance_norm picks the divisor s: fan_in (FAN_IN), fan_out (FAN_OUT) or their mean (AVERAGE).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minicaffe.errors import LayerError, near_names
from minicaffe.proto import FillerParameter


def constant(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """value everywhere."""
    values.fill(p.value)


def uniform(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Evenly between min and max."""
    values[...] = rng.uniform(p.min, p.max, values.shape)


def gaussian(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Normal with mean and std; with sparse ≥ 0, each value stays with probability sparse / K, else it is 0."""
    values[...] = rng.normal(p.mean, p.std, values.shape)
    if p.sparse >= 0:
        # Caffe: sparse counts non-zero inputs per output, and divides by the first axis, the outputs
        values *= rng.random(values.shape) < p.sparse / values.shape[0]


def xavier(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Evenly in ±√(3 / s), so the variance is 1 / s (Glorot and Bengio, AISTATS 2010)."""
    limit = math.sqrt(3 / _divisor(values, p))
    values[...] = rng.uniform(-limit, limit, values.shape)


def msra(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Normal with variance 2 / s, for layers followed by ReLU (He et al., ICCV 2015)."""
    values[...] = rng.normal(0, math.sqrt(2 / _divisor(values, p)), values.shape)


def positive_unitball(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Even in [0, 1), then each output's weights are divided by their sum."""
    rows = rng.random((values.shape[0], values.size // values.shape[0]))
    values[...] = (rows / rows.sum(axis=1, keepdims=True)).reshape(values.shape)


def bilinear(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """The kernel with which a Deconvolution of stride f upsamples linearly; (K, C, k, k) with k = 2f − f % 2."""
    if values.ndim != 4 or values.shape[2] != values.shape[3]:
        raise LayerError(f"the bilinear filler needs a 4-D blob with square kernels, got {values.shape}")
    k = values.shape[3]
    f = math.ceil(k / 2)
    center = (k - 1) / (2 * f)
    ramp = 1 - np.abs(np.arange(k) / f - center)
    values[...] = np.outer(ramp, ramp)


FILLERS: dict[str, Callable[[np.ndarray, Any, np.random.Generator], None]] = {
    f.__name__: f for f in (bilinear, constant, gaussian, msra, positive_unitball, uniform, xavier)}


READS = {"constant": {"value"}, "uniform": {"min", "max"}, "gaussian": {"mean", "std", "sparse"},
         "xavier": {"variance_norm"}, "msra": {"variance_norm"}}  # fields of a FillerParameter


def unread_fields(param: Any) -> list[str]:
    """The fields of a FillerParameter that are set and that its type does not read."""
    known = READS.get(param.type, set()) | {"type"}
    return [field.name for field, _ in param.ListFields() if field.name not in known]


def fill(values: np.ndarray, param: Any, rng: np.random.Generator) -> None:
    """Fill an array in place as a FillerParameter says. LayerError for an unknown type."""
    if param.type not in FILLERS:
        raise LayerError(f"there is no filler {param.type!r}; known are {', '.join(FILLERS)}",
                         hint=near_names(param.type, list(FILLERS)))
    if param.sparse != -1 and param.type != "gaussian":
        raise LayerError(f"sparse is read by the gaussian filler alone, not by {param.type}, got {param.sparse}")
    for name in sorted(READS.get(param.type, set()) - {"sparse", "variance_norm"}):
        if param.type != "constant" and not math.isfinite(getattr(param, name)):
            raise LayerError(f"the {param.type} filler needs a finite {name}, got {getattr(param, name):g}")
    if param.type == "gaussian" and param.std < 0:
        raise LayerError(f"the gaussian filler's std must not be negative, got {param.std:g}")
    if param.type == "uniform" and param.min > param.max:
        raise LayerError(f"the uniform filler's min {param.min:g} must not exceed its max {param.max:g}")
    if values.ndim == 0 and param.type not in ("constant", "uniform"):
        raise LayerError(f"the {param.type} filler needs at least one axis, got a scalar blob")
    if values.size:
        FILLERS[param.type](values, param, rng)


def _divisor(values: np.ndarray, p: Any) -> float:
    fan_in = values.size / values.shape[0]
    # Caffe: a blob of one axis has fan_out = its whole count
    fan_out = values.size / values.shape[1] if values.ndim > 1 else values.size
    norm = FillerParameter.VarianceNorm
    if p.variance_norm == norm.Value("AVERAGE"):
        return (fan_in + fan_out) / 2
    return fan_out if p.variance_norm == norm.Value("FAN_OUT") else fan_in
