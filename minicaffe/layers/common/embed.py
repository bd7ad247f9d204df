"""Embed: look up a learned vector for each index, such as a word's number."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import EmbedParameter


@register("Embed")
class EmbedLayer(Layer):
    """Replace each index by its row of a learned table: InnerProduct for one-hot vectors, without the vectors.

    Forward   y[i] = w[x[i]] (+ b with bias_term)
    Backward  dw[r] += Σ dy[i]   over all i with x[i] = r
              db += Σ dy[i]   over all i
    Computed  kernels.scatter_add: minicaffe/kernels/definitions/embedding.py

    Bottom    x (any shape): indices from 0 to R − 1; fractions are cut off
    Top       y (the shape of x, K)
    Params    embed_param: num_output=K (must be given), input_dim=R (must be given), bias_term (true), weight_filler
              (absent: all 0), bias_filler (absent: all 0)
    Blobs     w (R, K);  b (K,) with bias_term
    In place  no: the top has a shape of its own
    Errors    LayerError when num_output or input_dim is 0, when an index is out of range, and when a gradient is
              asked for x
    Derived   docs/maths/common.md#embed
    """

    message = "embed_param"
    param: EmbedParameter

    def setup(self, bottom, top):
        p = self.param
        self.check(p.num_output > 0, "num_output", "must be positive")
        self.check(p.input_dim > 0, "input_dim", "must be positive")
        self.R, self.K = p.input_dim, p.num_output
        self.add_blob((self.R, self.K), p.weight_filler)
        if p.bias_term:
            self.add_blob((self.K,), p.bias_filler)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape, self.K)

    def forward(self, bottom, top):
        w, y = self.blobs[0].data, top[0].data.reshape(-1, self.K)
        self.index = self._checked(bottom[0])
        np.take(w, self.index, axis=0, out=y, mode="clip")  # checked above; other modes need a buffer as large as y
        if self.param.bias_term:
            b = self.blobs[1].data
            y += b

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            self.fail("cannot backpropagate to bottom[0], which holds indices",
                      hint="set propagate_down: false for it")
        dy = top[0].diff.reshape(-1, self.K)
        if self.param_propagate_down[0]:
            dw = self.blobs[0].diff
            kernels.scatter_add(dy, self.index, out=dw)  # dw[index[i]] += dy[i]
        if self.param.bias_term and self.param_propagate_down[1]:
            db = self.blobs[1].diff
            db += dy.sum(axis=0)

    def allow_force_backward(self, bottom_index):
        return False

    def numbers_for(self, j, bottom, draw):
        return draw.integers(self.R, size=bottom[0].shape)

    def _checked(self, bottom):
        """Return the indices in a bottom as whole numbers, flat; raise a LayerError where one names no row of w."""
        x = bottom.data.reshape(-1)
        # Caffe: a fraction is cut off, so −0.5 is 0. NaN is refused here, before processors differ in its cast
        wrong = np.flatnonzero(~((x > -1) & (x < self.R)))
        if wrong.size:
            i = int(wrong[0])
            self.fail(f"bottom[0] must hold indices from 0 to {self.R - 1} (input_dim {self.R}), "
                      f"but value {i} of {x.size} is {x[i]:g}",
                      sample=i // bottom.count_between(1))
        return x.astype(np.intp)
