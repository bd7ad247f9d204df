"""Sigmoid cross entropy: how far the predicted probabilities of yes/no answers are from the targets."""

from my_caffe.layer import Layer
from my_caffe.loss_versions import stable
from my_caffe.sigmoid import sigmoid


class SigmoidCrossEntropyLossLayer(Layer):
    """The mean over the samples of what their cells cost; each score is a yes/no question of its own.

    Forward   L = Σ l / N   over all cells, with the stable l
    Backward  dx = λ · (p − t) / N,   p = σ(x)

    Bottom    x (N, …) scores;  t, targets in [0, 1] of the same shape
    Top       L, a single number, of shape ().  Its diff holds λ, the loss_weight, when backward runs
    """

    def reshape(self, bottom, top):
        top[0].reshape(())

    def forward(self, bottom, top):
        x, t = bottom[0].data, bottom[1].data
        top[0].data[...] = stable(x, t).sum() / x.shape[0]

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            x, t, weight = bottom[0].data, bottom[1].data, top[0].diff
            bottom[0].diff[...] = weight * (sigmoid(x) - t) / x.shape[0]
