"""What tests do where an optional package is not installed."""

import importlib
import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from minicaffe.errors import EngineError

PACKAGES = {"numba": "numba", "threadpoolctl": "threadpoolctl", "lmdb": "lmdb", "h5py": "h5py",
            "cv2": "opencv-python-headless", "rich": "rich", "matplotlib": "matplotlib", "tensorboard": "tensorboard",
            "grpc_tools": "grpcio-tools", "playwright": "playwright", "nbclient": "nbclient",
            "ipykernel": "ipykernel", "mpi4py": "mpi4py", "onnx": "onnx",
            "onnxruntime": "onnxruntime"}  # module -> what is installed for it
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}  # for mpirun, as in a container


def needs(module: str) -> ModuleType:
    """The module; where its package is not installed, the test that asks is skipped and the extra named."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        pytest.skip(reason(error) or str(error))


def mpirun() -> str:
    """The program that starts ranks: the one that pip has put beside this Python, or another on the PATH."""
    needs("mpi4py")
    found = shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if not found:
        pytest.skip("needs the program mpirun: pip install 'minicaffe[mpi]'")
    return found


def needs_tiles() -> None:
    """Skip where a register cannot be moved in part: there convolutions and products stay with the reference."""
    needs("numba")
    from minicaffe.kernels.numba_engine.registers import MASKS

    if not MASKS:
        pytest.skip("this machine has no AVX, so that its convolutions and products are no compiled tasks")


def reason(error: Exception) -> str:
    """What is to be installed against an error; "" where it comes of something else than a missing package."""
    if isinstance(error, EngineError):
        return f"{error.message}: {error.hint}" if error.hint.startswith("pip install 'minicaffe[") else ""
    package = PACKAGES.get((getattr(error, "name", None) or "").split(".")[0])
    return f"needs the package {package!r}: pip install 'minicaffe[{extra_of(package)}]'" if package else ""


def extra_of(package: str) -> str:
    """The extra of pyproject.toml that brings a package."""
    table = (Path(__file__).parent.parent / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1]
    return next(line.split(" = ")[0] for line in table.splitlines() if re.search(rf'"{package}\b', line))


def needs_torch() -> None:
    """Skip where PyTorch is missing. No extra brings it, because its usual package is of some gigabytes."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("this machine has no PyTorch, with which these numbers are compared: pip install torch")
