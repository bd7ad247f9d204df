"""Five ways to compute l, the cross entropy of a score x and a target t. All are the same formula; four of them fail.

Each function takes two arrays of one shape, and returns l for each of their cells. d is [x ≥ 0] − t, and u is e^−|x|.
"""

import numpy as np

from my_caffe.sigmoid import sigmoid


def naive(x, t):
    """Return −t · log p − (1 − t) · log(1 − p) with p = σ(x)."""
    raise NotImplementedError


def clipped(x, t):
    """Return the same, with p held between 1e-7 and 1 − 1e-7."""
    raise NotImplementedError


def one_sided(x, t):
    """Return (1 − t) · x + log(1 + e^−x)."""
    raise NotImplementedError


def caffe(x, t):
    """Return d · x + log(1 + u)."""
    raise NotImplementedError


def stable(x, t):
    """Return d · x + log1p(u), where d · x is 0 if d is 0, even for an infinite x."""
    raise NotImplementedError
