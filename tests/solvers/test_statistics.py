"""The failure doctor and BatchNorm layers that have no statistics yet."""

import os
from itertools import pairwise

import numpy as np
import pytest

from minicaffe.errors import SolverError
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver
from minicaffe.solvers.doctor.doctor import Doctor


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Failures are saved in the current folder."""
    monkeypatch.chdir(tmp_path)


DEEP = """
  net_param {
    layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 4 dim: 2 }
            data_filler { type: "gaussian" } } }
    %s
    layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "x" top: "loss" }
  }
  lr_policy: "fixed" base_lr: 0.001 test_iter: 2 test_interval: 5 max_iter: 2 snapshot_prefix: "s" """
NORMS = 20  # BatchNorm layers: without statistics each makes its bottom 316 times larger


def deep(more=""):
    """A solver of a net of many BatchNorm layers."""
    names = ["x", *(f"b{i}" for i in range(NORMS))]
    layers = [f'layer {{ name: "{top}" type: "BatchNorm" bottom: "{bottom}" top: "{top}" {more} }}'
              for bottom, top in pairwise(names)]
    layers.append(f'layer {{ name: "y" type: "InnerProduct" bottom: "{names[-1]}" top: "y" inner_product_param '
                  '{ num_output: 2 weight_filler { type: "xavier" } } }')
    return get_solver(proto_text.parse(DEEP % "\n".join(layers), SolverParameter()))


def test_a_test_before_batchnorm_has_statistics(caplog):
    """As in every deep residual net the first test comes to Inf; one warning says why, and training goes on."""
    solver = deep()
    doctor = Doctor(solver)
    solver.step(7)

    assert solver.iter == 7
    said = [record.getMessage() for record in caplog.records if "BatchNorm" in record.getMessage()]
    assert len(said) == 1
    assert "no statistics have been measured yet for layer 'b0' (BatchNorm); test_initialization: false" in said[0]
    assert not os.path.exists("s_iter_0_failure.npz")
    solver.test_nets[0].params["y"][0].data[...] = np.nan  # what is bad for another reason still ends it
    with pytest.raises(SolverError, match="a value is not finite, first in top blob 'y' .* of test net #0"):
        solver.test(0)
    doctor.detach()


def test_batchnorm_frozen_without_statistics():
    """In the net that is trained nothing will mend it, so it is a failure, whose cause is named."""
    solver = deep("batch_norm_param { use_global_stats: true }")
    Doctor(solver)
    with pytest.raises(SolverError) as error:
        solver.step(1)
    text = str(error.value)

    assert "iteration 0: a value is not finite" in text
    assert "1. layer 'b0' (BatchNorm) has use_global_stats, but no statistics" in text
    assert "begin with --weights" in text
