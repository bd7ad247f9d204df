"""Rules that find nets which run but learn nothing. A finding tells the probable mistake, its place and its cure.

    from minicaffe import Net, lint
    for finding in lint.check(Net("train_val.prototxt")):
        print(finding)

`minicaffe train` checks its nets before the first iteration. `--silence RULE` leaves a rule out.
"""

from minicaffe.lint.registry import ERROR, WARNING, Finding, Subject, check, rule, rules, silenced

__all__ = ["ERROR", "WARNING", "Finding", "Subject", "check", "rule", "rules", "silenced"]
