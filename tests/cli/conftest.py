"""What the tests of the command line share."""

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    """A working folder with the net and the solver of the test's module, NET and SOLVER."""
    (tmp_path / "net.prototxt").write_text(request.module.NET)
    (tmp_path / "solver.prototxt").write_text(request.module.SOLVER)
    monkeypatch.chdir(tmp_path)
    return tmp_path
