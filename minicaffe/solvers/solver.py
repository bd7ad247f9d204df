"""The training loop, and what the solver types have in common.

In each iteration a gradient goes this way:

    backward    `_backward`     iter_size passes for each shard, each of which computes a gradient
    summed      `Parts`         the gradients of these passes are added up in the diffs
    clipped     `_clip`         all gradients together are scaled down where their norm is above clip_gradients
    averaged    `Steps`         the sum is divided by the number of passes, or by `divisor` where they count unequally
    decayed     `Steps`         L1 weight decay is added
    rule        `rule`          the solver type's formula turns the gradient into a step
    applied     `Steps`         L2 weight decay is added, and the step is taken from the weights

A solver type writes `rule` alone. When to test, to display and to take a snapshot is decided here, too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, ClassVar

import numpy as np

from minicaffe import rng
from minicaffe.log import At, log, number
from minicaffe.net import Net
from minicaffe.proto import text
from minicaffe.showing import Shown
from minicaffe.solvers import checks, lr_policy, nets
from minicaffe.solvers.action import Action, agreed
from minicaffe.solvers.doctor import doctor
from minicaffe.solvers.fields import parts
from minicaffe.solvers.group import Group
from minicaffe.solvers.registry import DType, NetClass
from minicaffe.solvers.registry import register as register
from minicaffe.solvers.resume import resume_file, run_lock, snapshot
from minicaffe.solvers.resume.keep import Keep
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.schedule import criterion, epochs, report, shards, testing
from minicaffe.solvers.schedule.parts import Parts
from minicaffe.solvers.steps import Steps


class Solver(Shown):
    """The base of all solver types.

    Declared by the class
        type        the name in prototxts (set by `register`)
        histories   what each of the arrays holds that are kept for a parameter. An array whose description contains
                    the word "squared" is never negative, which a resume checks
        reads       the SolverParameter fields that `rule` reads
        refuses     fields that must be 0, because the formula has no place for them
        fractions   fields that must lie in [0, 1)

    Given to the instance
        param           the SolverParameter
        group           the processes that train together, of which this is one
        shards_given    whether the definition says how many shards an update has, and not the group or a snapshot
        net, test_nets  the Net that is trained, and the nets that share its weights
        iter            the number of updates made
        current_step    the step that the learning rate policy is on
        history         arrays in Caffe's order: the first of each parameter, then the second of each
        rate            the learning rate of the last update
        parts           the Parts of each update
        resumed         whether a snapshot with a resume file was restored, and no update has been made since
        draw_seed       what Dropout draws follows from it and `iter`; None in a training that an old minicaffe began
        loss, smoothed_loss     of the last iteration, and its mean over average_loss iterations
        losses          a Curve of the losses that this process has computed

    Hooks, lists of functions without arguments
        on_start, on_gradients_ready    called before the forward passes and after the backward passes
        on_update                       called after each update
    `on_test` is a list of functions that are called after each test, with the number of the test net and its results.
    `requested_action` is a function that is asked after each iteration what to do.

    on_nan          what `step` and `solve` do where a value becomes NaN or Inf: "warn" once and go on, "stop" with a
                    SolverError, or "ignore". A Doctor that a program makes itself goes by its own `stop` instead
    silence         names of the doctor's hints that are not wanted

    early_stop      may be set to a Criterion: the training stops when it has not got better for its patience
    keep            may be set to a Keep, which says which snapshots stay on the disk
    """

    type: ClassVar[str] = ""
    histories: ClassVar[tuple[str, ...]] = ("momentum",)
    reads: ClassVar[tuple[str, ...]] = ()
    refuses: ClassVar[tuple[str, ...]] = ()
    fractions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, param: Any, *, where: str = "", net_class: NetClass = Net, dtype: DType = np.float32,
                 strict: bool = False, group: Group | None = None) -> None:
        self.param, self.where, self.group = param, where, group or Group()
        self.shards_given = bool(param.shards)
        self._set_defaults()
        log(At.SOLVER_BEGINS, "Initializing solver from parameters: ", lambda: text.format(param))
        checks.check(param, type(self), where)
        checks.warn_of(param, type(self), where)
        if param.snapshot:
            snapshot.check_writable(self)
        shards.at_start(self)
        if param.random_seed >= 0:
            rng.seed(param.random_seed)  # before the nets are made, because their fillers draw
        self._make_nets(nets.Maker(net_class, dtype, strict))
        self.draw_seed: int | None = param.random_seed if param.random_seed >= 0 else rng.upcoming()
        self._plateau = criterion.of_plateau(self)
        log(At.SOLVER_DONE, "Solver scaffolding done.")
        params = self.net.learnable_params
        self.history = [np.zeros_like(param.blob.data) for _ in self.histories for param in params]
        self.smoothing, self.losses = report.SmoothedLoss(param.average_loss), report.Curve()
        self._steps, self._stopwatch = Steps(), report.Stopwatch()
        # once, because all processes make it together, while rank 0 alone reads the shards of a snapshot
        self._exchange = self.group.exchange(self.net, params, param.layer_wise_reduce)
        self._divide_update()

    def _set_defaults(self) -> None:
        """Set all attributes that do not depend on the SolverParameter."""
        self.iter = self.current_step = 0
        self.rate = self.loss = 0.0
        self.stopped = self.resumed = False
        self.on_start: list[Callable[[], None]] = []
        self.on_gradients_ready: list[Callable[[], None]] = []
        self.on_update: list[Callable[[], None]] = []
        self.on_test: list[Callable[[int, list[tuple[str, float]]], None]] = []
        self.requested_action: Callable[[], Action] = partial(Action, Action.NONE)  # pickle refuses lambdas
        self.on_nan = "warn"
        self.silence: frozenset[str] = frozenset()
        self.doctor: doctor.Doctor | None = None  # the one that watches now
        self.own_doctor: doctor.Doctor | None = None  # the one that `step` calls where the program has called none
        self.early_stop: criterion.Criterion | None = None
        self.keep: Keep | None = None
        self.tested = -1  # the iteration in which all test nets were last tested
        self.written: list[int] = []  # the iterations of this training's snapshots that are on the disk
        self._before_test: dict[str, Any] | None = None  # during a test: the content of a resume file as before it

    def _make_nets(self, maker: nets.Maker) -> None:
        """Make the nets, and work out the numbers of iterations that depend on the size of their data."""
        p, where = self.param, self.where
        self.net = maker.train_net(p, where)
        if p.max_epoch:
            p.max_iter = epochs.updates(self.net, p, where)
        self.test_nets = maker.test_nets(p, where)
        if p.test_iter_auto:
            p.test_iter.extend(epochs.whole_test(net, i, where) for i, net in enumerate(self.test_nets))

    def take_shards(self, count: int) -> None:
        """Make updates of so many shards from now on."""
        if count != max(1, self.param.shards):
            shards.set_to(self, count)
            if self.param.max_epoch:
                self.param.max_iter = epochs.updates(self.net, self.param, self.where)
            self._divide_update()

    def _divide_update(self) -> None:
        """Divide each update into its parts, and say which of them this process computes."""
        p = self.param
        self.parts = Parts(self.net, parts(p), self.group, self._exchange, shared=p.shards > 1)

    # --- what a solver type writes ----------------------------------------------------------------------

    def rule(self, rate: float) -> Rule:
        """Return the update that turns a gradient into the step to take, and the numbers that it reads."""
        raise NotImplementedError(f"{type(self).__name__}.rule")

    # --- what a user calls ------------------------------------------------------------------------------

    def solve(self, resume_file: str | None = None) -> None:
        """Train up to max_iter, from the beginning or from a snapshot; snapshot, display and test at the end.

        Raise SolverError where another process writes snapshots of the same prefix. `step` and `snapshot` do so, too.
        """
        writes = (self._writes() or self.param.snapshot_after_train) and not self.group.rank
        with snapshot.alone(self.param.snapshot_prefix, where=self.where) if writes else nullcontext():
            self._solve(resume_file)

    def _solve(self, resume_file: str | None) -> None:
        log(At.SOLVING, f"Solving {self.net.name}")
        log(At.LR_POLICY, f"Learning Rate Policy: {self.param.lr_policy}")
        self.stopped = False
        if self.param.snapshot_after_train:
            snapshot.check_writable(self)
        if resume_file:
            log(At.SOLVER_RESTORED, f"Restoring previous solver status from {resume_file}")
            self.restore(resume_file)
        shards.report(self)
        self.step(self.param.max_iter - self.iter)
        # where `snapshot` divides the last iteration, the loop has just written it
        if self.param.snapshot_after_train and not self._is_due(self.param.snapshot):
            self.snapshot()
        if self.stopped:
            log(At.STOPPED_EARLY, "Optimization stopped early.")
            return
        if self._is_due(self.param.display):
            # Caffe: one more forward pass, so that the log ends with the loss of the final weights
            self.smoothed_loss = self.smoothing.add(self.parts.forward(self.draw_seed, self.iter))
            log(At.LAST_ITERATION, f"Iteration {self.iter}, loss = {number(self.smoothed_loss)}")
        if self._is_due(self.param.test_interval):
            self.test_all()
        log(At.OPTIMIZATION_DONE, "Optimization Done.")

    def step(self, iterations: int) -> None:
        """Make this many updates, or fewer where a stop is asked for."""
        with self._locked(self._writes()), doctor.attending(self):
            self._step(iterations)

    def apply_update(self) -> None:
        """Turn the gradients that the passes have summed into one step of every parameter."""
        p, params = self.param, checks.params_to_update(self)
        self.rate, self.current_step = lr_policy.learning_rate(p, self.iter, self.current_step)
        if self._is_due(p.display):
            log(At.LR, f"Iteration {self.iter}, lr = {number(self.rate)}")
        with np.errstate(all="ignore"):  # infinity and NaN are numbers here, as in Caffe; the doctor looks for them
            self._clip()
            self._steps.take(self, params)
        self.iter += 1

    def test_all(self) -> None:
        """Run every test net. Then see whether the results are the best so far."""
        self._before_test = resume_file.capture(self)  # a snapshot taken during a test resumes before the test
        results: criterion.Results = []
        for index in range(len(self.test_nets)):
            if not self.stopped:
                results.append(self.test(index))
        if self.stopped:
            return
        self._before_test, self.tested = None, self.iter
        self._judge(results)

    def test(self, index: int) -> list[tuple[str, float]]:
        """Run a test net for its test_iter. Return the name and the mean of each number that it puts out."""
        log(At.TESTING, f"Iteration {self.iter}, Testing net (#{index})")
        self.test_nets[index].share_trained_layers_with(self.net)
        mean = testing.run(self, index)
        if mean is None:
            log(At.TEST_INTERRUPTED, "Test interrupted.")
            return []
        if self.param.test_compute_loss:
            log(At.TEST_LOSS, f"Test loss: {number(mean.loss)}")
        for i, line in enumerate(mean.lines()):
            log(At.TEST_OUTPUT, f"    Test net output #{i}: {line}")
        for hook in self.on_test:
            hook(index, mean.results())
        return mean.results()

    def snapshot(self) -> str:
        """Write the weights, the solver's state and the resume file. Return the name of the weights' file."""
        with self._locked(True):
            return snapshot.write(self, self._before_test or resume_file.capture(self))

    def restore(self, path: str) -> None:
        """Continue from a solver state: weights, history and iteration, and all else where its resume file exists."""
        self.resumed = snapshot.restore(self, path)

    def restore_newest(self) -> str:
        """Continue from the newest snapshot that is complete. Return its state's name, or "" where there is none."""
        return snapshot.restore_newest(self)

    def criteria(self) -> dict[str, criterion.Criterion]:
        """Return the criteria whose best values this solver remembers, by what they are for."""
        found = {"lr_policy plateau": self._plateau, "early stop": self.early_stop,
                 "the best snapshot": self.keep.best if self.keep else None}
        return {name: one for name, one in found.items() if one is not None}

    def _writes(self) -> bool:
        """Return whether training may write a snapshot on its own before it ends."""
        return bool(self.param.snapshot or self.keep)

    def _locked(self, writes: bool) -> AbstractContextManager[object]:
        """Return what holds the run's lock, where this process writes snapshots: of a group, rank 0."""
        writes = writes and not self.group.rank
        return run_lock.held(self.param.snapshot_prefix, where=self.where) if writes else nullcontext()

    # --- the loop ---------------------------------------------------------------------------------------

    def _step(self, iterations: int) -> None:
        stop = self.iter + iterations
        # where the resumed snapshot was taken after the tests of its iteration, they are not made a second time
        tested = self.tested if self.resumed else -1 if self.iter or self.param.test_initialization else 0
        if not self.resumed:
            self.smoothing = report.SmoothedLoss(self.param.average_loss)  # Caffe: each call of `step` begins anew
        self.resumed = False
        self._stopwatch.start(self.iter)
        while self.iter < stop and not self._stops_early():
            self.net.clear_param_diffs()
            if self._is_due(self.param.test_interval) and self.iter != tested:
                self.test_all()
                if self.stopped or self._stops_early():
                    break
            self._before_test = None  # a test that was interrupted before this `step` has left it
            self._backward()
            self._call(self.on_gradients_ready)
            self.apply_update()
            self._call(self.on_update)
            action = self._asked()
            if self._is_due(self.param.snapshot) or action is Action.SNAPSHOT:
                self.snapshot()
            if action is Action.STOP:
                self.stopped = True
                break

    def _is_due(self, interval: int) -> bool:
        return bool(interval) and self.iter % interval == 0

    @staticmethod
    def _call(hooks: list[Callable[[], None]]) -> None:
        for hook in hooks:
            hook()

    def answer_requests(self) -> None:
        """Do all that was asked since the last iteration, because during a test the loop does not ask."""
        while (action := self._asked()) is not Action.NONE:
            if action is Action.SNAPSHOT:
                self.snapshot()
            else:
                self.stopped = True

    def _asked(self) -> Action:
        """Return what was asked of this process, or of any that trains together with it."""
        return agreed(self.group.gather(self.requested_action()))

    # --- the way of a gradient --------------------------------------------------------------------------

    def _backward(self) -> None:
        """Run the parts of an update, whose gradients add up in the diffs; display the loss where that is due."""
        self._call(self.on_start)
        display = self._is_due(self.param.display)
        self.net.set_debug_info(display and self.param.debug_info)
        self.parts.run(self.draw_seed, self.iter)
        self.loss = sum(self.parts.losses) / len(self.parts.losses)
        self.smoothed_loss = self.smoothing.add(self.loss)
        self.losses.add(self.iter, self.loss)
        if self._plateau and not self._plateau.name:  # without a plateau_metric the smoothed loss is what counts
            self._look_for_plateau(self.smoothed_loss)
        if display:
            self._display()

    def _clip(self) -> None:
        """Scale all gradients down to the L2 norm `clip_gradients`, where their common norm is larger."""
        limit = self.param.clip_gradients
        if limit < 0:
            return
        # Caffe: clips the sum over all parts, before it is averaged: n times the mean, n being the number of parts
        blobs = [param.blob for param in self.net.learnable_params]
        norm = sum(blob.sumsq_diff() for blob in blobs) ** 0.5 * (self.parts.count / self.divisor)
        if norm > limit:
            scale = limit / norm
            log(At.GRADIENTS_CLIPPED, f"Gradient clipping: scaling down gradients (L2 norm {number(norm)} > "
                                      f"{number(limit)}) by scale factor {number(scale)}")
            for blob in blobs:
                np.multiply(blob.diff, scale, out=blob.diff)

    @property
    def divisor(self) -> float:
        """The number by which the summed gradients of this iteration are divided."""
        return self.parts.divisor

    # --- what the numbers lead to -----------------------------------------------------------------------

    def _display(self) -> None:
        speed = self._stopwatch.lap(self.iter, self.param.display)
        log(At.ITERATION, f"Iteration {self.iter} ({speed}), loss = {number(self.smoothed_loss)}")
        for i, line in enumerate(report.output_lines(self.net)):
            log(At.TRAIN_OUTPUT, f"    Train net output #{i}: {line}")

    def _judge(self, results: criterion.Results) -> None:
        """Give the results of all test nets to each criterion, and act where one is the best or has run out."""
        values = {name: one.of(results) for name, one in self.criteria().items()}
        if self._plateau and (value := values["lr_policy plateau"]) is not None:
            self._look_for_plateau(value)
        if self.early_stop and (value := values["early stop"]) is not None:
            self.early_stop.take(value, self.iter)
        # last, because it writes a snapshot, which keeps what the other two have just noted
        if self.keep and self.keep.best and (value := values["the best snapshot"]) is not None \
                and self.keep.best.take(value, self.iter):
            snapshot.write_best(self)

    def _look_for_plateau(self, value: float) -> None:
        """Give a value to the criterion of lr_policy "plateau"; where its patience has run out, lower the rate."""
        assert self._plateau is not None
        self._plateau.take(value, self.iter)
        if self._plateau.exhausted:
            self._plateau.stale, self.current_step = 0, self.current_step + 1
            log(At.PLATEAU_STEP, f"Plateau Status: Iteration {self.iter}, step = {self.current_step}")

    def _stops_early(self) -> bool:
        """Return whether the patience of early_stop has run out; then the training is stopped."""
        stop = self.early_stop
        if stop is None or not stop.exhausted:
            return False
        log(At.STOPPED_EARLY, f"Early stop: {stop} was best at iteration {stop.at} with {number(stop.best or 0)}, "
                              f"and no better in {stop.stale} tests since")
        self.stopped = True
        return True

    def in_short(self) -> str:
        """Return what `repr` shows."""
        return f"<{type(self).__name__} of net {self.net.name!r}: iteration {self.iter}>"
