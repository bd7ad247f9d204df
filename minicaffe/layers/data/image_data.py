"""ImageData: images from files that a list names."""

import os

from minicaffe.data.batches import Batches
from minicaffe.data.class_folders import FolderImages, TarImages, is_tar, write_labels
from minicaffe.data.images import ImageFiles
from minicaffe.data.transformer import Transformer
from minicaffe.layer import register
from minicaffe.layers.data._decoded import DecodedLayer
from minicaffe.log import At, log, warn
from minicaffe.proto import TEST, TRAIN, ImageDataParameter


@register("ImageData")
class ImageDataLayer(DecodedLayer):
    """Read the next batch_size images of a list or of class folders, resize them, and transform them.

    Forward   y = (x − mean) · scale   on a crop of x, mirrored or not, as transform_param says
    Computed  kernels.crop_and_scale: minicaffe/kernels/definitions/images.py;
              Transformer: minicaffe/data/transformer.py

    Top       y (N, C, H, W) with N = batch_size, or what is left of an epoch with partial_last_batch, and channels
              blue, green, red; label (N), or (N, K) for K > 1 labels in each line
    Params    image_data_param: source (must be given: a text file of lines 'PATH LABEL' or 'PATH LABEL LABEL …'; or a
              folder or a tar with a folder for each class, whose labels are the numbers of the classes' sorted names),
              root_folder (put before each path, ""), batch_size (1), shuffle (a new order each epoch, false), rand_skip
              (begin at one of the first so many images, drawn by chance, 0), new_height (resize; 0 keeps the size, 0),
              new_width (both or none, 0), is_color (three channels, not one, true), label_size (labels in each line; 0
              finds it out from the first line, 0), skip_bad (leave out images that cannot be read, and say which,
              false), partial_last_batch (in TEST the last batch of an epoch has only the images that are left, false),
              balance_classes (in TRAIN each class comes equally often, in random order, false)
              transform_param: scale (1), mirror (flip half of the images, chosen by chance, false), crop_size (cut out
              a square; 0 keeps the whole image, 0), mean_file (absent: no mean), mean_value (one for all channels or
              one for each; absent: no mean),
              resize_shorter (resize before all else, so that the shorter side has so many pixels; 0 keeps the size, 0);
              changes by chance, each image anew: rotate (by up to so many degrees, 0), zoom (larger or smaller by
              up to this part, 0), brightness (by up to this part, 0), contrast (the same, 0), saturation (the same, 0),
              erase (the chance that a rectangle is set to the mean, 0), erase_area (the most that it covers, 0.2)
              data_param: prefetch (batches read ahead, 4)
    Phase     TRAIN: a crop is at a random place, and the changes by chance are made; TEST: a crop is in the middle, and
              no such change is made; mirror is random in both.
              What is drawn for an image follows from the seed, the epoch and the image's number
    Errors    LayerError when source is missing, batch_size or prefetch is not positive, one of new_height and
              new_width is given alone, root_folder or label_size is set beside a folder or a tar, rand_skip exceeds the
              number of images, or transform_param does not fit them; DataError when the list, the folder, the tar or an
              image cannot be read, or with skip_bad no image at all; or balance_classes finds one class only,
              or several labels in a line
    """

    message = "image_data_param"
    param: ImageDataParameter
    also_reads = ("transform_param", "data_param")
    unread = ("scale", "mean_file", "crop_size", "mirror")
    tops = 2
    one_sample_per_file = True

    def setup(self, bottom, top):
        p, depth = self.param, self.layer_param.data_param.prefetch
        self.check(p.source != "", "source", "must name a list of images")
        self.check(p.batch_size > 0, "batch_size", "must be positive")
        self.check(depth > 0, ".data_param.prefetch", "must be positive")
        self.check((p.new_height > 0) == (p.new_width > 0), "new_height",
                   f"must be given together with new_width, here {p.new_width}")
        transformer = Transformer(self.layer_param.transform_param, self.phase,
                                  f"layer {self.name!r} ({self.type})")
        if transformer.color is not None:
            warn(At.IMAGE_COLOR, f"layer {self.name!r}: force_color and force_gray have no effect on "
                                 "ImageData; set is_color")
        workers = self.decoders()
        images = self._samples = self._images(workers)
        shuffle = int(self.rng.integers(2**63)) if p.shuffle else None
        self.check(p.rand_skip <= len(images), "rand_skip", f"must not exceed the {len(images)} images")
        self.random_start = p.rand_skip > 0
        skipped = int(self.rng.integers(p.rand_skip)) if p.rand_skip else 0
        if p.rand_skip:
            log(At.IMAGES_SKIPPED, f"Skipping first {skipped} data points.")
        self.start(Batches(images, transformer, p.batch_size, dtype=self.dtype, cursor=skipped,
                           seed=int(self.rng.integers(2**63)), shuffle=shuffle, skip_bad=p.skip_bad,
                           whole_epochs=p.partial_last_batch and self.phase == TEST,
                           order=self.balanced(images.labels), workers=workers), depth)
        self.reshape(bottom, top)
        log(At.IMAGE_SHAPE, "output data size: " + ",".join(str(n) for n in top[0].shape))

    @property
    def source_files(self):  # type: ignore[override] # made when it is asked for, because the list may be long
        return self._samples.files()

    def _images(self, workers):
        """Open the list of images, and log the same lines as Caffe."""
        p = self.param
        log(At.IMAGE_LIST_OPENED, f"Opening file {p.source}")
        size = (p.new_height, p.new_width) if p.new_height else None
        if os.path.isdir(p.source) or is_tar(p.source):
            images = self._class_folders(size, workers)
        else:
            images = ImageFiles(p.source, p.root_folder, size, p.is_color, label_size=p.label_size,
                                must_exist=not p.skip_bad, workers=workers)
        if p.shuffle:
            log(At.IMAGES_SHUFFLED, "Shuffling data")
        log(At.IMAGES_COUNTED, f"A total of {len(images)} images.")
        return images

    def _class_folders(self, size, workers):
        """Open the folder or the tar that source names, and write the names of its classes beside it."""
        p = self.param
        self.check(p.root_folder == "", "root_folder", "has no effect where source is a folder or a tar: leave it out")
        self.check(p.label_size < 2, "label_size", "must be 1 where source is a folder or a tar")
        kind = FolderImages if os.path.isdir(p.source) else TarImages
        images = kind(p.source, size, p.is_color, workers)
        if not (self.only_looked_at or self.shapes_only):
            write_labels(p.source, images.classes)
        if self.phase == TRAIN and not p.shuffle:
            warn(At.IMAGES_COUNTED, f"layer {self.name!r}: the images come class by class, from which a net "
                                    "learns badly", lambda: "Set shuffle: true.")
        return images
