"""Windows that slide over an image: their sizes, and how many places they have."""


def pair(param, name, default=None):
    """Return a layer's parameter as a pair, for height and width. This function is complete.

    kernel_size=3 gives (3, 3); kernel_h=2, kernel_w=3 give (2, 3). With stride and pad it is the same.
    """
    both, prefix = param.get(name, default), name.removesuffix("_size")
    return param.get(f"{prefix}_h", both), param.get(f"{prefix}_w", both)


def output_size(size, kernel, stride, pad):
    """Return how many places a window has along one axis; all five numbers are whole.

    The axis has `size` pixels, and `pad` more on each of its two sides. The window covers `kernel` of them. Its first
    place begins with the first pixel of the padding, each other one begins `stride` pixels after the one before, and
    all of them lie within the padded axis.
    """
    raise NotImplementedError
