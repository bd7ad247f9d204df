"""Measure how long each layer of a net takes, forward and backward.

  minicaffe time --model=lenet_train_test.prototxt --iterations=20
  minicaffe time --model=F --json times.json --trace trace.json

The lines that Caffe prints come first. Then a table compares each layer with the limits of this machine: a product of
matrices (sgemm) and a copy of memory. GFLOP/s count the multiply-adds of layers that multiply by weights, as two
operations each. GB/s count every blob that a layer reads or writes once. A layer whose blobs are still in the
processor's caches may therefore be faster than the copy. Open a trace in chrome://tracing or ui.perfetto.dev.
"""

from __future__ import annotations

import argparse

from minicaffe.cli import timing_report
from minicaffe.cli.evaluate import check_iterations, use_cpu
from minicaffe.cli.flags import whole
from minicaffe.cli.results import STDOUT, add_json, check_json, write_json
from minicaffe.cli.show import add_permissive, add_state_arguments, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.threads import add_gpu, add_threads, use_threads
from minicaffe.cli.timing_report import Recorder
from minicaffe.cli.user_code import add_user_code
from minicaffe.io.files import check_can_write, replace_file
from minicaffe.kernels import clock
from minicaffe.log import At, log, number
from minicaffe.net import Net
from minicaffe.proto import Phase
from minicaffe.records import glog


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="F", required=True, help="the net, a prototxt or YAML file")
    parser.add_argument("--iterations", metavar="N", type=whole, default=50,
                        help="number of passes to time (default: 50)")
    add_json(parser, "the numbers")
    parser.add_argument("--trace", metavar="F", default="", help="write every pass to a file, as a Chrome trace")
    add_state_arguments(parser)
    add_permissive(parser)
    add_user_code(parser)
    add_threads(parser)
    add_gpu(parser)


def run(args: argparse.Namespace) -> int:
    use_threads(args)
    check_json(args.json)  # before the benchmark, so that its results are not lost
    check_can_write("--trace", args.trace)
    with glog.writing():
        use_cpu(At.TIME_MODE, args.gpu)
        check_iterations(args.iterations)
        net = Net(args.model, Phase.Value(args.phase), level=args.level, stages=stages(args),
                  permissive=args.permissive, allow_python=not args.no_python)
        # Caffe: a first pass that is not timed, because layers take their memory in it
        log(At.TIME_FORWARD, "Performing Forward")
        log(At.TIME_INITIAL_LOSS, f"Initial loss: {number(net.forward())}")
        log(At.TIME_BACKWARD, "Performing Backward")
        net.backward()
        log(At.TIME_BEGINS, "*** Benchmark begins ***")
        log(At.TIME_ITERATIONS, f"Testing for {args.iterations} iterations.")
        recorder = _benchmark(net, args.iterations)
        log(At.TIME_ENDS, "*** Benchmark ends ***")
    _report(args, net, recorder)
    return 0


def _report(args: argparse.Namespace, net: Net, recorder: Recorder) -> None:
    """Print the table, and write the files that the flags name."""
    made = timing_report.report(net, recorder, args.iterations)
    if args.json != STDOUT:
        say(timing_report.table(made))
    if args.json:
        write_json(args.json, timing_report.facts(made, model=args.model, net=net.name, phase=args.phase,
                                                  iterations=args.iterations))
    if args.trace:
        replace_file(args.trace, [timing_report.as_trace(net, recorder)])


def _benchmark(net: Net, iterations: int) -> Recorder:
    """Time every layer of each pass, then log the averages in milliseconds."""
    forward, backward = [0.0] * len(net.layers), [0.0] * len(net.layers)
    recorder = Recorder()
    for iteration in range(iterations):
        seconds = _pass(net, recorder, forward, backward)
        log(At.TIME_ITERATION, f"Iteration: {iteration + 1} forward-backward time: {number(1000 * seconds)} ms.")
    total = 1000 * (clock() - recorder.start)
    log(At.TIME_PER_LAYER, "Average time per layer: ")
    for name, ahead, back in zip(net.layer_names, forward, backward, strict=True):
        log(At.TIME_LAYER_FORWARD, f"{name:>10}\tforward: {number(1000 * ahead / iterations)} ms.")
        log(At.TIME_LAYER_BACKWARD, f"{name:>10}\tbackward: {number(1000 * back / iterations)} ms.")
    log(At.TIME_MEAN_FORWARD, f"Average Forward pass: {number(1000 * sum(forward) / iterations)} ms.")
    log(At.TIME_MEAN_BACKWARD, f"Average Backward pass: {number(1000 * sum(backward) / iterations)} ms.")
    log(At.TIME_MEAN_BOTH, f"Average Forward-Backward: {number(total / iterations)} ms.")
    log(At.TIME_TOTAL, f"Total Time: {number(total)} ms.")
    return recorder


def _pass(net: Net, recorder: Recorder, forward: list[float], backward: list[float]) -> float:
    """Run one pass forward and backward, add each layer's seconds to the lists, and return the seconds of the pass."""
    start = clock()
    for i in range(len(net.layers)):
        forward[i] += recorder.time(i, "forward", net.run)
    for i in reversed(range(len(net.layers))):
        if net.plan.layers[i]:  # other layers have no backward: no gradient passes through them
            backward[i] += recorder.time(i, "backward", net.backward)
    return clock() - start
