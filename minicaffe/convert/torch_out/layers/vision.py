"""Layers for images as lines of Python."""

from __future__ import annotations

from collections.abc import Callable

from minicaffe.convert.torch_out.given import Given, says
from minicaffe.convert.torch_out.names import listed, num, pair


@says("Convolution", "ConvolutionDepthwise", "DepthwiseConv", "DepthwiseConvolution")
def convolution(g: Given) -> None:
    """`nn.Conv2d`, or `nn.Conv1d` and `nn.Conv3d`, with groups for the depthwise types."""
    if not g.layer.window.kernel:
        _without_window(g)
        return
    _refuse_large_window(g)
    _filters(g, "Conv", g.layer.C)


@says("Deconvolution")
def deconvolution(g: Given) -> None:
    """`nn.ConvTranspose2d`, whose weights have the same order."""
    g.refuse_if(not g.layer.window.kernel, "has no spatial axis", "take InnerProduct")
    _filters(g, "ConvTranspose", g.layer.C)


def _refuse_large_window(g: Given) -> None:
    """Refuse a window that reaches beyond the padded image. Caffe lets it, by less than a stride."""
    window, sizes = g.layer.window, g.x_shapes[0][g.layer.axis + 1:]
    g.refuse_if(any(n + 2 * p < e for n, p, e in zip(sizes, window.pad, window.extents, strict=True)),
                "has a window that is larger than the padded image, which PyTorch refuses", "pad the image")


def _filters(g: Given, kind: str, channels: int) -> None:
    """Write a module of torch.nn with filters, and call it for each bottom."""
    window, layer = g.layer.window, g.layer
    g.refuse_if(len(window.kernel) > 3, f"has {len(window.kernel)} spatial axes; PyTorch knows up to 3",
                "Reshape the blob to three spatial axes")
    options = [("stride", window.stride, 1), ("padding", window.pad, 0), ("dilation", window.dilation, 1)]
    texts = [num(channels), num(layer.K), f"kernel_size={pair(window.kernel)}"]
    texts += [f"{name}={pair(sizes)}" for name, sizes, usual in options if set(sizes) != {usual}]
    texts += [f"groups={layer.group}"] if layer.group > 1 else []
    texts += [] if g.param.bias_term else ["bias=False"]
    entries = {"weight": 0, **({"bias": 1} if g.param.bias_term else {})}
    module = g.module(f"nn.{kind}{len(window.kernel)}d({', '.join(texts)})", entries)
    for t, x in enumerate(g.x):  # one layer may filter several bottoms with the same weights
        g.put(_around(x, layer.axis, lambda images: f"{module}({images})"), t)


def _around(x: str, axis: int, call: Callable[[str], str]) -> str:
    """Return a call for a blob whose channels are at `axis`; PyTorch wants one axis before them."""
    if axis == 1:
        return call(x)
    if axis == 0:
        return f"{call(f'{x}[None]')}[0]"
    return f"{call(f'{x}.flatten(0, {axis - 1})')}.unflatten(0, {x}.shape[:{axis}])"


def _without_window(g: Given) -> None:
    """Write a convolution without a spatial axis, which is a product of matrices for each group."""
    g.refuse_if(g.layer.group > 1, "has groups but no spatial axis", "take InnerProduct")
    bias = "" if g.param.bias_term else ", bias=False"
    entries = {"weight": 0, **({"bias": 1} if g.param.bias_term else {})}
    module = g.module(f"nn.Linear({g.layer.C}, {g.layer.K}{bias})", entries)
    for t, x in enumerate(g.x):
        g.put(f"{module}({x})", t)


@says("Im2col")
def im2col(g: Given) -> None:
    """`F.unfold`."""
    window, y = g.layer.window, g.y_shapes[0]
    g.refuse_if(len(window.kernel) != 2 or g.layer.axis != 1, "needs images (N, C, H, W), which F.unfold takes alone",
                "Reshape the blob")
    _refuse_large_window(g)
    kernel, dilation, pad, stride = map(pair, (window.kernel, window.dilation, window.pad, window.stride))
    g.put(f"F.unfold({g.x[0]}, {kernel}, dilation={dilation}, padding={pad}, stride={stride})"
          f".unflatten(2, {listed(y[2:])})")


@says("Crop")
def crop(g: Given) -> None:
    """A slice that has the sizes of the second bottom."""
    parts, axis = [], g.layer.axis
    for i in range(axis, g.axes()):
        start = g.layer.offsets[i]
        parts.append(f"{start}:{start} + {g.x[1]}.shape[{i}]" if start else f":{g.x[1]}.shape[{i}]")
    g.put(f"{g.x[0]}[{', '.join([*[':'] * axis, *parts])}]")


@says("CropCenter")
def crop_center(g: Given) -> None:
    """A slice."""
    parts = [f"{cut}:-{cut}" if cut else ":" for cut in g.param.crop_size]
    g.put(f"{g.x[0]}[{', '.join(parts)}]")


@says("Interp")
def interp(g: Given) -> None:
    """`F.interpolate` with align_corners, behind a slice where pad_beg or pad_end is set."""
    p, x = g.param, g.x[0]
    if p.pad_beg or p.pad_end:
        cut = f"{-p.pad_beg or ''}:{p.pad_end or ''}"
        x = f"{x}[:, :, {cut}, {cut}]"
    size = f"{g.x[1]}.shape[2:]" if len(g.x) == 2 else listed(g.y_shapes[0][2:])
    g.put(f'F.interpolate({x}, size={size}, mode="bilinear", align_corners=True)')


@says("Upsample")
def upsample(g: Given) -> None:
    """`F.interpolate` with the nearest pixel; with a mask `F.max_unpool2d`."""
    if len(g.x) == 1:
        g.put(f'F.interpolate({g.x[0]}, scale_factor={pair(g.layer.scale)}, mode="nearest")')
        return
    size = listed(g.y_shapes[0][2:])
    g.put(f"F.max_unpool2d({g.x[0]}, {g.x[1]}.long(), 2, output_size={size})"
          if _doubles(g) else f"{g.helper('unpool')}({g.x[0]}, {g.x[1]}, {size})")


def _doubles(g: Given) -> bool:
    """Return whether F.max_unpool2d with a window of 2 takes the size of the top: it allows one window more or less."""
    return all(abs(o - 2 * n) < 2 for n, o in zip(g.x_shapes[0][2:], g.y_shapes[0][2:], strict=True))


@says("Reorg")
def reorg(g: Given) -> None:
    """`reorg`, a short function in darknet's order."""
    reverse = ", reverse=True" if g.param.reverse else ""
    g.put(f"{g.helper('reorg')}({g.x[0]}, {g.param.stride}{reverse})")
