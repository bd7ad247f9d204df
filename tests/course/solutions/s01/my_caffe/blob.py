"""Blob: an array, with the gradient that belongs to it."""

import math

import numpy as np


class Blob:
    """An array `data` and its gradient `diff`, both of one shape and of float64."""

    def __init__(self, shape=()):
        self.data = self.diff = None
        self.reshape(shape)

    @property
    def shape(self):
        return self.data.shape

    @property
    def count(self):
        return math.prod(self.shape)

    def reshape(self, shape):
        if self.data is None or tuple(shape) != self.shape:
            self.data = np.zeros(tuple(shape))
            self.diff = np.zeros(tuple(shape))

    def update(self):
        self.data -= self.diff

    def clear_diff(self):
        self.diff[...] = 0

    def asum_data(self):
        return np.abs(self.data).sum()

    def asum_diff(self):
        return np.abs(self.diff).sum()
