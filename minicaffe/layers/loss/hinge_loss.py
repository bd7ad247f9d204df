"""Hinge loss: the true class must score above 1 and every other below −1."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.loss._normalized_loss import NormalizedLoss
from minicaffe.proto import HingeLossParameter


@register("HingeLoss")
class HingeLossLayer(NormalizedLoss):
    """Train one classifier for each class against all others, as a support vector machine does.

    Forward   m[c] = max(0, 1 + s[c] · x[c]),   s[c] = −1 for the label's class, 1 for the others
              l = Σ m[c]   for norm L1,   Σ m[c]²   for norm L2,   over the classes c
              L = Σ w · l / Z   over the samples
    Backward  dx[c] = s[c] · [m[c] > 0] · w · λ / Z   for L1,   2 · s[c] · m[c] · w · λ / Z   for L2,
              λ = loss_weight
    Computed  NormalizedLoss: minicaffe/layers/loss/_normalized_loss.py;
              Cells: minicaffe/layers/loss/_cells.py

    Bottom    x (N, …): C scores a sample;  label: N classes in 0 … C−1;  w, optional: N weights
    Top       L, a scalar
    Params    hinge_loss_param: norm (L1)
              loss_param: ignore_label (none): samples with this label do not count; exact_ignore (false);
              normalization (BATCH_SIZE): what Z is; normalize (deprecated); class_weight (none), one for each class
    Errors    LayerError when the batch sizes differ, the number of labels, weights or class_weight does not fit,
              a label is none of the classes, a weight is negative or not finite
    Derived   docs/maths/loss.md#hinge-loss;
              docs/maths/loss.md#cells-weights-and-normalization for w and Z
    """

    message = "hinge_loss_param"
    param: HingeLossParameter
    unread = ("loss_param.pos_weight", "loss_param.focal_gamma")
    bottoms = (2, 3)
    decides = "one class"

    def setup(self, bottom, top):
        super().setup(bottom, top)
        self.squared = self.param.norm == self.param.L2

    def reshape(self, bottom, top):
        self.check_batch(bottom)
        self.N, self.classes = bottom[0].shape[0], bottom[0].count_between(1)
        self.check_labels(bottom, self.N, "one for each sample")
        self.check_weights(bottom, self.N, self.classes)
        top[0].reshape(())

    def forward(self, bottom, top):
        self.cells, self.k = self.read_labels(bottom, self.N, self.classes)
        m = self._margins(bottom)
        l = (m * m if self.squared else m).sum(axis=1, keepdims=True)
        top[0].data[...] = self.cells.weigh(l).sum(dtype=np.float64) / self.cells.Z

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        m, dx = self._margins(bottom), bottom[0].diff.reshape(self.N, self.classes, 1)
        dx[...] = self._times_s(2 * m if self.squared else np.sign(m))  # m is never negative, so sign(m) is [m > 0]
        self.cells.weigh(dx, self.scale(top))

    def _margins(self, bottom):
        """Return m, (N, C, 1): by how much each score misses its margin."""
        m = self._times_s(bottom[0].data.reshape(self.N, self.classes, 1).copy())
        m += 1
        return np.maximum(m, 0, out=m)

    def _times_s(self, values):
        """Multiply values by s in place, and return them: only the number of the label's class changes its sign."""
        values[self.k] *= -1
        return values
