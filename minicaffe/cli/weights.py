"""List the blobs of a weight file, or compare two files.

  minicaffe weights lenet.caffemodel                       each blob's shape, type and range
  minicaffe weights lenet.caffemodel --diff lenet.npz      the largest difference of each blob

A file may be a .caffemodel of any age, a .caffemodel.h5, .npz or .safetensors. Its content says which, not its name.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from minicaffe.cli.terminal import say
from minicaffe.io import weights
from minicaffe.io.binary import LayerWeights
from minicaffe.layout import table, terminal_width, wrap
from minicaffe.log import number, shape_text
from minicaffe.net.copy_weights import same_shape

Key = tuple[str, int, int]  # the layer's name, its number among layers of that name, the blob's number in it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a weight file")
    parser.add_argument("--diff", metavar="B", help="another weight file, with which to compare it")


def run(args: argparse.Namespace) -> int:
    layers = weights.read(args.file)
    say(compare(args.file, layers, args.diff, weights.read(args.diff)) if args.diff else listing(layers))
    return 0


def listing(layers: Sequence[LayerWeights]) -> str:
    """Return a row for each blob, then the sums."""
    rows: list[Sequence[str]] = [("layer", "type", "blob", "shape", "numbers", "min", "max", "mean", "std", "")]
    stored = []
    for layer in layers:
        for k, blob in enumerate(layer.blobs):
            if not blob.size:
                rows.append((layer.name, layer.type, str(k), "of another layer", *[""] * 6))
                continue
            stored.append(blob)
            rows.append((layer.name, layer.type, str(k), shape_text(blob.shape), str(blob.dtype), *_range(blob)))
    with_blobs = sum(bool(layer.blobs) for layer in layers)
    without = f" ({len(layers) - with_blobs} more have none)" if len(layers) > with_blobs else ""
    total = f"{with_blobs} layers with {len(stored)} blobs{without}: " \
            f"{sum(b.size for b in stored)} parameters, {sum(b.nbytes for b in stored)} bytes"
    return "\n".join([*table(rows, lead=2), *wrap(total, terminal_width())])


def compare(name_a: str, a: Sequence[LayerWeights], name_b: str, b: Sequence[LayerWeights]) -> str:
    """Return a row for each blob, which says how it differs or in which file it is missing; then a summary."""
    mine, theirs = _by_key(a), _by_key(b)
    rows = [("layer", "blob", "shape", "max |Δ|")]
    found: Counter[str] = Counter()
    largest = (0.0, "")
    for key in [*mine, *(key for key in theirs if key not in mine)]:
        layer, _, k = key
        ours, other = mine.get(key), theirs.get(key)
        verdict, distance = _distance(ours, other)
        shown = {"differ": number(distance)}
        if verdict == "shape differs" and other is not None:
            shown[verdict] = f"shape differs: {shape_text(other.shape)} in B"
        found[verdict] += 1
        largest = max(largest, (distance, f"blob {k} of layer {layer!r}"))
        present = other if ours is None else ours
        rows.append((layer, str(k), "" if present is None else shape_text(present.shape), shown.get(verdict, verdict)))
    summary = ", ".join(f"{count} {verdict}" for verdict, count in found.items())
    most = f"; most in {largest[1]}: {number(largest[0])}" if largest[0] else ""
    total = f"{len(rows) - 1} blobs: {summary}{most}"
    return "\n".join([*table(rows), f"A is {name_a}", f"B is {name_b}", *wrap(total, terminal_width())])


def _range(blob: np.ndarray) -> list[str]:
    """Return minimum, maximum, mean and standard deviation of the finite numbers, and how many are not finite."""
    finite = blob[np.isfinite(blob)] if not np.isfinite(blob).all() else blob
    odd = f"{blob.size - finite.size} not finite" if finite.size < blob.size else ""
    if not finite.size:
        return [*["-"] * 4, odd]
    mean = finite.mean(dtype=np.float64)
    return [*(number(v) for v in (finite.min(), finite.max(), mean, finite.std(dtype=np.float64))), odd]


def _by_key(layers: Iterable[LayerWeights]) -> dict[Key, np.ndarray]:
    """Return each blob under a key by which it is found in another file.

    Layers may have one name. Those without blobs are not counted, because some formats do not store them.
    """
    seen: Counter[str] = Counter()
    blobs = {}
    for layer in layers:
        for k, blob in enumerate(layer.blobs):
            if blob.size:
                blobs[layer.name, seen[layer.name], k] = blob
        seen[layer.name] += bool(layer.blobs)
    return blobs


def _distance(a: np.ndarray | None, b: np.ndarray | None) -> tuple[str, float]:
    """Return in words how two blobs compare, and their largest difference; None means that a blob is missing.

    Shapes that Caffe takes for the same, such as 1×1×2×3 and 2×3, are no difference.
    """
    if a is None or b is None:
        return ("only in B" if a is None else "only in A"), 0.0
    if not (same_shape(a.shape, b.shape) or same_shape(b.shape, a.shape)):
        return "shape differs", 0.0
    b = b.reshape(a.shape)
    if np.array_equal(a, b, equal_nan=True):
        return "identical", 0.0
    with np.errstate(invalid="ignore"):  # ∞ − ∞ is NaN, which is shown as an infinite difference
        delta = np.abs(np.subtract(a, b, dtype=np.float64))
    return "differ", float(np.inf if np.isnan(delta).any() else delta.max())
