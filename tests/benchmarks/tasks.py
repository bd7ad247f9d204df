"""Where the time of a training step goes: every compiled task, and the gaps between them.

A task is timed by itself. So the tasks of a recording, which otherwise follow each other in compiled code, are called
one by one here; the time between two of them is no gap, because there is none without the trace. A gap is the time
between two calls that Python makes, which Python spends on the layers and on choosing kernels. Each time includes some
2 µs for the call itself.
"""

from __future__ import annotations

import collections
import statistics
import time
from dataclasses import dataclass

from growth import repeated
from timed_nets import NETS
from training import make_solver

from minicaffe import kernels, rng
from minicaffe.kernels import recording
from minicaffe.layer import Layer

SHOWN = 15  # rows of the sums by task


@dataclass
class Call:
    """One run of a task: the layer it ran for, its name, its pieces, when it began and ended, and whether the call
    before it stands in the same recording."""

    layer: str
    task: str
    pieces: int
    start: float
    end: float
    follows: bool


def run(args, report):
    """Every compiled task of a training step with its pieces, its time and the gap before it, in µs."""
    if kernels.engine() != "numba":
        print(f"The engine {kernels.engine()} has no compiled tasks.")
        return
    for name in args.nets:
        rng.seed(1)
        definition = NETS[name][0](args.batch or NETS[name][1]).net
        solver = make_solver(definition)
        plain = statistics.median(repeated(lambda s=solver: s.step(1), args.rounds))
        steps = traced(make_solver(definition), 2 * args.rounds)
        _print(name, steps, plain)
        report.add("tasks", name, [sum(call.end - call.start for call in calls) for _, calls in steps])
        del solver, steps  # before the next net takes its memory


class Tracer:
    """While it is active, every compiled task that runs is added to `calls`, also one that a recording runs."""

    def __init__(self):
        from minicaffe.kernels.numba_engine import pool, task

        self.pool, self.task = pool, task
        self.calls, self.layer = [], "solver"
        self.layers = {}  # of recorded calls, by the id of their block of arguments

    def __enter__(self):
        self._as_function, self._add = self.pool.as_function, recording.Recording.add
        tracer = self

        def add(made, call, kept, runner):
            tracer.layers[id(call[1])] = tracer.layer, call[1]  # the block is kept, so that its id stays its own
            return tracer._add(made, call, kept, runner)

        self.pool.as_function, recording.Recording.add = self._traced, add
        # The class, since a layer whose own method is replaced is not recorded.
        self._methods = {name: getattr(Layer, name) for name in ("Forward", "Backward")}
        for name, method in self._methods.items():
            setattr(Layer, name, self._named(method, name.lower()))
        return self

    def __exit__(self, *_):
        self.pool.as_function, recording.Recording.add = self._as_function, self._add
        for name, method in self._methods.items():
            setattr(Layer, name, method)

    def _named(self, method, direction):
        tracer = self

        def call(self, *arguments, **options):
            before, tracer.layer = tracer.layer, f"{self.name}, {direction}"
            try:
                return method(self, *arguments, **options)
            finally:
                tracer.layer = before

        return call

    def _traced(self, calls):
        """What stands in for pool.as_function: a function that runs and times the calls one by one."""
        names = {one.compiled.address: one.name for one in self.task.tasks if one.is_compiled}
        each = [(self._as_function((call,)), self.layers.get(id(call[1]), (self.layer,))[0],
                 names.get(call[0], "?"), call[2]) for call in calls]

        def run_all():
            for i, (run_one, layer, task, pieces) in enumerate(each):
                start = time.perf_counter()
                run_one()
                self.calls.append(Call(layer, task, pieces, start, time.perf_counter(), i > 0))

        return run_all


def traced(solver, steps):
    """The seconds and the calls of each of so many steps. The first steps, which compile or record, are left out."""
    made = []
    with Tracer() as tracer:
        solver.step(4)
        for _ in range(steps):
            tracer.calls = []
            start = time.perf_counter()
            solver.step(1)
            made.append((start, tracer.calls))
    return made


def _print(name, steps, plain):
    """The step of median length call by call, then the sums."""
    start, calls = sorted(steps, key=lambda step: sum(call.end - call.start for call in step[1]))[len(steps) // 2]
    print(f"\n{name}\n{'layer':34}{'task':32}{'pieces':>7}{'µs':>10}{'gap before':>12}")
    gaps, sums, before = 0.0, collections.defaultdict(float), start
    for call in calls:
        gap = 0.0 if call.follows else call.start - before
        gaps, before = gaps + gap, call.end
        sums[call.task] += call.end - call.start
        print(f"{call.layer[:33]:34}{call.task:32}{call.pieces:7}"
              f"{1e6 * (call.end - call.start):10.1f}{1e6 * gap:12.1f}")
    busy = sum(sums.values())
    print(f"\n{'sums by task':73}{'ms':>10}{'share':>12}")
    for task, seconds in sorted(sums.items(), key=lambda item: -item[1])[:SHOWN]:
        count = sum(call.task == task for call in calls)
        print(f"{task:34}{f'{count} calls':39}{1e3 * seconds:10.3f}{100 * seconds / busy:10.1f} %")
    print(f"{name}: a step without the trace takes {1e3 * plain:.2f} ms. The {len(calls)} tasks take "
          f"{1e3 * busy:.2f} ms, and {1e3 * gaps:.2f} ms lie between them, which is {100 * gaps / (gaps + busy):.0f} % "
          "of both.")
