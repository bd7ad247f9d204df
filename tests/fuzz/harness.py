"""Damage files in a thousand random places and read them: an error of ours or a load, within twice the file's size.

    python tests/fuzz/harness.py caffemodel h5-weights --cases 1000 --seed 1
    python tests/fuzz/harness.py --cases 100000          every kind; `make fuzz`
    python tests/fuzz/harness.py lmdb --only 417         one case again, with its traceback

A crash ends the process: the last line then names the case. So does a read that takes longer than 20 seconds.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minicaffe import proto
from minicaffe.data import hdf5 as hdf5_data
from minicaffe.data import idx
from minicaffe.data.datum import make, parse
from minicaffe.data.lmdb import LmdbSource, write_lmdb
from minicaffe.errors import MinicaffeError
from minicaffe.io import binary, hdf5, prototxt, solverstate, weights
from minicaffe.io.binary import LayerWeights, SolverSnapshot
from minicaffe.solvers.resume import resume_file

SLACK = 160_000  # bytes: an error with its words, its traceback and the names that stand beside the file
C_SLACK = 100_000_000  # bytes by which a process may grow, with what tracemalloc itself needs
HANG = 20  # seconds


class Kind(NamedTuple):
    """How a file of a kind is made, and how it is read."""

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def layers() -> list[LayerWeights]:
    """Weights with layers without blobs, names with slashes, both number types and a blob of no axis."""
    draw = np.random.default_rng(5)
    return [LayerWeights("data", "Input", []),
            LayerWeights("conv", "Convolution", [draw.normal(size=(5, 3, 2, 4)).astype("f4"), draw.normal(size=5)]),
            LayerWeights("in/1x1", "InnerProduct", [draw.normal(size=(7, 30)).astype("f4")]),
            LayerWeights("in/1x1/scale", "Scale", [np.float32(draw.normal(size=())).reshape(())])]


def state() -> SolverSnapshot:
    """A solver state with three blobs of history."""
    draw = np.random.default_rng(6)
    return SolverSnapshot(300, "a.caffemodel", 2, [draw.normal(size=s).astype("f4") for s in ((5, 3), (5,), (7, 30))])


def old_weights(path: Path) -> None:
    """A V1 net with shapes of four numbers and numbers stored one by one."""
    net = proto.NetParameter(name="old", input=["data"], input_dim=[1, 3, 8, 9])
    for i in range(3):
        blob = proto.BlobProto(num=1, channels=1, height=4, width=7, data=[0.5] * 28)
        net.layers.add(name=f"ip{i}", type=proto.V1LayerParameter.INNER_PRODUCT, blobs=[blob])
    last = proto.BlobProto(num=1, channels=1, height=1, width=9).SerializeToString()
    net.layers.add(name="v0").blobs.add().MergeFromString(last + b"\x2d\0\0\x80\x3f" * 9)
    path.write_bytes(net.SerializeToString())


def definition() -> object:
    """A small net with most kinds of fields."""
    net = proto.NetParameter(name="net", force_backward=True)
    for i in range(4):
        layer = net.layer.add(name=f"conv{i}", type="Convolution", bottom=["a", "b"], top=["c"], phase=proto.TEST,
                              loss_weight=[0.5, 2])
        layer.param.add(name="w", lr_mult=2)
        layer.include.add(stage=["s"], min_level=1)
        layer.convolution_param.num_output = 5
        layer.convolution_param.weight_filler.type = "xavier"
        layer.transform_param.mean_value.extend([1, 2, 3])
    return net


def records(count: int) -> list[tuple[str, object]]:
    """Return database records of images, some of which are so large that LMDB stores them in pages of their own."""
    draw = np.random.default_rng(7)
    images = [draw.integers(256, size=(3, 40 if i % 10 == 0 else 7, 9), dtype=np.uint8) for i in range(count)]
    return [(f"{i:04d}", make(image, i)) for i, image in enumerate(images)]


def read_records(path: Path) -> None:
    """Each record of an LMDB, decoded."""
    for key, value in LmdbSource(path).records():
        parse(value, str(key))


def write_idx(path: Path) -> None:
    """Images as MNIST's files hold them."""
    path.write_bytes(b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (6, 5, 7)) + bytes(range(210)))


