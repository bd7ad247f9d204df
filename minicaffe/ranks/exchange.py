"""The gradients of all ranks are added up, while the backward pass still computes others.

A bucket is some MB of gradients that travel together, in three steps:

    alltoall     the bucket is cut into K chunks of equal length, and rank r gets chunk r of each rank
    sum          rank r adds these K chunks, in the tree of halves
    allgather    every rank gets the sum of every chunk

Each rank sends and receives 2 (K − 1) / K times the size of the gradients, as with a ring. But here one rank makes all
additions of a number, in an order that does not depend on time. So the sums have the same bits on every rank and in
every run. K is a power of two, and the tree of halves over ranks is the upper part of the tree over all gradients of an
update.

Backward computes the gradients of the last layer first. A bucket is sent as soon as its gradients are complete, by a
hook after a layer. Most MPI libraries carry bytes only while they are called, so the hooks also ask what is complete.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np

from minicaffe.net import Net, hooks
from minicaffe.net.param_sharing import Param
from minicaffe.ranks.buckets import Bucket, complete_after, in_buckets, in_order
from minicaffe.ranks.engine import Engine


class AllReduce:
    """The Exchange (solvers/group.py) of several ranks: each diff becomes the sum of those of all ranks.

    engine     carries the arrays
    net        the net whose backward pass computes the gradients
    params     its parameters that own their memory
    overlap    send each bucket while the backward pass goes on. Otherwise all are sent after it

    bytes_sent           what this rank has sent to others since the beginning
    seconds_waited       the time in `finish`, when backward was over and the training stood still
    seconds_in_hooks     the time for which the hooks have held up the backward passes, without what `before` took
    """

    def __init__(self, engine: Engine, net: Net, params: Sequence[Param], overlap: bool) -> None:
        self.bytes_sent = 0
        self.seconds_waited = self.seconds_in_hooks = 0.0
        self._engine = engine
        self._after = complete_after(net, params)
        self._order = in_order(self._after)
        self._buckets = in_buckets(net, params, self._after, engine.size)
        self._dtype, self._largest = net.dtype, max((bucket.size for bucket in self._buckets), default=0)
        self._free: list[np.ndarray] = []  # memory for the chunks of a bucket, which one uses after the other
        self._before: Callable[[Sequence[int]], None] | None = None  # None: no exchange goes on
        self._told = self._sent = 0                 # how many parameters `before` knows, and buckets that were sent
        self._arriving: deque[Bucket] = deque()     # the alltoall is under way
        self._returning: deque[Bucket] = deque()    # the allgather is under way
        if overlap and self._buckets:
            net.after_backward.append(hooks.at(self._hooked(net.plan.layers), self._look))

    def _hooked(self, running: Sequence[bool]) -> set[int]:
        """Return the layers after which there is something to do, as few as possible, for each one cuts a recording.

        These are the layers that complete a bucket. When one has been sent, there is something to ask for, too, and the
        layers with parameters are those that take long. `running`: whether each layer runs backward.
        """
        first = self._buckets[0].layer
        return {bucket.layer for bucket in self._buckets} | {i for i in self._after if i <= first and running[i]}

    @property
    def busy(self) -> bool:
        """Whether an exchange goes on: then no other `alltoall` or `allgather` may come between its own."""
        return self._before is not None

    def begin(self, before: Callable[[Sequence[int]], None]) -> None:
        """Begin with the gradients of the next backward pass. `Exchange` says what `before` does."""
        self._before, self._told, self._sent = before, 0, 0

    def finish(self) -> None:
        """After the backward pass: wait until each diff holds the sum over all ranks."""
        self._tell(0)
        start = perf_counter()
        self._send(0)
        while self._arriving:
            self._arriving[0].wait()
            self._go_on()
        while self._returning:
            self._returning[0].wait()
            self._go_on()
        self.seconds_waited += perf_counter() - start
        self._before = None

    def _look(self, layer: int) -> None:
        """After a layer's backward pass: send the buckets that it has completed, and go on with those under way."""
        if self._before is not None:
            self._tell(layer)
            start = perf_counter()
            self._send(layer)
            self._go_on()
            self.seconds_in_hooks += perf_counter() - start

    def _tell(self, layer: int) -> None:
        """Tell `before` which gradients are complete now that this layer has run."""
        told = self._told
        while self._told < len(self._order) and self._after[self._order[self._told]] >= layer:
            self._told += 1
        if self._before is not None and self._told > told:
            self._before(self._order[told:self._told])

    def _send(self, layer: int) -> None:
        """Send the buckets that are complete now that this layer has run."""
        while self._sent < len(self._buckets) and self._buckets[self._sent].layer >= layer:
            bucket = self._buckets[self._sent]
            bucket.send(self._engine, self._free.pop() if self._free else np.empty(self._largest, self._dtype))
            self._arriving.append(bucket)
            self._sent += 1
            self.bytes_sent += 2 * bucket.values.nbytes * (self._engine.size - 1) // self._engine.size

    def _go_on(self) -> None:
        """Let the calls make progress. Take the next step with each bucket that has arrived."""
        # One after the other, though a later one may be complete earlier: all ranks must begin the allgathers in the
        # same order
        while self._arriving and self._arriving[0].arrived():
            bucket = self._arriving.popleft()
            bucket.add_up(self._engine)
            self._returning.append(bucket)
        while self._returning and self._returning[0].arrived():
            self._free.append(self._returning.popleft().deliver())
