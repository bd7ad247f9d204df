"""The check of eps, which BatchNorm and MVN share: it keeps a division by a deviation finite."""


def check_eps(layer):
    """LayerError for a negative `eps`, a warning for 0."""
    layer.check(layer.param.eps >= 0, "eps", "must be at least 0")
    layer.caution(layer.param.eps > 0, "eps", "is 0, so 0 is divided by 0 where all values are equal")
