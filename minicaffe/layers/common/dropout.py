"""Dropout: train on a random part of the values, so that no unit can rely on a single other one."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import TRAIN, DropoutParameter


@register("Dropout")
class DropoutLayer(Layer):
    """Set each value to 0 with probability p while training; hand everything through while testing.

    Forward   y = x · m,  m = 1 / (1 − p) with probability 1 − p, else 0   (drawn anew for each value)
    Backward  dx = dy · m
    Computed  kernels.copy: minicaffe/kernels/definitions/copying.py;
              kernels.multiply: minicaffe/kernels/definitions/elementwise.py

    Bottom    x (any shape)
    Top       y, the shape of x
    Params    dropout_param: dropout_ratio=p (0 ≤ p < 1, 0.5), scale_train (true), sample_weights_test (false).
              scale_train: false is of the Fast R-CNN fork and others: m is 1 or 0, and TEST multiplies by 1 − p.
              sample_weights_test: true is of the SegNet fork: TEST does what TRAIN does, to average several passes.
              In the forks both fields have number 2, so a binary file does not tell them apart
    In place  yes: backward reads neither x nor y
    Phase     TRAIN as above, so that y has the mean of x; TEST: y = x and dx = dy. In a training, m follows from the
              seed, the update, the part of the batch and the layer's name
    Errors    LayerError when dropout_ratio is below 0, or 1 or more
    Derived   docs/maths/common.md#dropout;
              docs/maths/chance.md#passes for what the draws depend on
    See       Srivastava et al., JMLR 15, 2014
    """

    message = "dropout_param"
    fork_fields = ("scale_train", "sample_weights_test")
    param: DropoutParameter
    in_place = True
    backward_reads = ()
    recordable = True
    passes_on = True

    def setup(self, bottom, top):
        self.p = self.param.dropout_ratio
        self.check(0 <= self.p < 1, "dropout_ratio", "must be at least 0 and below 1")
        self.draws = self.phase == TRAIN or self.param.sample_weights_test
        self.scale_drawn = 1 / (1 - self.p) if self.param.scale_train else 1.0
        self.scale_all = 1.0 if self.param.scale_train else 1 - self.p
        self.recordable = not self.draws and self.scale_all == 1  # a recording has only calls of kernels
        self.recordable_backward = self.draws

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])
        if self.draws:
            self.m = self.scratch(bottom[0].shape)

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        if self.draws:
            np.multiply(self.rng.random(x.shape) >= self.p, self.scale_drawn, out=self.m)
            np.multiply(x, self.m, out=y)
        elif self.scale_all != 1:
            np.multiply(x, self.scale_all, out=y)
        elif y is not x:
            kernels.copy(x, y)

    def backward(self, top, propagate_down, bottom):
        if not propagate_down[0]:
            return
        dy, dx = top[0].diff, bottom[0].diff
        if self.draws:
            kernels.multiply(dy, self.m, dx)
        elif self.scale_all != 1:
            np.multiply(dy, self.scale_all, out=dx)
        elif dy is not dx:
            dx[...] = dy
