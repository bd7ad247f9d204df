"""The parts of an update: n = iter_size · shards passes, whose gradients are put together to that of one large batch.

Part p reads the batch that comes p batches after the first one of the update. Several processes share the parts: each
computes neighbouring ones, and then all have the same sum (tree.py says in which order it is added up).

A loss divides the sum over its cells by a count z (LossLayer.counted): the size of the batch, or the number of labels
that are not ignored. Caffe takes the mean of the passes, Σ g_p / n. This is the gradient of the large batch only where
all counts are equal. The large batch would give

    G = Σ z_p · g_p / Σ z_p         for a loss that divides,            z_p · g_p being the sum over part p
    G = Σ g_p                       for one that does not (normalization: NONE)

Σ z_p is known only after the last part. So the gradient of part p is multiplied by z_p / z, and in the end the sum is
divided by D = Σ z_p / z. Here z is the count of part 0, or 1 where part 0 has nothing to count. Where all counts are
equal, D is n and the factors are 1, as in Caffe. The gradient of a loss that does not divide is multiplied by n,
because the sum is divided by D, which is n there.

Where several losses of a net count in different proportions, each would need a D of its own. Then the parts of this
update run once more on the same batches, with the factor n · z_p / Σ z_p for each loss, and D is n.

The statistics that layers such as BatchNorm measure are remembered after the last part, those of part 0 first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minicaffe.layer import LossLayer
from minicaffe.net import Net
from minicaffe.solvers.group import Exchange, Group
from minicaffe.solvers.schedule.kept_batches import KeptBatches
from minicaffe.solvers.schedule.measured import Measured, Measuring
from minicaffe.solvers.schedule.own_batches import OwnBatches
from minicaffe.solvers.schedule.tree import GradientSum


class Found(NamedTuple):
    """What a part has found besides its gradient.

    loss        the net's loss
    counts      z of each loss; None for a loss that does not divide
    measured    what its layers have measured
    """

    loss: float
    counts: list[float | None]
    measured: Measured


class Parts:
    """The parts of each update of a net, of which this process computes its own.

    count       how many parts an update has, over all processes
    own         the numbers of those that this process computes
    exchange    what adds up the gradients of all processes; None where there is one
    shared      whether the batches of an update are divided into shards, so that each begins at a place known before
    divisor     the number by which the summed gradients of the last update are to be divided
    losses      the loss of each part of the last update
    """

    def __init__(self, net: Net, count: int, group: Group, exchange: Exchange | None, *, shared: bool) -> None:
        self.net, self.count, self.group, self._exchange = net, count, group, exchange
        each = count // group.size
        self.own = range(group.rank * each, (group.rank + 1) * each)
        self.divisor, self.losses = float(count), [0.0]
        self._loss_layers = [layer for i, layer in enumerate(net.layers)
                             if isinstance(layer, LossLayer) and net.plan.layers[i] and count > 1]
        self._kept_batches = KeptBatches(net) if len(self._loss_layers) > 1 else None
        self._measuring = Measuring(net, at_once=count == 1)
        self._reference: list[float | None] = []  # z of each loss; None for a loss that does not divide
        self._sum = GradientSum(each)
        # without shards one process reads all batches, and need not know where each one begins
        self._own_batches = OwnBatches(net, self.own.start, each, count) if shared else None

    def run(self, seed: int | None, update: int) -> None:
        """Run the parts of an update. Then the diffs hold the sum of their gradients, and the attributes the rest."""
        if self._own_batches:
            self._own_batches.begin()
        with self._measuring.later():
            own = [self._first_run(i, seed, update) for i in range(len(self.own))]
            if self._own_batches:
                self._own_batches.end(self.count)
            found = [one for of_rank in self.group.gather(own) for one in of_rank]
            self.losses = [one.loss for one in found]
            self._set_divisor([one.counts for one in found], seed, update)
        for layer in self._loss_layers:
            layer.share = 1.0
        for one in found:
            self._measuring.remember(one.measured)

    def forward(self, seed: int | None, update: int) -> float:
        """Run forward once more, as part 0 of this update, and return the loss that rank 0 finds."""
        with self._measuring.later(), self.net.draws.during(seed, update, 0, 0):
            found = self.net.forward_pass(), self._measuring.taken()
        loss, measured = self.group.broadcast(found)
        self._measuring.remember(measured)
        return loss

    def _first_run(self, i: int, seed: int | None, update: int) -> Found:
        """Run the own part number i on the next batch."""
        if self._own_batches:
            self._own_batches.place(self.own[i])
        if self._kept_batches:
            self._kept_batches.begin()
        with self.net.draws.during(seed, update, self.own[i], 0):
            loss = self.net.forward_pass()
            if self._own_batches:
                self._own_batches.check()
            counts = self._weigh(first=i == 0)
            self._backward(i)
        return Found(loss, counts, self._measuring.taken())

    def _backward(self, i: int) -> None:
        """Compute the gradient of the own part number i, and add it to those of the parts before it."""
        if i:
            self.net.clear_param_diffs()
        if self._exchange and i == len(self.own) - 1:
            self._exchange.begin(self._add_last)
            self.net.backward_pass()
            self._exchange.finish()
        else:
            self.net.backward_pass()
            self._add(i, range(len(self.net.learnable_params)))

    def _add(self, i: int, which: Sequence[int]) -> None:
        if len(self.own) > 1:
            self._sum.add(i, [param.blob for param in self.net.learnable_params], which)

    def _add_last(self, which: Sequence[int]) -> None:
        self._add(len(self.own) - 1, which)

    # --- the weights of the parts -------------------------------------------------------------------

    def _weigh(self, *, first: bool) -> list[float | None]:
        """After a forward pass, tell each loss by which factor to multiply its gradient. Return their counts."""
        counts = [layer.counted for layer in self._loss_layers]
        if first and counts:
            # part 0 is the first one of rank 0, so that every process knows z before its first backward pass
            self._reference = self.group.broadcast([None if z is None else z or 1.0 for z in counts])
        for layer, z, reference in zip(self._loss_layers, counts, self._reference, strict=True):
            # a part with nothing to count has the gradient 0 anyway
            layer.share = float(self.count) if z is None or reference is None else z / reference if z else 1.0
        return counts

    def _set_divisor(self, counts: Sequence[Sequence[float | None]], seed: int | None, update: int) -> None:
        """Set D, given the counts of the losses for each part. Run the parts again where one D cannot serve all."""
        totals = [sum(z or 0.0 for z in of_parts) for of_parts in zip(*counts, strict=True)]
        found = [float(self.count) if reference is None else total / reference
                 for total, reference in zip(totals, self._reference, strict=True)]
        found = [one for one in found if one]  # a loss in which nothing was counted has no say
        self.divisor = found[0] if found else float(self.count)
        # 1e-9: more than the rounding of the sums, and less than one label in any batch
        if self._kept_batches and found and max(found) - min(found) > 1e-9 * max(found):
            self._run_again(self._kept_batches, counts, totals, seed, update)
            self.divisor = float(self.count)
        if self._kept_batches:
            self._kept_batches.forget()

    def _run_again(self, kept: KeptBatches, counts: Sequence[Sequence[float | None]], totals: Sequence[float],
                   seed: int | None, update: int) -> None:
        """Run the own parts once more, with the exact factor of each loss."""
        self.net.clear_param_diffs()
        for i, part in enumerate(self.own):
            with self.net.draws.during(seed, update, part, 0):
                kept.forward_again(i)
                for layer, z, total in zip(self._loss_layers, counts[part], totals, strict=True):
                    layer.share = float(self.count) if z is None else self.count * z / total if z else 1.0
                self._backward(i)
