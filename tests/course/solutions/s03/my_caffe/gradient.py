"""Gradients from difference quotients, to check those that layers compute."""

import numpy as np


def numeric_gradient(f, x, h=1e-5):
    gradient = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        old = x[i]
        x[i] = old + h
        up = f()
        x[i] = old - h
        down = f()
        x[i] = old
        gradient[i] = (up - down) / (2 * h)
    return gradient


def largest_error(a, b):
    size = np.maximum(np.maximum(np.abs(a), np.abs(b)), 1)
    return np.max(np.abs(a - b) / size)


def check_gradient(layer, bottom, top, propagate_down=None):
    if propagate_down is None:
        propagate_down = [True] * len(bottom)
    draw = np.random.default_rng(1)
    layer.reshape(bottom, top)
    layer.forward(bottom, top)
    dys = [draw.standard_normal(blob.shape) for blob in top]
    for blob, dy in zip(top, dys, strict=True):
        blob.diff[...] = dy
    for blob in layer.blobs:
        blob.clear_diff()
    layer.backward(top, propagate_down, bottom)

    def loss():
        layer.forward(bottom, top)
        return sum((dy * blob.data).sum() for dy, blob in zip(dys, top, strict=True))

    checked = [blob for blob, down in zip(bottom, propagate_down, strict=True) if down] + layer.blobs
    return np.max([largest_error(blob.diff, numeric_gradient(loss, blob.data)) for blob in checked])
