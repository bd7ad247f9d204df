"""The base of the losses that are a weighted sum over cells, divided by a number: all but ContrastiveLoss."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from minicaffe.layer import LossLayer
from minicaffe.layers.loss._cells import Cells
from minicaffe.layers.loss._labels import classes_of, first_index, ignored_among, sample_of
from minicaffe.log import At, warn
from minicaffe.proto import LossParameter

LOG_THRESHOLD = 1e-20  # Caffe: kLOG_THRESHOLD, the least probability whose logarithm is taken
UNCLIPPED = "without ε: some probabilities are smaller, where Caffe's forward is constant, but its backward is not 0"


def log_softmax(x, axis):
    """Return log softmax(x) along an axis, also where the probability is smaller than any number."""
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


class NormalizedLoss(LossLayer):
    """A loss that is a sum over cells, one cell for each label or target.

    Forward   L = Σ w · l / Z   over the cells that are not ignored
    Backward  dx = w · ∂l/∂x · λ / Z,   exactly 0 at ignored cells

    l   the loss of one cell. The subclass computes it, and ∂l/∂x
    w   the weight of the cell: the weight of the cell or of its sample, given by an optional last bottom, times its
        class_weight; 1 where neither is given
    Z   the divisor of the sum, chosen by `normalization`:
        FULL          the number of cells, ignored ones too
        VALID         the number of cells that are not ignored; where there are weights, the sum of their weights
        BATCH_SIZE    the size of the batch; for labels along an axis, the product of the sizes before that axis
        NONE          1
    λ   loss_weight

    A subclass writes three methods. `reshape` calls the checks. `forward` calls `read_labels` or `read_targets`, stores
    the resulting Cells, and writes `cells.weigh(l).sum(dtype=np.float64) / cells.Z`. The sum is computed in float64,
    because a float32 sum of millions of cells goes wrong. `backward` writes `cells.weigh(slope, self.scale(top))`.

    default_normalization   the normalization where loss_param does not give one
    weight_bottom           the index of the optional bottom with weights; None for a loss without one
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
        self.normalization = self._normalization(p)
        self.class_weight = np.array(p.class_weight, self.dtype) if p.class_weight else None
        for field in ("class_weight", "pos_weight", "focal_gamma"):
            values = np.array(getattr(p, field))
            good = bool(np.all((values >= 0) & (values < np.inf)))
            self.check(good, f".loss_param.{field}", "must be finite and ≥ 0")
        self.check_effect(self.ignore_label is not None, ".loss_param.exact_ignore", "there is no ignore_label")

    # --- which cells count, and with what weight -----------------------------------------------------------

    def read_labels(self, bottom, batch, classes, inner=1):
        """Return the Cells of a loss with one label for each cell, and an index k.

        x[k] is the score of each cell's own class. For scores x of the shape (batch, classes, inner), both x[k] and
        the arrays of the Cells have the shape (batch, 1, inner). So numpy broadcasts the weight of a cell over its
        scores.
        """
        ignored = self.ignored_among(bottom[1].data.reshape(-1))
        own = classes_of(self, bottom[1], classes, ignored)
        c = None if self.class_weight is None else self.class_weight[own]
        k = np.arange(batch)[:, None, None], own.reshape(batch, 1, inner), np.arange(inner)
        return self._make_cells(bottom, ignored, c, batch, (batch, 1, inner)), k

    def cells_alike(self, count, batch):
        """Return the Cells of a loss in which every cell counts once."""
        return Cells(None, None, count, self._divisor(count, count, batch, False))

    def read_targets(self, bottom):
        """Return the Cells of a loss that compares bottom[0] and bottom[1] number by number; their arrays are flat."""
        x, c = bottom[0], self.class_weight
        if c is not None:  # one weight for each channel, axis 1
            c = np.broadcast_to(c.reshape((-1,) + (1,) * (x.num_axes - 2)), x.shape).reshape(-1)
        return self._make_cells(bottom, self.ignored_among(bottom[1].data.reshape(-1)), c, x.shape[0], (x.count,))

    def _make_cells(self, bottom, ignored, c, batch, shape):
        """Return the Cells, given which of them are `ignored` and the class weight c of each.

        None for `ignored` means none of them, None for c means 1.
        """
        count = math.prod(shape)
        w = self._given_weights(bottom, count)
        if c is not None:
            w = c if w is None else c * w
        if w is None:  # as in most nets: then no array of ones is made and multiplied by
            silent, valid = ignored, count - (0 if ignored is None else int(np.count_nonzero(ignored)))
        else:
            w = w.copy() if ignored is None else np.where(ignored, 0, w)
            silent, valid = w == 0, float(w.sum(dtype=np.float64))
            silent = silent if silent.any() else None  # None saves `weigh` a pass over all values
        w, silent = (a if a is None else a.reshape(shape) for a in (w, silent))
        return Cells(w, silent, valid, self._divisor(count, valid, batch, w is not None))

    def _given_weights(self, bottom, count):
        """Return the weights that the optional bottom gives, one for each of `count` cells; None without it."""
        if not self._has_weight_bottom(bottom):
            return None
        w = bottom[self.weight_bottom].data
        good = (w >= 0) & (w < np.inf)
        if not good.all():
            at = first_index(~good)
            self.fail(f"the weight {w[at]:g} at index {at} of bottom[{self.weight_bottom}] {w.shape} "
                      "must be finite and ≥ 0", sample=sample_of(at))
        return w.reshape(-1) if w.size == count else np.repeat(w.reshape(-1), count // w.size)  # one for each sample

    def _has_weight_bottom(self, bottom):
        """Return whether the optional bottom with weights is there."""
        return self.weight_bottom is not None and len(bottom) > self.weight_bottom

    def ignored_among(self, values):
        """Return an array with True where a label or target is to be ignored; None where none is."""
        return ignored_among(values, self.ignore_label, self.layer_param.loss_param.exact_ignore)

    # --- what the sum is divided by ------------------------------------------------------------------------

    def _divisor(self, count, valid, batch, weighted):
        """Return Z, which `normalization` chooses."""
        Z = {"FULL": count, "VALID": valid, "BATCH_SIZE": batch, "NONE": 1}[self.normalization]
        if self.normalization == "VALID" and weighted:
            return Z or 1.0  # a sum of weights may be small: halving all weights must change nothing
        return max(1.0, float(Z))  # Caffe: a batch with nothing but ignored labels has the loss 0, not 0 / 0

    def scale(self, top):
        """Return λ / Z, the last factor of every gradient. `Forward` has put λ into the diff of the first top.

        `share` is 1, except where a solver makes one update from several passes.
        """
        return float(top[0].diff) / self.cells.Z * self.share

    @property
    def z(self):
        """Z of the last forward pass."""
        return self.cells.Z

    @property
    def counted(self):
        if self.normalization == "NONE":
            return None
        return float(self.cells.valid) if self.normalization == "VALID" else self.cells.Z

    # --- checks of shapes ----------------------------------------------------------------------------------

    def check_batch(self, bottom):
        """Raise a LayerError unless bottom[0] and bottom[1] have the same first size."""
        x, t = bottom[0].shape, bottom[1].shape
        if not x or x[:1] != t[:1]:
            self.fail(f"bottom[0] {x} and bottom[1] {t} must have the same first size, the batch")

    def check_same_size(self, bottom, hint_of_labels=""):
        """Raise a LayerError unless bottom[0] and bottom[1] have the same first size and equally many values.

        The hint is given where bottom[1] looks like class labels: it has one number for each sample, or one for each
        pixel while bottom[0] has one for each channel of the pixel.
        """
        self.check_batch(bottom)
        x, t = bottom[0], bottom[1]
        if x.count != t.count:
            as_labels = t.count == t.shape[0] or (x.num_axes > 1 and t.count * x.shape[1] == x.count)
            self.fail(f"bottom[0] {x.shape} has {x.count} values, but bottom[1] {t.shape} has {t.count}",
                      hint=hint_of_labels if as_labels else "")

    def check_labels(self, bottom, cells, what):
        """Raise a LayerError unless there are `cells` labels; `what` says in the message how they are counted."""
        self.check_batch(bottom)
        if bottom[1].count != cells:
            self.fail(f"bottom[0] {bottom[0].shape} needs {cells} labels, {what}, "
                      f"but bottom[1] {bottom[1].shape} has {bottom[1].count}")

    def check_weights(self, bottom, cells, classes=0):
        """Raise a LayerError unless there is a weight for each sample or cell, and a class_weight for each class."""
        if self._has_weight_bottom(bottom):
            w, batch = bottom[self.weight_bottom], bottom[0].shape[0]
            if w.count not in (cells, batch):
                self.fail(f"bottom[{self.weight_bottom}] must hold {batch} weights, one for each sample, or {cells}, "
                          f"one for each cell, but its shape is {w.shape}")
        self.check(self.class_weight is None or len(self.class_weight) == classes, ".loss_param.class_weight",
                   f"must be given once for each of the {classes} classes")

    # --- loss_param and loss_weight ------------------------------------------------------------------------

    def _normalization(self, p):
        """Return the name of the mode in a LossParameter; warn where the deprecated `normalize` is set."""
        if p.HasField("normalize"):
            ignored = ", and without effect beside normalization" if p.HasField("normalization") else ""
            new = "VALID" if p.normalize else "BATCH_SIZE"
            warn(At.LOSS_NORMALIZATION, f"layer {self.name!r} ({self.type}): loss_param.normalize is "
                 f"deprecated{ignored}: write normalization: {new} for normalize: {str(p.normalize).lower()}")
            if not ignored:
                return new
        return (LossParameter.NormalizationMode.Name(p.normalization) if p.HasField("normalization")
                else self.default_normalization)

    def check_fields(self, permissive=False):
        """Refuse a field of loss_param too that this loss does not read; `unread` has it as "loss_param.FIELD"."""
        super().check_fields(permissive)
        for field, _ in self.layer_param.loss_param.ListFields():
            if f"loss_param.{field.name}" in self.unread:
                self._unread_field(f"loss_param.{field.name}", permissive)

    def _take_loss_weights(self, num_tops):
        """Set the loss weights; a single one beside two tops is that of the first, the loss. Caffe aborts there."""
        super()._take_loss_weights(1 if len(self.layer_param.loss_weight) == 1 else num_tops)
        self.loss_weights += [0.0] * (num_tops - len(self.loss_weights))
