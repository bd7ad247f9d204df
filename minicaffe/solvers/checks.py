"""Check a solver's fields: raise an error for a certain mistake, and warn of a field that is set without effect.

lr_policy.py checks the fields of the learning rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minicaffe.errors import SolverError
from minicaffe.log import At, warn
from minicaffe.solvers import definition, fork_fields, lr_policy
from minicaffe.solvers.fields import place, require, require_numbers, shown, value_in_words, warn_unless

if TYPE_CHECKING:
    from minicaffe.net.param_sharing import Param
    from minicaffe.solvers.solver import Solver

# the least value of each field, and a hint for users who may have meant something by a smaller value
LEAST = {"average_loss": (1, ""), "iter_size": (1, ""), "max_epoch": (0, ""), "max_iter": (0, ""),
         "display": (0, "display: 0 prints no lines"), "snapshot": (0, "snapshot: 0 writes none but the last"),
         "test_interval": (0, "without test_iter nothing is tested"), "weight_decay": (0, ""), "delta": (0, "")}
DEVICES = ("solver_mode", "device_id")  # fields that only speak of GPUs


def check(p: Any, solver: Any, where: str = "") -> None:
    """Raise SolverError for a value with which a solver of this class cannot train."""
    require_numbers(p, where)
    fork_fields.check(p, where)
    for field, (least, hint) in LEAST.items():
        require(getattr(p, field) >= least, p, field, f"must be at least {least}", where, hint)
    _check_shards(p, where)
    for field in solver.refuses:
        require(getattr(p, field) == 0, p, field, f"cannot be used with {solver.type}", where)
    for field in solver.fractions:
        require(0 <= getattr(p, field) < 1, p, field, "must lie in [0, 1)", where)
    require(p.regularization_type in ("L1", "L2"), p, "regularization_type", "must be L1 or L2", where)
    require(not (p.max_epoch and p.max_iter), p, "max_epoch", "and max_iter are both set: give one of them", where)
    require(p.clip_gradients != 0, p, "clip_gradients", "must not be 0, which makes every gradient 0", where,
            hint="leave it out, or give a negative number, to clip nothing")
    require(min(p.test_iter, default=0) >= 0, p, "test_iter", "must not be negative", where,
            hint="test_iter_auto: true tests each sample once")
    require(not p.snapshot or p.HasField("snapshot_prefix"), p, "snapshot", "needs a snapshot_prefix", where)
    if p.lr_policy:  # Caffe: a solver without one is an error only when it is first used
        lr_policy.check(p, where)


def _check_shards(p: Any, where: str) -> None:
    """Raise SolverError unless shards, where it is set, is a power of two."""
    power = 1 << max(0, p.shards.bit_length() - 1)  # the largest one that is not above shards
    require(not p.HasField("shards") or p.shards == power, p, "shards", "must be a power of two, such as 1, 2, 4 or 8",
            where, hint=f"write {power} or {2 * power}; iter_size may be any number" if p.shards > 0 else
            "leave it out, for one shard, or one for each process that trains")


def warn_of(p: Any, solver: Any, where: str = "") -> None:
    """Warn of fields that are set and have no effect, or have an effect that is easily overlooked."""
    for field in definition.unread_fields(p, solver.reads):
        warn_unless(False, p, field, f"is set, but neither solver type {solver.type} nor lr_policy {p.lr_policy!r} "
                                     "reads it", where)
    fork_fields.warn_of(p, where)
    if p.lr_policy:
        lr_policy.warn_of(p, where)
    warn_of_devices(p, where)
    tests = bool(p.test_iter or p.test_iter_auto)
    for i, batches in enumerate(p.test_iter):
        warn_unless(batches > 0, p, "test_iter", f"is 0 for test net #{i}, so it is made and nothing is tested", where)
    warn_unless(tests or not p.test_interval, p, "test_interval", "has no effect without test_iter: nothing is "
                "tested (test_iter says how many batches a test has, test_iter_auto: true takes all)", where)
    warn_unless(tests or not p.test_compute_loss, p, "test_compute_loss", "has no effect: nothing is tested", where)
    warn_unless(tests or bool(p.display) or not p.debug_info, p, "debug_info", "has no effect without display: "
                "it prints when a line of the log is due", where)
    warn_unless(p.regularization_type == "L2" or bool(p.weight_decay), p, "regularization_type",
                "has no effect without weight_decay, which is 0", where)
    warn_unless(p.random_seed >= -1, p, "random_seed", f"is {p.random_seed}, which is no seed: seeds are 0 and more, "
                "and this run cannot be repeated", where)
    warn_unless("delta" not in solver.reads or p.delta > 0, p, "delta", f"is 0, so a weight of {solver.type} "
                "whose gradients have all been 0 becomes NaN", where)
    warn_unless(solver.type != "AdaDelta" or p.momentum > 0, p, "momentum", f"{value_in_words(p, 'momentum')}, so "
                "AdaDelta keeps nothing of past updates; 0.95 is usual", where)


def warn_of_devices(p: Any, where: str = "", flag: str = "") -> None:
    """Warn, once for all of them, of fields that ask for a GPU, because minicaffe computes on the CPU.

    `flag` is the flag of the command line that asks for one, if any.
    """
    asked = [f"{field}: {shown(p, field)}" for field in DEVICES if p.HasField(field)]
    # solver_mode: CPU asks for what happens anyway
    asked = [flag] * bool(flag) + [words for words in asked if words != "solver_mode: CPU"]
    if asked:
        first = asked[0].partition(":")[0]
        at = "" if flag else place(p, first, where)
        words = f"{' and '.join(asked)} {'are' if asked[1:] else 'is'} set, but minicaffe computes on the CPU: " \
                "training goes on there"
        warn(At.DEVICE_IGNORED, f"{at}: {words}" if at else words)


def forget_devices(p: Any) -> None:
    """Remove the fields that ask for a GPU, after the command line has warned of them."""
    for field in DEVICES:
        p.ClearField(field)
    p.solver_mode = p.CPU


def params_to_update(solver: Solver) -> list[Param]:
    """Return the learnable Params of a solver's net. Raise SolverError where the solver's history does not fit them.

    It does not where a program has since changed the number or the shapes of the blobs in the net's layers.
    """
    params = solver.net.learnable_params
    shapes = [param.blob.shape for param in params]
    if [history.shape for history in solver.history] != shapes * len(solver.histories):
        raise SolverError("the learnable blobs of the net have changed in number or shape since the solver was made, "
                          f"so its history does not fit them: they are {', '.join(map(str, shapes))} now",
                          where=solver.where, hint="make the solver anew, and then copy the weights into its net")
    return params
