"""Axpy: scale each channel of a blob by a number of its own, and add another blob."""

import numpy as np

from minicaffe import kernels
from minicaffe.layer import Layer, register


@register("Axpy")
class AxpyLayer(Layer):
    """Multiply every channel of every image by one number, and add a second blob, as SENet ends its blocks.

    Forward   y[n, c, q] = a[n, c] · x[n, c, q] + z[n, c, q]
    Backward  da[n, c] = Σ dy[n, c, q] · x[n, c, q]   over q
              dx[n, c, q] = a[n, c] · dy[n, c, q]
              dz = dy
    Computed  kernels.scale_channels: minicaffe/kernels/definitions/channels.py;
              kernels.weighted_sum: minicaffe/kernels/definitions/elementwise.py

    Bottom    a (N, C), or (N, C, 1, 1);  x (N, C, H, W), any axes after the channels;  z, the shape of x
    Top       y, the shape of x
    In place  no: backward reads x
    Errors    LayerError when x has not the axes N and C, when a is not (N, C) of x with any number of axes of size 1
              after it, when z has not the shape of x
    See       Hu, Shen and Sun, CVPR 2018, whose fork has it, as NVIDIA's, Intel's and jolibrain's have
    """

    bottoms = 3
    recordable = True

    def reshape(self, bottom, top):
        a, x, z = (blob.shape for blob in bottom)
        if len(x) < 2 or a[:2] != x[:2] or set(a[2:]) - {1}:
            self.fail(f"bottom[0] {a} must hold one number for each image and channel (N, C) of bottom[1] {x}")
        if z != x:
            self.fail(f"bottom[2] {z}, which is added, must have the shape of bottom[1] {x}")
        top[0].reshape_like(bottom[1])

    def forward(self, bottom, top):
        a, x, z, y = bottom[0].data, bottom[1].data, bottom[2].data, top[0].data
        kernels.scale_channels(x, a.reshape(a.shape[:2]), None, 0, y)
        kernels.weighted_sum([y, z], [1.0, 1.0], y)

    def backward(self, top, propagate_down, bottom):
        a, x, dy = bottom[0].data, bottom[1].data, top[0].diff
        planes = (*x.shape[:2], -1 if x.size else 0)
        if propagate_down[0]:
            da = bottom[0].diff
            da[...] = np.einsum("ncq,ncq->nc", dy.reshape(planes), x.reshape(planes)).reshape(da.shape)
        if propagate_down[1]:
            dx = bottom[1].diff
            kernels.scale_channels(dy, a.reshape(a.shape[:2]), None, 0, dx)
        if propagate_down[2]:
            dz = bottom[2].diff
            dz[...] = dy
