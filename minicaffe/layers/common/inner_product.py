"""Inner product: every output is a weighted sum of all inputs (a fully connected layer)."""

from minicaffe import kernels
from minicaffe.layer import Layer, register
from minicaffe.proto import InnerProductParameter


@register("InnerProduct")
class InnerProductLayer(Layer):
    """Multiply the features of each row by a matrix and add a bias.

    The axes of x before `axis` count N rows, the others D features:

    Forward   y = x · wᵀ (+ b with bias_term)
    Backward  dx = dy · w
              dw += dyᵀ · x
              db += Σ dy[n]   over n
    with transpose: y = x · w + b,  dx = dy · wᵀ,  dw += xᵀ · dy
    Computed  kernels.matmul: minicaffe/kernels/definitions/matmul.py;
              kernels.add_bias: minicaffe/kernels/definitions/channels.py;
              kernels.add_channel_sums: minicaffe/kernels/definitions/convolution.py

    Bottom    x (N, C, H, W), with D = C · H · W at the default axis
    Top       y (N, K): the axes of x before `axis`, and one of K
    Params    inner_product_param: num_output=K (must be given), bias_term (true), axis (1), transpose (false),
              weight_filler (absent: all 0), bias_filler (absent: all 0)
    Blobs     w (K, D), with transpose (D, K);  b (K,) with bias_term
    In place  no: backward reads x
    Errors    LayerError when num_output is 0, when axis is out of range, when x has no features or other than D
    Derived   docs/maths/common.md#innerproduct
    """

    message = "inner_product_param"
    param: InnerProductParameter
    recordable = recordable_backward = True
    can_dry_run = True

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
        x, y, w = self._inputs(bottom[0].data), self._outputs(top[0].data), self._weights(self.blobs[0].data)
        kernels.matmul(x, w.T, y)  # y = x · wᵀ
        if self.param.bias_term:
            b = self.blobs[1].data
            kernels.add_bias(y, b, 1, y)  # y += b

    def backward(self, top, propagate_down, bottom):
        x, dy, w = self._inputs(bottom[0].data), self._outputs(top[0].diff), self._weights(self.blobs[0].data)
        if self.param_propagate_down[0]:
            # dw may be large. Where it counts as cleared, `add` is False and the product overwrites it, which saves
            # filling it with zeros and adding to them.
            dw, add = self.blobs[0].diff_to_add()
            kernels.matmul(dy.T, x, self._weights(dw), add=add)  # dw += dyᵀ · x
        if self.param.bias_term and self.param_propagate_down[1]:
            db = self.blobs[1].diff
            kernels.add_channel_sums(dy, db)  # db += Σ dy[n]
        if propagate_down[0]:
            dx = self._inputs(bottom[0].diff)
            kernels.matmul(dy, w, dx)  # dx = dy · w

    def multiply_adds(self, bottom, top):
        return top[0].count * self.D  # each row of x meets every weight once

    def _inputs(self, x):
        """Return x or dx as a matrix (N, D)."""
        return x.reshape(-1, self.D)

    def _outputs(self, y):
        """Return y or dy as a matrix (N, K)."""
        return y.reshape(-1, self.param.num_output)

    def _weights(self, w):
        """Return w or dw as a matrix (K, D); with `transpose` it is stored as (D, K)."""
        return w.T if self.param.transpose else w
