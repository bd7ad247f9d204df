"""The failure doctor: where a value becomes NaN or Inf, it says where, what happened before, and the likely causes.

It saves the failed pass with the weights as they were before the update that the bad gradient would have made.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from minicaffe.errors import MinicaffeError, SolverError
from minicaffe.log import At, lines, number, warn
from minicaffe.solvers.doctor import causes, failure, plateau
from minicaffe.solvers.doctor.causes import Moment
from minicaffe.solvers.doctor.growth import Growth
from minicaffe.solvers.doctor.watch import Place, Watch

if TYPE_CHECKING:
    from minicaffe.solvers.solver import Solver

REMEMBERED = 20  # iterations that the causes are judged by
SHOWN = 6  # of these iterations, those that the message shows
ON_NAN = ("warn", "stop", "ignore")  # the values of Solver.on_nan
HINTS = ("loss-growth", "loss-plateau")  # warnings about a loss that is finite, by the names that silence them


class Doctor:
    """Watches the nets of a solver from the moment that it is made.

    stop    whether a value that is not finite raises SolverError. Otherwise the doctor warns once of each place where
            one appears, and the training goes on
    brief   whether to warn of the first place only, in the net that is trained, then to stop looking, and to save
            nothing. A solver has such a doctor where the program has made none. It looks at the loss and at the
            parameters' gradients, and at the other values of the pass only where the loss is not finite, so that it
            costs very little time

    `solver.silence` holds the names of those HINTS that are not given.
    """

    def __init__(self, solver: Solver, stop: bool = True, *, brief: bool = False) -> None:
        self.stop, self.brief = stop, brief
        self.history: deque[Moment] = deque(maxlen=REMEMBERED)
        self.attached = False
        self._known: set[tuple[object, ...]] = set()
        self._found_at = -1  # the iteration of the last place found
        self._first_bad: int | None = None  # the iteration of the first one
        self._norm: float | None = None
        self._saved = ""
        self._began = solver.iter
        self._plateaus = [] if "loss-plateau" in solver.silence else plateau.of_net(solver.net)
        self._growth = None if "loss-growth" in solver.silence else Growth()
        self.attach(solver)
        try:
            self._watches[0].weights()
        except SolverError:  # the weights are not finite from the start; leave no hooks behind
            self.detach()
            raise

    def attach(self, solver: Solver) -> None:
        """Watch from now on; `solver` is the one that this doctor was made for."""
        self.solver, self.attached, solver.doctor = solver, True, self
        # With hooks, every layer of a net runs, and no pass is replayed from a recording, which is faster. So a brief
        # doctor watches no test net.
        nets = [solver.net] if self.brief else [solver.net, *solver.test_nets]
        self._watches = [Watch(net, self._found) for net in nets]
        self._batches = [] if self.brief else [failure.Batch(net) for net in nets]
        for part in self._hooked():
            part.attach()
        solver.on_gradients_ready.append(self._gradients)
        solver.on_update.append(self._updated)

    def detach(self) -> None:
        """Stop watching, and keep no reference to a net, so that an unused net and its threads end at once."""
        self.attached, self.solver.doctor = False, None
        for part in self._hooked():
            part.detach()
        self.solver.on_gradients_ready.remove(self._gradients)
        self.solver.on_update.remove(self._updated)
        self._watches, self._batches = [], []
        del self.solver

    def _hooked(self) -> list[Watch | failure.Batch]:
        """Return the parts that look at each layer as it runs."""
        return [] if self.brief else [*self._watches, *self._batches]

    def _gradients(self) -> None:
        """After the backward passes: look at the gradients and at the losses."""
        if self._rests():
            return
        if self.brief and not math.isfinite(self.solver.loss):
            self._watches[0].last_pass()
        norm = self._watches[0].norm()
        if not math.isfinite(norm) or (self.brief and not math.isfinite(self.solver.loss)):
            self._agree()
            self._watches[0].gradients()
        self._norm = norm / self.solver.divisor
        for loss in self._plateaus:
            if hint := loss.hint():
                warn(At.DOCTOR, hint)
        if self._growth and self._growth.grown(self.solver.loss):
            warn(At.DOCTOR, *lines(self._grown(self._growth)))

    def _agree(self) -> None:
        """Where several processes train together, let one of them report what this update leads to.

        A value arises in the passes of one process. After that the gradients are not finite in all of them, and those
        of the others say nothing new.
        """
        group, now = self.solver.group, self.solver.iter
        if group.size == 1:
            return
        found = group.gather((self._found_at == now, self._known, self._saved))
        # with a word more, so that a brief doctor rests in all processes or in none: they must meet here together
        self._known = {("agreed",)}.union(*(known for _, known, _ in found))
        self._saved = next((saved for _, _, saved in found if saved), "")
        if group.rank or any(found_now for found_now, _, _ in found):
            self._found_at = now

    def _rests(self) -> bool:
        """Return whether this is a brief doctor that has given its one warning."""
        return self.brief and bool(self._known)

    def _grown(self, growth: Growth) -> str:
        """Return the warning about a loss that grows."""
        solver = self.solver
        likely = causes.of_growth(solver.param, solver.net, solver.iter)
        return "\n  ".join([
            f"iteration {solver.iter}: the loss has grown from {number(growth.least)} to {number(solver.loss)} "
            "and stays there, though it is finite: the training diverges",
            *self._history_lines(), "likely causes, the likeliest first:",
            *(f"  {i}. {cause}" for i, cause in enumerate(likely, 1))])

    def _updated(self) -> None:
        """After an update: look at the weights, before a snapshot of them can be written."""
        solver = self.solver
        if self._rests():
            return
        self.history.append(Moment(solver.iter - 1, solver.loss, self._norm, solver.rate))
        self._norm = None
        # A brief doctor waits for the next loss, which shows bad weights without a look at each. And the weights of all
        # processes are the same
        if not self.brief and not solver.group.rank:
            self._watches[0].weights()

    def _found(self, place: Place) -> None:
        """Report a place: in each iteration only the first, because the others follow from it."""
        if self._found_at == self.solver.iter or self._before_statistics(place):
            return
        self._found_at = self.solver.iter
        if self._first_bad is None:
            self._first_bad = self.solver.iter
        if place.key in self._known:
            return
        self._known.add(place.key)
        if self.stop:
            raise SolverError(self._report(place), hint=self._hint())
        if self.brief:
            end = "the training goes on, and further values are not looked for; set solver.on_nan to 'stop' for an " \
                  "error here, or to 'ignore'"
        else:
            end = "--on-nan warn: the training goes on"
        warn(At.DOCTOR, *lines(f"{self._report(place)}\n  {end}"))

    def _before_statistics(self, place: Place) -> bool:
        """Return whether a layer of a test net has no statistics yet; if so, warn of that once.

        In the test before the first update a BatchNorm has none. It then divides by √ε, so that the values of a deep
        net may grow to Inf. This is no failure, because it ends with the first updates.
        """
        layer = causes.without_statistics(place) if place.net is not self.solver.net else None
        if layer and ("statistics",) not in self._known:
            self._known.add(("statistics",))
            warn(At.DOCTOR, f"iteration {self.solver.iter}: the test's scores mean nothing and need not be finite, for "
                            f"no statistics have been measured yet for layer {layer.name!r} ({layer.type}); "
                            "test_initialization: false leaves the test before the first update out")
        return layer is not None

    def _report(self, place: Place) -> str:
        """Return the whole message: place, history, causes, and which files help."""
        index = next(i for i, watch in enumerate(self._watches) if watch.net is place.net)
        net = "" if index == 0 else f" of test net #{index - 1}"
        likely = causes.likely(self.solver.param, place, self.solver.iter, self.history)
        lines = [f"iteration {self.solver.iter}: a value is not finite, first in {place}{net}: {place.seen()}",
                 *self._history_lines(), "likely causes, the likeliest first:",
                 *(f"  {i}. {cause}" for i, cause in enumerate(likely, 1)), self._save(index, place),
                 self._last_snapshot()]
        return "\n  ".join(line for line in lines if line)

    def _history_lines(self) -> list[str]:
        """Return the last iterations as a table, also the present one where its gradients have been computed."""
        rows = list(self.history)[-SHOWN:]
        if self._norm is not None:
            rows.append(Moment(self.solver.iter, self.solver.loss, self._norm, self.solver.rate))
        if not rows:
            return []
        return [f"{'iteration':>9} {'loss':>12} {'gradient L2':>12} {'rate':>12}",
                *(f"{row.iteration:9d} {number(row.loss):>12} {'' if row.norm is None else number(row.norm):>12} "
                  f"{number(row.rate):>12}" for row in rows)]

    def _save(self, index: int, place: Place) -> str:
        """Save the failed pass, so that it can be repeated; only the first one of a run. Return the words about it."""
        path = f"{self._prefix()}_iter_{self.solver.iter}_failure.npz"
        if self._saved or self.brief:
            return ""
        try:
            failure.save(path, self._batches[index], place, iteration=self.solver.iter, backward=index == 0)
        except MinicaffeError as error:
            return f"the failed pass could not be saved: {error}"
        self._saved = path
        return f"saved to repeat the failed pass, batch and weights: {path}"

    def _hint(self) -> str:
        return f"minicaffe replay {self._saved}" if self._saved else ""

    def _last_snapshot(self) -> str:
        """Words about the newest snapshot that this training wrote before anything went wrong."""
        made = {*self.solver.written, self._began} - {0}
        for iteration in sorted(made, reverse=True):
            for tail in ("", ".h5"):
                path = Path(f"{self._prefix()}_iter_{iteration}.solverstate{tail}")
                if iteration <= (self._first_bad or 0) and path.is_file():
                    return f"last good snapshot: {path}"
        return "there is no snapshot from before the failure"

    def _prefix(self) -> str:
        return self.solver.param.snapshot_prefix or "minicaffe"


@contextmanager
def attending(solver: Solver) -> Iterator[None]:
    """Let a doctor watch while the block runs, as the solver's `on_nan` says, unless the program has made one."""
    if solver.on_nan not in ON_NAN:
        raise SolverError(f"on_nan must be one of {', '.join(map(repr, ON_NAN))}, got {solver.on_nan!r}")
    if solver.doctor is not None or solver.on_nan == "ignore":
        yield
        return
    stop = solver.on_nan == "stop"
    mine = solver.own_doctor
    if mine is None or mine.stop != stop:
        mine = solver.own_doctor = Doctor(solver, stop, brief=not stop)
    elif not mine._rests():  # the same one in each call of `step`, so that it warns once a training
        mine.attach(solver)
    try:
        yield
    finally:
        if mine.attached:
            mine.detach()
