"""Sigmoid cross entropy: how surprised independent yes/no predictions are by what is true."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.loss._normalize import CLASS_LABELS, NormalizedLoss, blocks, times
from minicaffe.log import number


@register("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLossLayer(NormalizedLoss):
    """The cross entropy of the probability σ(x) and a target t; each cell is a yes/no question of its own.

    Forward   l = −t · log σ(x) − (1 − t) · log(1 − σ(x))
                = x · d + log(1 + exp(−|x|)),   d = [x ≥ 0] − t
              L = Σ w · l / Z   over the cells
    Backward  dx = (σ(x) − t) · w · loss_weight / Z

    Bottom    x (N, …) scores, not yet through a Sigmoid;  t, as many targets in [0, 1], N first;
              w, optional: a weight for each sample (N) or each cell
    Top       L, a scalar;  optional: w · l, the shape of x, not divided by Z, 0 where ignored
    Params    loss_param: ignore_label, normalization (BATCH_SIZE), normalize (deprecated), exact_ignore,
              class_weight (one a channel, axis 1), pos_weight=α and focal_gamma=γ, which make
              l = −α · t · (1 − p)^γ · log p − (1 − t) · p^γ · log(1 − p)  of p = σ(x)
    Errors    LayerError when the batch sizes or the counts of x and t differ, the number of weights or of
              class_weight does not fit, a weight is negative or not finite;
              UserWarning, once, for targets outside [0, 1]
    Derived   docs/maths/loss.md#sigmoid-cross-entropy
    """

    message = "loss_param"
    also_reads = ()
    bottoms = (2, 3)
    tops = (1, 2)
    contains = "Sigmoid"
    default_normalization = "BATCH_SIZE"  # Caffe: though its .proto says VALID; so L is a sum over a sample's cells

    def setup(self, bottom, top):
        super().setup(bottom, top)
        self.alpha = self.param.pos_weight if self.param.HasField("pos_weight") else 1.0
        self.gamma = self.param.focal_gamma
        self.plain = self.alpha == 1 and self.gamma == 0

    def reshape(self, bottom, top):
        x = bottom[0]
        self.check_same_size(bottom, CLASS_LABELS)
        self.check_weights(bottom, x.count, x.shape[1] if x.num_axes > 1 else 1)
        top[0].reshape(())
        for y in top[1:]:
            y.reshape_like(x)

    def forward(self, bottom, top):
        x, t = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        cells = self.cells = self.read_targets(bottom)
        total = 0.0
        for part in blocks(x.size):
            l = self._loss(x[part], t[part])
            total += self.total(l, cells.part(part))
            for y in top[1:]:
                y.data.reshape(-1)[part] = l
        self.write_loss(top, total, cells)
        self.warn_of_targets(bottom[1].data)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        x, t, dx = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1), bottom[0].diff.reshape(-1)
        scale = self.scale(top, self.cells)
        for part in blocks(x.size):
            slope = self._slope(x[part], t[part])
            self.apply(slope, self.cells.part(part))
            # the second top is w · l undivided, so that its gradient joins in without the 1 / Z
            dx[part] = slope * (scale + top[1].diff.reshape(-1)[part] if len(top) == 2 else scale)

    def yes_no_answers(self, bottom):
        return bottom[0].count / self.z if self.z else 0.0

    def why_unbounded(self, bottom):
        t = bottom[1].data
        if not t.size or (np.nanmin(t) >= 0 and np.nanmax(t) <= 1):
            return ""
        return (f"the targets of layer {self.name!r} run from {number(float(np.nanmin(t)))} to "
                f"{number(float(np.nanmax(t)))}, but outside [0, 1] its loss has no least value; masks of 0 and 255 "
                "need scale: 0.00390625")

    def _loss(self, x, t):
        if not self.plain:
            A, B, _, _, focus_A, focus_B = self._logs(x)
            return self.alpha * times(t, focus_A * A) + times(1 - t, focus_B * B)
        l = times(self._distance(x, t), x)
        l += np.log1p(np.exp(-np.abs(x)))  # the exponent is never above 0; log1p keeps what 1 + … rounds away
        return l

    def _slope(self, x, t):
        if not self.plain:
            A, B, p, q, focus_A, focus_B = self._logs(x)
            return ((1 - t) * focus_B * (p + self.gamma * times(q, B))
                    - self.alpha * t * focus_A * (q + self.gamma * times(p, A)))
        e = np.exp(-np.abs(x))
        r = e / (1 + e)  # σ(−|x|), the smaller of σ(x) and 1 − σ(x)
        return self._distance(x, t) - np.copysign(r, x)  # σ(x) − t, of which no digit is lost for large |x|

    @staticmethod
    def _distance(x, t):
        """d = [x ≥ 0] − t: how far the target is from the answer that the sign of x gives (−0 counts as negative)."""
        return np.logical_not(np.signbit(x)) - t

    def _logs(self, x):
        """A = −log p, B = −log(1 − p), p, q = 1 − p, and the focal factors q^γ of A and p^γ of B."""
        A, B = np.logaddexp(0, -x), np.logaddexp(0, x)
        g = self.gamma
        return A, B, np.exp(-A), np.exp(-B), np.exp(-g * B) if g else 1.0, np.exp(-g * A) if g else 1.0
