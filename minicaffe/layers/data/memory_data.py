"""MemoryData: batches from arrays that a program hands over."""

import numpy as np

from minicaffe.data.transformer import Transformer
from minicaffe.data.turns import InTurns, Turns
from minicaffe.layer import DataSource, register
from minicaffe.log import At, plural, warn
from minicaffe.proto import MemoryDataParameter
from minicaffe.rng import SampleDraws


@register("MemoryData")
class MemoryDataLayer(DataSource):
    """Give the net the next batch_size rows of arrays in memory. After the last row comes the first one again.

    `layer.reset(data, labels)` hands over arrays as they are; pycaffe's net.set_input_arrays calls it.
    `layer.add(images, labels)` transforms images first, as transform_param says.

    Forward   y, label = the next rows of the arrays
    Computed  Transformer: minicaffe/data/transformer.py

    Top       y (N, C, H, W) with N = batch_size; label (N), and (N, 1, 1, 1) once there are arrays; with label_size
              (N, K)
    Params    memory_data_param: batch_size (must be given), channels=C (must be given), height=H (must be given),
              width=W (must be given), label_size=K (numbers in each label; 0 is one without an axis of its own, 0)
              transform_param: for `add` alone, scale (1), mirror (flip half of the images, chosen by chance, false),
              crop_size (cut out a square, which must be H and W; 0 keeps the whole image, 0), mean_file (absent: no
              mean), mean_value (one for all channels or one for each; absent: no mean),
              resize_shorter (resize before all else, so that the shorter side has so many pixels; 0 keeps the size, 0);
              changes by chance, each image anew: rotate (by up to so many degrees, 0), zoom (larger or smaller by
              up to this part, 0), brightness (by up to this part, 0), contrast (the same, 0), saturation (the same, 0),
              erase (the chance that a rectangle is set to the mean, 0), erase_area (the most that it covers, 0.2)
    Phase     TRAIN: a crop is at a random place, and the changes by chance are made; TEST: a crop is in the middle, and
              no such change is made; mirror is random in both
    Errors    LayerError when a size is not positive, the arrays do not fit the sizes or batch_size, there are
              no arrays when the layer runs, or `add` comes before the arrays of the last `add` were all read
    """

    message = "memory_data_param"
    param: MemoryDataParameter
    also_reads = ("transform_param",)
    tops = 2

    def setup(self, bottom, top):
        p = self.param
        for field in ("batch_size", "channels", "height", "width"):
            self.check(getattr(p, field) > 0, field, "must be positive")
        self.batch_size, self.image_shape = p.batch_size, (p.channels, p.height, p.width)
        self._label_shape = (p.label_size,) if p.label_size else ()
        self._transformer = Transformer(self.layer_param.transform_param, self.phase,
                                        f"layer {self.name!r} ({self.type})")
        # `_place` counts the rows of the arrays that are there. The public `cursor` stays None: it would count over all
        # arrays, and only the program has the earlier ones.
        self._data, self._place = None, InTurns()
        self._place.batch_size = p.batch_size
        self._unread = False  # whether rows of the last `add` are still to come
        self._seed = None  # of what the last `add` drew; None where it drew nothing

    def reshape(self, bottom, top):
        top[0].reshape(self.batch_size, *self.image_shape)
        # Caffe: with arrays the labels get four axes, which they did not have when the net was made
        top[1].reshape(self.batch_size, *(self._label_shape or (() if self._data is None else (1, 1, 1))))

    def forward(self, bottom, top):
        if self._data is None:
            self.fail("has no data", hint="call reset(data, labels) or net.set_input_arrays before forward")
        y, label = top
        begin = self._place.begin()
        row = begin % len(self._data)
        rows = slice(row, row + self.batch_size)  # never beyond the end: `_take` saw to that
        y.data[...] = self._data[rows]
        label.data[...] = self._labels[rows].reshape(label.shape)
        self._place.move(begin + self.batch_size)
        self._unread = self._unread and self._place.cursor < len(self._data)

    @property
    def draws_for_samples(self):  # type: ignore[override]
        return self._transformer.draws

    def reset(self, data, labels):
        """Hand over arrays, (n, C, H, W) and n labels, as they are. The next pass begins with their first rows.

        Arrays of the layer's number type are not copied: a later change of their values is seen.
        """
        if self.layer_param.HasField("transform_param"):
            warn(At.MEMORY_DATA_RESET, "MemoryData does not transform array data on Reset()")
        self._take(np.asarray(data, self.dtype), np.asarray(labels, self.dtype))

    def add(self, images, labels):
        """Hand over images, each (C, h, w) of uint8 or float, which are transformed. The next pass begins with them."""
        if self._unread:
            self.fail("cannot add images before all of those added earlier have been read")
        data = np.empty((len(images), *self.image_shape), self.dtype)
        numbers = range(len(images))
        # without need no seed is drawn, so that what others draw from the process's generator stays the same
        seed = int(self.rng.integers(2**63)) if self.draws_for_samples else None
        draws = SampleDraws(seed or 0, [0] * len(images), numbers)
        self._transformer.apply(images, [f"image {i}" for i in numbers], data, draws)
        self._take(data, np.asarray(labels, self.dtype))
        self._unread, self._seed = True, seed

    def take_turns(self, first, count, of):
        self._place.turns = Turns(first, count, of)
        self._place.seek(self._place.cursor)
        return True

    def resume_state(self):
        cursor = 0 if self._data is None else self._place.cursor % len(self._data)
        return {"cursor": cursor, "unread": self._unread, "seed": self._seed}

    def resume_from(self, state):
        # the arrays are not in the snapshot: the program hands them over before it resumes
        if self._data is not None and 0 <= state["cursor"] < len(self._data):
            self._place.seek(int(state["cursor"]))
            self._unread = bool(state["unread"])
            if self._seed != state.get("seed"):
                self.fail("goes on with other crops and mirrors: what `add` drew for its images cannot be drawn again")

    def _take(self, data, labels):
        """Keep arrays, whose length must be a multiple of batch_size, and begin with their first row."""
        if data.shape[1:] != self.image_shape:
            self.fail(f"takes data of shape (n, C, H, W) with (C, H, W) = {self.image_shape}, got {data.shape}")
        size = int(np.prod(self._label_shape, dtype=int))
        if labels.size != len(data) * size:
            one = "one label" if not self._label_shape else f"a label of {plural(size, 'number')}"
            shape = f" of shape {labels.shape}" if labels.ndim > 1 else ""
            self.fail(f"takes {one} for each image, got {len(data)} images and {labels.size} labels{shape}",
                      hint="label_size says how many numbers a label has" if labels.size > len(data) else "")
        if not len(data) or len(data) % self.batch_size:
            self.fail(f"takes a number of images that is a multiple of batch_size {self.batch_size}, got {len(data)}")
        self._data, self._labels = data, labels.reshape(len(data), size)
        self._place.seek(0)
        self.epoch_size, self._seed = len(data), None
