"""Rules that find mistakes in nets, solvers and data. A finding says what is probably wrong, where, and the cure.

    from minicaffe import lint
    for finding in lint.examine(["solver.prototxt", "deploy.prototxt"]).findings:
        print(finding)

`minicaffe lint FILES` prints the same. `minicaffe train` applies some of the rules (lint.check) to its nets before the
first iteration. `--silence RULE` leaves a rule out, and `minicaffe lint --explain RULE` explains it.
"""

from minicaffe.lint.files import Report, examine
from minicaffe.lint.registry import (
    DEFINITION,
    ERROR,
    FILE,
    NET,
    NOTE,
    PAIR,
    SOLVER,
    WARNING,
    Finding,
    Subject,
    check,
    explanation,
    rule,
    rules,
    silenced,
)

__all__ = ["DEFINITION", "ERROR", "FILE", "NET", "NOTE", "PAIR", "SOLVER", "WARNING", "Finding", "Report", "Subject",
           "check", "examine", "explanation", "rule", "rules", "silenced"]
