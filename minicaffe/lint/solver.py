"""Rules about a solver and its nets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from minicaffe.analysis import data_tops
from minicaffe.errors import MinicaffeError, ProtoError
from minicaffe.lint import paths
from minicaffe.lint.registry import ERROR, NOTE, SOLVER, WARNING, Finding, rule
from minicaffe.lint.subjects import Definition, Training, caught
from minicaffe.solvers import checks, lr_policy, solver_class
from minicaffe.solvers.fields import place


def _found(training: Training, severity: str, field: str, message: str, cure: str) -> Finding:
    """Return a Finding about a field of the solver."""
    return Finding(severity, "", place(training.param, field, training.file) if field else training.file, message, cure)


@rule("broken-solver", SOLVER)
def broken_solver(training: Training) -> Iterator[Finding]:
    """The solver cannot train: a field is missing, or has a value that makes no sense.

    minicaffe train ends with the same message. Among the fields that must not be missing are those that the lr_policy
    needs.

    Example
        net: "net.prototxt" lr_policy: "step" base_lr: 0.1

        which lacks the stepsize and max_iter

    Cure
        Correct what the message names.
    """
    param, errors = training.param, []
    missing = not all(Path(path).exists() for _, path in paths.of_solver(param))
    if training.error is not None and not (missing and isinstance(training.error, ProtoError)):
        errors.append(training.error)
    try:
        with caught():
            checks.check(param, solver_class(param, training.file), training.file)
            if not param.lr_policy:
                lr_policy.check(param, training.file)
    except MinicaffeError as error:
        errors.append(error)
    if not param.HasField("max_iter") and not param.max_epoch:
        yield _found(training, WARNING, "", "max_iter is missing, the number of updates to make: minicaffe train needs "
                     "it, and a program that calls solver.step(N) does not", "set max_iter, or max_epoch")
    for one in errors:
        yield Finding(ERROR, "", one.where or training.file, one.message, one.hint or "correct what the message names")


@rule("solver-field", SOLVER)
def solver_field(training: Training) -> Iterator[Finding]:
    """A field of the solver has no effect, or has one that is easily overlooked.

    Only another solver type or another lr_policy reads it, or another field that it needs is missing.

    Example
        lr_policy: "fixed" gamma: 0.1

    Cure
        Take the field out, or set the other field that it needs.
    """
    try:
        with caught() as said:
            checks.warn_of(training.param, solver_class(training.param, training.file), training.file)
    except (MinicaffeError, KeyError):
        return
    for message in said:
        where, colon, text = message.partition(": ")
        if any(field in message for field in checks.DEVICES):
            continue  # it speaks of a GPU: training goes on all the same, and says so itself
        known = where.startswith(training.file) and bool(colon)
        yield Finding(WARNING, "", where if known else training.file, text if known else message,
                      "take the field out, or set what it needs to count")


@rule("late-step", SOLVER)
def late_step(training: Training) -> Iterator[Finding]:
    """The learning rate is to change at an iteration that training does not reach.

    A stepvalue, a stepsize or a warmup_iter of max_iter or more has no effect.

    Example
        lr_policy: "multistep" stepvalue: 8000 stepvalue: 12000 max_iter: 10000

    Cure
        Raise max_iter, or bring the step forward.
    """
    p = training.param
    if p.max_iter <= 0 or p.lr_policy not in lr_policy.POLICIES:
        return
    reads = lr_policy.POLICIES[p.lr_policy][1]
    late = [("stepvalue", value) for value in p.stepvalue if "stepvalue" in reads and value >= p.max_iter][:1]
    late += [(field, getattr(p, field)) for field in ("stepsize", "warmup_iter")
             if (field in reads or field == "warmup_iter") and getattr(p, field) >= p.max_iter]
    for field, value in late:
        # A last step at max_iter itself is a habit: it says where training ends.
        yield _found(training, WARNING if value > p.max_iter else NOTE, field, f"{field} is {value}, and training ends "
                     f"at max_iter {p.max_iter}: " + ("the rate is still rising then" if field == "warmup_iter" else
                                                      "that step is never taken"),
                     f"raise max_iter, or lower {field}")


@rule("no-test", SOLVER)
def no_test(training: Training) -> Iterator[Finding]:
    """Training ends before the first test_interval is over, so the only test is the one before training.

    Example
        test_iter: 100 test_interval: 5000 max_iter: 1000

    Cure
        Lower test_interval.
    """
    p = training.param
    # Who switches off the first test as well wants none.
    wanted = (any(p.test_iter) or p.test_iter_auto) and p.test_initialization
    if wanted and 0 < p.max_iter < p.test_interval:
        yield _found(training, WARNING, "test_interval", f"test_interval is {p.test_interval}, and training ends at "
                     f"max_iter {p.max_iter}: there is no test in between", "lower test_interval")


@rule("test-size", SOLVER)
def test_size(training: Training) -> Iterator[Finding]:
    """The batches of a test, test_iter in number, are not exactly one pass over the test set.

    With fewer batches, each test uses other samples than the test before. With more, some samples count twice.

    Example
        test_iter: 100

        with batches of 100 and 12,000 test images

    Cure
        Set test_iter to the number of samples divided by batch_size, or test_iter_auto: true, which takes each sample
        once.
    """
    for k, (test, batches) in enumerate(zip(training.tests, training.param.test_iter, strict=False)):
        for i, tops in test.data.items():
            N = data_tops.batch_size(test.layers[i])
            if tops is None or not tops.size or not N or batches * N == tops.size or batches == 0:
                continue
            # Several whole passes give the same score, only later.
            severity = WARNING if batches * N % tops.size else NOTE
            yield _found(training, severity, "test_iter", _size_in_words(training, test, i, k, batches, N, tops.size),
                         f"set test_iter: {tops.size // N}" if tops.size % N == 0 else "set test_iter_auto: true in "
                         "place of test_iter: each sample then counts once")
            break


def _size_in_words(training: Training, test: Definition, i: int, k: int, batches: int, N: int, size: int) -> str:
    which = f" of test net #{k}" if len(training.tests) > 1 else ""
    seen = batches * N
    passes = f"1 batch of {N} is" if batches == 1 else f"{batches} batches of {N} are"
    begin = f"test_iter{which} is {batches}, and {passes} {seen:,} samples, but " \
            f"{data_tops.source(test.layers[i])} has {size:,}: "
    return begin + (f"each test leaves out {size - seen:,} of them" if seen < size
                    else f"each test is {seen // size} passes over them" if seen % size == 0
                    else f"{seen - size:,} are counted twice" if seen < 2 * size
                    else "some are counted more often than others")
