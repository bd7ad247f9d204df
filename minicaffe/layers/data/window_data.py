"""WindowData: boxes cut out of images, part objects and part background, for detectors (R-CNN)."""

import numpy as np

from minicaffe.data.augment import OURS
from minicaffe.data.lists import Files
from minicaffe.data.transformer import Transformer
from minicaffe.data.windows import WindowBatches, read_window_file
from minicaffe.layer import register
from minicaffe.layers.data._prefetching import PrefetchingLayer
from minicaffe.log import At, log, warn
from minicaffe.proto import WindowDataParameter


@register("WindowData")
class WindowDataLayer(PrefetchingLayer):
    """Draw windows (boxes in images), first those of background and then of objects, and scale each to a square.

    Forward   y = (x − mean) · scale   for x the window, scaled to crop_size, mirrored or not;
              y = 0 where a window with its surroundings reaches beyond the image
    Computed  Transformer: minicaffe/data/transformer.py;
              WindowBatches: minicaffe/data/windows.py

    Top       y (N, C, crop_size, crop_size) with N = batch_size; label (N): the window's class, 0 for background
    Params    window_data_param: source (must be given: a window file), root_folder (put before each path, ""),
              batch_size (must be given), fg_threshold (from this overlap on a window is an object, 0.5), bg_threshold
              (below it, background, 0.5), fg_fraction (the part of a batch that is objects, 0.25), context_pad (pixels
              of y on each side that show the surroundings, 0), crop_mode (or "square": widen the window to a square
              first, "warp"), cache_images (keep the files in memory, false), scale (1), skip_bad (leave out images that
              cannot be read, and say which, false)
              transform_param: crop_size (must be given, 0), mirror (flip half of the windows, chosen by chance, false),
              mean_file (absent: no mean), mean_value (one for all channels or one for each; absent: no mean)
              data_param: prefetch (batches read ahead, 4)
    Phase     windows and mirrors are random in both; what is drawn for a window follows from the seed and from how many
              were drawn before
    Errors    LayerError when source is missing, batch_size, prefetch or crop_size is not positive, context_pad
              leaves no pixel, fg_fraction is not in [0, 1], a threshold is negative, scale is 0, crop_mode is another,
              the mean does not fit, or a field of ours is set in transform_param; DataError when the window file or an
              image cannot be read, or one of the two kinds of windows is missing
    See       Girshick et al., CVPR 2014
    """

    message = "window_data_param"
    param: WindowDataParameter
    also_reads = ("transform_param", "data_param")
    unread = ("mean_file", "crop_size", "mirror")
    tops = 2
    one_sample_per_file = True

    def setup(self, bottom, top):
        p, transform = self.param, self.layer_param.transform_param
        depth, size = self.layer_param.data_param.prefetch, transform.crop_size
        self.check(p.source != "", "source", "must name a window file")
        self.check(p.batch_size > 0, "batch_size", "must be positive")
        self.check(depth > 0, ".data_param.prefetch", "must be positive")
        self.check(size > 0, ".transform_param.crop_size", "must be positive: it is the size of the windows")
        self.check(p.scale != 0, "scale", "must not be 0, which makes all windows the same")
        self.check(0 <= p.fg_fraction <= 1, "fg_fraction", "must lie in [0, 1]")
        for field in ("fg_threshold", "bg_threshold"):
            self.check(getattr(p, field) >= 0, field, "must be at least 0: it is an overlap")
        self.check(2 * p.context_pad < size, "context_pad", f"must be less than half of crop_size {size}")
        self.check(p.crop_mode in ("warp", "square"), "crop_mode", 'must be "warp" or "square"')
        if transform.HasField("scale"):  # Caffe: reads the scale of window_data_param alone
            warn(At.WINDOW_SCALE, f"layer {self.name!r}: transform_param.scale has no effect on "
                                  "WindowData; set window_data_param.scale")
        for field in OURS:
            self.check(not transform.HasField(field), f".transform_param.{field}",
                       "must not be set, because WindowData does not read it")
        windows = read_window_file(p.source, p.root_folder, p.fg_threshold, p.bg_threshold)
        log(At.WINDOW_IMAGES, f"Number of images: {len(windows.paths)}")
        # before any image is read, so that a batch too large for any memory fails at once
        top[0].reshape(p.batch_size, windows.channels, size, size)
        self.start(WindowBatches(
            windows, p.batch_size, p.fg_fraction, size, pad=p.context_pad, square=p.crop_mode == "square",
            mirror=transform.mirror, mean=self._mean(windows.channels, size), scale=np.float32(p.scale),
            cache=p.cache_images, dtype=self.dtype, seed=int(self.rng.integers(2**63)), skip_bad=p.skip_bad), depth)
        self.reshape(bottom, top)
        log(At.WINDOW_SHAPE, "output data size: " + ",".join(str(n) for n in top[0].shape))

    @property
    def source_files(self):  # type: ignore[override]
        there = Files()
        return [path for path in self._batches.windows.paths if path in there or not self.param.skip_bad]

    def _mean(self, channels, size):
        """Return the mean to subtract: (C, h, w) of at least the windows' size, or (C, 1, 1), or None."""
        transformer = Transformer(self.layer_param.transform_param, self.phase,
                                  f"layer {self.name!r} ({self.type})")
        values, image = transformer.mean_value, transformer.mean_image
        if values is not None and len(values) not in (1, channels):
            self.check(False, ".transform_param.mean_value", f"must be given once, or for each of {channels} channels")
        if image is not None and (len(image) != channels or min(image.shape[1:]) < size):
            self.fail(f"transform_param.mean_file holds a mean of shape {image.shape}, but windows are "
                      f"{(channels, size, size)}")
        return values if image is None else image
