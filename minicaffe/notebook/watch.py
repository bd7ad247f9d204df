"""Live curves of a training: a picture in a notebook that changes while the solver runs, lines in a terminal."""

from __future__ import annotations

import sys
import time
import uuid
import weakref
from collections.abc import Sequence
from typing import Any

from minicaffe import layout
from minicaffe.log import At, one_line, warn
from minicaffe.notebook import chart
from minicaffe.notebook.frame import frame
from minicaffe.notebook.numbers import short
from minicaffe.notebook.solver_view import state
from minicaffe.showing import printable
from minicaffe.solvers import Solver
from minicaffe.solvers.schedule.report import Curve

PAUSE = 0.4  # seconds between two pictures
LINES = 1.0  # seconds between two lines in a terminal; in a long training, a tenth of the time since it began
SHARE = 200  # after a picture comes a pause so many times as long as it took: training is hardly slower
MOST_CHARTS = 4


def watch(solver: Solver) -> Watch:
    """Show the losses of a solver, and the results of its tests, while `solver.solve()` or `solver.step()` runs.

    In a notebook, curves stand below the cell that calls this. They change a few times a second until the training
    ends or is interrupted. In a terminal a line is printed now and then. A second call for the same solver ends the
    first, so that nothing is shown twice. The training computes the same numbers as without.

    Raises TypeError for what is no Solver.
    """
    if not isinstance(solver, Solver):
        raise TypeError(f"watch shows the training of a Solver, got {type(solver).__name__}")
    for hook in list(solver.on_update):
        if isinstance(owner := getattr(hook, "__self__", None), Watch):
            owner.stop()
    shell = _notebook()
    return Watch(solver, _Picture(shell) if shell else _Lines())


def _notebook() -> Any:
    """Return IPython's shell where it belongs to a notebook, else None."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


class Watch:
    """The live curves of one solver. `stop` ends them; `html` returns them as they are now."""

    def __init__(self, solver: Solver, screen: _Picture | _Lines) -> None:
        self.solver, self.screen = solver, screen
        self.tests: dict[str, Curve] = {}
        self._next, self._stale, self._broken = 0.0, False, False
        solver.on_update.append(self._updated)
        solver.on_test.append(self._tested)
        screen.begin(self)

    def stop(self) -> None:
        """Follow the solver no longer. What is shown stays."""
        self.flush()
        if self._updated in self.solver.on_update:
            self.solver.on_update.remove(self._updated)
            self.solver.on_test.remove(self._tested)

    def flush(self) -> None:
        """Show what has changed since the last time."""
        if self._stale and not self._broken:
            self._show()

    def html(self) -> str:
        """Return the curves: the losses first, then every other number that the tests give."""
        losses = [name for name in self.tests if "loss" in name.lower()][:1]
        lines = [chart.Line("train", self.solver.losses.points),
                 *(chart.Line("test", self.tests[name].points) for name in losses)]
        charts = [chart.svg("loss", lines), *(chart.svg(name, [chart.Line("test", curve.points)])
                                              for name, curve in self.tests.items() if name not in losses)]
        said = " · ".join(f"{name} {value}" for name, value in state(self.solver))
        return frame(said, f'<div class="charts">{"".join(charts[:MOST_CHARTS])}</div>')

    def line(self) -> str:
        """Return the numbers of this moment as one line."""
        said = [f"{name} {value}" for name, value in state(self.solver)]
        said += [f"test {one_line(name)} {short(curve.points[-1][1])}" for name, curve in self.tests.items()]
        line, curve = ", ".join(said), chart.sparkline(self.solver.losses.points, 16)
        return f"{line}  {curve}".rstrip() if len(line) + len(curve) + 2 <= (layout.terminal_width() or 120) else line

    def _updated(self) -> None:
        """After an update: show the curves where it is time, and after the last one."""
        self._stale = True
        if time.perf_counter() >= self._next or self.solver.iter == self.solver.param.max_iter:
            self.flush()

    def _tested(self, net: int, results: Sequence[tuple[str, float]]) -> None:
        """After a test: keep the means of the outputs."""
        several = len(self.solver.test_nets) > 1
        names = [name for name, _ in results]
        for name, value in results:
            if names.count(name) == 1:  # an output of many numbers, such as one for each class, would be many curves
                label = f"{name} (#{net})" if several else name
                self.tests.setdefault(label, Curve()).add(self.solver.iter, value)
        self._updated()

    def _show(self) -> None:
        began = time.perf_counter()
        self._stale = False
        try:
            self.screen.show(self)
        except Exception as error:  # a training is worth more than its picture
            self._broken = True
            warn(At.ITERATION, f"the curves cannot be shown any more: {type(error).__name__}: {error}")
        now = time.perf_counter()
        self._next = now + max(self.screen.pause(now), SHARE * (now - began))

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        return f"<Watch of {self.solver!r}>"

    def _ipython_display_(self) -> None:
        """Show nothing where a cell ends with `watch(solver)`: the curves are there already."""


class _Picture:
    """Curves below a cell of a notebook."""

    def __init__(self, shell: Any) -> None:
        self.shell, self.id = shell, uuid.uuid4().hex

    def begin(self, owner: Watch) -> None:
        """Put the picture below the cell that runs now. Bring it up to date at the end of each cell."""
        self._publish(owner, update=False)
        known = weakref.ref(owner)  # else a solver that nobody uses any more would stay in memory

        def flush(*_: Any) -> None:
            if (watch := known()) is not None:
                watch.flush()
            else:
                self.shell.events.unregister("post_run_cell", flush)

        self.shell.events.register("post_run_cell", flush)

    def show(self, owner: Watch) -> None:
        """Change the picture."""
        self._publish(owner, update=True)

    def _publish(self, owner: Watch, update: bool) -> None:
        self.shell.display_pub.publish({"text/html": owner.html(), "text/plain": repr(owner)},
                                       transient={"display_id": self.id}, update=update)

    def pause(self, now: float) -> float:
        """Return for how many seconds this picture may stay."""
        return PAUSE


class _Lines:
    """Lines in a terminal or a file."""

    def __init__(self) -> None:
        self.began = time.perf_counter()

    def begin(self, owner: Watch) -> None:
        """Print nothing yet."""

    def show(self, owner: Watch) -> None:
        """Print a line."""
        sys.stdout.write(printable(owner.line()) + "\n")
        sys.stdout.flush()

    def pause(self, now: float) -> float:
        """Return for how many seconds no other line is printed."""
        return max(LINES, 0.1 * (now - self.began))
