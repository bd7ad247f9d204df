"""The flag that leaves out samples which cannot be read, and what a run says of them at its end."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from minicaffe.layer.data_source import source_of
from minicaffe.log import At, lines, plural, warn
from minicaffe.net import Net
from minicaffe.proto import TEST
from minicaffe.solvers.group import Group


def add_skip_bad(parser: argparse.ArgumentParser) -> None:
    """Add --skip-bad, for commands that run nets."""
    parser.add_argument("--skip-bad", action="store_true", help="leave out images and records that cannot be read, and "
                        "list them at the end, instead of stopping at the first; as skip_bad does in a data layer")


def report_left_out(nets: Iterable[Net], group: Group | None = None) -> None:
    """Log for each data layer how many samples were left out, and what was wrong with each.

    Several processes of a group read different samples, so rank 0 reports those of all. All must call this together.
    """
    group = group or Group()
    for net in nets:
        for layer in net.layers:
            source = source_of(layer)
            if source is None:
                continue
            found = group.gather(list(source.left_out))
            errors = list(dict.fromkeys(error for of_rank in found for error in of_rank))
            if errors and not group.rank:
                count = plural(len(errors), "sample")
                if source.epoch_size:  # windows have none: they are drawn without end
                    count = f"{len(errors)} of {source.epoch_size} samples"
                warn(At.LEFT_OUT, *lines("\n".join([
                    f"layer {layer.name!r} ({layer.type}) in {'TEST' if net.phase == TEST else 'TRAIN'} "
                    f"left out what cannot be read, {count}:", *errors])))
