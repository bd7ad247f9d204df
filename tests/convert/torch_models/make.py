"""Write the ONNX files of this folder by both of PyTorch's exporters: python make.py

It needs torch, onnx and onnxscript, which the tests do not. Weights and the statistics of BatchNorm are random.
The names of the files say the net and the exporter: `old` is torch.onnx.export(dynamo=False) with opset 11, `dynamo` is
the newer one with the opset that it takes by itself. The batch is free in all of them. What the newer exporter notes
of the Python code is removed, because it names the folders of the machine.
"""

from pathlib import Path

import onnx
import torch
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent


class LeNet(nn.Module):
    """Two convolutions and two products, with the batch's size read from the input, as many scripts do."""

    size = (1, 20, 28)

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 6, (3, 5))
        self.fc1, self.fc2 = nn.Linear(6 * 3 * 4, 12), nn.Linear(12, 10)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.dropout(x.view(x.size(0), -1), training=self.training)
        return functional.softmax(self.fc2(functional.relu(self.fc1(x))), dim=1)


class Residual(nn.Module):
    """A block of ResNet with a convolution on its shortcut, behind a padded pooling; a BatchNorm that stands alone."""

    size = (3, 18, 22)

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.conv1, self.norm1 = nn.Conv2d(8, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12)
        self.conv2, self.norm2 = nn.Conv2d(12, 12, 3, 1, 1, bias=False), nn.BatchNorm2d(12)
        self.short, self.norm3 = nn.Conv2d(8, 12, 1, 2, bias=False), nn.BatchNorm2d(12)
        self.alone, self.pool, self.fc = nn.BatchNorm2d(12), nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(12, 5)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.norm(self.stem(x))), 3, 2, 1)
        y = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
        x = functional.relu(self.alone(functional.relu(y + self.norm3(self.short(x)))))
        return self.fc(torch.flatten(self.pool(x), 1))


class Inverted(nn.Module):
    """A block of MobileNetV2: a depthwise convolution between two of 1 × 1, with ReLU6 and a shortcut."""

    size = (6, 9, 11)

    def __init__(self):
        super().__init__()
        self.wide, self.norm1 = nn.Conv2d(6, 18, 1, bias=False), nn.BatchNorm2d(18)
        self.deep, self.norm2 = nn.Conv2d(18, 18, 3, 1, 1, groups=18, bias=False), nn.BatchNorm2d(18)
        self.thin, self.norm3 = nn.Conv2d(18, 6, 1, bias=False), nn.BatchNorm2d(6)

    def forward(self, x):
        y = functional.relu6(self.norm1(self.wide(x)))
        return x + self.norm3(self.thin(functional.relu6(self.norm2(self.deep(y)))))


class Fire(nn.Module):
    """A fire module of SqueezeNet, after a pooling that rounds up, and its mean of the whole image."""

    size = (5, 16, 13)

    def __init__(self):
        super().__init__()
        self.squeeze, self.one, self.three = nn.Conv2d(5, 4, 1), nn.Conv2d(4, 6, 1), nn.Conv2d(4, 7, 3, padding=1)

    def forward(self, x):
        x = functional.relu(self.squeeze(functional.max_pool2d(x, 3, 2, ceil_mode=True)))
        x = torch.cat([functional.relu(self.one(x)), functional.relu(self.three(x))], 1)
        return torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1)


class UNet(nn.Module):
    """One step down and up again by a transposed convolution, joined with the step before."""

    size = (3, 12, 16)

    def __init__(self):
        super().__init__()
        self.down, self.norm = nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.deep = nn.Conv2d(5, 8, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(8, 4, 2, 2), nn.Conv2d(9, 2, 1)

    def forward(self, x):
        a = functional.relu(self.norm(self.down(x)))
        b = functional.relu(self.deep(functional.max_pool2d(a, 2)))
        return torch.sigmoid(self.out(torch.cat([self.up(b), a], 1)))


class Yolo(nn.Module):
    """Two heads of a detector: SiLU, LeakyReLU, channels cut in two, pixels repeated, three poolings in a row."""

    size = (3, 16, 24)

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3, 2, 1)
        self.side, self.join = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(18, 7, 1)
        self.large, self.small = nn.Conv2d(19, 9, 1), nn.Conv2d(7, 9, 1)

    def forward(self, x):
        a = functional.silu(self.norm(self.a(x)))
        left, right = a.chunk(2, 1)
        a = torch.cat([left, right, right + functional.silu(self.side(right))], 1)
        b = functional.leaky_relu(self.b(a[:, :8]), 0.1)
        once = functional.max_pool2d(b, 5, 1, 2)
        b = self.join(torch.cat([b, once, functional.max_pool2d(once, 5, 1, 2)], 1))
        up = functional.interpolate(b, scale_factor=2, mode="nearest")
        return self.large(torch.cat([up, a], 1)), self.small(b)


NETS = {"lenet": LeNet, "residual": Residual, "inverted": Inverted, "fire": Fire, "unet": UNet, "yolo": Yolo}


def main():
    for name, made in NETS.items():
        torch.manual_seed(0)
        net = made()
        for norm in (layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)):
            with torch.no_grad():
                norm.running_mean.normal_(std=0.3)
                norm.running_var.uniform_(0.5, 1.5)
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_(std=0.3)
        net.eval()
        x = torch.randn(2, *made.size)
        torch.onnx.export(net, (x,), HERE / f"{name}.old.onnx", dynamo=False, opset_version=11, input_names=["image"],
                          dynamic_axes={"image": {0: "batch"}})
        torch.onnx.export(net, (x,), dynamo=True, input_names=["image"], verbose=False,
                          dynamic_shapes=({0: torch.export.Dim("batch")},)).save(HERE / f"{name}.dynamo.onnx")
        for path in HERE.glob(f"{name}.*.onnx"):
            onnx.save(without_notes(onnx.load(path)), path)


def without_notes(model):
    """The model without the metadata and the texts that its parts carry."""
    parts = [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info,
             *model.graph.initializer]
    for part in parts:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return model


if __name__ == "__main__":
    main()
