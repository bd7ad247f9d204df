"""Nets for the tests of traces, and the numbers of a page read back."""

import json
import math
import re
from contextlib import contextmanager

import numpy as np
from net_tools import convolution, fully_connected, inputs, layer, make

from minicaffe import kernels, log, rng
from minicaffe.kernels.blas import hold_to_one_thread
from minicaffe.trace.format import number_of

TWO_LAYERS = inputs(x=(2, 3), t=(2, 4)) + fully_connected("x", "h", 5) + layer("ReLU", "h", "h", name="relu") + \
    fully_connected("h", "y", 4) + layer("EuclideanLoss", "y t", "loss")
IMAGES = inputs(data=(2, 3, 11, 9), label=(2,)) + convolution("data", "conv", 4, 3) + \
    layer("ReLU", "conv", "conv", name="relu") + \
    layer("Pooling", "conv", "pool", "pooling_param { kernel_size: 2 stride: 2 }") + \
    fully_connected("pool", "score", 6) + layer("SoftmaxWithLoss", "score label", "loss")
LSTM = inputs(x=(5, 2, 3), cont=(5, 2), t=(5, 2, 4)) + layer(
    "LSTM", "x cont", "y", 'recurrent_param { num_output: 4 weight_filler { type: "gaussian" std: 0.4 } '
    'bias_filler { type: "gaussian" std: 0.4 } }') + layer("EuclideanLoss", "y t", "loss")
LOGISTIC = inputs(x=(5, 3), label=(5,)) + fully_connected("x", "score", 4) + \
    layer("SoftmaxWithLoss", "score label", "loss")
SIAMESE = inputs(a=(5, 3), b=(5, 3), same=(5,)) + "".join(
    fully_connected(x, f"h{x}", 4, 'param { name: "w" } param { name: "b" }') +
    layer("TanH", f"h{x}", f"h{x}", name=f"t{x}")
    for x in "ab") + layer("ContrastiveLoss", "ha hb same", "loss", "contrastive_loss_param { margin: 4 }")
INCEPTION = inputs(data=(2, 3, 8, 7), label=(2,)) + convolution("data", "c", 4, 3) + \
    layer("ReLU", "c", "c", name="relu") + layer("LRN", "c", "n", "lrn_param { local_size: 3 alpha: 0.5 }") + \
    convolution("n", "one", 2, 1) + convolution("n", "three", 3, 3) + layer("ReLU", "three", "three", "", "relu3") + \
    layer("Pooling", "n", "p", "pooling_param { kernel_size: 3 stride: 1 pad: 1 }") + \
    convolution("p", "after", 2, 1) + layer("Concat", "one three after", "all") + \
    layer("Pooling", "all", "mean", "pooling_param { pool: AVE global_pooling: true }") + \
    fully_connected("mean", "score", 5) + layer("SoftmaxWithLoss", "score label", "loss")
NORMALIZED = inputs(data=(4, 3, 5, 6), label=(4,), t=(4, 2)) + convolution("data", "c", 5, 3) + \
    layer("BatchNorm", "c", "c", "", "norm") + layer("Scale", "c", "c", "scale_param { bias_term: true }", "scale") + \
    layer("ReLU", "c", "c", "", "relu") + layer("Dropout", "c", "d", "dropout_param { dropout_ratio: 0.25 }") + \
    fully_connected("d", "score", 3) + layer("SoftmaxWithLoss", "score label", "loss", "loss_weight: 0.5") + \
    fully_connected("d", "y", 2) + layer("EuclideanLoss", "y t", "far", "loss_weight: 2")
ASKED = "force_backward: true " + inputs(x=(2, 3), t=(2, 4)) + fully_connected("x", "h", 5) + \
    layer("Sigmoid", "h", "s") + fully_connected("s", "y", 4, "param { lr_mult: 0 } param { lr_mult: 2 }") + \
    fully_connected("s", "z", 4, "propagate_down: false") + layer("Eltwise", "y z", "sum") + \
    layer("EuclideanLoss", "sum t", "loss")
NETS = {"two layers": TWO_LAYERS, "images": IMAGES, "lstm": LSTM, "logistic": LOGISTIC, "siamese": SIAMESE,
        "inception": INCEPTION, "normalized": NORMALIZED, "asked": ASKED}


