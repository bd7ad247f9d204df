"""Nets that train on one large image at a time, written from their published sizes: FCN-AlexNet, and VGG-16 as an FCN.

Each names a class for every pixel of an image of 500 × 500. (Long et al., CVPR 2015)
"""

from __future__ import annotations

from timed_nets import Builder

CLASSES, IGNORED = 21, 255  # Pascal VOC's, and the label of pixels that do not count


class PixelBuilder(Builder):
    """Layers in a row that end in a class for each pixel; the label is an image too."""

    def __init__(self, name, batch, size):
        super().__init__(name, batch, 3, size, CLASSES)
        self.net.layer[0].input_param.shape[1].dim.extend([1, size, size])

    def scores(self, kernel, offset):
        """The scores of each class, 32 times as large by a fixed filter, cut to the data, and the loss.

        The filter is random here. A bilinear one for all pairs of classes would give all classes the same score, and
        no gradient would be left below it.
        """
        self.conv("score", CLASSES, 1, relu=False)
        self.add("Deconvolution", "upscore", f"param {{ lr_mult: 0 }} convolution_param {{ num_output: {CLASSES} "
                 f'kernel_size: {kernel} stride: 32 bias_term: false weight_filler {{ type: "xavier" }} }}')
        self.add("Crop", "cropped", f"crop_param {{ axis: 2 offset: {offset} }}", [self.top, "data"])
        self.add("SoftmaxWithLoss", "loss", f"loss_param {{ ignore_label: {IGNORED} normalization: BATCH_SIZE }}",
                 [self.top, "label"])
        return self


def fcn_alexnet(batch=1, size=500):
    b = PixelBuilder("FCN-AlexNet", batch, size)
    b.conv("conv1", 96, 11, 100, 4).pool("pool1", "MAX", 3, 2).lrn("norm1")
    b.conv("conv2", 256, 5, 2, group=2).pool("pool2", "MAX", 3, 2).lrn("norm2")
    b.conv("conv3", 384, 3, 1).conv("conv4", 384, 3, 1, group=2)
    b.conv("conv5", 256, 3, 1, group=2).pool("pool5", "MAX", 3, 2)
    b.conv("fc6", 4096, 6).dropout("drop6", 0.5).conv("fc7", 4096, 1).dropout("drop7", 0.5)
    return b.scores(63, 18)


def fcn_vgg16(batch=1, size=500):
    """VGG-16's convolutions; its fully connected layers are left out, so that memory is that of the images."""
    b = PixelBuilder("VGG-16 as an FCN", batch, size)
    for block, (filters, layers) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], 1):
        for i in range(layers):
            b.conv(f"conv{block}_{i + 1}", filters, 3, 1)
        b.pool(f"pool{block}", "MAX", 2, 2)
    return b.scores(64, 16)


LARGE_NETS = {"fcn_alexnet": (fcn_alexnet, 1), "fcn_vgg16": (fcn_vgg16, 1)}
