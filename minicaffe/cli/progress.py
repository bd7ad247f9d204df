"""The progress of a training or a tool: Caffe's log lines, or a bar on a terminal. Only this module imports rich."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from minicaffe import kernels
from minicaffe.cli.signals import ended_by_sigterm
from minicaffe.log import At, number, visible
from minicaffe.records import glog
from minicaffe.solvers.fields import parts

try:
    import rich.console
    import rich.progress
except ImportError:
    rich = None  # type: ignore[assignment]

ABOVE_THE_BAR = (At.TESTING, At.TEST_INTERRUPTED, At.TEST_LOSS, At.TEST_OUTPUT, At.SNAPSHOT_BINARY,
                 At.SNAPSHOT_HDF5, At.STOPPED_EARLY, At.RESUMING,
                 At.FIELD_OVERRIDDEN, At.RESUMED, "engines")  # tests, snapshots, an early stop, a resume, overrides
TOOLS = ("convert_imageset", "convert_mnist_data", "convert_cifar_data", "compute_image_mean", "extract_features",
         "db_lmdb", "db_leveldb")  # Caffe's sources whose lines a tool's bar lets through; those of nets are too many
COUNTS = (At.IMAGESET_PROGRESS, At.MEAN_PROGRESS, At.FEATURES_PROGRESS)  # what a bar shows itself

only_lines = False  # whether to write plain lines to a terminal too
Follow = Callable[[Iterable[Any], int], Iterable[Any]]


@contextmanager
def counting() -> Iterator[Follow]:
    """Report how far a tool is. Yield a function that is called with the tool's items and their number.

    It returns the same items. While they are taken from it, a bar shows how many were, where stderr is a terminal and
    rich is installed. What is logged while the block runs is printed, in plain lines or above the bar. SIGTERM ends the
    block as an exception does, so that no half-written file stays.
    """
    if only_lines or rich is None or not sys.stderr.isatty():
        with glog.writing(), ended_by_sigterm():
            yield lambda items, total: items
        return
    console = rich.console.Console(stderr=True)
    columns = [rich.progress.MofNCompleteColumn(), rich.progress.BarColumn(bar_width=None),
               rich.progress.TimeRemainingColumn()]
    bar = rich.progress.Progress(*columns, console=console)
    with glog.listening(_Above(console, lambda at: at.partition(".")[0] in TOOLS and at not in COUNTS)), bar, \
            ended_by_sigterm():
        yield lambda items, total: bar.track(items, total=total)


@contextmanager
def reporting(bar: bool = True) -> Iterator[Lines | Bar]:
    """Report in plain lines; or with a bar where one is wanted, stderr is a terminal and rich is installed."""
    if not bar or only_lines or rich is None or not sys.stderr.isatty():
        with glog.writing():
            yield Lines()
        return
    shown = Bar()
    with glog.listening(shown.handler):
        yield shown


class Lines:
    """Progress in plain log lines, which the solver writes by itself."""

    @contextmanager
    def following(self, solver: Any) -> Iterator[None]:
        """Show the solver's progress while the block runs."""
        yield


class Bar:
    """Progress in one line that is written again and again: iterations, loss, learning rate, images/s, time left."""

    def __init__(self, console: Any = None) -> None:
        columns = [rich.progress.TextColumn("{task.completed}/{task.total}"), rich.progress.BarColumn(bar_width=None),
                   rich.progress.TextColumn("loss {task.fields[loss]}  lr {task.fields[rate]}  "
                                            "{task.fields[speed]} images/s"), rich.progress.TimeRemainingColumn()]
        self.console = console or rich.console.Console(stderr=True)
        # This clock stands still while kernels are compiled, so the speed is that of the training alone.
        self.progress = rich.progress.Progress(*columns, console=self.console, get_time=kernels.clock)
        self.handler = _Above(self.console)

    @contextmanager
    def following(self, solver: Any) -> Iterator[None]:
        """Show the solver's progress while the block runs."""
        images = images_per_update(solver)
        task = self.progress.add_task("", total=solver.param.max_iter, completed=solver.iter, loss="", rate="",
                                      speed="")

        def update() -> None:
            speed = self.progress.tasks[task].speed or 0
            self.progress.update(task, completed=solver.iter, loss=f"{solver.smoothed_loss:.4f}",
                                 rate=number(solver.rate), speed=f"{speed * images:.0f}")

        solver.on_update.append(update)
        try:
            with self.progress:
                yield
        finally:
            solver.on_update.remove(update)


class _Above(logging.Handler):
    """Prints warnings above the bar, and the lines from wanted places. The others, such as losses, are left out."""

    def __init__(self, console: Any, wanted: Callable[[str], bool] = lambda at: at in ABOVE_THE_BAR) -> None:
        super().__init__()
        self.console, self.wanted = console, wanted

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING or self.wanted(getattr(record, "at", "")):
            self.console.print(visible(record.getMessage()), highlight=False, markup=False)


def images_per_update(solver: Any) -> int:
    """Return how many samples of the first layer that reads data an update has, over all processes."""
    for bottoms, tops in zip(solver.net.bottoms, solver.net.tops, strict=True):
        if not bottoms and tops and tops[0].num_axes:
            return tops[0].shape[0] * parts(solver.param)
    return parts(solver.param)
