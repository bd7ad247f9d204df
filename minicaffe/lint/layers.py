"""Rules about single layers: batch normalization, windows, classes, weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from minicaffe.layer import LossLayer
from minicaffe.lint.registry import DEFINITION, ERROR, NOTE, WARNING, Finding, rule
from minicaffe.lint.subjects import Definition, Top
from minicaffe.log import shape_text

STATISTICS = "batch_norm_param"  # the message of layers that measure statistics


def _normalizing(definition: Definition) -> Iterator[tuple[int, Any]]:
    """Yield each layer that measures statistics, with its index and its parameters."""
    for i, layer in enumerate(definition.layers):
        cls = definition.classes[i]
        if cls is not None and cls.message == STATISTICS:
            yield i, layer.batch_norm_param


@rule("batch-norm-scale", DEFINITION)
def batch_norm_scale(definition: Definition) -> Iterator[Finding]:
    """No Scale or Bias follows a BatchNorm, so its output always has mean 0 and variance 1.

    Caffe's BatchNorm only normalizes. The scale and the shift that are learned in the paper belong to a layer of their
    own.

    Example
        layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }
        layer { name: "relu" type: "ReLU" bottom: "bn" top: "relu" }

    Cure
        Put a Scale layer with scale_param { bias_term: true } behind it.
    """
    if not definition.trains or definition.net is None:
        return
    for i, _ in _normalizing(definition):
        # A layer with weights right behind it scales and shifts by them; a ReLU would cut off half of the numbers.
        followers = [definition.made(k) for k in definition.readers[i, 0]]
        if not followers or any(layer is not None and layer.blobs for layer in followers):
            continue
        yield definition.found(WARNING, i, f"{definition.title(i)} is followed by no layer that scales and shifts",
                               "put a Scale layer with scale_param { bias_term: true } behind it")


@rule("batch-norm-lr", DEFINITION)
def batch_norm_lr(definition: Definition) -> Iterator[Finding]:
    """A BatchNorm has a `param` whose lr_mult is not 0; a `param` without lr_mult has 1.

    Its three blobs hold statistics, which are measured and not learned. Caffe refuses such a net, and so does
    minicaffe.

    Example
        layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" param { lr_mult: 1 } }

    Cure
        Take the `param` out, or write lr_mult: 0 in each of the three. To learn a scale and a shift, add a Scale
        layer.
    """
    for i, _ in _normalizing(definition):
        for spec in definition.layers[i].param:
            if spec.lr_mult:
                yield definition.found(ERROR, i, f"{definition.title(i)} has lr_mult {spec.lr_mult:g} for statistics, "
                                       "which are measured and not learned", "take `param` out, or write lr_mult: 0 "
                                       "in each of the three")
                break


@rule("batch-norm-phase", DEFINITION)
def batch_norm_phase(definition: Definition) -> Iterator[Finding]:
    """A BatchNorm uses stored statistics in training, or the statistics of the batch in a test.

    Without the field use_global_stats, training uses the statistics of the batch, and a test uses the stored ones. A
    training that begins with fresh weights has no stored statistics. A test that uses the statistics of the batch
    gives the same image different scores beside different images. It is right to set use_global_stats in training
    when you fine-tune weights and want to keep their statistics.

    Example
        batch_norm_param { use_global_stats: true }

        in a train net

    Cure
        Take use_global_stats out.
    """
    for i, p in _normalizing(definition):
        if not p.HasField("use_global_stats"):
            continue
        if p.use_global_stats and definition.trains:
            yield definition.found(WARNING, i, f"{definition.title(i)} takes stored statistics in training: it "
                                   "measures none, and fresh weights have none",
                                   "take use_global_stats out, unless you fine-tune weights and keep their statistics")
        elif not p.use_global_stats and definition.phase_name == "TEST":
            yield definition.found(WARNING, i, f"{definition.title(i)} goes by the statistics of the batch in a test: "
                                   "an image's score depends on the images beside it", "take use_global_stats out")


@rule("batch-norm-one", DEFINITION)
def batch_norm_one(definition: Definition) -> Iterator[Finding]:
    """A BatchNorm gets batches of one sample in training.

    The statistics of a single image differ from image to image, and from the average that a test uses. iter_size and
    shards do not help, because each batch is measured by itself.

    Example
        data_param { source: "train_lmdb" batch_size: 1 }

    Cure
        Take a larger batch_size.
    """
    if not definition.trains or definition.net is None:
        return
    for i, p in _normalizing(definition):
        if not p.use_global_stats and definition.bottom_shape(i)[:1] == (1,):
            yield definition.found(WARNING, i, f"{definition.title(i)} measures batches of one sample",
                                   "take a larger batch_size; iter_size and shards do not change what it measures")


@rule("window-beyond-image", DEFINITION)
def window_beyond_image(definition: Definition) -> Iterator[Finding]:
    """A window is larger than the blob that it slides over, so some of its weights only ever see padding.

    The image is too small for this net, or the layers before have made it too small. The message also says how large
    the receptive field is: the part of the image that one number of the top depends on. A receptive field larger than
    the image is no mistake by itself, because the deep ResNets have one too. So only such windows are found.

    Example
        convolution_param { num_output: 64 kernel_size: 3 pad: 1 }

        on a bottom of 1 × 1

    Cure
        Take a smaller kernel, fewer strides before it, or larger images.
    """
    found: list[tuple[int, Any, Any]] = []
    if definition.guessed:
        return
    for i in range(len(definition.layers)):
        extents = getattr(getattr(definition.made(i), "window", None), "extents", ())
        shape = _under(definition, i, len(extents)) if extents else ()
        if any(extent > n for extent, n in zip(extents, shape, strict=True)):
            found.append((i, extents, shape))
    if found and not _is_placeholder(definition):
        i, extents, shape = found[0]  # those after it follow from it
        more = f" ({len(found) - 1} more layers after it do so too)" if found[1:] else ""
        receptive = shape_text(_receptive_field(definition, i))
        yield definition.found(WARNING, i, f"{definition.title(i)} slides a window of {shape_text(extents)} over "
                               f"{shape_text(shape)} pixels: its outer weights see padding alone{more}; a number of "
                               f"its top depends on {receptive} pixels of the image",
                               "take a smaller kernel, fewer strides before it, or larger images")


def _under(definition: Definition, i: int, axes: int) -> tuple[int, ...]:
    """Return the size of what a window slides over: of the top, where that is the larger one, as in a Deconvolution."""
    assert definition.net is not None
    top = definition.net.tops[definition.made_index(i)][0].shape[-axes:]
    return tuple(map(max, definition.bottom_shape(i)[-axes:], top))


def _receptive_field(definition: Definition, i: int) -> list[int]:
    """Return how many pixels of the image, along each axis, one number of the top of layer i depends on.

    Of several ways to the image, it is the one along the first bottoms.
    """
    sizes: list[int] = []
    top: Top | None = (i, 0)
    while top is not None and definition.sources[top[0]]:
        extents, strides = _window(definition.made(top[0]))
        if extents:
            # n numbers of a window's top depend on the window of the first one, and on a stride for each further one.
            sizes = [(n - 1) * stride + extent for n, stride, extent
                     in zip(sizes or [1] * len(extents), strides, extents, strict=False)]
        top = definition.sources[top[0]][0]
    return sizes


def _window(layer: Any) -> tuple[Any, Any]:
    """Return the extents and the strides of the window of a layer, or two empty tuples."""
    window: Any = getattr(layer, "window", None)
    if hasattr(window, "extents"):
        return window.extents, window.stride
    return (layer.kernel, layer.stride) if hasattr(layer, "kernel") and hasattr(layer, "stride") else ((), ())


def _is_placeholder(definition: Definition) -> bool:
    """Return whether an Input has images of one pixel: whoever fills it gives it another size first."""
    assert definition.net is not None
    return any(blob.shape[2:] and set(blob.shape[2:]) == {1} for i, cls in enumerate(definition.classes)
               if cls is not None and cls.is_input for blob in definition.net.tops[definition.made_index(i)])


@rule("one-class", DEFINITION)
def one_class(definition: Definition) -> Iterator[Finding]:
    """A loss over classes has scores for only one class, so the loss is 0 and nothing is learned.

    The only class always has the probability 1, whatever its score is.

    Example
        layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 1 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }

    Cure
        Take num_output: 2 for a choice between two classes, or SigmoidCrossEntropyLoss for one score.
    """
    for i in range(len(definition.layers)):
        loss = definition.made(i)
        if isinstance(loss, LossLayer) and loss.classes == 1 and loss.contains and any(loss.loss_weights):
            yield definition.found(ERROR, i, f"{definition.title(i)} chooses among one class, so its loss is always 0",
                                   "give the layer before it num_output: 2, or take SigmoidCrossEntropyLoss")


@rule("loss-shapes", DEFINITION)
def loss_shapes(definition: Definition) -> Iterator[Finding]:
    """A loss compares scores with targets of another shape, which have equally many numbers.

    As in Caffe, only the count must agree. The numbers are paired in the order in which they lie in memory, so a score
    of one channel may be compared with the target of another.

    Example
        layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "score" bottom: "target" top: "loss" }

        with scores of 8 × 5 × 20 and targets of 8 × 20 × 5

    Cure
        Store the targets with the axes of the scores, or bring one of the two into the other's shape.
    """
    if definition.net is None or definition.assumed:
        return
    for i in range(len(definition.layers)):
        loss = definition.made(i)
        if not isinstance(loss, LossLayer) or loss.classes or len(definition.layers[i].bottom) < 2:
            continue
        x, t = definition.bottom_shape(i), definition.bottom_shape(i, 1)
        if math.prod(x) == math.prod(t) and _without_ones(x) != _without_ones(t):
            yield definition.found(WARNING, i, f"{definition.title(i)} compares {shape_text(x)} with "
                                   f"{shape_text(t)}: as many numbers, but other axes",
                                   "bring one of the two into the shape of the other")


def _without_ones(shape: tuple[int, ...]) -> list[int]:
    """Return the sizes of a shape that are not 1: axes of one place change nothing in the order."""
    return [n for n in shape if n != 1]


@rule("scores-as-probabilities", DEFINITION)
def scores_as_probabilities(definition: Definition) -> Iterator[Finding]:
    """A loss that expects probabilities reads scores, straight from a layer with weights.

    A score may be negative. Its logarithm is then replaced by a constant, which has no gradient.

    Example
        layer { name: "loss" type: "MultinomialLogisticLoss" bottom: "fc8" bottom: "label" top: "loss" }

    Cure
        Take SoftmaxWithLoss, or put a Softmax between the two.
    """
    for i, loss in enumerate(definition.classes):
        if loss is None or not issubclass(loss, LossLayer) or loss.contains or loss.least_probability is None:
            continue
        top = definition.origin(definition.sources[i][0])
        made = definition.made(top[0]) if top is not None else None
        if made is not None and made.blobs and top is not None:
            yield definition.found(WARNING, i, f"{definition.title(i)} takes probabilities, but reads the scores of "
                                   f"{definition.title(top[0])}", "take SoftmaxWithLoss, or put a Softmax before it")


@rule("no-weight-filler", DEFINITION)
def no_weight_filler(definition: Definition) -> Iterator[Finding]:
    """Several layers have no weight_filler, so their weights are all 0 before training.

    Without a filler, weights are 0. A layer with such weights gives zeros and passes zeros back as gradients, so a net
    with several of them learns nothing. It does not matter if the weights come from a file (--weights).

    Example
        layer { name: "fc1" type: "InnerProduct" bottom: "x" top: "fc1" inner_product_param { num_output: 32 } }
        layer { name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2" inner_product_param { num_output: 10 } }

    Cure
        Add weight_filler { type: "xavier" }, or begin with --weights.
    """
    if not definition.trains:
        return
    bare = [i for i in range(len(definition.layers)) if _bare(definition, i)]
    if len(bare) > 1:  # one alone learns: its gradient is that of the layers around it
        names = ", ".join(repr(definition.layers[i].name) for i in bare[:3])
        more = f" and {len(bare) - 3} more" if bare[3:] else ""
        yield definition.found(NOTE, bare[0], f"the weights of {names}{more} have no weight_filler, and are 0 unless "
                               "--weights brings them", 'add weight_filler { type: "xavier" }, or begin with --weights')


def _bare(definition: Definition, i: int) -> bool:
    """Return whether a layer multiplies by weights for which no filler is given."""
    layer, made = definition.layers[i], definition.made(i)
    if made is None or not made.blobs or not made.multiply_adds(*_blobs(definition, i)):
        return False
    param = made.param
    return hasattr(param, "weight_filler") and not param.HasField("weight_filler") and not layer.blobs \
        and all(spec.lr_mult or not layer.param for spec in layer.param)


def _blobs(definition: Definition, i: int) -> tuple[Any, Any]:
    assert definition.net is not None
    k = definition.made_index(i)
    return definition.net.bottoms[k], definition.net.tops[k]
