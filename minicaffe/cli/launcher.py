"""What the launcher, such as mpirun or srun, says in the environment: how many processes it has started.

A look at the environment needs no MPI. So a training by one process imports nothing that only several need.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, MutableMapping

from minicaffe.cli.terminal import complain

NUMBERS = (  # the variables with the number of processes, and with the number of this one
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),  # Open MPI
    ("PMI_SIZE", "PMI_RANK"),  # MPICH, Intel MPI, and srun --mpi=pmi2
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),  # MVAPICH
    ("SLURM_STEP_NUM_TASKS", "PMIX_RANK"),  # srun --mpi=pmix
    ("SLURM_NTASKS", "PMIX_RANK"))  # the first of these two in older versions
# These tell one start by a launcher from another: of PMIx, which Open MPI brings, of Slurm, and of MPICH
STARTS = "PMIX_NAMESPACE", "SLURM_STEP_ID", "PMI_PORT", "PMI_FD"
OURS = "MINICAFFE_RANK"  # what `begin` writes
MOMENT = 1.0  # seconds that rank 0 gets to say what all have found


def processes(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of processes that were started together; 1 where no launcher has started this one."""
    return _read(environment)[1]


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of this process among them, counted from 0."""
    return _read(environment)[0]


def begin(environment: MutableMapping[str, str] = os.environ) -> None:
    """Note that this process is one of several.

    A process that it starts inherits the launcher's variables. If that one trains, too, it is none of the several.
    """
    environment[OURS] = f"{os.getpid()} {_start(environment)}"


def complain_once(text: str) -> None:
    """Print an error before the ranks are connected. It is printed once where all ranks find it.

    Rank 0 says it and ends, and launchers then end the others. A rank that still lives a moment later has an error of
    its own.
    """
    if number := rank():
        time.sleep(MOMENT)
        text = f"rank {number}: {text}"
    complain(text)


def _start(environment: Mapping[str, str]) -> str:
    """Return a text that differs between two starts by a launcher."""
    return " ".join(environment.get(name, "") for name in STARTS)


def _read(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return the number of this process, and how many there are."""
    begun, _, start = environment.get(OURS, "").partition(" ")
    if begun not in ("", str(os.getpid())) and start == _start(environment):
        return 0, 1  # a rank has started this process
    for size, number in NUMBERS:
        # Both are needed. The script of a Slurm job has SLURM_NTASKS, too, but it is one process and has no PMIX_RANK
        found = environment.get(number, ""), environment.get(size, "")
        if all(text.isdecimal() for text in found):
            return int(found[0]), int(found[1])
    return 0, 1
