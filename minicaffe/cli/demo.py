"""Train Caffe's LeNet on Fashion-MNIST, and draw a picture of the result. Nothing is downloaded.

The images are those in examples/fashion_mnist, of a checkout or of the installed package. All that the demo makes goes
into one folder, with the net and the solver that it used. The commands that it prints at the end do the same by hand.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe import kernels
from minicaffe.cli import progress
from minicaffe.cli.flags import whole
from minicaffe.cli.terminal import say
from minicaffe.data.idx import write_idx_lmdb
from minicaffe.errors import DataError, SolverError
from minicaffe.io import prototxt
from minicaffe.net import Net
from minicaffe.proto import SolverParameter
from minicaffe.records import glog, picture, run_log
from minicaffe.solvers import get_solver

PACKAGE = Path(__file__).resolve().parents[1]
EXAMPLES = [folder / "examples" / "fashion_mnist" for folder in (PACKAGE.parent, PACKAGE)]  # a checkout's, a wheel's
NET, SOLVER = "lenet_train_test.prototxt", "lenet_solver.prototxt"
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
RIGHT, WRONG = 16, 8  # images in the picture that the net gets right, and wrong


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--iterations", metavar="N", type=whole, help="number of updates (default: 500)")
    parser.add_argument("--short", action="store_true", help="make 60 updates, only to see that everything works")
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="the folder examples/fashion_mnist of a checkout")
    parser.add_argument("--out", metavar="FOLDER", type=Path,
                        help="the folder to write into (default: run/ beside the data of a checkout, else "
                             "minicaffe_demo/ in the current folder)")


def run(args: argparse.Namespace) -> int:
    example = find_example(args.data)
    out = (args.out or default_out(example)).resolve()
    iterations = args.iterations if args.iterations is not None else 60 if args.short else 500
    if iterations < 1:
        raise SolverError(f"--iterations must be at least 1, got {iterations}")
    out.mkdir(parents=True, exist_ok=True)
    say(f"Everything goes into {out}")
    tested = prepare(example, out, iterations)
    with inside(out):
        accuracy = train(Path("train.log"))
    say(f"\nOf {tested} test images {100 * accuracy:.1f} % are recognised after {iterations} updates.\n")
    _tell(out, iterations)
    return 0


def find_example(given: Path | None) -> Path:
    """Return the folder with the images and the definitions. Raise DataError if there is none."""
    for folder in [given] if given else EXAMPLES:
        if (folder / "subset").is_dir() and (folder / NET).is_file():
            return folder.resolve()
    if given:
        raise DataError(f"{given} is not the example's folder: it holds no subset/ or no {NET}")
    raise DataError(f"this minicaffe was installed without the images of the demo: there is no {EXAMPLES[-1]}",
                    hint="install it again, or give --data CHECKOUT/examples/fashion_mnist")


def default_out(example: Path) -> Path:
    """Return the folder to write into: beside the data of a checkout, never among the files of an installed package."""
    return Path("minicaffe_demo") if PACKAGE in example.parents else example / "run"


def prepare(example: Path, out: Path, iterations: int) -> int:
    """Write the LMDBs and the definitions into `out`, and return the number of test images."""
    counts = []
    for name, prefix in (("train_lmdb", "train"), ("test_lmdb", "t10k")):
        files = example / "subset"
        counts.append(write_idx_lmdb(files / f"{prefix}-images-idx3-ubyte.gz",
                                     files / f"{prefix}-labels-idx1-ubyte.gz", out / name))
        say(f"  {name}: {counts[-1]} images")
    shutil.copyfile(example / NET, out / NET)
    solver = prototxt.read(str(example / SOLVER), SolverParameter())
    solver.MergeFrom(SolverParameter(max_iter=iterations, test_interval=max(1, iterations // 5), display=10,
                                     random_seed=1, snapshot=iterations))
    solver.test_iter[:] = [counts[1] // 100]  # the net tests in batches of 100
    prototxt.write(str(out / SOLVER), solver)
    return counts[1]


def train(log: Path) -> float:
    """Train as the definitions in the current folder say, draw the picture, and return the last accuracy."""
    with open(log, "w", encoding="utf-8") as lines, glog.writing(lines), progress.reporting() as report:
        solver = get_solver(SOLVER)
        with report.following(solver):
            solver.solve()
    accuracy = run_log.read(log).test["accuracy"][-1][1]
    if picture.available():  # matplotlib is optional: without it the demo has no picture
        title = f"LeNet on Fashion-MNIST: {solver.iter} updates, {100 * accuracy:.1f} % of the test images right"
        picture.draw(Path("demo.png"), log, classify(solver.test_nets[0]), title)
    return accuracy


def classify(net: Net) -> list[picture.Classified]:
    """Return some test images that the net classifies right, then some that it classifies wrong."""
    right: list[picture.Classified] = []
    wrong: list[picture.Classified] = []
    for _ in range(5):
        net.forward()
        scores = net.blobs["ip2"].data
        probabilities = kernels.softmax(scores, 1, out=np.empty_like(scores))
        for pixels, label, p in zip(net.blobs["data"].data, net.blobs["label"].data.astype(int), probabilities,
                                    strict=True):
            best = int(p.argmax())
            found = picture.Classified(pixels[0].copy(), CLASSES[label], CLASSES[best], float(p[best]))
            (right if best == label else wrong).append(found)
    return right[:RIGHT] + wrong[:WRONG]


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Make `folder` the current one while the block runs: the paths in the definitions start there."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _tell(out: Path, iterations: int) -> None:
    """Say what files were made, and which commands make them by hand."""
    made: list[tuple[str, Any]] = [
        ("train.log", "the log, in Caffe's format"),
        (f"lenet_iter_{iterations}.caffemodel", "the learned weights; beside it the .solverstate to go on from"),
        ("demo.png", "the curves, and some images with the class that the net gives them")]
    for name, what in made:
        if (out / name).is_file():
            say(f"  {name:30}{what}")
    if not picture.available():
        say("  (no picture: pip install 'minicaffe[plot]')")
    activate = Path(sys.prefix) / "bin" / "activate"
    on_path = shutil.which("minicaffe") or not activate.is_file()
    say("\nThe same by hand:\n" + ("" if on_path else f"  . {os.path.relpath(activate)}\n") +
        f"  cd {os.path.relpath(out)}\n"
        f"  minicaffe train --solver {SOLVER}\n"
        f"  minicaffe test --model {NET} --weights lenet_iter_{iterations}.caffemodel --iterations 10")
