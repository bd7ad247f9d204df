"""Read the batches of data layers.

Records are read from a database or a list, decoded, transformed, and prepared by a thread while the net computes:

    source                records by key, from an LMDB
      → samples           images with labels, epoch after epoch without end (DatumSamples, ImageFiles)
      → batches           transformed and put together, one for each call (Batches, WindowBatches)
      → prefetcher        a thread that makes the next batches (Prefetcher)
      → tops              of a data layer, which copies each batch into them
"""

from minicaffe.data.sources import open_source

__all__ = ["open_source"]
