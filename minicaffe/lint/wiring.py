"""Rules about how layers are joined: what reads what, in which phase, and in place."""

from __future__ import annotations

from collections.abc import Iterator

from minicaffe.analysis import data_tops
from minicaffe.errors import near_names
from minicaffe.layer import DataSource, LossLayer
from minicaffe.lint.registry import DEFINITION, ERROR, WARNING, Finding, rule
from minicaffe.lint.subjects import Definition, Top


@rule("unknown-bottom", DEFINITION)
def unknown_bottom(definition: Definition) -> Iterator[Finding]:
    """A layer reads a blob that no layer before it makes.

    The net cannot be made. Often the blob exists only in the other phase, such as the label of a data layer with
    include { phase: TRAIN }. Or a loss was left in a net to deploy.

    Example
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "data" bottom: "label" top: "loss" }

    Cure
        Correct the name, give the reading layer the same include rule, or let minicaffe deploy write the deploy net.
    """
    made: list[str] = []
    for i, layer in enumerate(definition.layers):
        for j, top in enumerate(definition.sources[i]):
            if top is None:
                yield _unknown(definition, i, layer.bottom[j], made)
        made += layer.top


def _unknown(definition: Definition, i: int, name: str, made: list[str]) -> Finding:
    """Return the finding about one bottom, with the reason that is nearest."""
    begin = f"{definition.title(i)} reads {name!r}, which no layer before it makes"
    later = next((other.name for other in definition.layers[i:] if name in other.top and other.bottom != other.top), "")
    if later and later != definition.layers[i].name:
        return definition.found(ERROR, i, begin, f"layer {later!r} makes it, but stands after this layer: move it up")
    elsewhere = next((other for other in definition.whole.layer if name in other.top), None)
    if elsewhere is not None:
        phase = definition.phase_name
        return definition.found(ERROR, i, f"{begin} in the phase {phase}: layer {elsewhere.name!r} makes it, and its "
                                "rules leave it out there", "give this layer the same include rule, or add a layer "
                                f"that makes {name!r} in the phase {phase}")
    hint = near_names(name, made)
    cure = "minicaffe deploy TRAIN_NET OUT writes a net without losses and labels"
    if hint or not (definition.is_a(i, LossLayer) or definition.is_measure(i)) or definition.has_data:
        cure = hint or "correct the name, or add the layer that makes it"
    return definition.found(ERROR, i, begin, cure)


@rule("unused-top", DEFINITION)
def unused_top(definition: Definition) -> Iterator[Finding]:
    """A top of a data layer, or one of several tops of another layer, is read by no layer.

    It becomes an output of the net, and the log prints all its numbers in every test. Often a layer that should read it
    names another blob as its bottom.

    Example
        layer { name: "data" type: "Data" top: "data" top: "label" }

        in a net in which no layer reads label

    Cure
        Leave the top out, or let a Silence layer read it.
    """
    for i, layer in enumerate(definition.layers):
        several = definition.is_a(i, DataSource) or len(layer.top) > 1
        if not several or definition.is_loss(i) or definition.is_measure(i) or not definition.trains:
            continue
        for j, name in enumerate(layer.top):
            # A layer that runs in place may have been meant to be read by its own next one.
            if not definition.readers[i, j] and name not in layer.bottom:
                yield definition.found(WARNING, i, f"no layer reads {name!r}, top {j} of {definition.title(i)}",
                                       "leave the top out where the layer allows it, else let a Silence layer read it")


@rule("dead-branch", DEFINITION)
def dead_branch(definition: Definition) -> Iterator[Finding]:
    """No loss depends on a layer with weights, so its weights are never learned.

    Its numbers are computed in every iteration and then thrown away. Often the next layer reads the wrong blob: the one
    before this layer.

    Example
        layer { name: "fc1" type: "InnerProduct" bottom: "data" top: "fc1" }
        layer { name: "fc2" type: "InnerProduct" bottom: "data" top: "fc2" }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc2" bottom: "label" top: "loss" }

        where fc2 was meant to read fc1

    Cure
        Correct the bottom of the layer after it, or take the branch out.
    """
    if not definition.trains:
        return
    useful: set[int] = set()
    for i in reversed(range(len(definition.layers))):
        if definition.is_loss(i) or not definition.layers[i].top or _reads_any(definition, i, useful):
            useful.add(i)
    for i, layer in enumerate(definition.layers):
        made = definition.made(i)
        learned = made is not None and made.blobs and not made.side_effects
        if learned and i not in useful and all(spec.lr_mult for spec in layer.param):
            yield definition.found(WARNING, i, f"{definition.title(i)} has weights, but no loss depends on it: they "
                                   "are never learned", "correct the bottom of the layer that should read it, or take "
                                   "it out")


