"""LSTM: a layer over time whose memory is written, kept and read through gates."""

import numpy as np

from my_caffe.blob import Blob
from my_caffe.layer import Layer
from my_caffe.sigmoid import sigmoid


class LSTMLayer(Layer):
    """Run T time steps of N streams. Each step has a state h, which is its output, and a cell c, which remembers.

    Forward   z_t = [z_i, z_f, z_o, z_g] = w_x x_t + b + w_h (δ_t · h_{t−1})
              i = σ(z_i),  f = δ_t · σ(z_f),  o = σ(z_o),  g = tanh(z_g)
              c_t = f · c_{t−1} + i · g
              y_t = h_t = o · tanh(c_t)
    Backward  from the last t to the first:
              dh_t = dy_t + δ_{t+1} · w_hᵀ dz_{t+1}
              dc_t = dh_t · o · (1 − tanh² c_t) + dc_{t+1} · f_{t+1}
              dz_i = dc_t · g · i (1 − i),           dz_f = dc_t · c_{t−1} · f (1 − f)
              dz_o = dh_t · tanh(c_t) · o (1 − o),   dz_g = dc_t · i · (1 − g²)
              dx_t = w_xᵀ dz_t
              dw_x += Σ dz_t x_tᵀ,  db += Σ dz_t,  dw_h += Σ dz_t (δ_t · h_{t−1})ᵀ   over t, and over the streams

    Bottom    x (T, N, F);  δ (T, N): 0 where a sequence begins, 1 where it goes on
    Top       y (T, N, D)
    Params    num_output=D
    Blobs     w_x (4D, F), b (4D,), w_h (4D, D); zeros at first. The first D rows belong to i, the next to f, o and g.
    """

    def setup(self, bottom, top):
        """Make the blobs, and self.state and self.cell, blobs that have no shape yet."""
        raise NotImplementedError

    def reshape(self, bottom, top):
        """Give the top its shape, and self.state and self.cell the shape (N, D)."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top. Begin with self.state and self.cell, and leave the last h and c there."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Add to the diffs of the blobs; write dx into bottom[0].diff, if propagate_down[0] says so. δ has no diff."""
        raise NotImplementedError
