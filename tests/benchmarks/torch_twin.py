"""The same NetParameter run by PyTorch, so that both sides of a comparison compute one net."""

from __future__ import annotations

import importlib
import os

import torch
from problem import Problem, without
from torch.nn import functional as F


def side(folder, kind, twin="torch_twin:Twin"):
    """The side of PyTorch in a comparison of training steps, by a class like Twin and one of its kinds."""
    module, name = twin.split(":")
    make = getattr(importlib.import_module(module), name)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    problem = Problem(folder)
    made = make(problem.definition, problem.weights, problem.inputs, kind)
    loss = made.step()
    still = without(problem.definition, ["Dropout"])
    if len(still.layer) < len(problem.definition.layer):  # chance decides that step's loss
        with torch.no_grad():
            uncompiled = {"compile": "eager", "both": "channels_last"}.get(kind, kind)
            loss = make(still, problem.weights, problem.inputs, uncompiled).forward().item()
    return made.step, {"loss": loss, "vectors": vectors()}


def vectors():
    """The widest vectors that PyTorch uses, in the words of machine.py."""
    found = torch.backends.cpu.get_cpu_capability()
    return {"AVX512": "AVX-512"}.get(found, found)


class Twin:
    """A training step of a net of Convolution, Pooling, InnerProduct, ReLU, LRN, Dropout, Concat, SoftmaxWithLoss.

    `weights` are arrays by the layer's name; their values are copied. `kind` is eager, channels_last, compile or both:
    the images and filters in memory with the channels innermost, and the forward pass compiled.
    """

    def __init__(self, net, weights, inputs, kind="eager", lr=1e-3, momentum=0.9, weight_decay=5e-4):
        self.layers = [layer for layer in net.layer if layer.type != "Input"]
        last = kind in ("channels_last", "both")
        self.inputs = {name: _tensor(values, last) for name, values in inputs.items()}
        self.inputs["label"] = self.inputs["label"].long()
        self.learned = {name: [torch.nn.Parameter(_tensor(values, last)) for values in group]
                        for name, group in weights.items()}
        if kind in ("compile", "both"):
            self.forward = torch.compile(self.forward)
        weights = [group[0] for group in self.learned.values()]
        biases = [group[1] for group in self.learned.values() if len(group) > 1]
        self.optimizer = torch.optim.SGD([{"params": weights, "weight_decay": weight_decay},
                                          {"params": biases, "lr": 2 * lr}], lr=lr, momentum=momentum)

    def step(self):
        """One update; the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def forward(self):
        """The weighted sum of the losses."""
        blobs, total = dict(self.inputs), 0.0
        for layer in self.layers:
            if layer.type == "SoftmaxWithLoss":
                weight = layer.loss_weight[0] if layer.loss_weight else 1.0
                total = total + weight * F.cross_entropy(blobs[layer.bottom[0]], blobs[layer.bottom[1]])
            else:
                blobs[layer.top[0]] = getattr(self, layer.type)(layer, *(blobs[name] for name in layer.bottom))
        return total

    def Convolution(self, layer, x):
        p = layer.convolution_param
        return F.conv2d(x, *self.learned[layer.name], stride=p.stride[0] if p.stride else 1,
                        padding=p.pad[0] if p.pad else 0, groups=p.group)

    def InnerProduct(self, layer, x):
        return F.linear(x.flatten(1), *self.learned[layer.name])

    def Pooling(self, layer, x):
        p = layer.pooling_param
        pool = F.max_pool2d if p.pool == 0 else F.avg_pool2d
        return pool(x, p.kernel_size, p.stride, p.pad, ceil_mode=True)

    def ReLU(self, layer, x):
        return F.relu(x, inplace=True)

    def LRN(self, layer, x):
        p = layer.lrn_param
        return F.local_response_norm(x, p.local_size, p.alpha, p.beta, p.k)

    def Dropout(self, layer, x):
        return F.dropout(x, layer.dropout_param.dropout_ratio)

    def Concat(self, layer, *xs):
        return torch.cat(xs, 1)


def _tensor(values, channels_last):
    made = torch.from_numpy(values.copy())
    return made.contiguous(memory_format=torch.channels_last) if channels_last and made.ndim == 4 else made
