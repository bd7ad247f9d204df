"""Filter: let some samples of a batch through."""

import numpy as np

from minicaffe.layer import Layer, register


@register("Filter")
class FilterLayer(Layer):
    """Keep the samples that a selector marks, so that a branch of the net sees only what concerns it.

    Forward   y[t] = the samples n of x[t] with s[n] ≠ 0, in order
    Backward  dx[t] = dy[t] for the samples let through, 0 for the others

    Bottom    x[0], x[1], … (N, …)
              s (N,) or (N, 1, …), the last bottom
    Top       y[0], y[1], …, one for each x: (M, …) with M the number of s[n] ≠ 0, so a new shape each pass
    In place  no: the tops have shapes of their own
    Errors    LayerError when tops are not one fewer than bottoms, when s holds more than one number a sample,
              when a bottom has another N, when a gradient for s is asked for
    """

    bottoms = (2, None)
    tops = (1, None)
    backward_reads = ()

    def setup(self, bottom, top):
        if len(top) != len(bottom) - 1:
            self.fail(f"must have one top for each bottom but the last, the selector: {len(bottom) - 1}, "
                      f"got {len(top)}")
        self.selector = len(top)
        self.is_first = True

    def reshape(self, bottom, top):
        *xs, s = bottom
        if s.num_axes == 0 or s.count != s.shape[0]:
            self.fail(f"the selector, bottom[{self.selector}], must hold one number a sample, got the shape {s.shape}")
        for t, x in enumerate(xs):
            if x.shape[:1] != s.shape[:1]:
                self.fail(f"all bottoms must have as many samples as the selector {s.shape}, "
                          f"got bottom[{t}] {x.shape}")
        self.kept = np.flatnonzero(s.data)
        # Caffe: before the first pass there is no selection yet, and the layers after this one get a whole batch
        size = s.shape[0] if self.is_first else len(self.kept)
        self.is_first = False
        for x, y in zip(xs, top, strict=True):
            y.reshape((size, *x.shape[1:]))

    def forward(self, bottom, top):
        for x, y in zip(bottom[:-1], top, strict=True):
            np.take(x.data, self.kept, axis=0, out=y.data)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[self.selector]:
            self.fail("has no gradient for the selector",
                      hint=f"set propagate_down: false for bottom {self.selector}")
        for x, y, wanted in zip(bottom[:-1], top, propagate_down[:-1], strict=True):
            if wanted:
                dx = x.diff
                dx.fill(0)
                dx[self.kept] = y.diff

    def allow_force_backward(self, bottom_index):
        return bottom_index < self.selector

    def numbers_for(self, j, bottom, draw):
        if j != self.selector:
            return None
        chosen = draw.integers(2, size=bottom[j].shape)
        chosen[:1] = 1  # at least one sample goes on
        return chosen
