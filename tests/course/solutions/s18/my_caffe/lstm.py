"""LSTM: a layer over time whose memory is written, kept and read through gates."""

import numpy as np

from my_caffe.blob import Blob
from my_caffe.layer import Layer
from my_caffe.sigmoid import sigmoid


class LSTMLayer(Layer):
    """Run T time steps of N streams; the file of the step has the formulas."""

    def setup(self, bottom, top):
        self.D, F = self.param["num_output"], bottom[0].shape[2]
        self.blobs = [Blob((4 * self.D, F)), Blob((4 * self.D,)), Blob((4 * self.D, self.D))]
        self.state, self.cell = Blob(), Blob()

    def reshape(self, bottom, top):
        T, N, _ = bottom[0].shape
        top[0].reshape((T, N, self.D))
        self.state.reshape((N, self.D))
        self.cell.reshape((N, self.D))

    def forward(self, bottom, top):
        x, cont = bottom[0].data, bottom[1].data[:, :, None]
        w_x, b, w_h = (blob.data for blob in self.blobs)
        h, c = self.state.data.copy(), self.cell.data.copy()
        self.steps = []
        for t in range(len(x)):
            fed_back, c_before = cont[t] * h, c
            z = x[t] @ w_x.T + b + fed_back @ w_h.T
            z_i, z_f, z_o, z_g = np.split(z, 4, axis=1)
            i, f, o = sigmoid(z_i), cont[t] * sigmoid(z_f), sigmoid(z_o)
            g = np.tanh(z_g)
            c = f * c_before + i * g
            h = o * np.tanh(c)
            top[0].data[t] = h
            self.steps.append((i, f, o, g, c, c_before, fed_back))
        self.state.data[...] = h
        self.cell.data[...] = c

    def backward(self, top, propagate_down, bottom):
        x, cont, dy = bottom[0].data, bottom[1].data[:, :, None], top[0].diff
        w_x, _, w_h = (blob.data for blob in self.blobs)
        dw_x, db, dw_h = (blob.diff for blob in self.blobs)
        from_state = from_cell = 0
        for t in reversed(range(len(x))):
            i, f, o, g, c, c_before, fed_back = self.steps[t]
            dh = dy[t] + from_state
            dc = from_cell + dh * o * (1 - np.tanh(c) ** 2)
            dz_i = dc * g * i * (1 - i)
            dz_f = dc * c_before * f * (1 - f)
            dz_o = dh * np.tanh(c) * o * (1 - o)
            dz_g = dc * i * (1 - g ** 2)
            dz = np.concatenate([dz_i, dz_f, dz_o, dz_g], axis=1)
            from_state = cont[t] * (dz @ w_h)
            from_cell = dc * f
            dw_x += dz.T @ x[t]
            db += dz.sum(axis=0)
            dw_h += dz.T @ fed_back
            if propagate_down[0]:
                bottom[0].diff[t] = dz @ w_x
