"""What Pooling and SPP share: the three methods of pooling."""

from minicaffe import kernels
from minicaffe.layer import Layer
from minicaffe.proto import TRAIN


class PoolingBase(Layer):
    """A layer that pools by `param.pool`; kernel, stride and pad are (height, width), index is int32."""

    def pool(self, x, kernel, stride, pad, y, index):
        """Pool x into y, and remember in index which pixels were chosen."""
        x, y, index = (planes(a) for a in (x, y, index))
        if self.param.pool == self.param.MAX:
            kernels.max_pool(x, kernel, stride, pad, y, index)
        elif self.param.pool == self.param.AVE:
            kernels.ave_pool(x, kernel, stride, pad, y)
        elif self.phase == TRAIN:
            u = 1 - self.rng.random(y.shape)  # above 0, else a pixel of 0 could be drawn
            kernels.stochastic_pool(x, u, kernel, stride, y, index)
        else:
            kernels.expected_pool(x, kernel, stride, y)

    def pool_grad(self, x, dy, index, kernel, stride, pad, dx):
        """Overwrite dx; index is what `pool` remembered."""
        x, dy, index, dx = (planes(a) for a in (x, dy, index, dx))
        if self.param.pool == self.param.AVE:
            kernels.ave_pool_grad(dy, kernel, stride, pad, dx)
        elif self.param.pool == self.param.MAX or self.phase == TRAIN:  # one pixel was chosen, largest or drawn
            kernels.max_pool_grad(dy, index, dx)
        else:
            kernels.expected_pool_grad(x, dy, kernel, stride, dx)


def planes(a):
    """(N, C, H, W) as (N · C, 1, H, W): channels are pooled by themselves, and threads share out the first axis."""
    return None if a is None else a.reshape(-1, 1, *a.shape[2:])
