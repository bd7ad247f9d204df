"""Twelve updates of fourteen solvers, and resumes from the snapshots that BVLC Caffe wrote after the sixth."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from extras import needs

from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

FOLDER = Path(__file__).parent.parent / "oracle" / "solvers"

with np.load(FOLDER / "solvers.npz") as arrays:
    VECTORS = {key: arrays[key] for key in arrays.files}
CASES = sorted({key.split("|")[0] for key in VECTORS})


def follow(case, solver, start, stop):
    """Make the recorded updates and compare every learned blob after each, and the loss."""
    learned = {key.split("|")[2]: values for key, values in VECTORS.items() if key.startswith(f"{case}|trajectory|")}
    for t in range(start, stop):
        for name in ("x", "y"):
            solver.net.blobs[name].data[...] = VECTORS[f"{case}|in|{name}"][t]
        solver.step(1)
        for key, values in learned.items():
            layer, index = key.split("/")
            blob = solver.net.params[layer][int(index)]
            np.testing.assert_allclose(blob.data, values[t], rtol=1e-5, atol=2e-6, err_msg=f"{key} after {t + 1}")
        np.testing.assert_allclose(solver.net.blobs["loss"].data, VECTORS[f"{case}|loss"][t], rtol=1e-5)


def solver_of(case):
    return get_solver(proto_text.parse(str(VECTORS[f"{case}|prototxt"]), SolverParameter()))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("each_engine")
def test_solvers_follow_caffe(case):
    """Twelve updates give Caffe's weights and losses, on every engine."""
    solver = solver_of(case)
    for key, values in VECTORS.items():
        if key.startswith(f"{case}|param|"):
            layer, index = key.split("|")[2].split("/")
            solver.net.params[layer][int(index)].data[...] = values
    follow(case, solver, 0, 12)


@pytest.mark.parametrize("tail", ["", ".h5"], ids=["binary", "hdf5"])
@pytest.mark.parametrize("case", CASES)
def test_solvers_go_on_from_caffes_snapshots(case, tail, tmp_path):
    """A state finds its weights beside it and the updates go on as Caffe's did."""
    if tail:
        needs("h5py")
    for path in FOLDER.glob(f"{case}_iter_6.*"):
        shutil.copy(path, tmp_path)
    solver = solver_of(case)
    solver.restore(str(tmp_path / f"{case}_iter_6.solverstate{tail}"))

    assert solver.iter == 6
    follow(case, solver, 6, 12)
