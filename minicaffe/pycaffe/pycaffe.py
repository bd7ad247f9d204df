"""The names that `caffe.pycaffe` has in Caffe."""

from minicaffe.pycaffe.net import Net
from minicaffe.pycaffe.solver import (
    NCCL,
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
)
from minicaffe.pycaffe.timer import Timer

__all__ = ["NCCL", "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "NesterovSolver", "Net", "RMSPropSolver",
           "SGDSolver", "Timer"]
