"""Net: the layers of a definition, joined by blobs, run forward and backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicaffe import passes, plugins, rng
from minicaffe.blob import Blob
from minicaffe.errors import LayerError, MinicaffeError, NetError, near_names, no_memory
from minicaffe.io.files import PathLike
from minicaffe.layer import Layer, create, source_of, warn_of_undeclared
from minicaffe.log import At, log, number, one_line
from minicaffe.net import backward_plan, debug_info, location, memory_plan, param_sharing, prior_boxes, scratch, wiring
from minicaffe.net import copy_weights as weight_files
from minicaffe.net.running import Running
from minicaffe.passes.filter import warn_of_state
from minicaffe.passes.insert_splits import rank
from minicaffe.proto import TEST, TRAIN, NetParameter, wording
from minicaffe.proto import text as proto_text
from minicaffe.showing import Shown


class Net(Running, Shown):
    """The layers of a NetParameter in order, with the blobs between them.

    definition    a prototxt or YAML file, or a NetParameter
    phase         TRAIN or TEST; with `level` and `stages` (added to the definition's own) it decides which layers
                  take part. None keeps the definition's own `state`.
    weights       files from which learned blobs are copied by layer name: one path or several. At TEST, no random
                  numbers are drawn for blobs that are in these files
    strict        refuse weights that do not fit the net exactly
    dtype         np.float32 or np.float64, the number type of every blob
    permissive    warn of parameters that a layer does not read, instead of refusing them
    allow_python  allow Python layers and layer types of installed packages, which run code of others. False refuses a
                  net with such a layer before any of that code has run
    shapes_only   set up shapes and wiring, but fill no weights and take no memory: such a net cannot run
    reuse_memory  let blobs that are never needed at the same time share their memory. Then the net runs forward
                  alone, whatever force_backward says, and `blobs` has only those that hold their values afterwards:
                  inputs, outputs and the blobs named in `keep`
    skip_bad      set the field skip_bad in all data layers that have it: what cannot be read is left out

    name, phase, dtype
    param             the NetParameter after all passes
    loaded            a Report of what became of each layer when `weights` were copied; None without them
    layers            the Layers; `layer_names` are their names
    blobs             blob name -> Blob; layers that run in place write the same one
    bottoms, tops     for each layer its lists of Blobs
    params            layer name -> its learnable Blobs
    all_params        a Param for each learnable blob of each layer; `learnable_params` are those that own their memory
    inputs, outputs   names of the blobs that the caller fills (the tops of Input layers), and of those that no layer
                      reads
    plan              which layers and bottoms run backward
    before_layer, after_layer           lists of functions that are called with a layer's index, before and after it
                                        runs forward; `hooks.at` makes one that is called for some layers alone
    before_backward, after_backward     the same for backward
    draws             the generators of the layers; a Solver tells it which pass runs, by `draws.during`
    replay            the net may replay recorded kernel calls instead of running its layers (replay.py). Set it to
                      False to run each layer, for instance after you changed attributes of a layer
    debug_info        whether the mean absolute value of each blob is printed; `set_debug_info` changes it

    Raises ProtoError, NetError or LayerError, with the definition's file and line where they are known.
    """

    def __init__(self, definition: PathLike | Any, phase: int | None = TRAIN, *, level: int = 0,
                 stages: Sequence[str] = (), weights: str | Sequence[str] = (), strict: bool = False,
                 dtype: type = np.float32, permissive: bool = False, allow_python: bool = True,
                 shapes_only: bool = False, reuse_memory: bool = False, keep: Sequence[str] = (),
                 skip_bad: bool = False) -> None:
        if dtype not in (np.float32, np.float64):
            raise NetError(f"a net computes in float32 or float64, not in {dtype!r}")
        self.dtype, self.permissive, self.shapes_only = np.dtype(dtype).type, permissive, shapes_only
        self.allow_python, self.reuse_memory, self.skip_bad = allow_python, reuse_memory, skip_bad
        self.prepare_to_run()
        self.draws = rng.PassDraws()
        self.loaded: weight_files.Report | None = None
        given, self._location = location.read(definition, location.outside(phase, level, stages))
        location.set_state(given, phase, level, stages)
        # Read now: at TEST, layers whose weights are in these files draw no random numbers when they are made.
        stored = weight_files.read(weights) if weights else None
        with self._location.in_errors(given), plugins.permitted(allow_python):
            self._apply_passes(given)
            self._connect()
            self._make_layers(stored.layers if stored else {})
            self._plan_backward()
            scratch.hand_out(self)
            self._share_params()
            self._name_everything()
            if reuse_memory:
                memory_plan.apply(self, keep)
            self.set_debug_info(self.param.debug_info)
            log(At.NET_DONE, "Network initialization done.")
        if stored:  # outside the block: an error here is about a weight file, and has no line of the definition
            self.loaded = self.copy_trained_from(stored, strict=strict)

    # --- construction, step by step ----------------------------------------------------------------

    def _apply_passes(self, given: Any) -> None:
        """Make `param`, from which the layers are made: the definition upgraded, filtered and with its splits."""
        warn_of_state(given)
        filtered = passes.apply(given, after="filter")
        prior_boxes.tell_apart(filtered)
        log(At.NET_BEGINS, "Initializing net from parameters: ", lambda: proto_text.format(filtered))
        try:
            self.param = passes.apply(filtered)
        except NetError as error:
            location.blame_rules(error, given, filtered)
            raise
        self.name, self.phase = self.param.name, self.param.state.phase
        for layer in self.param.layer:
            if not layer.HasField("phase"):
                layer.phase = self.phase

    def _connect(self) -> None:
        """Find the class of each layer and the blobs that join the layers. The blobs have no shapes yet."""
        self.wiring = wiring.connect(self.param, wiring.classes_of(self.param, self.allow_python, self.permissive))
        self._blobs = [Blob(dtype=self.dtype) for _ in self.wiring.blob_names]
        self.bottoms = [[self._blobs[b] for b in ids] for ids in self.wiring.bottoms]
        self.tops = [[self._blobs[t] for t in ids] for ids in self.wiring.tops]

    def _make_layers(self, brought: Mapping[str, int]) -> None:
        """Create the layers in order and set each up on its blobs. `brought`: how many stored blobs a layer gets."""
        self.layers: list[Layer] = []
        top_bytes = 0
        for i in range(len(self.param.layer)):
            self._add_layer(i, brought)
            top_bytes += np.dtype(self.dtype).itemsize * sum(top.count for top in self.tops[i])
            log(At.MEMORY, f"Memory required for data: {top_bytes}")

    def _add_layer(self, i: int, brought: Mapping[str, int]) -> None:
        """Create layer i and set it up on its blobs."""
        given = self.param.layer[i]
        log(At.LAYER_FOUND, f"Creating layer {given.name}")
        log(At.LAYER_CREATED, f"Creating Layer {given.name}")
        for b in self.wiring.bottoms[i]:
            log(At.BOTTOM, f"{given.name} <- {self.wiring.blob_names[b]}")
        for t in self.wiring.tops[i]:
            in_place = " (in-place)" if t in self.wiring.bottoms[i] else ""
            log(At.TOP_IN_PLACE if in_place else At.TOP,
                f"{given.name} -> {self.wiring.blob_names[t]}{in_place}")
        param = type(given)()
        param.CopyFrom(given)
        with self._located(i):
            layer = create(param, dtype=self.dtype, permissive=self.permissive)
            if self.skip_bad and hasattr(layer.param, "skip_bad"):
                layer.param.skip_bad = True
            layer.shapes_only, layer.awaits_scratch, layer.pass_draws = self.shapes_only, True, self.draws
            # At TRAIN blobs are drawn even if weights replace them. The layers that the weights lack, and the seeds
            # of shuffles, come from the same generator: without those draws a seed would give them other numbers.
            layer.awaits_weights = self.phase == TEST and given.name in brought
            layer.stored_blobs = len(given.blobs) or brought.get(given.name, 0)
            self.layers.append(layer)
            layer.SetUp(self.bottoms[i], self.tops[i])
            warn_of_undeclared(layer)
            layer.caution(len(given.blobs) <= len(layer.blobs), ".blobs", f"is given {len(given.blobs)} times, but the "
                          f"layer has {len(layer.blobs)}: the rest has no effect")
        log(At.LAYER_SET_UP, f"Setting up {given.name}")
        for blob, weight in zip(self.tops[i], layer.loss_weights, strict=True):
            log(At.TOP_SHAPE, f"Top shape: {shape_string(blob)}")
            if weight:
                log(At.LOSS_WEIGHT, f"    with loss weight {number(weight)}")

    def _plan_backward(self) -> None:
        """Decide which layers run backward, and tell them."""
        self.plan = backward_plan.plan(self.param, self.wiring, [layer.loss_weights for layer in self.layers],
                                       [len(layer.blobs) for layer in self.layers],
                                       lambda i, j: self.layers[i].allow_force_backward(j),
                                       [layer.shapes_alone for layer in self.layers])
        for i, layer in enumerate(self.layers):
            layer.param_propagate_down = self.plan.params[i]
            layer.runs_backward = self.plan.layers[i]
        for i in reversed(range(len(self.layers))):
            needs = "needs" if self.plan.layers[i] else "does not need"
            log(At.NEEDS_BACKWARD if self.plan.layers[i] else At.NO_BACKWARD,
                f"{self.layers[i].name} {needs} backward computation.")

    def _share_params(self) -> None:
        """List the learnable blobs, and let those of one `param { name }` share their memory."""
        self._params = param_sharing.tie(self.layers)

    def _name_everything(self) -> None:
        """Make the blobs and the params known by their names."""
        names = self.wiring.blob_names
        self.layer_names = [layer.name for layer in self.layers]
        self.blobs = dict(zip(names, self._blobs, strict=True))
        self.params = {layer.name: layer.blobs for layer in self.layers if layer.blobs}
        self.inputs = [names[b] for b in self.wiring.inputs]
        self.outputs = [names[b] for b in self.wiring.outputs]
        for name in self.outputs:
            log(At.NET_OUTPUT, f"This network produces output {name}")

    # --- besides running (running.py) ----------------------------------------------------------------

    def reshape(self, start: int | str | None = None, stop: int | str | None = None) -> None:
        """Compute the shapes of all blobs from those of the inputs, or only in the layers `start` to `stop`."""
        for i in range(self._index(start, 0), self._index(stop, len(self.layers) - 1) + 1):
            with self._located(i):
                self.layers[i].Reshape(self.bottoms[i], self.tops[i])

    def set_debug_info(self, on: bool) -> None:
        """Start or stop printing the mean absolute value of each blob and gradient when it is computed."""
        self.debug_info = on
        (debug_info.attach if on else debug_info.detach)(self)

    def clear_param_diffs(self) -> None:
        """Set the diffs of all learnable blobs to zero: backward adds to them."""
        for param in self.learnable_params:
            param.blob.clear_diff()

    def update(self) -> None:
        """data −= diff for every learnable blob."""
        for param in self.learnable_params:
            param.blob.update()

    # --- weights -------------------------------------------------------------------------------------

    def copy_trained_from(self, source: PathLike | Any, *,
                          strict: bool = False) -> weight_files.Report:
        """Copy learned blobs from weight files ("a", "a,b" or a list) or a NetParameter, by layer name.

        The Report says for each layer whether it was copied. Raise DataError, and copy nothing,
        where a shape differs, and with `strict` also where a layer is missing on either side.
        """
        return weight_files.copy_trained_from(self, source, strict=strict)

    def share_trained_layers_with(self, other: Net) -> None:
        """Use the memory of `other`'s learned blobs, by layer name. So a test net has the weights of the training net.

        Blobs that share memory here by `param { name }` still do, also where `other` has only one of their layers.
        """
        param_sharing.follow(self, other)

    def to_proto(self, write_diff: bool = False) -> Any:
        """Return the net's definition, with the learned blobs in its layers."""
        param = NetParameter()
        param.CopyFrom(self.param)
        del param.layer[:]
        param.layer.extend(layer.to_proto(write_diff) for layer in self.layers)
        return param

    @property
    def all_params(self) -> list[param_sharing.Param]:
        """A Param for each learnable blob that the layers have now, in order."""
        param_sharing.follow_layers(self._params, self.layers)
        return [param for params in self._params for param in params]

    @property
    def learnable_params(self) -> list[param_sharing.Param]:
        """Those of `all_params` that own their memory."""
        return [param for param in self.all_params if param.owner is None]

    # --- helpers -------------------------------------------------------------------------------------

    def layer_index(self, name: str) -> int:
        """Return the index of a layer; NetError with near names when there is none."""
        if name not in self.layer_names:
            raise NetError(f"net {self.name!r} has no layer {name!r}", hint=near_names(name, self.layer_names))
        return self.layer_names.index(name)

    def where(self, i: int | None = None) -> str:
        """Return the file and line of layer i, or the file alone; '' where the net was not read from a file."""
        if i is None:
            return self._location.file
        return self._location.of_layer(self.param.layer[i].name, rank(self.param.layer, i))

    def _index(self, given: int | str | None, default: int) -> int:
        if given is None:
            return default
        if isinstance(given, str):
            return self.layer_index(given)
        if not 0 <= given < len(self.layers):
            raise NetError(f"net {self.name!r} has {len(self.layers)} layers, 0 to {len(self.layers) - 1}, got {given}")
        return int(given)

    @contextmanager
    def _located(self, i: int) -> Iterator[None]:
        """Add to an error the layer's name, file and line; for a bad sample, also the key of its database record."""
        try:
            yield
        except MinicaffeError as error:
            self._name_layer(error, i)
            self._name_record(error, i)
            error.rank = rank(self.param.layer, i)
            self._location.blame(error)
            raise
        except MemoryError as error:
            given = self.param.layer[i]
            raise LayerError(f"layer {given.name!r} ({given.type}): {no_memory(error)}",
                             where=self.where(i),
                             hint="smaller batches need less; minicaffe summary NET says who needs how much") from None
        except Exception as error:
            given = self.param.layer[i]
            if theirs := plugins.layer_error(error, given.name, given.type):
                theirs.where = self.where(i)
                raise theirs from error
            if "embedded null" not in str(error):  # Python's words for a path with a NUL, which no system takes
                raise
            raise LayerError(f"layer {given.name!r} ({given.type}) names a file, and the name holds a NUL",
                             where=self.where(i)) from None

    def _name_layer(self, error: MinicaffeError, i: int) -> None:
        """Let the message of an error begin with the name of layer i, with each name in it on one line."""
        given = self.param.layer[i]
        if not error.message.startswith("layer "):  # from a helper that knows no layer: a filler, a data source
            error.message = f"layer {given.name!r} ({given.type}): {error.message}"
        for text in wording.strings(given):
            if text in error.message and one_line(text) != text:  # for instance a path with a line end in it
                error.message = error.message.replace(text, one_line(text))
                error.hint = wording.path_hint(text) or error.hint

    def _name_record(self, error: MinicaffeError, i: int) -> None:
        """For an error about one sample in the batch, name the database record from which a data layer made it."""
        sample = getattr(error, "sample", None)
        if sample is None:
            return
        # The key is only right where this layer's batch is the data layer's: no layer between them reshaped it.
        batches = {blob.shape[0] for blob in self.bottoms[i] if blob.shape}
        for source in filter(None, map(source_of, self.layers[:i])):
            if len(source.keys) in batches and sample < len(source.keys):
                error.message += f" (record {source.keys[sample]!r} of data layer {source.name!r})"

    def in_short(self) -> str:
        """Return what `repr` shows."""
        return f"<{type(self).__name__} {self.name!r}: {len(self.layers)} layers>"


def shape_string(blob: Blob) -> str:
    """Return a shape as Caffe prints it: '64 20 24 24 (737280)'."""
    return " ".join([*map(str, blob.shape), f"({blob.count})"])
