"""Checks for BatchNorm and MVN, which divide by a standard deviation: `eps` keeps the divisor away from 0."""

import numpy as np


def check_eps(layer):
    """Raise a LayerError for a negative `eps`, and warn of an `eps` of 0."""
    layer.check(layer.param.eps >= 0, "eps", "must be at least 0")
    layer.caution(layer.param.eps > 0, "eps", "is 0, so 0 is divided by 0 where all values are equal")


def without_spread(x):
    """Return why the division is not finite where all values of the blob x are equal; '' where they differ."""
    return "" if np.ptp(x.data) else ("division by a standard deviation of 0: the bottom holds one value only; "
                                      "set eps")
