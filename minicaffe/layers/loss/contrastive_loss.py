"""Contrastive loss: similar pairs pull together, dissimilar ones push apart up to a margin."""

import numpy as np

from minicaffe.layer import LossLayer, register
from minicaffe.proto import ContrastiveLossParameter

EPSILON = 1e-4  # Caffe: added to the distance that the gradient divides by, so that it is never 0


@register("ContrastiveLoss")
class ContrastiveLossLayer(LossLayer):
    """Learn a space where the features of similar things are near; the loss of a siamese net.

    Forward   v = a − b,   d = |v|   for each pair, m = margin
              l = d² / 2 for a similar pair, else max(m − d, 0)² / 2,
                  in the legacy version max(m − d², 0) / 2
              L = Σ l / N   over the pairs
    Backward  da = f · v · λ / N,   db = −da,   λ = loss_weight
              f = 1 for a similar pair, else −max(m − d, 0) / (d + 1e-4),
                  in the legacy version −[m > d²]

    Bottom    a, b (N, …) features;  s, N numbers: 0 for a dissimilar pair, else similar (truncated: 0.9 is 0)
    Top       L, a scalar
    Params    contrastive_loss_param: margin=m (1), legacy_version (false)
    Errors    LayerError when a and b differ in N or in the number of features, s has not N values or is not finite,
              margin is negative
    Derived   docs/maths/loss.md#contrastive-loss
    See       Hadsell, Chopra and LeCun, CVPR 2006
    """

    message = "contrastive_loss_param"
    param: ContrastiveLossParameter
    bottoms = 3
    label_bottoms = (2,)

    epsilon = EPSILON

    def setup(self, bottom, top):
        self.check(self.param.margin >= 0, "margin", "must be at least 0, it is a distance")
        self.caution(self.param.margin > 0, "margin", "is 0, so no pair is pushed apart")

    def reshape(self, bottom, top):
        a, b, s = bottom
        if not a.shape or a.shape[:1] != b.shape[:1] or a.count != b.count:
            self.fail(f"bottom[0] {a.shape} and bottom[1] {b.shape} must hold as many features for as many samples")
        self.N, self.features = a.shape[0], a.count_between(1)
        if s.count != self.N:
            self.fail(f"bottom[2] {s.shape} must say for each of the {self.N} pairs whether it is similar")
        top[0].reshape(())

    def forward(self, bottom, top):
        m = self.param.margin
        self.similar = self._read_similar(bottom)
        _, d2 = self._distances(bottom)
        # twice l, and L is halved at the end
        apart = np.maximum(m - d2, 0) if self.param.legacy_version else np.maximum(m - np.sqrt(d2), 0) ** 2
        l2 = np.where(self.similar, d2, apart)  # l = l2 / 2
        top[0].data[...] = l2.sum(dtype=np.float64) / max(self.N, 1) / 2

    def backward(self, top, propagate_down, bottom):
        m = self.param.margin
        v, d2 = self._distances(bottom)
        d = np.sqrt(d2)
        apart = (m > d2) * -1.0 if self.param.legacy_version else -np.maximum(m - d, 0) / (d + self.epsilon)
        f = np.where(self.similar, 1, apart)
        v *= (f * (float(top[0].diff) / max(self.N, 1)))[:, None]
        for i, sign in ((0, 1), (1, -1)):
            if propagate_down[i]:
                np.multiply(v.reshape(bottom[i].shape), sign, out=bottom[i].diff)

    def make_exact(self):
        self.epsilon = np.finfo(np.float64).tiny
        return f"without the {EPSILON:g} that Caffe adds to the distance in backward alone"

    def numbers_for(self, j, bottom, draw):
        return draw.integers(2, size=bottom[j].shape) if j == 2 else None

    def _distances(self, bottom):
        """Return v = a − b, a row for each pair, and d², the squared length of each row."""
        a, b = (blob.data.reshape(self.N, self.features) for blob in bottom[:2])
        v = a - b
        return v, (v * v).sum(axis=1)

    def _read_similar(self, bottom):
        """Return an array with True for each similar pair; raise a LayerError where s is not a finite number."""
        s = bottom[2].data.reshape(-1)
        if not np.isfinite(s).all():
            n = int(np.argmin(np.isfinite(s)))
            self.fail(f"bottom[2] {bottom[2].shape} says {s[n]} of pair {n}, where 0 is dissimilar and 1 similar",
                      sample=n)
        return np.trunc(s) != 0  # Caffe: a cast to a whole number
