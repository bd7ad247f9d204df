"""Checks for BatchNorm, BN and MVN, which divide by a standard deviation: `eps` keeps the divisor away from 0."""

import numpy as np


def check_eps(layer, field="eps"):
    """Raise a LayerError for a negative `eps`, or another field of this meaning, and warn of one of 0."""
    eps = getattr(layer.param, field)
    layer.check(eps >= 0, field, "must be at least 0")
    layer.caution(eps > 0, field, "is 0, so 0 is divided by 0 where all values are equal")


def without_spread(x):
    """Return why the division is not finite where all values of the blob x are equal; '' where they differ."""
    return "" if np.ptp(x.data) else ("division by a standard deviation of 0: the bottom holds one value only; "
                                      "set eps")
