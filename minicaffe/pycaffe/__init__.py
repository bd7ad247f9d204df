"""Caffe's Python surface: `from minicaffe import pycaffe as caffe`.

A module is imported when a script first uses one of its names. So a script that only reads messages does not wait for
nets.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from minicaffe.pycaffe.alias import SubmoduleFinder

if TYPE_CHECKING:
    from minicaffe.pycaffe import io
    from minicaffe.pycaffe.classifier import Classifier
    from minicaffe.pycaffe.detector import Detector
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
    from minicaffe.pycaffe.net import Net
    from minicaffe.pycaffe.net_spec import NetSpec, layers, params, to_proto
    from minicaffe.pycaffe.python_layer import Layer
    from minicaffe.pycaffe.solver import (
        NCCL,
        AdaDeltaSolver,
        AdaGradSolver,
        AdamSolver,
        NesterovSolver,
        RMSPropSolver,
        SGDSolver,
        get_solver,
    )
    from minicaffe.pycaffe.stderr_log import init_log, log
    from minicaffe.pycaffe.timer import Timer

TRAIN, TEST = 0, 1  # the values of the enum Phase, written here because `proto` need not be loaded for them
__version__ = "1.0.0"  # of the Caffe whose surface this is: scripts compare it

_HOMES = {
    "classifier": ("Classifier",),
    "detector": ("Detector",),
    "net": ("Net",),
    "net_spec": ("NetSpec", "layers", "params", "to_proto"),
    "global_settings": ("has_nccl", "layer_type_list", "set_device", "set_mode_cpu", "set_mode_gpu", "set_multiprocess",
                "set_random_seed", "set_solver_count", "set_solver_rank", "solver_count", "solver_rank"),
    "python_layer": ("Layer",),
    "solver": ("NCCL", "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "NesterovSolver", "RMSPropSolver", "SGDSolver",
               "get_solver"),
    "stderr_log": ("init_log", "log"),
    "timer": ("Timer",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
# what `import caffe` alone makes known in pycaffe
_MODULES = ("_caffe", "classifier", "detector", "io", "net_spec", "proto", "pycaffe")
_IMPORTED_BY_NAME = ("coord_map", "draw")

__all__ = ["NCCL", "TEST", "TRAIN", "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "Classifier", "Detector", "Layer",
           "NesterovSolver", "Net", "NetSpec", "RMSPropSolver", "SGDSolver", "Timer", "classifier", "detector",
           "get_solver", "has_nccl", "init_log", "io", "layer_type_list", "layers", "log", "net_spec", "params",
           "proto", "pycaffe", "set_device", "set_mode_cpu", "set_mode_gpu", "set_multiprocess", "set_random_seed",
           "set_solver_count", "set_solver_rank", "solver_count", "solver_rank", "to_proto"]


if not any(isinstance(finder, SubmoduleFinder) for finder in sys.meta_path):
    sys.meta_path.insert(0, SubmoduleFinder())  # for scripts that say sys.modules["caffe"] = minicaffe.pycaffe


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME_OF:
        called = "caffe" if "caffe" in sys.modules else __name__
        cure = f": write `import {called}.{name}` first" if name in _IMPORTED_BY_NAME else ""
        # with the last two arguments, Python says which name may have been meant
        raise AttributeError(f"module {called!r} has no attribute {name!r}{cure}", name=name, obj=sys.modules[__name__])
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value  # the next look-up is a plain one
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


def load_ipython_extension(shell: Any) -> None:
    """Make `import caffe` work in a notebook and in programs that it starts: `%load_ext minicaffe.pycaffe`.

    Where a cell fails because it is written for Python 2, or for old packages, the cure stands below its error.
    """
    from minicaffe.pycaffe import alias, runner

    alias.install()
    shell.events.register("post_run_cell", runner.print_cure_of_cell)
