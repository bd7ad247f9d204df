"""Run a written module in PyTorch beside our net: the outputs, and the gradients of one step."""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe.convert.torch_out.module import Written
from minicaffe.convert.torch_out.steps import Flow, flow_of
from minicaffe.io import safetensors
from minicaffe.net import Net
from minicaffe.proto import TRAIN, NetParameter
from minicaffe.testing.random_numbers import random_inputs

TOLERANCE = 1e-4  # of the largest number of an output or a gradient
SEED = 1701


@dataclass
class Proof:
    """How far PyTorch's numbers are from ours, each as a part of our largest number.

    version     of PyTorch
    outputs     blob -> the difference of forward
    gradients   tensor -> the difference of its gradient, computed in float64
    loss        the difference of the loss; None where there is none
    remarks     in words, what was not compared, or not as Caffe computes it
    """

    version: str
    outputs: dict[str, float]
    gradients: dict[str, float] = field(default_factory=dict)
    loss: float | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def worst(self) -> float:
        """The largest difference of all."""
        found = [*self.outputs.values(), *self.gradients.values(), *([] if self.loss is None else [self.loss])]
        return max(found, default=0.0)


def has_torch() -> bool:
    """Return whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


def save(path: Path, written: Written) -> None:
    """Write the file of a module, and its tensors beside it."""
    safetensors.write(path.with_suffix(".safetensors"), [(entry.name, entry.values) for entry in written.entries],
                      {"format": "pt"})
    path.write_text(written.text, encoding="utf-8")


def prove(written: Written, net: Net, training: Net | None = None) -> Proof:
    """Run a written module and our nets on the same random numbers, and return the differences.

    net, training       what the module was written from
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "written.py")
        save(path, written)
        module = _imported(path)
        proof = Proof(module.torch.__version__, _of_outputs(module, written, net))
        _compare_step(proof, module, written, net, training if written.has_loss else None)
    return proof


def _imported(path: Path) -> Any:
    """Return the written file as a Python module."""
    spec = importlib.util.spec_from_file_location("minicaffe_written_module", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _of_outputs(module: Any, written: Written, net: Net) -> dict[str, float]:
    """Return the difference of each output of `forward`."""
    random_inputs(net, np.random.default_rng(SEED))
    given = [module.torch.from_numpy(net.blobs[name].data.copy()) for name in written.inputs]
    net.forward()
    with module.torch.no_grad():
        found = module.load()(*given)
    found = found if isinstance(found, tuple) else (found,)
    return {name: difference(net.blobs[name].data, theirs.detach().numpy())
            for name, theirs in zip(written.outputs, found, strict=True)}


def _compare_step(proof: Proof, module: Any, written: Written, net: Net, training: Net | None) -> None:
    """Compare the gradients of one step, and the loss if there is one.

    Both sides compute in float64, because rounding would hide a mistake that is small.
    """
    torch, draw = module.torch, np.random.default_rng(SEED)
    if any(getattr(layer.param, "pool", None) == 2 and layer.type in ("Pooling", "SPP") for layer in net.layers):
        proof.remarks.append("no gradient was compared, because STOCHASTIC pooling draws random numbers in training")
        return
    ours = _learning(training or net, with_loss=training is not None)
    flow = flow_of(ours)
    theirs = module.load().double().train()
    for part in theirs.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    _without_dropout(ours)
    random_inputs(ours, draw)
    loss = ours.forward()
    words = [word for layer in ours.layers if (word := layer.make_exact())]
    if words:
        proof.remarks += [f"compared {word}" for word in words]
        loss = ours.forward()
    ours.clear_param_diffs()  # before the diffs of the outputs are set: that of a Parameter is the same memory
    given = [torch.from_numpy(ours.blobs[name].data.copy()) for name in [*written.inputs, *written.labels]]
    if training is not None:
        total = theirs.loss(*given)
        proof.loss = difference(np.array(loss), total.detach().numpy())
    else:
        total = _weighed(torch, theirs(*given), ours, flow, draw)
    ours.backward()
    if total.requires_grad:
        total.backward()
    layers = flow.layers()
    tensors = dict(theirs.named_parameters(remove_duplicate=False))
    for entry in written.entries:
        if entry.place is None:
            continue
        key, k = entry.place
        diff = entry.form(layers[key].blobs[k].diff) if key in layers else np.zeros(entry.values.shape)
        grad = tensors[entry.name].grad
        proof.gradients[entry.name] = difference(diff, np.zeros(diff.shape) if grad is None else grad.numpy())


def _weighed(torch: Any, found: Any, net: Net, flow: Flow, draw: np.random.Generator) -> Any:
    """Return a random linear function of the outputs that have a gradient, and give their diffs its slopes."""
    total, layers = torch.zeros((), dtype=torch.float64), flow.layers()
    for value, output in zip(flow.outputs, found if isinstance(found, tuple) else (found,), strict=True):
        if _has_gradient(layers[value.maker], value.t):
            slopes = draw.standard_normal(output.shape)
            net.blobs[value.blob].diff[...] = slopes
            total = total + (output * torch.from_numpy(slopes)).sum()
    return total


def _learning(net: Net, *, with_loss: bool) -> Net:
    """Return a net of the phase TRAIN in float64, in which all that can be learned is, with the weights of `net`.

    Without a loss, all outputs that have a gradient count as losses: backward then begins at their diffs.
    """
    definition = NetParameter()
    definition.CopyFrom(net.param)
    definition.state.phase = TRAIN
    outputs = [] if with_loss else flow_of(net).outputs
    for given, layer in zip(definition.layer, net.layers, strict=True):
        for name in ("phase", "include", "exclude"):
            given.ClearField(name)
        for spec in given.param if not layer.side_effects else ():
            spec.ClearField("lr_mult")
        tops = [t for t in range(len(given.top)) if any(
            value.t == t and value.maker == given.name and value.blob == given.top[t] for value in outputs)]
        if any(_has_gradient(layer, t) for t in tops):
            given.loss_weight[:] = [float(t in tops and _has_gradient(layer, t)) for t in range(len(given.top))]
    found = Net(definition, TRAIN, dtype=np.float64)
    found.replay = False
    for mine, theirs in zip(found.layers, net.layers, strict=True):
        for blob, source in zip(mine.blobs, theirs.blobs, strict=True):
            blob.data[...] = source.data
    return found


def _has_gradient(layer: Any, t: int) -> bool:
    """Return whether a gradient flows from top t of a layer to a bottom or a learnable blob of it."""
    return layer.gradient_from(t) and (bool(layer.blobs) or any(
        layer.gradient_to(j) for j in range(len(layer.layer_param.bottom))))


def _without_dropout(net: Net) -> None:
    """Let each Dropout put out the mean of what it would draw."""
    for layer in net.layers:
        if layer.type == "Dropout":
            layer.scale_drawn *= 1 - layer.p  # type: ignore[attr-defined]
            layer.p = 0.0  # type: ignore[attr-defined]


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference of two arrays as a part of our largest number; infinity for two shapes."""
    if ours.shape != theirs.shape:
        return float("inf")
    if not ours.size:
        return 0.0
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(all="ignore"):
        apart = np.where(same, 0, np.abs(ours.astype(np.float64) - theirs))
    worst = float(np.max(apart))
    size = float(np.max(np.abs(ours), where=np.isfinite(ours), initial=0))
    return worst / size if size else worst if np.isfinite(worst) else float("inf")
