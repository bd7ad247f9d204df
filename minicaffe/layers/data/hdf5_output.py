"""HDF5Output: write what a net computes into an HDF5 file."""

import numpy as np

from minicaffe.io import hdf5
from minicaffe.layer import Layer, register
from minicaffe.log import log
from minicaffe.proto import HDF5OutputParameter


@register("HDF5Output")
class HDF5OutputLayer(Layer):
    """Keep two blobs in a file, as the datasets 'data' and 'label'; later batches are added below.

    Forward   the file holds the rows of all batches so far: it is written anew, and is whole at every moment

    Bottom    data (N, …) and label (N, …), at most 4 axes each; missing axes count as 1
    Params    hdf5_output_param: file_name (must be given)
    Errors    LayerError when file_name is missing, a bottom has more than 4 axes, the bottoms have different
              batch sizes, or the rows' shape changes from batch to batch; DataError when the file cannot be
              written
    """

    message = "hdf5_output_param"
    param: HDF5OutputParameter
    bottoms = 2
    tops = 0
    backward_reads = ()
    side_effects = True
    needs_all_batches = True

    def setup(self, bottom, top):
        self.check(self.param.file_name != "", "file_name", "must name the file to write")
        self._data, self._labels = [], []

    def reshape(self, bottom, top):
        if bottom[0].num != bottom[1].num:
            self.fail(f"bottom[0] {bottom[0].shape} and bottom[1] {bottom[1].shape} have different batch sizes")
        # Caffe: both are kept as 4-D blobs, whatever axes they have
        self._shapes = [tuple(x.legacy_shape(i) for i in range(4)) for x in bottom]

    def forward(self, bottom, top):
        for x, shape, kept in zip(bottom, self._shapes, (self._data, self._labels), strict=True):
            if kept and kept[0].shape[1:] != shape[1:]:
                self.fail(f"had rows of shape {kept[0].shape[1:]} before, and now of {shape[1:]}")
            kept.append(x.data.reshape(shape).copy())
        # Caffe: each pass writes the file anew with all batches so far. A pass that only appended its rows could be
        # stopped in the middle and leave a damaged file.
        data, label = np.concatenate(self._data), np.concatenate(self._labels)

        def write(file):
            file["data"], file["label"] = data, label

        log("hdf5_output_layer.cpp:32", f"Saving HDF5 file {self.param.file_name}")
        hdf5.write_file(self.param.file_name, write)
        log("hdf5_output_layer.cpp:37", f"Successfully saved {len(data)} rows")

    def backward(self, top, propagate_down, bottom):
        """Nothing to do: nothing flows back from a file."""

    def gradient_to(self, j):
        return False
