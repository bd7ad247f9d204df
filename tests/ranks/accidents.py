"""For --import: what happens to one rank at one place of a training.

The variable ACCIDENT says it in four words: the place, the rank, the iteration before which nothing happens, and what
happens. The time of the accident becomes that of the file accident.
"""

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

from minicaffe import register
from minicaffe.data.lmdb import LmdbSource
from minicaffe.io import solverstate
from minicaffe.layer import Layer
from minicaffe.net import Net
from minicaffe.solvers import Solver

PLACE, RANK, ITERATION, WHAT = os.environ["ACCIDENT"].split()
solvers: list[Solver] = []


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def stopped():
    os.kill(os.getpid(), signal.SIGSTOP)


def raised():
    raise RuntimeError("something broke")


def full():
    """From now on no file of this process may become longer than 100 bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


def elsewhere():
    """The process runs in another folder, where the solver and the net are found, but not their data."""
    os.chdir("elsewhere")


def asked():
    """The process alone is asked to stop."""
    os.kill(os.getpid(), signal.SIGTERM)


def ctrl_c():
    """The parent, which is mpirun, gets a Ctrl-C. It ends its ranks while this one waits."""
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(10)


def sigusr1_for_all():
    """mpirun hands the signal on, also to this process, which waits for it."""
    came = threading.Event()
    noted = signal.signal(signal.SIGUSR1, lambda *arguments: (noted(*arguments), came.set()))
    os.kill(os.getppid(), signal.SIGUSR1)
    came.wait(10)


def at(place):
    """Let it happen, if this is the place, the rank and the time, and if it has not happened yet."""
    iteration = solvers[0].iter if solvers else 0
    mark = Path("accident")
    if (place, os.environ["OMPI_COMM_WORLD_RANK"]) == (PLACE, RANK) and iteration >= int(ITERATION) \
            and not mark.exists():
        mark.touch()
        globals()[WHAT]()


def before(owner, name, place):
    """Let it happen before a function of a module or a class runs. `place` may be a function of its arguments."""
    original = getattr(owner, name)

    def wrapped(*arguments, **keywords):
        at(place(*arguments) if callable(place) else place)
        return original(*arguments, **keywords)

    setattr(owner, name, wrapped)


@register("Fragile")
class FragileLayer(Layer):
    """A user's layer, in whose forward it may happen."""

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        at("layer")
        top[0].data[...] = bottom[0].data


def begin(solver, *_):
    """From now on the iteration is known, and the module of the exchange is imported where there is one."""
    solvers.append(solver)
    before(sys.modules["minicaffe.ranks.exchange"].AllReduce, "finish", "exchange")
    return "step"


def of_pass(net, *_):
    """Whose forward pass this is."""
    return "forward" if net is solvers[0].net else "test"


at("start")
before(Net, "__init__", "nets")
before(Solver, "step", begin)
before(LmdbSource, "take", "data")
before(Net, "forward_pass", of_pass)
before(Net, "backward_pass", "backward")
before(Solver, "snapshot", "snapshot")
before(solverstate, "write", "half_a_snapshot")
