"""An engine whose ranks are threads of one process, for tests that take milliseconds.

It is as strict as an engine may be: what is sent must not change, and what is received holds NaN, until the call is
complete. And it is as slow as it likes: `done` says no for a random number of times.
"""

import random
import threading

import numpy as np


def in_threads(work, count, failed):
    """Run work(0) … work(count − 1) at once, each in a thread of its own. Return the results, or raise the first error.

    failed    called with each error, so that it wakes the threads that wait for the one that has raised it
    """
    results, errors = [None] * count, []

    def one(number):
        try:
            results[number] = work(number)
        except BaseException as error:
            errors.append(error)
            failed(error)

    threads = [threading.Thread(target=one, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


class World:
    """The memory that the ranks share: the arrays that each has sent, by the kind and the number of the call."""

    def __init__(self, size, most_delay=0):
        self.size, self.most_delay = size, most_delay
        self.sent, self.lock, self.errors = {}, threading.Condition(), []

    def run(self, work):
        """Run work(engine) on each rank. Return the results in the order of the ranks, or raise the first error."""
        return in_threads(lambda rank: work(ThreadEngine(self, rank)), self.size, self._failed)

    def _failed(self, error):
        with self.lock:
            self.errors.append(error)
            self.lock.notify_all()


class ThreadEngine:
    """The engine of one rank."""

    def __init__(self, world, rank):
        self.world, self.rank, self.size = world, rank, world.size
        self.counts = {"allgather": 0, "alltoall": 0, "broadcast": 0}
        self.random = random.Random(rank)

    def allgather(self, mine, from_all):
        return self.begin("allgather", mine, from_all, lambda sent: np.concatenate(sent))

    def alltoall(self, to_each, from_each):
        return self.begin("alltoall", to_each, from_each, lambda sent: np.concatenate(
            [values.reshape(self.size, -1)[self.rank] for values in sent]))

    def broadcast(self, values):
        return self.begin("broadcast", values, values if self.rank else None, lambda sent: sent[0])

    def begin(self, kind, mine, into, result):
        assert all(array.flags.c_contiguous for array in (mine, into) if array is not None)
        key = kind, self.counts[kind]
        self.counts[kind] += 1
        sent = mine.reshape(-1).copy()
        if into is not None:
            into.reshape(-1).view(np.uint8)[...] = 255
        with self.world.lock:
            self.world.sent.setdefault(key, {})[self.rank] = sent
            self.world.lock.notify_all()
        return Call(self, key, (mine, sent) if kind != "broadcast" else None, into, result)


class Call:
    """A call that is pending."""

    def __init__(self, engine, key, kept, into, result):
        self.engine, self.key, self.kept, self.into, self.result = engine, key, kept, into, result
        self.delay = engine.random.randint(0, engine.world.most_delay)
        self.complete = False

    def done(self):
        self.delay -= 1
        return self.complete or (self.delay < 0 and self.finish(wait=False))

    def wait(self):
        assert self.complete or self.finish(wait=True)

    def finish(self, wait):
        world = self.engine.world
        with world.lock:
            def arrived():
                return len(world.sent[self.key]) == world.size

            if wait:
                world.lock.wait_for(lambda: arrived() or world.errors, timeout=30)
            if not arrived():
                assert not wait, f"another rank did not make the call {self.key}: {world.errors}"
                return False
            sent = [world.sent[self.key][rank] for rank in range(world.size)]
        assert len({(values.dtype, values.size) for values in sent}) == 1, f"{self.key} has other arrays on each rank"
        if self.kept:
            assert self.kept[0].tobytes() == self.kept[1].tobytes(), f"{self.key}: what is sent was changed meanwhile"
        if self.into is not None:
            self.into.reshape(-1)[...] = self.result(sent)
        self.complete = True
        return True
