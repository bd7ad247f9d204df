"""The base of LSTM and RNN: all that they compute before and after their loop over time."""

import numpy as np

from minicaffe import kernels
from minicaffe.blob import Blob
from minicaffe.layer import Layer
from minicaffe.log import At, log, number
from minicaffe.proto import RecurrentParameter


class RecurrentLayer(Layer):
    """A layer that reads T time steps of N independent streams and feeds its output back from step to step.

    The share of the input in all steps is one matrix product, z = x w_xᵀ + b (+ x_static w_sᵀ). It is computed here.
    A subclass calls the kernels of the loop over time: `unroll` turns z into y, and `unroll_back` computes dz.

    states     h (and c) after the last step, with which the next forward pass begins
    z, dz      (T, N, gates · D), the input of the non-linear part of each step, and its gradient
    fed_back   (T, N, D), δ_t · h_{t−1}, which is multiplied by w_h
    """

    message = "recurrent_param"
    param: RecurrentParameter
    recurrent = True
    num_states = 1
    gates = 1
    debug_names = (("o_neuron", "o"), ("h_input_sum", "W_xh_x"))  # Caffe's, for one step's output and input

    def setup(self, bottom, top):
        p, x = self.param, bottom[0]
        self.exposed = self.num_states if p.expose_hidden else 0
        self._check_arity("bottom", (2 + self.exposed, 3 + self.exposed), len(bottom))
        self._check_arity("top", 1 + self.exposed, len(top))
        self.check(p.num_output > 0, "num_output", "must be positive")
        self.has_static = len(bottom) > 2 + self.exposed
        if x.num_axes < 3:
            self.fail(f"bottom[0] must have at least 3 axes (T, N, features), got {x.shape}")
        if self.has_static and bottom[2].num_axes < 2:
            self.fail(f"bottom[2], the static input, must have at least 2 axes (N, features), got {bottom[2].shape}")
        self.T, self.D, columns = x.shape[0], p.num_output, self.gates * p.num_output
        self.states = [Blob((1, x.shape[1], self.D), self.dtype) for _ in range(self.num_states)]
        self.add_blob((columns, x.count_between(2)), p.weight_filler)
        self.add_blob((columns,), p.bias_filler)
        if self.has_static:
            self.add_blob((columns, bottom[2].count_between(1)), p.weight_filler)
        self.add_blob((columns, self.D), p.weight_filler)

    def reshape(self, bottom, top):
        x, features = bottom[0], self.blobs[0].shape[1]
        if x.num_axes < 3 or x.shape[0] != self.T or x.count_between(2) != features:
            self.fail(f"bottom[0] must stay (T, N, features) with T = {self.T} and {features} features, got {x.shape}")
        N = x.shape[1]
        self._check_bottom(bottom, 1, (self.T, N))
        if self.has_static:
            self._check_bottom(bottom, 2, (N, *bottom[2].shape[1:]))
        for i in range(len(bottom) - self.exposed, len(bottom)):
            self._check_bottom(bottom, i, (1, N, self.D))
        top[0].reshape(self.T, N, self.D)
        for blob in [*top[1:], *self.states]:
            blob.reshape(1, N, self.D)
        self.z, self.dz = (self.scratch((self.T, N, self.gates * self.D)) for _ in range(2))
        self.fed_back = self.scratch((self.T, N, self.D))
        if self.has_static:
            self.z_static, self.dz_static = (self.scratch((N, self.gates * self.D)) for _ in range(2))
        if self.param.debug_info:  # then the layer prints, which no kernel does
            self.recordable = self.recordable_backward = self.can_dry_run = False
        if self.exposed:  # no kernel fills their diffs
            self.recordable_backward = False

    def forward(self, bottom, top):
        x, cont, y = self._rows(bottom[0].data), bottom[1].data, top[0].data
        w_x, b = self.blobs[0].data, self.blobs[1].data
        kernels.matmul(x, w_x.T, self._rows(self.z))  # z = x · w_xᵀ
        kernels.add_bias(self.z, b, 2, self.z)  # z += b
        if self.has_static:
            x_static, w_s = self._static(bottom[2].data), self.blobs[2].data
            kernels.matmul(x_static, w_s.T, self.z_static)  # z_static = x_static · w_sᵀ
            kernels.add_bias(self.z, self.z_static, 1, self.z)  # the same in every step
        # Caffe: hidden states continue from the last batch, even if it is unrelated; δ = 0 prevents that
        first = bottom[-self.exposed:] if self.exposed else self.states
        last = self.unroll([state.data[0] for state in first], cont, y)
        self.keep(last, self.states)
        self.keep(last[:self.exposed], top[1:])
        self._report("[Forward] ", "top", "data", self.debug_names[0], y)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[1]:
            self.fail("cannot backpropagate to bottom[1], the sequence indicators", hint="set propagate_down: false")
        cont, dy = bottom[1].data, top[0].diff
        self.unroll_back(cont, dy)
        self._report("[Backward] ", "bottom", "diff", self.debug_names[1], self.dz)
        x, dx, dz, fed_back = (self._rows(a) for a in (bottom[0].data, bottom[0].diff, self.dz, self.fed_back))
        w_x, db = self.blobs[0].data, self.blobs[1].diff
        kernels.add_channel_sums(dz, db)  # db += Σ dz
        dw_x, add = self.blobs[0].diff_to_add()
        kernels.matmul(dz.T, x, dw_x, add=add)  # dw_x += dzᵀ · x
        dw_h, add = self.w_h.diff_to_add()
        kernels.matmul(dz.T, fed_back, dw_h, add=add)  # dw_h += dzᵀ · (δ · h one step before)
        # Caffe: the diffs of x and x_static are written whether anybody asks for them or not
        kernels.matmul(dz, w_x, dx)  # dx = dz · w_x
        if self.has_static:
            x_static, dx_static = self._static(bottom[2].data), self._static(bottom[2].diff)
            w_s, dz_static = self.blobs[2].data, self.dz_static
            dw_s, add = self.blobs[2].diff_to_add()
            kernels.add_all(list(self.dz), dz_static)  # x_static entered every step
            kernels.matmul(dz_static.T, x_static, dw_s, add=add)  # dw_s += dz_staticᵀ · x_static
            kernels.matmul(dz_static, w_s, dx_static)  # dx_static = dz_static · w_s
        for i in range(len(bottom) - self.exposed, len(bottom)):
            if propagate_down[i]:
                bottom[i].diff.fill(0)  # Caffe: no gradient enters or leaves a batch through the exposed states

    def unroll(self, first, cont, y):
        """Run the steps in order, from the states `first`: turn z into y (T, N, D) and fill fed_back.

        Return the states after the last step.
        """

    def unroll_back(self, cont, dy):
        """Run the steps from the last to the first: compute dz, and add to the diffs of the subclass's own blobs."""

    def keep(self, last, blobs):
        """Copy the states after the last step to blobs of the shape (1, N, D)."""
        for values, blob in zip(last, blobs, strict=True):
            kernels.copy(values, blob.data[0])

    def multiply_adds(self, bottom, top):
        T, N = bottom[0].shape[:2]
        once = self.blobs[2].count if self.has_static else 0  # the static input meets w_s once a stream
        each_step = sum(blob.count for blob in self.blobs if blob.num_axes > 1) - once
        return T * N * each_step + N * once

    def goes_on(self, bottom):
        return not self.exposed and bool(bottom[1].data[0].any())

    def resume_state(self):
        return {"states": [state.data for state in self.states]}

    def resume_from(self, state):
        if [values.shape for values in state["states"]] != [mine.shape for mine in self.states]:
            self.fail(f"keeps a state of shape {self.states[0].shape}, got {[v.shape for v in state['states']]}")
        for mine, values in zip(self.states, state["states"], strict=True):
            mine.data[...] = values

    def allow_force_backward(self, bottom_index):
        return bottom_index != 1

    def gradient_to(self, j):
        return j < 2 + self.has_static

    def gradient_from(self, t):
        return t == 0

    def numbers_for(self, j, bottom, draw):
        return draw.integers(2, size=bottom[1].shape) if j == 1 else None

    @property
    def w_h(self):
        """The blob w_h, by which the state of the step before is multiplied."""
        return self.blobs[3 if self.has_static else 2]

    def _rows(self, values):
        """Return an array (T, N, …) as a matrix with a row for each step of each stream."""
        return values.reshape(self.T * values.shape[1], -1)

    def _static(self, values):
        """Return an array (N, …) as a matrix with a row for each stream."""
        return values.reshape(len(values), -1)

    def _check_bottom(self, bottom, i, shape):
        """Raise a LayerError unless bottom i has this shape, which follows from that of bottom[0]."""
        if bottom[i].shape != shape:
            self.fail(f"bottom[{i}] must be {shape} with bottom[0] {bottom[0].shape}, got {bottom[i].shape}")

    def _report(self, way, side, what, names, steps):
        """Log Caffe's lines for `debug_info`, with the mean of |values| in each step."""
        if self.param.debug_info:
            for t, values in enumerate(steps, 1):
                log(At.UNROLLED_STEP, f"    {way}Layer {self.name}_{names[0]}_{t}, {side} blob {names[1]}_{t} "
                                      f"{what}: {number(np.abs(values).mean())}")
