"""The base of Data, ImageData and WindowData: a thread prepares their next batches while the net computes."""

from minicaffe.data.balance import balanced
from minicaffe.data.prefetch import Prefetcher
from minicaffe.data.turns import Turns
from minicaffe.errors import DataError
from minicaffe.layer import DataSource
from minicaffe.log import log
from minicaffe.proto import TRAIN


class PrefetchingLayer(DataSource):
    """A data layer whose batches are prepared by a thread; `forward` writes the next one into the tops.

    A subclass calls `start(batches, depth)` at the end of its `setup`. The next batches follow from the cursor and the
    `seed` alone: another layer with the same two gives the same batches.
    """

    log_place = ""  # the file and line of Caffe's message at the end of an epoch; '' where Caffe has no such message

    def start(self, batches, depth):
        """Start the thread, which prepares up to `depth` batches in advance."""
        self._batches, self._depth = batches, depth
        self._cursor, self._turn = batches.cursor, batches.turn
        self.batch_size, self.epoch_size = batches.batch_size, batches.epoch_size
        self._prefetcher = Prefetcher(batches, depth)

    def balanced(self, labels):
        """Return the order in which each class comes equally often where balance_classes says so, else None.

        `labels` is a function that returns the labels of all samples.
        """
        if not self.param.balance_classes or self.phase != TRAIN:
            return None
        return balanced(labels(), int(self.rng.integers(2**63)), f"layer {self.name!r} ({self.type})")

    def reshape(self, bottom, top):
        # the tops get the shape of the next batch; `peek` leaves that batch for `forward` to take
        batch = self._ready().peek()
        top[0].reshape(batch.shape)
        if len(top) > 1:
            top[1].reshape(batch.label.shape)

    def forward(self, bottom, top):
        batch = self._ready().take()
        self.write(batch, top[0].data)
        if len(top) > 1:
            top[1].data[...] = batch.label
        self._batches.reuse(batch)
        self.keys, self._cursor, self._turn = batch.keys, batch.cursor, batch.turn
        self.stands_in = batch.stands_in
        if batch.restarts and self.log_place:
            log(self.log_place, "Restarting data prefetching from start.")

    def write(self, batch, y):
        """Write the images of a batch into y, the data of the first top."""
        y[...] = batch.data

    @property
    def cursor(self):
        return self._cursor

    @cursor.setter
    def cursor(self, value):
        self._go_on(value)

    def take_turns(self, first, count, of):
        if self._batches.turns != (turns := Turns(first, count, of)) or self._turn:
            self._pause()
            self._batches.turns = turns
            self._go_on(self._cursor)
        return True

    @property
    def draws_for_samples(self):  # type: ignore[override]
        return self._batches.draws_for_samples

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
        # the batches that were made in advance may have the wrong size: make them again
        self._go_on(self._cursor, self._turn)

    @property
    def batches(self):
        """The object that makes the batches. For images it has `samples` and a `transformer`, which a survey uses."""
        return self._batches

    @property
    def left_out(self):  # type: ignore[override]
        return list(self._batches.left_out.values())

    def resume_state(self):
        within = {"turn": self._turn} if self._turn else {}  # between two updates, where snapshots are taken, it is 0
        return {"cursor": self._cursor, **within, "seeds": self._batches.seeds}

    def resume_from(self, state):
        seeds, cursor = [int(seed) for seed in state["seeds"]], int(state["cursor"])
        if not seeds or min(*seeds, cursor) < 0:
            self.fail(f"cannot go on after {cursor} samples with the seeds {seeds}")
        turn, turns = int(state.get("turn", 0)), self._batches.turns
        if turn and not 0 < turn < (turns.count if turns else 1):
            self.fail(f"cannot go on after {turn} batches of an update, of which it reads "
                      f"{turns.count if turns else 'all'}")
        self._pause()
        self._batches.seeds = seeds
        self._go_on(cursor, turn)

    def close(self):
        """End the threads. After this the layer cannot run forward any more."""
        self._prefetcher.close()
        self._batches.close()

    def _ready(self):
        """Return the prefetcher. In a forked process it is a new one, which goes on where this process was copied."""
        if self._prefetcher.is_forked:
            self._go_on(self._cursor, self._turn)
        return self._prefetcher

    def _go_on(self, cursor, turn=0):
        """Go on at this place of the order, where `turn` batches of the update have already been read."""
        self._pause()  # the thread is ahead of `_cursor`: its batches are dropped, and a new thread makes them again
        self._batches.seek(cursor, turn)
        self._cursor, self._turn = cursor, turn
        self._prefetcher = Prefetcher(self._batches, self._depth)

    def _pause(self):
        """End the thread, because the batches must not be changed while it makes some."""
        if not self._prefetcher.close():
            raise DataError(f"layer {self.name!r} ({self.type}): the thread that reads the data gets no answer from "
                            "its source", hint="is the source on a drive that is gone, or a pipe?")

    def __getstate__(self):
        """Leave the thread out of a copy: it cannot be copied."""
        return {**vars(self), "_prefetcher": None}

    def __setstate__(self, state):
        """Give a copy (copy.deepcopy) a thread of its own, which goes on with the same sample as the original."""
        vars(self).update(state)
        if "_batches" in state:
            self._batches.seek(self._cursor, self._turn)
            self._prefetcher = Prefetcher(self._batches, self._depth)
