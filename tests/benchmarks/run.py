"""Measure minicaffe, beside PyTorch where it is installed (`pip install torch`, the CPU build).

    make bench                          everything
    make bench BENCH="steps --nets lenet caffenet --rounds 9"
    make bench BENCH="load"             a 240 MB caffemodel
    make bench BENCH="memory"           what `minicaffe summary` forecasts, and what is taken
    make bench BENCH="inference --models FOLDER"
    make bench BENCH="growth"           a step's time by batch and by depth
    make bench BENCH="data"             the data layers, beside bare loops and PyTorch's DataLoader

Both sides of a pair run in turn in one process, on the same threads; a row quotes medians over the rounds and the
median of the rounds' ratios. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import data
import numpy as np
from nets import NETS, column

from minicaffe import kernels, rng
from minicaffe.analysis.cost import cost
from minicaffe.errors import MinicaffeError
from minicaffe.net import Net
from minicaffe.proto import TEST, SolverParameter
from minicaffe.solvers import get_solver


def machine():
    """One line about where this runs."""
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")] if Path("/proc/cpuinfo").exists() else [platform.processor()]
    return (f"{names[0]}, {os.cpu_count()} cores; Python {platform.python_version()}, numpy {np.__version__}, "
            f"engine {kernels.engine()}")


def make_solver(net):
    """An SGD solver on a net with Input layers, its inputs filled once."""
    definition = SolverParameter(base_lr=1e-3, lr_policy="fixed", momentum=0.9, weight_decay=5e-4, max_iter=1 << 30)
    definition.net_param.CopyFrom(net)
    solver = get_solver(definition)
    draw = np.random.default_rng(5)
    data, label = solver.net.blobs["data"].data, solver.net.blobs["label"].data
    data[...] = draw.standard_normal(data.shape)
    label[...] = draw.integers(0, 10, label.shape)
    return solver


def interleaved(ours, theirs, rounds, seconds=0.6):
    """(our seconds, their seconds) per step for each round; a round repeats each side for about `seconds`."""
    ours()
    repeats = max(1, int(seconds / _timed(ours, 1)))
    pairs = []
    for i in range(rounds + 1):
        sides = [(0, ours), (1, theirs)] if i % 2 else [(1, theirs), (0, ours)]
        pair = [0.0, 0.0]
        for k, side in sides:
            if side is not None:
                pair[k] = _timed(side, repeats) / repeats
        pairs.append(pair)
    return pairs[1:]  # the first round warms both up


def _timed(run, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return time.perf_counter() - start


def steps(args):
    """A training step (forward, backward, update) of each net."""
    try:
        import torch
        from torch_twin import Twin
    except ImportError:
        Twin = None
        print("PyTorch is not installed: no comparison")
    else:
        print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'net':16}{'batch':>6}{'minicaffe ms':>14}{'PyTorch ms':>12}{'PyTorch / minicaffe':>21}")
    ratios = []
    for name in args.nets:
        make, batch = NETS[name]
        rng.seed(1)
        net = make(args.batch or batch).net
        solver = make_solver(net)
        twin = Twin and Twin(net, solver.net.params, {k: solver.net.blobs[k].data for k in ("data", "label")})
        pairs = interleaved(lambda s=solver: s.step(1), twin and twin.step, args.rounds)
        ours, theirs = (1e3 * statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(t / o for o, t in pairs)
        ratios.append(ratio)
        row = f"{name:16}{args.batch or batch:6}{ours:14.2f}"
        print(row + (f"{theirs:12.2f}{ratio:21.2f}" if twin else ""), flush=True)
    if Twin and len(ratios) > 1:
        print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")


def inference(args):
    """One image through real models, beside OpenCV's Caffe importer (`pip install 'opencv-python-headless<5'`)."""
    import cv2

    print(f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads")
    print(f"{'model':44}{'minicaffe ms':>14}{'OpenCV ms':>12}{'OpenCV / minicaffe':>20}{'max |Δ|':>12}")
    ratios = []
    for weights in sorted(Path(args.models).glob("*/*.caffemodel*")):
        reference = Path(f"{weights}.reference.npz")
        if not reference.exists():
            continue
        try:
            ours, theirs = _model(weights, reference), _opencv_model(weights, reference)
            both = [list(ours().values()), list(theirs().values())]
        except (MinicaffeError, cv2.error) as error:
            print(f"{weights.name[:43]:44}  {str(error).strip().splitlines()[0][:70]}")
            continue
        delta = max(float(np.abs(a - b.reshape(a.shape)).max()) for a, b in zip(*both, strict=True))
        pairs = interleaved(ours, theirs, args.rounds)
        one, other = (1e3 * statistics.median(side) for side in zip(*pairs, strict=True))
        ratios.append(statistics.median(t / o for o, t in pairs))
        print(f"{weights.name[:43]:44}{one:14.2f}{other:12.2f}{ratios[-1]:20.2f}{delta:12.1e}", flush=True)
    if ratios:
        print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")


def _definition_of(weights):
    """The prototxt beside a weight file: the one of its name, else the only one, else the deploy net."""
    found = sorted(weights.parent.glob("*.prototxt"))
    stem = weights.name.split(".caffemodel")[0]
    named = [p for p in found if p.stem == stem or stem.startswith(p.stem) or p.stem.split("_deploy")[0] in stem]
    return (named or [p for p in found if "solver" not in p.name and "train" not in p.name])[0]


def _model(weights, reference):
    """Our net with its weights; calling it feeds the reference input and gives the outputs by name."""
    net = Net(str(_definition_of(weights)), TEST, weights=str(weights))
    with np.load(reference) as stored:
        fed = {k.split("|")[1]: stored[k] for k in stored.files if k.startswith("in|")}
        wanted = [k.split("|")[1] for k in stored.files if k.startswith("out|")]
    for name, values in fed.items():
        net.blobs[name].reshape(values.shape)

    def run():
        for name, values in fed.items():
            net.blobs[name].data[...] = values
        net.forward()
        return {name: net.blobs[name].data for name in wanted}

    return run


def _opencv_model(weights, reference):
    """OpenCV's net for the same."""
    import cv2

    net = cv2.dnn.readNetFromCaffe(str(_definition_of(weights)), str(weights))
    with np.load(reference) as stored:
        fed = {k.split("|")[1]: stored[k] for k in stored.files if k.startswith("in|")}
        wanted = [k.split("|")[1] for k in stored.files if k.startswith("out|")]

    def run():
        for name, values in fed.items():
            net.setInput(values, name)
        return dict(zip(wanted, net.forward(wanted), strict=True))

    return run


def growth(args):
    """How a training step grows: LeNet with its batch, and a column of 3×3 convolutions with its depth."""
    print(f"{'':16}{'ms':>10}{'ms for each one more':>22}")
    for name, sizes, make in (("images", (8, 16, 32, 64, 128, 256, 512), NETS["lenet"][0]),
                              ("convolutions", (2, 4, 8, 16, 32, 64), column)):
        before = None
        for size in sizes:
            rng.seed(1)
            solver = make_solver(make(size).net)
            pairs = interleaved(lambda s=solver: s.step(1), None, args.rounds)
            ours = 1e3 * statistics.median(pair[0] for pair in pairs)
            more = "" if before is None else f"{(ours - before[1]) / (size - before[0]):22.3f}"
            print(f"{size:3} {name:12}{ours:10.2f}{more}", flush=True)
            before = size, ours


def load(args):
    """Reading a caffemodel of CaffeNet's size: seconds, and memory over the arrays it gives."""
    from minicaffe.io.binary import write_weights

    net = NETS["caffenet"][0](1).net
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "caffenet.caffemodel")
        made = Net(net)
        write_weights(path, net,
                      {name: [b.data for b in blobs] for name, blobs in made.params.items()})
        del made
        print(subprocess.run([sys.executable, __file__, "load-one", str(path)], capture_output=True, text=True,
                             check=True).stdout, end="")


