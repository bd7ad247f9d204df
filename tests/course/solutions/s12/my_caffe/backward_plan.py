"""Backward plan: which layers run backward, and which bottoms get a diff. That follows from the wiring alone."""

from my_caffe.net import Net
from my_caffe.prototxt import one


def learns(definition, count):
    messages = definition.get("param", [])
    return [k >= len(messages) or one(messages[k], "lr_mult", 1) != 0 for k in range(count)]


def from_params(net):
    wanted, runs, propagate_down = set(), [], []
    for definition, layer in zip(net.definitions, net.layers, strict=True):
        behind = [name in wanted for name in definition.get("bottom", [])]
        propagate_down.append(list(definition.get("propagate_down", behind)))
        runs.append(any(behind) or any(learns(definition, len(layer.blobs))))
        if runs[-1]:
            wanted.update(definition.get("top", []))
    return runs, propagate_down


def only_under_loss(net, runs, propagate_down):
    arrives, runs, propagate_down = set(), list(runs), [list(flags) for flags in propagate_down]
    for i in reversed(range(len(runs))):
        tops, bottoms = net.definitions[i].get("top", []), net.definitions[i].get("bottom", [])
        reached = any(net.loss_weights[i]) or any(name in arrives for name in tops)
        arrives.difference_update(tops)
        if not (runs[i] and reached):
            runs[i], propagate_down[i] = False, [False] * len(bottoms)
        arrives.update(name for name, flag in zip(bottoms, propagate_down[i], strict=True) if flag)
    return runs, propagate_down


def plan(net):
    return only_under_loss(net, *from_params(net))


class PlannedNet(Net):
    """A net that runs backward what is needed, and no more."""

    def __init__(self, definition):
        super().__init__(definition)
        self.runs, self.propagate_down = plan(self)

    @property
    def learned(self):
        return [blob for definition, layer in zip(self.definitions, self.layers, strict=True)
                for blob, does in zip(layer.blobs, learns(definition, len(layer.blobs)), strict=True) if does]
