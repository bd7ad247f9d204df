"""A layer of one's own: softsign, a gentler tanh."""

import numpy as np

from minicaffe.layer import Elementwise


class SoftsignLayer(Elementwise):
    """Squash every number into (−1, 1), slowly.

    Forward   y = x / (1 + |x|)
    Backward  dx = dy · (1 − |y|)²

    Bottom    x (any shape)
    Top       y, the shape of x
    In place  yes: backward reads y alone
    """

    slope_from = "y"

    def value(self, x, y):
        np.divide(x, 1 + np.abs(x), out=y)

    def slope(self, y):
        return (1 - np.abs(y)) ** 2


if __name__ == "__main__":
    from minicaffe import Blob
    from minicaffe.testing import check_layer

    x = Blob((2, 7, 5), np.float64)
    x.data[...] = np.random.default_rng(1).standard_normal(x.shape)
    print(f"largest relative error of the gradient: {check_layer(SoftsignLayer(dtype=np.float64), [x]):.1e}")
