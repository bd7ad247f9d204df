"""A group whose processes are threads, without an engine: for tests of what is above minicaffe.ranks."""

import threading

from thread_engine import in_threads

from minicaffe.solvers.group import Group


class Meeting:
    """Where the threads meet, each of which has something for all."""

    def __init__(self, size):
        self.size, self.barrier = size, threading.Barrier(size, timeout=20)
        self.brought = [None] * size

    def exchange(self, rank, mine):
        self.brought[rank] = mine
        self.barrier.wait()
        found = list(self.brought)
        self.barrier.wait()
        return found

    def run(self, work):
        """Run work(rank) in each thread. Return the results in the order of the ranks, or raise the first error."""
        return in_threads(work, self.size, lambda error: self.barrier.abort())


class ThreadGroup(Group):
    """The group of a thread, for solvers that are made one after the other: the nets draw from one generator."""

    def __init__(self, meeting, rank):
        self.meeting, self.rank, self.size = meeting, rank, meeting.size

    def gather(self, mine):
        return self.meeting.exchange(self.rank, mine)

    def broadcast(self, mine):
        return self.gather(mine)[0]

    def exchange(self, net, params, overlap):
        return Sum(self, params)


class Sum:
    """Adds up the gradients of all threads by the tree, written plainly."""

    def __init__(self, group, params):
        self.group, self.params = group, params

    def begin(self, before):
        self.before = before

    def finish(self):
        self.before(range(len(self.params)))
        found = self.group.gather([param.blob.diff.copy() for param in self.params])
        for i, param in enumerate(self.params):
            param.blob.diff[...] = total([of_rank[i] for of_rank in found])


def total(values):
    """The sum in the tree of halves, of which the first one is larger where the number is odd."""
    middle = -(-len(values) // 2)
    return values[0] if len(values) == 1 else total(values[:middle]) + total(values[middle:])
