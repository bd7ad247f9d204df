"""Sigmoid cross entropy: how far the predicted probabilities of yes/no answers are from the targets."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.loss._cells import blocks, times
from minicaffe.layers.loss._focal import focal_loss, focal_slope
from minicaffe.layers.loss._normalized_loss import NormalizedLoss
from minicaffe.layers.loss._targets import CLASS_LABELS, targets_outside, warn_of_targets
from minicaffe.proto import LossParameter


@register("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLossLayer(NormalizedLoss):
    """The cross entropy of a probability p = σ(x) and a target t; each score is a yes/no question of its own.

    Forward   l = −t · log p − (1 − t) · log(1 − p),   p = σ(x) = 1 / (1 + exp(−x))
                = d · x + log(1 + u),   d = [x ≥ 0] − t,   u = exp(−|x|)
              L = Σ w · l / Z   over the cells; a cell is a score with its target
    Backward  ∂l/∂x = p − t
                    = d − sign(x) · r,   r = u / (1 + u)
              dx = w · (p − t) · (λ / Z + g),   λ = loss_weight,   g the gradient of the second top, 0 without it

    The code computes the second line of each, which is the same number: no exponent is ever above 0, so nothing
    overflows. [x ≥ 0] is 1 or 0, and sign(0) is 1. w is 1 and Z is N unless w or the fields below say otherwise.
    Computed  times, Cells: minicaffe/layers/loss/_cells.py;
              focal_loss, focal_slope: minicaffe/layers/loss/_focal.py;
              NormalizedLoss: minicaffe/layers/loss/_normalized_loss.py

    Bottom    x (N, …) scores, not yet through a Sigmoid;  t, as many targets in [0, 1], N first;
              w, optional: a weight for each sample (N) or each cell
    Top       L, a scalar;  optional: w · l, the shape of x, not divided by Z, 0 where ignored
    Params    loss_param: ignore_label (none): cells with this target do not count; exact_ignore (false):
              compare t as it is, not cut to a whole number; normalization (BATCH_SIZE): what Z is, see
              NormalizedLoss; normalize (deprecated); class_weight (none), one for each channel, axis 1;
              pos_weight=α (1) and focal_gamma=γ (0), which make
              l = −α · t · (1 − p)^γ · log p − (1 − t) · p^γ · log(1 − p)
    Errors    LayerError when the batch sizes or the counts of x and t differ, the number of weights or of
              class_weight does not fit, a weight is negative or not finite;
              UserWarning, once, for targets outside [0, 1]
    Derived   docs/maths/loss.md#sigmoid-cross-entropy;
              docs/maths/loss.md#cells-weights-and-normalization for w and Z

    Two samples of three questions each. The second answer of the second sample is unknown, so its target is −1 and
    is ignored. The sum of the five costs is 4.5735, and Z is 2, the size of the batch:

    >>> from minicaffe import Blob
    >>> x, t, L, wl = Blob((2, 3)), Blob((2, 3)), Blob(()), Blob((2, 3))
    >>> x.data[...] = [[0, 2, -1], [1, 0, -2]]
    >>> t.data[...] = [[1, 1, 0], [0, -1, 1]]
    >>> layer = SigmoidCrossEntropyLossLayer(loss_param={"ignore_label": -1})
    >>> layer.SetUp([x, t], [L, wl])
    >>> print(f"{layer.Forward([x, t], [L, wl]):.4f}")
    2.2868
    >>> print(wl.data.round(4))
    [[0.6931 0.1269 0.3133]
     [1.3133 0.     2.1269]]
    >>> layer.Backward([L, wl], [True, False], [x, t])
    >>> print(x.diff.round(4))  # (p − t) / 2
    [[-0.25   -0.0596  0.1345]
     [ 0.3655  0.     -0.4404]]
    """

    message = "loss_param"
    param: LossParameter
    also_reads = ()
    bottoms = (2, 3)
    tops = (1, 2)
    contains = "Sigmoid"  # for the linter, which warns of scores that have been through a Sigmoid layer already
    decides = "yes or no"
    # Caffe: BATCH_SIZE, though its .proto says VALID. So L is a sum over the cells of a sample, and a mean over samples
    default_normalization = "BATCH_SIZE"

    def setup(self, bottom, top):
        super().setup(bottom, top)
        self.alpha = self.param.pos_weight if self.param.HasField("pos_weight") else 1.0
        self.gamma = self.param.focal_gamma
        self.focal = self.alpha != 1 or self.gamma != 0  # else the formulas are the plain ones, which cost less
        self.targets_warned = False

    def reshape(self, bottom, top):
        x = bottom[0]
        self.check_same_size(bottom, CLASS_LABELS)
        self.check_weights(bottom, x.count, x.shape[1] if x.num_axes > 1 else 1)
        top[0].reshape(())
        for wl in top[1:]:
            wl.reshape_like(x)

    def forward(self, bottom, top):
        x, t = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        cells = self.cells = self.read_targets(bottom)
        total = 0.0
        for block in blocks(x.size):  # a part of the cells at a time, so that it stays in the processor's cache
            wl = cells[block].weigh(self._loss(x[block], t[block]))
            total += wl.sum(dtype=np.float64)
            for y in top[1:]:
                y.data.reshape(-1)[block] = wl
        top[0].data[...] = total / cells.Z
        self.targets_warned = self.targets_warned or warn_of_targets(self, bottom[1].data)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        x, t, dx = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1), bottom[0].diff.reshape(-1)
        scale = self.scale(top)  # λ / Z
        for block in blocks(x.size):
            factor = scale
            if len(top) == 2:  # λ / Z + g; the second top, w · l, is not divided by Z, and so g isn't either
                factor = scale + top[1].diff.reshape(-1)[block]
            dx[block] = self.cells[block].weigh(self._slope(x[block], t[block])) * factor

    def numbers_for(self, j, bottom, draw):
        return draw.integers(2, size=bottom[j].shape) if j == 1 else super().numbers_for(j, bottom, draw)

    def yes_no_answers(self, bottom):
        return bottom[0].count / self.z

    def why_unbounded(self, bottom):
        return targets_outside(self, bottom[1].data)

    def _loss(self, x, t):
        """Return l of each cell."""
        if self.focal:
            return focal_loss(x, t, self.alpha, self.gamma)
        d = ~np.signbit(x) - t  # [x ≥ 0] − t, with the sign bit for the same reason as in _slope
        u = np.exp(-np.abs(x))
        # `times` and not *, for 0 · ∞ is NaN, and a right answer must cost nothing. log1p(u) keeps a u so small that it
        # would be lost in 1 + u
        return times(d, x) + np.log1p(u)

    def _slope(self, x, t):
        """Return ∂l/∂x of each cell, which is p − t."""
        if self.focal:
            return focal_slope(x, t, self.alpha, self.gamma)
        # the sign bit and not x >= 0, because copysign goes by the sign bit: for both of them −0 is negative
        d = ~np.signbit(x) - t
        u = np.exp(-np.abs(x))
        r = u / (1 + u)
        # p − t loses its digits where p is nearly 1; d and r keep theirs
        return d - np.copysign(r, x)
