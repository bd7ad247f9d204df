"""The least time that a net's products take: their operations, at the speed of this machine's matrix products."""

from __future__ import annotations

import numpy as np

from minicaffe.analysis import work
from minicaffe.net import Net
from minicaffe.proto import TEST, TRAIN

SIZE = 2048
SGEMM = 2 * SIZE ** 3  # floating-point operations of one product


def step_operations(definition):
    """The floating-point operations of all products of a training step, forward and backward."""
    net = Net(definition, TRAIN, shapes_only=True)
    return sum(one.flops for one in (*work.forward(net), *work.backward(net)) if one)


def pass_operations(definition):
    """The same of a forward pass."""
    return sum(one.flops for one in work.forward(Net(definition, TEST, shapes_only=True)))


def sgemm(_folder):
    """The side that multiplies two matrices with numpy's BLAS."""
    draw = np.random.default_rng(0)
    a, b = draw.random((2, SIZE, SIZE), np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out), {"vectors": _vectors()}


def _vectors():
    """Which kernels OpenBLAS uses, in the words of machine.py; None where it cannot be asked."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    kernels = {library.get("architecture") for library in threadpool_info()}
    return "AVX2" if kernels & {"Haswell", "Zen"} else "AVX-512" if kernels & {"SkylakeX", "Cooperlake",
                                                                              "SapphireRapids"} else None
