"""Backward plan: which layers run backward, and which bottoms get a diff. That follows from the wiring alone."""

from my_caffe.net import Net
from my_caffe.prototxt import one


def learns(definition, count):
    """Return a list of bools, one for each of the `count` blobs of the layer of this definition.

    Blob k learns unless message k of `param` has an lr_mult of 0.
    """
    raise NotImplementedError


def from_params(net):
    """The first sweep. Return (runs, propagate_down), two lists with a place for each layer of the net.

    runs             whether the layer has something that learns, or is behind something that does
    propagate_down   the list of flags for its bottoms: whether they depend on something that learns. If the
                     definition has the field propagate_down, these are the flags
    """
    raise NotImplementedError


def only_under_loss(net, runs, propagate_down):
    """The second sweep. Return (runs, propagate_down) anew, without what no gradient reaches.

    What is given stays as it is.
    """
    raise NotImplementedError


def plan(net):
    """Return (runs, propagate_down) after both sweeps."""
    raise NotImplementedError


class PlannedNet(Net):
    """A net that runs backward what is needed, and no more."""

    def __init__(self, definition):
        """Make the net, and put the plan into self.runs and self.propagate_down."""
        raise NotImplementedError

    @property
    def learned(self):
        """The blobs that learn, in the order of the layers."""
        raise NotImplementedError
