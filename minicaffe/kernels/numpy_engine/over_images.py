"""Kernels whose definition is quick enough as it stands, and only needs more threads.

They compute each image by itself, so that several threads can run the definition, each on some of the images.
"""

from __future__ import annotations

from minicaffe.kernels.definitions import maps, pooling
from minicaffe.kernels.registry import Kernel

SHARED_OUT: tuple[Kernel[..., None], ...] = (
    maps.absolute, maps.tanh, pooling.ave_pool, pooling.ave_pool_grad, pooling.expected_pool,
    pooling.expected_pool_grad, pooling.stochastic_pool)

for _kernel in SHARED_OUT:
    _kernel.implementation("numpy", over_images=True)(_kernel.definition)
