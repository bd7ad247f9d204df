"""RNN: a layer that reads one time step after the other, and remembers."""

import numpy as np

from my_caffe.blob import Blob
from my_caffe.layer import Layer


class RNNLayer(Layer):
    """Run T time steps of N streams; the file of the step has the formulas."""

    def setup(self, bottom, top):
        D, F = self.param["num_output"], bottom[0].shape[2]
        self.blobs = [Blob(shape) for shape in [(D, F), (D,), (D, D), (D, D), (D,)]]
        self.state = Blob()

    def reshape(self, bottom, top):
        T, N, _ = bottom[0].shape
        top[0].reshape((T, N, self.param["num_output"]))
        self.state.reshape((N, self.param["num_output"]))

    def forward(self, bottom, top):
        x, cont = bottom[0].data, bottom[1].data
        w_x, b, w_h, w_o, b_o = (blob.data for blob in self.blobs)
        h = self.state.data.copy()
        self.h, self.fed_back = [], []
        for t in range(len(x)):
            self.fed_back.append(cont[t][:, None] * h)
            h = np.tanh(x[t] @ w_x.T + b + self.fed_back[t] @ w_h.T)
            self.h.append(h)
            top[0].data[t] = np.tanh(h @ w_o.T + b_o)
        self.state.data[...] = h

    def backward(self, top, propagate_down, bottom):
        x, cont = bottom[0].data, bottom[1].data
        y, dy = top[0].data, top[0].diff
        w_x, _, w_h, w_o, _ = (blob.data for blob in self.blobs)
        dw_x, db, dw_h, dw_o, db_o = (blob.diff for blob in self.blobs)
        T = len(x)
        dz = np.zeros_like(self.h[0])
        for t in reversed(range(T)):
            do = dy[t] * (1 - y[t] ** 2)
            dh = do @ w_o
            if t + 1 < T:
                dh += cont[t + 1][:, None] * (dz @ w_h)
            dz = dh * (1 - self.h[t] ** 2)
            dw_x += dz.T @ x[t]
            db += dz.sum(axis=0)
            dw_h += dz.T @ self.fed_back[t]
            dw_o += do.T @ self.h[t]
            db_o += do.sum(axis=0)
            if propagate_down[0]:
                bottom[0].diff[t] = dz @ w_x
