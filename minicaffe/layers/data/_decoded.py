"""The base of Data and ImageData, whose batches may hold images as they were decoded."""

from minicaffe import kernels
from minicaffe.data.workers import Workers
from minicaffe.layers.data._prefetching import PrefetchingLayer


class DecodedLayer(PrefetchingLayer):
    """A data layer that crops, mirrors and scales the images of a batch while it writes them into the top."""

    def decoders(self):
        """Return the threads that decode images: as many as compute the net."""
        return Workers(kernels.threads())

    def write(self, batch, y):
        if (to_do := batch.crops) is None:
            super().write(batch, y)
        else:
            kernels.crop_and_scale(batch.data, to_do.tops, to_do.lefts, to_do.mirrored, to_do.mean, to_do.scale, y)
