"""The memory that passes take: each in a process of its own, from the first pass on (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import tempfile
import threading
from pathlib import Path

import sides
from problem import Problem, draws, write_problem
from timed_nets import NETS
from training import make_solver

from minicaffe import kernels, rng
from minicaffe.analysis.cost import cost
from minicaffe.net import Net
from minicaffe.proto import TEST, TRAIN

PASSES = ("TEST", "reused", "TRAIN")
RIVALS = ("eager", "channels_last")


def run(args, report):
    """Memory of a forward pass at TEST, with and without reuse, and of a training step, in MiB."""
    print(f"{'net':24s} {'pass':8s} {'forecast':>8s} {'peak':>8s} {'ratio':>6s}"
          + "".join(f"{'PyTorch ' + kind:>24s}" for kind in RIVALS))
    for name in args.nets:
        for kind in PASSES:
            side = _peak(kind, "memory:ours", net=name, kind=kind, engine=args.engine)
            if side is None:
                continue
            peak, forecast = side["peak"], side["forecast"]
            print(f"{name:24s} {kind:8s} {forecast / 2**20:8.1f} {peak / 2**20:8.1f} {peak / forecast:6.2f}",
                  end="", flush=True)
            rivals = _torch(name) if kind == "TRAIN" else {}
            print("".join(f"{rivals[rival] / 2**20:15.1f}{rivals[rival] / peak:6.2f} ×" if rival in rivals else
                          f"{'':24}" for rival in RIVALS), flush=True)
            report.add("memory", f"{name} {kind}", [peak], "bytes", rivals=rivals)


def _torch(name):
    """The peaks of PyTorch's training steps of the same net, by the kind."""
    with tempfile.TemporaryDirectory() as folder:
        for which, batch in (("small", 2), ("net", NETS[name][1])):
            Path(folder, which).mkdir()
            rng.seed(1)
            definition = NETS[name][0](batch).net
            net = Net(definition, TRAIN)
            write_problem(Path(folder, which), definition, net, draws(net))
        del net
        found = {kind: _peak(kind, "memory:torch_step", folder, kind=kind) for kind in RIVALS}
        return {kind: facts["peak"] for kind, facts in found.items() if facts}


def _peak(name, maker, folder=".", **options):
    """What the maker says of its pass; None where it fails, which is printed."""
    try:
        side = sides.Side(name, maker, folder, **options)
    except sides.SideError as error:
        print(error)
        return None
    side.close()
    return side.facts


def ours(_folder, net, kind, engine):
    """One kind of pass of one net, over the memory of a process that has run it on two images."""
    kernels.use_engine(engine)
    for name in ("lenet", net):
        first = threading.Thread(target=_passes, args=(NETS[name][0](2).net, kind))
        first.start()  # in a thread of its own, which takes to its end what kernels have borrowed
        first.join()
    before = now_memory()
    definition = NETS[net][0](NETS[net][1]).net
    forecast = cost(Net(definition, shapes_only=True, reuse_memory=kind == "reused"))
    made = _passes(definition, kind)
    peak = peak_memory() - before
    del made
    return None, {"peak": peak, "forecast": forecast.train_bytes if kind == "TRAIN" else forecast.test_bytes}


def _passes(definition, kind):
    """What ran three times, its peak counted from the first pass on."""
    if kind == "TRAIN":
        solver = make_solver(definition)
        reset_peak()
        solver.step(3)
        return solver
    net = Net(definition, TEST, reuse_memory=kind == "reused")
    reset_peak()
    for _ in range(3):
        net.forward()
    return net


def torch_step(folder, kind):
    """PyTorch's training step, over the memory of a process that has run it on two images."""
    _torch_steps(folder / "small", kind)
    before = now_memory()
    twin = _torch_steps(folder / "net", kind)
    peak = peak_memory() - before
    del twin
    return None, {"peak": peak}


def _torch_steps(folder, kind):
    from torch_twin import Twin

    problem = Problem(folder)
    twin = Twin(problem.definition, problem.weights, problem.inputs, kind)
    del problem
    reset_peak()
    for _ in range(3):
        twin.step()
    return twin


def peak_memory():
    """The largest memory of this process so far, in bytes (getrusage would count its parent's)."""
    return _status("VmHWM")


def now_memory():
    """The memory of this process in bytes, without what was freed and not yet given back."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only glibc keeps freed memory, and has this function
        ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def reset_peak():
    """Let `peak_memory` count from now on."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


def _status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(name)))
