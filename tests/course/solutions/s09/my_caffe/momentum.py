"""Momentum: SGD whose steps keep a part of the steps before, and pull the weights towards 0."""

import numpy as np

from my_caffe.sgd import SGD


class Momentum(SGD):
    """Take steps down the gradient that add up, as Caffe's solver SGD does.

    Update    v ← momentum · v + rate · (dw + weight_decay · w)   for each blob of params
              w ← w − v

    history   v of each blob of params, a list of arrays that begin with zeros
    """

    def __init__(self, params, lr, momentum, weight_decay, gamma=1.0, stepsize=1):
        super().__init__(params, lr, gamma, stepsize)
        self.momentum, self.weight_decay = momentum, weight_decay
        self.history = [np.zeros_like(blob.data) for blob in params]

    def step(self):
        rate = self.rate()
        for blob, v in zip(self.params, self.history, strict=True):
            v[...] = self.momentum * v + rate * (blob.diff + self.weight_decay * blob.data)
            blob.data[...] -= v
        self.iteration += 1
