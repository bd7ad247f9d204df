"""What a prompt or a notebook shows of nets, blobs, layers and solvers; and `watch`, the live curves of a training."""

from __future__ import annotations

from types import ModuleType

from minicaffe.blob import Blob
from minicaffe.layer import Layer
from minicaffe.net import Net
from minicaffe.notebook import blob_view, layer_view, net_view, solver_view
from minicaffe.notebook.watch import Watch, watch
from minicaffe.showing import Shown
from minicaffe.solvers import Solver

__all__ = ["Watch", "html", "text", "watch"]

_VIEWS: dict[type, ModuleType] = {Net: net_view, Blob: blob_view, Layer: layer_view, Solver: solver_view}


def text(thing: Shown) -> str:
    """Return the lines that a terminal shows of an object."""
    return _view(thing).text(thing)


def html(thing: Shown) -> str:
    """Return the HTML that a notebook shows of an object."""
    return _view(thing).html(thing)


def _view(thing: Shown) -> ModuleType:
    return next(view for kind, view in _VIEWS.items() if isinstance(thing, kind))
