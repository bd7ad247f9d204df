"""A plain recurrent net: each hidden state follows from the input and from the hidden state one step before."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.recurrent._unrolled import RecurrentLayer


@register("RNN")
class RNNLayer(RecurrentLayer):
    """Run a recurrent net with one tanh layer of state and one of output over T time steps of N streams.

    Forward   h_t = tanh(w_x x_t + b + w_s x_static + w_h (δ_t · h_{t−1}))
              y_t = tanh(w_o h_t + b_o)
    Backward  do_t = dy_t · (1 − y_t²),  dw_o += Σ do_t h_tᵀ,  db_o += Σ do_t   over t
              from t = T down to 1, with dz_{T+1} = 0:
              dz_t = (w_oᵀ do_t + δ_{t+1} · w_hᵀ dz_{t+1}) · (1 − h_t²)
              dw_x += Σ dz_t x_tᵀ,  dw_h += Σ dz_t (δ_t · h_{t−1})ᵀ,  db += Σ dz_t,  dx_t = w_xᵀ dz_t   over t
              dw_s += (Σ dz_t) x_staticᵀ,  dx_static = w_sᵀ Σ dz_t   over t
    No gradient passes from one batch to another: the diff of h_0 is 0, that of h_T is not read.
    x_t, h_t and the like are the column of one stream here. In the code each stream has a row, so w_x x_t is x @ w_x.T.
    Computed  kernels.matmul: minicaffe/kernels/definitions/matmul.py;
              RecurrentLayer: minicaffe/layers/recurrent/_unrolled.py

    Bottom    x (T, N, …);  δ (T, N), `cont` in the code: 0 where a sequence begins, 1 where it continues;
              optionally x_static (N, …), the same in every step;  with expose_hidden: h_0 (1, N, D)
    Top       y (T, N, D);  with expose_hidden: h_T (1, N, D)
    Params    recurrent_param: num_output=D (must be given, 0), weight_filler (absent: all 0), bias_filler (absent: all
              0), expose_hidden (false), debug_info (print mean absolute values of each step, false)
    Blobs     w_x (D, features), b (D,), w_s (D, static features) if x_static is given, w_h (D, D), w_o (D, D), b_o (D,)
    In place  no: the top has a shape of its own
    Errors    LayerError when num_output is 0, when shapes do not fit or T changes, and when a gradient is asked for δ
    Derived   docs/maths/recurrent.md#rnn
    See       Elman, Cognitive Science 14, 1990
    """

    bottoms = (2, 4)
    tops = (1, 2)

    def setup(self, bottom, top):
        super().setup(bottom, top)
        self.add_blob((self.D, self.D), self.param.weight_filler)
        self.add_blob((self.D,), self.param.bias_filler)

    def reshape(self, bottom, top):
        super().reshape(bottom, top)
        self.o = self.scratch(top[0].shape)  # a second y: a layer after this one may overwrite the top in place

    def unroll(self, first, cont, y):
        h, w_h = first[0], self.w_h.data
        for t in range(self.T):
            np.multiply(cont[t, :, np.newaxis], h, out=self.fed_back[t])  # δ_t · h_{t−1}
            h = self.z[t]  # h_t overwrites z_t, which is not needed again; backward reads h_t
            h += self.fed_back[t] @ w_h.T
            np.tanh(h, out=h)
        w_o, b_o = (blob.data for blob in self.blobs[-2:])
        kernels.matmul(self._rows(self.z), w_o.T, out=self._rows(self.o))
        self.o += b_o
        np.tanh(self.o, out=self.o)
        y[...] = self.o
        return [h]

    def unroll_back(self, cont, dy):
        h, w_h = self.z, self.w_h.data
        w_o, dw_o, db_o = self.blobs[-2].data, self.blobs[-2].diff, self.blobs[-1].diff
        do = self._rows(dy * (1 - self.o * self.o))
        kernels.matmul(do.T, self._rows(h), out=dw_o, add=True)  # dw_o += doᵀ · h
        db_o += do.sum(axis=0)
        kernels.matmul(do, w_o, out=self._rows(self.dz))  # dh = do · w_o, which becomes dz step by step
        from_later = np.zeros_like(h[0])
        for t in reversed(range(self.T)):
            self.dz[t] += from_later
            self.dz[t] *= 1 - h[t] * h[t]
            from_later = cont[t, :, np.newaxis] * (self.dz[t] @ w_h)
