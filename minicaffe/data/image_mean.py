"""The mean image of a database, which `transform_param.mean_file` subtracts from each image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from minicaffe.data import datum
from minicaffe.errors import DataError
from minicaffe.io.files import PathLike, replace_file
from minicaffe.log import At, log, shape_text
from minicaffe.proto import BlobProto

REPORTED = 10_000  # images after which a log line says how many there were


def mean_image(records: Iterable[tuple[bytes, bytes]], path: PathLike) -> np.ndarray:
    """Return the mean (C, H, W), float32, of the images in a database's records.

    `path` is the database, for messages. Raise a DataError for a record that is no image, for one of another size than
    the first, and where there is no record.
    """
    count, first, total = 0, "", np.empty(0, np.float32)
    for name, image, encoded in _images(records, path):
        if not count:
            if encoded:
                log(At.MEAN_DECODES, "Decoding Datum")
            log(At.MEAN_BEGINS, "Starting iteration")
            first, total = name, np.zeros(image.shape, np.float32)
        if image.shape != total.shape:
            raise DataError(f"the images have different sizes: {first} is {shape_text(total.shape)}, and {name} "
                            f"is {shape_text(image.shape)} (channels × height × width)",
                            hint="convert_imageset makes them alike with --resize_height and --resize_width")
        total += image  # Caffe: a float32 sum in the order of the keys, which rounds from 2²⁴ on
        count += 1
        if count % REPORTED == 0:
            log(At.MEAN_PROGRESS, f"Processed {count} files.")
    if not count:
        raise DataError(f"{path} holds no record, so there is no mean")
    if count % REPORTED:
        log(At.MEAN_COUNTED, f"Processed {count} files.")
    return total / np.float32(count)


def channel_means(mean: np.ndarray) -> list[float]:
    """Return the mean of each channel of an image (C, H, W), for `transform_param.mean_value`."""
    # Caffe: a float32 sum along the pixels, one after the other; numpy's own sum would round differently
    return [float(np.add.accumulate(channel.ravel())[-1] / np.float32(channel.size)) for channel in mean]


def write_mean(path: PathLike, mean: np.ndarray) -> None:
    """Write a mean image (C, H, W) as Caffe's binaryproto, atomically: four sizes, the first of them 1."""
    channels, height, width = mean.shape
    blob = BlobProto(num=1, channels=channels, height=height, width=width)
    blob.data.extend(mean.ravel().tolist())
    replace_file(path, [blob.SerializeToString()])


def _images(records: Iterable[tuple[bytes, bytes]], path: PathLike) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Yield the name of each record, its image, and whether it was encoded."""
    for key, value in records:
        name = datum.record_name(key, path)
        image, _, encoded = datum.parse(value, name)
        yield name, image, encoded
