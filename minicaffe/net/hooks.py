"""Hooks: functions that a net calls before or after it runs a layer, for all layers or for some.

A net has four lists of hooks (`Net`). A plain function in them is called for every layer, and every layer then runs in
Python, so that the function finds the layer as its code has left it. A function that wants some layers only, and looks
at nothing but blobs, is put there by `at`. Passes are then replayed (replay.py) in parts that end at these layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Hook = Callable[[int], object]
Layers = frozenset[int]

NONE: Layers = frozenset()


class at:  # noqa: N801  # it is used like a function
    """A hook that is called for some layers alone: `net.after_backward.append(hooks.at([3, 5], exchange))`.

    layers    the indices of these layers
    call      the function, which gets the index of a layer. It may read and write blobs. It must not expect that the
              layer's own methods have run, or that any other attribute of the layer belongs to this pass
    """

    def __init__(self, layers: Iterable[int], call: Callable[[int], object]) -> None:
        self.layers, self.call = frozenset(layers), call

    def __call__(self, i: int) -> None:
        """Call the function, if it wants layer i."""
        if i in self.layers:
            self.call(i)


def wanted(hooks: Sequence[Hook]) -> Layers | None:
    """Return the layers for which any of the hooks is to be called; None where one of them wants to see all run."""
    layers = NONE
    for hook in hooks:
        if not isinstance(hook, at):
            return None
        layers |= hook.layers
    return layers
