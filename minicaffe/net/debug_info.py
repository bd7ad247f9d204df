"""Print what `debug_info: true` asks for: the mean absolute value of each blob and gradient when it is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minicaffe.blob import Blob
from minicaffe.log import At, log, number
from minicaffe.net.param_sharing import Param

if TYPE_CHECKING:
    from minicaffe.net.net import Net


def attach(net: Net) -> None:
    """From now on, print the blobs of each layer after it ran forward, and the gradients after it ran backward."""
    detach(net)  # attached twice, it still prints once
    net.after_layer.append(_AfterForward(net))
    net.after_backward.append(_AfterBackward(net))


def detach(net: Net) -> None:
    """Print no longer."""
    for hooks in (net.after_layer, net.after_backward):
        hooks[:] = [hook for hook in hooks if not isinstance(hook, _Printer)]


class _Printer:
    """The class of this module's hooks, by which `detach` finds them among others."""

    def __init__(self, net: Net) -> None:
        self.net = net


class _AfterForward(_Printer):
    def __call__(self, i: int) -> None:
        _forward(self.net, i)


class _AfterBackward(_Printer):
    def __call__(self, i: int) -> None:
        if self.net.plan.layers[i]:
            _backward(self.net, i)


def _forward(net: Net, i: int) -> None:
    layer = net.layers[i]
    for blob, index in zip(net.tops[i], net.wiring.tops[i], strict=True):
        log(At.DEBUG_FORWARD_TOP, f"    [Forward] Layer {layer.name}, top blob {net.wiring.blob_names[index]} "
                                  f"data: {_mean(blob.asum_data(), blob)}")
    for param in _params_of(net, i):
        log(At.DEBUG_FORWARD_PARAM, f"    [Forward] Layer {layer.name}, param blob {param.display_name} "
                                    f"data: {_mean(param.blob.asum_data(), param.blob)}")


def _backward(net: Net, i: int) -> None:
    layer = net.layers[i]
    for j, (blob, index) in enumerate(zip(net.bottoms[i], net.wiring.bottoms[i], strict=True)):
        if net.plan.bottoms[i][j]:
            log(At.DEBUG_BACKWARD_BOTTOM, f"    [Backward] Layer {layer.name}, bottom blob "
                                          f"{net.wiring.blob_names[index]} "
                                          f"diff: {_mean(blob.asum_diff(), blob)}")
    for k, blob in enumerate(layer.blobs):
        if layer.param_propagate_down[k]:
            log(At.DEBUG_BACKWARD_PARAM, f"    [Backward] Layer {layer.name}, param blob {k} "
                                         f"diff: {_mean(blob.asum_diff(), blob)}")


def print_norms(net: Net) -> None:
    """Print the L1 and L2 norms of all learnable blobs and gradients, in one line after each backward pass."""
    blobs = [p.blob for p in net.learnable_params]
    l1 = (sum(b.asum_data() for b in blobs), sum(b.asum_diff() for b in blobs))
    l2 = (sum(b.sumsq_data() for b in blobs) ** 0.5, sum(b.sumsq_diff() for b in blobs) ** 0.5)
    log(At.DEBUG_ALL_PARAMS, f"    [Backward] All net params (data, diff): L1 norm = ({number(l1[0])}, "
                             f"{number(l1[1])}); "
                             f"L2 norm = ({number(l2[0])}, {number(l2[1])})")


def _params_of(net: Net, i: int) -> list[Param]:
    first = sum(len(layer.blobs) for layer in net.layers[:i])
    return net.all_params[first:first + len(net.layers[i].blobs)]


def _mean(total: float, blob: Blob) -> str:
    return number(total / blob.count) if blob.count else "nan"  # Caffe: prints 0 / 0 of an empty blob
