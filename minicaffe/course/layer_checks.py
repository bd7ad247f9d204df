"""What the checks of layers share: a student's layer with blobs around it, and the rules that hold for every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe.course.checking import Mistake, compare, expect
from minicaffe.course.student import Student

GARBAGE = 7.25  # what stands in a diff before backward: a layer that adds to it, or leaves it, is found out


def blob_of(my: Student, values: Any) -> Any:
    """Return a blob of the student's that holds these values."""
    array = np.asarray(values, np.float64)
    blob = my.blob.Blob(array.shape)
    blob.data[...] = array
    return blob


class Run:
    """A student's layer that is set up between bottoms with these values and new tops."""

    def __init__(self, my: Student, layer: Any, values: Sequence[Any], tops: int = 1) -> None:
        self.my, self.layer = my, layer
        self.bottom = [blob_of(my, one) for one in values]
        self.top = [my.blob.Blob() for _ in range(tops)]
        layer.setup(self.bottom, self.top)

    def forward(self) -> np.ndarray:
        """Run reshape and forward; return a copy of the data of the first top."""
        self.layer.reshape(self.bottom, self.top)
        self.layer.forward(self.bottom, self.top)
        return np.array(self.top[0].data)

    def backward(self, dy: Any, propagate_down: Sequence[bool] | None = None) -> np.ndarray:
        """Run backward from this diff of the first top, after garbage in the bottoms' diffs; return a copy of dx."""
        self.top[0].diff[...] = dy
        for blob in self.bottom:
            blob.diff[...] = GARBAGE
        flags = [True] * len(self.bottom) if propagate_down is None else propagate_down
        self.layer.backward(self.top, flags, self.bottom)
        return np.array(self.bottom[0].diff)


def known_of_dx(dx: np.ndarray) -> list[Mistake]:
    """Return the mistakes of any backward: it adds to the diff, or writes none."""
    return [Mistake("bottom_diff_added", dx + GARBAGE, "backward overwrites the diff of a bottom: bottom[0].diff[...] "
                    "= …, not += …. Whatever stood there before does not count."),
            Mistake("nothing_written", np.full_like(dx, GARBAGE), "the diff of the bottom is as it was before. `dx = "
                    "…` makes a local name: write into bottom[0].diff[...].")]


def shapes_the_top(run: Run, shape: tuple[int, ...]) -> None:
    """Fail where reshape does not give the first top this shape."""
    run.layer.reshape(run.bottom, run.top)
    got = run.top[0].shape
    expect(got == shape, f"layer.reshape(bottom, top), bottom[0] of shape {run.bottom[0].shape} → "
           "top[0].shape", got, shape,
           "top_shape", "reshape alone gives the tops their shapes: top[0].reshape(…), computed from the bottoms")


def forward_writes_the_top_alone(run: Run) -> None:
    """Fail where forward changes a bottom, a diff or a weight, or gives the top another array."""
    run.layer.reshape(run.bottom, run.top)
    held = run.top[0].data
    blobs = [(f"bottom[{i}]", blob) for i, blob in enumerate(run.bottom)]
    blobs += [(f"layer.blobs[{i}]", blob) for i, blob in enumerate(run.layer.blobs)]
    before = [(name, blob, np.array(blob.data), np.array(blob.diff)) for name, blob in blobs]
    run.layer.forward(run.bottom, run.top)
    called = "layer.forward(bottom, top)"
    expect(run.top[0].data is held, called, "top[0].data is another array", "the same array, with new numbers",
           "top_replaced", "the next layer may hold the old array. Write into it: top[0].data[...] = …")
    for name, blob, data, diff in before:
        compare(f"{called} → {name}.data", blob.data, data, [Mistake(
            "bottom_changed", np.array(blob.data), "forward writes the tops, and nothing else. Another layer may read "
                                                                     "this blob, too, and backward needs it. An "
                                                                     "operation such as *= changes the array that it "
                                                                     "is applied to.")])
        compare(f"{called} → {name}.diff", blob.diff, diff, [Mistake(
            "diff_as_scratch", np.array(blob.diff), "forward touches no diff")])


def backward_writes_dx_alone(run: Run, dy: Any) -> None:
    """Fail where backward gives the bottom's diff another array, or changes what it only reads."""
    run.forward()
    x, y = np.array(run.bottom[0].data), np.array(run.top[0].data)
    held = run.bottom[0].diff
    run.backward(dy)
    called = "layer.backward(top, [True], bottom)"
    expect(run.bottom[0].diff is held, called, "bottom[0].diff is another array", "the same array, with new numbers",
           "diff_replaced", "the layer below may hold the old array. Write into it: bottom[0].diff[...] = …")
    for name, got, before in (("bottom[0].data", run.bottom[0].data, x), ("top[0].data", run.top[0].data, y),
                              ("top[0].diff", run.top[0].diff, np.broadcast_to(dy, y.shape))):
        compare(f"{called} → {name}", got, before, [Mistake(
            "backward_changes_inputs", np.array(got), "backward only reads this. Make a new array for what lies "
                                                            "between.")])


def obeys_propagate_down(run: Run, dy: Any) -> None:
    """Fail where backward writes a diff that nobody has asked for."""
    run.forward()
    dx = run.backward(dy, [False] * len(run.bottom))
    compare("layer.backward(top, [False], bottom) → bottom[0].diff", dx, np.full_like(dx, GARBAGE), [Mistake(
        "propagate_down_ignored", dx, "propagate_down[0] is False, so nobody needs this diff: leave it as it is. The "
        "data of a net are such a bottom, and a net saves the time. The list itself is true in an `if`, whatever it "
        "holds.")])


def follows_another_batch(run: Run, values: Sequence[Any], expected: Any) -> None:
    """Fail where the layer does not work on bottoms of another shape, after it has run on the first ones."""
    run.forward()
    for blob, one in zip(run.bottom, values, strict=True):
        blob.reshape(np.shape(one))
        blob.data[...] = one
    shapes_the_top(run, np.shape(expected))
    compare(f"the same layer, now on a bottom of shape {np.shape(values[0])} → top[0].data", run.forward(), expected, [
        Mistake("stuck_to_first_batch", np.array(run.top[0].data), "the layer has run on another batch before. What "
                "depends on the bottoms is computed in reshape or forward, never kept from setup.")])
