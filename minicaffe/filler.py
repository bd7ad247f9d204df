"""Fillers: the values with which learnable blobs begin.

For a blob of shape (K, C, ...) with n values, fan_in = n / K (what one output sums over) and fan_out = n / C.
variance_norm picks the divisor s: fan_in (FAN_IN), fan_out (FAN_OUT) or their mean (AVERAGE).

Random numbers are drawn in float64 and piece by piece. A single draw would need an array of twice the blob's memory,
and the generator gives the same numbers either way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minicaffe import plugins
from minicaffe.errors import LayerError, near_names
from minicaffe.proto import FillerParameter
from minicaffe.proto.finite import not_finite

Filler = Callable[[np.ndarray, Any, np.random.Generator], None]

PIECE = 1 << 16  # numbers drawn at a time: they stay in a core's cache


def constant(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """`value` everywhere."""
    values.fill(p.value)


def uniform(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Evenly between min and max."""
    for piece in _pieces(values):
        piece[...] = rng.uniform(p.min, p.max, piece.size)


def gaussian(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Normal with mean and std. With sparse ≥ 0, each value is kept with probability sparse / K, and is else 0."""
    for piece in _pieces(values):
        piece[...] = rng.normal(p.mean, p.std, piece.size)
    if p.sparse >= 0:
        # Caffe: sparse counts non-zero inputs per output, and divides by the first axis, the outputs
        for piece in _pieces(values):
            piece *= rng.random(piece.size) < p.sparse / values.shape[0]


def xavier(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Evenly in ±√(3 / s), so the variance is 1 / s (Glorot and Bengio, AISTATS 2010)."""
    limit = math.sqrt(3 / _divisor(values, p))
    for piece in _pieces(values):
        piece[...] = rng.uniform(-limit, limit, piece.size)


def msra(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Normal with variance 2 / s, for layers followed by ReLU (He et al., ICCV 2015)."""
    deviation = math.sqrt(2 / _divisor(values, p))
    for piece in _pieces(values):
        piece[...] = rng.normal(0, deviation, piece.size)


def positive_unitball(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """Evenly in [0, 1), and then each output's weights are divided by their sum."""
    for row in values.reshape(len(values), -1):
        drawn = rng.random(row.size)
        row[...] = drawn / drawn.sum()


def bilinear(values: np.ndarray, p: Any, rng: np.random.Generator) -> None:
    """The kernel with which a Deconvolution of stride f upsamples linearly; (K, C, k, k) with k = 2f − f % 2."""
    k = values.shape[3]
    f = math.ceil(k / 2)
    center = (k - 1) / (2 * f)
    ramp = 1 - np.abs(np.arange(k) / f - center)
    values[...] = np.outer(ramp, ramp)


FILLERS: dict[str, Filler] = {
    f.__name__: f for f in (bilinear, constant, gaussian, msra, positive_unitball, uniform, xavier)}

NEEDS_AXES = {"bilinear", "gaussian", "msra", "positive_unitball", "xavier"}  # these cannot fill a scalar blob

READS = {"constant": {"value"}, "uniform": {"min", "max"}, "gaussian": {"mean", "std", "sparse"},
         "xavier": {"variance_norm"}, "msra": {"variance_norm"}}  # fields of a FillerParameter


def register_filler(name: str, reads: Sequence[str] = ()) -> Callable[[Filler], Filler]:
    """Function decorator: make a filler known under the `type` that prototxts use.

    The function takes an array, which it fills in place, a FillerParameter, and the generator to draw from.
    `reads` names the fields of the FillerParameter that it reads: another one that is set is warned of.
    Raise LayerError when the name is already taken, or FillerParameter has no such field.
    """

    known = list(FillerParameter.DESCRIPTOR.fields_by_name)
    for field in reads:
        if field not in known:
            raise LayerError(f"filler {name!r} says that it reads {field!r}, which FillerParameter does not have",
                             hint=near_names(field, known) or f"its fields are {', '.join(known)}")

    def keep(function: Filler) -> Filler:
        if name in FILLERS:
            raise LayerError(f"filler {name!r} is registered twice: in {FILLERS[name].__module__} "
                             f"and in {function.__module__}")
        FILLERS[name], READS[name] = function, set(reads)
        plugins.note(plugins.FILLER, name, function.__module__)
        return function

    return keep


def unread_fields(param: Any) -> list[str]:
    """Return the fields of a FillerParameter that are set and that its type does not read."""
    known = READS.get(param.type, set()) | {"type"}
    return [field.name for field, _ in param.ListFields() if field.name not in known]


class Refusal(NamedTuple):
    """A field of a FillerParameter with a value that its type cannot use, what is wrong, and the cure."""

    field: str
    words: str
    hint: str = ""


def refusal(param: Any) -> Refusal | None:
    """The first field whose value the filler cannot use; None where it can use all. Caffe aborts for such values.

    Raise LayerError for the filler of an installed package, where the code of such packages must not run.
    """
    if param.type not in FILLERS:
        plugins.load_installed()
    if param.type not in FILLERS:
        return Refusal("type", f"must be one of {', '.join(FILLERS)}, got {param.type!r}",
                       near_names(param.type, list(FILLERS)) or plugins.unknown_hint())
    plugins.check_permitted(plugins.FILLER, param.type, f"the filler {param.type!r}")
    for name, value in not_finite(param):
        return Refusal(name, f"must be a finite number, got {value:g}")
    if param.type == "uniform" and param.min > param.max:
        return Refusal("min", f"must not lie above max, {param.max:g}, got {param.min:g}")
    if param.type == "gaussian" and not param.std > 0:
        return Refusal("std", f"must be above 0, got {param.std:g}", 'type: "constant" fills with one number')
    if param.type == "gaussian" and param.sparse < -1:
        return Refusal("sparse", f"must be at least 0, or -1 for all weights, got {param.sparse}")
    return None


def check_shape(shape: tuple[int, ...], param: Any) -> None:
    """LayerError where a FillerParameter cannot fill a blob of this shape, or of any shape."""
    if refused := refusal(param):
        raise LayerError(f"the filler's {refused.field} {refused.words}", hint=refused.hint)
    if param.sparse != -1 and "sparse" not in READS.get(param.type, ()):
        readers = " and ".join(name for name, fields in READS.items() if "sparse" in fields)
        raise LayerError(f"sparse is read by the {readers} filler alone, not by {param.type}, got {param.sparse}")
    if not shape and param.type in NEEDS_AXES:
        raise LayerError(f"the {param.type} filler needs at least one axis, got a scalar blob")
    if param.type == "bilinear" and (len(shape) != 4 or shape[2] != shape[3]):
        raise LayerError(f"the bilinear filler needs a 4-D blob with square kernels, got {shape}")


def fill(values: np.ndarray, param: Any, rng: np.random.Generator) -> None:
    """Fill a contiguous array in place as a FillerParameter says. LayerError as for `check_shape`."""
    check_shape(values.shape, param)
    if values.size:
        FILLERS[param.type](values, param, rng)


def _pieces(values: np.ndarray) -> Iterator[np.ndarray]:
    """Views of the pieces of a contiguous array, in its order, to write into."""
    flat = values.reshape(-1)
    return (flat[i:i + PIECE] for i in range(0, flat.size, PIECE))


def _divisor(values: np.ndarray, p: Any) -> float:
    """Return the number s by which `variance_norm` says to divide."""
    fan_in = values.size / values.shape[0]
    # Caffe: a blob of one axis has fan_out = its whole count
    fan_out = values.size / values.shape[1] if values.ndim > 1 else values.size
    if p.variance_norm == p.AVERAGE:
        return (fan_in + fan_out) / 2
    return fan_out if p.variance_norm == p.FAN_OUT else fan_in
