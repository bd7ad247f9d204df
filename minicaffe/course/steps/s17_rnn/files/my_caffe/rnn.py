"""RNN: a layer that reads one time step after the other, and remembers."""

import numpy as np

from my_caffe.blob import Blob
from my_caffe.layer import Layer


class RNNLayer(Layer):
    """Run T time steps of N streams. Each step reads the input of its time, and the state of the step before.

    Forward   h_t = tanh(w_x x_t + b + w_h (δ_t · h_{t−1}))
              y_t = tanh(w_o h_t + b_o)
    Backward  do_t = dy_t · (1 − y_t²)
              dz_t = (w_oᵀ do_t + δ_{t+1} · w_hᵀ dz_{t+1}) · (1 − h_t²)   from the last t to the first
              dx_t = w_xᵀ dz_t
              dw_x += Σ dz_t x_tᵀ,  db += Σ dz_t,  dw_h += Σ dz_t (δ_t · h_{t−1})ᵀ,
              dw_o += Σ do_t h_tᵀ,  db_o += Σ do_t   over t, and over the streams

    Bottom    x (T, N, F);  δ (T, N): 0 where a sequence begins, 1 where it goes on
    Top       y (T, N, D)
    Params    num_output=D
    Blobs     w_x (D, F), b (D,), w_h (D, D), w_o (D, D), b_o (D,); zeros at first
    """

    def setup(self, bottom, top):
        """Make the blobs, and self.state, a blob that has no shape yet."""
        raise NotImplementedError

    def reshape(self, bottom, top):
        """Give the top its shape, and self.state the shape (N, D)."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write y into the data of the top. Begin with the state in self.state.data, and leave the last state there."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Add to the diffs of the blobs; write dx into bottom[0].diff, if propagate_down[0] says so. δ has no diff."""
        raise NotImplementedError
