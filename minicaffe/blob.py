"""Blob: the array that flows through a net, with the gradient that flows back."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minicaffe.errors import LayerError
from minicaffe.io.blobs import MAX_AXES, MAX_COUNT, too_large
from minicaffe.showing import Shown

changes = 0  # Grows whenever any blob's memory or shape changes. While it is the same, a recording may be replayed.
_numbers = itertools.count(1)  # two threads that do `changes += 1` at once could count one change; `next` counts both


def _changed() -> None:
    global changes
    changes = next(_numbers)


class Storage:
    """A flat buffer that blobs may share. It never shrinks; to grow, it is replaced by a larger one.

    The buffer is made, full of zeros, when it is first asked for. So a diff that is never read costs nothing.
    `cleared` says that the buffer counts as zeros, though they have not been written into it. `fills` counts how often
    they have been, so that a recording of a pass knows whether the pass has done so.
    """

    __slots__ = ("buffer", "cleared", "dtype", "fills")

    def __init__(self, dtype: type) -> None:
        self.dtype = dtype
        self.buffer: np.ndarray | None = None
        self.cleared = False
        self.fills = 0

    def view(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the first `prod(shape)` elements as an array of `shape`."""
        count = math.prod(shape)
        if self.buffer is None or self.buffer.size < count:
            self.buffer = np.zeros(count, self.dtype)
            _changed()
        return self.buffer[:count].reshape(shape)

    def peek(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return what `view` would, or None where that would take new memory. So a look at a blob changes nothing."""
        count = math.prod(shape)
        return None if self.buffer is None or self.buffer.size < count else self.buffer[:count].reshape(shape)

    def fill_with_zeros(self) -> None:
        """Write zeros into the buffer, as `cleared` promises.

        The whole buffer is filled, not only what one blob sees: another blob that shares it may see more.
        """
        if self.buffer is not None:
            self.buffer.fill(0)
        self.cleared = False
        self.fills += 1


class Blob(Shown):
    """An N-d array `data` and its gradient `diff`, both of `shape`.

    `shape`   tuple of up to 32 sizes, outermost first; images are (N, C, H, W), labels (N,), a loss ().
    `data`    the values, and `diff` their gradient. Both are views: fetch them again after a reshape.
    `dtype`   float32 unless the net was made with another.

    `share_data` and `share_diff` share the storage and copy nothing. So the blobs of Split, Flatten, Reshape and of
    shared parameters still share it when a later reshape makes the buffer grow.
    """

    __slots__ = ("_data", "_data_base", "_data_view", "_diff", "_diff_base", "_diff_view", "_shape", "dtype")

    def __init__(self, shape: int | Iterable[int] = (), dtype: type = np.float32) -> None:
        self.dtype = dtype
        self._data, self._diff = Storage(dtype), Storage(dtype)
        self._data_view: np.ndarray | None = None
        self._diff_view: np.ndarray | None = None
        self._data_base: np.ndarray | None = None
        self._diff_base: np.ndarray | None = None
        self._shape: tuple[int, ...] = (0,)
        self.reshape(shape)

    # --- shape ---------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes, outermost first."""
        return self._shape

    @shape.setter
    def shape(self, sizes: Any) -> None:
        raise AttributeError("a blob's shape cannot be assigned: blob.reshape(*shape) gives the blob another one")

    def reshape(self, *shape: int | Iterable[int], **named: Any) -> None:
        """Take a new shape, given as one sequence or as separate sizes; values stay where they fit."""
        if named:
            raise LayerError(f"Blob.reshape takes no kwargs, got {', '.join(named)}", hint="reshape(1, 3, 224, 224)")
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        new = tuple(map(operator.index, sizes))  # type: ignore[arg-type]
        if new == self._shape:  # most calls: a layer reshapes its tops in every pass, and recordings stay valid
            return
        if len(new) > MAX_AXES:
            raise LayerError(f"a blob has at most {MAX_AXES} axes, got {len(new)}: {new}")
        if any(n < 0 for n in new):
            raise LayerError(f"a blob's sizes cannot be negative, got {new}")
        if too_large(new):
            count = math.prod(filter(None, new))  # without the sizes that are 0: they would make the product 0
            raise LayerError(f"a blob holds at most {MAX_COUNT} numbers, got {count}: {new}")
        # The views go before the shape is set. If Ctrl-C comes in between, the next access makes views anew; the other
        # way round it would find views of the old shape.
        self._data_view = self._diff_view = self._data_base = self._diff_base = None
        self._shape = new
        _changed()

    def reshape_like(self, other: Blob) -> None:
        """Take the shape of `other`."""
        self.reshape(other.shape)

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def num_axes(self) -> int:
        """The number of axes; 0 for a scalar."""
        return len(self.shape)

    def count_between(self, start: int, stop: int | None = None) -> int:
        """Return the product of the sizes of the axes from `start` up to but not including `stop`."""
        return math.prod(self.shape[start:stop])

    def canonical_axis(self, axis: int) -> int:
        """`axis` counted from the front; a negative one counts from the back. Raise LayerError if out of range."""
        if not -self.num_axes <= axis < self.num_axes:
            raise LayerError(f"axis {axis} is out of range for a blob with {self.num_axes} axes {self.shape}")
        return axis % self.num_axes

    def legacy_shape(self, index: int) -> int:
        """Return the size of axis `index` (-4 to 3) of the blob seen as Caffe's old 4-D (num, channels, height, width).

        Missing axes count as 1. Raise LayerError for a blob of more than four axes.
        """
        if self.num_axes > 4:
            raise LayerError(f"num, channels, height and width need a blob of at most 4 axes, got {self.shape}")
        if not -4 <= index < 4:
            raise LayerError(f"a legacy axis must be between -4 and 3, got {index}")
        if not -self.num_axes <= index < self.num_axes:
            return 1
        return self.shape[index]

    num = property(lambda self: self.legacy_shape(0), doc="Legacy size of axis 0.")
    channels = property(lambda self: self.legacy_shape(1), doc="Legacy size of axis 1.")
    height = property(lambda self: self.legacy_shape(2), doc="Legacy size of axis 2.")
    width = property(lambda self: self.legacy_shape(3), doc="Legacy size of axis 3.")

    # --- values --------------------------------------------------------------------------------

    @property
    def data(self) -> np.ndarray:
        """The values, an array of `shape` that shares the blob's storage."""
        # Another blob that shares the storage may have made its buffer grow, and then this view is of the old one.
        if self._data_view is None or self._data_base is not self._data.buffer:
            self._data_view = self._data.view(self.shape)
            self._data_base = self._data.buffer
        return self._data_view

    @data.setter
    def data(self, values: Any) -> None:
        raise AttributeError("a blob's data cannot be assigned: blob.data[...] = array writes numbers into it")

    @property
    def diff(self) -> np.ndarray:
        """The gradient, an array of `shape` that shares the blob's storage; zeros until written."""
        if self._diff_view is None or self._diff_base is not self._diff.buffer:
            self._diff_view = self._diff.view(self.shape)
            self._diff_base = self._diff.buffer
        if self._diff.cleared:
            self._diff.fill_with_zeros()
        return self._diff_view

    @diff.setter
    def diff(self, values: Any) -> None:
        raise AttributeError("a blob's diff cannot be assigned: blob.diff[...] = array writes numbers into it")

    def clear_diff(self) -> None:
        """Set the diff to zeros. The memory is written only when it is first read."""
        self._diff.cleared = self._diff.buffer is not None  # a buffer that is not made yet will begin with zeros

    def diff_to_add(self) -> tuple[np.ndarray, bool]:
        """Return the diff, and whether the caller must add to it. If not, the caller must overwrite all of it.

        A diff that counts as zeros then needs no zeros written into it just before something is added to them.
        """
        add, self._diff.cleared = not self._diff.cleared, False
        return self.diff, add

    def share_data(self, other: Blob) -> None:
        """Use the data storage of `other` from now on."""
        if self._data is not other._data:
            self._data, self._data_view = other._data, None
            _changed()

    def share_diff(self, other: Blob) -> None:
        """Use the diff storage of `other` from now on."""
        if self._diff is not other._diff:
            self._diff, self._diff_view = other._diff, None
            _changed()

    @property
    def memory(self) -> np.ndarray | None:
        """The flat buffer behind `data`; None as long as `data` has not been asked for."""
        return self._data.buffer

    @property
    def storages(self) -> tuple[Storage, Storage]:
        """The memory behind data and behind diff, which other blobs may use too."""
        return self._data, self._diff

    def shares_data_with(self, other: Blob) -> bool:
        """Return whether both blobs use the same storage for their data."""
        return self._data is other._data

    def copy_from(self, other: Blob, *, diff: bool = False, reshape: bool = False) -> None:
        """Copy the data (or the diff) of `other`; the shapes must agree unless `reshape` is set."""
        if reshape:
            self.reshape_like(other)
        elif self.shape != other.shape:
            raise LayerError(f"cannot copy a blob of shape {other.shape} into one of shape {self.shape}")
        if diff:
            self.diff[...] = other.diff
        else:
            self.data[...] = other.data

    def update(self) -> None:
        """Take one step down the gradient: data −= diff."""
        np.subtract(self.data, self.diff, out=self.data)

    # --- norms, as debug_info and gradient clipping read them --------------------------------------

    def asum_data(self) -> float:
        """Σ |data|."""
        return float(np.abs(self.data).sum(dtype=np.float64))

    def asum_diff(self) -> float:
        """Σ |diff|."""
        return float(np.abs(self.diff).sum(dtype=np.float64))

    def sumsq_data(self) -> float:
        """Σ data²."""
        return sum_of_squares(self.data)

    def sumsq_diff(self) -> float:
        """Σ diff²."""
        return sum_of_squares(self.diff)

    def __getstate__(self) -> tuple[None, dict[str, object]]:
        """For copy.deepcopy: without the views, which would become arrays that share nothing."""
        return None, {name: None if name.endswith(("_view", "_base")) else getattr(self, name)
                      for name in self.__slots__}

    def in_short(self) -> str:
        """Return what `repr` shows."""
        return f"Blob{self.shape}" if self.dtype is np.float32 else f"Blob({self.shape}, {np.dtype(self.dtype)})"


class BlobVec(list[Blob]):
    """The learnable blobs of a layer, in order. A net's recordings notice when this list changes.

    A recording holds the addresses of weights. It must not be played when another blob has taken a weight's place.
    The class has Caffe's name, because scripts compare the type of such a list with `caffe._caffe.BlobVec`.

    dtype   the number type of the blobs that `add_blob` makes
    """

    __slots__ = ("dtype",)

    def __init__(self, blobs: Iterable[Blob] = (), dtype: type = np.float32) -> None:
        super().__init__(blobs)
        self.dtype = dtype

    def __getitem__(self, place: Any) -> Any:
        """Return a blob, or of a slice a BlobVec of its own."""
        found = super().__getitem__(place)
        return BlobVec(found, self.dtype) if isinstance(place, slice) else found

    def add_blob(self, *shape: int, **named: Any) -> None:
        """Append a blob of these sizes, zeros until it is loaded or set."""
        if named:
            raise LayerError(f"BlobVec.add_blob takes no kwargs, got {', '.join(named)}", hint="add_blob(2, 3)")
        self.append(Blob(shape, self.dtype))


def _counted(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of `list` that changes the list, made to report the change and to refuse all but Blobs."""

    @functools.wraps(method)
    def change(self: BlobVec, *given: Any, **named: Any) -> Any:
        before = list(self)
        _changed()
        result = method(self, *given, **named)
        for item in self:
            if not isinstance(item, Blob):
                list.__setitem__(self, slice(None), before)
                raise TypeError(f"a list of blobs holds Blobs alone, got {type(item).__name__}: blobs[k].data[...] = "
                                "array writes numbers into a blob")
        return result

    return change


for _name in ("__setitem__", "__delitem__", "__iadd__", "__imul__", "append", "clear", "extend", "insert", "pop",
              "remove", "reverse", "sort"):
    setattr(BlobVec, _name, _counted(getattr(list, _name)))


def sum_of_squares(values: np.ndarray) -> float:
    """Σ values² in float64, summed in blocks, so that no float64 copy of a large array is made."""
    flat = values.reshape(-1)
    block = 1 << 16
    return float(sum(np.square(flat[i:i + block], dtype=np.float64).sum() for i in range(0, flat.size, block)))
