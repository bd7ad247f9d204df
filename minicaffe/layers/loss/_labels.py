"""Class labels, for Accuracy and the losses: which class a label names, which are ignored, and which are wrong."""

import math

import numpy as np


def ignored_among(values, ignore_label, exact=False):
    """Return an array with True where a label or target is `ignore_label`; None where there is none to ignore.

    With `exact` the value is compared as it is.
    """
    if ignore_label is None:
        return None
    # Caffe: the value is truncated first, so ignore_label 0 leaves out the soft targets 0.9 and −0.9 too
    ignored = (values if exact else np.trunc(values)) == ignore_label
    return ignored if ignored.any() else None


def classes_of(layer, label, classes, ignored):
    """Return the class of each label, flat, and 0 for an ignored one. Raise LayerError for a label that is no class."""
    values = label.data.reshape(-1)
    # Caffe: a label is truncated to a whole number, so 2.9 is class 2 and −0.9 is class 0
    # The negation, because NaN fails every comparison and must be bad.
    bad = ~((values > -1) & (values < classes))
    if ignored is not None:
        bad &= ~ignored
    if bad.any():
        _fail_for_labels(layer, label.data, bad.reshape(label.shape), classes)
    return (values if ignored is None else np.where(ignored, 0, values)).astype(np.intp)


def _fail_for_labels(layer, label, bad, classes):
    """Raise the LayerError for labels that are no class; it names the first of them."""
    at, more = first_index(bad), np.count_nonzero(bad) - 1
    others = f" (and {more} more)" if more else ""
    layer.fail(f"the label {label[at]:g} at index {at} of bottom[1] {label.shape}{others} is none of the "
               f"{classes} classes 0 to {classes - 1}",
               hint="classes are counted from 0 and num_output is their number; "
                    "ignore_label names a label to leave out", sample=sample_of(at))


def split_axes(shape, axis):
    """Return (outer, C, inner): how many numbers there are before an axis, along it, and after it."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])


def first_index(mask):
    """Return the index of the first True in a mask, as a tuple of ints."""
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def sample_of(index):
    """Return the number of the sample, along the first axis, that an index points into."""
    return index[0] if index else 0
