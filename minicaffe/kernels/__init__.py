"""The array operations that layers and solvers call by name: `kernels.correlate(...)`.

Three engines compute them. `definitions/` holds each kernel as its maths, to be read; it is the engine `plain`.
`numpy_engine/` and `numba_engine/` hold faster implementations. Either of these two folders may be deleted, and the
rest works. `definitions/` may not, because it gives the kernels their names. The engine and the number of threads are
chosen for the whole process (`use_engine` or MINICAFFE_ENGINE, `set_threads` or MINICAFFE_THREADS), never by a layer.
"""

from __future__ import annotations

from minicaffe.kernels.definitions.boxes import nms
from minicaffe.kernels.definitions.channels import (
    add_bias,
    divide_by_std,
    global_stats,
    normalize_channels,
    prelu,
    scale_around,
    scale_channels,
)
from minicaffe.kernels.definitions.convolution import (
    add_channel_sums,
    correlate,
    correlate_data_grad,
    correlate_weight_grad,
)
from minicaffe.kernels.definitions.copying import copy, crop, put_slice, take_slice, transpose
from minicaffe.kernels.definitions.elementwise import (
    add_all,
    maximum,
    multiply,
    relu,
    relu_grad,
    tanh_grad,
    weighted_sum,
)
from minicaffe.kernels.definitions.embedding import scatter_add
from minicaffe.kernels.definitions.im2col import col2im, im2col
from minicaffe.kernels.definitions.images import crop_and_scale
from minicaffe.kernels.definitions.lengths import divide_vectors, vector_length
from minicaffe.kernels.definitions.lrn import lrn, lrn_grad, negative_power, window_sum
from minicaffe.kernels.definitions.maps import absolute, clip, elu, exponential, linear, sigmoid, tanh
from minicaffe.kernels.definitions.matmul import matmul
from minicaffe.kernels.definitions.pooling import (
    ave_pool,
    ave_pool_grad,
    expected_pool,
    expected_pool_grad,
    max_pool,
    max_pool_grad,
    stochastic_pool,
)
from minicaffe.kernels.definitions.recurrent import lstm, lstm_grad, lstm_unit, lstm_unit_grad, rnn, rnn_grad
from minicaffe.kernels.definitions.reduce import row_sum
from minicaffe.kernels.definitions.regions import (
    region_max_pool,
    region_max_pool_grad,
    region_samples,
    region_samples_grad,
    region_vote,
    region_vote_grad,
)
from minicaffe.kernels.definitions.resizing import interpolate, interpolate_grad, repeat_pixels
from minicaffe.kernels.definitions.softmax import class_loss, class_loss_grad, softmax, softmax_grad
from minicaffe.kernels.definitions.update import (
    adadelta_update,
    adagrad_update,
    adam_update,
    add_l1_decay,
    add_l2_decay,
    nesterov_update,
    rmsprop_update,
    sgd_update,
    take_step,
)
from minicaffe.kernels.registry import Kernel, available_engines, engine, kernel, kernels, use_engine
from minicaffe.kernels.shards import for_blocks, for_each_thread, for_images, set_threads, threads
from minicaffe.kernels.timekeeping import clock

__all__ = [
    "Kernel",
    "absolute",
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "add_all",
    "add_bias",
    "add_channel_sums",
    "add_l1_decay",
    "add_l2_decay",
    "available_engines",
    "ave_pool",
    "ave_pool_grad",
    "class_loss",
    "class_loss_grad",
    "clip",
    "clock",
    "col2im",
    "copy",
    "correlate",
    "correlate_data_grad",
    "correlate_weight_grad",
    "crop",
    "crop_and_scale",
    "divide_by_std",
    "divide_vectors",
    "elu",
    "engine",
    "expected_pool",
    "expected_pool_grad",
    "exponential",
    "for_blocks",
    "for_each_thread",
    "for_images",
    "global_stats",
    "im2col",
    "interpolate",
    "interpolate_grad",
    "kernel",
    "kernels",
    "linear",
    "lrn",
    "lrn_grad",
    "lstm",
    "lstm_grad",
    "lstm_unit",
    "lstm_unit_grad",
    "matmul",
    "max_pool",
    "max_pool_grad",
    "maximum",
    "multiply",
    "negative_power",
    "nesterov_update",
    "nms",
    "normalize_channels",
    "prelu",
    "put_slice",
    "region_max_pool",
    "region_max_pool_grad",
    "region_samples",
    "region_samples_grad",
    "region_vote",
    "region_vote_grad",
    "relu",
    "relu_grad",
    "repeat_pixels",
    "rmsprop_update",
    "rnn",
    "rnn_grad",
    "row_sum",
    "scale_around",
    "scale_channels",
    "scatter_add",
    "set_threads",
    "sgd_update",
    "sigmoid",
    "softmax",
    "softmax_grad",
    "stochastic_pool",
    "take_slice",
    "take_step",
    "tanh",
    "tanh_grad",
    "threads",
    "transpose",
    "use_engine",
    "vector_length",
    "weighted_sum",
    "window_sum",
]


def __dir__() -> list[str]:
    """Return the names that an editor's completion shows."""
    return list(__all__)
