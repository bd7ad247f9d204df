"""The nets that are timed, written from their published sizes: LeNet, CIFAR-10 quick, CaffeNet, GoogLeNet."""

from __future__ import annotations

from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text


class Builder:
    """Layers in a row: each method adds one on the current blob and makes its top the current one."""

    def __init__(self, name, batch, channels, size, classes):
        self.net = NetParameter(name=name)
        self.classes = classes
        layer = self.net.layer.add(name="input", type="Input", top=["data", "label"])
        layer.input_param.shape.add(dim=[batch, channels, size, size])
        layer.input_param.shape.add(dim=[batch])
        self.top = "data"

    def add(self, type_name, name, fields="", bottoms=None, in_place=False):
        layer = self.net.layer.add()
        proto_text.parse(fields, layer)
        layer.name, layer.type = name, type_name
        layer.bottom.extend(bottoms or [self.top])
        layer.top.append(self.top if in_place else name)
        self.top = layer.top[0]
        return self

    def conv(self, name, num_output, kernel, pad=0, stride=1, group=1, filler='type: "xavier"', relu=True):
        self.add("Convolution", name, f"convolution_param {{ num_output: {num_output} kernel_size: {kernel} pad: {pad} "
                 f"stride: {stride} group: {group} weight_filler {{ {filler} }} }} {LEARN}")
        return self.relu(f"relu_{name}") if relu else self

    def relu(self, name):
        return self.add("ReLU", name, in_place=True)

    def pool(self, name, method, kernel, stride, pad=0):
        return self.add("Pooling", name, f"pooling_param {{ pool: {method} kernel_size: {kernel} stride: {stride} "
                        f"pad: {pad} }}")

    def lrn(self, name):
        return self.add("LRN", name, "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")

    def ip(self, name, num_output, filler='type: "xavier"'):
        return self.add("InnerProduct", name, f"inner_product_param {{ num_output: {num_output} "
                        f"weight_filler {{ {filler} }} }} {LEARN}")

    def dropout(self, name, ratio):
        return self.add("Dropout", name, f"dropout_param {{ dropout_ratio: {ratio} }}", in_place=True)

    def loss(self, name="loss", weight=1.0):
        return self.add("SoftmaxWithLoss", name, f"loss_weight: {weight}", [self.top, "label"])


LEARN = "param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }"


def column(depth, batch=16):
    """So many 3×3 convolutions of 32 filters, one on the other, on images of 32 × 32."""
    b = Builder("column", batch, 32, 32, 10)
    for i in range(depth):
        b.conv(f"conv{i + 1}", 32, 3, pad=1)
    b.pool("pool", "AVE", 32, 1)
    b.ip("ip", 10)
    b.loss()
    return b


def lenet(batch=64):
    b = Builder("LeNet", batch, 1, 28, 10)
    b.conv("conv1", 20, 5, relu=False).pool("pool1", "MAX", 2, 2)
    b.conv("conv2", 50, 5, relu=False).pool("pool2", "MAX", 2, 2)
    return b.ip("ip1", 500).relu("relu1").ip("ip2", 10).loss()


def cifar10_quick(batch=100):
    b = Builder("CIFAR-10 quick", batch, 3, 32, 10)
    gaussian = 'type: "gaussian" std: {}'.format
    b.conv("conv1", 32, 5, 2, filler=gaussian(0.0001), relu=False).pool("pool1", "MAX", 3, 2).relu("relu1")
    b.conv("conv2", 32, 5, 2, filler=gaussian(0.01)).pool("pool2", "AVE", 3, 2)
    b.conv("conv3", 64, 5, 2, filler=gaussian(0.01)).pool("pool3", "AVE", 3, 2)
    return b.ip("ip1", 64, gaussian(0.1)).ip("ip2", 10, gaussian(0.1)).loss()


def caffenet(batch=32):
    b = Builder("CaffeNet", batch, 3, 227, 1000)
    gaussian = 'type: "gaussian" std: {}'.format
    b.conv("conv1", 96, 11, stride=4, filler=gaussian(0.01)).pool("pool1", "MAX", 3, 2).lrn("norm1")
    b.conv("conv2", 256, 5, 2, group=2, filler=gaussian(0.01)).pool("pool2", "MAX", 3, 2).lrn("norm2")
    b.conv("conv3", 384, 3, 1, filler=gaussian(0.01))
    b.conv("conv4", 384, 3, 1, group=2, filler=gaussian(0.01))
    b.conv("conv5", 256, 3, 1, group=2, filler=gaussian(0.01)).pool("pool5", "MAX", 3, 2)
    b.ip("fc6", 4096, gaussian(0.005)).relu("relu6").dropout("drop6", 0.5)
    b.ip("fc7", 4096, gaussian(0.005)).relu("relu7").dropout("drop7", 0.5)
    return b.ip("fc8", 1000, gaussian(0.01)).loss()


# the nine inception blocks: 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool projection
INCEPTION = {"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
             "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
             "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128),
             "5b": (384, 192, 384, 48, 128, 128)}


def _inception(b, name):
    below, (n1, r3, n3, r5, n5, pp) = b.top, INCEPTION[name]
    tops = []
    for branch in ([(n1, 1, 0)], [(r3, 1, 0), (n3, 3, 1)], [(r5, 1, 0), (n5, 5, 2)], "pool"):
        b.top = below
        if branch == "pool":
            b.pool(f"{name}/pool", "MAX", 3, 1, 1)
            branch = [(pp, 1, 0)]
        for k, (outputs, kernel, pad) in enumerate(branch):
            b.conv(f"{name}/{len(tops)}.{k}", outputs, kernel, pad)
        tops.append(b.top)
    b.add("Concat", f"{name}/output", bottoms=tops)


def _auxiliary(b, name):
    below = b.top
    b.pool(f"{name}/pool", "AVE", 5, 3).conv(f"{name}/conv", 128, 1).ip(f"{name}/fc", 1024).relu(f"{name}/relu")
    b.dropout(f"{name}/drop", 0.7).ip(f"{name}/classifier", 1000).loss(f"{name}/loss", 0.3)
    b.top = below


def googlenet(batch=8):
    b = Builder("GoogLeNet", batch, 3, 224, 1000)
    b.conv("conv1", 64, 7, 3, 2).pool("pool1", "MAX", 3, 2).lrn("norm1")
    b.conv("conv2_reduce", 64, 1).conv("conv2", 192, 3, 1).lrn("norm2").pool("pool2", "MAX", 3, 2)
    for name in INCEPTION:
        _inception(b, name)
        if name in ("3b", "4e"):
            b.pool(f"{name}/down", "MAX", 3, 2)
        if name in ("4a", "4d"):
            _auxiliary(b, f"aux_{name}")
    b.pool("pool5", "AVE", 7, 1).dropout("drop5", 0.4)
    return b.ip("classifier", 1000).loss()


NETS = {"lenet": (lenet, 64), "cifar10_quick": (cifar10_quick, 100), "caffenet": (caffenet, 32),
        "googlenet": (googlenet, 8)}
