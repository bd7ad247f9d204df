"""Layer: the base of all layers. This file is complete; read it, and leave it as it is."""


class Layer:
    """A layer reads its bottoms and writes its tops; both are lists of blobs.

    param   what the net's definition says of this layer, a dict: PowerLayer(power=2.0).param is {"power": 2.0}
    blobs   the weights that the layer learns, a list of blobs; most layers have none
    """

    def __init__(self, **param):
        self.param = param
        self.blobs = []

    def setup(self, bottom, top):
        """Read the parameters, and make the blobs. Runs once, before everything else."""

    def reshape(self, bottom, top):
        """Give each top its shape, computed from the shapes of the bottoms. Runs before every forward."""
        raise NotImplementedError

    def forward(self, bottom, top):
        """Write the data of the tops, and nothing else."""
        raise NotImplementedError

    def backward(self, top, propagate_down, bottom):
        """Write the diff of each bottom whose place in `propagate_down`, a list of bools, is True.

        The diffs of the tops are there already. A bottom's diff is overwritten. The diffs of `blobs` are added to.
        """
        raise NotImplementedError
