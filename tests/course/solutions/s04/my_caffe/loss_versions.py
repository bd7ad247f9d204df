"""Five ways to compute l, the cross entropy of a score x and a target t. All are the same formula; four of them fail.

Each function takes two arrays of one shape, and returns l for each of their cells. d is [x ≥ 0] − t, and u is e^−|x|.
"""

import numpy as np

from my_caffe.sigmoid import sigmoid


def naive(x, t):
    p = sigmoid(x)
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


def clipped(x, t):
    p = np.clip(sigmoid(x), 1e-7, 1 - 1e-7)
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


def one_sided(x, t):
    return (1 - t) * x + np.log(1 + np.exp(-x))


def caffe(x, t):
    d = (x >= 0) - t
    return d * x + np.log(1 + np.exp(-np.abs(x)))


def stable(x, t):
    d = (x >= 0) - t
    cost = np.zeros(x.shape)
    np.multiply(d, x, out=cost, where=d != 0)
    return cost + np.log1p(np.exp(-np.abs(x)))
