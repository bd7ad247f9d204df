"""The loss engine: which cells count, what each weighs, and what their sum is divided by."""

import math
import warnings
from typing import ClassVar

import numpy as np

from minicaffe.layer import LossLayer
from minicaffe.log import warn
from minicaffe.proto import LossParameter

LOG_THRESHOLD = 1e-20  # Caffe: kLOG_THRESHOLD, the least probability whose logarithm is taken
CLASS_LABELS = ("are they class labels? this loss answers a yes/no question for each score; for one class a sample "
                "take SoftmaxWithLoss, with as many scores as there are classes")
BLOCK = 1 << 16  # cells worked on at a time: they stay in cache, and no second large array is made


class NormalizedLoss(LossLayer):
    """The base of every loss that is a weighted sum of cells, one cell for each label or target.

    Forward   L = Σ w_i · l_i / Z   over the cells that are not ignored, summed in float64
    Backward  dx = loss_weight / Z · w_i · ∂l_i/∂x, and exactly 0 at ignored cells

    w   the weight of the cell or of its sample (an optional last bottom) times its class_weight; 1 without
    Z   FULL: all cells, ignored ones too;  VALID: the cells not ignored, under weights Σ w_i;
        BATCH_SIZE: the size of the batch (for labels along an axis: the product of the axes before it);  NONE: 1

    A subclass knows l_i and its slope; it calls `setup`, the checks from `reshape`, then `total` or its own
    loop over `blocks`, then `divisor`, `write_loss`, and in backward `scale`.

    default_normalization   what Caffe divides by where loss_param says nothing
    weight_bottom           the index of the optional bottom with weights, or None
    """

    also_reads: ClassVar[tuple[str, ...]] = ("loss_param",)
    label_bottoms: ClassVar[tuple[int, ...]] = (1, 2)
    default_normalization: ClassVar[str] = "BATCH_SIZE"
    weight_bottom: ClassVar[int | None] = 2

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

    def check_same_size(self, bottom, hint_one_a_sample=""):
        """LayerError unless bottom[0] and bottom[1] have the same first size and as many values.

        The hint is for a bottom[1] with one number a sample.
        """
        self.check_batch(bottom)
        x, t = bottom[0], bottom[1]
        if x.count != t.count:
            self.fail(f"bottom[0] {x.shape} has {x.count} values, but bottom[1] {t.shape} has {t.count}",
                      hint=hint_one_a_sample if t.count == t.shape[0] else "")

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

    def read_cells(self, bottom, classes, shape):
        """From the labels: self.k (class), self.ignored (a mask, or None), self.w (weights, or None); of `shape`."""
        k, ignored = read_labels(self, bottom[1], classes, self.ignored_among(bottom[1].data.reshape(-1)))
        w = self.sample_weights(bottom, k.size)
        if self.class_weight is not None:
            w = self.class_weight[k] * (1 if w is None else w)
        if w is not None and ignored is not None:
            w = np.where(ignored, 0, w)
        self.k, self.ignored, self.w = (a if a is None else a.reshape(shape) for a in (k, ignored, w))

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

    def total(self, l):
        """Σ w · l over the cells that `read_cells` left in, in float64; sets `self.valid`."""
        if self.ignored is not None:
            l[self.ignored] = 0
        if self.w is not None:
            self.valid = float(self.w.sum(dtype=np.float64))
            l *= self.w
        else:
            self.valid = l.size - (0 if self.ignored is None else int(np.count_nonzero(self.ignored)))
        return float(l.sum(dtype=np.float64))

    def divisor(self, batch, cells):
        """Z, from `self.valid`: how many cells are not ignored, or Σ w of them where there are weights."""
        if self.mode == "VALID" and self.weighted:
            return self.valid or 1.0
        z = {"FULL": cells, "VALID": self.valid, "BATCH_SIZE": batch, "NONE": 1}[self.mode]
        return max(1.0, float(z))  # Caffe: a batch with nothing but ignored labels has loss 0, not 0 / 0

    def write_loss(self, top, total, batch, cells):
        """top[0] = total / Z; Z stays for `scale`."""
        self.z = self.divisor(batch, cells)
        with np.errstate(over="ignore"):  # a loss beyond the largest number is inf
            top[0].data[...] = total / self.z

    def scale(self, top):
        """loss_weight / Z, times `share`: the last factor of every gradient."""
        return float(top[0].diff) / self.z * self.share

    @property
    def counted(self):
        return None if self.mode == "NONE" else float(self.valid) if self.mode == "VALID" else self.z

    def apply_cells(self, dx, axis, factor=1.0):
        """dx ⊙ w · factor along `axis`, and 0 at ignored cells: the gradient of the weighted cells."""
        if self.w is not None:
            factor = self.w * factor
        dx *= np.expand_dims(factor, axis) if np.ndim(factor) else factor
        if self.ignored is not None:
            np.copyto(dx, 0, where=np.expand_dims(self.ignored, axis))  # 0 even where x is not finite

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
