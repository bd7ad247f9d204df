"""Normalize: divide each pixel, a vector of channels, by its length. The forks have two layers of this name."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import FillerParameter, NormalizeParameter


@register("Normalize")
class NormalizeLayer(Layer):
    """Divide by the length of a vector: that of each pixel's channels, or of a whole image.

    BVLC's Caffe does not have it. SSD and the forks made from it have a layer with a learned scale. The forks for face
    recognition have another layer of the same name, which learns nothing. It is this one where normalize_param is set,
    or where there are two tops.

    Forward   y = w[c] · x / r,   r = √(Σ x² + ε)
              Σ runs over the channels of a pixel, or over the image with across_spatial; w[c] is one number with
              channel_shared
    Backward  h = w[c] · dy,  dx = (h − x · Σ (h·x) / r²) / r,  dw[c] += Σ dy · x / r over N, H and W, with
              channel_shared also over c
    For face recognition: w = 1, ε = 1e-6, and Σ runs over the channels of a pixel. With normalize_type "L1"
    r = Σ |x| + ε, and dx = (dy − sign(x) · Σ (dy·x) / r) / r.
    With fix_gradient dx = dy / r. With bp_norm the gradient of the second top is added: dr · x / r, or dr · sign(x).
    Computed  kernels.copy: minicaffe/kernels/definitions/copying.py;
              kernels.vector_length, kernels.divide_vectors: minicaffe/kernels/definitions/lengths.py

    Bottom    x (N, C, …); for face recognition no more than 4 axes
    Top       y, the shape of x; for face recognition (N, C, H, W), with 1 for an axis that x lacks
              r (N, 1, H, W), for face recognition only, where a second top is asked for
    Params    norm_param: across_spatial (true), scale_filler (absent: constant 1), channel_shared (true), eps=ε (1e-10)
              normalize_param: normalize_type ("L2" or "L1", "L2"), fix_gradient (false), bp_norm (false)
    Blobs     w, a scalar with channel_shared, else (C,); none for face recognition
    In place  yes: a copy of x is kept for backward
    Errors    LayerError when x has fewer than two axes or C changes, when eps is negative, when norm_param and
              normalize_param are both set, or norm_param with two tops, when normalize_type is another word
    Derived   docs/maths/normalization.md#normalize
    See       Liu et al., ParseNet, 2015
    """

    message = "norm_param"
    also_reads = ("normalize_param",)
    param: NormalizeParameter
    tops = (1, 2)
    in_place = True
    recordable = True

    def setup(self, bottom, top):
        x = bottom[0]
        if x.num_axes < 2:
            self.fail(f"bottom[0] must have at least two axes (N, C, ...), got {x.shape}")
        self.C = x.shape[1]
        self.for_faces = self.layer_param.HasField("normalize_param") or len(top) == 2
        if self.for_faces:
            self._set_up_for_faces(bottom, top)
            return
        p = self.param
        self.check(p.eps >= 0, "eps", "must be at least 0")
        self.caution(p.eps > 0, "eps", "is 0, so 0 is divided by 0 where a vector is all 0")
        self.eps, self.across_spatial, self.by_sum = p.eps, p.across_spatial, False
        filler = p.scale_filler if p.HasField("scale_filler") else FillerParameter(type="constant", value=1)
        self.add_blob(() if p.channel_shared else (self.C,), filler)

    def reshape(self, bottom, top):
        x, y = bottom[0], top[0]
        if x.num_axes < 2 or x.shape[1] != self.C:
            self.fail(f"bottom[0] {x.shape} must have {self.C} channels, as at the set-up")
        N, P = x.shape[0], x.count_between(2)
        self.sizes = N, self.C, P
        # Σ runs over axis 1 of this shape, and leaves a number for each of the others
        self.vectors = (N, self.C * P, 1) if self.across_spatial else self.sizes
        self.keeps_x = y is x and self.runs_backward  # backward reads the x that y has replaced
        if self.for_faces:
            # Caffe: this fork gives its tops 4 axes, whatever x has
            if x.num_axes > 4:
                self.fail(f"bottom[0] must have at most 4 axes (N, C, H, W), got {x.num_axes}: {x.shape}")
            spatial = (*x.shape[2:], 1, 1)[:2]
            y.reshape((N, self.C, *spatial))
            for blob in top[1:]:
                blob.reshape((N, 1, *spatial))
        else:
            y.reshape_like(x)
        self.r = self.scratch((N, self.vectors[2]))
        if self.keeps_x:
            self.x = self.scratch(x.shape)

    def forward(self, bottom, top):
        x, y = bottom[0].data, top[0].data
        if self.keeps_x:
            kernels.copy(x, self.x)
        if self.by_sum:
            np.abs(x.reshape(self.sizes)).sum(axis=1, out=self.r)
            self.r += self.eps
        else:
            kernels.vector_length(x.reshape(self.vectors), self.eps, self.r)
        w = None if self.for_faces else self.blobs[0].data
        kernels.divide_vectors(x.reshape(self.sizes), self.r, w, y.reshape(self.sizes))
        if len(top) == 2:
            kernels.copy(self.r, top[1].data.reshape(self.r.shape))

    def backward(self, top, propagate_down, bottom):
        x = (self.x if self.keeps_x else bottom[0].data).reshape(self.sizes)
        dy, r = top[0].diff.reshape(self.sizes), self.r[:, np.newaxis]
        if self.for_faces:
            if propagate_down[0]:
                bottom[0].diff.reshape(self.sizes)[...] = self._slope_for_faces(x, dy, r, top)
            return
        w = self.blobs[0].data.reshape(-1, 1)
        h = w * dy
        if self.param_propagate_down[0]:
            each = (dy * x / r).sum(axis=(0, 2))
            dw = self.blobs[0].diff
            dw += each.sum() if self.param.channel_shared else each
        if propagate_down[0]:
            along = self._vector_sum(h * x) / (r * r)
            np.divide(h - x * along, r, out=bottom[0].diff.reshape(self.sizes))

    def gradient_from(self, t):
        return t == 0 or self.layer_param.normalize_param.bp_norm

    def _set_up_for_faces(self, bottom, top):
        """Read normalize_param."""
        p = self.layer_param.normalize_param
        if self.layer_param.HasField("norm_param"):
            self.fail("has norm_param, which is SSD's, and " + (
                "normalize_param, which is of the forks for face recognition" if len(top) == 1 else
                "a second top, which only the forks for face recognition have"), hint="take one of them out")
        if p.normalize_type not in ("L2", "L1"):
            self.fail(f'normalize_param.normalize_type must be "L2" or "L1", got {p.normalize_type!r}')
        self.check_effect(len(top) == 2, ".normalize_param.bp_norm", "there is no second top")
        self.eps, self.across_spatial, self.by_sum = 1e-6, False, p.normalize_type == "L1"
        self.recordable = not self.by_sum

    def _slope_for_faces(self, x, dy, r, top):
        """Return dx of the layer for face recognition."""
        p = self.layer_param.normalize_param
        of_r = np.sign(x) if self.by_sum else x / r  # the derivative of r
        dx = dy / r
        if not p.fix_gradient:
            dx -= of_r * self._vector_sum(dy * x) / (r * r)
        if len(top) == 2 and p.bp_norm:
            dx += top[1].diff.reshape(r.shape) * of_r
        return dx

    def _vector_sum(self, values):
        """Return the sum over each vector, to be divided by r, of an array of the shape of x."""
        return values.sum(axis=(1, 2) if self.across_spatial else 1, keepdims=True)
