"""Files that an earlier minicaffe wrote are still read: snapshots, .resume files, run folders, failure files."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from minicaffe import kernels
from minicaffe.cli.__main__ import main
from minicaffe.io import weights
from minicaffe.records import run_log

KEPT = Path(__file__).with_name("written_before")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the files, as the current folder."""
    shutil.copytree(KEPT, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    kernels.use_engine("numpy")
    return tmp_path / "run"


def test_a_snapshot_is_resumed_as_if_nothing_had_happened(folder, capsys):
    """Iterations 5 to 8, trained now from the old snapshot, give the weights that the old training ended with."""
    assert main(["train", "--solver", "solver.prototxt", "--snapshot", "kept_iter_4.solverstate"]) == 0
    assert "not restored" not in capsys.readouterr().err
    then, now = (weights.read(place / "kept_iter_8.caffemodel") for place in (KEPT, folder))
    assert [layer.name for layer in then] == [layer.name for layer in now]
    for old, new in zip(then, now, strict=True):
        for a, b in zip(old.blobs, new.blobs, strict=True):  # processors round the sums of a product differently
            np.testing.assert_allclose(b, a, rtol=1e-5)


def test_a_run_folder_is_read_and_gone_on_with(folder):
    """The curves of an old run folder can be read, and a resumed training appends to its files."""
    before = yaml.safe_load((folder / "kept.run/run.yaml").read_text(encoding="utf-8"))
    assert list(range(9)) == [iteration for iteration, _ in run_log.read("kept.run").train["loss"]]
    assert main(["train", "--solver", "solver.prototxt", "--snapshot", "kept_iter_4.solverstate"]) == 0
    assert [before] == yaml.safe_load((folder / "kept.run/run.yaml").read_text(encoding="utf-8"))["earlier"]


def test_a_failure_file_is_replayed(folder, capsys):
    """`minicaffe replay` finds the same layer in an old failure file."""
    assert main(["replay", "bad_iter_1_failure.npz"]) in (0, 1)
    said = capsys.readouterr()
    assert re.search(r"'ip' \(InnerProduct\)", said.out + said.err)
