"""The base of the layers that bring data into a net, and what they tell the solver about it."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from minicaffe.blob import Blob
from minicaffe.layer.contract import Layer
from minicaffe.layer.registry import Arity


class DataSource(Layer):
    """A layer without bottoms that reads samples: the base of our data layers, and of data layers that users write.

    A subclass writes `setup`, `reshape` and `forward`, as any layer does, and sets those of the following attributes
    that it can, in `setup` or in `forward`. Each one may also be a property. A feature that needs an attribute works
    only where the attribute is set.

    keys            the names of the samples in the tops, in their order: a message about a bad sample then says which
                    one it is
    batch_size      the number of samples in a full batch
    epoch_size      the number of samples in the source: `max_epoch`, `test_iter_auto` and the run folder need it. None
                    where it is not known, or where samples are drawn at random without end
    cursor          the number of samples used since the beginning, over all epochs. A training that continues from one
                    of Caffe's snapshots sets it, and the next `forward` must begin there. Where several processes
                    train together, it is set before each batch, so that each process reads its own batches (see also
                    `take_turns`). None where the layer cannot do that
    random_start    whether the first sample was drawn at random: then `cursor` does not say which sample is next
    draws_for_samples       whether something is drawn for each sample, such as its crop. Then a training that an older
                    minicaffe began, which drew for whole batches, cannot go on
    whole_epochs    False at first, or what a field such as partial_last_batch says. A test that sees each sample once
                    sets it to True: then the last batch of an epoch ends with the epoch, and is smaller if need be.
                    None where all batches must be full

    left_out        what was wrong with each sample that could not be read, and was left out of the batches
    stands_in       whether the last batch only takes the place of one of which no sample could be read. A test then
                    does not count it
    only_looked_at  whether the layer was made to see what it would read, as `minicaffe lint` does, and not to run a
                    net. Then it must write no file

    A training's run.yaml names what each data layer reads, with a checksum. These attributes say what that is:

    source_path     the file or the folder that the samples come from. By default it is the field `source` of the
                    layer's message; a layer that has neither is not in run.yaml
    source_files    the files of samples, where `source_path` is a list of them. The checksum covers them, too
    one_sample_per_file     whether each of these files is a single sample. Such a list may be very long, so the
                    checksum covers the first and the last of its files only
    source_records  a data.Source where `source_path` is a database. The checksum covers its first and last records

    A snapshot stores the cursor. The next batch of a layer may depend on more, such as the seed of a shuffle. Such a
    layer also writes `resume_state` and `resume_from`. Then a resumed training sees the same batches as one that was
    never stopped.

        class RowsLayer(DataSource):
            def setup(self, bottom, top):
                self.rows = np.loadtxt(self.param_str)  # of a Python layer: the prototxt's param_str
                self.batch_size, self.epoch_size, self.cursor = 32, len(self.rows), 0

            def reshape(self, bottom, top):
                top[0].reshape(self.batch_size, *self.rows.shape[1:])

            def forward(self, bottom, top):
                chosen = np.arange(self.cursor, self.cursor + self.batch_size) % self.epoch_size
                top[0].data[...] = self.rows[chosen]
                self.keys = [f"row {i}" for i in chosen]
                self.cursor += self.batch_size
    """

    bottoms: ClassVar[Arity] = 0
    backward_reads: ClassVar[tuple[str, ...]] = ()

    keys: Sequence[str] = ()
    batch_size: int = 0
    epoch_size: int | None = None
    cursor: int | None = None
    random_start: bool = False
    draws_for_samples: bool = False
    whole_epochs: bool | None = None
    left_out: Sequence[str] = ()
    stands_in: bool = False
    only_looked_at: bool = False
    source_path: str = ""
    source_files: Sequence[str] = ()
    one_sample_per_file: bool = False
    source_records: Any = None  # typed Any, because this package may not import data

    def take_turns(self, first: int, count: int, of: int) -> bool:
        """From now on read only some of the batches, because other processes read the others.

        Of every `of` batches in a row these are `count` batches, from number `first` on. They are counted from where
        the cursor stands now, or from where it is set to later. The cursor counts the samples of all processes. It
        moves by one batch with each own batch but the last of them, which moves it to the end of the `of` batches. So
        it is the same number in all processes at the beginning of an update.

        Return True where the layer does so, and where its numbers have no place in a source and any process may make
        them. Return False where it cannot leave batches out by itself. Then its cursor is set before each batch; a
        layer without a cursor cannot be used by several processes.
        """
        return False

    def resume_state(self) -> dict[str, Any]:
        """Return the cursor, where there is one. A layer whose next batch depends on more adds that."""
        return {} if self.cursor is None else {"cursor": self.cursor}

    def resume_from(self, state: dict[str, Any]) -> None:
        """Go on at the cursor of `resume_state`."""
        if self.cursor is not None:
            cursor = int(state["cursor"])
            if cursor < 0:
                self.fail(f"cannot go on after {cursor} samples")
            self.cursor = cursor

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Nothing to do: there is no bottom."""


# --- data layers that were written before there was a DataSource -----------------------------------------------------

OLD = ("keys", "epoch_size", "cursor", "whole_epochs")  # a layer with one of them counted as a data layer


def source_of(layer: Layer) -> DataSource | None:
    """Return the layer as a DataSource; None for a layer that reads no data.

    A user's layer that is no DataSource, but has some of the attributes, is taken for one.
    """
    if isinstance(layer, DataSource):
        return layer
    return cast(DataSource, _Undeclared(layer)) if _is_undeclared(layer) else None


def warn_of_undeclared(layer: Layer) -> None:
    """DeprecationWarning for a data layer that is no subclass of DataSource."""
    if not isinstance(layer, DataSource) and _is_undeclared(layer):
        warnings.warn(f"layer {layer.name!r}: {type(layer).__name__} is taken for a data layer, for it has "
                      f"{', '.join(_old(layer))}; let it be a subclass of minicaffe.DataSource instead",
                      DeprecationWarning, stacklevel=2)


def _is_undeclared(layer: Layer) -> bool:
    """Return whether a layer has such an attribute and no bottom. With a bottom, its `keys` may mean something else."""
    return not layer.layer_param.bottom and bool(_old(layer))


def _old(layer: Layer) -> list[str]:
    """Those of the attributes that a layer has. No property is computed to find them, for it may not be ready yet."""
    missing = object()
    return [name for name in OLD if inspect.getattr_static(layer, name, missing) is not missing]


class _Undeclared:
    """Such a layer, with the attributes that it lacks: from its message, or else the defaults of DataSource."""

    def __init__(self, layer: Layer) -> None:
        vars(self)["_layer"] = layer  # `self._layer = layer` would set it on the layer

    def take_turns(self, first: int, count: int, of: int) -> bool:
        own = getattr(vars(self)["_layer"], "take_turns", None)
        return own is not None and bool(own(first, count, of))

    def __getattr__(self, name: str) -> Any:
        layer, missing = vars(self)["_layer"], object()
        if (found := getattr(layer, name, missing)) is not missing:
            return found
        if name == "batch_size":
            return getattr(layer.param, "batch_size", 0)
        return bool(getattr(layer.param, "rand_skip", 0)) if name == "random_start" else getattr(DataSource, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)["_layer"], name, value)
