"""The page docs/scale.md: its commands are followed, and its tables are those of the cost model."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest
from extras import AS_ROOT, mpirun, needs
from pages import Reader

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scale.md"


@pytest.fixture(scope="module")
def model():
    """The module of the benchmarks that computes the tables."""
    spec = importlib.util.spec_from_file_location("cost_model", ROOT / "tests" / "benchmarks" / "cost_model.py")
    made = sys.modules["cost_model"] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(made)
        yield made
    finally:
        del sys.modules["cost_model"]


def test_the_tables_are_those_of_the_model(model):
    """The page shows what `python tests/benchmarks/cost_model.py` prints."""
    nets = json.loads(model.RECORDED.read_text(encoding="utf-8"))["nets"]

    assert model.tables(nets) in PAGE.read_text(encoding="utf-8")


def test_buckets(model):
    """A bucket is complete with the last gradient in it; a large gradient fills several that are complete at once."""
    full = model.BUCKET

    assert [(full, 2.0), (full, 2.0), (full // 2, 3.0)] == model.buckets(
        [(full // 2, 1.0), (full * 3 // 2, 2.0), (full // 2, 3.0)], 2)


def test_exchange(model):
    """Two calls of K − 1 messages each, and every byte but one's own chunk; ranks of one machine need no network."""
    network = model.Network("some", 1e-3, 1e-6)

    assert 2 * 3 * 1e-3 + 2 * 0.75 * 800e-6 == pytest.approx(model.exchange(800, 4, network))
    assert 0 == model.exchange(800, 4, model.Network("some", 1e-3, 1e-6, per_machine=4))
    # two machines with two ranks each: 2 messages from each rank, and the bytes of both ranks by one connection
    assert 2 * 2 * 1e-3 + 2 * 2 * 0.5 * 800e-6 == pytest.approx(
        model.exchange(800, 4, model.Network("some", 1e-3, 1e-6, per_machine=2)))


def test_what_backward_hides(model):
    """The exchange of an early gradient costs nothing; the last one is waited for, and both are without overlap."""
    network = model.Network("some", 0.0, 1e-6)
    net = model.Timed(((model.BUCKET, 10.0), (model.BUCKET // 2, 20.0)), part=20.0, update=0.0, add=0.0)
    early, late = model.BUCKET * 1e-6, model.BUCKET * 0.5e-6

    assert late == pytest.approx(model.waiting(net, 2, network))
    assert early + late == pytest.approx(model.waiting(net, 2, network, overlap=False))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the programs are scripts of a POSIX shell")
def test_the_page_can_be_followed(tmp_path):
    """Everything that the page runs prints what the page shows."""
    needs("h5py")
    reader = Reader(tmp_path)
    reader.environment.update(AS_ROOT, PRTE_MCA_rmaps_default_mapping_policy=":oversubscribe")
    reader.environment["PATH"] += f"{os.pathsep}{Path(mpirun()).parent}"
    reader.follow(PAGE)
