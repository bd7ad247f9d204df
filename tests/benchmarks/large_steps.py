"""Training steps on one large image, beside PyTorch's."""

from __future__ import annotations

from contest import Contest
from large_nets import LARGE_NETS
from training import KINDS, train


def run(args, report):
    """A training step of nets for segmentation on one image of 500 × 500."""
    contest = Contest("large", args.kinds or KINDS, report, args, "Δ loss")
    for name, (make, batch) in LARGE_NETS.items():
        train(contest, name, make(batch).net, args, twin="large_twin:LargeTwin")
    contest.close()
