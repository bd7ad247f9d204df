"""Pooling and SPP as lines of Python.

PyTorch's pooling with ceil_mode counts windows as Caffe's does, and divides a mean by the same area. But it takes no
padding that is larger than half of the window.
"""

from __future__ import annotations

from collections.abc import Sequence

from minicaffe.convert.torch_out.given import Given, says
from minicaffe.convert.torch_out.names import pair


@says("Pooling")
def pooling(g: Given) -> None:
    """`F.max_pool2d` or `F.avg_pool2d` with ceil_mode; `stochastic_pool`, a short function, for STOCHASTIC."""
    p, layer = g.param, g.layer
    if p.global_pooling and p.pool != p.STOCHASTIC and len(g.y) == 1:
        g.put(f"{g.x[0]}.amax((2, 3), keepdim=True)" if p.pool == p.MAX else f"{g.x[0]}.mean((2, 3), keepdim=True)")
        return
    g.refuse_if(len(g.y) > 1 and _wide(layer.kernel, layer.pad),
                "has a mask and a padding above half of its window, which PyTorch refuses", "use a smaller padding")
    call = _pool(g, g.x[0], layer.kernel, layer.stride, layer.pad, layer.rounds_up)
    if len(g.y) == 1:
        g.put(call)
        return
    places = g.temporary(f"{g.y[1]}_places")
    g.line(f"{g.y[0]}, {places} = {call[:-1]}, return_indices=True)")
    g.put(f"{places}.to({g.y[0]}.dtype)", 1)


@says("SPP")
def spp(g: Given) -> None:
    """A pooling for each level, and `torch.cat`. The windows are those for the image size of the prototxt."""
    levels = [_pool(g, g.x[0], kernel, kernel, pad, True) for kernel, pad, _, _ in g.layer.levels]
    if len(levels) == 1:
        g.put(levels[0])
        return
    parts = g.temporary(f"{g.y[0]}_levels")
    g.line(f"{parts} = [{', '.join(levels)}]")
    g.put(f"torch.cat([level.flatten(1) for level in {parts}], dim=1)")


def _wide(kernel: Sequence[int], pad: Sequence[int]) -> bool:
    """Return whether a padding is larger than PyTorch allows."""
    return any(2 * a > k for a, k in zip(pad, kernel, strict=True))


def _pool(g: Given, x: str, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int], up: bool) -> str:
    """Return the call that pools x by the layer's method."""
    p = g.param
    if p.pool == p.STOCHASTIC:
        return f"{g.helper('stochastic_pool')}({x}, {pair(kernel)}, {pair(stride)}, {up}, self.training)"
    if _wide(kernel, pad):
        function = g.helper("wide_max_pool" if p.pool == p.MAX else "wide_avg_pool")
        return f"{function}({x}, {pair(kernel)}, {pair(stride)}, {pair(pad)}, {up})"
    function = "F.max_pool2d" if p.pool == p.MAX else "F.avg_pool2d"
    options = [pair(kernel), *([f"stride={pair(stride)}"] if tuple(stride) != tuple(kernel) else []),
               *([f"padding={pair(pad)}"] if any(pad) else []), *(["ceil_mode=True"] if up else [])]
    return f"{function}({x}, {', '.join(options)})"
