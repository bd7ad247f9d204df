"""The layers of a net in order, with the values that go from one to the next."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from minicaffe.convert.free_name import free_name
from minicaffe.convert.torch_out.given import Place, Shape
from minicaffe.errors import NetError
from minicaffe.layer import Layer
from minicaffe.net import Net


class Value(NamedTuple):
    """What a layer has put into a blob. A layer that runs in place makes a new value.

    maker   the key of the layer; "" for an input
    t       which of its tops
    blob    the name of the blob
    """

    maker: str
    t: int
    blob: str


@dataclass
class Step:
    """One layer of a net.

    key             its name, with a number behind it where several layers have one name
    follower        the Scale that is written together with this BatchNorm, by its key
    x, y            the values that it reads, and those that it makes
    detached        for each value that it reads, whether propagate_down: false lets no gradient through
    """

    key: str
    layer: Layer
    where: str
    x: list[Value]
    y: list[Value]
    x_shapes: list[Shape]
    y_shapes: list[Shape]
    detached: list[bool]
    follower: tuple[str, Layer] | None = None


@dataclass
class Flow:
    """A net as steps.

    inputs      its inputs, and their shapes
    outputs     the values that its outputs hold at the end
    owners      learnable blob -> the first blob with which it shares its memory
    """

    inputs: dict[Value, Shape] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    owners: dict[Place, Place] = field(default_factory=dict)

    def layers(self) -> dict[str, Layer]:
        """Return the layers by their keys."""
        return {step.key: step.layer for step in self.steps}


def keys_of(net: Net) -> list[str]:
    """Return the key of each layer: its name, with a number behind it where an earlier layer has the same one.

    A layer without a name has its type as key, because an empty key stands for an input.
    """
    keys: dict[str, None] = {}
    for layer in net.layers:
        keys[free_name(layer.name or layer.type, keys)] = None
    return list(keys)


def flow_of(net: Net, outputs: Sequence[str]) -> Flow:
    """Return the steps of a net that ends at some blobs. Input and Split are none."""
    flow, now, firsts = Flow(), dict[int, Value](), dict[object, Place]()
    names = net.wiring.blob_names
    for i, (layer, key) in enumerate(zip(net.layers, keys_of(net), strict=True)):
        bottoms, tops = net.wiring.bottoms[i], net.wiring.tops[i]
        if layer.is_input:
            for t in tops:
                now[t] = Value("", 0, names[t])
                flow.inputs[now[t]] = net.blobs[names[t]].shape
            continue
        if layer.type == "Split":
            now.update({t: now[bottoms[0]] for t in tops})
            continue
        x = [now[b] for b in bottoms]
        y = [Value(key, t, names[top]) for t, top in enumerate(tops)]
        now.update(zip(tops, y, strict=True))
        given = layer.layer_param.propagate_down
        flow.steps.append(Step(key, layer, net.where(i), x, y, [blob.shape for blob in net.bottoms[i]],
                               [blob.shape for blob in net.tops[i]],
                               [j < len(given) and not given[j] for j in range(len(x))]))
        for k, blob in enumerate(layer.blobs):
            flow.owners[key, k] = firsts.setdefault(blob.storages, (key, k))
    latest = {name: b for b, name in enumerate(names)}
    flow.outputs = [now[latest[name]] for name in outputs if now[latest[name]].maker]
    return flow


def needed(steps: Sequence[Step], wanted: Iterable[Value]) -> list[Step]:
    """Return the steps on which the wanted values depend."""
    values, found = set(wanted), []
    for step in reversed(steps):
        if values.intersection(step.y):
            found.append(step)
            values.update(step.x)
    return found[::-1]


def joined(steps: Sequence[Step], kept: Collection[Value]) -> list[Step]:
    """Write each BatchNorm together with the Scale behind it, where PyTorch has one layer for both.

    kept    values that something else needs
    """
    readers: dict[Value, list[Step]] = {}
    for step in steps:
        for value in step.x:
            readers.setdefault(value, []).append(step)
    gone, made = set[str](), list[Step]()
    for step in steps:
        if step.key in gone:
            continue
        behind = readers.get(step.y[0], []) if step.layer.type == "BatchNorm" else []
        if len(behind) == 1 and step.y[0] not in kept and _can_join(step, behind[0]):
            scale = behind[0]
            gone.add(scale.key)
            step = Step(step.key, step.layer, step.where, step.x, scale.y, step.x_shapes, scale.y_shapes,
                        step.detached, (scale.key, scale.layer))
        made.append(step)
    return made


def _can_join(norm: Step, scale: Step) -> bool:
    """Return whether nn.BatchNorm2d has the weight and the bias of this Scale."""
    layer = scale.layer
    return (layer.type == "Scale" and len(scale.x) == 1 and layer.param.bias_term and not any(scale.detached)
            and len(norm.layer.blobs) == 3 and layer.blobs[0].shape == norm.layer.blobs[0].shape
            and layer.axis % len(norm.x_shapes[0]) == 1)  # type: ignore[attr-defined]


@dataclass
class Plan:
    """Which steps stand in which method.

    body        what the predictions and the loss have in common, or all steps of a net without a loss
    handed      the values of the body that others need
    extra       what forward computes from them, such as a Softmax
    outputs     what forward returns
    losses      what `loss` computes from them and from the labels
    weighted    the values whose sum, by weight, is the loss
    labels      the inputs that `loss` reads besides those of forward
    why         why there is no loss, where the net for training has one
    """

    body: list[Step]
    handed: list[Value]
    extra: list[Step]
    outputs: list[Value]
    losses: list[Step] = field(default_factory=list)
    weighted: list[tuple[float, Value]] = field(default_factory=list)
    labels: list[Value] = field(default_factory=list)
    why: str = ""


def plan(flow: Flow, training: Flow | None) -> Plan:
    """Return which steps stand in which method, for the net that predicts and the one that learns."""
    alone = Plan(needed(flow.steps, flow.outputs), flow.outputs, [], flow.outputs)
    if not alone.body:
        raise NetError("this net has no layer that computes an output", hint="give a net that computes something")
    if training is None:
        return alone
    weighted = [(weight, value) for step in training.steps
                for weight, value in zip(step.layer.loss_weights, step.y, strict=True) if weight]
    if not weighted:
        return alone
    if why := _differs(alone.body, training):
        alone.why = why
        return alone
    labels = [value for value in training.inputs if value not in flow.inputs]
    late = _depending_on(training.steps, labels)
    losses = needed([step for step in training.steps if step.key in late], [value for _, value in weighted])
    read = [*[value for step in losses for value in step.x], *[value for _, value in weighted]]
    body = needed([step for step in training.steps if step.key not in late], read)
    shared = {step.key for step in body}
    extra = [step for step in alone.body if step.key not in shared]
    made = {value for step in body for value in step.y}
    read += [*[value for step in extra for value in step.x], *flow.outputs]
    handed = [value for value in dict.fromkeys(read) if value in made]
    taken = {value for step in [*body, *losses] for value in step.x}
    return Plan(body, handed, extra, flow.outputs, losses, weighted, [value for value in labels if value in taken])


def _depending_on(steps: Sequence[Step], labels: Sequence[Value]) -> set[str]:
    """Return the keys of the losses and of all layers that depend on labels or losses."""
    values, found = set(labels), set[str]()
    for step in steps:
        if values.intersection(step.x) or (any(step.layer.loss_weights) and step.layer.label_bottoms):
            found.add(step.key)
            values.update(step.y)
    return found


def _differs(steps: Sequence[Step], training: Flow) -> str:
    """Return why layers of the two phases are not the same; "" where those of one name are."""
    other = {step.key: step for step in training.steps}
    for step in steps:
        twin = other.get(step.key)
        if twin is not None and twin.layer.type != step.layer.type:
            return f"layer {step.layer.name!r} has another type in the phase TRAIN"
        if twin is not None and twin.x != step.x:
            return f"layer {step.layer.name!r} reads what other layers have made in the phase TRAIN"
        if twin is not None and _content(twin.layer) != _content(step.layer):
            return f"layer {step.layer.name!r} has other fields in the phase TRAIN"
    return ""


def _content(layer: Layer) -> Mapping[str, str]:
    """Return the fields of a layer's parameter message that say what it computes, as text."""
    if layer.param is None:
        return {}
    return {field.name: str(value) for field, value in layer.param.ListFields()
            if not field.name.endswith("filler") and field.name != "use_global_stats"}
