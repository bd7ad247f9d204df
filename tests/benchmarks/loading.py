"""Reading a caffemodel of CaffeNet's size."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import sides
from memory import peak_memory
from timed_nets import NETS

from minicaffe.io.binary import read_weights, write_weights
from minicaffe.net import Net


def run(_args, report):
    """Reading a caffemodel of CaffeNet's size: seconds, and memory over the arrays it gives."""
    net = NETS["caffenet"][0](1).net
    with tempfile.TemporaryDirectory() as folder:
        made = Net(net)
        write_weights(Path(folder, "caffenet.caffemodel"), net,
                      {name: [blob.data for blob in blobs] for name, blobs in made.params.items()})
        del made
        side = sides.Side("load", "loading:load", folder)  # a process of its own, so that the peak is this load's alone
        side.close()
    known = side.facts
    print(f"load {known['size'] / 1e6:.0f} MB: {known['seconds']:.2f} s, peak {known['peak'] / 1e6:.0f} MB, "
          f"{(known['peak'] - known['arrays']) / known['size']:.2f} times the file over the result")
    report.add("load", "seconds", [known["seconds"]])
    report.add("load", "peak", [known["peak"]], "bytes")


def load(folder):
    """Load the file once; what that took is in the facts."""
    path, before, start = folder / "caffenet.caffemodel", peak_memory(), time.perf_counter()
    arrays = [array for layer in read_weights(path) for array in layer.blobs]
    return None, {"seconds": time.perf_counter() - start, "peak": peak_memory() - before,
                  "size": os.path.getsize(path), "arrays": sum(array.nbytes for array in arrays)}
