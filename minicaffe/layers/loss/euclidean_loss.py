"""Euclidean loss: half the squared distance between two blobs, averaged over the batch."""

import numpy as np

from minicaffe.layer import register
from minicaffe.layers.loss._cells import blocks
from minicaffe.layers.loss._normalized_loss import NormalizedLoss


@register("EuclideanLoss")
class EuclideanLossLayer(NormalizedLoss):
    """Half the squared distance of two blobs, the loss of a regression; both may be learned.

    Forward   l = (a − b)² / 2
              L = Σ w · l / Z   over the cells; a cell is a pair of numbers
    Backward  da = w · (a − b) · λ / Z,   λ = loss_weight
              db = −da
    Computed  NormalizedLoss: minicaffe/layers/loss/_normalized_loss.py;
              Cells: minicaffe/layers/loss/_cells.py

    Bottom    a (N, …);  b, N first, as many values;  w, optional: a weight for each sample (N) or each cell
    Top       L, a scalar
    Params    loss_param: normalization (BATCH_SIZE): what Z is; normalize (deprecated)
    Errors    LayerError when the batch sizes or the counts of a and b differ, the number of weights does not
              fit, a weight is negative or not finite
    Derived   docs/maths/loss.md#euclidean-loss;
              docs/maths/loss.md#cells-weights-and-normalization for w and Z
    """

    unread = ("loss_param.ignore_label", "loss_param.class_weight", "loss_param.pos_weight",
              "loss_param.focal_gamma", "loss_param.exact_ignore")
    bottoms = (2, 3)
    label_bottoms = (2,)

    def reshape(self, bottom, top):
        self.check_same_size(bottom)
        self.check_weights(bottom, bottom[0].count)
        top[0].reshape(())

    def forward(self, bottom, top):
        a, b = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        cells = self.cells = self.read_targets(bottom)
        total = 0.0
        for some in blocks(a.size):
            v = a[some] - b[some]
            total += cells[some].weigh(v * v).sum(dtype=np.float64) / 2  # l = v² / 2
        top[0].data[...] = total / cells.Z

    def backward(self, top, propagate_down, bottom):
        a, b = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        for i, sign in ((0, 1), (1, -1)):
            if propagate_down[i]:
                dx = bottom[i].diff.reshape(-1)
                np.subtract(a, b, out=dx)
                dx *= sign * self.scale(top)
                self.cells.weigh(dx)
