"""Checks for layers, ours and users' own: the gradients alone, or the whole contract."""

from minicaffe.testing.gradient import check_gradient
from minicaffe.testing.slopes import GradientError
from minicaffe.testing.whole_layer import check_layer

__all__ = ["GradientError", "check_gradient", "check_layer"]
