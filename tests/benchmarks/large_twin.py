"""The nets of large_nets.py run by PyTorch."""

from __future__ import annotations

from torch.nn import functional as F  # noqa: N812 (as torch_twin.py)
from torch_twin import Twin


class LargeTwin(Twin):
    """A Twin that knows the layers after the scores too; the loss is summed over pixels."""

    def __init__(self, net, *args, **options):
        super().__init__(net, *args, **options)
        for layer in self.layers:
            for learned, param in zip(self.learned.get(layer.name, ()), layer.param, strict=False):
                learned.requires_grad_(param.lr_mult > 0)

    def forward(self):
        """The loss."""
        blobs = dict(self.inputs)
        for layer in self.layers[:-1]:
            blobs[layer.top[0]] = getattr(self, layer.type)(layer, *(blobs[name] for name in layer.bottom))
        loss = self.layers[-1]
        scores, label = (blobs[name] for name in loss.bottom)
        return F.cross_entropy(scores, label[:, 0], ignore_index=loss.loss_param.ignore_label,
                               reduction="sum") / len(scores)

    def Deconvolution(self, layer, x):  # noqa: N802 (the name of the type)
        return F.conv_transpose2d(x, *self.learned[layer.name], stride=layer.convolution_param.stride[0])

    def Crop(self, layer, x, like):  # noqa: N802
        offset, (height, width) = layer.crop_param.offset[0], like.shape[2:]
        return x[:, :, offset:offset + height, offset:offset + width]
