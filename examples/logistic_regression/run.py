"""Logistic regression with a Solver, compared with the optimum that Newton's method finds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from iris import read_table

from minicaffe.solvers import get_solver

HERE = Path(__file__).parent
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width", "intercept"]


def train() -> tuple[np.ndarray, float]:
    """Return weights and intercept after the solver's max_iter updates, and the loss with them."""
    os.chdir(HERE)  # the paths in the definitions, and the modules of Python layers, are sought in the current folder
    solver = get_solver("solver.prototxt")
    net = solver.net
    solver.step(solver.param.max_iter)
    net.forward()
    w, b = net.params["score"]
    return np.append(w.data[0], b.data).astype(np.float64), float(net.blobs["loss"].data)


def newton(features: np.ndarray, t: np.ndarray, steps: int = 15) -> tuple[np.ndarray, float]:
    """Maximize the likelihood in float64 by steps θ ← θ − H⁻¹g, with g = Fᵀ(p − t) and H = Fᵀ diag(p(1 − p)) F."""
    F = np.column_stack([features, np.ones(len(t))])
    theta = np.zeros(F.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-F @ theta))
        theta -= np.linalg.solve(F.T @ (F * (p * (1 - p))[:, None]), F.T @ (p - t))
    x = F @ theta
    return theta, float((np.logaddexp(0, x) - t * x).mean())


def per_centimetre(theta: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Return the coefficients for features in centimetres, from those for standardized features."""
    w = theta[:4] / std
    return np.append(w, theta[4] - w @ mean)


def main() -> None:
    """Train, solve, and print both results."""
    cm, t = read_table()
    mean, std = cm.mean(axis=0), cm.std(axis=0)
    features = (cm - mean) / std  # as IrisLayer standardizes them
    found, loss = train()
    best, best_loss = newton(features, t)
    wrong = int(((features @ found[:4] + found[4] > 0) != (t == 1)).sum())
    print(f"{'':14} {'solver':>12} {'optimum':>12} {'gap':>10}")
    rows = zip(NAMES, per_centimetre(found, mean, std), per_centimetre(best, mean, std), strict=True)
    for name, ours, theirs in [*rows, ("loss", loss, best_loss)]:
        print(f"{name:14} {ours:12.6f} {theirs:12.6f} {ours - theirs:10.1e}")
    print(f"{wrong} of {len(t)} flowers on the wrong side")


if __name__ == "__main__":
    main()
