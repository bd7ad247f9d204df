"""The statistics of a batch, with which BatchNorm and BN normalize: forward and backward."""

import numpy as np


def channel_sums(values):
    """Return the sum of each channel, (C,), of an array (N, C, values of a channel)."""
    # numpy adds along the last axis pairwise, which loses few digits, so that axis is summed first
    return values.sum(axis=2).sum(axis=0)


def channel_means(values):
    """Return the mean of each channel, (C,), of an array (N, C, values of a channel)."""
    return channel_sums(values) / (values.shape[0] * values.shape[2])


def normalize(x, eps, out):
    """Write to `out` each channel of x (N, C, values) with mean 0 and variance 1, but for ε.

    Return the means μ (C,), the variances v (C,) and the divisors √(v + ε), (C, 1).
    """
    mu = channel_means(x)
    np.subtract(x, mu[:, np.newaxis], out=out)
    v = channel_means(out * out)
    std = np.sqrt(v + eps)[:, np.newaxis]
    out /= std
    return mu, v, std


def normalize_grad(dy, y, std, out):
    """Write to `out` the gradient of the x that `normalize` has made to y. out may be dy."""
    # both means before out is written: it may be the memory of dy
    mean_dy, mean_dy_y = channel_means(dy)[:, np.newaxis], channel_means(dy * y)[:, np.newaxis]
    np.subtract(dy, mean_dy + mean_dy_y * y, out=out)
    out /= std


def freeze(layer, first, end, *, refuse):
    """Give the blobs `first` to `end` − 1 of a layer lr_mult 0, so that no solver changes them.

    Where the definition gives one of them another lr_mult, that is a LayerError with `refuse`, else a warning.
    """
    specs = layer.layer_param.param  # Caffe: the layer completes its own definition, and saves it so
    while len(specs) < first:
        specs.add()
    for i in range(first, end):
        if i == len(specs):
            specs.add(lr_mult=0.0)
        if specs[i].lr_mult == 0:
            continue
        words = f"param {i} has lr_mult {specs[i].lr_mult:g}, but its blobs are statistics, not weights"
        if refuse:
            layer.fail(words, hint="remove it or set lr_mult: 0; learnable scales and shifts belong in a Scale layer")
        layer.caution(False, ".param", f"{i} has no effect: its blob holds statistics, which no solver changes")
        specs[i].lr_mult = specs[i].decay_mult = 0
