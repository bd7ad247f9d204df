"""The textures example: its README is followed from the photographs to the class of one, and shows what it prints."""

import csv
import re
import shutil
from pathlib import Path

import pytest
from extras import needs
from pages import Reader

from minicaffe.cli.__main__ import main
from minicaffe.io import image

FOLDER = Path(__file__).parents[2] / "examples" / "textures"
CLASSES = ["brick", "grass", "gravel"]


def copy_to(place):
    """Copy the example, without what it leaves when somebody has followed it."""
    left = shutil.ignore_patterns("*.run", "*.caffemodel", "*.solverstate", "*.resume", "*.png", "*.csv", "labels.txt",
                                  "deploy.prototxt", ".*")
    return Path(shutil.copytree(FOLDER, place, ignore=left))


@pytest.mark.slow
def test_its_readme(tmp_path):
    """Each command prints what the page shows, the net recognises 9 of 10 photographs, and the pictures are there."""
    for package in ("cv2", "matplotlib"):
        needs(package)
    here = copy_to(tmp_path / "page")
    reader = Reader(tmp_path)
    printed = []
    reader.run = lambda command, run=reader.run: printed.append(run(command)) or printed[-1]
    reader.follow(here / "README.md")

    log, tested, deployed, classified = printed[-4:]
    assert float(re.findall(r"Test net output #0: accuracy = (\S+)", log)[-1]) >= 0.9
    assert float(re.search(r"^accuracy (\S+)$", tested, re.MULTILINE)[1]) >= 0.9
    assert "both nets give the same prob" in deployed
    assert re.search(r"^test/gravel/03\.jpg\n +(\S+) %  gravel \(2\)$", classified, re.MULTILINE)
    assert CLASSES == (here / "labels.txt").read_text().split()
    rows = list(csv.DictReader((here / "predictions.csv").read_text().splitlines()))
    assert sorted(row["key"] for row in rows) == sorted(path.relative_to(here / "test").as_posix()
                                                        for path in (here / "test").rglob("*.jpg"))
    assert sum(row["label_name"] == row["prediction_name"] for row in rows) >= 22
    for name in ("photographs", "seen", "confusion"):
        assert image.decode((here / f"{name}.png").read_bytes(), name, True).std() > 10


def test_its_photographs(tmp_path, monkeypatch, capsys):
    """Every photograph can be read, none is there twice, and lint finds nothing to say."""
    needs("cv2")
    monkeypatch.chdir(copy_to(tmp_path / "page"))

    for part, each in (("train", 24), ("test", 8)):
        assert 0 == main(["data", part, "--check"])
        told = capsys.readouterr().out
        assert f"3 labels, 0 to 2, {each} samples each" in told
        assert "no two samples have the same content" in told
    assert 0 == main(["lint", "solver.prototxt"])
    assert "no errors, no warnings and no notes in 2 files" in capsys.readouterr().out


def test_its_settings_fit_photographs_of_any_size(tmp_path, monkeypatch, capsys):
    """As its README promises, photographs of other sizes and two classes need num_output alone to be changed."""
    needs("cv2")
    here = copy_to(tmp_path / "page")
    monkeypatch.chdir(here)
    for part in ("train", "test"):
        shutil.rmtree(here / part / "grass")
        for k, path in enumerate(sorted((here / part).rglob("*.jpg"))):
            pixels = image.decode(path.read_bytes(), path.name, True)
            path.with_suffix(".png").write_bytes(image.encode(image.resize(pixels, (70 + k, 150 - k))))
            path.unlink()
    net = (here / "net.prototxt").read_text()
    (here / "net.prototxt").write_text(net.replace("num_output: 3", "num_output: 2"))

    assert 0 == main(["train", "--solver", "solver.prototxt", "--no-record", "--override", "max_iter=2,display=1"])
    assert ["brick", "gravel"] == (here / "labels.txt").read_text().split()
    assert "Test net #0: 16 samples in 1 batch of 24, the last one of 16" in capsys.readouterr().err
