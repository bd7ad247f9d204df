"""The same net as an ONNX model, so that ONNX Runtime, OpenVINO and OpenCV 5 compute what we compute.

The model is written in protobuf's wire format by hand, because it has only a few kinds of messages. The numbers of the
fields are those of onnx.proto; each function below names the message that it writes.
"""

from __future__ import annotations

import struct

import numpy as np

OPSET, IR_VERSION = 13, 8
FLOAT, INT64 = 1, 7                                       # TensorProto.DataType
AS_FLOAT, AS_INT, AS_INTS = 1, 2, 7                       # AttributeProto.AttributeType
SAME = ("Dropout", "Split")                               # layers whose tops are their bottom at TEST


class OnnxError(Exception):
    """The net has a layer that is not known here."""


def onnx_bytes(net):
    """The ONNX model of a net of ours at TEST, with its weights. Its inputs and outputs have the names of the blobs."""
    return Writer(net).model()


class Writer:
    """Goes through the layers of a net in order; `values` are the ONNX values that hold the blobs at that point."""

    def __init__(self, net):
        self.net, self.nodes, self.tensors = net, [], []
        self.values = {name: name for name in net.inputs}
        for given, bottoms, tops in zip(net.param.layer, net.bottoms, net.tops, strict=True):
            if given.type == "Input":
                continue
            if given.type in SAME:
                self.values.update(dict.fromkeys(given.top, self.values[given.bottom[0]]))
                continue
            if not hasattr(self, given.type):
                raise OnnxError(f"layers of the type {given.type} are not written as ONNX here ({given.name})")
            xs = [self.values[name] for name in given.bottom]
            self.values[given.top[0]] = getattr(self, given.type)(given, xs, bottoms[0].shape, tops[0].shape)

    def model(self):
        """ModelProto."""
        outputs = []
        for name in self.net.outputs:  # no blob's name, since several values may have had it
            self.nodes.append(_node("Identity", [self.values[name]], f"output/{name}"))
            outputs.append(_value(f"output/{name}", self.net.blobs[name].shape))
        inputs = [_value(name, self.net.blobs[name].shape) for name in self.net.inputs]
        graph = _message((1, self.nodes), (2, "net"), (5, self.tensors), (11, inputs), (12, outputs))
        return _message((1, IR_VERSION), (7, graph), (8, _message((2, OPSET))))

    def node(self, kind, inputs, **attributes):
        """Add a node; the name of its output."""
        output = f"value/{len(self.nodes)}"
        self.nodes.append(_node(kind, inputs, output, **attributes))
        return output

    def tensor(self, values):
        """Add a constant; its name."""
        name = f"tensor/{len(self.tensors)}"
        self.tensors.append(_tensor(name, np.ascontiguousarray(values)))
        return name

    def learned(self, layer):
        """The learned arrays of a layer."""
        return [blob.data for blob in self.net.params.get(layer.name, [])]

    # --- one method for each type: (layer, inputs, the shape of its bottom, and of its top) -> the output's name ---

    def Convolution(self, layer, xs, x, y):
        p = layer.convolution_param
        arrays = self.learned(layer)
        kernel = arrays[0].shape[2:]
        pad = _both(p.pad, p.pad_h, p.pad_w, 0)
        return self.node("Conv", xs + [self.tensor(a) for a in arrays], kernel_shape=kernel, pads=pad + pad,
                         strides=_both(p.stride, p.stride_h, p.stride_w, 1), dilations=_both(p.dilation, 0, 0, 1),
                         group=p.group)

    DepthwiseConvolution = Convolution

    def InnerProduct(self, layer, xs, x, y):
        w, *b = self.learned(layer)
        flat = self.node("Flatten", xs, axis=layer.inner_product_param.axis)
        return self.node("Gemm", [flat, self.tensor(w), *(self.tensor(a) for a in b)], transB=1)

    def Pooling(self, layer, xs, x, y):
        p = layer.pooling_param
        kind = "MaxPool" if p.pool == p.MAX else "AveragePool"
        if p.global_pooling:
            return self.node("Global" + kind, xs)
        kernel, pad = (_both([size] * bool(size), high, wide, 0) for size, high, wide in (
            (p.kernel_size, p.kernel_h, p.kernel_w), (p.pad, p.pad_h, p.pad_w)))
        strides = _both([] if p.stride_h else [p.stride], p.stride_h, p.stride_w, 1)
        # Caffe: the padding counts in an average, and what the last window has beyond it does not.
        more = {"count_include_pad": 1} if kind == "AveragePool" and any(pad) else {}
        return self.node(kind, xs, kernel_shape=kernel, pads=pad + pad, strides=strides,
                         ceil_mode=int(p.round_mode == p.CEIL), **more)

    def ReLU(self, layer, xs, x, y):
        slope = layer.relu_param.negative_slope
        return self.node("LeakyRelu", xs, alpha=slope) if slope else self.node("Relu", xs)

    def PReLU(self, layer, xs, x, y):
        return self.node("PRelu", [*xs, self.tensor(_columns(self.learned(layer)[0], x))])

    def LRN(self, layer, xs, x, y):
        p = layer.lrn_param
        if p.norm_region != p.ACROSS_CHANNELS:
            raise OnnxError(f"LRN within a channel is not written as ONNX here ({layer.name})")
        return self.node("LRN", xs, size=p.local_size, alpha=p.alpha, beta=p.beta, bias=p.k)

    def Concat(self, layer, xs, x, y):
        return self.node("Concat", xs, axis=layer.concat_param.axis)

    def Softmax(self, layer, xs, x, y):
        return self.node("Softmax", xs, axis=layer.softmax_param.axis)

    def Sigmoid(self, layer, xs, x, y):
        return self.node("Sigmoid", xs)

    def BatchNorm(self, layer, xs, x, y):
        mean, variance, factor = self.learned(layer)[:3]
        by = 1 / factor[0] if factor[0] else 0
        arrays = np.ones_like(mean), np.zeros_like(mean), mean * by, variance * by
        return self.node("BatchNormalization", xs + [self.tensor(a) for a in arrays],
                         epsilon=layer.batch_norm_param.eps)

    def Scale(self, layer, xs, x, y):
        if len(xs) > 1 or layer.scale_param.axis != 1:
            raise OnnxError(f"this Scale is not written as ONNX here ({layer.name})")
        for kind, values in zip(("Mul", "Add"), self.learned(layer), strict=False):
            xs = [self.node(kind, [xs[0], self.tensor(_columns(values, x))])]
        return xs[0]

    def Eltwise(self, layer, xs, x, y):
        p = layer.eltwise_param
        if any(c != 1 for c in p.coeff):
            raise OnnxError(f"Eltwise with factors is not written as ONNX here ({layer.name})")
        for other in xs[1:]:
            xs = [self.node({p.PROD: "Mul", p.SUM: "Add", p.MAX: "Max"}[p.operation], [xs[0], other])]
        return xs[0]

    def Flatten(self, layer, xs, x, y):
        return self.Reshape(layer, xs, x, y)

    def Reshape(self, layer, xs, x, y):
        return self.node("Reshape", [*xs, self.tensor(np.array(y, np.int64))])

    def Permute(self, layer, xs, x, y):
        order = list(layer.permute_param.order)
        return self.node("Transpose", xs, perm=order + [i for i in range(len(x)) if i not in order])


