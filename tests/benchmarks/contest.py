"""A table of minicaffe beside its rivals: each row a net, each column a side, then the best and the limit."""

from __future__ import annotations

import statistics

import sides
from limits import SGEMM

OURS, LIMIT = "minicaffe", "sgemm"


class Contest:
    """Prints a row for each net that it is given, keeps it in the report, and at the end the geometric mean.

    The limit is the time of the net's products at the speed of numpy's matrix product, measured in the same rounds.
    """

    def __init__(self, table, rivals, report, args, last="", seconds=0.5):
        self.table, self.rivals, self.report, self.rounds = table, rivals, report, args.rounds
        self.last, self.seconds, self.ratios = last, seconds, []
        names = "".join(f"{name:>15}" for name in (OURS, *rivals))
        print(f"{'ms':16}{names}  {'best rival':14}{'best / ours':>12}{'limit':>9}{'ours / limit':>14}{last:>11}")

    def row(self, name, orders, operations, check):
        """Make the sides, check them and let them run. `check(sides)` gives what stands in the last column."""
        made = sides.started([*orders, (LIMIT, "limits:sgemm", ".", {})])
        try:
            if made and made[0].name == OURS:
                value = check(made)
                self._print(name, sides.rounds(made, self.rounds, self.seconds), operations, value)
        except sides.SideError as error:
            print(f"{name}: {error}", flush=True)
        finally:
            for side in made:
                side.close()

    def _print(self, name, times, operations, value):
        ours, known = times[OURS], sides.medians(times)
        rivals = {rival: known[rival] for rival in self.rivals if rival in known}
        text = f"{name[:15]:16}" + "".join(f"{1e3 * known[side]:15.3f}" if side in known else f"{'–':>15}"
                                           for side in (OURS, *self.rivals))
        best = min(rivals, key=rivals.get, default=None)
        if best:
            ratio = statistics.median(theirs / mine for theirs, mine in zip(times[best], ours, strict=True))
            self.ratios.append(ratio)
            text += f"  {best:14}{ratio:12.2f}"
        else:
            text += f"  {'none':14}{'':12}"
        limit = operations / SGEMM * known[LIMIT] if LIMIT in known and operations else None
        text += f"{1e3 * limit:9.3f}{known[OURS] / limit:14.2f}" if limit else f"{'':23}"
        print(text + (f"{value:11.1e}" if value is not None else ""), flush=True)
        self.report.add(self.table, name, ours, rivals={rival: times[rival] for rival in rivals}, limit=limit)

    def close(self):
        """Print the geometric mean of the rows."""
        if len(self.ratios) > 1:
            print(f"geometric mean of best / ours: {statistics.geometric_mean(self.ratios):.2f}")
