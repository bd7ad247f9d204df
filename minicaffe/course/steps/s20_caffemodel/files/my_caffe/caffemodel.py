"""Caffemodels: the weights of a trained net, read from Caffe's own files."""

import numpy as np

from my_caffe.deploy import AnyPoolingLayer, ConcatLayer, ScaleLayer, SoftmaxLayer
from my_caffe.matrix_convolution import MatrixConvolutionLayer
from my_caffe.net import Net, register
from my_caffe.prototxt import parse


def varint(data, place):
    """Return the number that begins at data[place], and the place behind it. `data` are bytes.

    Raise ValueError where the bytes end within the number.
    """
    raise NotImplementedError


def fields(data):
    """Return the fields of a message in their order, a list of pairs (number, value).

    The value is an int for the wire type 0, and bytes for the wire types 1, 2 and 5. Raise ValueError for any other
    wire type, and where the bytes end within a field.
    """
    raise NotImplementedError


def blob_array(data):
    """Return the numbers of a BlobProto, given as bytes: an array of float64 of the shape that it says."""
    raise NotImplementedError


def read(path):
    """Return the weights in a file, a dict: name of a layer -> list of arrays. Layers without weights are left out."""
    raise NotImplementedError


def load(net, weights):
    """Copy weights, as read gives them, into the layers of a Net that have the same names, in the arrays there.

    Return the names of these layers, in the order of the net. Names that the net does not have are passed over, and
    layers that are not among the weights stay as they are. Raise ValueError, with the name of the layer in its text,
    where the number of blobs or a shape differs. A stored shape may have more axes in front, all of the size 1.
    """
    raise NotImplementedError


def trained(text, path):
    """Return the Net of a prototxt, given as text, with the weights of the file `path`.

    Let the net know the types Concat, Convolution, Pooling, Scale and Softmax before it is made.
    """
    raise NotImplementedError
