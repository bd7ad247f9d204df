"""Lstm: the LSTM of Caffe's forks, which is older than BVLC's LSTM and has other bottoms and other blobs."""

import numpy as np

from minicaffe import kernels
from minicaffe.blob import Blob
from minicaffe.layer import register
from minicaffe.layers.recurrent.lstm import LSTMLayer
from minicaffe.proto import LSTMParameter


@register("Lstm")
class LstmLayer(LSTMLayer):
    """Run an LSTM over T time steps of N streams, as the type LSTM does, with the blobs in another order.

    Forward   z_t = [z_i, z_f, z_o, z_g] = w_x x_t + b + w_h (δ_t · h_{t−1})
              i = σ(z_i),  f = δ_t · σ(z_f),  o = σ(z_o),  g = tanh(z_g)
              c_t = f · c_{t−1} + i · g,  y_t = h_t = o · tanh(c_t)
    Backward  from t = T down to 1, with dh_T = dy_T and dc_T = 0:
              e = dc_t + dh_t · o · (1 − tanh² c_t)
              dz_t = [e · g · i(1 − i), e · c_{t−1} · f(1 − f), dh_t · tanh(c_t) · o(1 − o), e · i · (1 − g²)]
              with a clipping_threshold above 0, no number of dz_t is larger than it, or smaller than its negative
              dc_{t−1} = e · f,  dh_{t−1} = dy_{t−1} + δ_t · w_hᵀ dz_t
              dw_x += Σ dz_t x_tᵀ,  dw_h += Σ dz_t (δ_t · h_{t−1})ᵀ,  db += Σ dz_t,  dx_t = w_xᵀ dz_t   over t
    With δ, h_0 and c_0 are the h_T and c_T of the forward pass before this one. Without δ, they are 0, and every stream
    begins at the first step. The diff of δ is 0, and no gradient passes from one batch to another.
    x_t, h_t and the like are the column of one stream here. In the code each stream has a row, so w_x x_t is x @ w_x.T.
    Computed  kernels.copy: minicaffe/kernels/definitions/copying.py;
              kernels.matmul: minicaffe/kernels/definitions/matmul.py;
              kernels.add_bias: minicaffe/kernels/definitions/channels.py;
              kernels.add_channel_sums: minicaffe/kernels/definitions/convolution.py;
              kernels.lstm, kernels.lstm_grad: minicaffe/kernels/definitions/recurrent.py;
              kernels.add_all: minicaffe/kernels/definitions/elementwise.py;
              RecurrentLayer: minicaffe/layers/recurrent/_unrolled.py

    Bottom    x (T · N, …) where batch_size is given or x has fewer than three axes: the rows of the first step, then
              those of the second;  else x (T, N, …);
              optional: δ, T · N numbers in any shape, `cont` in the code: 0 where a sequence begins, 1 where it goes on
    Top       y (T · N, D), or (T, N, D) for an x (T, N, …)
    Params    lstm_param: num_output=D (must be given), batch_size=N (1), weight_filler (absent:
              all 0), bias_filler (absent: all 0), clipping_threshold (no limit at 0, 0)
    Blobs     w_x (4D, features), w_h (4D, D), b (4D,)
    In place  no: the top has a shape of its own
    Errors    LayerError when num_output or batch_size is 0, when clipping_threshold is negative, when T · N is no
              multiple of batch_size, when the number of features changes, when δ has not T · N numbers
    Derived   docs/maths/recurrent.md#lstm
    See       junhyukoh's fork has x (T · N, …), CTPN's has x (T, N, …). Where δ is 0, their dw_h has a part of the
              sequence before, which is no part of the derivative. With N above 1 they read δ at the wrong places
    """

    message = "lstm_param"
    param: LSTMParameter  # type: ignore[assignment]  # the base has a RecurrentParameter
    recordable = recordable_backward = True
    can_dry_run = True
    recurrent = False  # its bottoms need not be (T, N, …) and (T, N)
    bottoms = (1, 2)
    tops = (1, 1)
    exposed, has_static = 0, False

    def setup(self, bottom, top):
        p, x = self.param, bottom[0]
        self.check(p.num_output > 0, "num_output", "must be positive")
        self.check(p.batch_size > 0, "batch_size", "must be positive")
        self.check(p.clipping_threshold >= 0, "clipping_threshold", "must be at least 0, which is no limit")
        if not x.num_axes:
            self.fail("bottom[0] must have an axis of T · N rows, but it is a scalar")
        self.by_rows = p.HasField("batch_size") or x.num_axes < 3
        self.D = p.num_output
        self.states = [Blob((1, self._steps(x)[1], self.D), self.dtype) for _ in range(self.num_states)]
        self.add_blob((4 * self.D, self._features(x)), p.weight_filler)
        self.add_blob((4 * self.D, self.D), p.weight_filler)
        self.add_blob((4 * self.D,), p.bias_filler)

    def reshape(self, bottom, top):
        x, features = bottom[0], self.blobs[0].shape[1]
        self.T, N = self._steps(x)
        if self._features(x) != features:
            self.fail(f"bottom[0] must keep its {features} features in each step, got {x.shape}")
        if len(bottom) == 2 and bottom[1].count != self.T * N:
            self.fail(f"bottom[1] must have one number for each of {self.T} steps of {N} streams, got "
                      f"{bottom[1].shape} with bottom[0] {x.shape}")
        top[0].reshape((self.T * N, self.D) if self.by_rows else (self.T, N, self.D))
        for state in self.states:
            state.reshape(1, N, self.D)
        self.z, self.dz = (self.scratch((self.T, N, 4 * self.D)) for _ in range(2))
        self.fed_back = self.scratch((self.T, N, self.D))
        self.c = self.scratch((self.T + 1, N, self.D))  # the cells before the first step, and after each
        if len(bottom) == 2:
            self.cont = self.scratch((self.T, N))
            self.recordable_backward = False  # no kernel fills the diff of δ
        else:
            self.cont = np.ones((self.T, N), self.dtype)
            self.cont[:1] = 0

    def forward(self, bottom, top):
        x, y, cont = self._rows(bottom[0].data), top[0].data, self.cont
        w_x, b = self.blobs[0].data, self.blobs[2].data
        if len(bottom) == 2:
            kernels.copy(bottom[1].data.reshape(cont.shape), cont)
        kernels.matmul(x, w_x.T, self._rows(self.z))  # z = x · w_xᵀ
        kernels.add_bias(self.z, b, 2, self.z)  # z += b
        last = self.unroll([state.data[0] for state in self.states], cont, y.reshape(self.fed_back.shape))
        if len(bottom) == 2:  # else h_0 and c_0 are 0 in each pass
            self.keep(last, self.states)

    def backward(self, top, propagate_down, bottom):
        self.unroll_back(self.cont, top[0].diff.reshape(self.fed_back.shape), self.param.clipping_threshold)
        x, dz, fed_back = (self._rows(a) for a in (bottom[0].data, self.dz, self.fed_back))
        w_x = self.blobs[0].data
        if self.param_propagate_down[0]:
            dw_x, add = self.blobs[0].diff_to_add()
            kernels.matmul(dz.T, x, dw_x, add=add)  # dw_x += dzᵀ · x
        if self.param_propagate_down[1]:
            dw_h, add = self.blobs[1].diff_to_add()
            kernels.matmul(dz.T, fed_back, dw_h, add=add)  # dw_h += dzᵀ · (δ · h one step before)
        if self.param_propagate_down[2]:
            db = self.blobs[2].diff
            kernels.add_channel_sums(dz, db)  # db += Σ dz
        if propagate_down[0]:
            dx = self._rows(bottom[0].diff)
            kernels.matmul(dz, w_x, dx)  # dx = dz · w_x
        if len(bottom) == 2 and propagate_down[1]:
            bottom[1].diff.fill(0)

    def goes_on(self, bottom):
        return bool(self.cont[0].any())

    def multiply_adds(self, bottom, top):
        w_x, w_h, _ = self.blobs
        return self.cont.size * (w_x.count + w_h.count)

    def gradient_to(self, j):
        return j == 0

    @property
    def w_h(self):
        return self.blobs[1]

    def _steps(self, x):
        """Return T and N for a bottom of the shape of x."""
        if not self.by_rows:
            return x.shape[:2]
        N = self.param.batch_size
        self.check(x.shape[0] % N == 0, "batch_size", f"must divide the rows of bottom[0] {x.shape}")
        return x.shape[0] // N, N

    def _features(self, x):
        """Return how many numbers x has for a step of a stream."""
        return x.count_between(1 if self.by_rows else 2)

    def _rows(self, values):
        """Return an array as a matrix with a row for each step of each stream."""
        rows = self.cont.size
        return values.reshape(rows, -1 if rows else 0)
