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

With warmup_iter (minicaffe's own) the rate of the first iterations rises linearly from warmup_start_lr to the policy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from minicaffe.errors import SolverError, near_names
from minicaffe.log import At, log
from minicaffe.solvers import fork_fields
from minicaffe.solvers.fields import place, require, value_in_words, warn_unless

Policy = Callable[[Any, int, int], float]  # (SolverParameter, t, current_step) → the rate

POLICIES: dict[str, tuple[Policy, tuple[str, ...]]] = {}  # name -> the policy and the fields it reads


def policy(*fields: str) -> Callable[[Policy], Policy]:
    """Decorator: register a policy under its function's name, with the fields that it reads besides base_lr."""

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
    """base^exponent as C computes it: infinity or NaN where Python raises an error."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


def _next_step(p: Any, t: int, current_step: int) -> int:
    """Return the step that the policy is on at iteration t, given the step of the iteration before."""
    if p.lr_policy == "step":
        return t // p.stepsize
    # Caffe: at most one stepvalue is passed in an iteration, even where two are the same
    if p.lr_policy == "multistep" and current_step < len(p.stepvalue) and t >= p.stepvalue[current_step]:
        log(At.LR_STEP, f"MultiStep Status: Iteration {t}, step = {current_step + 1}")
        return current_step + 1
    return current_step


def learning_rate(p: Any, t: int, current_step: int) -> tuple[float, int]:
    """Return the rate of iteration t and the step that the policy is then on, given the step of the iteration before.

    Raise SolverError where the policy gives no finite number.
    """
    check(p)  # a solver without an lr_policy was not checked when it was made
    current_step = _next_step(p, t, current_step)
    rate = POLICIES[p.lr_policy][0](p, t, current_step)
    if t < p.warmup_iter:
        rate = p.warmup_start_lr + (rate - p.warmup_start_lr) * t / p.warmup_iter
    if not math.isfinite(rate):
        beyond = f"; it ends at max_iter {p.max_iter}" if "max_iter" in POLICIES[p.lr_policy][1] else ""
        raise SolverError(f"lr_policy {p.lr_policy!r} gives the learning rate {rate} at iteration {t}{beyond}")
    return rate, current_step


def check(p: Any, where: str = "") -> None:
    """Raise SolverError where the policy is unknown, or one of its fields has a value that makes no sense."""
    if p.lr_policy not in POLICIES:
        known = ", ".join(POLICIES)
        raise SolverError(f"lr_policy is {p.lr_policy!r}; known are {known}" if p.lr_policy else
                          f"lr_policy is missing; known are {known}", where=place(p, "lr_policy", where),
                          hint=fork_fields.POLICIES.get(p.lr_policy) or near_names(p.lr_policy, list(POLICIES)))
    reads = POLICIES[p.lr_policy][1]
    require(not p.base_lr < 0, p, "base_lr", "must be at least 0", where,
            hint="a negative loss_weight climbs a loss, a negative lr_mult turns one blob's steps round")
    for field, hint in (("stepsize", ""),
                        ("plateau_patience", "it counts tests or, without a plateau_metric, updates")):
        require(field not in reads or getattr(p, field) > 0, p, field,
                f"must be at least 1 for lr_policy {p.lr_policy!r}", where, hint, by="lr_policy")
    require("gamma" not in reads or not p.gamma < 0, p, "gamma", f"must be at least 0 for lr_policy {p.lr_policy!r}",
            where)
    require(min(p.stepvalue, default=0) >= 0, p, "stepvalue", "must hold iterations, from 0 on", where)
    require("max_iter" not in reads or p.HasField("max_iter") or p.max_epoch > 0, p, "max_iter",
            f"must be given for lr_policy {p.lr_policy!r}, whose rate ends there", where, by="lr_policy")
    require(p.warmup_iter >= 0, p, "warmup_iter", "must be at least 0", where)
    require(not p.warmup_start_lr < 0, p, "warmup_start_lr", "must be at least 0", where)
    require(not p.HasField("warmup_start_lr") or p.warmup_iter > 0, p, "warmup_start_lr", "needs a warmup_iter", where,
            hint="warmup_iter says over how many updates the rate rises to that of lr_policy")


def warn_of(p: Any, where: str = "") -> None:
    """Warn where the rate is 0, never changes, grows, or falls at other iterations than the fields suggest."""
    reads, missing = POLICIES[p.lr_policy][1], partial(value_in_words, p)
    warn_unless(p.base_lr > 0, p, "base_lr", f"{missing('base_lr')} and nothing is learned", where)
    if "gamma" in reads:
        warn_unless(p.gamma > 0, p, "gamma", f"{missing('gamma')} and the rate is {_without_gamma(p)}", where,
                    by="lr_policy")
    if "power" in reads:
        warn_unless(p.power > 0, p, "power", f"{missing('power')} and the rate "
                    f"{'grows' if p.power < 0 else 'stays at base_lr'}", where, by="lr_policy")
    if "stepvalue" in reads:
        warn_unless(bool(p.stepvalue), p, "stepvalue", "is missing, so the rate stays at base_lr", where,
                    by="lr_policy")
        _warn_of_late_steps(p, where)


def _without_gamma(p: Any) -> str:
    """In words: the rate that a policy gives where gamma is 0."""
    if p.lr_policy in ("inv", "sigmoid"):
        return "base_lr all along" if p.lr_policy == "inv" else "half of base_lr all along"
    first = {"step": f"iteration {p.stepsize}", "exp": "iteration 1", "plateau": "the first plateau",
             "multistep": f"iteration {p.stepvalue[0] if p.stepvalue else 0}"}[p.lr_policy]
    return f"0 from {first} on: nothing more is learned"


def _warn_of_late_steps(p: Any, where: str) -> None:
    """Warn of the first stepvalue that takes effect too late: `multistep` takes them in order, one an iteration."""
    taken = -1  # the iteration at which the value before takes effect
    for value in p.stepvalue:
        if value <= taken:
            warn_unless(False, p, "stepvalue", f"does not rise: {value} stands behind {taken}, "
                        f"so its step is taken at iteration {taken + 1}", where)
            return
        taken = value
