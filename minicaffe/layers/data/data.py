"""Data: images and labels from a database, read ahead while the net computes."""

from minicaffe.data import open_source
from minicaffe.data.balance import labels_of
from minicaffe.data.batches import Batches, DatumSamples
from minicaffe.data.transformer import Transformer
from minicaffe.layer import register
from minicaffe.layers.data._prefetching import PrefetchingLayer
from minicaffe.log import At, log
from minicaffe.proto import TEST, DataParameter


@register("Data")
class DataLayer(PrefetchingLayer):
    """Read the next batch_size records of a database, in the order of their keys unless shuffle is set, over and over.

    Forward   y = (x − mean) · scale   on a crop of x, mirrored or not, as transform_param says
    Computed  Transformer: minicaffe/data/transformer.py

    Top       y (N, C, H, W) with N = batch_size, or what is left of an epoch with partial_last_batch; label (N), if
              there is a second top
    Params    data_param: source (must be given), backend (LEVELDB), batch_size (must be given), prefetch (batches read
              ahead, 4), rand_skip (begin at a random record below it, 0), force_encoded_color (the same as
              force_color, from before transform_param had it, false), shuffle (a new order each epoch, false), skip_bad
              (leave out records that cannot be read, and say which, false), partial_last_batch (false),
              balance_classes (each class comes equally often, in random order; at set-up all records are read once for
              their labels, false)
              transform_param: scale (1), mirror (false), crop_size (0 cuts nothing, 0), mean_file (absent: no mean),
              mean_value (absent: no mean), force_color (false), force_gray (false),
              resize_shorter (the shorter side gets so many pixels, before everything else; 0
              keeps the size, 0); by chance: rotate (up to so many degrees, 0), zoom (larger or smaller by up to this
              part, 0), brightness (by up to this part, 0), contrast (0), saturation (0), erase (the chance that a
              rectangle is set to the mean, 0), erase_area (the largest part of the image that it covers, 0.2)
    Phase     crops are random in TRAIN and central in TEST; mirror is random in both; rotate to erase change images in
              TRAIN alone; in TEST, partial_last_batch makes the last batch of an epoch smaller, so that a test of whole
              epochs counts each sample once; balance_classes is for TRAIN alone.
              What is drawn for an image follows from the seed, the epoch and the image's number
    Errors    LayerError when source is missing, batch_size or prefetch is not positive, rand_skip exceeds the
              number of records, or transform_param does not fit the images; DataError when the database or a
              record cannot be read, or balance_classes finds one class only
    """

    message = "data_param"
    param: DataParameter
    also_reads = ("transform_param",)
    unread = ("scale", "mean_file", "crop_size", "mirror")
    tops = (1, 2)
    log_place = At.DATA_SKIPPED

    def setup(self, bottom, top):
        p = self.param
        self.check(p.source != "", "source", "must name a database")
        self.check(p.batch_size > 0, "batch_size", "must be positive")
        self.check(p.prefetch > 0, "prefetch", "must be positive")
        transformer = Transformer(self.layer_param.transform_param, self.phase,
                                  f"layer {self.name!r} ({self.type})")
        source = open_source(DataParameter.DB.Name(p.backend), p.source)
        if p.backend == p.LMDB:
            log(At.LMDB_OPENED, f"Opened lmdb {p.source}")
        else:
            log(At.LEVELDB_OPENED, f"Opened leveldb {p.source}")
        self.check(p.rand_skip <= len(source), "rand_skip", f"must not exceed the {len(source)} records")
        self.check(not (p.force_encoded_color and transformer.color is False), "force_encoded_color",
                   "cannot be set beside transform_param.force_gray")
        samples = DatumSamples(source, True if p.force_encoded_color else transformer.color)
        self.random_start = p.rand_skip > 0
        skipped = int(self.rng.integers(p.rand_skip)) if p.rand_skip else 0
        seed = int(self.rng.integers(2**63))
        shuffle = int(self.rng.integers(2**63)) if p.shuffle else None
        self.start(Batches(samples, transformer, p.batch_size, dtype=self.dtype, cursor=skipped, seed=seed,
                           shuffle=shuffle, skip_bad=p.skip_bad,
                           whole_epochs=p.partial_last_batch and self.phase == TEST,
                           order=self.balanced(lambda: labels_of(source, p.skip_bad))), p.prefetch)
        self.reshape(bottom, top)
        log(At.DATA_SHAPE, "output data size: " + ",".join(str(n) for n in top[0].shape))

    @property
    def source_records(self):  # opened anew, because the thread that reads ahead uses the other one
        return open_source(DataParameter.DB.Name(self.param.backend), self.param.source)
