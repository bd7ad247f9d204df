"""Measure the data layers, beside bare loops and PyTorch's DataLoader on the same files.

    make bench BENCH=data

Each row is the median of the rounds; both sides of a pair run in turn. Nothing else should run on the machine.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from minicaffe import rng
from minicaffe.data.idx import write_idx_lmdb
from minicaffe.data.lmdb import LmdbSource
from minicaffe.data.prefetch import Prefetcher
from minicaffe.kernels import shards
from minicaffe.net import Net
from minicaffe.proto import TRAIN, Datum, NetParameter, SolverParameter
from minicaffe.proto.text import parse
from minicaffe.solvers import get_solver

SUBSET = Path(__file__).parents[2] / "examples" / "fashion_mnist" / "subset"
LENET = Path(__file__).parents[2] / "examples" / "fashion_mnist" / "lenet_train_test.prototxt"
BATCH, ROUNDS = 64, 5
JPEGS, SIDE, ROWS = 1500, 256, 50_000

measured = {}  # samples a second in each round, by the row's name


def run(_args, report):
    """Images or rows a second of wall time, and of the time that all cores together worked."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        write_idx_lmdb(SUBSET / "train-images-idx3-ubyte.gz", SUBSET / "train-labels-idx1-ubyte.gz", at / "lmdb")
        files = write_jpegs(at)
        write_rows(at)
        print(f"{'':44}{'a second':>12}{'a core':>12}")
        databases(at)
        images(at, files)
        rows(at)
        training(at)
    for name, rates in measured.items():
        report.add("data", name, rates, "1/s")


def net(text):
    """A net of one data layer."""
    return Net(parse(text, NetParameter()), TRAIN)


def row(name, count, work):
    """Print the medians of ROUNDS runs of `work`, which reads `count` samples; return the wall rate."""
    rates = []
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        rates.append((count / (time.perf_counter() - wall), count / max(time.process_time() - cpu, 1e-9)))
    measured.setdefault(name, [wall for wall, _ in rates])
    wall, cpu = (statistics.median(side) for side in zip(*rates, strict=True))
    print(f"{name:44}{wall:12,.0f}{cpu:12,.0f}", flush=True)
    return wall


def forward(made, batches):
    """What runs a net some times."""
    made.forward()  # the thread that reads ahead has begun

    def work():
        for _ in range(batches):
            made.forward()

    return work


def databases(at):
    """Fashion-MNIST from an LMDB."""
    text = f'layer {{ name: "d" type: "Data" top: "x" top: "y" transform_param {{ %s }} ' \
           f'data_param {{ source: "{at}/lmdb" backend: LMDB batch_size: {BATCH} %s }} }}'
    batches = 400
    for name, transform, more in (("Data", "scale: 0.00390625", ""), ("Data, crop and mirror",
                                  "scale: 0.00390625 crop_size: 24 mirror: true", ""),
                                  ("Data, shuffle", "scale: 0.00390625", "shuffle: true")):
        row(f"{name}, 28 x 28", BATCH * batches, forward(net(text % (transform, more)), batches))
    torch_rows("28 x 28", _Records, at / "lmdb", 1)


def write_jpegs(at):
    """Images of 256 x 256, each put together from 16 of the photographs of examples/textures, in colour; and a list."""
    import cv2

    folder = Path(__file__).parents[2] / "examples" / "textures"
    tiles = np.array([cv2.imread(str(path)) for path in sorted(folder.glob("*/*/*.jpg"))])
    draw, files = np.random.default_rng(1), []
    for i in range(JPEGS):
        chosen = tiles[draw.integers(len(tiles), size=16)].reshape(4, 4, 64, 64, 3)
        image = chosen.transpose(0, 2, 1, 3, 4).reshape(SIDE, SIDE, 3) * draw.uniform(0.6, 1, 3)
        files.append(str(at / f"{i:05d}.jpg"))
        cv2.imwrite(files[-1], image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 85])
    (at / "list.txt").write_text("".join(f"{name} {i % 10}\n" for i, name in enumerate(files)))
    print(f"{JPEGS} JPEGs of {SIDE} x {SIDE}, {sum(map(os.path.getsize, files)) / JPEGS / 1000:.0f} kB each")
    return files


