"""Real numbers with which a conversion is proved: the files of --inputs, or the samples of the net's data layer."""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minicaffe.analysis import data_tops
from minicaffe.cli.classify import find_images
from minicaffe.cli.deploy import first_samples
from minicaffe.cli.flags import filled
from minicaffe.cli.image_layer import Plan
from minicaffe.cli.leaving import Leaving
from minicaffe.convert import proof
from minicaffe.data.preprocess import Preprocessing
from minicaffe.errors import DataError, MinicaffeError, NetError
from minicaffe.io.file_bytes import read_file
from minicaffe.io.files import read_bytes
from minicaffe.log import shape_text
from minicaffe.net import Net

SAMPLES = 4  # of the net's own data
ARRAYS = (".npy", ".npz")


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add --inputs."""
    parser.add_argument("--inputs", metavar="F", type=filled, action="append", default=[],
                        help="prove the conversion with these numbers too: images, folders of images or patterns, an "
                             ".npy file with an array for the net's only input, or an .npz file with an array for each "
                             "input (default: the first samples of the net's data layer, where they are there)")


def real_runs(args: argparse.Namespace, made: Leaving, net: Net, plan: Plan | None) -> Iterator[proof.Run]:
    """Run the net on real numbers, where there are some. `net` may have another batch size than they have."""
    images = [name for name in args.inputs if not name.lower().endswith(ARRAYS)]
    for name in args.inputs:
        if name not in images:
            yield from _in_batches(made, net, name, _arrays(net, name))
    if images:
        yield from _in_batches(made, net, " ".join(images), {net.inputs[0]: _images(net, images, plan)})
    elif made.data is not None and (samples := _samples(made, net)):
        yield from _in_batches(made, net, f"the first samples of {data_tops.source(made.data)}", samples)


def _samples(made: Leaving, net: Net) -> dict[str, np.ndarray]:
    """Return the first samples of the net's data layer by the names of the inputs; {} where they do not fit, or are not
    there.
    """
    try:
        found, _ = first_samples(made.data, SAMPLES) if data_tops.source(made.data) else ({}, "")
    except MinicaffeError:
        return {}
    fitting = {name: found[name] for name in net.inputs
               if name in found and found[name].shape[1:] == net.blobs[name].shape[1:]}
    return fitting if len(fitting) == len(net.inputs) else {}


def _arrays(net: Net, path: str) -> dict[str, np.ndarray]:
    """Return the arrays in an .npy or .npz file by the names of the inputs."""
    content = io.BytesIO(read_file(path, "the file of --inputs"))
    try:
        found: Any = np.load(content, allow_pickle=False)
        single = isinstance(found, np.ndarray)
        arrays = {net.inputs[0]: found} if single else {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"--inputs: cannot read {path}: {error}") from error
    if single and len(net.inputs) != 1:
        raise DataError(f"--inputs: {path} holds one array, but the net has the inputs {', '.join(net.inputs)}",
                        hint="give an .npz file with an array for each: np.savez('inputs.npz', NAME=array, ...)")
    if set(arrays) != set(net.inputs):
        raise DataError(f"--inputs: {path} holds {', '.join(sorted(arrays)) or 'nothing'}, but the net has the inputs "
                        f"{', '.join(net.inputs)}")
    return arrays


def _images(net: Net, named: Sequence[str], plan: Plan | None) -> np.ndarray:
    """Return image files as the net takes them."""
    shape = net.blobs[net.inputs[0]].shape
    if len(net.inputs) != 1 or len(shape) != 4:
        raise NetError(f"--inputs {named[0]}: images go into a single input N×C×H×W, but those of this net are "
                       + ", ".join(f"{name} {shape_text(net.blobs[name].shape)}" for name in net.inputs),
                       hint="give an .npz file with an array for each input")
    prepared = plan.preprocessing if plan else Preprocessing(size=(shape[2], shape[3]))
    if prepared.color is None:
        prepared.color = shape[1] != 1
    paths = find_images(named)
    return prepared([prepared.decode(read_bytes(path), path) for path in paths], paths)


def _in_batches(made: Leaving, net: Net, kind: str, arrays: dict[str, np.ndarray]) -> Iterator[proof.Run]:
    """Run the net on arrays, in batches as large as its own. The last one is filled up with the first samples.

    An array that is as long as the input is one batch, whatever its first axis means.
    """
    axes = {name: made.batch_axis(name) for name in arrays}
    for name, values in arrays.items():
        shape = net.blobs[name].shape
        if values.ndim != len(shape) or not values.size \
                or np.delete(values.shape, axes[name]).tolist() != np.delete(shape, axes[name]).tolist():
            raise DataError(f"--inputs: {kind} has {shape_text(values.shape)} for the input {name!r}, which takes "
                            f"{shape_text(shape)}", hint=f"axis {axes[name]}, that of the batch, may have another size")
    sizes = {name: net.blobs[name].shape[axes[name]] for name in arrays}
    for k in range(max(-(-values.shape[axes[name]] // sizes[name]) for name, values in arrays.items())):
        batch = {name: np.take(values, range(k * sizes[name], (k + 1) * sizes[name]), axis=axes[name], mode="wrap")
                 for name, values in arrays.items()}
        yield proof.run_on(net, kind, batch, made.outputs)
