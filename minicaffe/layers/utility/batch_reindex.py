"""BatchReindex: pick, repeat and reorder the samples of a batch."""

import numpy as np

from minicaffe.layer import Layer, register


@register("BatchReindex")
class BatchReindexLayer(Layer):
    """Build a batch from samples of another one, named by their places; a sample may come never or often.

    Forward   y[m] = x[i[m]]
    Backward  dx[n] = Σ dy[m]   over all m with i[m] = n

    Bottom    x (N, …)
              i (M,): places from 0 to N − 1; fractions are cut off
    Top       y (M, …)
    In place  no: the top has a shape of its own
    Errors    LayerError when x has no axis or i not exactly one, when a number in i is no place in x, when a
              gradient for i is asked for
    """

    bottoms = 2
    backward_reads = ("bottom",)

    def reshape(self, bottom, top):
        x, i = bottom
        if x.num_axes == 0 or i.num_axes != 1:
            self.fail(f"takes samples (N, …) and their places (M,), got bottom[0] {x.shape} and "
                      f"bottom[1] {i.shape}")
        top[0].reshape((i.shape[0], *x.shape[1:]))

    def forward(self, bottom, top):
        x, i = bottom[0].data, bottom[1].data
        bad = ~((i >= 0) & (i < len(x)))
        if bad.any():
            m = int(np.flatnonzero(bad)[0])
            self.fail(f"bottom[1] must hold places from 0 to {len(x) - 1} in bottom[0] {x.shape}, "
                      f"got {i[m]:g} at {m}")
        np.take(x, i.astype(np.intp), axis=0, out=top[0].data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[1]:
            self.fail("has no gradient for bottom[1], the places", hint="set propagate_down: false for bottom 1")
        if not propagate_down[0]:
            return
        dx = bottom[0].diff
        dx.fill(0)
        for n, dy in zip(bottom[1].data.astype(np.intp), top[0].diff, strict=True):
            dx[n] += dy

    def allow_force_backward(self, bottom_index):
        return bottom_index == 0

    def numbers_for(self, j, bottom, draw):
        return draw.integers(max(bottom[0].shape[0], 1), size=bottom[1].shape) if j == 1 else None
