"""The data of the templates of `minicaffe new`, made from the images of the demo or from formulas.

Each function writes into a folder and returns what it wrote: name -> what it is. The numbers are the same each time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicaffe.cli import demo
from minicaffe.cli.terminal import say
from minicaffe.data import datum
from minicaffe.data.idx import read_idx
from minicaffe.data.lmdb import write_lmdb
from minicaffe.io import hdf5, weights
from minicaffe.records import glog
from minicaffe.solvers import get_solver

SEED = 1


class Images(NamedTuple):
    """Grey images, uint8 (N, 28, 28), and their classes (N)."""

    pixels: np.ndarray
    classes: np.ndarray

    def of(self, chosen: np.ndarray) -> Images:
        """Return the chosen images: their numbers, or a mask."""
        return Images(self.pixels[chosen], self.classes[chosen])


def clothes() -> tuple[Images, Images]:
    """Return the 5,000 images to train with and the 1,000 to test with of examples/fashion_mnist."""
    folder = demo.find_example(None) / "subset"
    train, test = (Images(*(read_idx(folder / f"{prefix}-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1")))
                   for prefix in ("train", "t10k"))
    return train, test


def grey(folder: Path) -> dict[str, str]:
    """Write LMDBs of the images as they are."""
    return _lmdbs(folder, [(images.pixels[:, None], images.classes) for images in clothes()])


def coloured(folder: Path) -> dict[str, str]:
    """Write LMDBs of 3×32×32 images: each piece of clothing in a random colour, before another random colour."""
    draw = np.random.default_rng(SEED)
    return _lmdbs(folder, [(np.pad(_painted(images, 3, draw), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge"),
                            images.classes) for images in clothes()])


def _painted(images: Images, channels: int, draw: np.random.Generator) -> np.ndarray:
    """Return the images (N, channels, 28, 28) in random colours: one for the cloth and one for what is behind it."""
    cloth = images.pixels[:, None] / 255.0
    colours, behind = draw.uniform(0, 255, (2, len(cloth), channels, 1, 1))
    return (cloth * colours + (1 - cloth) * behind).astype(np.uint8)


def pairs(folder: Path) -> dict[str, str]:
    """Write LMDBs of pairs: two images as the channels of one, with label 1 where both are of one class.

    Each image is in one pair as the first. Half of the pairs are of one class.
    """
    draw = np.random.default_rng(SEED)
    parts = []
    for images in clothes():
        members = [np.flatnonzero(images.classes == c) for c in range(10)]
        similar = draw.permutation(np.arange(len(images.classes)) % 2)
        partners = (images.classes + np.where(similar, 0, draw.integers(1, 10, len(similar)))) % 10
        second = np.array([draw.choice(members[c]) for c in partners])
        parts.append((np.stack([images.pixels, images.pixels[second]], axis=1), similar))
    return _lmdbs(folder, parts, "pairs of images")


def spiral(folder: Path) -> dict[str, str]:
    """Write HDF5 files with the points (N, 2) of three arms of a spiral, and the arm of each (N)."""
    draw = np.random.default_rng(SEED)
    written: dict[str, str] = {}
    for name, count in (("train", 1500), ("test", 600)):
        arm = np.arange(count) % 3
        radius = draw.uniform(0.1, 1, count)
        angle = 2 * np.pi * arm / 3 + 4 * radius + draw.normal(0, 0.15, count)
        points = 2 * radius * np.stack([np.cos(angle), np.sin(angle)])
        written |= _hdf5(folder, name, points.T, arm, f"{count:,} rows of two numbers, in three classes")
    return written


def two_in_one(folder: Path) -> dict[str, str]:
    """Write HDF5 files with images (N, 1, 28, 56) of two pieces of clothing, and which of ten kinds (N, 10)."""
    draw = np.random.default_rng(SEED)
    written: dict[str, str] = {}
    for name, count, images in zip(("train", "test"), (1500, 300), clothes(), strict=True):
        left, right = (images.of(draw.permutation(len(images.classes))[:count]) for _ in range(2))
        labels = np.zeros((count, 10))
        for side in (left, right):
            labels[np.arange(count), side.classes] = 1
        pixels = np.concatenate([left.pixels, right.pixels], axis=2)[:, None] / 256
        written |= _hdf5(folder, name, pixels, labels, f"{count:,} images with ten labels each")
    return written


def few(folder: Path) -> dict[str, str]:
    """Write LMDBs of many images of classes 0 to 4 and few of 5 to 9, and the weights of a net trained on the former.

    The images have random tones of grey. They are hard to tell apart without good filters, which the weights bring.
    """
    draw = np.random.default_rng(SEED)
    train, test = clothes()
    old, new, tested = train.of(train.classes < 5), train.of(train.classes >= 5), test.of(test.classes >= 5)
    written = _lmdb(folder, "many_lmdb", _painted(old, 1, draw), old.classes, "images of classes 0 to 4")
    for name, images in (("train_lmdb", new.of(np.arange(100))), ("test_lmdb", tested)):
        written |= _lmdb(folder, name, _painted(images, 1, draw), images.classes - 5, "images of five other classes")
    say("Training a net to begin with, on the images of classes 0 to 4 ...")
    with demo.inside(folder), open("pretrained.log", "w", encoding="utf-8") as lines, glog.writing(lines):
        solver = get_solver("pretrained_solver.prototxt")
        solver.param.snapshot_after_train = False  # only the weights are of use
        solver.solve()
        weights.save("pretrained.caffemodel", solver.net)
    return {**written, "pretrained.log": "the log of its training",
            "pretrained.caffemodel": f"the weights that it learned in {solver.iter} updates"}


MAKERS: dict[str, Callable[[Path], dict[str, str]]] = {
    "lenet": grey, "cifar": coloured, "mlp": spiral, "finetune": few, "siamese": pairs, "autoencoder": grey,
    "multilabel": two_in_one}


def _lmdbs(folder: Path, parts: list[tuple[np.ndarray, np.ndarray]], what: str = "images") -> dict[str, str]:
    """Write the images (N, C, H, W) and classes of training and of test as train_lmdb and test_lmdb."""
    (images, classes), (tested, answers) = parts
    return (_lmdb(folder, "train_lmdb", images, classes, f"{what} to train with")
            | _lmdb(folder, "test_lmdb", tested, answers, f"{what} to test with"))


def _lmdb(folder: Path, name: str, images: np.ndarray, labels: np.ndarray, what: str) -> dict[str, str]:
    records = ((f"{i:08d}", datum.make(image, label))
               for i, (image, label) in enumerate(zip(images, labels, strict=True)))
    return {name: f"{write_lmdb(folder / name, records):,} {what}"}


def _hdf5(folder: Path, name: str, data: np.ndarray, label: np.ndarray, what: str) -> dict[str, str]:
    """Write NAME.h5 with two datasets, and NAME.txt, the list in which an HDF5Data layer finds it."""

    def fill(file: Any) -> None:
        file["data"], file["label"] = data.astype(np.float32), label.astype(np.float32)

    hdf5.write_file(folder / f"{name}.h5", fill)
    (folder / f"{name}.txt").write_text(f"{name}.h5\n", encoding="utf-8")
    return {f"{name}.h5": what, f"{name}.txt": f"the list that names {name}.h5"}
