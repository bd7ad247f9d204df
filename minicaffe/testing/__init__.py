"""Checks for layers and nets, ours and users' own: gradients alone, a layer's whole contract, or a whole net."""

from minicaffe.testing.gradient import check_gradient
from minicaffe.testing.slopes import GradientError
from minicaffe.testing.whole_layer import check_layer
from minicaffe.testing.whole_net import check_net

__all__ = ["GradientError", "check_gradient", "check_layer", "check_net"]
