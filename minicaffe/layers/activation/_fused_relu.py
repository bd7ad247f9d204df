"""The ReLU that Intel's fork applies to the tops of Convolution, InnerProduct and BatchNorm where `relu` is set."""

from minicaffe import kernels


class FusedReLU:
    """A ReLU inside another layer, which has tops y: y ← max(y, 0) + α · min(y, 0). Without `relu` it does nothing.

    The layer calls `reshape` in its own, `forward` when it has written a top, and `backward` for the diff of a top.
    """

    def __init__(self, layer):
        p = layer.param
        self.layer, self.active, self.alpha = layer, p.relu, getattr(p, "negative_slope", 0.0)
        if hasattr(p, "negative_slope"):
            layer.check_effect(p.relu, "negative_slope", "relu is not set")

    def reshape(self, top):
        """Take memory for each top: for where it was positive, and for the gradient below the ReLU."""
        if self.active and self.layer.runs_backward:
            self.positive = [self.layer.scratch(y.shape, bool) for y in top]
            self.diffs = [self.layer.scratch(y.shape) for y in top]

    def forward(self, i, y):
        """Apply the ReLU to the data y of top i."""
        if self.active:
            kernels.relu(y, self.alpha, self.positive[i] if self.layer.runs_backward else None, y)

    def backward(self, i, dy):
        """Return the gradient below the ReLU for the diff dy of top i, which is not written to."""
        if not self.active:
            return dy
        kernels.relu_grad(dy, self.alpha, self.positive[i], self.diffs[i])
        return self.diffs[i]
