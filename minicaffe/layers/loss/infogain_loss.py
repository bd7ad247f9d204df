"""Infogain loss: a cross entropy in which a matrix says what each mistake costs."""

import numpy as np

from minicaffe import kernels
from minicaffe.io.binary import read_blob
from minicaffe.layer import register
from minicaffe.layers.loss._labels import split_axes
from minicaffe.layers.loss._normalized_loss import LOG_THRESHOLD, UNCLIPPED, NormalizedLoss, log_softmax
from minicaffe.proto import InfogainLossParameter


@register("InfogainLoss")
class InfogainLossLayer(NormalizedLoss):
    """SoftmaxWithLoss in which row k of H holds the weights of all classes for a cell of class k.

    With the identity for H it is SoftmaxWithLoss; with a diagonal H it weights the classes.

    Forward   p[c] = exp(x[c]) / Σ exp(x[j])   along axis
              l = −Σ H[k, c] · log max(p[c], ε)   over the classes c, k the label of the cell, ε = 1e-20
              L = Σ l / Z   over the cells
    Backward  dx[c] = (p[c] · Σ H[k, j] − H[k, c]) · λ / Z,   λ = loss_weight
    Computed  kernels.softmax: minicaffe/kernels/definitions/softmax.py;
              NormalizedLoss: minicaffe/layers/loss/_normalized_loss.py;
              Cells: minicaffe/layers/loss/_cells.py

    Bottom    x (N, …, C, …) scores;  label (N, …): a class in 0 … C−1 for each cell, that is each place of x
              without axis;  H, optional: C·C values, row by row
    Top       L, a scalar;  p, optional, the shape of x: to be read, no gradient flows back from it
    Params    infogain_loss_param: source (absent: H is a bottom), the file with H; axis (1)
              loss_param: ignore_label (none): cells with this label do not count; exact_ignore (false);
              normalization (VALID): what Z is
    Errors    LayerError when x has no such axis, the batch sizes differ, the number of labels does not fit,
              a label is none of the classes, H is missing, given twice or not C·C;
              ProtoError when source cannot be read
    Derived   docs/maths/loss.md#infogain-loss;
              docs/maths/loss.md#cells-weights-and-normalization for w and Z
    """

    message = "infogain_loss_param"
    param: InfogainLossParameter
    unread = ("loss_param.normalize", "loss_param.class_weight", "loss_param.pos_weight", "loss_param.focal_gamma")
    bottoms = (2, 3)
    tops = (1, 2)
    backward_reads = ()
    default_normalization = "VALID"
    contains = "Softmax"
    decides = "one class"
    least_probability = LOG_THRESHOLD
    unclipped = False
    weight_bottom = None

    def setup(self, bottom, top):
        super().setup(bottom, top)
        given = self.param.HasField("source")
        if len(bottom) == 2 and not given:
            self.fail("H is missing", hint="name a file in infogain_loss_param.source, or give H as bottom[2]")
        self.check(len(bottom) == 2 or not given, "source", "cannot be given beside bottom[2], which holds H")
        self.matrix = read_blob(self.param.source).astype(self.dtype) if given else None

    def reshape(self, bottom, top):
        x = bottom[0]
        self.axis = self.axis_of(x)
        self.outer, self.classes, self.inner = split_axes(x.shape, self.axis)
        self.check_labels(bottom, self.outer * self.inner, f"one for each place beside axis {self.axis}")
        H, C = self._matrix(bottom), self.classes
        if H.size != C * C:
            self.fail(f"H must hold {C} · {C} values for bottom[0] {x.shape}, but its shape is {H.shape}")
        self.p = self.scratch(x.shape)
        top[0].reshape(())
        for y in top[1:]:
            y.reshape_like(x)

    def forward(self, bottom, top):
        kernels.softmax(bottom[0].data, self.axis, out=self.p)
        cells, k = self.read_labels(bottom, self.outer, self.classes, self.inner)
        self.cells, self.H_k = cells, self._rows(bottom, k)
        log_p = np.log(np.maximum(self.p, LOG_THRESHOLD))
        if self.unclipped:
            log_p = log_softmax(bottom[0].data, self.axis)
        l = -(self.H_k * log_p.reshape(self.H_k.shape)).sum(axis=1, keepdims=True)
        top[0].data[...] = cells.weigh(l).sum(dtype=np.float64) / cells.Z
        for y in top[1:]:
            y.data[...] = self.p

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        H_k = self.H_k
        p, dx = self.p.reshape(H_k.shape), bottom[0].diff.reshape(H_k.shape)
        np.multiply(p, H_k.sum(axis=1, keepdims=True), out=dx)
        dx -= H_k
        self.cells.weigh(dx, self.scale(top))

    def gradient_from(self, t):
        return t == 0

    def make_exact(self):
        self.unclipped = bool((self.p < LOG_THRESHOLD).any())
        return UNCLIPPED if self.unclipped else ""

    def _matrix(self, bottom):
        """Return H, from bottom[2] where it is given there, else from the file."""
        return bottom[2].data if len(bottom) == 3 else self.matrix

    def _rows(self, bottom, k):
        """Return the row of H that belongs to each cell's class: (outer, C, inner). k is what `read_labels` returns."""
        classes = k[1][:, 0]  # k indexes three axes, and the middle one is that of the classes
        return np.moveaxis(self._matrix(bottom).reshape(self.classes, self.classes)[classes], 2, 1)
