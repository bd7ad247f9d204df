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
equal, D is n and the factors are 1, as in Caffe.
The gradient of a loss that does not divide is multiplied by n, because the sum is divided by D, which is then n.
Where several losses of a net count in different proportions, each has a D of its own. Then the mean of these is taken,
and a warning says so.

The statistics that layers such as BatchNorm measure are remembered after the last part, those of part 0 first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minicaffe.layer import Layer, LossLayer
from minicaffe.log import At, number, warn
from minicaffe.net import Net
from minicaffe.solvers.group import Group
from minicaffe.solvers.schedule.tree import GradientSum


class Found(NamedTuple):
    """What a part has found besides its gradient.

    loss        the net's loss
    counts      z of each loss; None for a loss that does not divide
    measured    what each layer has measured that remembers something
    """

    loss: float
    counts: list[float | None]
    measured: list[tuple[Any, ...]]


class Parts:
    """The parts of each update of a net, of which this process computes its own.

    count       how many parts an update has, over all processes
    own         the numbers of those that this process computes
    divisor     the number by which the summed gradients of the last update are to be divided
    losses      the loss of each part of the last update
    notes       what each process has said in the last update, by the argument `note` of `run`
    """

    def __init__(self, net: Net, count: int, group: Group, *, overlap: bool) -> None:
        self.net, self.count, self.group = net, count, group
        each = count // group.size
        self.own = range(group.rank * each, (group.rank + 1) * each)
        self.divisor, self.losses, self.notes = float(count), [0.0], [None]
        self._loss_layers = [layer for i, layer in enumerate(net.layers)
                             if isinstance(layer, LossLayer) and net.plan.layers[i] and count > 1]
        self._remembering = [layer for layer in net.layers if type(layer).remember is not Layer.remember]
        for layer in self._remembering:
            layer.remembers_later = count > 1
        self._reference: list[float | None] = []  # z of each loss
        self._sum = GradientSum(each)
        self._exchange = group.exchange(net, net.learnable_params, overlap)
        self._warned = False

    def run(self, seed: int | None, update: int, note: Any = None) -> None:
        """Run the parts of an update. Then the diffs hold the sum of their gradients, and the attributes the rest."""
        own = [self._part(i, seed, update) for i in range(len(self.own))]
        for layer in self._loss_layers:
            layer.share = 1.0
        gathered = self.group.gather((own, note))
        found = [one for of_rank, _ in gathered for one in of_rank]
        self.losses, self.notes = [one.loss for one in found], [noted for _, noted in gathered]
        self.divisor = self._divisor([one.counts for one in found])
        if self.count > 1:
            for one in found:
                for layer, measured in zip(self._remembering, one.measured, strict=True):
                    layer.remember(measured)

    def _part(self, i: int, seed: int | None, update: int) -> Found:
        """Run the own part number i, and add its gradient to those of the parts before it."""
        net, last = self.net, i == len(self.own) - 1
        if i:
            net.clear_param_diffs()
        with net.draws.during(seed, update, self.own[i], 0):
            loss = net.forward_pass()
            counts = self._weigh(first=i == 0)
            if self._exchange and last:
                self._exchange.begin(self._add_last)
            net.backward_pass()
        if self._exchange and last:
            self._exchange.finish()
        else:
            self._add(i, range(len(net.learnable_params)))
        return Found(loss, counts, [layer.measured or () for layer in self._remembering if self.count > 1])

    def _add(self, i: int, which: Sequence[int]) -> None:
        self._sum.add(i, [param.blob for param in self.net.learnable_params], which)

    def _add_last(self, which: Sequence[int]) -> None:
        self._add(len(self.own) - 1, which)

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

    def _divisor(self, counts: list[list[float | None]]) -> float:
        """Return D, given the counts of the losses for each part."""
        found = [float(self.count) if reference is None else sum(z or 0.0 for z in of_parts) / reference
                 for reference, of_parts in zip(self._reference, zip(*counts, strict=True), strict=True)]
        found = [one for one in found if one]  # a loss in which nothing was counted has no say
        if not found:
            return float(self.count)
        # 1e-9: more than the rounding of the sums, and less than one label in any batch
        if max(found) - min(found) > 1e-9 * max(found) and not self._warned and not self.group.rank:
            self._warned = True
            names = ", ".join(layer.name for layer in self._loss_layers)
            warn(At.ITER_SIZE, f"iter_size: the losses {names} count their labels in different proportions "
                 f"from part to part ({number(min(found))} to {number(max(found))} times the first): this update is "
                 "not quite that of one larger batch")
        return sum(found) / len(found)
