"""Eltwise: combine blobs of one shape number by number."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import EltwiseParameter


@register("Eltwise")
class EltwiseLayer(Layer):
    """Add, multiply or take the largest of the numbers at the same place, as a residual block adds its shortcut.

    Forward   SUM   y = Σ c[i] · x[i]
              PROD  y = Π x[i]
              MAX   y = max x[i]
    Backward  SUM   dx[i] = c[i] · dy
              PROD  dx[i] = dy · Π x[j] over j ≠ i;  without stable_prod_grad dy · y / x[i], quicker for
                    many bottoms, but not a number where x[i] = 0
              MAX   dx[i] = dy where x[i] was the largest, else 0;  where several are equal, the first of
                    x[1], x[0], x[2], x[3], … counts as the largest
    Computed  kernels.weighted_sum, kernels.maximum, kernels.multiply: minicaffe/kernels/definitions/elementwise.py;
              kernels.linear: minicaffe/kernels/definitions/maps.py

    Bottom    x[0], x[1], … (at least two, equal shapes)
    Top       y, the same shape
    Params    eltwise_param: operation (SUM), coeff=c (SUM alone; absent: all 1), stable_prod_grad (PROD alone, true)
    In place  no: backward reads the bottoms
    Errors    LayerError when coeff is given for PROD or not once for each bottom, when shapes differ
    Derived   docs/maths/utility.md#eltwise
    """

    message = "eltwise_param"
    param: EltwiseParameter
    bottoms = (2, None)
    recordable = True

    def setup(self, bottom, top):
        p, c = self.param, list(self.param.coeff)
        self.check(not c or p.operation != p.PROD, "coeff", "is read by operation SUM, not by PROD")
        self.check(len(c) in (0, len(bottom)), "coeff", f"must be given once for each of the {len(bottom)} bottoms")
        self.check_effect(p.operation == p.SUM, "coeff", "the operation is MAX")
        self.check_effect(p.operation == p.PROD, "stable_prod_grad", "the operation is not PROD")
        self.c = c or [1.0] * len(bottom)

    def reshape(self, bottom, top):
        for i, x in enumerate(bottom):
            if x.shape != bottom[0].shape:
                self.fail(f"all bottoms must have one shape: bottom[0] is {bottom[0].shape}, bottom[{i}] {x.shape}")
        top[0].reshape_like(bottom[0])
        # with backward, MAX also finds out which bottom wins; numpy does so, and a recording holds kernels alone
        self.recordable = self.param.operation != self.param.MAX or not self.runs_backward
        if not self.recordable:
            self.winner = self.scratch(bottom[0].shape, np.int32)

    def forward(self, bottom, top):
        p, x, y = self.param, [blob.data for blob in bottom], top[0].data
        if p.operation == p.MAX:
            self._max(x, y)
        elif p.operation == p.PROD:
            _product(x, out=y)
        else:
            kernels.weighted_sum(x, self.c, y)

    def backward(self, top, propagate_down, bottom):
        p, x, dy = self.param, [blob.data for blob in bottom], top[0].diff
        for i in range(len(x)):
            if not propagate_down[i]:
                continue
            dx = bottom[i].diff
            if p.operation == p.MAX:
                dx[...] = np.where(self.winner == i, dy, 0)
            elif p.operation == p.SUM:
                kernels.linear(dy, self.c[i], 0.0, dx)
            elif p.stable_prod_grad:
                _product([*x[:i], *x[i + 1:], dy], out=dx)
            else:  # Caffe: the whole product over one factor, 0 / 0 included
                np.divide(_product(x, out=np.empty_like(dx)), x[i], out=dx)
                dx *= dy

    def _max(self, x, y):
        """Write max x[i] into y, and for backward the number of the bottom that wins at each place."""
        if self.runs_backward:
            # Caffe: of two equal numbers in bottoms 0 and 1 the second wins, from bottom 2 on the earlier one
            np.greater_equal(x[1], x[0], out=self.winner)
        kernels.maximum(x[0], x[1], y)
        for i in range(2, len(x)):
            if self.runs_backward:
                self.winner[x[i] > y] = i
            kernels.maximum(y, x[i], y)


def _product(factors, out):
    """Write the product of two or more arrays into out, which must not be one of them, and return out."""
    kernels.multiply(factors[0], factors[1], out)
    for factor in factors[2:]:
        kernels.multiply(out, factor, out)
    return out
