"""Scale: multiply by a learned or a given blob, repeated along the axes it lacks, and maybe add a bias."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.layers.activation.bias import covered_axis, covered_shape, sizes_around
from minicaffe.proto import FillerParameter, ScaleParameter


@register("Scale")
class ScaleLayer(Layer):
    """Multiply all values of a channel by one number a channel, or by any blob that fits onto some axes of x.

    x is seen as (o, m, i): the axes before those of w, the axes of w, and the axes after them.

    Forward   y[o,m,i] = x[o,m,i] · w[m] (+ b[m] with bias_term)
    Backward  dx[o,m,i] = dy[o,m,i] · w[m]
              dw[m] += Σ dy[o,m,i] · x[o,m,i]   over o and i;   = where w is bottom[1]
              db[m] += Σ dy[o,m,i]   over o and i
    Computed  kernels.copy: minicaffe/kernels/definitions/copying.py;
              kernels.scale_channels: minicaffe/kernels/definitions/channels.py

    Bottom    x (any shape), and w where it is not learned: the sizes of x from `axis` on, or a scalar
    Top       y, the shape of x
    Params    scale_param: axis (1), num_axes (-1: all from `axis` on; 0: a scalar, 1), filler (absent: constant 1),
              bias_term (false), bias_filler (absent: all 0)
              num_axes and filler have a meaning only where w is learned, with one bottom
    Blobs     w, the sizes of num_axes axes of x from `axis` on   with one bottom
              b, the shape of w   with bias_term
    In place  yes, on x: backward needs x, so a copy is kept
    Errors    LayerError when axis or num_axes does not fit x, when w does not fit x, when y would overwrite w
    Derived   docs/maths/activation.md#scale
    """

    message = "scale_param"
    param: ScaleParameter
    bottoms = (1, 2)
    in_place = True
    recordable = True

    def setup(self, bottom, top):
        p = self.param
        for field in ("filler", "num_axes"):
            self.check_effect(len(bottom) == 1, field, "the scale is bottom[1]")
        self.check_effect(len(bottom) == 2 or p.num_axes != 0, "axis", "num_axes is 0")
        if len(bottom) == 1:
            filler = p.filler if p.HasField("filler") else FillerParameter(type="constant", value=1)
            self.add_blob(covered_shape(self, bottom[0], p.num_axes), filler)
        elif top[0] is bottom[1]:
            self.fail("cannot write its top over bottom[1], the scale", hint="give the top a name of its own")
        if p.bias_term:
            self.add_blob(self._w(bottom).shape, p.bias_filler)

    def reshape(self, bottom, top):
        x, w = bottom[0], self._w(bottom)
        self.axis = covered_axis(self, x, w, "the scale")
        self.sizes = sizes_around(x, w, self.axis)
        top[0].reshape_like(x)
        self.keeps_x = top[0] is x and self.runs_backward  # backward reads the x that y has replaced
        if self.keeps_x:
            self.x = self.scratch(x.shape)

    def forward(self, bottom, top):
        x, w, y = bottom[0].data, self._w(bottom).data, top[0].data
        b = self.blobs[-1].data if self.param.bias_term else None
        if self.keeps_x:
            kernels.copy(x, self.x)
        kernels.scale_channels(x, w, b, self.axis, y)

    def backward(self, top, propagate_down, bottom):
        x = (self.x if self.keeps_x else bottom[0].data).reshape(self.sizes)
        dy = top[0].diff.reshape(self.sizes)
        if self.param.bias_term and self.param_propagate_down[-1]:
            db = self.blobs[-1].diff
            db += dy.sum(axis=(0, 2)).reshape(db.shape)
        w, learned = self._w(bottom), len(bottom) == 1
        if self.param_propagate_down[0] if learned else propagate_down[1]:
            dw = np.einsum("omi,omi->m", dy, x).reshape(w.shape)
            # the diff of a learned blob is added to, the diff of a bottom is overwritten
            w.diff[...] = w.diff + dw if learned else dw
        if propagate_down[0]:
            np.multiply(dy, w.data.reshape(-1, 1), out=bottom[0].diff.reshape(self.sizes))

    def _w(self, bottom):
        """Return the blob w: the second bottom where there is one, else the learned blob."""
        return bottom[1] if len(bottom) == 2 else self.blobs[0]
