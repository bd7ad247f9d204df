"""Measure one image through nets of forks, beside OpenCV 4 and ncnn where they are installed.

    pip install 'opencv-python-headless<5' ncnn      only for the comparison
    .venv/bin/python tests/benchmarks/forks.py FOLDER --nets rfb pelee --rounds 25

FOLDER holds NAME.prototxt and NAME.caffemodel, and NAME.param where ncnn has the same net. Without NAME.bin, ncnn runs
on zeros. OpenCV reads DepthwiseConvolution as the grouped Convolution that it is.

The sides take turns, one pass each, in one process and on the same number of threads. A row quotes the median and the
least milliseconds of each side, and the medians of the rounds' ratios. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from machine import machine

from minicaffe import kernels
from minicaffe.net import Net
from minicaffe.proto import TEST


def minicaffe_side(path, x):
    """Our net; calling it feeds x and runs a pass."""
    net = Net(str(path), TEST, weights=str(path.with_suffix(".caffemodel")))
    blob = net.blobs[net.inputs[0] if net.inputs else "data"]

    def run():
        blob.data[...] = x(blob.shape)
        net.forward()

    run()
    return run


def opencv_side(path, x):
    """OpenCV's net for the same, or None where it cannot read it."""
    try:
        import cv2
    except ImportError:
        return None
    text = path.read_text().replace('"DepthwiseConvolution"', '"Convolution"')
    cv2.setNumThreads(kernels.threads())
    try:
        weights = path.with_suffix(".caffemodel").read_bytes()
        net = cv2.dnn.readNetFromCaffe(*(np.frombuffer(data, np.uint8) for data in (text.encode(), weights)))
        names = net.getUnconnectedOutLayersNames()

        def run():
            net.setInput(x(None))
            net.forward(names)

        run()
    except cv2.error as error:
        print(f"OpenCV: {path.stem}: {str(error).strip().splitlines()[0][:90]}")
        return None
    return run


def ncnn_side(path, x):
    """ncnn's net for the same in float32, or None where there is none."""
    try:
        import ncnn
    except ImportError:
        return None
    if not path.with_suffix(".param").exists():
        return None
    net = ncnn.Net()
    net.opt.num_threads = kernels.threads()
    net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    net.load_param(str(path.with_suffix(".param")))
    weights = path.with_suffix(".bin")
    net.load_model(str(weights) if weights.exists() else ncnn.DataReaderFromEmpty())

    def run():
        pass_ = net.create_extractor()
        pass_.input(net.input_names()[0], ncnn.Mat(x(None)[0]))
        return [pass_.extract(name) for name in net.output_names()]

    return run


def measure(path, rounds):
    """The times of each side, by its name: seconds of every round."""
    made = []

    def x(shape):
        if not made:
            made.append((np.random.default_rng(0).standard_normal(shape) * 50).astype(np.float32))
        return made[0]

    sides = {"minicaffe": minicaffe_side(path, x), "OpenCV": opencv_side(path, x), "ncnn": ncnn_side(path, x)}
    sides = {name: run for name, run in sides.items() if run}
    times = {name: [] for name in sides}
    for i in range(rounds + 3):
        for name in list(sides) if i % 2 else reversed(sides):
            time.sleep(0.002)  # threads of the side before, which still wait for work, go to sleep
            start = time.perf_counter()
            sides[name]()
            if i > 2:  # the first rounds warm up
                times[name].append(time.perf_counter() - start)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nets", nargs="+", help="names of nets; all of the folder if not given")
    parser.add_argument("--rounds", type=int, default=25)
    args = parser.parse_args()
    print(machine(), f"{kernels.threads()} threads")
    for name in args.nets or sorted(path.stem for path in args.folder.glob("*.prototxt")):
        times = measure(args.folder / f"{name}.prototxt", args.rounds)
        ours = times["minicaffe"]
        row = f"{name:16}"
        for side, theirs in times.items():
            row += f"  {side} {1e3 * statistics.median(theirs):.1f} ms (least {1e3 * min(theirs):.1f})"
            if side != "minicaffe":
                row += f", ratio {statistics.median(t / o for t, o in zip(theirs, ours, strict=True)):.2f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
