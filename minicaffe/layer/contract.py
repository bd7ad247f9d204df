"""The layer contract: what a layer writes, what it declares, and what others call.

A layer *writes* four methods with lower-case names. The Net, or any other caller, *calls* those with Caffe's names:

    SetUp(bottom, top)      checks the number of blobs, runs `setup` once and `reshape`, sets loss weights
    Forward(bottom, top)    runs `reshape` and `forward`; returns the loss, weighted by loss_weight
    Backward(top, propagate_down, bottom)    runs `backward`
    Reshape(bottom, top)    runs `reshape` alone

Contract
    `backward` overwrites the bottoms' diffs, and adds to the parameters' diffs.
    `forward` writes the data of the tops, and nothing else, but for statistics that a layer keeps in its blobs, as
    BatchNorm does. No diff is used as scratch memory.
    An array is fetched from its blob in each call and never kept on `self`: the Net may give the blob other memory.
    `reshape` is cheap, may run any number of times, and alone gives the tops their shapes.
    Random numbers come from `self.rng` alone, which is fetched for each use: each pass has another one.

What a layer uses of itself is in three modules beside this one: `checks` (refuse and warn), `learned` (learnable blobs)
and `scratch` (memory from forward to backward). `traits` has what the rest of minicaffe asks of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from minicaffe import rng
from minicaffe.blob import Blob, BlobVec
from minicaffe.errors import LayerError
from minicaffe.layer.learned import Learned
from minicaffe.layer.registry import Arity
from minicaffe.layer.renamed import OldNames
from minicaffe.layer.scratch import Scratch
from minicaffe.layer.traits import Traits
from minicaffe.proto import TRAIN, LayerParameter
from minicaffe.showing import Shown


class Layer(Learned, Scratch, OldNames, Traits, Shown):
    """The base of all layers, and of users' own (`type: "Python"`).

    Declared by the class
        type            the name in prototxts (set by `register`)
        message         the LayerParameter field with the layer's own parameters, e.g. "lrn_param"
        also_reads      further LayerParameter message fields it reads, e.g. ("loss_param",)
        ignores         LayerParameter message fields that have no effect on it; a warning says so where one is set
        fork_fields     fields that forks have added to `message`, one of BVLC's, and that this layer reads
        unread          names of fields of `message` that this layer does not read
        bottoms, tops   how many there may be: 2, or (1, 2), or (1, None) for at least one
        auto_tops       the Net adds tops that the definition leaves out (losses)
        in_place        a top may be the same blob as its bottom
        backward_reads  what `backward` reads besides diffs: the data of "bottom", of "top", of both or of neither. The
                        Net lets no in-place layer overwrite it. A layer that itself runs in place keeps a copy of the
                        bottom if it needs it
        shares_data     its tops share the memory of bottom[0] (Split, Flatten, Reshape)
        label_bottoms   which bottoms hold labels, for a loss or a layer such as Accuracy
        and those of the Traits in which the type differs from others: what it costs, whether it may be recorded, ...

    Given to the instance
        layer_param     the whole LayerParameter
        param           its `message`, or None
        name, phase, dtype
        pass_draws      where `rng` comes from: a Net gives all its layers the same one
        shapes_only     the Net wants shapes alone: nothing is filled, and no memory is taken
        blobs           learnable Blobs, made by `add_blob`
        param_propagate_down    one bool per blob: whether `backward` must compute its diff
        loss_weights    one float per top
        runs_backward   False where the net never runs this layer backward: then what only `backward` reads need not be
                        kept

    A layer also works without a net. It then makes its LayerParameter from values of fields:
    `SoftmaxLayer(softmax_param={"axis": 2})`.
    """

    type: ClassVar[str] = ""
    message: ClassVar[str | None] = None
    also_reads: ClassVar[tuple[str, ...]] = ()
    ignores: ClassVar[tuple[str, ...]] = ()
    fork_fields: ClassVar[tuple[str, ...]] = ()
    unread: ClassVar[tuple[str, ...]] = ()
    bottoms: ClassVar[Arity] = 1
    tops: ClassVar[Arity] = 1
    auto_tops: ClassVar[bool] = False
    in_place: ClassVar[bool] = False
    backward_reads: ClassVar[tuple[str, ...]] = ("bottom",)
    shares_data: ClassVar[bool] = False
    label_bottoms: ClassVar[tuple[int, ...]] = ()
    default_loss_weight: ClassVar[float] = 0.0

    def __init__(self, param: Any = None, *, dtype: Any = np.float32, **fields: Any) -> None:
        if param is None:
            param = LayerParameter(**{"type": self.type, "name": self.type, "phase": TRAIN, **fields})
        elif fields:
            raise TypeError("give a LayerParameter or field values, not both")
        self.layer_param = param
        self.param: Any = getattr(param, self.message) if self.message else None
        self.name, self.phase, self.dtype = param.name, param.phase, dtype
        self.pass_draws = rng.PassDraws()
        self.shapes_only = False
        self._blobs = BlobVec(dtype=dtype)
        self.param_propagate_down: list[bool] = []
        self.loss_weights: list[float] = []
        self.runs_backward = True
        self.awaits_weights, self._unfilled, self._set_up_shapes = False, {}, []
        self.stored_blobs = len(param.blobs)
        self.awaits_scratch, self._scratch, self._scratch_used = False, [], 0

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

    # --- what a layer may write ------------------------------------------------------------------

    def check_values(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Raise LayerError for values that the kernels of `forward` have found to be wrong, such as labels."""

    def recorded_numbers(self) -> tuple[float, ...]:
        """Return the numbers that change while shapes stay, and with which the layer calls kernels.

        A recording of the layer holds only as long as they are the same.
        """
        return ()

    def allow_force_backward(self, bottom_index: int) -> bool:
        """Return whether the net's force_backward may ask for the diff of this bottom."""
        return True

    def resume_state(self) -> dict[str, Any]:
        """Return the rest of what the next forward pass depends on, such as a place in the data or a hidden state.

        Bottoms, blobs and `rng` are stored elsewhere. The result is a dict of numbers, strings, lists and arrays,
        which a snapshot stores.
        """
        return {}

    def resume_from(self, state: dict[str, Any]) -> None:
        """Continue from the `resume_state` of another run. Raise LayerError, and change nothing, if it does not fit."""

    # --- what a layer uses, besides `check`, `fail`, `add_blob` and `scratch` --------------------------

    @property
    def blobs(self) -> BlobVec:
        """The learnable blobs. The list stays the same one, because nets and solvers hold it too."""
        return self._blobs

    @blobs.setter
    def blobs(self, blobs: Any) -> None:
        raise AttributeError("a layer's list of blobs cannot be assigned: blobs[k] = blob replaces a blob in it, and "
                             "blobs.add_blob(*shape) adds one")

    @property
    def rng(self) -> np.random.Generator:
        """The random generator from which this layer draws, the only one that it may use.

        In a pass of a Solver, its numbers follow from the seed, the update, the part of the batch and the layer's name.
        Otherwise, also in `setup`, it is the process's.
        """
        return self.pass_draws.of(self.name)

    # --- what the Net calls ----------------------------------------------------------------------

    def SetUp(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Check the blobs, run `setup` and `reshape`, and take the loss weights."""
        self._check_arity("bottom", self.bottoms, len(bottom))
        self._check_arity("top", self.tops, len(top))
        self._check_in_place(bottom, top)
        try:
            self.setup(bottom, top)
            self._set_up_shapes = [] if self.users_code else [blob.shape for blob in self.blobs]
            if not self.param_propagate_down:
                self.param_propagate_down = [True] * len(self.blobs)
            self.Reshape(bottom, top)
        except LayerError as error:
            error.hint = error.hint or self._hint_swapped(bottom)
            raise
        self._take_loss_weights(len(top))

    def Reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Shape the tops and the layer's own arrays from the bottoms."""
        self.check_blobs()
        self._scratch_used = 0  # `scratch` gives its arrays in the same order again
        self.reshape(bottom, top)

    def Forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> float:
        """Run the layer forward, and return the weighted loss of its tops: 0.0 where none is a loss."""
        self.Reshape(bottom, top)  # Caffe: before each pass, for the bottoms may have other shapes now
        with np.errstate(all="ignore"):  # as in Caffe, ∞ and NaN are computed with; the solver watches for them
            self.forward(bottom, top)
        return self.conclude(bottom, top)

    def conclude(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> float:
        """Do the rest of `Forward`, also where a recording has run in the place of `forward`. Return the loss."""
        self.check_values(bottom, top)
        loss = 0.0
        for blob, weight in zip(top, self.loss_weights, strict=True):
            if weight:
                blob.diff.fill(weight)  # Caffe: a loss hands its weight to backward in its top's diff
                loss += weight * float(blob.data.sum(dtype=np.float64))
        return loss

    def Backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Run the layer backward."""
        self.check_blobs()
        with np.errstate(all="ignore"):
            self.backward(top, propagate_down, bottom)

    def _take_loss_weights(self, num_tops: int) -> None:
        given = list(self.layer_param.loss_weight)
        if given and len(given) != num_tops:
            self.fail(f"loss_weight must be given once for each of the {num_tops} tops or not at all, "
                      f"got {len(given)}")
        self.loss_weights = given or [self.default_loss_weight] + [0.0] * (num_tops - 1) if num_tops else []

    def in_short(self) -> str:
        """Return what `repr` shows."""
        return f"<{type(self).__name__} {self.name!r}>"
