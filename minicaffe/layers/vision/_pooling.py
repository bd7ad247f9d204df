"""The base of Pooling and SPP: the three methods of pooling."""

from minicaffe import kernels
from minicaffe.layer import Layer
from minicaffe.proto import TRAIN


class PoolingBase(Layer):
    """A layer that pools with the method that `param.pool` names.

    kernel, stride and pad are pairs (height, width). index is an int32 array of the shape of y.
    """

    def gradient_from(self, t):
        return t == 0

    def numbers_for(self, j, bottom, draw):
        # its draws go by the numbers, which must not be negative
        return draw.uniform(0.5, 2, bottom[0].shape) if self.param.pool == self.param.STOCHASTIC else None

    def pool(self, x, kernel, stride, pad, y, index):
        """Pool x into y. Where each window chooses one pixel, write its place in the image into index.

        index may be None for MAX, where the places are not needed.
        """
        x, y, index = (planes(a) for a in (x, y, index))
        if self.param.pool == self.param.MAX:
            kernels.max_pool(x, kernel, stride, pad, y, index)
        elif self.param.pool == self.param.AVE:
            kernels.ave_pool(x, kernel, stride, pad, y)
        elif self.phase == TRAIN:
            u = 1 - self.rng.random(y.shape)  # 0 < u ≤ 1: u = 0 would draw a pixel of 0, which has the probability 0
            kernels.stochastic_pool(x, u, kernel, stride, y, index)
        else:
            kernels.expected_pool(x, kernel, stride, y)

    def pool_grad(self, x, dy, index, kernel, stride, pad, dx):
        """Overwrite dx with the gradient of x; index is what `pool` has written."""
        x, dy, index, dx = (planes(a) for a in (x, dy, index, dx))
        if self.param.pool == self.param.AVE:
            kernels.ave_pool_grad(dy, kernel, stride, pad, dx)
        elif self.param.pool == self.param.MAX or self.phase == TRAIN:  # one pixel was chosen, largest or drawn
            kernels.max_pool_grad(dy, index, dx)
        else:
            kernels.expected_pool_grad(x, dy, kernel, stride, dx)


def planes(a):
    """Return an array (N, C, H, W) as (N · C, 1, H, W), and None for None.

    Each channel is pooled by itself. With all channels along the first axis, the threads can share them out.
    """
    return None if a is None else a.reshape(-1, 1, *a.shape[2:])
