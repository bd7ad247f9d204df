"""Training: a net, a solver, and samples in random order. This file is complete; read it, and leave it as it is."""

import numpy as np


class Training:
    """Train a net, one batch for each step. Every round through the samples has another order, which is drawn anew.

    net       a Chain that is set up and ends in a loss; net.layers are its layers, net.params their blobs
    solver    a Momentum
    x, t      all samples and targets; `size` of them make a batch
    rng       what draws the orders, a np.random.Generator
    order     the order of the samples in this round, whole numbers
    place     where in `order` the next batch begins
    """

    def __init__(self, net, solver, x, t, size, seed=1):
        self.net, self.solver = net, solver
        self.x, self.t, self.size = x, t, size
        self.rng = np.random.default_rng(seed)
        self.order, self.place = self.rng.permutation(len(x)), 0

    def step(self):
        """Take one step, and return the loss before it."""
        if self.place + self.size > len(self.x):
            self.order, self.place = self.rng.permutation(len(self.x)), 0
        rows = self.order[self.place:self.place + self.size]
        self.place += self.size
        for blob in self.net.params:
            blob.clear_diff()
        loss = float(self.net.forward(self.x[rows], self.t[rows]))
        self.net.backward()
        self.solver.step()
        return loss
