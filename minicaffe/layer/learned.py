"""The learnable blobs of a layer: made, filled, and written into a definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicaffe import rng
from minicaffe.blob import Blob, BlobVec
from minicaffe.filler import check_shape, fill
from minicaffe.io.binary import array_to_blob, blob_to_array
from minicaffe.layer.checks import Checks
from minicaffe.proto import LayerParameter


class Learned(Checks):
    """Gives a layer its learnable blobs.

    blobs           what `add_blob` has made, in this order
    awaits_weights  stored weights will be copied into the blobs. Nothing is drawn for a blob until `fill_blobs` says
                    that no weights came for it, so that a large net is not filled twice.
    stored_blobs    how many blobs the definition or the weights have for this layer; 0 where that is not known
    """

    dtype: Any
    shapes_only: bool
    awaits_weights: bool
    stored_blobs: int
    blobs: BlobVec
    _unfilled: dict[int, Any]  # index of a blob -> the filler that it still waits for
    _set_up_shapes: list[tuple[int, ...]]  # of the blobs that `setup` made

    def add_blob(self, shape: Sequence[int], filler: Any = None) -> Blob:
        """Append a learnable blob, filled by a FillerParameter or from the LayerParameter's own `blobs`."""
        blob, index = Blob(shape, self.dtype), len(self.blobs)
        if self.shapes_only:
            pass
        elif index < len(self.layer_param.blobs):
            values = blob_to_array(self.layer_param.blobs[index])
            self.check_same_count(values, blob, index)
            blob.data[...] = values.reshape(blob.shape)
        elif filler is not None and self.awaits_weights:
            check_shape(blob.shape, filler)
            self._unfilled[index] = filler
        elif filler is not None:
            fill(blob.data, filler, rng.generator())
        self.blobs.append(blob)
        return blob

    def fill_blobs(self, indices: Sequence[int]) -> None:
        """Fill those of the blobs with these indices that were not filled because of `awaits_weights`."""
        for index in indices:
            if index in self._unfilled:
                fill(self.blobs[index].data, self._unfilled.pop(index), rng.generator())

    def in_todays_order(self, blobs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return stored blobs in the order that the layer's blobs have. Old versions of a type may have had another."""
        return blobs

    def check_blobs(self) -> None:
        """LayerError where a program has changed `blobs` so that the layer cannot compute with them.

        Kernels read as many numbers as the layer was set up for, and would read beyond a blob that is smaller.
        """
        shapes = [blob.shape for blob in self.blobs]
        if shapes[:len(self._set_up_shapes)] != self._set_up_shapes:
            self.fail(f"has the blobs {', '.join(map(str, shapes)) or 'none'}, but it was set up for "
                      f"{', '.join(map(str, self._set_up_shapes))}",
                      hint="a blob that takes the place of another must have its shape; for other shapes make another "
                           "net")

    def check_same_count(self, values: np.ndarray, blob: Blob, index: int) -> None:
        """LayerError unless a stored array has as many values as the blob it is for."""
        if values.size != blob.count:
            self.fail(f"blob {index} has the shape {tuple(values.shape)} in the definition, "
                      f"but the layer's parameters make it {blob.shape}")

    def to_proto(self, write_diff: bool = False) -> Any:
        """Return the LayerParameter with the learnable blobs in it."""
        param = LayerParameter()
        param.CopyFrom(self.layer_param)
        del param.blobs[:]
        for blob in self.blobs:
            param.blobs.append(array_to_blob(blob.data, blob.diff if write_diff else None))
        return param