def write_rows(path: Path) -> None:
    """A file for an HDF5Data layer."""
    draw = np.random.default_rng(8)
    hdf5.write_file(path, lambda file: [file.create_dataset(name, data=draw.normal(size=shape).astype("f4"))
                                        for name, shape in (("data", (6, 3, 5)), ("label", (6,)))])


def save_lmdb(path: Path) -> None:
    """The data.mdb alone."""
    write_lmdb(path.with_name("lmdb"), records(90))
    (path.with_name("lmdb") / "data.mdb").rename(path)


def fork_net(path: Path) -> None:
    """Layers with numbers of two forks that BVLC gives to other fields."""
    nets = Path(__file__).parent.parent / "proto" / "dialects"
    path.write_bytes(b"".join((nets / f"{name}.caffemodel").read_bytes() for name in ("segnet", "frcnn")))


def read_fork_net(path: Path) -> None:
    """The net with its fork guessed, and with its fork named."""
    for dialect in (None, "segnet"):
        binary.read(path, proto.NetParameter(), dialect)


def detector() -> object:
    """A detector of a fork, as its prototxt has it."""
    net = proto.NetParameter(name="ssd", input=["data"])
    for i in range(2):
        prior = net.layer.add(name=f"prior{i}", type="PriorBox", bottom=["conv", "data"], top=["prior"]).prior_box_param
        prior.min_size.append(20)
        prior.variance.extend([0.1, 0.2])
        out = net.layer.add(name=f"out{i}", type="DetectionOutput", top=["out"]).detection_output_param
        out.num_classes, out.code_type, out.nms_param.top_k = 21, proto.PriorBoxParameter.CENTER_SIZE, 400
        net.layer.add(name=f"up{i}", type="Upsample").upsample_param.scale = 2
        net.layer.add(name=f"v3{i}", type="Yolov3DetectionOutput").yolov3_detection_output_param.biases.extend([1, 2])
    return net


KINDS = [
    Kind("caffemodel", lambda path: weights.write(path, layers()), weights.read),
    Kind("caffemodel-v1", old_weights, weights.read),
    Kind("caffemodel-whole", lambda path: weights.write(path, layers()),
         lambda path: binary.read(path, proto.NetParameter())),
    Kind("caffemodel-fork", fork_net, read_fork_net),
    Kind("solverstate", lambda path: solverstate.write(path, state()), solverstate.read),
    Kind("resume", lambda path: resume_file.store(path, {"iter": 3, "nets": [{"h": np.arange(70.0).reshape(7, 10)}]}),
         resume_file.read),
    Kind("h5-weights", lambda path: weights.write(path, layers()), weights.read),
    Kind("h5-state", lambda path: solverstate.write(path, state()), solverstate.read),
    Kind("h5-data", write_rows, lambda path: hdf5_data.HDF5Rows([str(path)], ["data", "label"]).read(np.arange(6))),
    Kind("npz", lambda path: weights.write(path, layers()), weights.read),
    Kind("safetensors", lambda path: weights.write(path, layers()), weights.read),
    Kind("binaryproto", lambda path: binary.write_blob(path, np.ones((1, 3, 7, 5), np.float32)), binary.read_blob),
    Kind("prototxt", lambda path: prototxt.write(path, definition()),
         lambda path: prototxt.read(path, proto.NetParameter())),
    Kind("prototxt-fork", lambda path: prototxt.write(path, detector()),
         lambda path: prototxt.read(path, proto.NetParameter())),
    Kind("yaml", lambda path: prototxt.write(path, definition()),
         lambda path: prototxt.read(path, proto.NetParameter())),
    Kind("lmdb", save_lmdb, read_records),
    Kind("idx", write_idx, idx.read_idx),
]
SUFFIXES = {"caffemodel-v1": "caffemodel", "caffemodel-whole": "caffemodel", "caffemodel-fork": "caffemodel",
            "prototxt-fork": "prototxt", "h5-weights": "caffemodel.h5", "h5-state": "solverstate.h5", "h5-data": "h5",
            "lmdb": "mdb"}


