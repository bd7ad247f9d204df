"""Compare every gradient of a net with difference quotients of its loss, and name the first layer that is wrong.

  minicaffe check train_val.prototxt                     at the weights that the fillers draw
  minicaffe check net.prototxt --weights net.caffemodel  at these weights

The net runs in float64. Each bottom and each learnable blob is moved a small step along a random direction, forth and
back. The change of the loss gives its slope along this direction. The gradients of the backward pass give this slope
too. Where the two differ, single numbers are compared. Layers of your own, in Python, are checked like all others.

A backward pass goes from the last layer to the first. The first layer on this way that is wrong was given right
gradients, so the mistake is in that layer. The exit status is 1 where a gradient is wrong, and where not one of
them could be checked.

A deep net's loss may depend so little on a layer that rounding hides it. Such a gradient is compared "on this layer
alone", with the diffs that backward hands to the layer. Some numbers stand at a kink, where there is no derivative: for
instance where the two largest numbers of a pooling window are equal. They are left out, and the table says how many.

Data layers read one batch. Input layers get random numbers and labels. A blob whose numbers are all equal, such as a
bias of zeros, gets random numbers too.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

from minicaffe import rng
from minicaffe.cli import summary
from minicaffe.cli.flags import files, natural, positive
from minicaffe.cli.progress import counting
from minicaffe.cli.results import STDOUT, add_json, check_json, write_json
from minicaffe.cli.show import add_permissive, add_state_arguments, stages
from minicaffe.cli.terminal import say
from minicaffe.cli.threads import add_threads, use_threads
from minicaffe.cli.user_code import add_user_code
from minicaffe.errors import DataError, LayerError, NetError, near_names
from minicaffe.layout import NOTHING, table, terminal_width, wrap
from minicaffe.log import one_line, plural, shape_text
from minicaffe.net import Net
from minicaffe.proto import Phase
from minicaffe.testing.slopes import GradientError
from minicaffe.testing.verdict import ALONE, FOLLOWS, RIGHT, UNCHECKED, WRONG, Row
from minicaffe.testing.whole_net import NetReport, examine_net

BATCH = 2  # mistakes show in two samples as well as in a hundred


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="NET", help="a prototxt or YAML file")
    parser.add_argument("--weights", metavar="F,F", type=files,
                        help="check the net at these weights (default: those that its fillers draw)")
    parser.add_argument("--batch", metavar="N", type=positive, default=0,
                        help=f"number of samples in a batch (default: {BATCH}, where the net can be made with so few)")
    parser.add_argument("--size", metavar="HxW", default="",
                        help="size of the images, also as CxHxW; the images are then random")
    parser.add_argument("--seed", metavar="N", type=natural, default=1701,
                        help="of all random numbers: weights, inputs, masks, directions (default: 1701)")
    add_json(parser, "the comparison")
    add_state_arguments(parser)
    add_permissive(parser)
    add_user_code(parser)
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    use_threads(args)
    check_json(args.json)
    rng.seed(args.seed)
    net, remarks = _net(args)
    if args.weights and not (copied := net.copy_trained_from(args.weights)).loaded:
        raise DataError(f"no layer of {args.net} is in the weights {args.weights}",
                        hint=near_names(copied.only_in_net[0], copied.only_in_file) if copied.only_in_net else "")
    try:
        with counting() as follow:
            report = examine_net(net, seed=args.seed, follow=follow)
    except GradientError as error:
        raise NetError(str(error), where=args.net) from None
    report.remarks[:0] = remarks
    if args.json != STDOUT:
        say("\n".join(_lines(report)))
    if args.json:
        write_json(args.json, _facts(report, args))
    return int(report.first is not None or (report.count(UNCHECKED) > 0 and report.count(RIGHT) == 0))


def _net(args: argparse.Namespace) -> tuple[Net, list[str]]:
    """Return the net, and in words what had to be assumed. A small batch is tried first, unless the user names one."""
    def made(batch: int) -> tuple[Net, list[str]]:
        return summary.read(args.net, Phase.Value(args.phase), args.level, stages(args), batch, args.size,
                            args.permissive, not args.no_python, shapes_only=False)

    if args.batch:
        return made(args.batch)
    try:
        return made(BATCH)
    except (NetError, LayerError):  # a Reshape, for one, may name the size of the batch
        return made(0)


# --- what is printed -------------------------------------------------------------------------------------------------


def _lines(report: NetReport) -> list[str]:
    """Return the table, what was done to the net, and the result."""
    rows: list[tuple[str, ...]] = [("layer", "gradient of", "shape", "backward", "differences", "error", "")]
    rows += [_cells(row) for row in report.rows]
    width = terminal_width()
    remarks = [line for remark in report.remarks for line in wrap(_sentence(remark), width, hanging="  ")]
    return [*table(rows, right=(3, 4, 5), lead=2), "", *remarks, *_result(report, width)]


def _cells(row: Row) -> tuple[str, ...]:
    """Return the cells of a row of the table."""
    name = f"{row.name} ({row.type})"
    if not row.blob:
        return name, NOTHING, "", "", "", "", row.why
    verdict = row.verdict
    if row.verdict in (RIGHT, UNCHECKED) and row.why:
        verdict += f": {row.why}"
    return (name, row.blob, shape_text(row.shape), f"{row.backward:.6g}", f"{row.differences:.6g}",
            f"{row.error:.0e}", verdict)


def _result(report: NetReport, width: int) -> list[str]:
    """Return the last lines: how many gradients are right, and what is wrong in the first layer that is."""
    counts = {verdict: report.count(verdict) for verdict in (RIGHT, UNCHECKED)}
    lines = []
    if any(row.verdict == RIGHT and row.why.startswith(ALONE) for row in report.rows):
        lines.append(f'"{ALONE}" means: kinks or rounding spoil the differences of the loss. So the differences of '
                     "the layer's own outputs were taken, weighted by the diffs that backward hands to it.")
    if report.first is None:
        if not counts[RIGHT]:
            return wrap(_nothing_checked(counts[UNCHECKED]), width)
        words = (f"{counts[RIGHT]} of {plural(sum(counts.values()), 'gradient')} right, with errors up to "
                 f"{report.largest_error:.0e}")
        if counts[UNCHECKED]:
            words += f"; {counts[UNCHECKED]} not checked"
        return [part for line in [*lines, words] for part in wrap(line, width, hanging="  ")]
    also = dict.fromkeys(row.name for row in report.rows if row.verdict == WRONG and row.layer != report.first.layer)
    if any(row.verdict == FOLLOWS for row in report.rows):
        lines.append('"follows" means: the layer was given a wrong gradient, and computes what follows from it.')
    if also:
        lines.append(f"Looked at alone, these layers are wrong too: {', '.join(map(one_line, also))}.")
    where = f"{report.where}: " if report.where else ""
    lines.append(f"{where}the first layer that is wrong: {one_line(report.message())}")
    return [part for line in lines for part in wrap(line, width, hanging="  ")]


def _nothing_checked(unchecked: int) -> str:
    if not unchecked:
        return "There is no gradient to check in this net."
    return (f"Nothing was checked: of {plural(unchecked, 'gradient')} none could be compared, for the reasons in the "
            "table. They may be right or wrong.")


def _sentence(words: str) -> str:
    return words if re.search(r"[.!]$", words) else f"{words[:1].upper()}{words[1:]}."


def _facts(report: NetReport, args: argparse.Namespace) -> dict[str, Any]:
    """Return the report as what --json writes."""
    return {"net": args.net, "phase": args.phase, "seed": args.seed, "loss": report.loss, "remarks": report.remarks,
            "first_wrong": None if report.first is None else {
                "layer": report.first.name, "type": report.first.type, "gradient_of": report.first.blob,
                "where": report.where, "message": report.message()},
            "gradients": [{"layer": row.name, "type": row.type, "gradient_of": row.blob or None,
                           "shape": list(row.shape), "backward": row.backward, "differences": row.differences,
                           "error": row.error, "verdict": row.verdict, "why": row.why} for row in report.rows]}
