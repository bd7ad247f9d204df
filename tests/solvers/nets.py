"""A solver on the smallest net that learns: y ≈ w · x + b, with inputs set by the test."""

from __future__ import annotations

import numpy as np

from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

NET = """
  name: "line"
  layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 3 } } }
  layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 5 dim: 2 } } }
  layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" %s
          inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.5 } } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "t" top: "loss" }
"""


def make(fields="", *, layer="", dtype=np.float64, net="net_param"):
    """A solver with these fields; lr_policy fixed and base_lr 0.1 where they say nothing else."""
    defaults = [line for line in ('lr_policy: "fixed"', "base_lr: 0.1") if line.split(":")[0] not in fields]
    text = f"{net} {{ {NET % layer} }} {' '.join(defaults)} {fields}"
    return get_solver(proto_text.parse(text, SolverParameter()), dtype=dtype)


def feed(solver, seed=0):
    """Fill the inputs of the train and test nets with one fixed random batch."""
    draw = np.random.default_rng(seed)
    x, t = draw.standard_normal((5, 3)), draw.standard_normal((5, 2))
    for net in (solver.net, *solver.test_nets):
        net.blobs["x"].data[...] = x
        net.blobs["t"].data[...] = t
    return solver


def weights(solver):
    """Copies of the learned blobs."""
    return [blob.data.copy() for blob in solver.net.params["ip"]]


def gradients(solver):
    """The gradients of one pass, which leaves the weights as they are."""
    solver.net.clear_param_diffs()
    solver.net.forward_backward()
    return [blob.diff.copy() for blob in solver.net.params["ip"]]
