"""LSTMUnit: one time step of an LSTM, after the matrix products."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register


@register("LSTMUnit")
class LSTMUnitLayer(Layer):
    """Update a cell: forget part of it, add part of the input, and output part of the result.

    Forward   i = σ(x_i),  f = δ · σ(x_f),  o = σ(x_o),  g = tanh(x_g)
              c = f · c0 + i · g,  h = o · tanh(c)
    Backward  e = dc + dh · o · (1 − tanh²c),  dc0 = e · f
              dx = [e · g · i(1 − i), e · c0 · f(1 − f), dh · tanh(c) · o(1 − o), e · i · (1 − g²)]
    Computed  kernels.lstm_unit, kernels.lstm_unit_grad: minicaffe/kernels/definitions/recurrent.py

    Bottom    c0 (1, N, D): the cells before;  x = [x_i, x_f, x_o, x_g] (1, N, 4D): the gates' inputs;
              δ (1, N), `cont` in the code: 0 where a sequence begins, 1 where it continues
    Top       c (1, N, D): the cells;  h (1, N, D): what they show
    In place  no: backward reads c0, x's gates and c
    Errors    LayerError when the shapes do not fit, and when a gradient is asked for δ
    Derived   docs/maths/recurrent.md#lstm
    See       Hochreiter and Schmidhuber, Neural Computation 9, 1997
    """

    bottoms = 3
    tops = 2
    backward_reads = ("bottom", "top")

    def reshape(self, bottom, top):
        c0, x, cont = (b.shape for b in bottom)
        if len(c0) != 3 or c0[0] != 1:
            self.fail(f"bottom[0] must be (1, N, D), got {c0}")
        _, N, D = c0
        if x != (1, N, 4 * D):
            self.fail(f"bottom[1] must be (1, N, 4D) = {(1, N, 4 * D)} with bottom[0] {c0}, got {x}")
        if cont != (1, N):
            self.fail(f"bottom[2] must be (1, N) = {(1, N)} with bottom[0] {c0}, got {cont}")
        top[0].reshape(c0)
        top[1].reshape(c0)
        self.gates = self.scratch((N, 4 * D))

    def forward(self, bottom, top):
        c0, x, cont = (b.data[0] for b in bottom)
        kernels.lstm_unit(c0, x, cont, gates=self.gates, c=top[0].data[0], h=top[1].data[0])

    def backward(self, top, propagate_down, bottom):
        if propagate_down[2]:
            self.fail("cannot backpropagate to bottom[2], the sequence indicators", hint="set propagate_down: false")
        dc, dh, c0, c = top[0].diff[0], top[1].diff[0], bottom[0].data[0], top[0].data[0]
        # the kernel writes both gradients; one that is not needed goes to memory that is dropped
        dc0, dx = (b.diff[0] if asked else np.empty_like(b.data[0])
                   for b, asked in zip(bottom[:2], propagate_down, strict=False))
        kernels.lstm_unit_grad(c0, self.gates, c, dc, dh, dc_prev=dc0, dx=dx)

    def allow_force_backward(self, bottom_index):
        return bottom_index != 2

    def numbers_for(self, j, bottom, draw):
        return draw.integers(2, size=bottom[2].shape) if j == 2 else None
