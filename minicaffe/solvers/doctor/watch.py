"""A net watched layer by layer: where the first NaN or Inf of a pass appears, at the moment it does.

One dot product a blob, read while it is still in the cache, is all that this costs; only where that is not finite
does anybody look closer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from minicaffe.blob import sum_of_squares
from minicaffe.net import Net


class Place(NamedTuple):
    """A blob that holds a value that is not finite, and the layer that made it so."""

    net: Net
    layer_index: int
    kind: str  # "top", "bottom" or "param"
    number: int  # of the blob among the layer's
    name: str
    part: str  # "data" or "diff"
    values: np.ndarray  # those of the blob, which go on changing

    @property
    def key(self) -> tuple[str, int, str, int, str]:
        """What tells two places apart, also in two runs of one net."""
        return self.net.layers[self.layer_index].name, self.layer_index, self.kind, self.number, self.part

    def __str__(self) -> str:
        """'top blob 'ip' of layer 'ip' (InnerProduct), its data'"""
        layer = self.net.layers[self.layer_index]
        of = f"{self.kind} blob {self.name if self.kind == 'param' else repr(self.name)}"
        return f"{of} of layer {layer.name!r} ({layer.type}), its {self.part}"

    def seen(self) -> str:
        """'3 of 30 values, the first nan at index (2, 7)'"""
        bad = ~np.isfinite(self.values)
        at = self.first()
        where = f" at index {at}" if at else ""
        return f"{np.count_nonzero(bad)} of {self.values.size} values, the first {self.values[at]:g}{where}"

    def first(self) -> tuple[int, ...]:
        """The index of the first value that is not finite."""
        bad = ~np.isfinite(self.values)
        return tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))


class Watch:
    """Looks at what each layer of a net writes, and calls `found` with the Place of what is not finite.

    Layers are looked at between `attach` and `detach`.
    In the order of the computation: tops forward; then, from the last layer to the first, the gradients of
    parameters and bottoms. Parameters are looked at where `gradients` and `weights` are called.
    """

    def __init__(self, net: Net, found: Callable[[Place], None]) -> None:
        self.net, self.found = net, found

    def attach(self) -> None:
        """Look at what the layers write from now on."""
        self.net.after_layer.append(self._forward)
        self.net.after_backward.append(self._backward)

    def detach(self) -> None:
        """Look no longer."""
        self.net.after_layer.remove(self._forward)
        self.net.after_backward.remove(self._backward)

    def gradients(self) -> float:
        """The L2 norm of all parameters' gradients together; a bad one is found."""
        squares = [norm_squared(param.blob.diff) for param in self.net.learnable_params]
        total = float(sum(squares))
        if not np.isfinite(total):
            self._find(self._param_diffs(0))
        return total ** 0.5

    def weights(self) -> None:
        """Look at all parameters."""
        if not all(finite(param.blob.data) for param in self.net.learnable_params):
            self._find(Place(self.net, i, "param", k, str(k), "data", blob.data)
                       for i, layer in enumerate(self.net.layers) for k, blob in enumerate(layer.blobs))

    def last_pass(self) -> None:
        """Look, after a pass, at the parameters that it began with and at the tops that it left, in their order."""
        self.weights()
        for i in range(len(self.net.layers)):
            self._forward(i)

    def _forward(self, i: int) -> None:
        if self.net.layers[i].shares_data:  # its tops are its bottom's memory
            return
        if not all(finite(top.data) for top in self.net.tops[i]):
            names = (self.net.wiring.blob_names[t] for t in self.net.wiring.tops[i])
            self._find(Place(self.net, i, "top", k, name, "data", top.data)
                       for k, (name, top) in enumerate(zip(names, self.net.tops[i], strict=True)))

    def _backward(self, i: int) -> None:
        net = self.net
        wanted = [j for j, runs in enumerate(net.plan.bottoms[i]) if runs] if net.plan.layers[i] else []
        if all(finite(net.bottoms[i][j].diff) for j in wanted):
            return
        for place in self._param_diffs(i):  # a parameter's gradient may have been the first
            if not finite(place.values):
                self.found(place)
                return
        names = [net.wiring.blob_names[b] for b in net.wiring.bottoms[i]]
        self._find(Place(net, i, "bottom", j, names[j], "diff", net.bottoms[i][j].diff) for j in wanted)

    def _param_diffs(self, first: int) -> Iterable[Place]:
        """The parameters' gradients of the layers from the last to `first`, as backward computes them."""
        for i in range(len(self.net.layers) - 1, first - 1, -1):
            for k, blob in enumerate(self.net.layers[i].blobs):
                yield Place(self.net, i, "param", k, str(k), "diff", blob.diff)

    def _find(self, places: Iterable[Place]) -> None:
        """Call `found` with the first that is bad."""
        for place in places:
            if not finite(place.values):
                self.found(place)
                return


def finite(values: np.ndarray) -> bool:
    """Whether no value is NaN or infinite."""
    flat = values.reshape(-1)
    with np.errstate(all="ignore"):
        if np.isfinite(np.dot(flat, flat)):  # no NaN and no infinity survives being squared and added up
            return True
    return bool(np.isfinite(flat).all())  # finite after all: the squares were too large


def norm_squared(values: np.ndarray) -> float:
    """Σ values²; in float64 where the type of the values cannot hold it. Not finite where a value is not."""
    flat = values.reshape(-1)
    with np.errstate(all="ignore"):
        total = float(np.dot(flat, flat))
        return total if np.isfinite(total) else sum_of_squares(values)
