"""Nets that train without an error and learn nothing, or less than they should."""

from __future__ import annotations

from collections.abc import Iterator

from minicaffe.layer import Layer, LossLayer
from minicaffe.lint.registry import ERROR, WARNING, Finding, Subject, rule
from minicaffe.net import Net
from minicaffe.passes.insert_splits import is_split
from minicaffe.proto import TEST, TRAIN


@rule("unfilled-input")
def unfilled_input(subject: Subject) -> Iterator[Finding]:
    """An Input layer holds zeros in every iteration, because no program fills it.

    minicaffe train runs no program of yours, so the net would learn from zeros.

    Example
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 64 dim: 1 dim: 28 dim: 28 } } }

        in the net of a solver

    Cure
        Read data with a Data, HDF5Data or ImageData layer, or train from Python and fill the blob there.
    """
    net = subject.net
    if not subject.alone:
        return
    used = _used(net)
    inputs = [i for i, layer in enumerate(net.layers) if layer.is_input and used & set(net.wiring.tops[i])]
    if not inputs:
        return
    names = ", ".join(repr(net.layers[i].name) for i in inputs)
    what = f"layers {names} (Input) are" if len(inputs) > 1 else f"layer {names} (Input) is"
    first = net.wiring.blob_names[net.wiring.tops[inputs[0]][0]]
    # It is only a warning beside other data, where a blob of zeros may be meant, and in a test net, from which nothing
    # is learned.
    severity = ERROR if net.phase == TRAIN and not any(map(_gives_data, net.layers)) else WARNING
    yield subject.found(severity, inputs[0], f"{what} not filled: minicaffe train leaves zeros there",
                        "read data with a Data, HDF5Data or ImageData layer, or train from Python: "
                        f"solver.net.blobs[{first!r}].data[...] = ..., then solver.step(1)")


@rule("no-loss")
def no_loss(subject: Subject) -> Iterator[Finding]:
    """No top of the net has a loss_weight, so there is no gradient and nothing is learned.

    A loss has the loss_weight 1 unless the net says otherwise. Other layers have none unless the net gives them one.

    Example
        layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }

        as the last layer of a train net

    Cure
        Add a loss such as SoftmaxWithLoss, or give a loss_weight to the top that training should make small.
    """
    net = subject.net
    if not subject.alone or net.phase != TRAIN or any(any(layer.loss_weights) for layer in net.layers):
        return
    switched_off = next((i for i, layer in enumerate(net.layers) if isinstance(layer, LossLayer)), None)
    # A net that measures statistics or writes a file has a use without a loss.
    severity = WARNING if any(layer.side_effects for layer in net.layers) else ERROR
    if switched_off is not None:
        layer = net.layers[switched_off]
        yield subject.found(severity, switched_off, f"layer {layer.name!r} ({layer.type}) has loss_weight 0 and no "
                            "other layer is a loss: nothing is learned", "give it another loss_weight")
        return
    yield subject.found(severity, None, f"no layer of net {net.name!r} is a loss: nothing is learned",
                        "add a loss such as SoftmaxWithLoss, or set loss_weight: 1 where the top of another layer is "
                        "what training makes small; a Python layer that computes a loss needs it too")


@rule("no-gradient")
def no_gradient(subject: Subject) -> Iterator[Finding]:
    """No blob that could be learned gets a gradient from a loss, so the net learns nothing.

    Usually all layers with weights have lr_mult: 0, or the loss does not depend on them.

    Example
        layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" param { lr_mult: 0 } param { lr_mult: 0 } }

        where it is the only layer with weights

    Cure
        Look at lr_mult: 0 and propagate_down: false, and whether the loss depends on a layer with weights.
    """
    net = subject.net
    if not subject.alone or net.phase != TRAIN or not any(any(layer.loss_weights) for layer in net.layers):
        return
    if not net.learnable_params or any(layer.side_effects for layer in net.layers):
        return
    if not any(runs and any(params) for runs, params in zip(net.plan.layers, net.plan.params, strict=True)):
        yield subject.found(WARNING, None, f"no learnable blob of net {net.name!r} gets a gradient: nothing is learned",
                            "look at lr_mult: 0 and propagate_down: false, and whether the loss depends on a layer "
                            "with weights")


@rule("softmax-twice")
def softmax_twice(subject: Subject) -> Iterator[Finding]:
    """A loss that takes the softmax itself reads the top of a Softmax layer.

    The softmax is then computed twice. The second one makes the probabilities nearly equal, so the gradient is small
    and the net learns slowly or not at all.

    Example
        layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "prob" bottom: "label" top: "loss" }

    Cure
        Let the loss read what the Softmax reads. The Softmax belongs in the net that is deployed.
    """
    yield from _twice(subject, "Softmax")


