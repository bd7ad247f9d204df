"""What a benchmark ran on: the processor, the versions, and a cap on the processor's vectors."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

PACKAGES = ("numpy", "numba", "torch", "opencv-python-headless", "opencv-python", "onnxruntime", "openvino", "ncnn")
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX"}  # the widest of a processor, from the widest down
WIDER = ("avx512", "avx10", "amx", "evex512")  # the beginnings of the features that a cap to AVX2 takes away


def facts():
    """Everything that a reader of a figure must know of the machine."""
    found = {name: _version(name) for name in PACKAGES}
    return {"processor": processor(), "vectors": vectors(), "cores": cores(), "threads": threads(),
            "capped to": os.environ.get("BENCHMARK_CAP", ""), "python": platform.python_version(),
            "versions": {name: version for name, version in found.items() if version}}


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads():
    """How many threads each side uses."""
    return int(os.environ.get("MINICAFFE_THREADS") or cores())


def machine():
    """One line about where this runs."""
    known = facts()
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
    capped = f", capped to {known['capped to'].upper()}" if known["capped to"] else ""
    return (f"{known['processor']} ({known['vectors']}{capped}), {known['cores']} cores, {known['threads']} threads; "
            f"Python {known['python']}, {versions}")


def processor():
    """The name of the processor, and on Linux its family and model, since clouds give many the same name."""
    lines = dict(line.split(":", 1) for line in _cpuinfo().splitlines() if ":" in line)
    known = {key.strip(): value.strip() for key, value in lines.items()}
    if "model name" not in known:
        return platform.processor() or platform.machine()
    return f"{known['model name']}, family {known.get('cpu family', '?')} model {known.get('model', '?')}"


def vectors():
    """The widest vectors of the processor."""
    flags = next((line.split() for line in _cpuinfo().splitlines() if line.startswith("flags")), [])
    return next((name for flag, name in VECTORS.items() if flag in flags), "no AVX")


def _cpuinfo():
    at = Path("/proc/cpuinfo")
    return at.read_text().split("\n\n")[0] if at.exists() else ""


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def cap():
    """Hold this process and those that it starts to AVX2. Call it before numpy, numba or a rival is imported."""
    if vectors() != "AVX-512":
        sys.exit(f"--cap avx2: there is nothing to cap, because this processor has {vectors()} and no AVX-512.")
    import llvmlite.binding as llvm

    os.environ.update(settings(llvm.get_host_cpu_features()))


def settings(features):
    """The environment that holds every library to AVX2 on a processor with these features."""
    kept = ",".join(f"{'+' if on and not name.startswith(WIDER) else '-'}{name}" for name, on in features.items())
    return {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": kept, "OPENBLAS_CORETYPE": "Haswell",
            "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "OPENCV_CPU_DISABLE": "AVX512_COMMON,AVX512_SKX,AVX512_CNL,AVX512_CLX,AVX512_ICL", "BENCHMARK_CAP": "avx2"}
