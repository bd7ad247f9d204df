"""A training that shows each way in which the number of processes could change a bit.

Its net has crops, mirrors and Dropout, which draw; BatchNorm, which measures; two losses that ignore labels, in
different proportions, and divide by the number of those that count; and weights that two layers share. An epoch ends
within a batch, and in some batches no label counts. A test net decides on the rate, as the test of the loss does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from extras import needs

from minicaffe.proto import Datum
from minicaffe.solvers.resume import resume_file

UPDATES = 20
SHARDS = 4
IMAGES = 31

LMDB = """
layer { name: "data" type: "Data" top: "x" top: "t" transform_param { scale: 0.01 crop_size: 5 mirror: true }
        data_param { source: "../db" batch_size: 3 backend: LMDB } include { phase: TRAIN } }
"""
FILES = """
layer { name: "data" type: "ImageData" top: "x" top: "t" transform_param { scale: 0.01 crop_size: 5 mirror: true }
        image_data_param { source: "../images.txt" batch_size: 3 shuffle: true } include { phase: TRAIN } }
layer { name: "rows" type: "HDF5Data" top: "goal" include { phase: TRAIN }
        hdf5_data_param { source: "../rows.txt" batch_size: 3 shuffle: true } }
"""
NET = """
layer { name: "data" type: "Data" top: "x" top: "t" transform_param { scale: 0.01 crop_size: 5 }
        data_param { source: "../db" batch_size: 2 backend: LMDB } include { phase: TEST } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
        convolution_param { num_output: 6 kernel_size: 2 weight_filler { type: "xavier" } } }
layer { name: "norm" type: "BatchNorm" bottom: "conv" top: "norm" batch_norm_param { moving_average_fraction: 0.9 } }
layer { name: "relu" type: "ReLU" bottom: "norm" top: "norm" }
layer { name: "first" type: "InnerProduct" bottom: "norm" top: "first"
        inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "first" top: "dropped" dropout_param { dropout_ratio: 0.3 } }
layer { name: "clear" type: "InnerProduct" bottom: "first" top: "clear" param { name: "w" } param { name: "b" }
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "noise" type: "InnerProduct" bottom: "dropped" top: "noise" param { name: "w" } param { name: "b" }
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "clear" bottom: "t" top: "loss"
        loss_param { ignore_label: 3 normalization: VALID } }
layer { name: "aux" type: "SoftmaxWithLoss" bottom: "noise" bottom: "t" top: "aux" loss_weight: 0.3
        loss_param { ignore_label: 1 normalization: VALID } }
layer { name: "accuracy" type: "Accuracy" bottom: "clear" bottom: "t" top: "accuracy" include { phase: TEST } }
"""
NEAR = """
layer { name: "near" type: "EuclideanLoss" bottom: "first" bottom: "goal" top: "near" include { phase: TRAIN } }
"""  # for FILES
SOLVER = f"""
net: "net.prototxt" max_iter: {UPDATES} display: 5 average_loss: 6 snapshot_prefix: "run" solver_mode: CPU
test_iter: 5 test_interval: 4 momentum: 0.9 weight_decay: 0.001 clip_gradients: 2
"""
ADAM = 'random_seed: 5 type: "Adam" base_lr: 0.01 lr_policy: "plateau" plateau_patience: 1 gamma: 0.5 ' \
       'plateau_metric: "accuracy:max"'
SGD = 'random_seed: 6 type: "SGD" base_lr: 0.05 lr_policy: "plateau" plateau_patience: 2 gamma: 0.9 iter_size: 3'


def write(folder: Path, *, images: bool = False) -> None:
    """Write what the trainings in the folders below read: a database and, where asked for, image files and rows."""
    needs("lmdb")
    from minicaffe.data.lmdb import write_lmdb

    draw = np.random.default_rng(8)
    pixels = draw.integers(256, size=(IMAGES, 3, 8, 9), dtype=np.uint8)
    labels = draw.integers(4, size=IMAGES)
    labels[:3] = labels[9:15] = 3  # whole batches of which the first loss counts nothing
    write_lmdb(folder / "db", [
        (f"{i:04d}", Datum(channels=3, height=8, width=9, label=int(label), data=image.tobytes()))
        for i, (image, label) in enumerate(zip(pixels, labels, strict=True))])
    if images:
        h5py = needs("h5py")
        for i, image in enumerate(pixels):
            (folder / f"{i}.ppm").write_bytes(b"P6 9 8 255\n" + image.transpose(1, 2, 0).tobytes())
        (folder / "images.txt").write_text("".join(f"../{i}.ppm {label}\n" for i, label in enumerate(labels)))
        with h5py.File(folder / "rows.h5", "w") as file:
            file["goal"] = draw.standard_normal((13, 7), np.float32)
        (folder / "rows.txt").write_text("../rows.h5\n")


def make(folder: Path, fields: str, source: str = LMDB) -> Path:
    """Make a folder for a training, with its net and its solver."""
    folder.mkdir()
    (folder / "net.prototxt").write_text(source + NET + (NEAR if source == FILES else ""))
    (folder / "solver.prototxt").write_text(f"{SOLVER} {fields}")
    return folder


def result(folder: Path, iteration: int = UPDATES) -> dict[str, object]:
    """What a training has come to: weights, history, and all that its resume file holds of losses and decisions."""
    path = folder / f"run_iter_{iteration}"
    resume = resume_file.read(f"{path}.resume")
    return {**{kind: path.with_suffix(f".{kind}").read_bytes() for kind in ("caffemodel", "solverstate")},
            **{name: resume[name] for name in ("draw_seed", "smoothed", "tested", "criteria", "nets")}}


def differing(one: Path, other: Path, iteration: int = UPDATES) -> list[str]:
    """In what two trainings differ at an iteration."""
    first, second = result(one, iteration), result(other, iteration)
    return [name for name in first if first[name] != second[name]]
