"""Softmax with loss: minus the logarithm of the probability that the scores give to the true class."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.loss._labels import split_axes
from minicaffe.layers.loss._normalized_loss import UNCLIPPED, NormalizedLoss, log_softmax
from minicaffe.proto import LossParameter

FLT_MIN = float(np.finfo(np.float32).tiny)  # Caffe: the least probability whose logarithm is taken


@register("SoftmaxWithLoss")
class SoftmaxWithLossLayer(NormalizedLoss):
    """The cross entropy of p = softmax(x) and one true class a cell; the usual loss of a classifier.

    Forward   p[c] = exp(x[c]) / Σ exp(x[j])   along axis
              l = −log max(p[k], ε),   k the label of the cell, ε = 1.18e-38
              L = Σ w · l / Z   over the cells
    Backward  dx[c] = (p[c] − [c = k]) · w · λ / Z,   λ = loss_weight

    With γ > 0, cells that are already right count less: l is multiplied by (1 − p[k])^γ and dx by
    f = (1 − p[k])^γ · (1 − γ · p[k] · log p[k] / (1 − p[k])).
    Computed  kernels.softmax, kernels.class_loss, kernels.class_loss_grad: minicaffe/kernels/definitions/softmax.py;
              kernels.copy: minicaffe/kernels/definitions/copying.py;
              NormalizedLoss: minicaffe/layers/loss/_normalized_loss.py;
              Cells: minicaffe/layers/loss/_cells.py

    Bottom    x (N, …, C, …) scores;  label (N, …): a class in 0 … C−1 for each cell, that is each place of x
              without axis;  w, optional: a weight for each sample (N) or each cell
    Top       L, a scalar;  p, optional, the shape of x: to be read, no gradient flows back from it
    Params    loss_param: ignore_label (none): cells with this label do not count; exact_ignore (false);
              normalization (VALID): what Z is; normalize (deprecated); class_weight (none), one for each class;
              focal_gamma=γ (0)
              softmax_param: axis (1), engine (accepted, without effect, DEFAULT)
    Errors    LayerError when x has no such axis, the batch sizes differ, the number of labels, weights or
              class_weight does not fit, a label is none of the classes, a weight is negative or not finite
    Derived   docs/maths/loss.md#softmax-with-loss;
              docs/maths/loss.md#cells-weights-and-normalization for w and Z
    """

    message = "loss_param"
    param: LossParameter
    also_reads = ("softmax_param",)
    unread = ("pos_weight",)
    bottoms = (2, 3)
    tops = (1, 2)
    backward_reads = ()
    recordable = recordable_backward = can_dry_run = True
    default_normalization = "VALID"
    contains = "Softmax"
    decides = "one class"
    least_probability = FLT_MIN
    unclipped = False

    def reshape(self, bottom, top):
        x = bottom[0]
        self.axis = self.axis_of(x, ".softmax_param.axis")
        self.outer, self.classes, self.inner = split_axes(x.shape, self.axis)
        cells = self.outer * self.inner
        self.check_labels(bottom, cells, f"one for each place beside axis {self.axis}")
        self.check_weights(bottom, cells, self.classes)
        self.p = self.scratch(x.shape)
        self.own, self.wrong = self.scratch((cells,), np.int32), self.scratch((1,), np.int32)
        top[0].reshape(())
        for y in top[1:]:
            y.reshape_like(x)
        # the usual case: each cell counts once, so that the cells follow from the shapes
        self.alike = not (self.unclipped or self.param.focal_gamma or self.ignore_label is not None
                          or self.class_weight is not None or self._has_weight_bottom(bottom))
        self.recordable = self.recordable_backward = self.can_dry_run = self.alike
        if self.alike:
            self.cells = self.cells_alike(cells, self.outer)

    def forward(self, bottom, top):
        kernels.softmax(bottom[0].data, self.axis, out=self.p)
        for y in top[1:]:
            kernels.copy(self.p, y.data)
        if self.alike:
            label = bottom[1].data.reshape(-1)
            kernels.class_loss(self._of_cells(self.p), label, FLT_MIN, self.cells.Z, self.own, self.wrong, top[0].data)
            return
        cells, k = self.cells, self.k = self.read_labels(bottom, self.outer, self.classes, self.inner)
        p_k = self._of_cells(self.p)[k]
        l = -np.log(np.maximum(p_k, FLT_MIN))
        if self.unclipped:
            l = -self._of_cells(log_softmax(bottom[0].data, self.axis))[k]
        if self.param.focal_gamma:
            l *= (1 - p_k) ** self.param.focal_gamma
        top[0].data[...] = cells.weigh(l).sum(dtype=np.float64) / cells.Z

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        p, dx = self._of_cells(self.p), self._of_cells(bottom[0].diff)
        if self.alike:
            kernels.class_loss_grad(p, self.own, top[0].diff, self.cells.Z, self.share, dx)
            return
        k = self.k
        dx[...] = p
        dx[k] = p[k] - 1
        scale = self.scale(top)  # λ / Z
        self.cells.weigh(dx, self._focal_factor(p[k]) * scale if self.param.focal_gamma else scale)

    def gradient_from(self, t):
        return t == 0

    def check_values(self, bottom, top):
        if self.alike and self.wrong[0]:  # then this finds the first wrong label, and raises the error
            self.read_labels(bottom, self.outer, self.classes, self.inner)

    def recorded_numbers(self):
        return (self.share,)

    def make_exact(self):
        p = self._of_cells(self.p)
        p_k = np.take_along_axis(p, self.own.reshape(self.outer, 1, self.inner), 1) if self.alike else p[self.k]
        self.unclipped = bool((p_k < FLT_MIN).any())
        return UNCLIPPED if self.unclipped else ""

    def _of_cells(self, values):
        """Return values of the shape of x as (outer, C, inner): C numbers for each of outer · inner cells."""
        return values.reshape(self.outer, self.classes, self.inner)

    def _focal_factor(self, p_k):
        """Return f, by which γ multiplies the gradient of each cell."""
        gamma, q = self.param.focal_gamma, 1 - p_k
        ratio = np.full_like(q, -1)  # log p / (1 − p) goes to −1 where p goes to 1
        np.divide(np.log(np.maximum(p_k, FLT_MIN)), q, out=ratio, where=q > 0)
        return q ** gamma * (1 - gamma * p_k * ratio)
