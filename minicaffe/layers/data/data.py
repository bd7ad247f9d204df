"""Data: images and labels from a database, read ahead while the net computes."""

from minicaffe.data import open_source
from minicaffe.data.batches import Batches, DatumSamples
from minicaffe.data.transformer import Transformer
from minicaffe.layer import register
from minicaffe.layers.data._prefetching import PrefetchingLayer
from minicaffe.log import At, log
from minicaffe.proto import DataParameter


@register("Data")
class DataLayer(PrefetchingLayer):
    """Read the next batch_size records of a database, in the order of their keys, over and over.

    Forward   y = (x − mean) · scale   on a crop of x, mirrored or not, as transform_param says
    Computed  Transformer: minicaffe/data/transformer.py

    Top       y (N, C, H, W) with N = batch_size; label (N), if there is a second top
    Params    data_param: source (must be given), backend (LEVELDB), batch_size (must be given), prefetch (batches read
              ahead, 4), rand_skip (begin at a random record below it, 0)
              transform_param: scale (1), mirror (false), crop_size (0 cuts nothing, 0), mean_file (absent: no mean),
              mean_value (absent: no mean), force_color (false), force_gray (false)
    Phase     crops are random in TRAIN and central in TEST; mirror is random in both
    Errors    LayerError when source is missing, batch_size or prefetch is not positive, rand_skip exceeds the
              number of records, or transform_param does not fit the images; DataError when the database or a
              record cannot be read
    """

    message = "data_param"
    param: DataParameter
    also_reads = ("transform_param",)
    unread = ("scale", "mean_file", "crop_size", "mirror", "force_encoded_color")
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
        samples = DatumSamples(source, transformer.color)
        self.random_start = p.rand_skip > 0
        skipped = int(self.rng.integers(p.rand_skip)) if p.rand_skip else 0
        self.start(Batches(samples, transformer, p.batch_size, dtype=self.dtype, cursor=skipped,
                           seed=int(self.rng.integers(2**63))), p.prefetch)
        self.reshape(bottom, top)
        log(At.DATA_SHAPE, "output data size: " + ",".join(str(n) for n in top[0].shape))

    @property
    def source_records(self):  # opened anew, because the thread that reads ahead uses the other one
        return open_source(DataParameter.DB.Name(self.param.backend), self.param.source)