@rule("sigmoid-twice")
def sigmoid_twice(subject: Subject) -> Iterator[Finding]:
    """A loss that takes the sigmoid itself reads the top of a Sigmoid layer.

    The sigmoid is then computed twice. The second one gives numbers from 0.5 to 0.73, so a target of 0 cannot be
    reached.

    Example
        layer { name: "p" type: "Sigmoid" bottom: "fc8" top: "p" }
        layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "p" bottom: "target" top: "loss" }

    Cure
        Let the loss read what the Sigmoid reads. The Sigmoid belongs in the net that is deployed.
    """
    yield from _twice(subject, "Sigmoid")


@rule("accuracy-of-answers")
def accuracy_of_answers(subject: Subject) -> Iterator[Finding]:
    """Accuracy reads scores that a loss treats as separate yes-or-no answers.

    Accuracy looks only for the largest score and compares it with the label. For yes-or-no answers several can be
    right at once, and the largest score says nothing about the others.

    Example
        layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "fc8" bottom: "target" top: "loss" }
        layer { name: "accuracy" type: "Accuracy" bottom: "fc8" bottom: "label" top: "accuracy" }

    Cure
        Take SoftmaxWithLoss if exactly one class is right. Otherwise take Accuracy out: minicaffe test --scores
        measures each answer by itself.
    """
    net = subject.net
    answers = {_scores(subject, i): i for i, layer in enumerate(net.layers)
               if isinstance(layer, LossLayer) and layer.contains == "Sigmoid"}
    for i, layer in enumerate(net.layers):
        if not layer.label_bottoms or isinstance(layer, LossLayer):
            continue
        if (k := answers.get(_scores(subject, i))) is not None:
            yield subject.found(WARNING, i, f"layer {layer.name!r} ({layer.type}) looks for the largest score, but "
                                f"layer {net.layers[k].name!r} ({net.layers[k].type}) takes each score as a question "
                                "of its own",
                                "take SoftmaxWithLoss if exactly one class is right; else take this layer out, "
                                "and measure each answer with minicaffe test --scores")


def _scores(subject: Subject, i: int) -> int:
    """Return the layer that computed bottom 0 of layer i, seen over layers such as Split that only pass it on."""
    k = subject.makers[i][0]
    while subject.net.layers[k].passes_on:
        k = subject.makers[k][0]
    return k


def _twice(subject: Subject, activation: str) -> Iterator[Finding]:
    """Find losses that contain an activation and whose scores come from a layer of that type.

    Three cases are no mistake. The loss may go along another axis than the Softmax. It may only show its value, and not
    be learned from. Or there may be another function in between, such as Power for a temperature.
    """
    net = subject.net
    for i, loss in enumerate(net.layers):
        if not isinstance(loss, LossLayer) or loss.contains != activation or not any(loss.loss_weights):
            continue
        if net.phase == TRAIN and not net.plan.bottoms[i][0]:
            continue
        k = _scores(subject, i)
        first = net.layers[k]
        if first.type != activation or getattr(first, "axis", None) != getattr(loss, "axis", None):
            continue
        deployed = f"; {activation} belongs in the net that is deployed"
        cure = f"take layer {first.name!r} out of this net{deployed}"
        if not net.wiring.in_place[k]:
            before = subject.makers[k][0]  # a Split has no name that its user knows
            scores = net.param.layer[before if is_split(net.param.layer[before]) else k].bottom[0]
            cure = f"let the loss read {scores!r}, what layer {first.name!r} reads{deployed}"
        yield subject.found(
            WARNING, i, f"layer {loss.name!r} ({loss.type}) reads layer {first.name!r} ({activation}), but takes the "
            f"{activation.lower()} itself: it is taken twice, and the net learns slowly or not at all",
            cure)


def _used(net: Net) -> set[int]:
    """Return the blobs that a loss depends on; in a test net, those that any output depends on."""
    used = set(net.wiring.outputs) if net.phase == TEST else set()
    for i in reversed(range(len(net.layers))):
        if any(net.layers[i].loss_weights) or used & set(net.wiring.tops[i]):
            used.update(net.wiring.bottoms[i])
    return used


def _gives_data(layer: Layer) -> bool:
    """Return whether a layer makes data by itself: numbers that are neither learned nor set by a caller."""
    return not layer.layer_param.bottom and not layer.is_input and not layer.blobs
