"""Measure how long each layer of a net takes, forward and backward.

  minicaffe time --model=lenet_train_test.prototxt --iterations=20
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter
from typing import Any

from minicaffe.cli import glog
from minicaffe.cli.evaluate import check_iterations, use_cpu
from minicaffe.cli.show import add_permissive, add_state_arguments, stages
from minicaffe.log import log, number
from minicaffe.net import Net
from minicaffe.proto import Phase


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="F", required=True, help="the net, a prototxt or YAML file")
    parser.add_argument("--iterations", metavar="N", type=int, default=50, help="passes to time (default: 50)")
    add_state_arguments(parser)
    add_permissive(parser)
    parser.add_argument("--gpu", default="", help="accepted as Caffe's; the CPU does the work")


def run(args: argparse.Namespace) -> int:
    with glog.writing():
        use_cpu("caffe.cpp:343", args.gpu)
        check_iterations(args.iterations)
        net = Net(args.model, Phase.Value(args.phase), level=args.level, stages=stages(args),
                  permissive=args.permissive)
        log("caffe.cpp:351", "Performing Forward")
        log("caffe.cpp:356", f"Initial loss: {number(net.forward())}")
        log("caffe.cpp:357", "Performing Backward")
        net.backward()
        log("caffe.cpp:365", "*** Benchmark begins ***")
        log("caffe.cpp:366", f"Testing for {args.iterations} iterations.")
        _benchmark(net, args.iterations)
        log("caffe.cpp:415", "*** Benchmark ends ***")
    return 0


def _benchmark(net: Net, iterations: int) -> None:
    """Time every layer of each pass, then print the averages in milliseconds."""
    forward, backward = [0.0] * len(net.layers), [0.0] * len(net.layers)
    start = perf_counter()
    for iteration in range(iterations):
        seconds = _pass(net, forward, backward)
        log("caffe.cpp:394", f"Iteration: {iteration + 1} forward-backward time: {number(1000 * seconds)} ms.")
    total = 1000 * (perf_counter() - start)
    log("caffe.cpp:397", "Average time per layer: ")
    for name, ahead, back in zip(net.layer_names, forward, backward, strict=True):
        log("caffe.cpp:400", f"{name:>10}\tforward: {number(1000 * ahead / iterations)} ms.")
        log("caffe.cpp:403", f"{name:>10}\tbackward: {number(1000 * back / iterations)} ms.")
    log("caffe.cpp:408", f"Average Forward pass: {number(1000 * sum(forward) / iterations)} ms.")
    log("caffe.cpp:410", f"Average Backward pass: {number(1000 * sum(backward) / iterations)} ms.")
    log("caffe.cpp:412", f"Average Forward-Backward: {number(total / iterations)} ms.")
    log("caffe.cpp:414", f"Total Time: {number(total)} ms.")


def _pass(net: Net, forward: list[float], backward: list[float]) -> float:
    """One pass forward and backward; adds each layer's seconds to the lists, and returns their sum."""
    start = perf_counter()
    for i in range(len(net.layers)):
        forward[i] += _seconds(net.forward, i, i)
    for i in reversed(range(len(net.layers))):
        if net.plan.layers[i]:
            backward[i] += _seconds(net.backward, i, i)
    return perf_counter() - start


def _seconds(work: Callable[..., object], *args: Any) -> float:
    start = perf_counter()
    work(*args)
    return perf_counter() - start
