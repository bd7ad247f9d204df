"""Images and messages as arrays: pycaffe's `caffe.io`, without scikit-image and SciPy."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from minicaffe.errors import DataError, ProtoError
from minicaffe.io import image
from minicaffe.io.files import PathLike, read_bytes
from minicaffe.pycaffe.errors import ImageError, MissingImageError, UnreadableImageError
from minicaffe.pycaffe.proto import caffe_pb2 as caffe_pb2  # scripts find it here too
from minicaffe.pycaffe.proto_arrays import (
    array_to_blobproto,
    array_to_datum,
    arraylist_to_blobprotovecor_str,
    arraylist_to_blobprotovector_str,
    blobproto_to_array,
    blobprotovector_str_to_arraylist,
    datum_to_array,
)
from minicaffe.pycaffe.resize import as_float, resize, resize_image
from minicaffe.pycaffe.transformer import Transformer

__all__ = ["Transformer", "array_to_blobproto", "array_to_datum", "arraylist_to_blobprotovecor_str",
           "arraylist_to_blobprotovector_str", "blobproto_to_array", "blobprotovector_str_to_arraylist",
           "datum_to_array", "load_image", "oversample", "resize", "resize_image"]

_GREY = np.array([0.2125, 0.7154, 0.0721])  # how much of the brightness is red, green and blue light


def __getattr__(name: str) -> Any:
    """Import scikit-image when a script asks for `caffe.io.skimage`, which pycaffe has because it uses it itself."""
    if name == "skimage":
        try:
            import_module("skimage.io")
            return import_module("skimage")
        except ImportError as error:
            raise AttributeError(f"caffe.io.skimage is scikit-image, which cannot be imported: {error}; `pip install "
                                 "scikit-image` brings it; caffe.io.load_image reads images without it",
                                 name=name) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def load_image(filename: PathLike | Any, color: bool = True) -> np.ndarray:
    """Return an image file as a float32 array (H, W, 3) in red, green, blue, or with `color` False as (H, W, 1).

    Its values lie between 0 and 1, except those of a file of floats. Transparency is left out of a colour image. A grey
    image shows white behind it.

    filename    a path, or a file that is open for reading bytes

    Raise UnreadableImageError where the file is damaged or of an unknown kind, and MissingImageError where it is not
    there.
    """
    encoded, name = _content(filename)
    try:
        pixels = as_float(image.decode_all(encoded, name).transpose(1, 2, 0))
    except DataError as error:
        raise UnreadableImageError(error.message, hint=error.hint) from error
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3 if color else 1, axis=2).astype(np.float32)
    rgb = pixels[:, :, 2::-1]
    if color:
        return np.ascontiguousarray(rgb, np.float32)
    if pixels.shape[2] == 4:
        alpha = pixels[:, :, 3:]
        rgb = np.clip(alpha * rgb + (1 - alpha), 0, 1)
    return (rgb @ _GREY)[:, :, np.newaxis].astype(np.float32)


def oversample(images: Sequence[np.ndarray], crop_dims: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return ten crops of each image (H, W, K) as a float32 array (10 N, crop_dims[0], crop_dims[1], K).

    They are the corners (top left, top right, bottom left, bottom right) and the centre, and then these five mirrored.
    Raise ImageError where the images differ in shape or are smaller than the crop.
    """
    h, w = (int(size) for size in crop_dims)
    H, W, K = images[0].shape
    if h > H or w > W:
        raise ImageError(f"an image of {H}×{W} pixels (height × width) has no crop of {h}×{w}")
    places = [(y, x) for y in (0, H - h) for x in (0, W - w)] + [((H - h) // 2, (W - w) // 2)]
    crops = np.empty((len(images), 2, 5, h, w, K), np.float32)
    for one, ten in zip(images, crops, strict=True):
        if one.shape != (H, W, K):
            raise ImageError(f"the first image has the shape {(H, W, K)}, but another one has {one.shape}")
        for k, (y, x) in enumerate(places):
            ten[0, k] = one[y:y + h, x:x + w]
        ten[1] = ten[0, :, :, ::-1]
    return crops.reshape(-1, h, w, K)


def _content(filename: PathLike | Any) -> tuple[bytes, str]:
    """Return the bytes of a file, and what errors call it."""
    if hasattr(filename, "read"):
        content = filename.read()
        if not isinstance(content, bytes):
            raise ImageError("an image is read from a file of bytes, but this one gives text",
                             hint="open it with mode 'rb', or use io.BytesIO")
        return content, str(getattr(filename, "name", "the image"))
    name = os.fspath(filename)
    try:
        return read_bytes(name), name
    except ProtoError as error:
        hint = "download it first: a path or an open file is read here" if "://" in name else error.hint
        kind = MissingImageError if isinstance(error.__cause__, FileNotFoundError) else UnreadableImageError
        raise kind(error.message, where=error.where, hint=hint) from error