def _reads_any(definition: Definition, i: int, useful: set[int]) -> bool:
    """Return whether one of these layers reads a top of layer i."""
    return any(reader in useful for j in range(len(definition.layers[i].top)) for reader in definition.readers[i, j])


@rule("in-place", DEFINITION)
def in_place(definition: Definition) -> Iterator[Finding]:
    """A layer overwrites, in place, numbers that the backward pass of the layer before it needs.

    In Caffe the gradient is then wrong, without a message. minicaffe gives the layer memory of its own, so here the
    gradient is right, and the net needs more memory than its definition suggests.

    Example
        layer { name: "sig" type: "Sigmoid" bottom: "x" top: "y" }
        layer { name: "scale" type: "Scale" bottom: "y" top: "y" }

        where the gradient of the sigmoid is computed from y

    Cure
        Give the top a name of its own, and let the layers after it read that.
    """
    net = definition.net
    if net is None or not definition.trains:
        return
    for i, layer in enumerate(definition.layers):
        k, cls = definition.made_index(i), definition.classes[i]
        wanted = cls is not None and cls.in_place and any(
            top == bottom for top, bottom in zip(layer.top, layer.bottom, strict=False))
        if not wanted or net.wiring.in_place[k] or not net.plan.layers[k]:
            continue
        reader = _reader(definition, definition.sources[i][0])
        if reader is not None:
            yield definition.found(
                WARNING, i, f"{definition.title(i)} runs in place, but the backward pass of {definition.title(reader)} "
                f"reads {layer.bottom[0]!r}: in Caffe the gradient is wrong; minicaffe gives it memory of its own",
                f"give the top another name than {layer.bottom[0]!r}")


def _reader(definition: Definition, top: Top | None) -> int | None:
    """Return the layer that made a top, or shares its memory, and reads it in its backward pass."""
    while top is not None:
        cls = definition.classes[top[0]]
        if cls is None or "top" in cls.backward_reads:
            return top[0] if cls is not None else None
        layer = definition.layers[top[0]]
        if not (cls.shares_data or layer.top[top[1]] in layer.bottom):
            return None
        top = definition.sources[top[0]][0] if layer.bottom else None
    return None


@rule("duplicate-name", DEFINITION)
def duplicate_name(definition: Definition) -> Iterator[Finding]:
    """Two layers with weights have the same name.

    Weights are saved and loaded by the names of layers. Caffe loads the weights of both layers into the first one, and
    the second keeps its random numbers. minicaffe pairs the two in their order.

    Example
        layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc1" }
        layer { name: "fc" type: "InnerProduct" bottom: "fc1" top: "fc2" }

    Cure
        Give each layer a name of its own.
    """
    seen: dict[str, int] = {}
    for i, layer in enumerate(definition.layers):
        made = definition.made(i)
        if made is None or not made.blobs:
            continue
        if layer.name in seen:
            first = definition.where(seen[layer.name]).rpartition(":")[2]
            yield definition.found(WARNING, i, f"{definition.title(i)} has the name of the layer in line {first}, and "
                                   "both have weights, which are found by name", "give it a name of its own")
        seen.setdefault(layer.name, i)


@rule("deploy-with-loss", DEFINITION)
def deploy_with_loss(definition: Definition) -> Iterator[Finding]:
    """A net to deploy still has a loss, a measure or a data layer.

    A net counts as one to deploy if the name of its file contains "deploy". Whoever uses it has neither labels nor the
    data of the training.

    Example
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc8" bottom: "label" top: "loss" }

        in deploy.prototxt

    Cure
        minicaffe deploy TRAIN_NET OUT writes the deploy net: Input in place of data layers, Softmax in place of the
        loss.
    """
    if "deploy" not in definition.file.rpartition("/")[2].lower():
        return
    for i in range(len(definition.layers)):
        kind = "a loss" if definition.is_a(i, LossLayer) else "a measure" if definition.is_measure(i) else \
            "a data layer" if data_tops.source(definition.layers[i]) else ""
        if kind:
            yield definition.found(WARNING, i, f"{definition.title(i)} is {kind} in a net to deploy",
                                   "minicaffe deploy TRAIN_NET OUT writes a net without it")
