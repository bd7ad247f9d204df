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
        K, self.D = p.num_output, bottom[0].count_between(self.axis_of(bottom[0]))
        if not self.D:
            self.fail(f"bottom[0] {shape} has no features from axis {p.axis}")
        self.add_blob((self.D, K) if p.transpose else (K, self.D), p.weight_filler)
        if p.bias_term:
            self.add_blob((K,), p.bias_filler)

    def reshape(self, bottom, top):
        shape = bottom[0].shape
        axis = self.axis_of(bottom[0])
        features = bottom[0].count_between(axis)
        if features != self.D:
            self.fail(f"bottom[0] {shape} has {features} features from axis {axis}, but w {self.blobs[0].shape} "
                      f"expects {self.D}")
        top[0].reshape(*shape[:axis], self.param.num_output)

    def forward(self, bottom, top):
        x, y, w = self._rows(bottom[0].data), self._outputs(top[0].data), self.blobs[0].data
        kernels.matmul(x, w if self.param.transpose else w.T, y)
        if self.param.bias_term:
            rows = y.reshape(*y.shape, 1)
            kernels.affine(rows, None, None, self.blobs[1].data, rows)

    def backward(self, top, propagate_down, bottom):
        x, dy, w = self._rows(bottom[0].data), self._outputs(top[0].diff), self.blobs[0].data
        if self.param_propagate_down[0]:
            a, b = (x, dy) if self.param.transpose else (dy, x)
            dw, add = self.blobs[0].diff_to_add()  # a large dw is not worth clearing just to be added to
            kernels.matmul(a.T, b, dw, add=add)
        if self.param.bias_term and self.param_propagate_down[1]:
            kernels.add_channel_sums(dy, self.blobs[1].diff)
        if propagate_down[0]:
            kernels.matmul(dy, w.T if self.param.transpose else w, self._rows(bottom[0].diff))

    def _rows(self, x):
        """x as a matrix of one row an inner product."""
        return x.reshape(-1, self.D)

    def _outputs(self, y):
        """y as a matrix (N, K)."""
        return y.reshape(-1, self.param.num_output)
