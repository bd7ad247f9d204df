"""Layer types and fillers that tests register: forgotten again at the end of a test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minicaffe import filler, plugins
from minicaffe.layer import registered_types, registry

HALF = '''\
from minicaffe import Layer, register, register_filler


@register("{name}")
class {name}Layer(Layer):
    """Half of each number.

    Forward   y = x / 2
    """

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data / 2

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff / 2


@register_filler("{filler}", reads=["min", "max"])
def fill(values, p, rng):
    """Half-way between min and max."""
    values[...] = (p.min + p.max) / 2
'''


def half(name: str = "Half", filler: str = "middle") -> str:
    """The text of a module that registers a layer type and a filler."""
    return HALF.replace("{name}", name).replace("{filler}", filler)


def install(folder: Path, package: str, module: str, text: str) -> None:
    """Put a package into a folder of installed ones: a module, and the entry point that names it."""
    (folder / f"{module}.py").write_text(text)
    about = folder / f"{package.replace('-', '_')}-0.3.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.3\n")
    (about / "entry_points.txt").write_text(f"[minicaffe.layers]\nany = {module}\n")


@contextmanager
def forgotten() -> Iterator[None]:
    """Whatever the block registers, imports and looks for is unknown again afterwards."""
    registered_types()
    kept = [(store, store.copy()) for store in (registry._types, filler.FILLERS, filler.READS, plugins._origins,
                                                plugins._modules)]
    modules, plugins._looked_for = set(sys.modules), False
    try:
        yield
    finally:
        for store, before in kept:
            store.clear()
            (store.extend if isinstance(store, list) else store.update)(before)
        plugins._looked_for = False
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if "site-packages" not in file and "minicaffe" not in name:  # modules of the test's own folder
                del sys.modules[name]
