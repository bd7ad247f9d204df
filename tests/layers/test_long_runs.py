"""Ten thousand batches of each data layer that reads files: memory, threads and open files stay as they are."""

import gc
import os
import sys
import threading
import time

import numpy as np
import pytest
from extras import needs

from minicaffe import rng
from minicaffe.blob import Blob
from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.io import hdf5, image
from minicaffe.layers.data.data import DataLayer
from minicaffe.layers.data.hdf5_data import HDF5DataLayer
from minicaffe.layers.data.image_data import ImageDataLayer
from minicaffe.proto import TRAIN

IMAGES = np.random.default_rng(4).integers(256, size=(7, 3, 6, 5), dtype=np.uint8)
AUGMENTED = {"mirror": True, "crop_size": 4}


@pytest.fixture
def folder(tmp_path):
    """Seven images as an LMDB, as files, of which one more cannot be read, and as rows."""
    needs("h5py")
    needs("cv2")
    needs("lmdb")
    write_lmdb(tmp_path / "lmdb", [(f"{i:08d}", make(x, i)) for i, x in enumerate(IMAGES)] + [("9", b"bad")])
    for i, x in enumerate(IMAGES):
        (tmp_path / f"{i}.png").write_bytes(image.encode(x))
    (tmp_path / "images.txt").write_text("".join(f"{tmp_path}/{i}.png {i}\n" for i in range(8)))
    hdf5.write_file(tmp_path / "rows.h5", lambda file: file.update({"data": IMAGES, "label": np.arange(7)}))
    (tmp_path / "rows.txt").write_text(f"{tmp_path}/rows.h5\n")
    return tmp_path


def layers(folder, kind):
    """A layer of a kind, with its tops."""
    param = {"source": str(folder / {"Data": "lmdb", "ImageData": "images.txt", "HDF5Data": "rows.txt"}[kind]),
             "batch_size": 3, "shuffle": True}
    rng.seed(8)
    if kind == "Data":
        layer = DataLayer(phase=TRAIN, transform_param=AUGMENTED, data_param={**param, "backend": 1, "skip_bad": True})
    elif kind == "ImageData":
        layer = ImageDataLayer(phase=TRAIN, transform_param=AUGMENTED, image_data_param={**param, "skip_bad": True})
    else:
        layer = HDF5DataLayer(phase=TRAIN, transform_param=AUGMENTED, hdf5_data_param=param, top=["data", "label"])
    tops = [Blob((), layer.dtype), Blob((), layer.dtype)]
    layer.SetUp([], tops)
    return layer, tops


def held():
    """How many threads there are, and how many open files, where that can be found out."""
    gc.collect()
    return threading.active_count(), len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


def wait_until(is_so):
    """Wait until a condition holds. It fails after a minute."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Data", "ImageData", "HDF5Data"])
def test_ten_thousand_batches(kind, folder):
    """Nothing is kept beyond what the first thousand batches needed."""
    layer, tops = layers(folder, kind)

    def run(count):
        for _ in range(count):
            layer.reshape([], tops)
            layer.Forward([], tops)

    run(1000)
    before, blocks = held(), sys.getallocatedblocks()  # each object takes one at least
    run(9000)
    gc.collect()
    assert sys.getallocatedblocks() < blocks + 1000
    # Threads of other tests may have ended, and this layer's may be reading a file of the next batch.
    wait_until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))
    layer.close()


@pytest.mark.parametrize("kind", ["Data", "ImageData", "HDF5Data"])
def test_a_hundred_layers(kind, folder):
    """A layer that is dropped leaves no thread and no open file, whether or not it ran."""
    before = held()
    for n in range(100):
        layer, tops = layers(folder, kind)
        if n % 2:
            layer.Forward([], tops)
        if n % 3 == 0:
            layer.close()
    del layer, tops
    wait_until(lambda: held() == before)  # the threads of a pool end by themselves, a moment later
