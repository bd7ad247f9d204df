"""The training loop, and what the solver types have in common.

A type writes one method, `rule`, which says how a gradient becomes the step to take; everything around it stands
here: when to test, to display and to snapshot, and what is done to a gradient before it is used.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np

from minicaffe import kernels, rng
from minicaffe.blob import Blob
from minicaffe.log import At, log, number
from minicaffe.net import Net
from minicaffe.proto import TRAIN, text
from minicaffe.solvers import checks, definition, lr_policy
from minicaffe.solvers.doctor import doctor
from minicaffe.solvers.registry import DType, NetClass
from minicaffe.solvers.registry import register as register
from minicaffe.solvers.resume import resume_file, run_lock, snapshot
from minicaffe.solvers.resume.keep import Keep
from minicaffe.solvers.rule import Rule
from minicaffe.solvers.schedule import criterion, epochs, report
from minicaffe.solvers.schedule.iter_size import Passes


class Action(enum.Enum):
    """What may be asked of a running solver between two iterations."""

    NONE = "none"
    SNAPSHOT = "snapshot"
    STOP = "stop"


class Solver:
    """The base of all solver types.

    Declared by the class
        type        the name in prototxts (set by `register`)
        histories   what each of the arrays that are kept for a parameter holds; what is "squared" is never negative
        reads       the SolverParameter fields that `rule` reads
        refuses     fields that must be 0, because the formula has no place for them
        fractions   fields that must lie in [0, 1)

    Given to the instance
        param           the SolverParameter
        net, test_nets  the Net that is trained, and those that share its weights
        iter            the number of updates made
        current_step    the step that the learning rate policy is on
        history         arrays in Caffe's order: the first of each parameter, then the second of each
        rate            the learning rate of the last update
        loss, smoothed_loss     of the last iteration, and its mean over average_loss iterations

    Hooks, lists of functions without arguments
        on_start, on_gradients_ready    before the forward passes and after the backward passes
        on_update                       after each update
    `on_test` is a list of functions that take the number of a test net and its results, after each of its tests.
    `requested_action` is a function asked after each iteration what to do.

    on_nan          what `step` and `solve` do where a value becomes NaN or Inf: "warn" once and go on, "stop" with a
                    SolverError, "ignore"; a Doctor that a program makes goes by its own `stop`
    silence         names of the doctor's hints that are not wanted

    Set to a Criterion or a Keep where wanted, before the training begins
        early_stop      stop when this has not got better for its patience
        keep            which snapshots stay on the disk
    """

    type: ClassVar[str] = ""
    histories: ClassVar[tuple[str, ...]] = ("momentum",)
    reads: ClassVar[tuple[str, ...]] = ()
    refuses: ClassVar[tuple[str, ...]] = ()
    fractions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, param: Any, *, where: str = "", net_class: NetClass = Net, dtype: DType = np.float32,
                 strict: bool = False) -> None:
        self.param, self.where, self._strict = param, where, strict
        self.iter = self.current_step = 0
        self.rate = self.loss = 0.0
        self.stopped = False
        self.on_start: list[Callable[[], None]] = []
        self.on_gradients_ready: list[Callable[[], None]] = []
        self.on_update: list[Callable[[], None]] = []
        self.on_test: list[Callable[[int, list[tuple[str, float]]], None]] = []
        self.requested_action: Callable[[], Action] = lambda: Action.NONE
        self.on_nan = "warn"
        self.silence: frozenset[str] = frozenset()
        self.doctor: doctor.Doctor | None = None
        self.own_doctor: doctor.Doctor | None = None
        self.early_stop: criterion.Criterion | None = None
        self.keep: Keep | None = None
        self.tested = -1  # the iteration of the last tests, all test nets' being done
        self.written: list[int] = []  # the iterations of this training's snapshots that are on the disk
        log(At.SOLVER_BEGINS, "Initializing solver from parameters: ", lambda: text.format(param))
        checks.check(param, type(self), where)
        checks.warn_of(param, type(self), where)
        if param.snapshot:
            snapshot.check_writable(self)
        if param.random_seed >= 0:
            rng.seed(param.random_seed)
        self._net_class, self._dtype = net_class, dtype
        self.net = self._make_train_net()
        if param.max_epoch:
            param.max_iter = epochs.updates(self.net, param.max_epoch, param.iter_size, where)
        self.test_nets = self._make_test_nets()
        if param.test_iter_auto:
            param.test_iter.extend(epochs.whole_test(net, i, where) for i, net in enumerate(self.test_nets))
        self._plateau = criterion.of_plateau(self)
        log(At.SOLVER_DONE, "Solver scaffolding done.")
        params = self.net.learnable_params
        self.history = [np.zeros_like(param.blob.data) for _ in self.histories for param in params]
        self.smoothing = report.SmoothedLoss(param.average_loss)
        self._passes = Passes(self.net, param.iter_size)
        self._divisor = float(param.iter_size)
        self._resumed = False
        self._before_test: dict[str, Any] | None = None
        self._stopwatch = report.Stopwatch()

    # --- what a type writes -------------------------------------------------------------------------

    def rule(self, rate: float) -> Rule:
        """The update that turns a gradient into the step to take, and the numbers that it reads."""
        raise NotImplementedError(f"{type(self).__name__}.rule")

    # --- what a user calls ----------------------------------------------------------------------------

    def solve(self, resume_file: str | None = None) -> None:
        """Train up to max_iter, from the beginning or from a snapshot; snapshot, display and test at the end.

        SolverError where another process writes snapshots of the same prefix; so for `step` and `snapshot`.
        """
        writes = self._writes() or self.param.snapshot_after_train
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
        self.step(self.param.max_iter - self.iter)
        if self.param.snapshot_after_train and not self._is_due(self.param.snapshot):
            self.snapshot()
        if self.stopped:
            log(At.STOPPED_EARLY, "Optimization stopped early.")
            return
        if self._is_due(self.param.display):
            self.smoothed_loss = self.smoothing.add(self.net.forward_pass())
            log(At.LAST_ITERATION, f"Iteration {self.iter}, loss = {number(self.smoothed_loss)}")
        if self._is_due(self.param.test_interval):
            self.test_all()
        log(At.OPTIMIZATION_DONE, "Optimization Done.")

    def step(self, iterations: int) -> None:
        """Make this many updates, fewer where a stop is asked for."""
        with self._locked() if self._writes() else nullcontext(), doctor.attending(self):
            self._step(iterations)

    def _step(self, iterations: int) -> None:
        stop = self.iter + iterations
        tested = self.tested if self._resumed else -1
        if not self._resumed:
            self.smoothing = report.SmoothedLoss(self.param.average_loss)
        self._resumed = False
        self._stopwatch.start(self.iter)
        while self.iter < stop and not self._stops_early():
            self.net.clear_param_diffs()
            if self._is_due(self.param.test_interval) and (self.iter or self.param.test_initialization) \
                    and self.iter != tested:
                self.test_all()
                if self.stopped or self._stops_early():
                    break
            self._before_test = None
            self._forward_backward()
            self._call(self.on_gradients_ready)
            self.apply_update()
            self._call(self.on_update)
            action = self.requested_action()
            if self._is_due(self.param.snapshot) or action is Action.SNAPSHOT:
                self.snapshot()
            if action is Action.STOP:
                self.stopped = True
                break

    @np.errstate(all="ignore")  # ∞ and NaN are numbers here, as in Caffe; the doctor watches for them
    def apply_update(self) -> None:
        """Turn the net's gradients into one step of every parameter."""
        p, params = self.param, self.net.learnable_params
        self.rate, self.current_step = lr_policy.learning_rate(p, self.iter, self.current_step)
        if self._is_due(p.display):
            log(At.LR, f"Iteration {self.iter}, lr = {number(self.rate)}")
        self._clip_gradients()
        for i, param in enumerate(params):
            self._take_step(param.blob, self.history[i::len(params)], p.weight_decay * param.decay_mult,
                            self.rate * param.lr_mult)
        self.iter += 1

    def _take_step(self, blob: Blob, history: list[np.ndarray], decay: float, rate: float) -> None:
        """Average and regularize the gradient of one parameter, turn it into a step and take it."""
        w, dw = blob.data, blob.diff
        if self._divisor != 1:
            kernels.for_blocks([dw], lambda dw: np.multiply(dw, 1 / self._divisor, out=dw))
        if decay and self.param.regularization_type == "L1":
            kernels.for_blocks([dw, w], lambda dw, w: kernels.add_l1_decay(dw, w, decay))
            decay = 0.0
        rule = self.rule(rate)
        kernels.take_step(rule.update, rule.numbers, decay, w, dw, *history)

    def test_all(self) -> None:
        """Run every test net; then see whether the results are the best so far."""
        self._before_test = resume_file.capture(self)  # a snapshot taken meanwhile resumes before the tests
        results: criterion.Results = []
        for index in range(len(self.test_nets)):
            if not self.stopped:
                results.append(self.test(index))
        if self.stopped:
            return
        self._before_test, self.tested = None, self.iter
        self._judge(results)

    def test(self, index: int) -> list[tuple[str, float]]:
        """Run a test net for its test_iter; the name and mean of each number that it puts out."""
        log(At.TESTING, f"Iteration {self.iter}, Testing net (#{index})")
        net, batches = self.test_nets[index], self.param.test_iter[index]
        net.share_trained_layers_with(self.net)
        mean = report.MeanOutputs(net)
        for _ in range(batches):
            self._answer_requests()
            if self.stopped:
                log(At.TEST_INTERRUPTED, "Test interrupted.")
                return []
            mean.add(net.forward_pass(), epochs.share_of_batch(net))
        if self.param.test_compute_loss:
            log(At.TEST_LOSS, f"Test loss: {number(mean.loss)}")
        for i, line in enumerate(mean.lines()):
            log(At.TEST_OUTPUT, f"    Test net output #{i}: {line}")
        for hook in self.on_test:
            hook(index, mean.results())
        return mean.results()

    def snapshot(self) -> str:
        """Write the weights, the solver's state and the record for an exact resume; the name of the weights' file."""
        with self._locked():
            return snapshot.write(self, self._before_test or resume_file.capture(self))

    def restore(self, path: str) -> None:
        """Continue from a solver state: weights, history, iteration and, where its record is there, all else."""
        self._resumed = snapshot.restore(self, path)

    def restore_newest(self) -> str:
        """Continue from the newest snapshot that is complete; its state's name, or "" where there is none."""
        return snapshot.restore_newest(self)

    def criteria(self) -> dict[str, criterion.Criterion]:
        """The best values that this solver remembers, by what they serve."""
        found = {"lr_policy plateau": self._plateau, "early stop": self.early_stop,
                 "the best snapshot": self.keep.best if self.keep else None}
        return {name: one for name, one in found.items() if one is not None}

    def _writes(self) -> bool:
        """Whether updates may end in a snapshot that was not asked for."""
        return bool(self.param.snapshot or self.keep)

    def _locked(self) -> AbstractContextManager[bool]:
        return run_lock.held(self.param.snapshot_prefix, where=self.where)

    # --- the steps of the loop --------------------------------------------------------------------------

    def _forward_backward(self) -> None:
        """iter_size passes, whose gradients add up; display when due."""
        self._call(self.on_start)
        display = self._is_due(self.param.display)
        self.net.set_debug_info(display and self.param.debug_info)
        losses = [self._pass() for _ in range(self.param.iter_size)]
        self._divisor = self._passes.end()
        self.loss = sum(losses) / len(losses)
        self.smoothed_loss = self.smoothing.add(self.loss)
        if self._plateau and not self._plateau.name:
            self._look_for_plateau(self.smoothed_loss)
        if display:
            speed = self._stopwatch.lap(self.iter, self.param.display)
            log(At.ITERATION, f"Iteration {self.iter} ({speed}), loss = {number(self.smoothed_loss)}")
            for i, line in enumerate(report.output_lines(self.net)):
                log(At.TRAIN_OUTPUT, f"    Train net output #{i}: {line}")

    def _pass(self) -> float:
        loss = self.net.forward_pass()
        self._passes.weigh()
        self.net.backward_pass()
        return loss

    def _judge(self, results: criterion.Results) -> None:
        """Look at the results of all test nets for the best so far, and for what has long not got better."""
        values = {name: one.of(results) for name, one in self.criteria().items()}
        if self._plateau and (value := values["lr_policy plateau"]) is not None:
            self._look_for_plateau(value)
        if self.early_stop and (value := values["early stop"]) is not None:
            self.early_stop.take(value, self.iter)
        if self.keep and self.keep.best and (value := values["the best snapshot"]) is not None \
                and self.keep.best.take(value, self.iter):
            snapshot.write_best(self)

    def _look_for_plateau(self, value: float) -> None:
        assert self._plateau is not None
        self._plateau.take(value, self.iter)
        if self._plateau.exhausted:
            self._plateau.stale, self.current_step = 0, self.current_step + 1
            log(At.LR_STEP, f"Plateau Status: Iteration {self.iter}, step = {self.current_step}")

    def _stops_early(self) -> bool:
        """Whether early_stop's patience is at its end; then the training is asked to stop."""
        stop = self.early_stop
        if stop is None or not stop.exhausted:
            return False
        log(At.STOPPED_EARLY, f"Early stop: {stop} was best at iteration {stop.at} with {number(stop.best or 0)}, "
                              f"and no better in {stop.stale} tests since")
        self.stopped = True
        return True

    def _clip_gradients(self) -> None:
        """Scale all gradients down to the L2 norm `clip_gradients`, where theirs together is larger."""
        limit = self.param.clip_gradients
        if limit < 0:
            return
        # Caffe: clips the sum over iter_size passes, before it is averaged
        blobs = [param.blob for param in self.net.learnable_params]
        norm = sum(blob.sumsq_diff() for blob in blobs) ** 0.5
        if norm > limit:
            scale = limit / norm
            log(At.GRADIENTS_CLIPPED, f"Gradient clipping: scaling down gradients (L2 norm {number(norm)} > "
                                      f"{number(limit)}) by scale factor {number(scale)}")
            for blob in blobs:
                np.multiply(blob.diff, scale, out=blob.diff)

    def _answer_requests(self) -> None:
        """Do all that was asked since the last iteration; during a test nothing else would."""
        while (action := self.requested_action()) is not Action.NONE:
            if action is Action.SNAPSHOT:
                self.snapshot()
            else:
                self.stopped = True

    def _is_due(self, interval: int) -> bool:
        return bool(interval) and self.iter % interval == 0

    @staticmethod
    def _call(hooks: list[Callable[[], None]]) -> None:
        for hook in hooks:
            hook()

    # --- set-up -----------------------------------------------------------------------------------------

    def _make_train_net(self) -> Net:
        choice = definition.net_to_train(self.param, self.where)
        log(*definition.created_from(choice.source))
        return self._make_net(choice)

    def _make_test_nets(self) -> list[Net]:
        nets = []
        for i, choice in enumerate(definition.nets_to_test(self.param, self.where)):
            log(At.TEST_NET, f"Creating test net (#{i}) specified by {choice.source}")
            nets.append(self._make_net(choice))
            nets[i].set_debug_info(self.param.debug_info)
        return nets

    def _make_net(self, choice: definition.NetChoice) -> Net:
        net = self._net_class(choice.definition, phase=choice.state.phase, level=choice.state.level,
                              stages=list(choice.state.stage), dtype=self._dtype)
        self._load_weights(net)
        return net

    def _load_weights(self, net: Net) -> None:
        """Copy the weights named by the `weights` fields; each may list several files with commas."""
        paths = [name.strip() for names in self.param.weights for name in names.split(",")]
        if paths:
            for path in paths:
                log(At.FINETUNING, f"Finetuning from {path}")
            net.copy_trained_from(paths, strict=self._strict and net.phase == TRAIN).log()
