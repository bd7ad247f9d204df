"""Learning rate policies: how the rate falls from base_lr as the iterations t = 0, 1, 2, … go by.

    fixed       base_lr
    step        base_lr · gamma^⌊t / stepsize⌋
    exp         base_lr · gamma^t
    inv         base_lr · (1 + gamma · t)^−power
    multistep   base_lr · gamma^(the number of stepvalues that t has reached)
    poly        base_lr · (1 − t / max_iter)^power
    sigmoid     base_lr / (1 + e^(−gamma · (t − stepsize)))
    cosine      base_lr · ½ (1 + cos(π · t / max_iter))                                (minicaffe's own)
    plateau     base_lr · gamma^(how often plateau_patience ran out)                   (minicaffe's own)

With warmup_iter (minicaffe's own) the first iterations rise in a line from warmup_start_lr to the policy's rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minicaffe.errors import SolverError, near_names
from minicaffe.log import log

Policy = Callable[[Any, int, int], float]  # (SolverParameter, t, current_step) -> rate

POLICIES: dict[str, tuple[Policy, tuple[str, ...]]] = {}  # name -> the policy and the fields it reads


def policy(*fields: str) -> Callable[[Policy], Policy]:
    """Decorator: register a policy under its own name, with the fields that it reads besides base_lr."""

    def keep(function: Policy) -> Policy:
        POLICIES[function.__name__.strip("_")] = (function, fields)
        return function

    return keep


@policy()
def fixed(p: Any, t: int, current_step: int) -> float:
    return p.base_lr


@policy("gamma", "stepsize")
def step(p: Any, t: int, current_step: int) -> float:
    return p.base_lr * power(p.gamma, current_step)


@policy("gamma")
def exp(p: Any, t: int, current_step: int) -> float:
    return p.base_lr * power(p.gamma, t)


@policy("gamma", "power")
def inv(p: Any, t: int, current_step: int) -> float:
    return p.base_lr * power(1 + p.gamma * t, -p.power)


@policy("gamma", "stepvalue")
def multistep(p: Any, t: int, current_step: int) -> float:
    return p.base_lr * power(p.gamma, current_step)


@policy("power", "max_iter")
def poly(p: Any, t: int, current_step: int) -> float:
    return p.base_lr * power(1 - t / p.max_iter, p.power) if p.max_iter else math.nan


@policy("gamma", "stepsize")
def sigmoid(p: Any, t: int, current_step: int) -> float:
    return p.base_lr / (1 + power(math.e, -p.gamma * (t - p.stepsize)))


@policy("max_iter")
def cosine(p: Any, t: int, current_step: int) -> float:
    return p.base_lr * (1 + math.cos(math.pi * t / p.max_iter)) / 2 if p.max_iter else math.nan


@policy("gamma", "plateau_patience", "plateau_metric")
def plateau(p: Any, t: int, current_step: int) -> float:
    return p.base_lr * power(p.gamma, current_step)


def power(base: float, exponent: float) -> float:
    """base^exponent as C computes it: infinite or not a number where Python raises."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


def _next_step(p: Any, t: int, current_step: int) -> int:
    """The step that `step` and `multistep` are on at iteration t, given the one before."""
    if p.lr_policy == "step":
        return t // p.stepsize
    # Caffe: one stepvalue an iteration, even where two are the same
    if p.lr_policy == "multistep" and current_step < len(p.stepvalue) and t >= p.stepvalue[current_step]:
        log("sgd_solver.cpp:50", f"MultiStep Status: Iteration {t}, step = {current_step + 1}")
        return current_step + 1
    return current_step


def learning_rate(p: Any, t: int, current_step: int) -> tuple[float, int]:
    """The rate of iteration t and the step that it is on, given the step of the iteration before.

    SolverError where the policy gives no finite number.
    """
    check(p)
    current_step = _next_step(p, t, current_step)
    rate = POLICIES[p.lr_policy][0](p, t, current_step)
    if t < p.warmup_iter:
        rate = p.warmup_start_lr + (rate - p.warmup_start_lr) * t / p.warmup_iter
    if not math.isfinite(rate):
        beyond = f"; it ends at max_iter {p.max_iter}" if "max_iter" in POLICIES[p.lr_policy][1] else ""
        raise SolverError(f"lr_policy {p.lr_policy!r} gives the learning rate {rate} at iteration {t}{beyond}")
    return rate, current_step


def check(p: Any, where: str = "") -> None:
    """SolverError when the policy is unknown or a field that it reads has no use."""
    if p.lr_policy not in POLICIES:
        known = ", ".join(POLICIES)
        raise SolverError(f"lr_policy is {p.lr_policy!r}; known are {known}" if p.lr_policy else
                          f"lr_policy is missing; known are {known}", where=where,
                          hint=near_names(p.lr_policy, list(POLICIES)))
    reads = POLICIES[p.lr_policy][1]
    if "stepsize" in reads and p.stepsize <= 0:
        raise SolverError(f"lr_policy {p.lr_policy!r} needs a stepsize of at least 1, got {p.stepsize}",
                          where=where)
    if "plateau_patience" in reads and p.plateau_patience <= 0:
        raise SolverError(f"lr_policy {p.lr_policy!r} needs a plateau_patience of at least 1, got {p.plateau_patience}",
                          where=where, hint="it counts tests or, without a plateau_metric, updates")
    if "gamma" in reads and p.gamma < 0:
        raise SolverError(f"lr_policy {p.lr_policy!r} needs a gamma of at least 0, got {p.gamma:g}",
                          where=where)
