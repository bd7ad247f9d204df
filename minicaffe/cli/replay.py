"""Run a pass that `minicaffe train` saved when it met a NaN or Inf, with all that debug_info prints.

  minicaffe replay lenet_iter_370_failure.npz

The last line names the place again. The exit status is 0 where it is the same place, else 1: then what the pass
depended on was more than its weights, its batch and its random numbers.
"""

from __future__ import annotations

import argparse

from minicaffe.cli.terminal import say
from minicaffe.cli.user_code import add_user_code
from minicaffe.records import glog
from minicaffe.solvers.doctor.failure import Replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("failure", metavar="FILE", help="the .npz that the message of the failure names")
    add_user_code(parser)


def run(args: argparse.Namespace) -> int:
    with glog.writing():
        replay = Replay(args.failure, allow_python=not args.no_python)
        replay.net.set_debug_info(True)
        again = replay.run()
    say(f"iteration {replay.info['iteration']}: not finite, first in {replay.found.words}")
    if again is None:
        say("replayed: every value is finite. A layer of this net keeps something between passes, or draws random "
            "numbers of its own")
        return 1
    say(f"replayed: not finite, first in {again.words}")
    return 0 if again.key == replay.found.key else 1
