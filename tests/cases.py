"""At least one Case for each layer type: the inputs with which test_every_layer.py tests it.

A shape stands for standard normal numbers; the functions below describe other bottoms. No shape repeats a
size, because a mistake that swaps two axes of one size would not be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from extras import needs

from minicaffe.data.datum import make
from minicaffe.data.lmdb import write_lmdb
from minicaffe.layer import Layer

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Feed:
    """A bottom: its shape, how its values are drawn, and the axis that counts the samples (None: there is none)."""

    shape: tuple[int, ...]
    draw: Draw
    batch: int | None = 0


def normal(*shape: int, batch: int | None = 0) -> Feed:
    """Standard normal numbers."""
    return Feed(shape, lambda rng, size: rng.standard_normal(size), batch)


def uniform(low: float, high: float, *shape: int) -> Feed:
    """Numbers drawn uniformly between low and high."""
    return Feed(shape, lambda rng, size: rng.uniform(low, high, size))


def apart(*shape: int, batch: int | None = 0) -> Feed:
    """Numbers around 0 that differ by at least 0.05 from each other and from 0: no ties, no kinks nearby."""
    def draw(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        n = int(np.prod(size))
        return ((rng.permutation(n) - n // 2 + 0.5) * 0.1).reshape(size)
    return Feed(shape, draw, batch)


def labels(classes: int, *shape: int, batch: int | None = 0) -> Feed:
    """Whole numbers from 0 to classes − 1."""
    return Feed(shape, lambda rng, size: rng.integers(classes, size=size), batch)


def places(count: int, *shape: int) -> Feed:
    """In each plane of (N, C, H, W), places from 0 to count − 1, each at most once."""
    def draw(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        planes = [rng.permutation(count)[:size[2] * size[3]] for _ in range(size[0] * size[1])]
        return np.array(planes).reshape(size)
    return Feed(shape, draw)


def given(values: Any) -> Feed:
    """These values, whatever the batch."""
    values = np.asarray(values)
    return Feed(values.shape, lambda rng, size: values, None)


def probabilities(*shape: int) -> Feed:
    """Positive numbers that sum to 1 along axis 1."""
    def draw(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        p = rng.uniform(0.2, 1, size)
        return p / p.sum(axis=1, keepdims=True)
    return Feed(shape, draw)


def continues(steps: int, streams: int) -> Feed:
    """Sequence indicators (T, N): a sequence begins at the first step, and for the last stream also at the third."""
    def draw(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        cont = np.ones(size)
        cont[0] = 0
        cont[2:3, -1] = 0
        return cont
    return Feed((steps, streams), draw, 1)


def regions(count: int, part: float = 1.0) -> Feed:
    """Regions (count, 5) of two images, with corners from −3 to 17 times `part`; some lie partly or wholly outside."""
    def draw(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        image, corners = rng.integers(2, size=(size[0], 1)), np.sort(rng.uniform(-3, 17, (size[0], 2, 2)), axis=1)
        return np.concatenate([image, corners.reshape(-1, 4) * part], axis=1)
    return Feed((count, 5), draw)


def image_info(height: int, width: int) -> Feed:
    """The height, the width and the scale of two images, which are alike."""
    return Feed((2, 3), lambda rng, size: np.tile([height, width, 1], (size[0], 1)))


@dataclass(frozen=True)
class Case:
    """One layer to test, and what is special about it.

    type        the layer type
    prototxt    the fields of its LayerParameter; {files} stands for a folder that `files` has filled
    bottoms     shapes or Feeds
    tops        how many
    gradients   the bottoms that get a gradient (None: all that allow it)
    gradient    options for check_gradient
    kinks       values of a bottom near which there is no derivative
    skip        check -> why this case cannot stand it
    blobs       draws the learnable blobs' values
    files       writes what the prototxt names
    ready       what a program does to the layer before it can run
    name        tells cases of one type apart
    """

    type: str
    prototxt: str = ""
    bottoms: Sequence[tuple[int, ...] | Feed] = ((2, 7, 5, 3),)
    tops: int = 1
    gradients: tuple[int, ...] | None = None
    gradient: dict[str, Any] = field(default_factory=dict)
    kinks: tuple[float, ...] = ()
    skip: dict[str, str] = field(default_factory=dict)
    blobs: Draw = lambda rng, size: rng.standard_normal(size) * 0.5
    files: Callable[[Path], None] | None = None
    ready: Callable[[Any], None] | None = None
    name: str = ""

    @property
    def id(self) -> str:
        return f"{self.type}-{self.name}" if self.name else self.type

    @property
    def feeds(self) -> list[Feed]:
        return [b if isinstance(b, Feed) else normal(*b) for b in self.bottoms]

    def shapes(self) -> list[tuple[int, ...]]:
        return [feed.shape for feed in self.feeds]


class HalfLayer(Layer):
    """A layer as a user writes it, for type Python: y = x / 2."""

    def reshape(self, bottom, top):  # type: ignore[no-untyped-def]
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):  # type: ignore[no-untyped-def]
        top[0].data[...] = bottom[0].data / 2

    def backward(self, top, propagate_down, bottom):  # type: ignore[no-untyped-def]
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff / 2


POSITIVE: Draw = lambda rng, size: rng.uniform(0.5, 2, size)  # noqa: E731
X = (2, 7, 5, 3)
RECURRENT = "recurrent_param { num_output: 2 "
LSTM_OF_FORKS = RECURRENT.replace("recurrent_param", "lstm_param")
NO_GRADIENT = {"gradients": ()}
NO_BATCH = {"batch": "the sizes are part of the definition"}
UNASKED = {"unasked": "as Caffe's, it writes the diffs of x and x_static whether asked or not"}
NO_STATES = {"gradients": (0,), "gradient": {"tops": [0]}}  # as in Caffe, none flows through exposed states

ACTIVATION = [
    Case("AbsVal", bottoms=[apart(*X)]),
    Case("BNLL"),
    Case("Bias"),
    Case("Bias", "bias_param { axis: 1 num_axes: 2 }", name="two_axes"),
    Case("Bias", "bias_param { axis: 1 }", [X, normal(7, 5, batch=None)], name="two_bottoms"),
    Case("Clip", "clip_param { min: -0.5 max: 0.75 }", kinks=(-0.5, 0.75)),
    Case("ELU", "elu_param { alpha: 0.5 }", kinks=(0,)),
    Case("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }"),
    Case("Exp", name="e"),
    Case("Log", "log_param { base: 2 scale: 2 shift: 1 }", [uniform(0.5, 2, *X)]),
    Case("PReLU", kinks=(0,)),
    Case("PReLU", "prelu_param { channel_shared: true }", kinks=(0,), name="shared"),
    Case("Power", "power_param { power: 1.5 scale: 2 shift: 1 }", [uniform(0.5, 2, *X)]),
    Case("Power", "power_param { power: 2 shift: 1 }", name="square"),
    Case("Power", "power_param { power: 0 }", name="constant", gradient={"zeros": [0]}),
    Case("ReLU", kinks=(0,)),
    Case("ReLU", "relu_param { negative_slope: 0.1 }", kinks=(0,), name="leaky"),
    Case("ReLU6", bottoms=[uniform(-3, 9, *X)], kinks=(0, 6)),
    Case("ReLU6", "relu6_param { negative_slope: 0.1 }", [uniform(-3, 9, *X)], kinks=(0, 6), name="leaky"),
    Case("Scale", "scale_param { bias_term: true }"),
    Case("Scale", "scale_param { axis: 0 }", [X, (2, 7)], name="two_bottoms"),
    Case("Sigmoid"),
    Case("Swish", "swish_param { beta: 1.5 }"),
    Case("TanH"),
    Case("Threshold", "threshold_param { threshold: 0.25 }", gradients=()),
]

COMMON = [
    Case("Dropout"),
    Case("Dropout", "phase: TEST", name="test"),
    Case("Dropout", "phase: TEST dropout_param { scale_train: false }", name="unscaled"),
    Case("Embed", "embed_param { num_output: 4 input_dim: 6 }", [labels(6, 2, 7)]),
    Case("InnerProduct", "inner_product_param { num_output: 4 }"),
    Case("InnerProduct", "inner_product_param { num_output: 4 axis: -1 bias_term: false transpose: true }",
         name="transposed"),
]

NORMALIZATION = [
    Case("BatchNorm"),
    Case("BatchNorm", "phase: TEST", blobs=POSITIVE, name="test"),
    Case("BatchNorm", "batch_norm_param { eps: 0.1 }", [(7, 3)], name="two_axes"),
    Case("BatchNorm", "batch_norm_param { scale_bias: true }", name="nvidia"),
    Case("BatchNorm", "phase: TEST batch_norm_param { scale_bias: true }", blobs=POSITIVE, name="nvidia_test"),
    Case("BatchNorm", "batch_norm_param { use_weight_bias: true }", name="intel"),
    Case("BatchNorm", "phase: TEST batch_norm_param { use_weight_bias: true bias_term: false }", blobs=POSITIVE,
         name="intel_test"),
    Case("BN", "bn_param { eps: 0.1 }"),
    Case("BN", "phase: TEST bn_param { momentum: 0.5 }", blobs=POSITIVE, name="stored"),
    Case("BN", "bn_param { frozen: true }", blobs=POSITIVE, name="frozen"),
    Case("BN", "bn_param { bn_mode: LEARN }", [(7, 3, 5, 2)], tops=3, gradient={"tops": [0]}, name="segnet"),
    Case("BN", "bn_param { bn_mode: INFERENCE }", name="segnet_inference"),
    Case("BN", "bn_param { var_eps: 0.1 axis: 2 }", name="ctpn"),
    Case("BN", "phase: TEST bn_param { moving_average: true axis: 2 }", blobs=POSITIVE, name="ctpn_stored"),
    Case("LRN", "lrn_param { local_size: 3 alpha: 0.8 k: 2 }"),
    Case("LRN", "lrn_param { local_size: 3 alpha: 0.8 norm_region: WITHIN_CHANNEL }", name="within",
         skip={"replay": "numpy computes it, on the numba engine too"}),
    Case("MVN"),
    Case("MVN", "mvn_param { across_channels: true normalize_variance: false }", name="mean"),
]

NORMALIZATION += [
    Case("Normalize", "norm_param { across_spatial: false channel_shared: false }"),
    Case("Normalize", name="across_spatial"),
    Case("Normalize", "norm_param { channel_shared: false eps: 0.1 }", [(7, 3)], name="two_axes"),
    Case("Normalize", "normalize_param { bp_norm: true }", tops=2, name="faces"),
    Case("Normalize", 'normalize_param { normalize_type: "L1" bp_norm: true }', [apart(2, 7, 5, 3)], tops=2,
         name="faces_by_sum"),
]

RECURRENT_CASES = [
    Case("ContinuationIndicator", "continuation_indicator_param { time_step: 5 axis: 1 }", [normal(5, 3, 4, batch=1)],
         gradient={"zeros": [0]}),
    Case("ContinuationIndicator", "continuation_indicator_param { time_step: 5 batch_size: 3 }", [], name="crnn"),
    Case("LSTM", RECURRENT + "}", [normal(5, 3, 4, batch=1), continues(5, 3)], skip=UNASKED),
    Case("LSTM", RECURRENT + "}", [normal(5, 3, 4, batch=1), continues(5, 3), (3, 4)], skip=UNASKED, name="static"),
    Case("LSTM", RECURRENT + "expose_hidden: true }",
         [normal(5, 3, 4, batch=1), continues(5, 3), normal(1, 3, 2, batch=1), normal(1, 3, 2, batch=1)], tops=3,
         skip=UNASKED, name="exposed", **NO_STATES),
    Case("Lstm", LSTM_OF_FORKS + "batch_size: 3 }", [(15, 4)], skip=NO_BATCH),
    Case("Lstm", LSTM_OF_FORKS + "}", [normal(5, 3, 4, batch=1), continues(5, 3)], gradients=(0,), name="clip"),
    Case("LSTMUnit", bottoms=[normal(1, 3, 2, batch=1), normal(1, 3, 8, batch=1), labels(2, 1, 3, batch=1)], tops=2),
    Case("RNN", RECURRENT + "}", [normal(5, 3, 4, batch=1), continues(5, 3)], skip=UNASKED),
    Case("RNN", RECURRENT + "expose_hidden: true }",
         [normal(5, 3, 4, batch=1), continues(5, 3), (3, 4), normal(1, 3, 2, batch=1)], tops=2, skip=UNASKED,
         name="all", **NO_STATES),
]

LOSS = [
    Case("Accuracy", "accuracy_param { top_k: 2 }", [apart(7, 5), labels(5, 7)], tops=2, gradients=()),
    Case("ContrastiveLoss", "contrastive_loss_param { margin: 3 }", [(7, 3), (7, 3), labels(2, 7)], gradients=(0, 1),
         gradient={"tolerance": 2e-4}),  # as Caffe's, it divides by d + 1e-4 and not by d
    Case("ContrastiveLoss", "contrastive_loss_param { margin: 5 legacy_version: true }",
         [(7, 3), (7, 3), labels(2, 7)], gradients=(0, 1), name="legacy"),
    Case("EuclideanLoss", bottoms=[X, X]),
    Case("EuclideanLoss", bottoms=[X, X, uniform(0, 2, *X)], gradients=(0, 1), name="weighted"),
    Case("SmoothL1Loss", bottoms=[apart(7, 5), given(np.zeros((7, 5)))], tops=2, kinks=(-1, 1),
         gradient={"tops": [0]}, skip=NO_BATCH),
    Case("SmoothL1Loss", "smooth_l1_loss_param { sigma: 2 }", [X, X, uniform(0, 2, *X), uniform(0, 2, *X)],
         gradients=(0, 1), name="weighted"),
    Case("HingeLoss", bottoms=[apart(7, 5), labels(5, 7)], kinks=(-1, 1)),
    Case("HingeLoss", "hinge_loss_param { norm: L2 }", [(7, 5), labels(5, 7)], name="squared"),
    Case("HingeLoss", "loss_param { ignore_label: 1 }", [apart(7, 5), labels(5, 7), uniform(0, 2, 7)], kinks=(-1, 1),
         name="weighted"),
    Case("InfogainLoss", "infogain_loss_param { axis: 1 }", [(2, 5, 3), labels(5, 2, 3), given(np.arange(25) / 25)],
         gradients=(0,)),
    Case("MultinomialLogisticLoss", bottoms=[probabilities(7, 5), labels(5, 7)]),
    Case("SigmoidCrossEntropyLoss", bottoms=[(2, 7, 3), uniform(0, 1, 2, 7, 3)]),
    Case("MultinomialLogisticLoss", bottoms=[probabilities(7, 5), labels(5, 7), uniform(0, 2, 7)], name="weighted"),
    Case("SigmoidCrossEntropyLoss", "loss_param { normalization: VALID ignore_label: 0 exact_ignore: true }",
         [(2, 7, 3), uniform(0, 1, 2, 7, 3), uniform(0, 2, 2, 7, 3)], name="weighted"),
    Case("SoftmaxWithLoss", bottoms=[(2, 5, 3), labels(5, 2, 3), uniform(0, 2, 2, 3)], name="weighted"),
    Case("SoftmaxWithLoss", "loss_param { ignore_label: 1 }", [(2, 5, 3), labels(5, 2, 3)]),
    Case("SoftmaxWithLoss", "softmax_param { axis: -1 } loss_weight: 2 loss_weight: 0", [(2, 3, 5), labels(5, 2, 3)],
         tops=2, gradient={"tops": [0]}, name="last_axis"),
]

UTILITY = [
    Case("ArgMax", "argmax_param { out_max_val: true top_k: 2 }", [apart(*X)], gradients=()),
    Case("Axpy", bottoms=[(2, 7), X, X]),
    Case("Axpy", bottoms=[(2, 7, 1, 1), X, X], name="four_axes"),
    Case("BatchReindex", bottoms=[X, given([1, 0, 1, 1])], gradients=(0,), skip=NO_BATCH),
    Case("Concat", bottoms=[(2, 7, 5), (2, 3, 5)]),
    Case("Concat", "concat_param { axis: -1 }", [(2, 7, 5), (2, 7, 3), (2, 7, 4)], name="three"),
    Case("Eltwise", "eltwise_param { coeff: 2 coeff: -0.5 }", [X, X]),
    Case("Eltwise", "eltwise_param { operation: PROD }", [X, X, X], name="product"),
    Case("Eltwise", "eltwise_param { operation: MAX }", [X, X], name="max"),
    Case("Eltwise", "eltwise_param { operation: MAX }", [X, X, X], name="max_of_three"),
    Case("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"),
    Case("Permute", "permute_param { order: 2 order: 0 }", [normal(2, 7, 5, 3, batch=None)], name="batch_moves"),
    Case("Permute", name="identity"),
    Case("Filter", bottoms=[X, (2, 4), given([1, 0])], tops=2, gradients=(0, 1), skip=NO_BATCH),
    Case("Flatten", "flatten_param { axis: 1 end_axis: -2 }"),
    Case("Python", 'python_param { module: "cases" layer: "HalfLayer" }'),
    Case("Parameter", "parameter_param { shape { dim: 7 dim: 3 } }", [],
         skip={"diffs": "its blob and its top are one memory: the diff is the top's", "gradient": "as above"}),
    Case("Reduction", "reduction_param { operation: SUMSQ axis: -2 coeff: 0.5 }"),
    Case("Reduction", "reduction_param { operation: ASUM axis: 1 }", [apart(*X)], name="absolute"),
    Case("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }"),
    Case("Reverse", "reverse_param { axis: -2 }"),
    Case("ShuffleChannel", "shuffle_channel_param { group: 3 }", [(2, 12, 5, 7)]),
    Case("Silence", bottoms=[X, (2, 4)], tops=0, gradient={"zeros": [0, 1]}),
    Case("Slice", "slice_param { slice_point: 2 slice_point: 3 }", tops=3),
    Case("Softmax"),
    Case("Softmax", "softmax_param { scaling_temperature: 2.5 }", name="tempered"),
    Case("Softmax", "softmax_param { axis: -1 }", name="last_axis"),
    Case("Split", tops=3),
    Case("Tile", "tile_param { axis: 2 tiles: 3 }"),
    Case("Transpose", "transpose_param { dim: 2 dim: 0 dim: 3 dim: 1 }"),
]

VISION = [
    Case("Convolution", "convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 }"),
    Case("Convolution", "convolution_param { num_output: 6 group: 2 kernel_h: 3 kernel_w: 1 dilation: 2 "
         "bias_term: false }", [(2, 4, 7, 5)], name="grouped"),
    Case("Convolution", "convolution_param { num_output: 3 kernel_size: 2 kernel_size: 3 kernel_size: 1 }",
         [(2, 3, 4, 5, 7)], name="three_axes", skip={"replay": "three spatial axes go to the reference"}),
    Case("ConvolutionDepthwise", "convolution_param { num_output: 6 kernel_size: 3 pad: 1 stride: 2 }", [(2, 3, 5, 4)]),
    Case("Crop", "crop_param { axis: 2 offset: 1 offset: 2 }", [(2, 7, 5, 4), (2, 7, 3, 1)], gradients=(0,)),
    Case("Deconvolution", "convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 }"),
    Case("CropCenter", "crop_center_param { crop_size: 0 crop_size: 1 crop_size: 2 crop_size: 0 }"),
    Case("DepthwiseConv", "convolution_param { num_output: 3 kernel_size: 3 group: 3 }",
         [(2, 3, 5, 4)]),
    Case("DepthwiseConvolution", "convolution_param { num_output: 3 kernel_size: 3 pad: 1 group: 3 }",
         [(2, 3, 5, 4)]),
    Case("Im2col", "convolution_param { kernel_size: 3 pad: 1 stride: 2 }"),
    Case("Interp", "interp_param { height: 11 width: 4 }"),
    Case("Interp", "interp_param { use_blob_size: true }", [(2, 3, 7, 5), (2, 4, 11, 6)], gradients=(0,),
         name="reference"),
    Case("Interp", "interp_param { zoom_factor: 3 shrink_factor: 2 pad_beg: -1 pad_end: -2 }", [(2, 4, 9, 7)],
         name="factors"),
    Case("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", [apart(*X)]),
    Case("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }", name="average"),
    Case("Pooling", "pooling_param { kernel_size: 3 stride: 2 ceil_mode: false }", [apart(2, 7, 8, 6)], name="floor"),
    Case("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", [uniform(0.5, 2, *X)], name="stochastic"),
    Case("Pooling", "pooling_param { kernel_size: 2 }", [apart(*X)], tops=2, gradient={"tops": [0]}, name="mask"),
    Case("Reorg", "reorg_param { stride: 2 }", [(3, 8, 4, 6)]),
    Case("Reorg", "reorg_param { stride: 2 reverse: true }", [(2, 8, 3, 5)], name="reverse"),
    Case("SPP", "spp_param { pyramid_height: 2 }", [apart(2, 3, 7, 5)]),
    Case("Upsample", "upsample_param { scale: 2 }", [(2, 3, 4, 5), places(80, 2, 3, 4, 5)], gradients=(0,)),
    Case("Upsample", "upsample_param { scale_h: 3 scale_w: 2 }", name="nearest"),
]


def some_images() -> list[np.ndarray]:
    """Five small color images."""
    return list(np.random.default_rng(3).integers(256, size=(5, 3, 7, 5), dtype=np.uint8))


def an_lmdb(folder: Path) -> None:
    """The images with their numbers as labels in an LMDB."""
    needs("lmdb")
    write_lmdb(folder / "lmdb", [(f"{i:08d}", make(image, i)) for i, image in enumerate(some_images())])


def image_files(folder: Path) -> None:
    """The images as files, a list of them, and windows on the first two."""
    cv2 = needs("cv2")
    for i, image in enumerate(some_images()):
        cv2.imwrite(str(folder / f"{i}.png"), image.transpose(1, 2, 0))
    (folder / "list.txt").write_text("".join(f"{i}.png {i}\n" for i in range(5)))
    (folder / "windows.txt").write_text("".join(
        f"# {i}\n{folder}/{i}.png\n3\n7\n5\n2\n{i + 1} 0.9 1 1 3 5\n0 0.1 0 0 2 3\n" for i in range(2)))


def hdf5_files(folder: Path) -> None:
    """Two files of two datasets, and a list of them."""
    h5py = needs("h5py")
    draw = np.random.default_rng(3)
    for name in ("a", "b"):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["data"], file["label"] = draw.standard_normal((5, 7, 3)), np.arange(5)
    (folder / "list.txt").write_text("".join(f"{folder}/{name}.h5\n" for name in ("a", "b")))


DATA = [
    Case("Data", 'data_param { source: "{files}/lmdb" backend: LMDB batch_size: 2 } '
         "transform_param { crop_size: 4 mirror: true }", [], tops=2, files=an_lmdb),
    Case("DummyData", 'dummy_data_param { shape { dim: 2 dim: 7 } data_filler { type: "gaussian" } }', []),
    Case("HDF5Data", 'top: "data" top: "label" hdf5_data_param { source: "{files}/list.txt" batch_size: 4 '
         "shuffle: true }", [], tops=2, files=hdf5_files),
    Case("HDF5Output", 'hdf5_output_param { file_name: "{files}/out.h5" }', [X, (2,)], tops=0, gradients=(),
         files=lambda folder: needs("h5py") and None),
    Case("ImageData", 'image_data_param { source: "{files}/list.txt" root_folder: "{files}/" batch_size: 2 '
         "shuffle: true } transform_param { scale: 0.5 }", [], tops=2, files=image_files),
    Case("Input", "input_param { shape { dim: 2 dim: 7 } }", []),
    Case("MemoryData", "memory_data_param { batch_size: 2 channels: 3 height: 7 width: 5 }", [], tops=2,
         ready=lambda layer: layer.reset(some_images()[:4], np.arange(4))),
    Case("WindowData", 'window_data_param { source: "{files}/windows.txt" batch_size: 4 fg_fraction: 0.5 } '
         "transform_param { crop_size: 3 mirror: true }", [], tops=2, files=image_files),
]



def priors(count: int) -> Feed:
    """The corners of boxes, and variances."""
    draw = np.random.default_rng(2)
    low = draw.uniform(0, 0.6, (count, 2))
    corners = np.concatenate([low, low + draw.uniform(0.1, 0.4, (count, 2))], axis=1)
    return given(np.stack([corners.ravel(), np.tile([0.1, 0.1, 0.2, 0.2], count)])[np.newaxis])


FIRST_IMAGE = [[0, 2, 3, 9, 7], [0, 3, 3, 9, 8], [0, -2, 5, 4, 16], [0, 6, 1, 12, 4], [0, 0, 0, 15, 14],
               [0, 8, 8, 8, 9]]
SCORES = np.random.default_rng(3).random(180)
FOUND = "confidence_threshold: 0.3 nms_param { nms_threshold: 0.3 }"
TWO_MAPS = "num_box: 2 biases: [9, 12, 20, 15, 30, 40, 50, 25] mask: [2, 3, 0, 1] anchors_scale: [16, 8]"
DETECTION = [
    Case("BoxGroupOutput", "box_group_output_param { fg_thr: 0.2 min_size: 4 box_group_param { stride: 8 field_w: 9 "
         "field_w: 30 field_h: 20 field_h: 12 } } bbox_reg_param { bbox_mean: 0 bbox_mean: 0 bbox_mean: 0.1 "
         "bbox_mean: 0.1 bbox_std: 0.1 bbox_std: 0.1 bbox_std: 0.2 bbox_std: 0.2 }",
         [given(SCORES.reshape(6, 3, 2, 5)), normal(6, 4, 2, 5, batch=None)], tops=2, gradients=()),
    Case("DecodeBBox", "", [normal(6, 8), regions(6)], gradients=()),
    Case("FrcnnOutput", "frcnn_output_param { conf_thr: 0.3 max_det_num: 9 }",
         [given(SCORES[:18].reshape(6, 3)), normal(6, 12, batch=None), given(FIRST_IMAGE), given([[14, 15]])],
         gradients=()),
    Case("ScaleRoute", "scale_route_param { low_scale: 5 high_scale: 9 }", [regions(9), (9, 2)], tops=2,
         gradients=()),
    Case("DetectionOutput", f"detection_output_param {{ num_classes: 3 code_type: CENTER_SIZE {FOUND} }}",
         [(2, 20), uniform(0, 1, 2, 15), priors(5)], gradients=()),
    Case("DetectionOutput", f"detection_output_param {{ num_classes: 3 share_location: false keep_top_k: 4 {FOUND} }}",
         [(2, 60), uniform(0, 1, 2, 15), priors(5), uniform(0, 0.1, 2, 10), (2, 60)], gradients=(), name="two_stages"),
    Case("DetectionOutput", "detection_output_param { num_classes: 3 output_logits: true nms_param { soft_nms: true "
         "} }",
         [(2, 20), uniform(0, 1, 2, 15), priors(5), (2, 15)], tops=2, gradients=(), name="logits"),
    Case("PriorBox", "prior_box_param { min_size: 20 max_size: 45 aspect_ratio: 2 clip: true }",
         [(2, 4, 5, 3), (2, 1, 70, 60)], gradients=()),
    Case("PriorBox", "prior_box_param { min_size: 32 min_size: 64 min_size: 128 step: 32 face_boxes: true }",
         [(2, 4, 5, 3), (2, 1, 70, 60)], gradients=(), name="FaceBoxes"),
    Case("PSROIPooling", "psroi_pooling_param { output_dim: 2 group_size: 3 spatial_scale: 0.5 }",
         [normal(2, 18, 7, 5, batch=None), regions(6)], gradients=(0,)),
    Case("Proposal", "proposal_param { feat_stride: 4 base_size: 8 min_size: 2 ratio: 0.5 ratio: 2 scale: 1 scale: 0.5 "
         "post_nms_topn: 9 }", [uniform(0, 1, 2, 8, 5, 3), normal(2, 16, 5, 3), image_info(20, 12)], tops=2,
         gradients=()),
    Case("ROIAlign", "roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.5 pad_ratio: 0.1 }",
         [normal(2, 5, 7, 6, batch=None), regions(9)], gradients=(0,)),
    Case("ROIPooling", "roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.5 }",
         [apart(2, 4, 7, 5, batch=None), regions(6)], gradients=(0,)),
    Case("ROIPooling", "roi_pooling_param { pooled_size: 1 pooled_size: 4 spatial_scale: -1 pad_ratio: 0.25 }",
         [apart(2, 3, 7, 5, batch=None), regions(6, part=0.07)], gradients=(0,), name="relative"),
    Case("YoloDetectionOutput", "yolo_detection_output_param { num_classes: 3 num_box: 2 biases: [1, 2, 2, 1] }",
         [(4, 16, 5, 3), (4, 16, 7, 6)], gradients=()),
    Case("Yolov3DetectionOutput", f"yolov3_detection_output_param {{ num_classes: 3 {TWO_MAPS} }}",
         [(4, 16, 5, 3), (4, 16, 10, 6)], gradients=()),
    Case("Yolov3DetectionOutput", f"yolov3_detection_output_param {{ num_classes: 2 {TWO_MAPS} gaussian_box: true }}",
         [(4, 22, 5, 3), (4, 22, 10, 6)], gradients=(), name="gaussian"),
]

CASES = [*ACTIVATION, *COMMON, *NORMALIZATION, *RECURRENT_CASES, *LOSS, *UTILITY, *VISION, *DATA, *DETECTION]
