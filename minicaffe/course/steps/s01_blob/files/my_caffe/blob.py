"""Blob: an array, with the gradient that belongs to it."""

import numpy as np


class Blob:
    """An array `data` and its gradient `diff`, both of one shape and of float64."""

    def __init__(self, shape=()):
        """Make `data` and `diff`, zeros of this shape."""
        raise NotImplementedError

    @property
    def shape(self):
        """The shape of both arrays, a tuple; () of a single number."""
        raise NotImplementedError

    @property
    def count(self):
        """How many numbers each of the arrays holds, as an int."""
        raise NotImplementedError

    def reshape(self, shape):
        """Make new arrays of zeros where `shape`, a tuple or a list, is another one. Else change nothing."""
        raise NotImplementedError

    def update(self):
        """Take one step down the gradient, data −= diff, in the array that is there."""
        raise NotImplementedError

    def clear_diff(self):
        """Set every number of `diff` to 0, in the array that is there."""
        raise NotImplementedError

    def asum_data(self):
        """Return Σ |data|."""
        raise NotImplementedError

    def asum_diff(self):
        """Return Σ |diff|."""
        raise NotImplementedError
