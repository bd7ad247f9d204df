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
        """Keep all of them under their names; iteration begins with 0."""
        raise NotImplementedError

    def rate(self):
        """Return the rate of the step that comes next. Change nothing."""
        raise NotImplementedError

    def clear_diffs(self):
        """Set the diffs of all params to 0, in the arrays that are there."""
        raise NotImplementedError

    def step(self):
        """Change all weights, in the arrays that are there, and count the step."""
        raise NotImplementedError


def train(net, solver, batches):
    """Train the net, a Chain that is set up and ends in a loss, with one step of the solver for each batch.

    batches is a list of pairs (x, t). Return a list with the loss of each batch, numbers.
    """
    raise NotImplementedError
