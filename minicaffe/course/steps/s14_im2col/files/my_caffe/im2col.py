"""Images as columns: what the windows of a convolution see, and the way back."""

import numpy as np

from my_caffe.window import output_size


def im2col(x, kernel, stride, pad):
    """Return the pixels under each window of one image x (C, H, W), as a matrix (C · kh · kw, oh · ow).

    Each column is a window, in the order (oy, ox). Each row is a place in the window, in the order (c, iy, ix). Pixels
    beyond the image are 0. `kernel`, `stride` and `pad` are pairs.
    """
    raise NotImplementedError


def col2im(columns, shape, kernel, stride, pad):
    """Return an image of this shape (C, H, W): each number of the columns is added to its pixel.

    It is the pixel from which im2col with the same kernel, stride and pad would have copied the number. What belongs to
    the padding is dropped.
    """
    raise NotImplementedError
