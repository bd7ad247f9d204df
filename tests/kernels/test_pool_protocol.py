"""The thread pool's protocol, run step by step in every order that up to two switches between threads can give.

What runs is the source of pool.py as Python, on simulated memory. Real threads take turns: only one runs at a time, and
each read or write of shared memory is a step at which another may come. So an order that real processors reach once in
a million jobs is tried here each time.
"""

import itertools
import threading

import pytest

pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")

from minicaffe.kernels.numba_engine import pool

POOL, TABLES = 0, (1 << 20, 2 << 20)  # addresses of the pool's words, and of the calls of two callers
MOST_STEPS = 5000                     # far more than any order takes: a run that is longer does not end


class EndlessError(Exception):
    """A run that takes more steps than any run that ends."""


class Simulation:
    """Memory and threads in place of `words`: each access is a step, and some steps switch to the next thread.

    switches    the numbers of the steps before which the thread is interrupted
    events      (name of the call, piece, "begins" or "ends") in the order of time
    """

    def __init__(self, switches, calls):
        self.memory = {POOL + 64 * i: 0 for i in range(8)}
        self.memory[POOL + pool.STATE], self.memory[POOL + pool.ALLOWED] = pool.CLOSED, 2
        for table, some in zip(TABLES, calls, strict=False):
            for c, (function, pieces) in enumerate(some):
                for i, word in enumerate((function, f"arguments of {function}", pieces)):
                    self.memory[table + 24 * c + 8 * i] = word
        self.switches, self.steps, self.events, self.failure = set(switches), 0, [], None
        self.turns = []

    def run(self, *bodies):
        """Run functions on a thread each, which take turns from the first on; return when all are over."""
        self.turns = [threading.Semaphore(0) for _ in bodies]
        self.alive = list(range(len(bodies)))
        self.current = 0
        threads = [threading.Thread(target=self._body, args=(i, body), daemon=True) for i, body in enumerate(bodies)]
        for thread in threads:
            thread.start()
        self.turns[0].release()
        for thread in threads:
            thread.join(30)
        if self.failure:
            raise self.failure

    def _body(self, i, body):
        self.turns[i].acquire()
        try:
            body()
        except Exception as error:
            self.failure = self.failure or error
        after = self._next(i)
        self.alive.remove(i)
        if after != i:
            self.current = after
            self.turns[after].release()

    def _next(self, i):
        return next((j for j in self.alive if j > i), self.alive[0])

    def _switch(self):
        i, after = self.current, self._next(self.current)
        if after != i:
            self.current = after
            self.turns[after].release()
            self.turns[i].acquire()

    def _step(self):
        self.steps += 1
        if self.failure or self.steps > MOST_STEPS:
            raise self.failure or EndlessError(self.steps)
        if self.steps in self.switches:
            self._switch()

    def read(self, address):
        self._step()
        return self.memory[address]

    def write(self, address, value):
        self._step()
        self.memory[address] = value

    def add(self, address, value):
        self._step()
        self.memory[address] += value
        return self.memory[address] - value

    def replace(self, address, old, new):
        self._step()
        if self.memory[address] != old:
            return False
        self.memory[address] = new
        return True

    def pause(self):
        self._step()
        self._switch()

    def call(self, function, block, piece):
        assert block == f"arguments of {function}"
        self.events.append((function, piece, "begins"))
        self._step()
        self.events.append((function, piece, "ends"))


@pytest.fixture
def simulate(monkeypatch):
    """A function that simulates callers, each with its list of calls, beside some workers; the simulation."""
    for name in ("_run_job", "_run_next_piece"):
        monkeypatch.setattr(pool, name, getattr(pool, name).py_func)

    def simulate(switches, calls, workers):
        made = Simulation(switches, calls)
        monkeypatch.setattr(pool, "words", made)
        callers = [lambda t=t, some=some: pool._run_calls.py_func(POOL, t, len(some))
                   for t, some in zip(TABLES, calls, strict=False)]
        made.run(*callers, *(lambda i=i: pool._work.py_func(POOL, i, 3) for i in range(workers)))
        return made

    return simulate


def check(made, calls):
    """Every piece ran once, a call's pieces all ended before its caller's next call began, and the pool is free."""
    for some in calls:
        end = -1
        for function, pieces in some:
            times = [(piece, when, t) for t, (name, piece, when) in enumerate(made.events) if name == function]

            assert [(p, w) for p in range(pieces) for w in ("begins", "ends")] == sorted(e[:2] for e in times)
            assert end < min(t for _, _, t in times)
            end = max(t for _, _, t in times)
    assert 0 == made.memory[POOL + pool.OWNED]
    assert made.memory[POOL + pool.STATE] >= pool.CLOSED


@pytest.mark.parametrize("stride", [29, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize(("calls", "workers"), [
    ([[("a", 3), ("b", 2)]], 1),
    ([[("a", 2), ("b", 1), ("c", 2)]], 2),
    ([[("a", 2)], [("b", 2)]], 1),
], ids=["one worker", "two workers", "two callers"])
def test_every_order(simulate, calls, workers, stride):
    """Whichever two steps are interrupted, no piece is lost, none runs twice, and none reads another job's words."""
    undisturbed = simulate((), calls, workers)
    check(undisturbed, calls)
    helped = 0
    for switches in itertools.islice(itertools.combinations(range(1, undisturbed.steps + 20), 2), 0, None, stride):
        made = simulate(switches, calls, workers)
        check(made, calls)
        helped += made.events != undisturbed.events
    assert helped


def test_a_worker_that_comes_a_job_too_late(simulate):
    """A worker that reads the first job and is interrupted until the second takes no piece by what it read."""
    calls = [[("a", 2), ("b", 2)]]
    opened = 13  # the step after the first job is open
    for saw in range(opened + 1, opened + 8):
        for back in range(saw + 1, saw + 45):
            check(simulate((opened, saw, back), calls, 1), calls)


def test_job_numbers_start_again(simulate, monkeypatch):
    """After the last job number comes 0, and the bit that says whether a job is closed stays apart from it."""
    monkeypatch.setattr(pool, "CLOSED", 2 * pool.JOB)
    calls = [[("a", 2), ("b", 2), ("c", 2)]]
    made = simulate((), calls, 1)
    check(made, calls)

    assert pool.CLOSED + pool.JOB == made.memory[POOL + pool.STATE]
