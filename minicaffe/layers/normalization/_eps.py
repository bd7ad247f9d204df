"""What BatchNorm and MVN share: both divide by a standard deviation, which eps keeps away from 0."""

import numpy as np


def check_eps(layer):
    """LayerError for a negative `eps`, a warning for 0."""
    layer.check(layer.param.eps >= 0, "eps", "must be at least 0")
    layer.caution(layer.param.eps > 0, "eps", "is 0, so 0 is divided by 0 where all values are equal")


def without_spread(x):
    """Why the division is not finite where all values of the blob x are equal; or ''."""
    return "" if np.ptp(x.data) else ("division by a standard deviation of 0: the bottom holds one value only; "
                                      "set eps")