def damaged(good: bytes, draw: random.Random) -> bytes:
    """The file with some bits flipped, bytes changed, a part repeated, or cut."""
    bad = bytearray(good)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        at = draw.randrange(len(bad) if draw.random() < 0.6 else min(len(bad), 400))  # heads matter more
        how = draw.randrange(6)
        if how < 2:
            bad[at] ^= 1 << draw.randrange(8)
        elif how == 2:
            bad[at] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
        elif how == 3:
            bad[at : at + draw.choice([2, 4, 8])] = draw.choice([b"\0" * 8, b"\xff" * 8, draw.randbytes(8)])
        elif how == 4:
            other = draw.randrange(len(bad))
            bad[at : at + 8] = bad[other : other + draw.choice([4, 8, 12])]
        else:
            bad = bad[: max(1, at)]
    return bytes(bad)


def try_one(kind: Kind, path: Path, bad: bytes) -> str:
    """Return 'error' or 'load', and after it a complaint if that took too much memory."""
    path.write_bytes(bad)
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    try:
        kind.read(path)
        outcome = "load"
    except MinicaffeError as error:
        outcome = "error"
        if len(str(error)) < 20:
            outcome = f"error without words: {error}"
    peak = tracemalloc.get_traced_memory()[1] - before
    return f"{outcome}, but {peak} bytes of memory for {len(bad)}" if peak > 2 * len(bad) + SLACK else outcome


def fuzz(kind: Kind, cases: range, seed: int, folder: Path) -> Counter[str]:
    """Return how the cases of a kind ended."""
    path = folder / f"f.{SUFFIXES.get(kind.name, kind.name)}"
    kind.write(path)
    good = path.read_bytes()
    kind.read(path)
    for case in range(40):  # modules and caches that the first errors fill are no cost of a file
        try_one(kind, path, damaged(good, random.Random(f"warm {case}")))
    outcomes: Counter[str] = Counter()
    resident = max_resident()
    tracemalloc.start()
    for case in cases:
        if sys.stderr.isatty() or case % 1000 == 0:  # so that a crash shows where, in a log to the thousand
            end = "" if sys.stderr.isatty() else "\n"
            print(f"\r{kind.name} --only {case} --seed {seed}", end=end, file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(HANG, exit=True)
        bad = damaged(good, random.Random(f"{seed} {case}"))
        outcome = try_one(kind, path, bad)
        if "memory" in outcome:  # unless it was the first to need a module or a table, it does so again
            outcome = try_one(kind, path, bad)
        outcomes[outcome] += 1
    faulthandler.cancel_dump_traceback_later()
    tracemalloc.stop()
    print(file=sys.stderr)
    grown = max_resident() - resident
    if grown > C_SLACK:
        outcomes[f"the process grew by {grown} bytes"] += 1
    return outcomes


def max_resident() -> int:
    """Return the most bytes that this process has used, C libraries included; 0 if the system does not count."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> int:
    """Run the cases, say how they ended, and return 1 if one took too much memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=[], help=", ".join(kind.name for kind in KINDS))
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1701)
    parser.add_argument("--only", type=int)
    args = parser.parse_args()
    cases = range(args.cases) if args.only is None else range(args.only, args.only + 1)
    faulthandler.enable()
    warnings.simplefilter("error")
    failed = False
    for kind in KINDS:
        if args.kinds and kind.name not in args.kinds:
            continue
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            outcomes = fuzz(kind, cases, args.seed, Path(folder))
        print(f"{kind.name}: {dict(outcomes)} in {time.perf_counter() - begin:.1f} s", flush=True)
        failed |= bool(set(outcomes) - {"error", "load"})
    return int(failed)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
