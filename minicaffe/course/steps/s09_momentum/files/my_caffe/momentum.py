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
        """Let SGD keep what it knows; keep momentum and weight_decay under their names; make history."""
        raise NotImplementedError

    def step(self):
        """Change all v and all weights, these in the arrays that are there, and count the step."""
        raise NotImplementedError
