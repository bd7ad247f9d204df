"""The shapes of what data layers put out: measured where their source is there, else assumed from the definition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minicaffe.blob import Blob
from minicaffe.data.batches import Samples
from minicaffe.errors import DataError
from minicaffe.layer import DataSource, create, source_of
from minicaffe.log import one_line
from minicaffe.proto import LayerParameter

Shape = tuple[int, ...]

CHANCE = ("shuffle", "shuffle_across_files", "balance_classes", "rand_skip")  # fields that choose samples at random
GUESS = (3, 224, 224)  # C, H, W of most nets for photographs


class Tops(NamedTuple):
    """What a data layer puts out.

    shapes      one for each top, with the batch first
    size        the number of samples in its source; None where that is not known
    assumed     whether the source was not there, so that the shapes follow from fields such as crop_size
    guessed     whether not even those fields were there, so that the size of the images is a guess
    classes     the names of the class folders, by their labels, where the source is made of such folders
    """

    shapes: list[Shape]
    size: int | None = None
    assumed: bool = False
    guessed: bool = False
    classes: Sequence[str] = ()


def messages(layer: Any) -> list[Any]:
    """Return the layer's parameter messages, such as its data_param."""
    return [value for field, value in layer.ListFields() if field.name.endswith("_param") and field.message_type]


def source(layer: Any) -> str:
    """Return the path of the database or list that a data layer reads; '' where it names none."""
    return next((found for message in messages(layer) if (found := getattr(message, "source", ""))), "")


def batch_size(layer: Any) -> int:
    """Return the layer's batch_size, or 0 where it has none."""
    return next((int(found) for message in messages(layer) if (found := getattr(message, "batch_size", 0))), 0)


def tops(layer: Any) -> Tops | None:
    """Return what a data layer puts out, or None where its source is not there and its fields do not say it.

    Raise LayerError or DataError where the source is there and cannot be read as the layer says.
    """
    path = Path(source(layer) or ".")
    if not path.exists():
        return assumed(layer)
    if not path.is_file() and not path.is_dir():  # a pipe may never answer, and can be read only once
        raise DataError(f"the source {one_line(path)} is no ordinary file, so it is not read",
                        hint="give the path of a file or a folder")
    return measured(layer)


def opened(layer: Any, samples: int) -> tuple[DataSource | None, list[Blob]]:
    """Return the layer, made with batches of at most `samples` samples, and its tops. `close` ends it."""
    few = LayerParameter()
    few.CopyFrom(layer)
    for message in messages(few):
        if getattr(message, "batch_size", 0) and message.batch_size > samples:
            message.batch_size = samples
    made = create(few, permissive=True)
    if isinstance(made, DataSource):
        made.only_looked_at = True
    blobs = [Blob() for _ in few.top]
    made.SetUp([], blobs)
    return source_of(made), blobs


def held_samples(made: Any) -> Samples | None:
    """Return what a data layer reads, one sample for each number; None where it cannot be asked for samples."""
    batches = getattr(made, "batches", None) if isinstance(made, DataSource) else None  # a script's may be anything
    return getattr(batches, "samples", None)


def without_chance(layer: Any) -> Any:
    """Clear the fields by which a data layer chooses samples at random. Return the layer."""
    for message in messages(layer):
        for name in CHANCE:
            if hasattr(message, name):
                message.ClearField(name)
    return layer


def close(made: Any) -> None:
    """End the thread of a layer that reads ahead."""
    if hasattr(made, "close"):
        made.close()


def measured(layer: Any) -> Tops:
    """Read the first sample, and return what the layer puts out."""
    made, blobs = opened(layer, 1)
    try:
        N = batch_size(layer)
        one = N > 0 and bool(source(layer))
        shapes = [(N, *blob.shape[1:]) if one and blob.shape[:1] == (1,) else blob.shape for blob in blobs]
        classes = getattr(held_samples(made), "classes", ())
        return Tops(shapes, made.epoch_size if made else None, classes=tuple(classes))
    finally:
        close(made)


def assumed(layer: Any) -> Tops | None:
    """Return what the layer's fields say of its tops: images (N, C, H, W), then a number for each sample.

    None where they do not say the size of the images.
    """
    N, size = batch_size(layer), image_size(layer)
    if not N or not size:
        return None
    gray = layer.transform_param.force_gray or not all(getattr(m, "is_color", True) for m in messages(layer))
    given = len(layer.transform_param.mean_value)
    channels = 1 if gray else given if given > 1 else 3
    return Tops([(N, channels, *size), *[(N,)] * (len(layer.top) - 1)], assumed=True)


def guessed(layer: Any) -> Tops:
    """Return images of a common size for a data layer of which nothing is known."""
    N = batch_size(layer) or 1
    return Tops([(N, *GUESS), *[(N,)] * (len(layer.top) - 1)], assumed=True, guessed=True)


def image_size(layer: Any) -> Sequence[int]:
    """Return the size that the images are cropped to, else the one that they are scaled to; () where there is none."""
    crop = layer.transform_param.crop_size or next((c for m in messages(layer) if (c := getattr(m, "crop_size", 0))), 0)
    if crop:
        return crop, crop
    return next(((m.new_height, m.new_width) for m in messages(layer) if getattr(m, "new_height", 0) and m.new_width),
                ())
