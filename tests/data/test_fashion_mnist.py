"""The example with real images, and the demo that runs it."""

import argparse
import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from extras import needs

from minicaffe.cli import demo
from minicaffe.data.idx import read_idx
from minicaffe.data.lmdb import LmdbSource
from minicaffe.errors import DataError
from minicaffe.net import Net
from minicaffe.proto import TEST, Datum
from minicaffe.records import picture, run_log

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fashion_mnist"


@pytest.fixture
def get_data():
    """The example's script as a module."""
    spec = importlib.util.spec_from_file_location("get_data", EXAMPLE / "get_data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parsed(*args):
    """The demo's flags as it gets them."""
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return parser.parse_args([str(a) for a in args])


def test_subset():
    """The shipped subset has 5,000 and 1,000 images of all ten classes, in less than 3 MB."""
    for prefix, count in (("train", 5000), ("t10k", 1000)):
        assert read_idx(EXAMPLE / "subset" / f"{prefix}-images-idx3-ubyte.gz").shape == (count, 28, 28)
        labels = read_idx(EXAMPLE / "subset" / f"{prefix}-labels-idx1-ubyte.gz")
        assert labels.shape == (count,)
        assert np.bincount(labels, minlength=10).min() > 0.08 * count
    assert sum(f.stat().st_size for f in (EXAMPLE / "subset").iterdir()) < 3e6


def test_get_data(tmp_path, get_data, monkeypatch, capsys):
    """The script writes both LMDBs from the subset."""
    needs("lmdb")
    monkeypatch.setattr("sys.argv", ["get_data.py", "--out", str(tmp_path)])

    assert get_data.main() == 0
    assert "5000 images" in capsys.readouterr().out
    assert len(LmdbSource(tmp_path / "train_lmdb")) == 5000
    key, value = next(LmdbSource(tmp_path / "test_lmdb").records())
    datum = Datum.FromString(value)
    assert (key, datum.channels, datum.height, datum.width, datum.label) == (b"00000000", 1, 28, 28, 9)


def test_download_is_checked(tmp_path, get_data, monkeypatch):
    """What is downloaded keeps its name only with the right SHA-256; no network is a clear error."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "a.gz").write_bytes(b"not it")
    monkeypatch.setattr(get_data, "URL", served.as_uri() + "/")

    with pytest.raises(DataError, match=r"a\.gz is not the file that was expected: its SHA-256 is .*, not 00"):
        get_data.download("a.gz", "00", tmp_path / "a.gz")
    with pytest.raises(DataError, match=r"cannot download .*b\.gz"):
        get_data.download("b.gz", "00", tmp_path / "b.gz")
    assert [p.name for p in tmp_path.iterdir()] == ["served"]
    get_data.download("a.gz", get_data.sha256(b"not it"), tmp_path / "a.gz")
    assert (tmp_path / "a.gz").read_bytes() == b"not it"


def test_full_set_is_kept(tmp_path, get_data, monkeypatch):
    """--full downloads each file once: a second run takes what is there, and replaces what is damaged."""
    contents = {name: name.encode() for name in get_data.SHA256}
    monkeypatch.setattr(get_data, "SHA256", {n: get_data.sha256(c) for n, c in contents.items()})
    monkeypatch.setattr(get_data, "HERE", tmp_path)
    monkeypatch.setattr(get_data, "DEBIAN", tmp_path / "nowhere")
    fetched = []

    def download(name, expected, target):
        fetched.append(name)
        target.write_bytes(contents[name])

    monkeypatch.setattr(get_data, "download", download)
    folder = get_data.full_set()
    assert fetched == list(contents)
    get_data.full_set()
    assert len(fetched) == 4
    (folder / fetched[2]).write_bytes(b"damaged")
    get_data.full_set()
    assert fetched[4:] == [fetched[2]]


def test_demo(tmp_path, capsys):
    """A short demo leaves databases, definitions, log, weights and picture, and tells how to go on by hand."""
    needs("matplotlib")
    assert demo.run(parsed("--iterations", 4, "--out", tmp_path / "run")) == 0

    out = capsys.readouterr().out
    assert re.search(r"Of 1000 test images \d+\.\d % are recognised after 4 updates", out)
    assert "minicaffe train --solver lenet_solver.prototxt" in out
    assert "--weights lenet_iter_4.caffemodel --iterations 10" in out
    made = {p.name for p in (tmp_path / "run").iterdir()}
    assert made == {"train_lmdb", "test_lmdb", demo.NET, demo.SOLVER, "train.log", "demo.png",
                    "lenet_iter_4.caffemodel", "lenet_iter_4.resume", "lenet_iter_4.solverstate"}
    assert (tmp_path / "run" / "demo.png").read_bytes()[:4] == b"\x89PNG"
    log = run_log.read(tmp_path / "run" / "train.log")
    assert [i for i, _ in log.train["loss"]] == [0]
    assert [i for i, _ in log.test["accuracy"]] == [0, 1, 2, 3, 4]


def test_demo_without_matplotlib(tmp_path, capsys, monkeypatch):
    """Without matplotlib the demo trains all the same and names the extra."""
    monkeypatch.setattr(picture, "Figure", None)

    assert demo.run(parsed("--iterations", 1, "--out", tmp_path)) == 0
    assert "pip install 'minicaffe[plot]'" in capsys.readouterr().out
    assert not (tmp_path / "demo.png").exists()


def test_demo_without_a_checkout(tmp_path, monkeypatch):
    """The images of the installed package serve as well, and the results go into the current folder then."""
    package = tmp_path / "site-packages" / "minicaffe"
    shutil.copytree(EXAMPLE / "subset", package / "examples" / "fashion_mnist" / "subset")
    for name in (demo.NET, demo.SOLVER):
        shutil.copyfile(EXAMPLE / name, package / "examples" / "fashion_mnist" / name)
    monkeypatch.setattr(demo, "PACKAGE", package)
    monkeypatch.setattr(demo, "EXAMPLES", [tmp_path / "nowhere", package / "examples" / "fashion_mnist"])
    monkeypatch.chdir(tmp_path)

    assert demo.run(parsed("--iterations", 1)) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"site-packages", "minicaffe_demo"}
    assert (tmp_path / "minicaffe_demo" / "lenet_iter_1.caffemodel").is_file()
    assert {p.name for p in (package / "examples" / "fashion_mnist").iterdir()} == {"subset", demo.NET, demo.SOLVER}


def test_demo_without_images(tmp_path, monkeypatch):
    """Where the example is not found, the error says what to do."""
    monkeypatch.setattr(demo, "EXAMPLES", [tmp_path / "nowhere"])

    with pytest.raises(DataError, match=r"installed without the images of the demo") as caught:
        demo.run(parsed())
    assert "--data CHECKOUT/examples/fashion_mnist" in caught.value.hint
    with pytest.raises(DataError, match=r"is not the example's folder"):
        demo.run(parsed("--data", tmp_path))


def test_deploy_net_takes_the_trained_layers():
    """lenet.prototxt has every learnable layer of lenet_train_test.prototxt, with the same shapes."""
    deploy = Net(EXAMPLE / "lenet.prototxt", TEST)

    assert {n: [b.shape for b in blobs] for n, blobs in deploy.params.items()} == {
        "conv1": [(20, 1, 5, 5), (20,)], "conv2": [(50, 20, 5, 5), (50,)],
        "ip1": [(500, 800), (500,)], "ip2": [(10, 500), (10,)]}
    deploy.forward()
    assert deploy.blobs["prob"].data.sum(axis=1) == pytest.approx(np.ones(64), abs=1e-5)
