"""Long short-term memory: a recurrent layer with gates for what its cells take in, keep and show."""

from minicaffe import kernels
from minicaffe.layer import register
from minicaffe.layers.recurrent._unrolled import RecurrentLayer


@register("LSTM")
class LSTMLayer(RecurrentLayer):
    """Run an LSTM over T time steps of N streams.

    Forward   z_t = [z_i, z_f, z_o, z_g] = w_x x_t + b + w_s x_static + w_h (δ_t · h_{t−1})
              i = σ(z_i),  f = δ_t · σ(z_f),  o = σ(z_o),  g = tanh(z_g)
              c_t = f · c_{t−1} + i · g,  y_t = h_t = o · tanh(c_t)
    Backward  from t = T down to 1, with dh_T = dy_T and dc_T = 0:
              e = dc_t + dh_t · o · (1 − tanh² c_t)
              dz_t = [e · g · i(1 − i), e · c_{t−1} · f(1 − f), dh_t · tanh(c_t) · o(1 − o), e · i · (1 − g²)]
              dc_{t−1} = e · f,  dh_{t−1} = dy_{t−1} + δ_t · w_hᵀ dz_t
              dw_x += Σ dz_t x_tᵀ,  dw_h += Σ dz_t (δ_t · h_{t−1})ᵀ,  db += Σ dz_t,  dx_t = w_xᵀ dz_t   over t
              dw_s += (Σ dz_t) x_staticᵀ,  dx_static = w_sᵀ Σ dz_t   over t
    No gradient passes from one batch to another: the diffs of h_0 and c_0 are 0, those of h_T and c_T are not read.
    x_t, h_t and the like are the column of one stream here. In the code each stream has a row, so w_x x_t is x @ w_x.T.
    Computed  kernels.lstm_unit, kernels.lstm_unit_grad: minicaffe/kernels/definitions/recurrent.py;
              kernels.matmul: minicaffe/kernels/definitions/matmul.py;
              RecurrentLayer: minicaffe/layers/recurrent/_unrolled.py

    Bottom    x (T, N, …);  δ (T, N), `cont` in the code: 0 where a sequence begins, 1 where it continues;
              optionally x_static (N, …), the same in every step;  with expose_hidden: h_0 and c_0 (1, N, D)
    Top       y (T, N, D), which holds every h_t;  with expose_hidden: h_T and c_T (1, N, D)
    Params    recurrent_param: num_output=D (must be given, 0), weight_filler (absent: all 0), bias_filler (absent: all
              0), expose_hidden (false), debug_info (print mean absolute values of each step, false)
    Blobs     w_x (4D, features), b (4D,), w_s (4D, static features) if x_static is given, w_h (4D, D)
    In place  no: the top has a shape of its own
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
        h_0, c_0 = first
        gates = self.z  # the gates i, f, o, g take the place of z, for backward needs them and not z
        kernels.lstm(self.z, self.w_h.data, cont, h_0, c_0, gates, self.c, self.fed_back, y)
        return [y[-1], self.c[-1]] if self.T else first

    def unroll_back(self, cont, dy, limit=0):
        gates = self.z  # `unroll` has put them there
        kernels.lstm_grad(dy, gates, self.c, self.w_h.data, cont, limit, self.dz)
