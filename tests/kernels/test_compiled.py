"""Machine code on the disk: it is used while the sources are those it was made of."""

import pytest

pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")

from minicaffe.kernels.numba_engine import compiled


def test_machine_code_of_other_sources_is_forgotten(tmp_path, monkeypatch):
    """A change of any source file, not only of the function's own, drops what was compiled before."""
    sources, cache = tmp_path / "sources", tmp_path / "cache"
    for folder in (sources, cache):
        folder.mkdir()
    monkeypatch.setattr(compiled, "HERE", sources)
    (sources / "helpers.py").write_text("one = 1")
    left = []
    for change in (None, None, "one = 11", None):
        if change:
            (sources / "helpers.py").write_text(change)
        (cache / "a.function.nbi").write_text("")
        compiled.drop_outdated.__wrapped__(str(cache))
        left.append((cache / "a.function.nbi").exists())

    assert [False, True, False, True] == left


def test_a_folder_that_is_gone(tmp_path):
    """A cache folder that cannot be read raises no error."""
    compiled.drop_outdated.__wrapped__(str(tmp_path / "nowhere"))
