"""A plain recurrent net: each hidden state follows from the input and from the hidden state one step before."""

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
        self.do = self.scratch(top[0].shape)
        self.o = self.scratch(top[0].shape)  # a second y: a layer after this one may overwrite the top in place

    def unroll(self, first, cont, y):
        h_0, h = first[0], self.z  # h_t takes the place of z_t, for backward needs h_t and not z_t
        kernels.rnn(self.z, self.w_h.data, cont, h_0, self.fed_back, h)
        w_o, b_o = (blob.data for blob in self.blobs[-2:])
        kernels.matmul(self._rows(h), w_o.T, self._rows(self.o))  # o = h · w_oᵀ
        kernels.add_bias(self.o, b_o, 2, self.o)  # o += b_o
        kernels.tanh(self.o, self.o)  # o = tanh(o)
        kernels.copy(self.o, y)  # y = o
        return [h[-1]] if self.T else first

    def unroll_back(self, cont, dy):
        h, dh = self.z, self.dz  # dz_t takes the place of dh_t
        w_o, db_o = self.blobs[-2].data, self.blobs[-1].diff
        kernels.tanh_grad(dy, self.o, self.do)  # do = dy · (1 − y²)
        do = self._rows(self.do)
        dw_o, add = self.blobs[-2].diff_to_add()
        kernels.matmul(do.T, self._rows(h), dw_o, add=add)  # dw_o += doᵀ · h
        kernels.add_channel_sums(do, db_o)  # db_o += Σ do
        kernels.matmul(do, w_o, self._rows(dh))  # dh = do · w_o
        kernels.rnn_grad(dh, h, self.w_h.data, cont, self.dz)
