"""The names that `caffe._caffe` has, which in Caffe is the part written in C++."""

from minicaffe.blob import Blob
from minicaffe.proto import LayerParameter, SolverParameter
from minicaffe.pycaffe import __version__
from minicaffe.pycaffe.global_settings import (
    has_nccl,
    layer_type_list,
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_multiprocess,
    set_random_seed,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from minicaffe.pycaffe.list_types import BlobVec, BoolVec, DtypeVec, IntVec, LayerVec, NetVec, RawBlobVec, StringVec
from minicaffe.pycaffe.net import Net
from minicaffe.pycaffe.python_layer import Layer
from minicaffe.pycaffe.solver import (
    NCCL,
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    Solver,
    get_solver,
)
from minicaffe.pycaffe.stderr_log import init_log, log
from minicaffe.pycaffe.timer import Timer

__all__ = ["NCCL", "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "Blob", "BlobVec", "BoolVec", "DtypeVec", "IntVec",
           "Layer", "LayerParameter", "LayerVec", "NesterovSolver", "Net", "NetVec", "RMSPropSolver", "RawBlobVec",
           "SGDSolver", "Solver", "SolverParameter", "StringVec", "Timer", "__version__", "get_solver", "has_nccl",
           "init_log", "layer_type_list", "log", "set_device", "set_mode_cpu", "set_mode_gpu", "set_multiprocess",
           "set_random_seed", "set_solver_count", "set_solver_rank", "solver_count", "solver_rank"]
