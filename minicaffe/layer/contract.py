"""The layer contract, and what a layer has for its own use.

A layer *writes* four lower-case methods; the Net (or anybody else) *calls* the three with Caffe's public names:

    SetUp(bottom, top)      checks the number of blobs, runs `setup` once and `reshape`, sets loss weights
    Forward(bottom, top)    runs `reshape` and `forward`; returns the loss, weighted by loss_weight
    Backward(top, propagate_down, bottom)    runs `backward`

Contract
    bottom diffs are overwritten by `backward`; parameter diffs are accumulated (added to).
    diffs are never scratch space; `forward` writes top data and nothing else of a blob.
    an array is fetched from its blob in each call and never stored on `self`.
    `reshape` is cheap, repeatable, and the only place that shapes tops.
    random numbers come from `self.rng` alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.errors import LayerError
from minicaffe.filler import check_shape, fill, refusal, unread_fields
from minicaffe.io.binary import blob_to_array
from minicaffe.layer.registry import Arity, arity_words, limits
from minicaffe.log import warn
from minicaffe.proto import TRAIN, LayerParameter
from minicaffe.proto.finite import not_finite

SWAPPED = "the first bottom is for the scores, the second for the labels: they seem to be the wrong way round"

class Layer:
    """The base of all layers, and of users' own (`type: "Python"`).

    Declared by the class
        type            the name in prototxts (set by `register`)
        message         the LayerParameter field with the layer's own parameters, e.g. "lrn_param"
        also_reads      further LayerParameter message fields it reads, e.g. ("loss_param",)
        unread          names of fields of `message` that this layer does not read
        bottoms, tops   how many: 2, or (1, 2), or (1, None) for at least one
        auto_tops       missing tops are added by the Net (losses)
        in_place        a top may be the same blob as its bottom
        backward_reads  what `backward` reads besides diffs: "bottom" or "top" data, both or nothing. The Net lets
                        no in-place layer overwrite it. A layer that runs in place keeps a copy of the bottom if
                        it needs it.
        shares_data     its tops share the memory of bottom[0] (Split, Flatten, Reshape)
        label_bottoms   which bottoms hold labels, of a loss or a measure
        replays         at TEST, while shapes stay, `forward` is nothing but kernel calls on the memory of the blobs
                        and of `scratch`, so that a Net may repeat the calls without it. Not inherited: a subclass
                        says so itself. A layer for which it depends on its parameters sets it on `self`.

    Given to the instance
        layer_param     the whole LayerParameter
        param           its `message`, or None
        name, phase, dtype
        shapes_only     the Net wants shapes alone: nothing is filled, nothing is allocated
        weights_follow  stored weights will be copied into the blobs: nothing is drawn until `fill_blobs` is called
        blobs           learnable Blobs, made by `add_blob`
        param_propagate_down    one bool per blob: whether `backward` must compute its diff
        loss_weights    one float per top
        plans_scratch   the Net does not know `runs_backward` yet: `scratch` has no memory; a Reshape will follow
        runs_backward   False in a net where nothing asks for this layer's backward: what only it reads need not be kept

    A layer also works alone: `Layer(**fields)` builds its LayerParameter from field values, such as
    `SoftmaxLayer(softmax_param={"axis": 2})`.
    """

    type: ClassVar[str] = ""
    message: ClassVar[str | None] = None
    also_reads: ClassVar[tuple[str, ...]] = ()
    unread: ClassVar[tuple[str, ...]] = ()
    bottoms: ClassVar[Arity] = 1
    tops: ClassVar[Arity] = 1
    auto_tops: ClassVar[bool] = False
    in_place: ClassVar[bool] = False
    backward_reads: ClassVar[tuple[str, ...]] = ("bottom",)
    shares_data: ClassVar[bool] = False
    label_bottoms: ClassVar[tuple[int, ...]] = ()
    replays: bool = False
    default_loss_weight: ClassVar[float] = 0.0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.replays = cls.__dict__.get("replays", False)

    def __init__(self, param: Any = None, *, dtype: Any = np.float32, **fields: Any) -> None:
        if param is None:
            param = LayerParameter(**{"type": self.type, "name": self.type, "phase": TRAIN, **fields})
        elif fields:
            raise TypeError("give a LayerParameter or field values, not both")
        self.layer_param = param
        self.param: Any = getattr(param, self.message) if self.message else None
        self.name, self.phase, self.dtype = param.name, param.phase, dtype
        self.shapes_only = False
        self.weights_follow = False
        self._unfilled: dict[int, Any] = {}  # index of a blob -> the filler that it still waits for
        self.blobs: list[Blob] = []
        self.param_propagate_down: list[bool] = []
        self.loss_weights: list[float] = []
        self.runs_backward = True
        self.plans_scratch = False
        self._scratch: list[np.ndarray] = []
        self._scratch_used = 0

    # --- what a layer writes ---------------------------------------------------------------------

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Read and check the parameters once; make the learnable blobs."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Shape the tops from the bottoms. Runs before every forward."""
        raise NotImplementedError(f"{type(self).__name__}.reshape")

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write the tops' data."""
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Overwrite the diff of each bottom whose `propagate_down` is set; add to the blobs' diffs."""
        raise NotImplementedError(f"{type(self).__name__}.backward")

    def allow_force_backward(self, bottom_index: int) -> bool:
        """Whether the net's force_backward may ask for the diff of this bottom."""
        return True

    def resume_state(self) -> dict[str, Any]:
        """What the next forward pass depends on besides bottoms, blobs and `rng`: a place in the data, a hidden state.

        A snapshot keeps it: numbers, strings, lists and arrays by names.
        """
        return {}

    def resume_from(self, state: dict[str, Any]) -> None:
        """Go on where a layer with this `resume_state` stood. LayerError, and nothing changed, where it cannot."""

    # --- what the Net calls ------------------------------------------------------------------------

    def SetUp(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Check the blobs, run `setup` and `reshape`, and take the loss weights."""
        self._check_arity("bottom", self.bottoms, len(bottom))
        self._check_arity("top", self.tops, len(top))
        self._check_in_place(bottom, top)
        try:
            self.setup(bottom, top)
            if not self.param_propagate_down:
                self.param_propagate_down = [True] * len(self.blobs)
            self.Reshape(bottom, top)
        except LayerError as error:
            error.hint = error.hint or self._hint_swapped(bottom)
            raise
        self._take_loss_weights(len(top))

    def Forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> float:
        """Run the layer forward; the weighted loss of its tops, 0.0 where none is a loss."""
        self.Reshape(bottom, top)
        with np.errstate(all="ignore"):  # ∞ and NaN are numbers here, as in Caffe; the solver watches for them
            self.forward(bottom, top)
        loss = 0.0
        for blob, weight in zip(top, self.loss_weights, strict=True):
            if weight:
                blob.diff.fill(weight)  # Caffe: a loss hands its weight to backward in its top's diff
                loss += weight * float(blob.data.sum(dtype=np.float64))
        return loss

    def Backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Run the layer backward."""
        with np.errstate(all="ignore"):
            self.backward(top, propagate_down, bottom)

    def Reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Shape the tops and the layer's own arrays from the bottoms."""
        self._scratch_used = 0
        self.reshape(bottom, top)

    def _hint_swapped(self, bottom: Sequence[Blob]) -> str:
        """A hint where bottom[0] has as many values as bottom[1] needs labels, and not the other way round."""
        if 1 not in self.label_bottoms or len(bottom) < 2 or bottom[1].num_axes < 2:
            return ""
        label, scores = bottom[0], bottom[1].shape
        swapped = scores[1] > 1 and label.count * scores[1] == bottom[1].count and label.shape[:1] == scores[:1]
        return SWAPPED if swapped else ""

    def _check_arity(self, what: str, arity: Arity, got: int) -> None:
        low, high = limits(arity)
        if got < low or (high is not None and got > high):
            self.fail(f"takes {arity_words(arity)} {what} blob{'' if arity == 1 else 's'}, got {got}")

    def _check_in_place(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not self.in_place and any(t is b for t in top for b in bottom):
            self.fail("cannot run in place: its backward pass needs the bottom that its top would overwrite",
                      hint="give the top a name of its own")

    def _take_loss_weights(self, num_tops: int) -> None:
        given = list(self.layer_param.loss_weight)
        if given and len(given) != num_tops:
            self.fail(f"loss_weight must be given once for each of the {num_tops} tops or not at all, "
                      f"got {len(given)}")
        self.loss_weights = given or [self.default_loss_weight] + [0.0] * (num_tops - 1) if num_tops else []

    # --- what a layer uses ---------------------------------------------------------------------------

    @property
    def rng(self) -> np.random.Generator:
        """The process's random generator."""
        return rng.generator()

    def add_blob(self, shape: Sequence[int], filler: Any = None) -> Blob:
        """Append a learnable blob, filled by a FillerParameter or from the LayerParameter's own `blobs`."""
        blob, index = Blob(shape, self.dtype), len(self.blobs)
        if self.shapes_only:
            pass
        elif index < len(self.layer_param.blobs):
            values = blob_to_array(self.layer_param.blobs[index])
            self.check_same_count(values, blob, index)
            blob.data[...] = values.reshape(blob.shape)
        elif filler is not None and self.weights_follow:
            check_shape(blob.shape, filler)
            self._unfilled[index] = filler
        elif filler is not None:
            fill(blob.data, filler, self.rng)
        self.blobs.append(blob)
        return blob

    def fill_blobs(self, indices: Sequence[int]) -> None:
        """Fill those of the named blobs that wait for their filler because `weights_follow`."""
        for index in indices:
            if index in self._unfilled:
                fill(self.blobs[index].data, self._unfilled.pop(index), self.rng)

    def check_same_count(self, values: np.ndarray, blob: Blob, index: int) -> None:
        """LayerError unless a stored array has as many values as the blob it is for."""
        if values.size != blob.count:
            self.fail(f"blob {index} has the shape {tuple(values.shape)} in the definition, "
                      f"but the layer's parameters make it {blob.shape}")

    def scratch(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        """An uninitialised array to keep from forward to backward; call it in `reshape` alone.

        The n-th call of each reshape gets the same memory back as long as it fits, so it costs nothing
        while shapes stay. Where `runs_backward` is False, the next layers use it too.
        """
        wanted, index = np.dtype(dtype or self.dtype), self._scratch_used
        self._scratch_used += 1
        size, without_memory = math.prod(shape) * wanted.itemsize, self.shapes_only or self.plans_scratch
        if index == len(self._scratch) or self._scratch[index].nbytes < size:
            # without memory: one number, seen as often as it takes
            made = np.broadcast_to(np.uint8(0), size) if without_memory else np.empty(size, np.uint8)
            self._scratch[index:index + 1] = [made]
        if without_memory:
            return np.broadcast_to(np.zeros((), wanted), shape)
        return self._scratch[index][:size].view(wanted).reshape(shape)

    def take_scratch(self, memory: list[np.ndarray]) -> None:
        """From the next Reshape on, take `scratch` from a list; layers that keep nothing for backward may share one."""
        self.plans_scratch, self._scratch = False, memory

    @property
    def scratch_arrays(self) -> list[np.ndarray]:
        """The memory that `scratch` holds; layers that share it hold the same arrays."""
        return self._scratch

    def check(self, holds: bool, field: str, rule: str, hint: str = "") -> None:
        """LayerError unless `holds`: 'layer 'norm1' (LRN): lrn_param.local_size must be odd, got 4'.

        `field` names a field of the layer's own message, or of the LayerParameter when written with a
        leading dot.
        """
        if holds:
            return
        owner, name, shown = self._field(field)
        value = getattr(owner, name)
        if hasattr(value, "extend"):
            value = [" ".join(str(one).split()) if hasattr(one, "DESCRIPTOR") else one for one in value]
        self.fail(f"{shown} {rule}, got {value if value != '' else 'nothing'}", hint=hint)

    def check_effect(self, has_effect: bool, field: str, reason: str) -> None:
        """Warn, unless it `has_effect`, of a field that is set: 'eltwise_param.coeff has no effect: REASON'."""
        owner, name, _ = self._field(field)
        is_set = any(known.name == name for known, _ in owner.ListFields())
        self.caution(has_effect or not is_set, field, f"has no effect: {reason}")

    def caution(self, holds: bool, field: str, words: str) -> None:
        """Warn, unless `holds`, of what a field's value means: 'layer 'norm1' (LRN): lrn_param.k WORDS'."""
        if not holds:
            warn("layer.hpp:67", f"layer {self.name!r} ({self.type}): {self._field(field)[2]} {words}")

    def _field(self, field: str) -> tuple[Any, str, str]:
        """The message that holds a field as `check` takes it, the field's name there, and how it is shown."""
        owner, path = (self.layer_param, field[1:]) if field.startswith(".") else (self.param, field)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        return owner, name, path if field.startswith(".") else f"{self.message}.{path}"

    def axis_of(self, blob: Blob, field: str = "axis") -> int:
        """The axis of bottom[0], `blob`, that a field names, counted from the front; `field` as `check` takes it.

        LayerError where bottom[0] has no such axis.
        """
        owner, name, _ = self._field(field)
        axis, n = getattr(owner, name), blob.num_axes
        known = f"from {-n} to {n - 1}" if n else "a scalar, which has none"
        self.check(-n <= axis < n, field, f"must name an axis of bottom[0] {blob.shape}, {known}")
        return blob.canonical_axis(axis)

    def fail(self, message: str, hint: str = "", sample: int | None = None) -> NoReturn:
        """Raise a LayerError that begins with the layer's name and type; `sample` is the bad one of the batch."""
        raise LayerError(f"layer {self.name!r} ({self.type}): {message}", hint=hint, sample=sample)

    def check_fields(self, permissive: bool = False) -> None:
        """LayerError for a parameter that is NaN or infinite, or that is set but not read by this layer."""
        for path, number in not_finite(self.layer_param):
            self.fail(f"{path} must be a finite number, got {number}")
        known = {self.message, *self.also_reads}
        for field, value in self.layer_param.ListFields():
            if field.name.endswith("_param") and field.name not in known:
                self._unread_field(field.name, permissive)
            elif field.name == self.message:
                for inner, content in value.ListFields():
                    if inner.name in self.unread:
                        self._unread_field(f"{field.name}.{inner.name}", permissive)
                    elif inner.name.endswith("filler"):
                        self._check_filler(f"{field.name}.{inner.name}", content, getattr(value, "bias_term", True))

    def _check_filler(self, field: str, content: Any, bias_term: bool) -> None:
        """LayerError for a value that a filler cannot use.

        Warn of a filler for a bias where there is none, and of what has no effect.
        """
        if field.endswith(".bias_filler"):
            self.check_effect(bias_term, f".{field}", "bias_term is false")
        for filler in content if hasattr(content, "extend") else [content]:
            if refused := refusal(filler):
                self.fail(f"{field}.{refused.field} {refused.words}", hint=refused.hint)
            if filler.sparse == 0 and filler.type == "gaussian":
                warn("filler.hpp:286", f"layer {self.name!r} ({self.type}): {field}.sparse is 0, so all weights are 0")
            for name in unread_fields(filler):
                warn("filler.hpp:286", f"layer {self.name!r} ({self.type}): {field}.{name} has no effect: "
                                       f"the {filler.type} filler does not read it")

    def _unread_field(self, field: str, permissive: bool) -> None:
        message = f"layer {self.name!r} ({self.type}): {field} is set, but this layer does not read it"
        if not permissive:
            raise LayerError(message, hint="remove the field, or pass --permissive to go on without it")
        warnings.warn(message, stacklevel=3)

    def to_proto(self, write_diff: bool = False) -> Any:
        """The LayerParameter with the learnable blobs in it."""
        from minicaffe.io.binary import array_to_blob

        param = LayerParameter()
        param.CopyFrom(self.layer_param)
        del param.blobs[:]
        for blob in self.blobs:
            param.blobs.append(array_to_blob(blob.data, blob.diff if write_diff else None))
        return param

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
