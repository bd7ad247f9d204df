"""When the gradients of a training step are complete, layer by layer: what the cost model computes overlap from."""

from __future__ import annotations

import statistics
import time

import numpy as np
import sides
from growth import repeated
from timed_nets import NETS
from training import make_solver

from minicaffe import kernels, rng
from minicaffe.net import hooks

UPDATES = 7


def recorded(name, threads, engine):
    """The times of one net, taken in a process of its own with so many threads; see cost_model.Timed."""
    side = sides.Side(name, "backward_times:times", threads=threads, net=name, engine=engine)
    side.close()
    return side.facts


def times(_folder, net, engine):
    """The side that takes the times: medians over some updates."""
    kernels.use_engine(engine)
    rng.seed(1)
    solver = make_solver(NETS[net][0](NETS[net][1]).net)
    layers = [i for i, layer in reversed(list(enumerate(solver.net.layers))) if layer.blobs]
    moments = []

    def note(_i=None):
        moments[-1].append(time.perf_counter())

    solver.on_start.append(lambda: moments.append([time.perf_counter()]))
    solver.net.after_backward.append(hooks.at(layers, note))
    solver.on_gradients_ready.append(note)
    solver.on_update.append(note)
    solver.step(4 + UPDATES)  # the first compile and record
    *done, part, update = np.median(np.diff(np.array(moments[4:]), axis=1).cumsum(1), axis=0)
    sizes = [sum(blob.data.nbytes for blob in solver.net.layers[i].blobs) for i in layers]
    return None, {"layers": list(zip(sizes, done, strict=True)), "part": part, "update": update - part,
                  "add": add_seconds()}


def add_seconds(size=1 << 19, count=16):
    """γ: seconds a byte takes to be added to another, in arrays that are not in the cache any more."""
    arrays = np.ones((2 * count, size), np.float32)

    def add():
        for i in range(count):
            kernels.for_blocks([arrays[i], arrays[count + i]], lambda a, b: np.add(a, b, out=a))

    return statistics.median(repeated(add, 3, 0.1)) / (count * size * 4)
