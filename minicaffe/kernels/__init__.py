"""The array operations that layers and solvers call by name: `kernels.im2col(...)`.

`reference/` holds one numpy implementation of each, to be read; `jit/` holds faster twins of some.
Which one runs is the process's choice (`use_engine`, MINICAFFE_ENGINE), never a layer's.
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

import_all("minicaffe.kernels.reference")

__all__ = ["Kernel", "available_engines", "engine", "kernel", "kernels", "use_engine"]


def __getattr__(name: str) -> Kernel:
    try:
        return kernels()[name]
    except KeyError:
        raise AttributeError(f"there is no kernel {name!r}") from None
