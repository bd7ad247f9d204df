"""SGD: stochastic gradient descent, and the loop that trains a net."""


class SGD:
    """Take steps down the gradient.

    Update    w ← w − rate · dw   for each blob of params
    Rate      lr · gamma^⌊i / stepsize⌋

    params      the blobs that are learned, a list
    lr          the rate at the beginning
    gamma       by what the rate is multiplied after every `stepsize` iterations
    iteration   i, the number of steps that were taken so far
    """

    def __init__(self, params, lr, gamma=1.0, stepsize=1):
        self.params, self.lr, self.gamma, self.stepsize = params, lr, gamma, stepsize
        self.iteration = 0

    def rate(self):
        return self.lr * self.gamma ** (self.iteration // self.stepsize)

    def clear_diffs(self):
        for blob in self.params:
            blob.clear_diff()

    def step(self):
        for blob in self.params:
            blob.data[...] -= self.rate() * blob.diff
        self.iteration += 1


def train(net, solver, batches):
    losses = []
    for x, t in batches:
        solver.clear_diffs()
        loss = net.forward(x, t)
        losses.append(float(loss))
        net.backward()
        solver.step()
    return losses