def _both(given, high, wide, default):
    """A size for the height and one for the width, from Caffe's repeated field or its fields of each."""
    if high or wide:
        return [high, wide]
    return [given[0], given[-1]] if given else [default] * 2


def _columns(values, x):
    """A value for each channel, of a shape that goes with the bottom's."""
    return values.reshape(-1, *[1] * (len(x) - 2))


def _node(kind, inputs, output, **attributes):
    """NodeProto."""
    return _message((1, list(inputs)), (2, output), (3, output), (4, kind),
                    (5, [_attribute(name, value) for name, value in attributes.items()]))


def _attribute(name, value):
    """AttributeProto."""
    if isinstance(value, float):
        return _message((1, name), (2, value), (20, AS_FLOAT))
    if isinstance(value, int):
        return _message((1, name), (3, value), (20, AS_INT))
    return _message((1, name), (8, [int(one) for one in value]), (20, AS_INTS))


def _tensor(name, values):
    """TensorProto."""
    return _message((1, list(values.shape)), (2, INT64 if values.dtype == np.int64 else FLOAT), (8, name),
                    (9, values.tobytes()))


def _value(name, shape):
    """ValueInfoProto, which holds a TypeProto, which holds its tensor's type and shape."""
    sizes = _message((1, [_message((1, size)) for size in shape]))
    return _message((1, name), (2, _message((1, _message((1, FLOAT), (2, sizes))))))


def _message(*fields):
    """A message of (number, value): an int, a float, a text or bytes, or a list of these for a repeated field."""
    return b"".join(_field(number, one) for number, value in fields
                    for one in (value if isinstance(value, list) else [value]))


def _field(number, value):
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
