"""Errors of minicaffe that a script's `except ValueError` or `except IOError` catches, as it does with Caffe."""

from minicaffe.errors import DataError, NetError


class ImageError(DataError, ValueError):
    """An array, a mean or a message of another shape or kind than the call takes."""


class UnreadableImageError(DataError, OSError):
    """An image file that is missing, damaged or of an unknown kind."""


class MissingImageError(UnreadableImageError, FileNotFoundError):
    """An image file that is not there."""


class LayerNameError(NetError, ValueError):
    """A net has no layer of that name."""


class BlobNameError(NetError, KeyError):
    """A net has no blob of that name."""


class ArrayShapeError(NetError, ValueError):
    """An array has another shape than the blob that it is for."""
