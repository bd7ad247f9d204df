"""The array operations that layers and solvers call by name: `kernels.correlate(...)`.

`reference/` holds one numpy implementation of each, to be read; `jit/` holds faster twins of some.
Which one runs is the process's choice (`use_engine`, MINICAFFE_ENGINE), and so is the number of threads
(`set_threads`, MINICAFFE_THREADS); neither is ever a layer's.
"""

from __future__ import annotations

from minicaffe.kernels.registry import (
    Kernel,
    available_engines,
    engine,
    import_all,
    kernel,
    kernels,
    use_engine,
)
from minicaffe.kernels.shards import for_blocks, for_images, set_threads, threads
from minicaffe.kernels.timekeeping import clock

import_all("minicaffe.kernels.reference")

__all__ = ["Kernel", "available_engines", "clock", "engine", "for_blocks", "for_images", "kernel", "kernels",
           "set_threads", "threads", "use_engine"]


def __getattr__(name: str) -> Kernel:
    try:
        return kernels()[name]
    except KeyError:
        raise AttributeError(f"there is no kernel {name!r}") from None
