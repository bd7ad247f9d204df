"""Repeat the pass in which a training met a NaN or Inf, and print what debug_info prints of each layer.

  minicaffe replay lenet_iter_370_failure.npz

minicaffe train wrote this file when it met the value. It holds the weights, the batch and the state of the random
numbers. The last line says where the repeated pass meets a NaN or Inf. The exit status is 0 if it is the same place as
in the training. Else it is 1: the pass then depends on something that the file does not hold.
"""

from __future__ import annotations

import argparse

from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.records import glog
from minicaffe.solvers.doctor.failure import Replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("failure", metavar="FILE", help="the .npz file that the training's error message names")
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    with glog.writing():
        replay = Replay(args.failure, allow_python=not args.no_python)
        replay.net.set_debug_info(True)
        again = replay.run()
    say(f"iteration {replay.info['iteration']}: not finite, first in {replay.found.words}")
    if again is None:
        say("replayed: every value is finite. A layer of this net keeps something from pass to pass, or draws random "
            "numbers of its own")
        return 1
    say(f"replayed: not finite, first in {again.words}")
    return 0 if again.key == replay.found.key else 1
