"""What Data, ImageData and WindowData share: a thread prepares their next batches while the net computes."""

from minicaffe.data.prefetch import Prefetcher
from minicaffe.errors import DataError
from minicaffe.layer import DataSource
from minicaffe.log import log


class PrefetchingLayer(DataSource):
    """A data layer that copies batches, which a thread has made ready, into its tops.

    A subclass calls `start(batches, depth)` at the end of its `setup`. What comes next follows from the cursor and the
    `seed` alone: another layer with the same two gives the same batches.
    """

    log_place = ""  # the place in Caffe that logs the end of an epoch; empty for a layer that does not log it

    def start(self, batches, depth):
        """Start the thread; it makes up to `depth` batches ahead."""
        self._batches, self._depth = batches, depth
        self._cursor, self.batch_size, self.epoch_size = batches.cursor, batches.batch_size, batches.epoch_size
        self._prefetcher = Prefetcher(batches, depth)

    @property
    def cursor(self):
        return self._cursor

    @cursor.setter
    def cursor(self, value):
        self._pause()
        self._batches.seek(value)
        self._cursor = value
        self._prefetcher = Prefetcher(self._batches, self._depth)

    @property
    def seed(self):
        return self._batches.seed

    @property
    def whole_epochs(self):
        return self._batches.whole_epochs

    @whole_epochs.setter
    def whole_epochs(self, value):
        self._pause()
        self._batches.whole_epochs = value
        self.cursor = self._cursor  # the batches made ahead may have the wrong size: make them again

    def resume_state(self):
        return {"cursor": self._cursor, "seeds": self._batches.seeds}

    def resume_from(self, state):
        seeds, cursor = [int(seed) for seed in state["seeds"]], int(state["cursor"])
        if not seeds or min(*seeds, cursor) < 0:
            self.fail(f"cannot go on after {cursor} samples with the seeds {seeds}")
        self._pause()
        self._batches.seeds = seeds
        self.cursor = cursor

    def close(self):
        """End the thread. After this the layer cannot run forward."""
        self._prefetcher.close()

    def _pause(self):
        """End the thread, for nobody else may change its batches while it makes some."""
        if not self._prefetcher.close():
            raise DataError(f"layer {self.name!r} ({self.type}): the thread that reads the data does not come back "
                            "from its source", hint="is the source on a drive that is gone, or a pipe?")

    def __getstate__(self):
        return {**vars(self), "_prefetcher": None}

    def __setstate__(self, state):
        """A copy (copy.deepcopy) gets a thread of its own, which goes on with the same sample as the original."""
        vars(self).update(state)
        if "_batches" in state:
            self._batches.seek(self._cursor)
            self._prefetcher = Prefetcher(self._batches, self._depth)

    def reshape(self, bottom, top):
        # the next batch says the shape of the tops; looking at it does not use it up
        batch = self._prefetcher.peek()
        top[0].reshape(batch.data.shape)
        if len(top) > 1:
            top[1].reshape(batch.label.shape)

    def forward(self, bottom, top):
        batch = self._prefetcher.take()
        top[0].data[...] = batch.data
        if len(top) > 1:
            top[1].data[...] = batch.label
        self.keys, self._cursor = batch.keys, batch.cursor
        if batch.restarts and self.log_place:
            log(self.log_place, "Restarting data prefetching from start.")
