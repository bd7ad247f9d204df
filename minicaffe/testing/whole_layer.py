"""Does a layer keep the whole contract: what it writes, what it adds to, what it keeps, and its gradients?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass

import numpy as np

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.layer import Layer
from minicaffe.testing.gradient import check_gradient, random_where_constant
from minicaffe.testing.slopes import alike

FILL = 7.0  # what a diff holds before a backward pass that must overwrite it or add to it


def check_layer(layer: Layer, bottom: Sequence[Blob], num_tops: int = 1, **options: object) -> float:
    """Set a layer up on filled float64 bottoms and check the whole contract that can be checked from outside.

    A second reshape changes nothing. Each pass writes only what it may. Bottom diffs are overwritten, parameter diffs
    are added to, and a diff that is not asked for is left alone. The layer keeps no array of a bottom or a top. The
    gradients are right; `options` go to `check_gradient`.

    Returns the largest relative error. Raises AssertionError for what does not hold.
    """
    top = [Blob(dtype=layer.dtype) for _ in range(num_tops)]
    layer.SetUp(bottom, top)
    shapes = [t.shape for t in top]
    layer.Reshape(bottom, top)
    if shapes != [t.shape for t in top]:
        raise AssertionError(f"{layer!r}: a second reshape gave tops {[t.shape for t in top]}, the first {shapes}")
    asked = [layer.allow_force_backward(i) for i in range(len(bottom))]
    check_writes(layer, bottom, top, asked)
    _check_diffs(layer, bottom, top, asked)
    check_kept(layer, bottom, top)
    return check_gradient(layer, bottom, top, **options)  # type: ignore[arg-type]


def check_writes(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], asked: Sequence[bool]) -> None:
    """AssertionError where forward writes more than the tops' data and statistics, or backward more than diffs of
    bottoms and blobs."""
    bottoms = [(f"bottom[{i}]", blob) for i, blob in enumerate(bottom)]
    tops = [(f"top[{i}]", blob) for i, blob in enumerate(top)]
    learned = [(f"blobs[{i}]", blob) for i, blob in enumerate(layer.blobs) if layer.param_propagate_down[i]]
    rng.seed(1701)
    with random_where_constant(layer, np.random.default_rng(1701)):
        for _, blob in [*bottoms, *learned]:
            blob.diff.fill(FILL)
        with _left_alone(layer, "forward", [*bottoms, *learned], diffs=[*bottoms, *learned]):
            layer.Forward(bottom, top)
        for blob in top:
            blob.diff.fill(1.0)
        with _left_alone(layer, "backward", [*bottoms, *tops, *learned], diffs=[] if layer.shares_data else tops):
            layer.Backward(top, asked, bottom)


@contextmanager
def _left_alone(layer: Layer, what: str, datas: Sequence[tuple[str, Blob]],
                diffs: Sequence[tuple[str, Blob]]) -> Iterator[None]:
    """AssertionError where the `with` block changes the data of one of `datas` or the diff of one of `diffs`."""
    kept = [(f"the data of {name}", blob, "data") for name, blob in datas]
    kept += [(f"the diff of {name}", blob, "diff") for name, blob in diffs]
    before = [getattr(blob, part).copy() for _, blob, part in kept]
    yield
    for (words, blob, part), values in zip(kept, before, strict=True):
        if not np.array_equal(getattr(blob, part), values, equal_nan=True):
            raise AssertionError(f"{layer!r}: {what} changes {words}, which it may only read")


def _check_diffs(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], asked: Sequence[bool]) -> None:
    """AssertionError unless backward overwrites the bottoms' diffs, adds to the blobs' and leaves unasked ones."""
    once, once_blobs = _diffs_after(layer, bottom, top, asked, fill=0.0)
    again, again_blobs = _diffs_after(layer, bottom, top, asked, fill=FILL)
    for i, (first, second) in enumerate(zip(once, again, strict=True)):
        if asked[i] and not np.array_equal(first, second, equal_nan=True):
            raise _not_overwritten(i, first, second, layer, bottom, top, asked)
    for i, (first, second) in enumerate(zip(once_blobs, again_blobs, strict=True)):
        lost = np.abs(second - first - FILL) > 1e-9 * (FILL + np.abs(first))  # False for NaN, a mistake of another kind
        if layer.param_propagate_down[i] and lost.any():
            raise AssertionError(f"{layer!r}: backward overwrites the diff of blobs[{i}] instead of adding to it "
                                 "(= where += belongs)")
    _check_unasked(layer, bottom, top, asked, once)


def _not_overwritten(i: int, first: np.ndarray, second: np.ndarray, layer: Layer, bottom: Sequence[Blob],
                     top: Sequence[Blob], asked: Sequence[bool]) -> AssertionError:
    """Return the error for a bottom whose diff is `first` when it began at 0, and `second` when it began at FILL."""
    # A third pass, which begins as the second did, tells chance from a diff that depends on what it held before.
    if not np.array_equal(second, _diffs_after(layer, bottom, top, asked, fill=FILL)[0][i], equal_nan=True):
        return AssertionError(f"{layer!r}: two passes with the same seed give bottom[{i}] different gradients; "
                              "random numbers must come from self.rng, and nothing may be left over from the "
                              "pass before")
    if not first.any() and (second == FILL).all():
        return AssertionError(f"{layer!r}: backward does not write the diff of bottom[{i}]")
    return AssertionError(f"{layer!r}: backward adds to the diff of bottom[{i}] instead of overwriting it "
                          "(+= where = belongs)")


def _check_unasked(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], asked: Sequence[bool],
                   gradients: Sequence[np.ndarray]) -> None:
    """AssertionError where backward writes a diff that is not asked for, or a gradient depends on what else is asked.

    First no bottom is asked for, then all but one, for each of them. `gradients` are those with all asked for.
    """
    for left_out in [None, *(i for i, a in enumerate(asked) if a)]:
        some = [a and left_out is not None and i != left_out for i, a in enumerate(asked)]
        if layer.shares_data and not any(some):
            continue  # the bottom's diff is the top's
        for i, diff in enumerate(_diffs_after(layer, bottom, top, some, fill=FILL)[0]):
            if not some[i] and (diff != FILL).any():
                raise AssertionError(f"{layer!r}: backward wrote the diff of bottom[{i}] without being asked")
            if some[i] and not alike(diff, gradients[i]):
                raise AssertionError(f"{layer!r}: the gradient of bottom[{i}] is another one when bottom[{left_out}] "
                                     "is not asked for")


def check_kept(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
    """AssertionError where an attribute of the layer holds an array of a bottom or a top.

    The net may give a blob other memory between two passes; the layer would then read or write the old one.
    """
    for name, value in vars(layer).items():
        for array in _arrays_in(value):
            for words, blobs in (("bottom", bottom), ("top", top)):
                for i, blob in enumerate(blobs):
                    if any(np.shares_memory(array, a) for a in (blob.data, blob.diff)):
                        raise AssertionError(f"{layer!r}: self.{name} keeps the memory of {words}[{i}] between two "
                                             "calls; fetch it from the blob in each call, or keep a copy")


def _arrays_in(value: object) -> Iterator[np.ndarray]:
    """Yield the arrays in a value, in lists, tuples and dictionaries, and in the fields of a dataclass."""
    if isinstance(value, np.ndarray):
        yield value
    elif is_dataclass(value):
        yield from _arrays_in(vars(value))
    elif isinstance(value, dict):
        yield from _arrays_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _arrays_in(inner)


def _diffs_after(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob], asked: Sequence[bool],
                 fill: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the diffs of the bottoms and of the blobs after one backward pass.

    Before it, the tops' diffs are 1 and all others are `fill`.
    """
    rng.seed(1701)
    layer.Forward(bottom, top)
    for blob in [*bottom, *layer.blobs]:
        blob.diff.fill(fill)
    for blob in top:  # last: a layer whose bottom and top share memory has one diff
        blob.diff.fill(1.0)
    layer.Backward(top, asked, bottom)
    return [b.diff.copy() for b in bottom], [b.diff.copy() for b in layer.blobs]
