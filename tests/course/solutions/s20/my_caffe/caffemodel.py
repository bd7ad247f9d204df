"""Caffemodels: the weights of a trained net, read from Caffe's own files."""

import numpy as np

from my_caffe.deploy import AnyPoolingLayer, ConcatLayer, ScaleLayer, SoftmaxLayer
from my_caffe.matrix_convolution import MatrixConvolutionLayer
from my_caffe.net import Net, register
from my_caffe.prototxt import parse


def varint(data, place):
    number = shift = 0
    while place < len(data):
        byte = data[place]
        place += 1
        number += (byte % 128) << shift
        shift += 7
        if byte < 128:
            return number, place
    raise ValueError("the file ends within a number")


def fields(data):
    found, place = [], 0
    while place < len(data):
        tag, place = varint(data, place)
        number, wire_type = tag // 8, tag % 8
        if wire_type == 0:
            value, place = varint(data, place)
        else:
            if wire_type == 2:
                size, place = varint(data, place)
            elif wire_type in (1, 5):
                size = 8 if wire_type == 1 else 4
            else:
                raise ValueError(f"there is no wire type {wire_type} in a caffemodel")
            value = data[place:place + size]
            place += size
            if len(value) < size:
                raise ValueError("the file ends within a field")
        found.append((number, value))
    return found


def dims(data):
    """The sizes in a BlobShape."""
    sizes = []
    for number, value in fields(data):
        if number == 1 and isinstance(value, int):
            sizes.append(value)
        elif number == 1:
            place = 0
            while place < len(value):
                size, place = varint(value, place)
                sizes.append(size)
    return sizes


def blob_array(data):
    shape, old = None, {1: 1, 2: 1, 3: 1, 4: 1}
    floats, doubles = b"", b""
    for number, value in fields(data):
        if number == 7:
            shape = dims(value)
        elif number == 5:
            floats += value
        elif number == 8:
            doubles += value
        elif number in old:
            old[number] = value
    array = np.frombuffer(doubles, "<f8") if doubles else np.frombuffer(floats, "<f4")
    if shape is None:
        shape = list(old.values())
    return array.astype(np.float64).reshape(shape)


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    weights = {}
    for number, layer in fields(data):
        if number == 100:
            name, blobs = "", []
            for kind, value in fields(layer):
                if kind == 1:
                    name = value.decode("utf-8")
                elif kind == 7:
                    blobs.append(blob_array(value))
            if blobs:
                weights[name] = blobs
    return weights


def fits(stored, blob):
    """Whether a stored array has the shape of a blob, but for axes of the size 1 in front."""
    more = stored.ndim - len(blob.shape)
    return more >= 0 and stored.shape == (1,) * more + blob.shape


def load(net, weights):
    loaded = []
    for name, layer in zip(net.names, net.layers, strict=True):
        if name not in weights:
            continue
        stored = weights[name]
        if len(stored) != len(layer.blobs):
            raise ValueError(f"layer {name} has {len(layer.blobs)} blobs, the weights have {len(stored)}")
        for array, blob in zip(stored, layer.blobs, strict=True):
            if not fits(array, blob):
                raise ValueError(f"layer {name} has a blob {blob.shape}, the weights have {array.shape}")
            blob.data[...] = array.reshape(blob.shape)
        loaded.append(name)
    return loaded


def trained(text, path):
    register("Concat", ConcatLayer)
    register("Convolution", MatrixConvolutionLayer)
    register("Pooling", AnyPoolingLayer)
    register("Scale", ScaleLayer)
    register("Softmax", SoftmaxLayer)
    net = Net(parse(text))
    load(net, read(path))
    return net
