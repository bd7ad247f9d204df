"""The types of `_caffe` for lists of one kind."""

from minicaffe.blob import BlobVec

__all__ = ["BlobVec", "BoolVec", "DtypeVec", "IntVec", "LayerVec", "NetVec", "RawBlobVec", "StringVec"]


class RawBlobVec(list):
    pass


class LayerVec(list):
    pass


class StringVec(list):
    pass


class IntVec(list):
    pass


class DtypeVec(list):
    pass


class NetVec(list):
    pass


class BoolVec(list):
    pass
