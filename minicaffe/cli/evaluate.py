"""Score a net with given weights: print the outputs of each batch, then their means over all batches.

  minicaffe test --model lenet.prototxt --weights lenet.caffemodel --iterations 100
  minicaffe test --model F --weights F --predictions out.csv --confusion out.png

The second form judges every sample of the test set: precision, recall and F1 of each class, or for a net that answers
yes or no also the average precision and the best threshold of each label.
"""

from __future__ import annotations

import argparse

from minicaffe.cli.flags import files, whole
from minicaffe.cli.scoring import Scoring, add_scoring, wanted
from minicaffe.cli.show import add_level_and_stage, add_permissive, stages
from minicaffe.cli.skip_bad import add_skip_bad, report_left_out
from minicaffe.cli.threads import add_gpu, add_threads, use_threads
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import NetError
from minicaffe.log import At, log, number, warn
from minicaffe.net import Net
from minicaffe.proto import TEST
from minicaffe.records import glog
from minicaffe.solvers.schedule.epochs import Test
from minicaffe.solvers.schedule.report import MeanOutputs, outputs

DEFAULT_ITERATIONS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="F", required=True, help="the net, a prototxt or YAML file")
    parser.add_argument("--weights", metavar="F,F", type=files, required=True,
                        help="files with learned weights, given to the layers of the same names")
    parser.add_argument("--strict", action="store_true",
                        help="refuse weights that lack a layer of the net, or hold one that the net does not have")
    parser.add_argument("--iterations", metavar="N", type=whole,
                        help="number of batches to run (default: 50; with the flags for scores the whole test set)")
    add_scoring(parser)
    add_level_and_stage(parser)
    add_permissive(parser)
    add_skip_bad(parser)
    add_user_code(parser)
    add_threads(parser)
    add_gpu(parser)


def run(args: argparse.Namespace) -> int:
    use_threads(args)
    with glog.writing():
        use_cpu(At.TEST_MODE, args.gpu)
        judge = wanted(args)
        check_iterations(1 if args.iterations is None else args.iterations)
        net = Net(args.model, TEST, level=args.level, stages=stages(args), permissive=args.permissive,
                  weights=args.weights, strict=args.strict, allow_python=not args.no_python, skip_bad=args.skip_bad,
                  # where only the net's outputs are read, the blobs inside it may share memory
                  reuse_memory=not judge)
        if net.loaded is not None:
            net.loaded.log()
        scoring = Scoring(net, args) if judge else None
        iterations = args.iterations or (scoring and scoring.whole_epoch()) or DEFAULT_ITERATIONS
        log(At.TEST_BEGINS, f"Running for {iterations} iterations.")
        mean, test = MeanOutputs(net), Test(net, iterations)
        for i in test:
            mean.add(net.forward(), test.share())
            if not test.share():
                break
            if scoring is not None:
                scoring.add()
            for name, blob, _ in outputs(net):
                for value in blob.data.ravel():
                    log(At.TEST_BATCH, f"Batch {i}, {name} = {number(value)}")
        log(At.TEST_MEAN_LOSS, f"Loss: {number(mean.loss)}")
        for line in mean.lines():
            log(At.TEST_MEAN_OUTPUT, line)
        report_left_out([net])
    if scoring is not None:
        scoring.report()
    return 0


def use_cpu(at: str, gpu: str) -> None:
    """Log that the CPU computes, and warn if the user asked for a GPU."""
    log(at, "Use CPU.")
    if gpu:
        warn(at, f"--gpu {gpu} is set, but minicaffe computes on the CPU")


def check_iterations(iterations: int) -> None:
    """Raise NetError unless there is at least one iteration to run."""
    if iterations < 1:
        raise NetError(f"--iterations must be at least 1, got {iterations}")
