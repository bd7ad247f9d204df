"""Infogain loss: a cross entropy in which a matrix says what each mistake costs."""

import numpy as np

from minicaffe import kernels
from minicaffe.io.binary import read_blob
from minicaffe.layer import register
from minicaffe.layers.loss._normalize import LOG_THRESHOLD, NormalizedLoss, split_axes


@register("InfogainLoss")
class InfogainLossLayer(NormalizedLoss):
    """SoftmaxWithLoss in which row k of H holds the weights of all classes for a cell of class k.

    With the identity for H it is SoftmaxWithLoss; with a diagonal H it weights the classes.

    Forward   p = softmax(x) along axis
              L = −Σ Σ H[k, c] · log max(p[c], ε) / Z   over cells and c, k the label, ε = 1e-20
    Backward  dx[c] = (p[c] · Σ H[k, j] − H[k, c]) · loss_weight / Z

    Bottom    x (N, …, C, …) scores;  label (N, …): a class in 0 … C−1 for each place of x without axis;
              H, optional: C·C values, row by row
    Top       L, a scalar;  p, optional, the shape of x: to be read, no gradient flows back from it
    Params    infogain_loss_param: source (a file with H, needed where no bottom gives H), axis
              loss_param: ignore_label, normalization (VALID), exact_ignore
    Errors    LayerError when x has no such axis, the batch sizes differ, the number of labels does not fit,
              a label is none of the classes, H is missing, given twice or not C·C;
              ProtoError when source cannot be read
    Derived   docs/maths/loss.md#infogain-loss
    """

    message = "infogain_loss_param"
    unread = ("loss_param.normalize", "loss_param.class_weight", "loss_param.pos_weight", "loss_param.focal_gamma")
    bottoms = (2, 3)
    tops = (1, 2)
    backward_reads = ()
    default_normalization = "VALID"
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
        self.check_batch(bottom)
        self.outer, self.C, self.inner = split_axes(x.shape, self.axis)
        self.check_labels(bottom, self.outer * self.inner, f"one a place beside axis {self.axis}")
        H = self._matrix(bottom)
        if H.size != self.C * self.C:
            self.fail(f"H must hold {self.C} · {self.C} values for bottom[0] {x.shape}, but its shape is {H.shape}")
        self.p = self.scratch(x.shape)
        top[0].reshape(())
        for y in top[1:]:
            y.reshape_like(x)

    def forward(self, bottom, top):
        p = kernels.softmax(bottom[0].data, self.axis, out=self.p)
        cells = self.cells = self.read_labels(bottom, self.C, (self.outer, self.inner))
        self.H = self._rows(bottom)
        log_p = np.log(np.maximum(p.reshape(self.H.shape), LOG_THRESHOLD))
        self.write_loss(top, self.total(-(self.H * log_p).sum(axis=1), cells), cells)
        for y in top[1:]:
            y.data[...] = p

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        H = self.H
        dx = bottom[0].diff.reshape(H.shape)
        np.multiply(self.p.reshape(H.shape), H.sum(axis=1, keepdims=True), out=dx)
        dx -= H
        self.apply(dx, self.cells, self.scale(top, self.cells), axis=1)

    def _matrix(self, bottom):
        return bottom[2].data if len(bottom) == 3 else self.matrix

    def _rows(self, bottom):
        """Row k of H for each cell: (outer, C, inner)."""
        return np.moveaxis(self._matrix(bottom).reshape(self.C, self.C)[self.cells.k], 2, 1)
