"""Long short-term memory: a cell that gates let in, keep and show."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.recurrent._unrolled import RecurrentLayer


@register("LSTM")
class LSTMLayer(RecurrentLayer):
    """Run an LSTM over T time steps of N streams.

    Forward   z_t = w_x x_t + b + w_s x_static + w_h (δ_t · h_{t−1})
              i, f, o = σ(z_t's first three quarters),  g = tanh(its last)
              c_t = δ_t · f · c_{t−1} + i · g,  h_t = o · tanh(c_t)
    Backward  from t = T down: dz_t from dh_t and dc_t as in LSTMUnit, dh_{t−1} = dy_{t−1} + δ_t · w_hᵀ dz_t;
              then dw_x += Σ dz_t x_tᵀ,  dw_h += Σ dz_t (δ_t · h_{t−1})ᵀ,  db += Σ dz_t,  dx_t = w_xᵀ dz_t

    Bottom    x (T, N, …);  δ (T, N): 0 where a sequence begins, 1 where it continues;
              optionally x_static (N, …);  with expose_hidden: h_0 and c_0 (1, N, D)
    Top       h (T, N, D);  with expose_hidden: h_T and c_T (1, N, D)
    Params    recurrent_param: num_output=D, weight_filler, bias_filler, expose_hidden, debug_info
    Blobs     w_x (4D, features), b (4D,), w_s (4D, static features) if x_static is given, w_h (4D, D)
    In place  no
    Errors    LayerError when num_output is 0, when shapes do not fit or T changes, and when a gradient is asked for δ
    Derived   docs/maths/recurrent.md#lstm
    See       Hochreiter and Schmidhuber, Neural Computation 9, 1997; Zaremba and Sutskever, arXiv:1410.4615
    """

    bottoms = (2, 5)
    tops = (1, 3)
    num_states = 2
    gates = 4
    debug_names = (("unit", "h"), ("gate_input", "W_xc_x"))

    def reshape(self, bottom, top):
        super().reshape(bottom, top)
        self.c = self.scratch((self.T + 1, *top[0].shape[1:]))  # the cells before the first step, and after each

    def unroll(self, first, cont, y):
        h, self.c[0] = first
        w_h, c, fed_back = self.w_h.data, self.c, self.fed_back
        for t in range(self.T):
            np.multiply(cont[t, :, np.newaxis], h, out=fed_back[t])  # δ_t · h_{t−1}
            self.z[t] += fed_back[t] @ w_h.T
            h = y[t]
            # the gates take the place of z_t, for backward
            kernels.lstm_unit(c[t], self.z[t], cont[t], gates=self.z[t], c=c[t + 1], h=h)
        return h, c[self.T]

    def unroll_back(self, cont, dy):
        w_h, c = self.w_h.data, self.c
        dh, dc = np.zeros_like(c[0]), np.zeros_like(c[0])
        for t in reversed(range(self.T)):
            dh += dy[t]  # h_t goes out as y_t and into the next step
            kernels.lstm_unit_grad(c[t], self.z[t], c[t + 1], dc, dh, dc_prev=dc, dx=self.dz[t])
            dh = cont[t, :, np.newaxis] * (self.dz[t] @ w_h)
