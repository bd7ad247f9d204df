"""Rules about single layers: batch normalization, windows, classes, weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minicaffe.layer import LossLayer
from minicaffe.lint.registry import DEFINITION, ERROR, NOTE, WARNING, Finding, rule
from minicaffe.lint.subjects import Definition

STATISTICS = "batch_norm_param"  # the message of layers that measure statistics


def _normalizing(definition: Definition) -> Iterator[tuple[int, Any]]:
    """Each layer that measures statistics, with its index and its parameters."""
    for i, layer in enumerate(definition.layers):
        cls = definition.classes[i]
        if cls is not None and cls.message == STATISTICS:
            yield i, layer.batch_norm_param


@rule("batch-norm-scale", DEFINITION)
def batch_norm_scale(definition: Definition) -> Iterator[Finding]:
    """A BatchNorm is followed by no Scale or Bias, so its output always has mean 0 and variance 1.

    Caffe's BatchNorm only normalizes. The learnable scale and shift of the paper are a layer of their own.

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
    """A BatchNorm has a lr_mult other than 0, or none at all in a `param`, for its statistics.

    Its three blobs are measured and not learned. Caffe refuses such a net, and so does minicaffe.

    Example
        layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" param { lr_mult: 1 } }

    Cure
        Take the `param` out, or write lr_mult: 0 into each of the three. Scale and shift belong to a Scale layer.
    """
    for i, _ in _normalizing(definition):
        for spec in definition.layers[i].param:
            if spec.lr_mult:
                yield definition.found(ERROR, i, f"{definition.title(i)} has lr_mult {spec.lr_mult:g} for statistics, "
                                       "which are measured and not learned", "take `param` out, or write lr_mult: 0 "
                                       "into each of the three")
                break


@rule("batch-norm-phase", DEFINITION)
def batch_norm_phase(definition: Definition) -> Iterator[Finding]:
    """A BatchNorm uses stored statistics in training, or those of the batch in a test.

    Without the field use_global_stats, training measures the batch and a test takes what was stored. A training that
    begins with fresh weights has nothing stored. A test that goes by its batch gives an image another score beside
    other images. True in training is right where weights are fine-tuned whose statistics should stay.

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
    """A BatchNorm measures batches of one sample in training.

    The statistics of a single image differ from image to image, and from the mean over the training that a test uses.
    iter_size does not help: each part is measured by itself.

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
                                   "take a larger batch_size; iter_size does not change what it measures")


@rule("window-beyond-image", DEFINITION)
def window_beyond_image(definition: Definition) -> Iterator[Finding]:
    """A window is larger than what it slides over, so some of its weights only ever see padding.

    The receptive field has outgrown the image: the layers before have made it too small, or the image was too small
    from the start.

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
        shape = definition.bottom_shape(i)[-len(extents):] if extents else ()
        if any(extent > n for extent, n in zip(extents, shape, strict=True)):
            found.append((i, extents, shape))
    if found and not _is_placeholder(definition):
        i, extents, shape = found[0]  # those after it follow from it
        more = f" ({len(found) - 1} more layers after it do so too)" if found[1:] else ""
        yield definition.found(WARNING, i, f"{definition.title(i)} slides a window of {_by(extents)} over {_by(shape)} "
                               f"pixels: its outer weights see padding alone{more}",
                               "take a smaller kernel, fewer strides before it, or larger images")


def _is_placeholder(definition: Definition) -> bool:
    """Return whether an Input has images of one pixel: whoever fills it gives it another size first."""
    assert definition.net is not None
    return any(blob.shape[2:] and set(blob.shape[2:]) == {1} for i, cls in enumerate(definition.classes)
               if cls is not None and cls.is_input for blob in definition.net.tops[definition.made_index(i)])


def _by(sizes: Any) -> str:
    return "×".join(map(str, sizes))


@rule("one-class", DEFINITION)
def one_class(definition: Definition) -> Iterator[Finding]:
    """A loss over classes has scores for one class alone, so the loss is 0 and nothing is learned.

    The only class has the probability 1, whatever the score is.

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


@rule("scores-as-probabilities", DEFINITION)
def scores_as_probabilities(definition: Definition) -> Iterator[Finding]:
    """A loss that takes probabilities reads the scores of a layer with weights.

    Scores may be negative, and their logarithm is then cut off at a constant with no gradient.

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
    """Layers have no weight_filler, so their weights are all 0 before training.

    Caffe fills with 0 where nothing is said. Behind a layer of zeros every number and every gradient is 0, so a net of
    several such layers learns nothing. It does not matter where weights are given with --weights.

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
