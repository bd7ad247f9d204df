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
        w = self.blobs[0].data.reshape(self.K, -1)
        for x, y in zip(bottom[0].data, top[0].data, strict=True):
            product = w @ im2col(x, self.kernel, self.stride, self.pad)
            y[...] = product.reshape(y.shape)
            if len(self.blobs) == 2:
                y += self.blobs[1].data.reshape(-1, 1, 1)

    def backward(self, top, propagate_down, bottom):
        w = self.blobs[0]
        for n, image in enumerate(top[0].diff):
            dy = image.reshape(self.K, -1)
            columns = im2col(bottom[0].data[n], self.kernel, self.stride, self.pad)
            w.diff += (dy @ columns.T).reshape(w.shape)
            if len(self.blobs) == 2:
                self.blobs[1].diff += dy.sum(axis=1)
            if propagate_down[0]:
                dx = w.data.reshape(self.K, -1).T @ dy
                bottom[0].diff[n] = col2im(dx, bottom[0].shape[1:], self.kernel, self.stride, self.pad)
