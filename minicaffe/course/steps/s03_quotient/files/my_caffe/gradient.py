"""Gradients from difference quotients, to check those that layers compute."""

import numpy as np


def numeric_gradient(f, x, h=1e-5):
    """Return (f with x[i] + h − f with x[i] − h) / 2h for each number x[i], in an array of the shape of x.

    f() takes no argument: it reads the array x, so move the number in place. Put back the very number that was there,
    before the next one is moved. x may have any shape, () too.
    """
    raise NotImplementedError


def largest_error(a, b):
    """Return the largest |a − b| / max(|a|, |b|, 1) of two arrays of one shape; NaN where one of them holds a NaN."""
    raise NotImplementedError


def check_gradient(layer, bottom, top, propagate_down=None):
    """Return the largest error of the diffs that layer.backward computes. layer.setup(bottom, top) has run already.

    The loss is L = Σ dy · y over all numbers y of all tops, with random numbers dy. So dy is the diff of each top.
    Compared are the diffs of the bottoms whose place in `propagate_down` is True (None: of all), and of layer.blobs.
    Before backward the diffs of layer.blobs are cleared, because layers add to them.
    """
    raise NotImplementedError
