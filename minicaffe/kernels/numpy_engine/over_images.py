"""Kernels whose definition only needs several threads to be quick enough.

Each image is computed by itself, so that the threads can run the definition at the same time, each on some images.
"""

from __future__ import annotations

from minicaffe.kernels.definitions import maps, pooling
from minicaffe.kernels.registry import Kernel

SHARED_OUT: tuple[Kernel[..., None], ...] = (
    maps.absolute, maps.tanh, pooling.ave_pool, pooling.ave_pool_grad, pooling.expected_pool,
    pooling.expected_pool_grad, pooling.stochastic_pool)

for _kernel in SHARED_OUT:
    _kernel.implementation("numpy", over_images=True)(_kernel.definition)
