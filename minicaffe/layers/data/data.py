"""Data: images and labels from a database, read ahead while the net computes."""

from minicaffe.data import open_source
from minicaffe.data.balance import labels_of
from minicaffe.data.batches import Batches, DatumSamples
from minicaffe.data.transformer import Transformer
from minicaffe.layer import register
from minicaffe.layers.data._decoded import DecodedLayer
from minicaffe.log import At, log
from minicaffe.proto import TEST, DataParameter


@register("Data")
class DataLayer(DecodedLayer):
    """Read the next batch_size records of a database. After the last record of an epoch comes the first one again.

    The records come in the order of their keys, unless shuffle is set.

    Forward   y = (x − mean) · scale   on a crop of x, mirrored or not, as transform_param says
    Computed  kernels.crop_and_scale: minicaffe/kernels/definitions/images.py;
              Transformer: minicaffe/data/transformer.py

    Top       y (N, C, H, W) with N = batch_size, or what is left of an epoch with partial_last_batch; label (N), if
              there is a second top
    Params    data_param: source (must be given: the database), batch_size (must be given), backend (or LMDB, LEVELDB),
              prefetch (batches read ahead, 4), rand_skip (begin at one of the first so many records, drawn by chance,
              0), force_encoded_color (the older name of force_color, false), shuffle (a new order each epoch, false),
              skip_bad (leave out records that cannot be read, and say which, false), partial_last_batch (in TEST the
              last batch of an epoch has only the records that are left, false), balance_classes (in TRAIN each class
              comes equally often, in random order; all records are read at set-up for their labels, false)
              transform_param: scale (1), mirror (flip half of the images, chosen by chance, false), crop_size (cut out
              a square; 0 keeps the whole image, 0), mean_file (absent: no mean), mean_value (one for all channels or
              one for each; absent: no mean), force_color (decode to three channels, false), force_gray (to one, false),
              resize_shorter (resize before all else, so that the shorter side has so many pixels; 0 keeps the size, 0);
              changes by chance, each image anew: rotate (by up to so many degrees, 0), zoom (larger or smaller by
              up to this part, 0), brightness (by up to this part, 0), contrast (the same, 0), saturation (the same, 0),
              erase (the chance that a rectangle is set to the mean, 0), erase_area (the most that it covers, 0.2)
    Phase     TRAIN: a crop is at a random place, and the changes by chance are made; TEST: a crop is in the middle, and
              no such change is made; mirror is random in both.
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