def peak_memory():
    """The largest memory of this process so far, in bytes (Linux; getrusage would count its parent's)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def load_one(args):
    """Load one weight file in a process of its own, so that the peak is this load's alone."""
    from minicaffe.io.binary import read_weights

    before = peak_memory()
    start = time.perf_counter()
    arrays = [a for layer in read_weights(args.file) for a in layer.blobs]
    seconds = time.perf_counter() - start
    peak = peak_memory() - before
    size, result = os.path.getsize(args.file), sum(a.nbytes for a in arrays)
    print(f"load {size / 1e6:.0f} MB: {seconds:.2f} s, peak {peak / 1e6:.0f} MB, "
          f"{(peak - result) / size:.2f} times the file over the result")


def memory(args):
    """Memory of a forward pass at TEST, with and without reuse, and of a training step, beside its forecast, in MiB."""
    print(f"{'net':24s} {'pass':8s} {'forecast':>8s} {'peak':>8s} {'ratio':>6s}")
    for name in args.nets:
        for kind in ("TEST", "reused", "TRAIN"):
            print(subprocess.run([sys.executable, __file__, "memory-one", name, "--pass", kind], capture_output=True,
                                 text=True, check=True).stdout, end="", flush=True)


def memory_one(args):
    """One kind of pass of one net in a process of its own, over the memory of one that has run it on two images."""
    kernels.use_engine(args.engine)
    for name in ("lenet", args.file):
        first = threading.Thread(target=run_passes, args=(NETS[name][0](2).net, args.kind))
        first.start()  # in a thread of its own, which takes to its end what kernels have borrowed
        first.join()
    gc.collect()
    before = now_memory()
    definition = NETS[args.file][0](NETS[args.file][1]).net
    forecast = cost(Net(definition, shapes_only=True, reuse_memory=args.kind == "reused"))
    expected = forecast.train_bytes if args.kind == "TRAIN" else forecast.test_bytes
    made = run_passes(definition, args.kind)
    peak = peak_memory() - before
    print(f"{args.file:24s} {args.kind:8s} {expected / 2**20:8.1f} {peak / 2**20:8.1f} {peak / expected:6.2f}")
    del made


def run_passes(definition, kind):
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


def now_memory():
    """The memory of this process in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def reset_peak():
    """Let `peak_memory` count from now on (Linux)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all",
                        choices=["all", "steps", "inference", "growth", "load", "load-one", "memory", "memory-one",
                                 "data"])
    parser.add_argument("file", nargs="?", help="of load-one; the net of memory-one")
    parser.add_argument("--pass", dest="kind", choices=["TEST", "reused", "TRAIN"], help="of memory-one")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--models", help="a folder of folders with a .caffemodel, its .prototxt, a .reference.npz")
    parser.add_argument("--engine", default="auto")
    args = parser.parse_args()
    if args.what == "load-one":
        load_one(args)
        return
    if args.what == "memory-one":
        memory_one(args)
        return
    kernels.use_engine(args.engine)
    print(machine())
    for name, run in (("steps", steps), ("inference", inference), ("growth", growth), ("load", load),
                      ("memory", memory), ("data", data.run)):
        if args.what == name or (args.what == "all" and (name != "inference" or args.models)):
            print(f"\n{run.__doc__}")
            run(args)


if __name__ == "__main__":
    main()
