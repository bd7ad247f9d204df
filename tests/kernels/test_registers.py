"""The registers of vectors follow numba's settings, so that a processor can be capped to what an older one has."""

import pytest

pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")

from minicaffe.kernels.numba_engine.registers import features

HOST = {"sse2": True, "avx": True, "avx512f": True, "amx": False}


@pytest.mark.parametrize(("name", "setting", "want"), [
    (None, None, HOST),
    ("haswell", None, HOST),  # numba gives the host's features along with the name
    (None, "-avx512f, +amx", {**HOST, "avx512f": False, "amx": True}),
    (None, "", HOST),
    ("haswell", "+avx,-avx512f,", {"avx": True, "avx512f": False}),
    ("nehalem", "", {}),
])
def test_features(name, setting, want):
    """NUMBA_CPU_FEATURES changes the host's features; where NUMBA_CPU_NAME is set too, it stands for itself."""
    assert want == features(HOST, name, setting)
