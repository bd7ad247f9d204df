"""Run a written module in PyTorch beside our net: the outputs, and the gradients of one step."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe.convert import proof
from minicaffe.convert.torch_out import names
from minicaffe.convert.torch_out.layers.normalization import stored_statistics
from minicaffe.convert.torch_out.module import Written
from minicaffe.convert.torch_out.steps import Flow, Value, flow_of, keys_of
from minicaffe.errors import DataError, MinicaffeError, NetError
from minicaffe.io import safetensors
from minicaffe.io.files import replace_file
from minicaffe.log import one_line
from minicaffe.net import Net
from minicaffe.proto import TRAIN, NetParameter
from minicaffe.testing.random_numbers import random_inputs

SMALL = 1e-6  # of the largest gradient: a tensor whose gradients are smaller has none but rounding


@dataclass
class Step:
    """How PyTorch's gradients of one step differ from ours. Both sides compute in float64.

    gradients   the difference for each tensor that is learned
    loss        that of the loss; None where the module has none
    remarks     in words, what was not compared, or not as Caffe computes it
    """

    gradients: list[proof.Difference] = field(default_factory=list)
    loss: proof.Difference | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[proof.Difference]:
        """All differences."""
        return [*self.gradients, *([self.loss] if self.loss else [])]

    @property
    def holds(self) -> bool:
        """Whether all agree."""
        return not any(one.fails for one in self.all)


def load_torch() -> None:
    """Import PyTorch."""
    importlib.import_module("minicaffe.convert.torch_out.helpers")  # only this module may say `import torch`


def save(path: Path, written: Written) -> None:
    """Write the file of a module, and its tensors beside it."""
    safetensors.write(path.with_suffix(".safetensors"), [(entry.name, entry.values) for entry in written.entries],
                      {"format": "pt"})
    replace_file(path, [written.text.encode()])


@contextmanager
def imported(written: Written) -> Iterator[Any]:
    """Write a module and its tensors into a folder for a while, and import it from there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "written.py")
        try:
            save(path, written)
        except DataError as error:
            error.hint = "the module is written into the folder for temporary files first, and proved there; the " \
                         "variable TMPDIR names another one"
            raise
        spec = importlib.util.spec_from_file_location("minicaffe_written_module", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            yield module
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            if isinstance(error, MinicaffeError):
                raise
            raise NetError(f"PyTorch cannot run the module: {one_line(error)}",
                           hint="nothing was written; --outputs BLOB, with a blob in the middle of the net, shows "
                                "which half is wrong") from error


def forward_of(module: Any, inputs: Sequence[str]) -> Callable[[proof.Arrays], list[np.ndarray]]:
    """Return a function that runs `forward` on arrays by the names of the inputs, and returns the outputs in order."""
    net = module.load()

    def forward(arrays: proof.Arrays) -> list[np.ndarray]:
        with module.torch.no_grad():
            found = net(*[module.torch.from_numpy(arrays[name].copy()) for name in inputs])
        return [values.detach().numpy() for values in (found if isinstance(found, tuple) else (found,))]

    return forward


def step(module: Any, written: Written, net: Net, training: Net | None) -> Step:
    """Run one step without an update on both sides, from the same numbers, and compare its gradients.

    Where the module has a loss, that is the loss of `training`; else it is a random linear function of the outputs.
    Dropout puts out the mean of what it would draw.
    """
    found, torch, draw = Step(), module.torch, np.random.default_rng(0)
    if any(_draws(layer) for layer in net.layers):
        found.remarks.append("no gradient was compared, because STOCHASTIC pooling draws random numbers in training")
        return found
    with_loss = written.has_loss and training is not None
    ours = _learning(training if with_loss and training else net, written.outputs, with_loss=with_loss)
    theirs = module.load().double().train()
    for part in theirs.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    random_inputs(ours, draw)
    loss = ours.forward()
    if words := [word for layer in ours.layers if (word := layer.make_exact())]:
        found.remarks += [f"gradients were compared {word}" for word in words]
        loss = ours.forward()
    ours.clear_param_diffs()  # before the diffs of the outputs are set: that of a Parameter is the same memory
    given = [torch.from_numpy(ours.blobs[name].data.copy()) for name in [*written.inputs, *written.labels]]
    flow = flow_of(ours, written.outputs if not with_loss else ours.outputs)
    if with_loss:
        total = theirs.loss(*given)
        found.loss = proof.difference("loss", [(np.array(loss), total.detach().numpy())])
    else:
        total = _weighed(torch, theirs(*given), ours, flow, draw)
    ours.backward()
    if total.requires_grad:
        total.backward()
    found.gradients = _compared(written, flow, dict(theirs.named_parameters(remove_duplicate=False)))
    return found


def _draws(layer: Any) -> bool:
    return layer.type in ("Pooling", "SPP") and layer.param.pool == layer.param.STOCHASTIC


def _compared(written: Written, flow: Flow, tensors: dict[str, Any]) -> list[proof.Difference]:
    """Return the difference of each gradient."""
    layers, pairs = flow.layers(), {}
    for entry in written.entries:
        if entry.place is None:
            continue
        key, k = entry.place
        ours = entry.form(layers[key].blobs[k].diff) if key in layers else np.zeros(entry.values.shape)
        grad = tensors[entry.name].grad
        pairs[entry.name] = ours, np.zeros(ours.shape) if grad is None else grad.numpy()
    largest = max((float(np.abs(ours).max(initial=0)) for ours, _ in pairs.values()), default=0.0)
    return [proof.difference(name, [pair], max(SMALL * largest, proof.TINY)) for name, pair in pairs.items()]


def _weighed(torch: Any, found: Any, net: Net, flow: Flow, draw: np.random.Generator) -> Any:
    """Return a random linear function of the outputs that have a gradient, and give their diffs its slopes."""
    total, sloping = torch.zeros((), dtype=torch.float64), _with_gradient(flow)
    for value, output in zip(flow.outputs, found if isinstance(found, tuple) else (found,), strict=True):
        if value in sloping:
            slopes = draw.standard_normal(output.shape)
            net.blobs[value.blob].diff[...] = slopes
            total = total + (output * torch.from_numpy(slopes)).sum()
    return total


def _learning(net: Net, outputs: Sequence[str], *, with_loss: bool) -> Net:
    """Return a net of the phase TRAIN in float64, in which all that can be learned is, with the weights of `net`.

    Without a loss, all outputs that have a gradient count as losses: backward then begins at their diffs.
    """
    definition = NetParameter()
    definition.CopyFrom(net.param)
    definition.state.phase = TRAIN
    flow = flow_of(net, () if with_loss else outputs)
    ends = _with_gradient(flow).intersection(flow.outputs)
    for given, layer, key in zip(definition.layer, net.layers, keys_of(net), strict=True):
        for name in ("phase", "include", "exclude"):
            given.ClearField(name)
        for spec in given.param if not layer.side_effects else ():
            spec.ClearField("lr_mult")
        if any(weights := [float((key, t, top) in ends) for t, top in enumerate(given.top)]):
            given.loss_weight[:] = weights
        flows = [layer.gradient_to(j) and layer.allow_force_backward(j) for j in range(len(given.bottom))]
        if not with_loss and not all(flows) and not given.propagate_down:  # PriorBox refuses to be asked for a gradient
            given.propagate_down[:] = flows
    found = Net(definition, TRAIN, dtype=np.float64, allow_python=net.allow_python)
    found.replay = False
    for mine, theirs in zip(found.layers, net.layers, strict=True):
        for blob, source in zip(mine.blobs, theirs.blobs, strict=True):
            blob.data[...] = source.data
        _take_decimals(mine)
        if mine.type == "BatchNorm":  # divided by the factor, they are rounded in the module
            for blob, values in zip(mine.blobs, (*stored_statistics(theirs), np.ones(1)), strict=False):
                blob.data[...] = values
        if mine.type == "Dropout":
            mine.scale_drawn *= 1 - mine.p  # type: ignore[attr-defined]
            mine.p = 0.0  # type: ignore[attr-defined]
    return found


def _take_decimals(layer: Any) -> None:
    """Give a layer the numbers of its definition as they are written there: a message holds 1e-5 as 9.99999975e-06.

    The module has 1e-5, and behind many layers the difference would be seen.
    """
    for name, value in vars(layer).items():
        if type(value) is float and np.isfinite(value):
            setattr(layer, name, names.decimal(value))


def _with_gradient(flow: Flow) -> set[Value]:
    """Return the values through which a gradient reaches something that is learned."""
    found = set[Value]()
    for step in flow.steps:
        layer = step.layer
        if layer.blobs or any(x in found and layer.gradient_to(j) for j, x in enumerate(step.x)):
            found.update(y for y in step.y if layer.gradient_from(y.t))
    return found
