"""HDF5Data: rows of arrays of any kind from HDF5 files."""

import numpy as np

from minicaffe.data.hdf5 import count_rows, read_datasets, read_paths
from minicaffe.layer import DataSource, register
from minicaffe.log import log
from minicaffe.proto import HDF5DataParameter


@register("HDF5Data")
class HDF5DataLayer(DataSource):
    """Read the next batch_size rows of HDF5 files, one file after the other, over and over.

    A file holds a dataset for each top, called like the top, and all of them have equally many rows.

    Forward   y[i] = rows of the dataset with the name of top[i]

    Top       y[0], y[1], …, each (N, …) with N = batch_size
    Params    hdf5_data_param: source (must be given: a text file that names the HDF5 files), batch_size (must be
              given), shuffle (the files, and the rows within each file, in a new order each epoch, false)
    Errors    LayerError when source is missing, batch_size is not positive, or a file's rows have another shape
              than those of the first; DataError when the list or a file cannot be read, a dataset is missing,
              or the datasets have different numbers of rows
    """

    message = "hdf5_data_param"
    param: HDF5DataParameter
    tops = (1, None)

    def setup(self, bottom, top):
        p = self.param
        self.check(p.source != "", "source", "must name a list of HDF5 files")
        self.check(p.batch_size > 0, "batch_size", "must be positive")
        log("hdf5_data_layer.cpp:81", f"Loading list of HDF5 filenames from: {p.source}")
        self.paths = read_paths(p.source)
        log("hdf5_data_layer.cpp:95", f"Number of HDF5 files: {len(self.paths)}")
        self.batch_size = p.batch_size
        self._seed = int(self.rng.integers(2**63)) if p.shuffle else None
        # The number of files read since the beginning, over all epochs. With the seed it gives the order of files and
        # of rows, so a snapshot needs nothing else to go on in the middle of an epoch.
        self._file = 0
        self._rows, self._path = [], ""
        self._load()

    def reshape(self, bottom, top):
        for y, rows in zip(top, self._rows, strict=True):
            y.reshape(self.batch_size, *rows.shape[1:])

    def forward(self, bottom, top):
        filled, N = 0, self.batch_size
        while filled < N:
            take = self._row_order[self._row:self._row + N - filled]
            for y, rows in zip(top, self._rows, strict=True):
                y.data[filled:filled + len(take)] = rows[take]
            filled += len(take)
            self._row += len(take)
            if self._row == len(self._row_order):
                self._file += 1
                self._load()

    @property
    def epoch_size(self):  # type: ignore[override] # counted only when asked for, because each file must be opened
        return sum(count_rows(path, self.layer_param.top[0], self.param.source) for path in self.paths)

    @property
    def source_files(self):  # type: ignore[override]
        return self.paths

    def resume_state(self):
        return {"file": self._file, "row": self._row, "seeds": [] if self._seed is None else [self._seed]}

    def resume_from(self, state):
        file, row, seeds = int(state["file"]), int(state["row"]), [int(seed) for seed in state["seeds"]]
        if min(file, row, *seeds) < 0:
            self.fail(f"cannot go on at row {row} of file {file} with the seeds {seeds}")
        if self._seed is not None and seeds:
            self._seed = seeds[0]
        self._file = file
        self._load()
        self._row = min(row, len(self._row_order) - 1)  # the file may be shorter than when the snapshot was taken

    def _load(self):
        """Read the current file and put its rows in order; a single file is not read again each epoch."""
        epoch, file = divmod(self._file, len(self.paths))
        path = self.paths[self._order(len(self.paths), epoch, 0)[file]]
        if path != self._path:
            rows = read_datasets(path, list(self.layer_param.top), self.dtype, self.param.source)
            for name, new, old in zip(self.layer_param.top, rows, self._rows or rows, strict=True):
                if new.shape[1:] != old.shape[1:]:
                    self.fail(f"reads rows of shape {old.shape[1:]} for {name!r}, but {path} has {new.shape[1:]}")
            self._path, self._rows = path, rows
        self._row_order, self._row = self._order(len(self._rows[0]), self._file, 1), 0

    def _order(self, n, number, kind):
        """Return the numbers 0 to n − 1 in the order of reading: as they are, or shuffled anew for each `number`.

        `kind` is 0 for files and 1 for rows, so that the two never get the same shuffle. The order follows from the
        seed and these numbers alone, so a resumed training has the same order.
        """
        return np.arange(n) if self._seed is None else np.random.default_rng([self._seed, kind, number]).permutation(n)
