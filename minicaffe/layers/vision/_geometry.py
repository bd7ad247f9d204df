"""The windows of Convolution, Deconvolution, Im2col, Pooling and SPP.

The functions read a window's sizes from a layer's parameters, and find how many positions it has on an image.
"""

from typing import NamedTuple

from minicaffe.log import At, warn


class Window(NamedTuple):
    """The sizes of a window, with one number for each spatial axis.

    `dilation` is the step from one pixel that a filter reads to the next.
    """

    kernel: tuple
    stride: tuple
    pad: tuple
    dilation: tuple

    @property
    def extents(self):
        """The length of the window on each axis, counted with the pixels that dilation leaves out."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))


def conv_window(layer, axes):
    """Return the window that a layer's convolution_param describes, for this number of spatial axes."""
    if axes == 0:  # there is nothing to slide along: a field that would change anything is a mistake
        for field, neutral in (("kernel_size", 1), ("stride", 1), ("pad", 0), ("dilation", 1)):
            layer.check(set(getattr(layer.param, field)) <= {neutral}, field, "has no axis to work along: bottom[0] "
                        f"has none after axis {layer.param.axis}",
                        hint="give it a bottom of (N, C, H, W), or take InnerProduct")
    window = Window(kernel=_per_axis(layer, "kernel_size", "kernel", axes, None),
                    stride=_per_axis(layer, "stride", "stride", axes, 1),
                    pad=_per_axis(layer, "pad", "pad", axes, 0),
                    dilation=_per_axis(layer, "dilation", None, axes, 1))
    for field, short, sizes in (("kernel_size", "kernel", window.kernel), ("stride", "stride", window.stride),
                                ("dilation", None, window.dilation)):
        if min(sizes, default=1) < 1:
            named = f"{short}_h and {short}_w" if _in_two(layer.param, short) else field
            layer.fail(f"convolution_param.{named} must be positive on every axis, got {list(sizes)}")
    return window


def conv_sizes(layer, shape, window):
    """Return how many positions the window has on each spatial axis of a bottom of this shape."""
    first = len(shape) - len(window.kernel)
    sizes = []
    for n, extent, stride, pad in zip(shape[first:], window.extents, window.stride, window.pad, strict=True):
        # Caffe: the division rounds towards zero, so a window may reach less than a stride over the far edge
        sizes.append(int((n + 2 * pad - extent) / stride) + 1)
    if min(sizes, default=1) < 1:
        layer.fail(f"the window of {window.extents} pixels does not fit bottom[0] {shape}, "
                   f"padded by {window.pad} from axis {first}")
    return tuple(sizes)


def pool_pair(layer, field, short):
    """Return (height, width) of a pooling_param field, which is given once for both, or as *_h and *_w."""
    p, high, wide = layer.param, short + "_h", short + "_w"
    square, *sides = (p.HasField(name) for name in (field, high, wide))
    if square and any(sides):
        if short == "kernel" and not all(sides):
            # Caffe: kernel_size beside one of kernel_h and kernel_w wins
            warn(At.POOLING_WINDOW, f"layer {layer.name!r} (Pooling): pooling_param.{high if sides[0] else wide} "
                                    f"is not read beside kernel_size")
        else:
            layer.fail(f"pooling_param.{field} and {high}, {wide} exclude each other")
    elif any(sides):
        if not all(sides):
            layer.fail(f"pooling_param.{high} and {wide} must be given together")
        return getattr(p, high), getattr(p, wide)
    return (getattr(p, field),) * 2


def pooled_sizes(layer, shape, kernel, stride, pad, ceil):
    """Return how many windows a pooling has on the last two axes of a bottom (N, C, H, W).

    Raise a LayerError where no window fits, or where one would hold no pixel of the image.
    """
    sizes, beyond = [], []
    for n, k, s, p in zip(shape[2:], kernel, stride, pad, strict=True):
        span = n + 2 * p - k
        size = (-(-span // s) if ceil else span // s) + 1  # −(−a // b) is a / b rounded up
        # Caffe: where anything is padded, the last window must begin in the image or the padding before it
        if any(pad) and (size - 1) * s >= n + p:
            size -= 1
        sizes.append(size)
        beyond.append((size - 1) * s - p >= n)
    if min(sizes) < 1 or 0 in shape[2:]:
        layer.fail(f"the window {kernel} does not fit bottom[0] (N, C, H, W) {shape}, padded by {pad}")
    if any(beyond):  # only rounding up without padding leads here; Caffe writes NaN or −3.4e38 for such a window
        axis = beyond.index(True)
        n, size, begins = shape[2 + axis], sizes[axis], (sizes[axis] - 1) * stride[axis]
        oh, ow = pooled_sizes(layer, shape, kernel, stride, pad, ceil=False)
        layer.fail(f"window {size} of {size} along the {('height', 'width')[axis]} would begin at pixel {begins}, but "
                   f"bottom[0] (N, C, H, W) {shape} ends at pixel {n - 1} there: with kernel {kernel} and stride "
                   f"{stride} it would hold no pixel", hint=f"round_mode: FLOOR leaves it out and gives {oh} x {ow}")
    return tuple(sizes)


def _in_two(p, short):
    """Return whether a convolution_param gives a field by height and width, such as pad_h and pad_w."""
    return short is not None and (p.HasField(short + "_h") or p.HasField(short + "_w"))


def _per_axis(layer, field, short, axes, default):
    """Return one value for each axis, from a repeated field of convolution_param or from its *_h and *_w.

    `default` is the value where nothing is given; None for a field that must be given.
    """
    p, values = layer.param, list(getattr(layer.param, field))
    if _in_two(p, short):
        if axes != 2:
            layer.fail(f"convolution_param.{short}_h and {short}_w need 2 spatial axes, bottom[0] has {axes}",
                       hint=f"give {field} once for each spatial axis")
        if values:
            layer.fail(f"convolution_param.{field} and {short}_h, {short}_w exclude each other")
        return getattr(p, short + "_h"), getattr(p, short + "_w")
    if not values and default is not None:
        return (default,) * axes
    layer.check(len(values) in (1, axes), field, f"must be given once, or once for each of the {axes} spatial axes")
    return tuple(values * axes if len(values) == 1 else values)
