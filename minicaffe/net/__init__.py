"""Net: layers joined by blobs, from a definition to forward and backward."""

from minicaffe.net.net import Net

__all__ = ["Net"]