def images(at, files):
    """JPEGs of 256 x 256 from a list, beside a loop that only decodes, on as many threads and on one."""
    import cv2

    cv2.setNumThreads(1)
    before = shards.threads()
    for threads in dict.fromkeys((before, 1)):
        shards.set_threads(threads)
        with ThreadPoolExecutor(threads) as pool:
            def decode(pool=pool):
                return [None for image in pool.map(cv2.imread, files) if image is None]

            name = f", {threads} thread{'s' * (threads > 1)}"
            bare = row(f"cv2.imread{name}", len(files), decode)
            ours = row(f"ImageData, 256 x 256{name}", len(files), forward(net(_image_data(at)), len(files) // 50))
            bare_again = row(f"cv2.imread{name}", len(files), decode)
        print(f"{'ImageData / cv2.imread':44}{2 * ours / (bare + bare_again):12.2f}")
        for what, transform, size in (("resized to 224", "", "new_height: 224 new_width: 224"),
                                      ("crop 227, mirror, mean", "crop_size: 227 mirror: true mean_value: 104", "")):
            row(f"ImageData, {what}{name}", len(files), forward(net(_image_data(at, transform, size)),
                                                                len(files) // 50))
    shards.set_threads(before)
    torch_rows("256 x 256", _Files, files, 50)


def _image_data(at, transform="", size=""):
    """The text of an ImageData layer."""
    return (f'layer {{ name: "d" type: "ImageData" top: "x" top: "y" '
            f'transform_param {{ scale: 0.00390625 {transform} }} '
            f'image_data_param {{ source: "{at}/list.txt" batch_size: 50 {size} }} }}')


def write_rows(at):
    """Two HDF5 files of 200 MB, more than stays in memory, with their list."""
    import h5py

    draw = np.random.default_rng(2)
    for name in "ab":
        with h5py.File(at / f"{name}.h5", "w") as file:
            file["x"] = draw.random((ROWS, 1000), np.float32)
            file["y"] = draw.integers(10, size=ROWS).astype(np.float32)
    (at / "h5.txt").write_text(f"{at}/a.h5\n{at}/b.h5\n")


def rows(at):
    """HDF5Data: the longest that a pass took, over both files and back."""
    for name, more in (("HDF5Data", ""), ("HDF5Data, shuffle", "shuffle: true"),
                       ("HDF5Data, shuffle_across_files", "shuffle_across_files: true")):
        made = net(f'layer {{ name: "d" type: "HDF5Data" top: "x" top: "y" '
                   f'hdf5_data_param {{ source: "{at}/h5.txt" batch_size: {BATCH} {more} }} }}')
        made.forward()
        longest, begin, count = 0.0, time.perf_counter(), 3 * ROWS // BATCH
        for _ in range(count):
            start = time.perf_counter()
            made.forward()
            longest = max(longest, time.perf_counter() - start)
            time.sleep(0.002)  # the computing of a net, without which a thread cannot read ahead
        rate = BATCH * count / (time.perf_counter() - begin - 0.002 * count)
        measured[name] = [rate]
        print(f"{name:44}{rate:12,.0f}{'longest pass':>20}{1e3 * longest:8.1f} ms", flush=True)


def training(at):
    """The share of a LeNet training in which it waits for data."""
    waited = [0.0]
    wait = Prefetcher._wait

    def timed(self):
        start = time.perf_counter()
        try:
            return wait(self)
        finally:
            waited[0] += time.perf_counter() - start

    Prefetcher._wait = timed
    try:
        rng.seed(1)
        text = LENET.read_text().replace('"train_lmdb"', f'"{at}/lmdb"').replace('"test_lmdb"', f'"{at}/lmdb"')
        definition = SolverParameter(base_lr=0.01, lr_policy="fixed", momentum=0.9, max_iter=1 << 30)
        definition.train_net_param.CopyFrom(parse(text, NetParameter()))
        solver = get_solver(definition)
        solver.step(50)
        waited[0], start = 0.0, time.perf_counter()
        solver.step(500)
        total = time.perf_counter() - start
    finally:
        Prefetcher._wait = wait
    print(f"{'LeNet 64, waiting for data':44}{100 * waited[0] / total:11.2f} % of {total:.1f} s")


class _Records:
    """The records of an LMDB, as a data set of PyTorch's."""

    def __init__(self, path):
        self.values = [value for _, value in LmdbSource(path).records()]

    def __len__(self):
        return len(self.values)

    def __getitem__(self, i):
        datum = Datum.FromString(self.values[i])
        shape = (datum.channels, datum.height, datum.width)
        return np.frombuffer(datum.data, np.uint8).reshape(shape) * np.float32(0.00390625), datum.label


class _Files:
    """Image files, as a data set of PyTorch's."""

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        import cv2

        cv2.setNumThreads(1)
        return cv2.imread(self.files[i]).transpose(2, 0, 1) * np.float32(0.00390625), i % 10


def torch_rows(what, kind, of, batch):
    """The same files through PyTorch's DataLoader."""
    try:
        from torch.utils.data import DataLoader
    except ImportError:
        print("PyTorch is not installed: no comparison")
        return
    data = kind(of)
    for workers in (0, 1, 2):
        loader = DataLoader(data, batch_size=BATCH if batch == 1 else batch, num_workers=workers,
                            persistent_workers=workers > 0)
        list(loader)
        row(f"DataLoader, {workers} workers, {what}", len(data), lambda loader=loader: [None for _ in loader])
