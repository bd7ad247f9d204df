"""Chain: layers one after another, each of which reads what the one before has written."""

from my_caffe.blob import Blob


class Chain:
    """A net whose layers stand in a row.

    layers    the layers, from the first to the last; each has one top
    blobs     blobs[i] is the bottom of layers[i], and blobs[i + 1] its top: one blob more than there are layers
    targets   the second bottom of the last layer, a blob; None where the chain is used without targets
    """

    def __init__(self, layers):
        """Keep the layers, and make the blobs, which have no shape yet. There are no targets so far."""
        raise NotImplementedError

    def setup(self, x, t=None):
        """Set up each layer once, for inputs such as x and targets such as t, both arrays. Run no forward."""
        raise NotImplementedError

    def forward(self, x, t=None):
        """Write x into blobs[0], and t into the targets; run all layers; return the data of the last top.

        x and t may have another batch size than before.
        """
        raise NotImplementedError

    def backward(self, dy=1.0):
        """Write dy, a number or an array, into the diff of the last top, and run backward of all layers."""
        raise NotImplementedError

    @property
    def params(self):
        """The blobs of all layers, a list: those of layers[0] first."""
        raise NotImplementedError
