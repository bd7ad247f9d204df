"""The order in which the gradients of an update's parts are added: one fixed binary tree.

Floating-point sums depend on their order. So the parts of an update are always added in the same order, whichever
processes compute them: the sum over a range of parts is the sum over its first half plus that over its second half,

    0 1 2 3 4 5 6 7    →    ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))
    0 1 2 3 4 5        →    ((0 + 1) + 2) + ((3 + 4) + 5)

and the first half has one part more where their number is odd. As long as the number can be halved, each half is the
tree of a smaller update. So with 2, 4, 8 … processes each of them adds up the parts of one whole subtree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe import kernels
from minicaffe.blob import Blob


def first_half(count: int) -> int:
    """Return how many of `count` parts belong to the first half."""
    return count - count // 2


def finished_sums(count: int) -> list[int]:
    """Return for each of `count` parts how many sums of the tree are complete when it is, and were not before."""
    found = [0] * count

    def visit(begin: int, end: int) -> None:
        if end - begin > 1:
            middle = begin + first_half(end - begin)
            visit(begin, middle)
            visit(middle, end)
            found[end - 1] += 1

    visit(0, count)
    return found


class GradientSum:
    """Adds up the gradients of the parts of one process, one after the other as they are computed.

    A gradient stands in the diffs of the blobs when its part has run. It is added there to the sums that wait for it.
    If the result must wait itself, it is copied, so that the diffs are free for the next part. After the last part the
    diffs hold the sum of all. So log₂ `count` copies of the gradient are kept at most, and for one part none.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._finished = finished_sums(count)
        self._waiting = [part - sum(self._finished[:part]) for part in range(count)]  # sums, when a part has run
        self._kept: dict[tuple[int, int], np.ndarray] = {}  # by the sum's number and the blob's
        self._zero: set[tuple[int, int]] = set()  # the sums that are 0 because no part has computed a gradient

    def add(self, part: int, blobs: Sequence[Blob], which: Sequence[int]) -> None:
        """Add what the diffs of the blobs `which` hold after this part, the number of which is counted from 0."""
        for i in which:
            for level in range(self._waiting[part] - 1, self._waiting[part] - 1 - self._finished[part], -1):
                self._add_kept((level, i), blobs[i])
            if part < self.count - 1:
                self._keep((self._waiting[part] - self._finished[part], i), blobs[i])

    def _add_kept(self, key: tuple[int, int], blob: Blob) -> None:
        """Add a sum that waits to the diff. Where one of the two counts as zeros, the bits are those of an addition."""
        if key not in self._zero:
            dw, add = blob.diff_to_add()
            kernels.for_each_thread([dw, self._kept[key]], _add if add else _add_to_zeros)
        elif not _counts_as_zeros(blob):
            kernels.for_each_thread([blob.diff, blob.diff], _add_to_zeros)

    def _keep(self, key: tuple[int, int], blob: Blob) -> None:
        """Let the sum that stands in the diff wait. Zeros are not written out, as for a layer that learns nothing."""
        if _counts_as_zeros(blob):
            self._zero.add(key)
            return
        self._zero.discard(key)
        if key not in self._kept or self._kept[key].shape != blob.shape:
            self._kept[key] = np.empty_like(blob.diff)
        kernels.for_each_thread([self._kept[key], blob.diff], np.copyto)


def _add(total: np.ndarray, more: np.ndarray) -> None:
    with np.errstate(all="ignore"):  # infinity and NaN are numbers here; whoever watches the gradients finds them
        np.add(total, more, out=total)


def _add_to_zeros(total: np.ndarray, more: np.ndarray) -> None:
    """Write 0 + `more`. This is no copy: −0 becomes 0, as it does where another process sends the zeros."""
    np.add(more, 0, out=total)


def _counts_as_zeros(blob: Blob) -> bool:
    storage = blob.storages[1]
    return storage.buffer is None or storage.cleared
