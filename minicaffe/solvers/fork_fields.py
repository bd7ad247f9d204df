"""Fields that forks of Caffe have added to a solver. minicaffe has none of them: it refuses what changes a training."""

from __future__ import annotations

from typing import Any

from minicaffe.errors import SolverError
from minicaffe.proto.forks import FIRST_NUMBER
from minicaffe.solvers.fields import place, shown, warn_unless

# What changes the updates, and what to write instead.
REFUSED = {
    "adabelief": "leave it out, for a plain Adam",
    "amsgrad": "leave it out, for a plain Adam",
    "disabled_update": "base_lr: 0 keeps the weights as they are",
    "gc": "leave it out, for gradients as they are",
    "larc": "leave it out, and give layers their own rates with param { lr_mult: ... }",
    "local_lr_auto": "leave it out, and give layers their own rates with param { lr_mult: ... }",
    "lookahead": "leave it out, for a plain Adam",
    "lr_dropout": "leave it out, so that every weight is updated",
    "min_lr": "leave it out; the rate then falls as lr_policy says",
    "momentum_policy": "leave it out, for a momentum that stays as it is",
    "plateau_winsize": "plateau_patience is minicaffe's own field for the same purpose",
    "rampup_interval": "warmup_iter is minicaffe's own field for the same purpose",
    "rampup_lr": "warmup_start_lr is minicaffe's own field for the same purpose",
    "rectified": "leave it out, for a plain Adam",
    "weight_decay_policy": "leave it out, for a weight_decay that stays as it is",
}
POLICIES = {  # of lr_policy
    "multifixed": "the rates of stagelr are a policy of Intel's fork; multistep multiplies base_lr by gamma at each "
                  "stepvalue",
    "stepearly": "a policy of the SegNet fork; plateau, with plateau_patience and plateau_metric, has the same purpose",
    "sgdr": "a policy of jolibrain's fork; cosine is its first period",
}
LEFT_ASIDE = ("engine", "store_blobs_in_old_format", "group_id", "per_parameter_reduce")  # how a fork computes
_WORDS = {
    "eval_type": "asks for the test of a detector, which the SSD fork has: here each test net's outputs are averaged",
    "solver_data_type": "has no effect: minicaffe trains in float32",
    "stagelr": "has no effect: only lr_policy multifixed of Intel's fork reads it",
    "stageiter": "has no effect: only lr_policy multifixed of Intel's fork reads it",
}


def check(param: Any, where: str = "") -> None:
    """Raise SolverError for a fork's field that would change the training."""
    for name in _set_fields(param):
        if name in REFUSED:
            raise SolverError(f"{name}: {shown(param, name)} belongs to a fork of Caffe, and minicaffe does not do it",
                              where=place(param, name, where), hint=REFUSED[name])


def warn_of(param: Any, where: str = "") -> None:
    """Warn of a fork's field that is set and has no effect here."""
    for name in _set_fields(param):
        warn_unless(False, param, name, _WORDS.get(name, "belongs to a fork of Caffe and has no effect"), where)


def _set_fields(param: Any) -> list[str]:
    """Return the fields of forks that are set to another value than their default and are not left aside."""
    return [field.name for field, value in param.ListFields() if field.number >= FIRST_NUMBER
            and field.name not in LEFT_ASIDE and not (field.has_default_value and value == field.default_value)]
