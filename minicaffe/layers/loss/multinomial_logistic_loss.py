"""Multinomial logistic loss: minus the logarithm of the probability that was given to the true class."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.loss._normalized_loss import LOG_THRESHOLD, NormalizedLoss
from minicaffe.proto import LossParameter


@register("MultinomialLogisticLoss")
class MultinomialLogisticLossLayer(NormalizedLoss):
    """The cross entropy of given probabilities and one true class a sample.

    For scores take SoftmaxWithLoss: it is softmax and this loss in one, and its gradient stays exact where
    that of 1 / p here explodes.

    Forward   l = −log max(p[k], ε),   k the label of the sample, ε = 1e-20
              L = Σ w · l / Z   over the samples
    Backward  dp[k] = −1 / max(p[k], ε) · w · λ / Z,   0 for every other class;   λ = loss_weight
    Computed  NormalizedLoss: minicaffe/layers/loss/_normalized_loss.py;
              Cells: minicaffe/layers/loss/_cells.py

    Bottom    p (N, …): C probabilities a sample;  label: N classes in 0 … C−1;  w, optional: N weights
    Top       L, a scalar
    Params    loss_param: ignore_label (none): samples with this label do not count; exact_ignore (false);
              normalization (BATCH_SIZE): what Z is; normalize (deprecated); class_weight (none), one for each class
    Errors    LayerError when the batch sizes differ, the number of labels, weights or class_weight does not fit,
              a label is none of the classes, a weight is negative or not finite
    Derived   docs/maths/loss.md#multinomial-logistic-loss;
              docs/maths/loss.md#cells-weights-and-normalization for w and Z
    """

    message = "loss_param"
    param: LossParameter
    also_reads = ()
    unread = ("pos_weight", "focal_gamma")
    bottoms = (2, 3)
    least_probability = LOG_THRESHOLD
    decides = "one class"
    exact = False

    def reshape(self, bottom, top):
        self.check_batch(bottom)
        self.N, self.classes = bottom[0].shape[0], bottom[0].count_between(1)
        self.check_labels(bottom, self.N, "one for each sample")
        self.check_weights(bottom, self.N, self.classes)
        top[0].reshape(())

    def forward(self, bottom, top):
        cells, k = self.cells, self.k = self.read_labels(bottom, self.N, self.classes)
        p = bottom[0].data.reshape(self.N, self.classes, 1)
        self.clipped = p[k] < LOG_THRESHOLD
        l = -np.log(np.maximum(p[k], LOG_THRESHOLD))
        top[0].data[...] = cells.weigh(l).sum(dtype=np.float64) / cells.Z

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        p, dp = (values.reshape(self.N, self.classes, 1) for values in (bottom[0].data, bottom[0].diff))
        dp.fill(0)
        dp[self.k] = -1 / np.maximum(p[self.k], LOG_THRESHOLD)
        self.cells.weigh(dp, self.scale(top))
        if self.exact:
            dp[self.k] *= ~self.clipped

    def make_exact(self):
        self.exact = bool(self.clipped.any())
        return "with the gradient 0 where p[k] < ε: Caffe's backward has −1 / ε there" if self.exact else ""

    def numbers_for(self, j, bottom, draw):
        if j:
            return super().numbers_for(j, bottom, draw)
        p = draw.uniform(0.2, 1, (self.N, self.classes))
        return (p / p.sum(axis=1, keepdims=True)).reshape(bottom[0].shape)
