"""Settings of the whole process: the device, the random numbers, and the solvers that train together."""

from __future__ import annotations

import operator

from minicaffe import rng
from minicaffe.errors import MinicaffeError
from minicaffe.layer.registry import registered_types
from minicaffe.log import At, warn
from minicaffe.pycaffe import stderr_log
from minicaffe.pycaffe.list_types import StringVec


class _Settings:
    """What the script has set so far."""

    noticed_gpu = False
    noticed_solvers = False
    solver_count, solver_rank, multiprocess = 1, 0, False


def set_mode_cpu() -> None:
    """Do nothing: minicaffe always computes on the CPU."""


def set_mode_gpu() -> None:
    """Say, once in the process, that the CPU computes: there is no GPU mode."""
    _notice_gpu("set_mode_gpu()")


def set_device(device_id: int) -> None:
    """Say, once in the process, that the CPU computes: there is no GPU to choose."""
    _notice_gpu(f"set_device({operator.index(device_id)})")


def _notice_gpu(call: str) -> None:
    if not _Settings.noticed_gpu:
        _Settings.noticed_gpu = True
        stderr_log.begin()
        warn(At.DEVICE_IGNORED, f"{call} asks for a GPU, but minicaffe computes everything on the CPU")


def set_random_seed(seed: int) -> None:
    """Start the random numbers of the process from a whole number that is not negative.

    A solver whose file has a random_seed starts them from that one when it is made.
    """
    rng.seed(_not_negative("set_random_seed", seed))


def solver_count() -> int:
    """Return how many solvers train together, as set by set_solver_count; 1 at first."""
    return _Settings.solver_count


def set_solver_count(count: int) -> None:
    """Set how many solvers train together, each in a process of its own.

    Here they cannot exchange gradients: NCCL refuses more than one solver. Without NCCL, each trains as if alone.
    """
    if operator.index(count) < 1:
        raise MinicaffeError(f"set_solver_count takes a number from 1 on, got {count}")
    _Settings.solver_count = operator.index(count)
    _notice_solvers(f"set_solver_count({count})", count > 1)


def solver_rank() -> int:
    """Return the number of this process's solver among those that train together, as set by set_solver_rank."""
    return _Settings.solver_rank


def set_solver_rank(rank: int) -> None:
    """Set the number of this process's solver among those that train together, counted from 0."""
    _Settings.solver_rank = _not_negative("set_solver_rank", rank)
    _notice_solvers(f"set_solver_rank({rank})", rank > 0)


def _notice_solvers(call: str, several: bool) -> None:
    if several and not _Settings.noticed_solvers:
        _Settings.noticed_solvers = True
        stderr_log.begin()
        warn(At.DEVICE_IGNORED, f"{call} asks for several solvers, but in minicaffe each trains alone: it reads all "
                                "records, and it displays, tests and writes snapshots")


def set_multiprocess(multiprocess: bool) -> None:
    """Set whether the solvers that train together have processes of their own. It makes no difference here."""
    _Settings.multiprocess = bool(multiprocess)


def has_nccl() -> bool:
    """Return False: there is no NCCL, by which GPUs add up their gradients."""
    return False


def layer_type_list() -> StringVec:
    """Return the names of all layer types, sorted."""
    return StringVec(registered_types())


def _not_negative(function: str, value: int) -> int:
    if operator.index(value) < 0:
        raise MinicaffeError(f"{function} takes a whole number from 0 on, got {value}")
    return operator.index(value)
