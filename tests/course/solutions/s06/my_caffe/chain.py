"""Chain: layers one after another, each of which reads what the one before has written."""

from my_caffe.blob import Blob


class Chain:
    """A net whose layers stand in a row.

    layers    the layers, from the first to the last; each has one top
    blobs     blobs[i] is the bottom of layers[i], and blobs[i + 1] its top: one blob more than there are layers
    targets   the second bottom of the last layer, a blob; None where the chain is used without targets
    """

    def __init__(self, layers):
        self.layers = layers
        self.blobs = [Blob() for _ in range(len(layers) + 1)]
        self.targets = None

    def setup(self, x, t=None):
        self.targets = None if t is None else Blob()
        self._write(x, t)
        for i, layer in enumerate(self.layers):
            layer.setup(self._bottom(i), self._top(i))
            layer.reshape(self._bottom(i), self._top(i))

    def forward(self, x, t=None):
        self._write(x, t)
        for i, layer in enumerate(self.layers):
            layer.reshape(self._bottom(i), self._top(i))
            layer.forward(self._bottom(i), self._top(i))
        return self.blobs[-1].data

    def backward(self, dy=1.0):
        self.blobs[-1].diff[...] = dy
        for i in reversed(range(len(self.layers))):
            propagate_down = [i > 0] + [False] * (len(self._bottom(i)) - 1)
            self.layers[i].backward(self._top(i), propagate_down, self._bottom(i))

    @property
    def params(self):
        return [blob for layer in self.layers for blob in layer.blobs]

    def _write(self, x, t):
        for blob, values in ((self.blobs[0], x), (self.targets, t)):
            if blob is not None:
                blob.reshape(values.shape)
                blob.data[...] = values

    def _bottom(self, i):
        last = i == len(self.layers) - 1
        return [self.blobs[i]] + ([self.targets] if last and self.targets is not None else [])

    def _top(self, i):
        return [self.blobs[i + 1]]
