"""Let `import caffe` give minicaffe's modules, so that scripts written for pycaffe run as they are.

After `install()`, `caffe` is `minicaffe.pycaffe`, and `caffe.io` is `minicaffe.pycaffe.io`: the same objects under a
second name. No module is loaded twice, so a class is one class, whichever name a script uses for it.

Every Python process that a script starts imports this module. So it imports little: importlib.abc alone would double
the time.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

NAME, OURS = "caffe", "minicaffe.pycaffe"
HERE = os.path.dirname(os.path.abspath(__file__))
STARTUP = os.path.join(HERE, "startup")
PACKAGE_LIES_IN = os.path.dirname(os.path.dirname(HERE))


class _State:
    """How long the alias stays."""

    lock = allocate_lock()
    stays = False  # install() has been called within a block
    blocks = 0  # blocks of `installed` that are open now, in all threads
    environment: str | None = None  # PYTHONPATH before the first of them
    is_scripts = False  # before the first of them, the script itself had put ours under the name `caffe`
    names: ClassVar[set[str]] = set()  # of the modules that were imported by the alias


def install() -> None:
    """Make `caffe` and its modules importable, before any other module of that name along sys.path.

    Nothing else is imported now, and a second call changes nothing. The Python programs that this process starts from
    now on have the alias, too.
    MinicaffeError where another module named caffe is imported already; it is left as it is.
    """
    present = sys.modules.get(NAME)
    if present is not None and present is not import_module(OURS):
        from minicaffe.errors import MinicaffeError

        raise MinicaffeError(f"another module named 'caffe' is imported already: {_origin(present)}",
                             hint="install the alias before the first `import caffe`; in a notebook, restart the "
                                  "kernel first")
    with _State.lock:
        _State.stays = True
        _install()


def _has_finder() -> bool:
    return any(isinstance(finder, AliasFinder) for finder in sys.meta_path)


def _install() -> None:
    if not _has_finder():
        sys.meta_path.insert(0, AliasFinder())
    sys.modules[NAME] = import_module(OURS)
    _install_in_children()


def _install_in_children() -> None:
    """Install the alias in every Python process that this one starts from now on: see startup/sitecustomize.py.

    They find it by PYTHONPATH. So it is missing in one that is started with another environment, or with -E or -I.
    """
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = [STARTUP, *(folder for folder in before if folder not in ("", STARTUP))]
    if sys.path[:1] == [PACKAGE_LIES_IN] and PACKAGE_LIES_IN not in folders:  # found only because of the current folder
        folders.append(PACKAGE_LIES_IN)
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)


@contextmanager
def installed() -> Iterator[None]:
    """Within the block, `import caffe` gives ours; another caffe that is imported already is left as it is.

    Several threads may be in such blocks at once. The alias is there until the last of them has left.
    """
    ours = import_module(OURS)
    with _State.lock:
        mine = sys.modules.get(NAME, ours) is ours and bool(_State.blocks or not _has_finder())
        if mine and not _State.blocks:
            _State.environment, _State.stays = os.environ.get("PYTHONPATH"), False
            _State.is_scripts = NAME in sys.modules
            _install()
        _State.blocks += mine
    try:
        yield
    finally:
        with _State.lock:
            _State.blocks -= mine
            if mine and not _State.blocks and not _State.stays:
                _uninstall()


def _uninstall() -> None:
    os.environ.pop("PYTHONPATH", None)
    if _State.environment is not None:
        os.environ["PYTHONPATH"] = _State.environment
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, AliasFinder)]
    if not _State.is_scripts:
        for name in (NAME, *_State.names):
            sys.modules.pop(name, None)  # without the finder, an import of caffe.x would load it a second time
        _State.names.clear()


def _origin(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or ", ".join(getattr(module, "__path__", [])) or repr(module)


class AliasFinder:
    """Finds `caffe` and every `caffe.x`, and hands the import to `minicaffe.pycaffe.x`."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how to import a module of caffe; None for all others. ModuleNotFoundError where there is none."""
        if fullname != NAME and not fullname.startswith(f"{NAME}."):
            return None
        real = OURS + fullname.removeprefix(NAME)
        found = find_spec(real)
        if found is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}: minicaffe has the modules of BVLC's Caffe, and "
                                      "this is none of them; it may belong to a fork of Caffe", name=fullname)
        _State.names.add(fullname)
        is_package = found.submodule_search_locations is not None
        loader: Any = AliasLoader(real)
        return ModuleSpec(fullname, loader, origin=found.origin, is_package=is_package)


class SubmoduleFinder:
    """The same for `caffe.x` alone, where a script has itself put `minicaffe.pycaffe` under the name `caffe`.

    Without it, Python would load the file of `caffe.x` a second time, and a class would be two.
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how to import a module of caffe; None for all others, and where `caffe` is not ours."""
        ours = fullname.startswith(f"{NAME}.") and sys.modules.get(NAME) is sys.modules.get(OURS, NAME)
        return AliasFinder().find_spec(fullname) if ours else None


class AliasLoader:
    """Imports the module that stands behind the alias, and leaves it as it is."""

    def __init__(self, real: str) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the real module. It is complete by now, so no other thread sees half of it."""
        module = import_module(self.real)
        self.spec = module.__spec__
        return module

    def get_code(self, fullname: str) -> Any:
        """Return the code of the real module, for `python -m caffe.draw`."""
        real = find_spec(self.real)
        return real.loader.get_code(self.real) if real else None  # type: ignore[union-attr]

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back, because the import system has just replaced it by the alias's."""
        module.__spec__ = self.spec
