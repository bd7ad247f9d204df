"""Smooth L1 loss: the square of a small difference, and the length of a large one."""

import numpy as np

from minicaffe.layer import LossLayer, register
from minicaffe.proto import SmoothL1LossParameter


@register("SmoothL1Loss")
class SmoothL1LossLayer(LossLayer):
    """The loss of a regression that far targets do not rule, such as that of boxes in Fast R-CNN.

    Forward   d = w_in · (x − t)
              l = σ² · d² / 2 where |d| < 1 / σ²,  else |d| − 1 / (2 · σ²)
              L = Σ w_out · l / N
    Backward  dx = w_in · w_out · l′ · λ / N,   dt = −dx,   λ = loss_weight
              l′ = σ² · d where |d| < 1 / σ²,  else the sign of d

    Bottom    x (N, …), t the shape of x;  w_in, w_out, optional, the shape of x: weights before and after the loss is
              taken, 1 without them. A w_in of 0 leaves the number out
    Top       L, a scalar;  optional, for (N, C, …): Σ w_out · l over the channels, (N, 1, …), to be read: no gradient
              flows back from it
    Params    smooth_l1_loss_param: sigma=σ (1), the larger, the smaller the part that is a square
    Errors    LayerError when the shapes differ, σ is not positive, or there is a second top
              for an x with one axis
    Derived   docs/maths/loss.md#smooth-l1-loss
    See       Girshick, Fast R-CNN, ICCV 2015. The forks of Fast R-CNN, R-FCN, Intel, jolibrain and cascade-rcnn have
              this layer. The second top is cascade-rcnn's. jolibrain's version for CPUs leaves w_out out of L. The
              first Fast R-CNN and R-FCN alone take three bottoms: their dx lacks the factor w_in, which is 0 or 1 in
              their nets, and R-FCN divides by N · H · W
    """

    message = "smooth_l1_loss_param"
    param: SmoothL1LossParameter
    bottoms = (2, 4)
    tops = (1, 2)
    label_bottoms = (2, 3)

    def setup(self, bottom, top):
        self.check(self.param.sigma > 0, "sigma", "must be positive")

    def reshape(self, bottom, top):
        x = bottom[0]
        for i, other in enumerate(bottom[1:], 1):
            if other.shape != x.shape and _squeezed(other.shape) != _squeezed(x.shape):
                self.fail(f"bottom[{i}] {other.shape} must have the shape of bottom[0] {x.shape}")
        if not x.num_axes:
            self.fail("bottom[0] must have an axis for the batch, but it is a scalar")
        self.N = max(x.shape[0], 1)  # Caffe: an empty batch has the loss 0, not 0 / 0
        self.d = self.scratch(x.shape)
        top[0].reshape(())
        for places in top[1:]:
            if x.num_axes < 2:
                self.fail(f"bottom[0] {x.shape} must have a channel axis for a second top")
            places.reshape(x.shape[0], 1, *x.shape[2:])

    def forward(self, bottom, top):
        x, t, *weights = (blob.data.reshape(bottom[0].shape) for blob in bottom)
        s2, d = self.param.sigma ** 2, self.d
        np.subtract(x, t, out=d)
        if weights:
            d *= weights[0]
        a = np.abs(d)
        l = np.where(a < 1 / s2, s2 / 2 * d * d, a - 0.5 / s2)
        for w_out in weights[1:]:
            l *= w_out
        top[0].data[...] = l.sum(dtype=np.float64) / self.N
        for places in top[1:]:
            l.sum(axis=1, keepdims=True, out=places.data)

    def backward(self, top, propagate_down, bottom):
        s2, d = self.param.sigma ** 2, self.d
        slope = np.where(np.abs(d) < 1 / s2, s2 * d, np.sign(d))  # l′ = σ² · d, or the sign of d
        for blob in bottom[2:]:
            slope *= blob.data.reshape(d.shape)
        slope *= float(top[0].diff) / self.N * self.share
        for i, sign in ((0, 1), (1, -1)):
            if propagate_down[i]:
                np.multiply(slope.reshape(bottom[i].shape), sign, out=bottom[i].diff)

    def gradient_from(self, t):
        return t == 0

    @property
    def counted(self):
        return float(self.N)


def _squeezed(shape):
    """Return a shape without its axes of size 1 at the end: (N, 84) and (N, 84, 1, 1) hold the same numbers."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
