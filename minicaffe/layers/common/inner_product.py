"""Inner product: every output is a weighted sum of all inputs (a fully connected layer)."""

from minicaffe import kernels
from minicaffe.layer import Layer, register


@register("InnerProduct")
class InnerProductLayer(Layer):
    """Multiply the features of each row by a matrix and add a bias.

    The axes of x before `axis` count N rows, the others D features:

    Forward   y = x · wᵀ + b   (with transpose: y = x · w + b)
    Backward  dx = dy · w
              dw += dyᵀ · x
              db += Σ dy[n]

    Bottom    x (N, C, H, W), with D = C · H · W at the default axis
    Top       y (N, K)
    Params    inner_product_param: num_output=K, bias_term, axis, transpose, weight_filler, bias_filler
    Blobs     w (K, D), with transpose (D, K);  b (K,) with bias_term
    In place  no: backward reads x
    Errors    LayerError when num_output is 0, when axis is out of range, when x has not D features
    """

    message = "inner_product_param"
    replays = True

    def setup(self, bottom, top):
        p, shape = self.param, bottom[0].shape
        self.check(p.num_output > 0, "num_output", "must be positive")
        self.check(-len(shape) <= p.axis < len(shape), "axis", f"must name an axis of bottom[0] {shape}")
        K, self.D = p.num_output, bottom[0].count_between(p.axis % len(shape))
        if not self.D:
            self.fail(f"bottom[0] {shape} has no features from axis {p.axis}")
        self.add_blob((self.D, K) if p.transpose else (K, self.D), p.weight_filler)
        if p.bias_term:
            self.add_blob((K,), p.bias_filler)

    def reshape(self, bottom, top):
        shape = bottom[0].shape
        axis = bottom[0].canonical_axis(self.param.axis)
        features = bottom[0].count_between(axis)
        if features != self.D:
            self.fail(f"bottom[0] {shape} has {features} features from axis {axis}, but w {self.blobs[0].shape} "
                      f"expects {self.D}")
        top[0].reshape(*shape[:axis], self.param.num_output)

    def forward(self, bottom, top):
        x, y, w = self._inputs(bottom[0].data), self._outputs(top[0].data), self._weights(self.blobs[0].data)
        kernels.matmul(x, w.T, y)  # y = x · wᵀ
        if self.param.bias_term:
            b = self.blobs[1].data
            kernels.add_bias(y, b, 1, y)  # y += b

    def backward(self, top, propagate_down, bottom):
        x, dy, w = self._inputs(bottom[0].data), self._outputs(top[0].diff), self._weights(self.blobs[0].data)
        if self.param_propagate_down[0]:
            # dw may be large: where it counts as zeros it is overwritten, which saves clearing it and adding to it
            dw, add = self.blobs[0].diff_to_add()
            kernels.matmul(dy.T, x, self._weights(dw), add=add)  # dw += dyᵀ · x
        if self.param.bias_term and self.param_propagate_down[1]:
            db = self.blobs[1].diff
            kernels.add_channel_sums(dy, db)  # db += Σ dy[n]
        if propagate_down[0]:
            dx = self._inputs(bottom[0].diff)
            kernels.matmul(dy, w, dx)  # dx = dy · w

    def _inputs(self, x):
        """x or dx as a matrix (N, D)."""
        return x.reshape(-1, self.D)

    def _outputs(self, y):
        """y or dy as a matrix (N, K)."""
        return y.reshape(-1, self.param.num_output)

    def _weights(self, w):
        """w or dw as a matrix (K, D); with `transpose` it is stored as (D, K)."""
        return w.T if self.param.transpose else w
