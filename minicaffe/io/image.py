"""Turn images into arrays (C, H, W) of uint8 and back. The channels are blue, green, red, in Caffe's order."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np

from minicaffe.errors import DataError, missing_extra
from minicaffe.io.exif import segments

KINDS = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG", "GIF": b"GIF8"}  # how they begin

# Imported at the first image: it reserves 300 MB of address space, and crashes where the process may not have that.
cv2: Any = None
_here = threading.local()  # the buffer of `planes`


def decode(encoded: bytes, name: str, color: bool | None = None) -> np.ndarray:
    """Return the image in a JPEG, PNG, … of `encoded` bytes.

    `color` True makes 3 channels, and False 1; None keeps those of the file. Raise DataError, which calls the image
    `name`, where the bytes are no image, or where a channel has another number of bits than 8.
    """
    _need_cv2()
    flag = cv2.IMREAD_UNCHANGED if color is None else cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE
    image = _decoded(encoded, name, flag)
    if image.dtype != np.uint8:
        raise DataError(f"{name} has {8 * image.itemsize} bits a channel, but only 8 are read")
    return image


def decode_all(encoded: bytes, name: str) -> np.ndarray:
    """Return the image in a file of `encoded` bytes in the numbers that the file has: of 8 or more bits, or floats.

    Behind blue, green and red comes the transparency, where the file has one. A photograph is turned as its camera
    says. Raise DataError, which calls the image `name`, where the bytes are no image.
    """
    _need_cv2()
    # OpenCV turns photographs only where it leaves out the transparency, and a JPEG has none
    jpeg = encoded.startswith(KINDS["JPEG"])
    return _decoded(encoded, name, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if jpeg else cv2.IMREAD_UNCHANGED)


def _decoded(encoded: bytes, name: str, flag: int) -> np.ndarray:
    # an older OpenCV gives a JPEG that is cut off, with grey in place of what is missing
    cut_off = encoded.startswith(KINDS["JPEG"]) and not _has_end(encoded)
    try:
        image: Any = cv2.imdecode(np.frombuffer(encoded, np.uint8), flag) if encoded and not cut_off else None
    except cv2.error as error:
        raise DataError(f"{name} cannot be decoded as an image: {error}") from error
    if image is None:
        raise _no_image(encoded, name)
    return image[None] if image.ndim == 2 else image.transpose(2, 0, 1)


def _has_end(jpeg: bytes) -> bool:
    """Return whether the mark of a JPEG's end is there. A preview before the pixels has such a mark of its own."""
    last = max((end for _, _, end in segments(jpeg)), default=0)
    return jpeg.rfind(b"\xff\xd9", last) >= 0


def _no_image(encoded: bytes, name: str) -> DataError:
    """Return the error for bytes that cannot be decoded."""
    kind = next((kind for kind, first in KINDS.items() if encoded.startswith(first)), "")
    if kind:
        return DataError(f"{name} is a {kind} image that is damaged or cut off ({len(encoded)} bytes)")
    if not encoded:
        return DataError(f"{name} is empty")
    return DataError(f"{name} is no image that can be decoded ({len(encoded)} bytes)",
                     hint="JPEG, PNG, BMP and other common formats can")


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the image scaled to `size` (height, width) by linear interpolation."""
    _need_cv2()
    rows = np.ascontiguousarray(image.transpose(1, 2, 0))
    try:
        scaled: Any = cv2.resize(rows, size[::-1], interpolation=cv2.INTER_LINEAR)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(str(error.err)) from error
        raise DataError(f"an image of {image.shape[1]}×{image.shape[2]} pixels (height × width) cannot be scaled to "
                        f"{size[0]}×{size[1]}") from error
    return scaled[None] if scaled.ndim == 2 else scaled.transpose(2, 0, 1)


def warp(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return an image of the same shape (C, H, W), whose pixel (x, y) is the one at `matrix` · (x, y, 1) of `image`.

    Between pixels it is interpolated linearly, and beyond its border the image is reflected.
    """
    _need_cv2()
    C, H, W = image.shape
    rows = np.ascontiguousarray(image.transpose(1, 2, 0))
    warped = [cv2.warpAffine(np.ascontiguousarray(rows[:, :, c:c + 4]), matrix, (W, H),  # takes up to four channels
                             flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101)
              for c in range(0, C, 4)]
    return np.concatenate([piece.reshape(H, W, -1) for piece in warped], axis=2).transpose(2, 0, 1)


def planes(image: np.ndarray) -> np.ndarray:
    """Return an image (C, H, W) with each channel in one piece of memory, which numpy computes with faster.

    An image from `decode`, whose pixels hold their channels side by side, is copied to a buffer of the calling thread,
    and stays there until the next call; any other image is returned as it is.
    """
    C, H, W = image.shape
    if cv2 is None or image.dtype != np.uint8 or C == 1 or image.strides[::2] != (1, C):
        return image
    out = getattr(_here, "buffer", None)
    if out is None or out.shape != image.shape:
        out = _here.buffer = np.empty((C, H, W), np.uint8)
    cv2.split(image.transpose(1, 2, 0), list(out))
    return out


def encode(image: np.ndarray, extension: str = ".png") -> bytes:
    """Return the image as the bytes of a file with this extension. Raise DataError for an unknown kind of image."""
    _need_cv2()
    try:
        done, encoded = cv2.imencode(extension, np.ascontiguousarray(image.transpose(1, 2, 0)))
    except cv2.error:
        done = False
    if not done:
        raise DataError(f"an image cannot be encoded as {extension!r}", hint=".png, .jpg and .bmp can")
    content: bytes = encoded.tobytes()
    return content


def _need_cv2() -> None:
    global cv2
    if cv2 is None:
        try:
            cv2 = importlib.import_module("cv2")
        except ImportError:
            raise missing_extra("opencv-python-headless", "data", "decoding, resizing and turning images") from None
