"""What layers such as BatchNorm measure in the passes of a training, added to their blobs in one order.

Where several passes make an update, or several processes share a test, no layer adds anything by itself. The caller
takes what each pass has measured, and adds it when it knows it from all processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from minicaffe.layer import Layer
from minicaffe.net import Net

Measured = Sequence[tuple[Any, ...] | None]  # of one pass: for each layer that can remember something


class Measuring:
    """The layers of a net that remember what they have measured.

    With `at_once` they do so by themselves in each pass, and the methods do nothing.
    """

    def __init__(self, net: Net, *, at_once: bool) -> None:
        self._layers = [] if at_once else [layer for layer in net.layers if type(layer).remember is not Layer.remember]

    @contextmanager
    def later(self) -> Iterator[None]:
        """Within the block the passes of the net change no statistics."""
        for layer in self._layers:
            layer.remembers_later = True
        try:
            yield
        finally:
            for layer in self._layers:
                layer.remembers_later = False

    def taken(self) -> Measured:
        """Return what the layers have measured in the pass that has just run."""
        return [layer.measured for layer in self._layers]

    def remember(self, measured: Measured) -> None:
        """Add to the blobs of the layers what they have measured in one pass, here or in another process."""
        for layer, one in zip(self._layers, measured, strict=True):
            if one is not None:  # such as the layers that go by the stored statistics
                layer.remember(one)