def net_of(text, **options):
    """A float32 net with the same weights and inputs in each call; labels and sequence marks are such as fit."""
    rng.seed(3)
    net = make(text, dtype=np.float32, **options)
    if "label" in net.blobs:
        net.blobs["label"].data[...] = np.arange(net.blobs["label"].count) % 3
    if "same" in net.blobs:
        net.blobs["same"].data[...] = [1, 0, 0, 1, 0]
    if "cont" in net.blobs:
        net.blobs["cont"].data[...] = np.arange(5)[:, np.newaxis] > 0
    return net


def net_of_case(case, folder, in_place=False):
    """A float32 net around the layer of a Case of tests/cases.py, whose name is "layer".

    The tops whose gradients the case checks end in losses. In place, a layer before it puts out what it overwrites.
    """
    if case.files:
        case.files(folder)
    fields = case.prototxt.replace("{files}", str(folder))
    names = [f"x{i}" for i in range(len(case.feeds))]
    given = ["given" if in_place and name == "x0" else name for name in names]
    tops = [] if 'top: "' in fields else ["x0"] if in_place else [f"y{i}" for i in range(case.tops)]
    learns = case.gradients != ()
    text = ("force_backward: true " if learns else "") + \
        inputs(**dict(zip(given, case.shapes(), strict=True))) + \
        (layer("Power", "given", "x0", name="before") if in_place else "") + \
        layer(case.type, " ".join(names), " ".join(tops), fields, "layer")
    if learns and not case.type.endswith("Loss"):
        text += "".join(layer("Reduction", top, f"loss{j}", "loss_weight: 1 reduction_param { operation: SUMSQ }")
                        for j, top in enumerate(tops) if j in case.gradient.get("tops", range(len(tops))))
    rng.seed(3)
    with log.silent():
        net = make(text, dtype=np.float32)
    draw = np.random.default_rng(7)
    for name, feed in zip(given, case.feeds, strict=True):
        net.blobs[name].data[...] = feed.draw(draw, feed.shape)
    made = net.layers[net.layer_index("layer")]
    for blob in made.blobs:
        blob.data[...] = case.blobs(draw, blob.shape)
    if case.ready:
        case.ready(made)
    return net


@contextmanager
def engine_plain():
    """The engine on which traces run, with BLAS on one thread as in `minicaffe train`."""
    engine = kernels.engine()
    hold_to_one_thread()
    kernels.use_engine("plain")
    yield
    kernels.use_engine(engine)


def numbers(data, array):
    """The numbers that the page shows of an array, as flat index -> float; bits are those of float32."""
    entry = data["arrays"][array]
    count = math.prod(entry["shape"])
    places = range(count) if entry.get("whole", True) else data["places"][str(count)]
    return {place: number_of(value) for place, value in zip(places, entry["values"], strict=True)}


def assert_holds(data, array, values):
    """Each number that the page has of an array is that of `values`, bit for bit; so are its extremes."""
    entry, flat = data["arrays"][array], np.asarray(values, np.float32).reshape(-1)
    assert tuple(entry["shape"]) == np.shape(values)
    for place, value in numbers(data, array).items():
        assert np.float32(value).tobytes() == flat[place].tobytes()
    if not entry.get("whole", True):
        assert [np.float32(entry["min"]), np.float32(entry["max"])] == [flat.min(), flat.max()]


def data_of(page):
    """The data in the text of a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def steps_of_layer(data, name, way):
    """(line of code, step) for each step of a layer in one pass."""
    for moment in data["moments"]:
        if (data["layers"][moment["layer"]]["name"], moment["pass"]) == (name, way):
            for step in data["steps"][moment["first"]:moment["first"] + moment["count"]]:
                source = data["sources"][step["source"]]
                yield source["lines"][step["line"] - source["first"]].strip(), step


def blob_of_page(page, layer_name, blob):
    """The data of a blob after a layer has run forward, as a page has it; a number is that of a bottom."""
    data = data_of(page)
    moment = next(m for m in data["moments"] if data["layers"][m["layer"]]["name"] == layer_name)
    blob = data["layers"][moment["layer"]]["bottoms"][blob] if isinstance(blob, int) else next(
        i for i, one in enumerate(data["blobs"]) if one["name"] == blob)
    entry = data["arrays"][next(value["data"] for value in moment["values"] if value["blob"] == blob)]
    assert entry.get("whole", True), "the page shows only some of the numbers"
    return np.array([number_of(value) for value in entry["values"]]).reshape(entry["shape"])
