"""Watches a net layer by layer, and finds the place of the first NaN or Inf of a pass as soon as it appears.

This costs one dot product for each blob, whose values are still in the cache. A closer look follows only where the
result is not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from minicaffe.blob import sum_of_squares
from minicaffe.net import Net, hooks


class Place(NamedTuple):
    """A blob that holds a value that is not finite, and the layer that made it so."""

    net: Net
    layer_index: int
    kind: str  # "top", "bottom" or "param"
    number: int  # the index of the blob among those of its kind in the layer
    name: str
    part: str  # "data" or "diff"
    values: np.ndarray  # the blob's own array, which the training goes on writing to

    @property
    def key(self) -> tuple[str, int, str, int, str]:
        """A value that is the same for the same place, also in another run of the net."""
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
        """Return the index of the first value that is not finite."""
        bad = ~np.isfinite(self.values)
        return tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))


class Watch:
    """Looks at the blobs that each layer writes, and calls `found` with the Place of a value that is not finite.

    Between `attach` and `detach` it looks at each layer in the order of the computation. In the forward pass it looks
    at the tops. In the backward pass, from the last layer to the first, it looks at the gradients of the bottoms. It
    looks at parameters and their gradients when `weights` and `gradients` are called.
    """

    def __init__(self, net: Net, found: Callable[[Place], None]) -> None:
        self.net, self.found = net, found

    def attach(self) -> None:
        """Begin to look at what the layers write."""
        # It looks at blobs alone, so that the net need not run the layers in Python (net/hooks.py).
        self._after_layer = hooks.at([i for i, tops in enumerate(self.net.tops) if tops], self._forward)
        self._after_backward = hooks.at([i for i, runs in enumerate(self.net.plan.layers) if runs], self._backward)
        self.net.after_layer.append(self._after_layer)
        self.net.after_backward.append(self._after_backward)

    def detach(self) -> None:
        """Stop looking."""
        self.net.after_layer.remove(self._after_layer)
        self.net.after_backward.remove(self._after_backward)

    def norm(self) -> float:
        """Return the L2 norm of all parameters' gradients together."""
        return float(sum(norm_squared(param.blob.diff) for param in self.net.learnable_params)) ** 0.5

    def gradients(self) -> None:
        """Look at the gradients of all parameters."""
        self._find(self._param_diffs(0))

    def weights(self) -> None:
        """Look at all parameters."""
        if not all(finite(param.blob.data) for param in self.net.learnable_params):
            self._find(Place(self.net, i, "param", k, str(k), "data", blob.data)
                       for i, layer in enumerate(self.net.layers) for k, blob in enumerate(layer.blobs))

    def last_pass(self) -> None:
        """After a pass without hooks: look at the parameters, then at the tops, in the order of the layers."""
        self.weights()
        for i in range(len(self.net.layers)):
            self._forward(i)

    def _forward(self, i: int) -> None:
        if self.net.layers[i].shares_data:  # its tops are the memory of its bottom, which has been looked at
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
        for place in self._param_diffs(i):  # the layer may have computed a parameter's gradient before the bottom's
            if not finite(place.values):
                self.found(place)
                return
        names = [net.wiring.blob_names[b] for b in net.wiring.bottoms[i]]
        self._find(Place(net, i, "bottom", j, names[j], "diff", net.bottoms[i][j].diff) for j in wanted)

    def _param_diffs(self, first: int) -> Iterable[Place]:
        """The gradients of the parameters from the last layer to layer `first`, in the order of the backward pass."""
        for i in range(len(self.net.layers) - 1, first - 1, -1):
            for k, blob in enumerate(self.net.layers[i].blobs):
                yield Place(self.net, i, "param", k, str(k), "diff", blob.diff)

    def _find(self, places: Iterable[Place]) -> None:
        """Call `found` with the first of the places whose values are not all finite."""
        for place in places:
            if not finite(place.values):
                self.found(place)
                return


def finite(values: np.ndarray) -> bool:
    """Return whether no value is NaN or infinite."""
    flat = values.reshape(-1)
    with np.errstate(all="ignore"):
        if np.isfinite(np.dot(flat, flat)):  # with a NaN or an infinity among them, a sum of squares is not finite
            return True
    return bool(np.isfinite(flat).all())  # the values may be finite all the same, where their squares are too large


def norm_squared(values: np.ndarray) -> float:
    """Σ values², computed in float64 where the type of the values cannot hold it. Not finite where a value is not."""
    flat = values.reshape(-1)
    with np.errstate(all="ignore"):
        total = float(np.dot(flat, flat))
        return total if np.isfinite(total) else sum_of_squares(values)
