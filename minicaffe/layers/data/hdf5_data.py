"""HDF5Data: rows of arrays of any kind from HDF5 files."""

from functools import partial

from minicaffe.data.batches import Order
from minicaffe.data.hdf5 import HDF5Rows, read_paths
from minicaffe.data.rows import FilesOrder, RowBatches
from minicaffe.data.transformer import Transformer
from minicaffe.layer import register
from minicaffe.layers.data._prefetching import PrefetchingLayer
from minicaffe.log import log
from minicaffe.proto import TEST, HDF5DataParameter


@register("HDF5Data")
class HDF5DataLayer(PrefetchingLayer):
    """Read the next batch_size rows of HDF5 files. After the last row of an epoch comes the first one again.

    A file holds a dataset for each top, called like the top, and all of them have equally many rows. Their numbers are
    of any type; booleans count as 0 and 1. All rows stay in memory where they take up to 256 MiB. Of more rows, the
    next 16 MiB are read in advance, or 128 MiB in random order, sorted by their places in the files.

    Forward   y[i] = rows of the dataset with the name of top[i]; with transform_param y[0] = (x − mean) · scale of them
    Computed  Transformer: minicaffe/data/transformer.py

    Top       y[0], y[1], …, each (N, …) with N = batch_size
    Params    hdf5_data_param: source (must be given: a text file that names the HDF5 files), batch_size (must be
              given), shuffle (the files, and the rows within each file, in a new order each epoch, false),
              shuffle_across_files (all rows of all files in a new order each epoch, false), partial_last_batch (in
              TEST the last batch of an epoch has only the rows that are left, false)
              transform_param: for the first top, scale (1), mirror (flip half of the rows, chosen by chance, false),
              crop_size (cut out a square; 0 keeps the whole row, 0), mean_file (absent: no mean), mean_value (absent:
              no mean); the flip and the square are for rows (C, H, W) alone, and a mean of other rows has a value for
              each number
    Phase     TRAIN: a crop is at a random place; TEST: it is in the middle; mirror is random in both
    Errors    LayerError when source is missing, batch_size is not positive, or transform_param does not fit the rows;
              DataError when the list or a file cannot be read or has changed, a dataset is missing, the datasets have
              different numbers of rows, or a file's rows have another shape than those of the first
    """

    message = "hdf5_data_param"
    param: HDF5DataParameter
    also_reads = ("transform_param",)
    tops = (1, None)

    def setup(self, bottom, top):
        p = self.param
        self.check(p.source != "", "source", "must name a list of HDF5 files")
        self.check(p.batch_size > 0, "batch_size", "must be positive")
        log("hdf5_data_layer.cpp:81", f"Loading list of HDF5 filenames from: {p.source}")
        self.paths = read_paths(p.source)
        log("hdf5_data_layer.cpp:95", f"Number of HDF5 files: {len(self.paths)}")
        rows = HDF5Rows(self.paths, list(self.layer_param.top), p.source)
        transformer = self._transformer(rows.shapes[0])
        shuffled = p.shuffle or p.shuffle_across_files
        order = partial(Order, len(rows)) if p.shuffle_across_files else partial(FilesOrder, rows.counts)
        batches = RowBatches(rows, order, p.batch_size, dtype=self.dtype, transformer=transformer, shuffled=shuffled,
                             seed=int(self.rng.integers(2**63)) if shuffled or transformer else None)
        batches.whole_epochs = p.partial_last_batch and self.phase == TEST
        self.start(batches, batches.ahead)

    def reshape(self, bottom, top):
        for y, rows in zip(top, self._ready().peek().tops, strict=True):
            y.reshape(rows.shape)

    def forward(self, bottom, top):
        batch = self._ready().take()
        for y, rows in zip(top, batch.tops, strict=True):
            y.data[...] = rows
        self.keys, self._cursor, self._turn = batch.keys, batch.cursor, batch.turn

    @property
    def source_files(self):  # type: ignore[override]
        return self.paths

    def resume_from(self, state):
        seeds = [int(seed) for seed in state["seeds"]]
        if "file" in state:  # an older .resume has the numbers of the file and of the row, not the place of the sample
            file, row = int(state["file"]), int(state["row"])
            if min(file, row, *seeds) < 0:
                self.fail(f"cannot go on at row {row} of file {file} with the seeds {seeds}")
            order = FilesOrder(self._batches.rows.counts, next(iter(seeds), None))
            state = {"cursor": order.place(file, row)}
        # without seeds nothing was random before; what is random now goes by the seed of this layer
        super().resume_from({**state, "seeds": seeds or self._batches.seeds or [0]})

    def _transformer(self, shape):
        """Return the Transformer of the first top's rows, which have this shape; None without transform_param."""
        if not self.layer_param.HasField("transform_param"):
            return None
        for field, _ in self.layer_param.transform_param.ListFields():
            fits = field.name in ("scale", "mean_value", "mean_file") or len(shape) == 3
            self.check(fits, f".transform_param.{field.name}",
                       f"needs images, but the rows of {self.layer_param.top[0]!r} have the shape {shape}")
            self.check_effect(not field.name.startswith("force_"), f".transform_param.{field.name}",
                              "rows are numbers, not encoded images")
        return Transformer(self.layer_param.transform_param, self.phase, f"layer {self.name!r} ({self.type})")
