"""Snapshots: a training in a file, from which it goes on as if it had never stopped."""

import json
import os

import numpy as np

STATES = ("state", "cell")  # blobs of a layer over time that go from one batch to the next; most layers have none


def states_of(training):
    """The blobs that layers hand on, by name."""
    return {f"{name}/{i}": getattr(layer, name) for i, layer in enumerate(training.net.layers)
            for name in STATES if hasattr(layer, name)}


def save(training, path):
    solver = training.solver
    arrays = {
        "iteration": solver.iteration,
        "order": training.order,
        "place": training.place,
        "rng": np.array(json.dumps(training.rng.bit_generator.state)),
    }
    for i, blob in enumerate(training.net.params):
        arrays[f"weights/{i}"] = blob.data
        arrays[f"history/{i}"] = solver.history[i]
    for name, blob in states_of(training).items():
        arrays[name] = blob.data
    part = path + ".part"
    with open(part, "wb") as file:
        np.savez(file, **arrays)
    os.replace(part, path)


def restore(training, path):
    with np.load(path) as file:
        arrays = dict(file)
    params, solver = training.net.params, training.solver
    shapes = {f"weights/{i}": blob.shape for i, blob in enumerate(params)}
    stored = {name: array.shape for name, array in arrays.items() if name.startswith("weights/")}
    if stored != shapes:
        raise ValueError(f"{path} has weights of the shapes {stored}, the net needs {shapes}")
    for i, blob in enumerate(params):
        blob.data[...] = arrays[f"weights/{i}"]
        solver.history[i][...] = arrays[f"history/{i}"]
    for name, blob in states_of(training).items():
        blob.reshape(arrays[name].shape)
        blob.data[...] = arrays[name]
    solver.iteration = int(arrays["iteration"])
    training.order = arrays["order"]
    training.place = int(arrays["place"])
    training.rng.bit_generator.state = json.loads(str(arrays["rng"]))
