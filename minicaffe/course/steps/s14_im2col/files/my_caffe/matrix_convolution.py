"""Convolution as a matrix product, on the columns of im2col."""

from my_caffe.convolution import ConvolutionLayer
from my_caffe.im2col import col2im, im2col


class MatrixConvolutionLayer(ConvolutionLayer):
    """Compute what ConvolutionLayer computes, with one matrix product for each image.

    W is w as a matrix (K, C · kh · kw), X the columns of image n, and Y is y[n] as a matrix (K, oh · ow).

    Forward   Y = W · X + b
    Backward  dX = Wᵀ · dY, and from dX comes dx[n] by col2im
              dW += dY · Xᵀ
              db += the sums of the rows of dY

    setup and reshape are those of ConvolutionLayer, and so are bottom, top, params and blobs.
    """

    def forward(self, bottom, top):
        """Write y into the data of the top."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Add to the diffs of w and b; write dx into the diff of the bottom, if propagate_down[0] says so."""
        raise NotImplementedError
