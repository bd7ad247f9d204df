"""The loss engine: which cells count, what each weighs, and what their sum is divided by."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from minicaffe.layer import LossLayer
from minicaffe.log import warn
from minicaffe.proto import LossParameter

LOG_THRESHOLD = 1e-20  # Caffe: kLOG_THRESHOLD, the least probability whose logarithm is taken
CLASS_LABELS = ("are they class labels? this loss answers a yes/no question for each score; for one class a sample "
                "or a pixel take SoftmaxWithLoss, with as many scores as there are classes")
BLOCK = 1 << 16  # cells worked on at a time: they stay in cache, and no second large array is made


@dataclass(frozen=True)
class Cells:
    """Which cells of a batch count, and how much: what a loss reads once, in forward, beside scores and targets.

    The arrays are the loss's own, never a bottom's memory, so that backward finds what forward found.

    batch    the size of the batch, for labels along an axis the product of the axes before it
    count    how many cells there are
    valid    how many of them count; under weights Σ w
    w        the weight of each cell, 0 where it is ignored; None without weights
    out      a mask of the cells that do not count: ignored, or of weight 0; None where all count
    k        the class of each cell, 0 where it is ignored; None for a loss of targets
    """

    batch: int
    count: int
    valid: float
    w: np.ndarray | None
    out: np.ndarray | None
    k: np.ndarray | None = None

    def part(self, block):
        """The weights of some cells alone, of a slice as `blocks` makes it; the sums stay those of the batch."""
        w, out = (a if a is None else a[block] for a in (self.w, self.out))
        return replace(self, w=w, out=out)


class NormalizedLoss(LossLayer):
    """The base of every loss that is a weighted sum of cells, one cell for each label or target.

    Forward   L = Σ w_i · l_i / Z   over the cells that are not ignored, summed in float64
    Backward  dx = loss_weight / Z · w_i · ∂l_i/∂x, and exactly 0 at ignored cells

    w   the weight of the cell or of its sample (an optional last bottom) times its class_weight; 1 without
    Z   FULL: all cells, ignored ones too;  VALID: the cells not ignored, under weights Σ w_i;
        BATCH_SIZE: the size of the batch (for labels along an axis: the product of the axes before it);  NONE: 1

    A subclass knows l_i and its slope. Its `reshape` calls the checks; its `forward` keeps in `self.cells` what
    `read_labels` or `read_targets` says of the cells, takes the `total` of its l_i, or one for each of the `blocks`,
    and gives it to `write_loss`; its `backward` multiplies the slopes by `scale` and lets `apply` weigh them.

    default_normalization   what Caffe divides by where loss_param says nothing
    weight_bottom           the index of the optional bottom with weights, or None
    cells                   the Cells of the last forward pass
    """

    also_reads: ClassVar[tuple[str, ...]] = ("loss_param",)
    label_bottoms: ClassVar[tuple[int, ...]] = (1, 2)
    default_normalization: ClassVar[str] = "BATCH_SIZE"
    weight_bottom: ClassVar[int | None] = 2
    cells: Cells

    def setup(self, bottom, top):
        p = self.layer_param.loss_param
        self.ignore_label = p.ignore_label if p.HasField("ignore_label") else None
        self.mode = self._mode(p)
        self.class_weight = np.array(p.class_weight, self.dtype) if p.class_weight else None
        for field in ("class_weight", "pos_weight", "focal_gamma"):
            values = np.array(getattr(p, field))
            good = bool(np.all((values >= 0) & (values < np.inf)))
            self.check(good, f".loss_param.{field}", "must be finite and ≥ 0")
        self.check_effect(self.ignore_label is not None, ".loss_param.exact_ignore", "there is no ignore_label")
        self.targets_warned = False
        self.weighted = self.class_weight is not None or self._weights_given(bottom)

    # --- shapes ------------------------------------------------------------------------------------

    def check_batch(self, bottom):
        """LayerError unless bottom[0] and bottom[1] have the same first size."""
        x, t = bottom[0].shape, bottom[1].shape
        if not x or x[:1] != t[:1]:
            self.fail(f"bottom[0] {x} and bottom[1] {t} must have the same first size, the batch")

    def check_same_size(self, bottom, hint_of_labels=""):
        """LayerError unless bottom[0] and bottom[1] have the same first size and as many values.

        The hint is for a bottom[1] with one number a sample, or one a pixel where bottom[0] has one a channel.
        """
        self.check_batch(bottom)
        x, t = bottom[0], bottom[1]
        if x.count != t.count:
            as_labels = t.count == t.shape[0] or (x.num_axes > 1 and t.count * x.shape[1] == x.count)
            self.fail(f"bottom[0] {x.shape} has {x.count} values, but bottom[1] {t.shape} has {t.count}",
                      hint=hint_of_labels if as_labels else "")

    def check_labels(self, bottom, cells, what):
        """LayerError unless there is one label for each of `cells`; `what` says how they are counted."""
        if bottom[1].count != cells:
            self.fail(f"bottom[0] {bottom[0].shape} needs {cells} labels, {what}, "
                      f"but bottom[1] {bottom[1].shape} has {bottom[1].count}")

    def check_weights(self, bottom, cells, classes=0):
        """LayerError unless weights are one a sample or one a cell, and class_weight one a class."""
        if self._weights_given(bottom):
            w, batch = bottom[self.weight_bottom], bottom[0].shape[0]
            if w.count not in (cells, batch):
                self.fail(f"bottom[{self.weight_bottom}] must hold {batch} weights, one a sample, or {cells}, "
                          f"one a cell, but its shape is {w.shape}")
        self.check(self.class_weight is None or len(self.class_weight) == classes, ".loss_param.class_weight",
                   f"must be given once for each of the {classes} classes")

    # --- which cells count, and how much -----------------------------------------------------------

    def read_labels(self, bottom, classes, shape):
        """The Cells of a loss with a label for each cell; arrays of `shape`, whose first size is the batch."""
        k, ignored = read_labels(self, bottom[1], classes, self.ignored_among(bottom[1].data.reshape(-1)))
        c, count = None if self.class_weight is None else self.class_weight[k], k.size
        w, out, valid = self._weigh(bottom, ignored, count, c)
        k, w, out = (a if a is None else a.reshape(shape) for a in (k, w, out))
        return Cells(shape[0], count, valid, w, out, k)

    def read_targets(self, bottom):
        """The Cells of a loss that compares bottom[0] and bottom[1] number by number; flat arrays."""
        x, c = bottom[0], self.class_weight
        if c is not None:  # one a channel, axis 1
            c = np.broadcast_to(c.reshape((-1,) + (1,) * (x.num_axes - 2)), x.shape).reshape(-1)
        w, out, valid = self._weigh(bottom, self.ignored_among(bottom[1].data.reshape(-1)), x.count, c)
        return Cells(x.shape[0], x.count, valid, w, out)

    def _weigh(self, bottom, ignored, count, c):
        """w, `out` and `valid` of the Cells, from the ignored cells and the class weight of each."""
        w = self.sample_weights(bottom, count)
        if c is not None:
            w = c if w is None else c * w
        if w is None:
            return None, ignored, count - (0 if ignored is None else int(np.count_nonzero(ignored)))
        w = w.copy() if ignored is None else np.where(ignored, 0, w)
        out = w == 0
        return w, out if out.any() else None, float(w.sum(dtype=np.float64))

    def ignored_among(self, values):
        """A mask of the labels or targets to leave out, or None when there is none."""
        return ignored_among(values, self.ignore_label, self.layer_param.loss_param.exact_ignore)

    def sample_weights(self, bottom, cells):
        """The weights in the optional bottom, one for each of `cells`, flat; None where there is no such bottom."""
        if not self._weights_given(bottom):
            return None
        w = bottom[self.weight_bottom].data
        good = (w >= 0) & (w < np.inf)
        if not good.all():
            at = first_index(~good)
            self.fail(f"the weight {w[at]:g} at index {at} of bottom[{self.weight_bottom}] {w.shape} "
                      "must be finite and ≥ 0", sample=sample_of(at))
        return w.reshape(-1) if w.size == cells else np.repeat(w.reshape(-1), cells // w.size)

    def _weights_given(self, bottom):
        return self.weight_bottom is not None and len(bottom) > self.weight_bottom

    def warn_of_targets(self, t):
        """Once a layer: UserWarning for targets outside [0, 1], whose cross entropy has no lower bound."""
        if self.targets_warned or not t.size or (t.min() >= 0 and t.max() <= 1):
            return
        outside = ~((t >= 0) & (t <= 1))
        ignored = self.ignored_among(t)
        if ignored is not None:
            outside &= ~ignored
        if not outside.any():
            return
        self.targets_warned, at = True, first_index(outside)
        low, high = np.nanmin(t[outside]), np.nanmax(t[outside])
        if t.size == t.shape[0] and low >= 0 and (t == np.trunc(t)).all() and high < 255:
            hint = CLASS_LABELS
        elif low >= 0 and high > 2:
            hint = "masks of 0 and 255 need transform_param { scale: 0.00390625 }"
        elif low == -1 and high == -1:
            hint = "labels of -1 and 1 must become 0 and 1; or is -1 what ignore_label should name?"
        else:
            hint = "a target is the probability that the answer is yes"
        warnings.warn(f"layer {self.name!r} ({self.type}): {np.count_nonzero(outside)} of {t.size} targets lie "
                      f"outside [0, 1], between {low:g} and {high:g}, the first {t[at]:g} at index {at} of "
                      f"bottom[1] {t.shape}; {hint}", stacklevel=2)

    # --- the sum and its divisor -----------------------------------------------------------------------

    def total(self, l, cells):
        """Σ w · l over the cells that count, in float64; l becomes w · l, 0 where a cell does not count."""
        self.apply(l, cells)
        return float(l.sum(dtype=np.float64))

    def apply(self, values, cells, factor=None, axis=None):
        """values ⊙ w · factor in place, 0 where a cell does not count; `axis` is the one that the cells lack."""
        if cells.w is not None:
            factor = cells.w if factor is None else cells.w * factor
        if factor is not None:
            values *= np.expand_dims(factor, axis) if axis is not None and np.ndim(factor) else factor
        if cells.out is not None:  # exactly 0, also where x is not finite
            np.copyto(values, 0, where=cells.out if axis is None else np.expand_dims(cells.out, axis))

    def divisor(self, cells):
        """Z, as the mode says; for VALID, how many cells are not ignored, or Σ w of them where there are weights."""
        if self.mode == "VALID" and self.weighted:
            return cells.valid or 1.0
        z = {"FULL": cells.count, "VALID": cells.valid, "BATCH_SIZE": cells.batch, "NONE": 1}[self.mode]
        return max(1.0, float(z))  # Caffe: a batch with nothing but ignored labels has loss 0, not 0 / 0

    def write_loss(self, top, total, cells):
        """top[0] = total / Z."""
        with np.errstate(over="ignore"):  # a loss beyond the largest number is inf
            top[0].data[...] = total / self.divisor(cells)

    def scale(self, top, cells):
        """loss_weight / Z, times `share`: the last factor of every gradient."""
        return float(top[0].diff) / self.divisor(cells) * self.share

    @property
    def z(self):
        """Z of the last forward pass."""
        return self.divisor(self.cells)

    @property
    def counted(self):
        return None if self.mode == "NONE" else float(self.cells.valid) if self.mode == "VALID" else self.z

    # --- loss_param --------------------------------------------------------------------------------------

    def _mode(self, p):
        if p.HasField("normalize"):
            ignored = ", and without effect beside normalization" if p.HasField("normalization") else ""
            new = "VALID" if p.normalize else "BATCH_SIZE"
            warn("softmax_loss_layer.cpp:27", f"layer {self.name!r} ({self.type}): loss_param.normalize is "
                 f"deprecated{ignored}: write normalization: {new} for normalize: {str(p.normalize).lower()}")
            if not ignored:
                return new
        return (LossParameter.NormalizationMode.Name(p.normalization) if p.HasField("normalization")
                else self.default_normalization)

    def check_fields(self, permissive=False):
        """LayerError also for what is set in loss_param but `unread` here (written 'loss_param.FIELD')."""
        super().check_fields(permissive)
        for field, _ in self.layer_param.loss_param.ListFields():
            if f"loss_param.{field.name}" in self.unread:
                self._unread_field(f"loss_param.{field.name}", permissive)

    def _take_loss_weights(self, num_tops):
        # a loss_weight given once for two tops is the loss's; Caffe aborts
        super()._take_loss_weights(1 if len(self.layer_param.loss_weight) == 1 else num_tops)
        self.loss_weights += [0.0] * (num_tops - len(self.loss_weights))


def read_labels(layer, label, classes, ignored):
    """The class of each label, flat; 0 where the mask `ignored` is set. Returns it and the mask.

    LayerError, with index and value, for a label that is no class.
    """
    values = label.data.reshape(-1)
    # Caffe: 2.9 is class 2 and −0.9 is class 0
    bad = ~((values > -1) & (values < classes))
    if ignored is not None:
        bad &= ~ignored
    if bad.any():
        _bad_label(layer, label.data, bad, classes)
    k = (values if ignored is None else np.where(ignored, 0, values)).astype(np.intp)
    return k, ignored


def ignored_among(values, ignore_label, exact=False):
    """A mask of the values that are `ignore_label`, or None when none is."""
    if ignore_label is None:
        return None
    # Caffe: what is compared is truncated, so ignore_label 0 leaves out the soft targets 0.9 and −0.9 too
    ignored = (values if exact else np.trunc(values)) == ignore_label
    return ignored if ignored.any() else None


def _bad_label(layer, label, bad, classes):
    at = first_index(bad.reshape(label.shape))
    more = np.count_nonzero(bad) - 1
    others = f" (and {more} more)" if more else ""
    layer.fail(f"the label {label[at]:g} at index {at} of bottom[1] {label.shape}{others} is none of the "
               f"{classes} classes 0 to {classes - 1}",
               hint="classes are counted from 0 and num_output is their number; "
                    "ignore_label names a label to leave out", sample=sample_of(at))


def first_index(mask):
    """The index of the first True of a mask, as a tuple of ints."""
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def sample_of(index):
    """Which sample of the batch an index points into."""
    return index[0] if index else 0


def times(a, b):
    """a · b, where 0 · ∞ is 0: what has no weight does not count, be it infinite."""
    product = a * b
    np.copyto(product, 0, where=a == 0)
    return product


def blocks(count):
    """Slices that cut `count` cells into blocks."""
    return (slice(i, i + BLOCK) for i in range(0, count, BLOCK))


def split_axes(shape, axis):
    """(outer, classes, inner): the sizes before, at and after an axis."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])
