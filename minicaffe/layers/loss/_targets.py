"""Find targets outside [0, 1], for SigmoidCrossEntropyLoss, and say what they probably are."""

import warnings

import numpy as np

from minicaffe.layers.loss._labels import first_index
from minicaffe.log import number

CLASS_LABELS = ("are they class labels? this loss answers a yes/no question for each score; for one class a sample "
                "or a pixel take SoftmaxWithLoss, with as many scores as there are classes")


def warn_of_targets(layer, t):
    """Warn of targets outside [0, 1] that are not ignored, and return whether there are any.

    The cross entropy of such a target has no lower bound, so training would drive the score to ∞.
    """
    # the least and the largest value tell in nearly every pass that all is well, without an array of comparisons
    if not t.size or (t.min() >= 0 and t.max() <= 1):
        return False
    outside = ~((t >= 0) & (t <= 1))  # so that NaN is outside too
    ignored = layer.ignored_among(t)
    if ignored is not None:
        outside &= ~ignored
    if not outside.any():
        return False
    at, low, high = first_index(outside), np.nanmin(t[outside]), np.nanmax(t[outside])
    warnings.warn(f"layer {layer.name!r} ({layer.type}): {np.count_nonzero(outside)} of {t.size} targets lie "
                  f"outside [0, 1], between {low:g} and {high:g}, the first {t[at]:g} at index {at} of "
                  f"bottom[1] {t.shape}; {_what_they_are(t, low, high)}", stacklevel=3)
    return True


def targets_outside(layer, t):
    """Return why a loss has become infinite or NaN, where targets outside [0, 1] explain it; '' elsewhere."""
    if not t.size or (np.nanmin(t) >= 0 and np.nanmax(t) <= 1):
        return ""
    return (f"the targets of layer {layer.name!r} run from {number(float(np.nanmin(t)))} to "
            f"{number(float(np.nanmax(t)))}, but outside [0, 1] its loss has no least value; masks of 0 and 255 "
            "need scale: 0.00390625")


def _what_they_are(t, low, high):
    """Return a guess at what the targets t are, where those outside [0, 1] lie between low and high."""
    one_a_sample = t.size == t.shape[0]
    if one_a_sample and low >= 0 and high < 255 and (t == np.trunc(t)).all():
        return CLASS_LABELS
    if low >= 0 and high > 2:
        return "masks of 0 and 255 need transform_param { scale: 0.00390625 }"
    if low == high == -1:
        return "labels of -1 and 1 must become 0 and 1; or is -1 what ignore_label should name?"
    return "a target is the probability that the answer is yes"
