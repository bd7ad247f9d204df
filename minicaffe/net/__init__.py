"""Net: the layers of a definition, joined by blobs, which run forward and backward."""

from minicaffe.net.net import Net

__all__ = ["Net"]
