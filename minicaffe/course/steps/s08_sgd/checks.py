"""The checks of step 8: the step, its rate, and the order in which a net is trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.layer_checks import blob_of
from minicaffe.course.student import Student

LR, GAMMA, STEPSIZE = 0.3, 0.5, 3
LEFT = 0.5  # what other passes have left in the diffs of the weights
GONE = ("someone else may hold the old array, such as a layer of the net, and would never see the new numbers. Write "
        "into the array that is there.")


def _params(my: Student, draw: Draw) -> tuple[list[Any], list[np.ndarray], list[np.ndarray]]:
    """Return three blobs of the student's with numbers in them, and copies of their data and diffs."""
    K, D, M = draw.sizes(3)
    shapes = ((K, D), (K,), (M, K))
    data, diffs = ([draw.numbers(*shape) for shape in shapes] for _ in range(2))
    blobs = [blob_of(my, values) for values in data]
    for blob, diff in zip(blobs, diffs, strict=True):
        blob.diff[...] = diff
    return blobs, data, diffs


def check_rate(my: Student, draw: Draw) -> None:
    """The rate is lr · gamma^⌊i / stepsize⌋, and to ask for it changes nothing."""
    solver = my.sgd.SGD([], LR, gamma=GAMMA, stepsize=STEPSIZE)
    called = f"SGD(params, {LR}, gamma={GAMMA}, stepsize={STEPSIZE})"
    expect(solver.iteration == 0, f"{called}.iteration", solver.iteration, 0, "iteration_at_first",
           "no step was taken so far")
    solver.iteration = STEPSIZE
    first, second = solver.rate(), solver.rate()
    expect(first is not None, f"{called}; rate()", None, "a number", "no_return", "a function without `return` gives "
           "None")
    expect(first == second, f"{called}; iteration = {STEPSIZE}; rate() twice", f"{first:.6g}, then {second:.6g}",
           "the same twice", "rate_compounds", "rate() has changed the solver. Compute the rate anew from lr and "
           "iteration, and leave both as they are.")
    iterations = np.arange(3 * STEPSIZE)
    right, rate = [], LR
    for i in iterations:
        rate *= GAMMA if i and i % STEPSIZE == 0 else 1.0
        right.append(rate)
    got = []
    for i in iterations:
        solver.iteration = int(i)
        got.append(float(solver.rate()))
    compare(f"{called}, rate() at iterations 0 to {iterations[-1]}", got, right, [
        Mistake("rate_fixed", np.full(len(got), LR), "the rate falls: it is multiplied by gamma after every stepsize "
                "iterations"),
        Mistake("not_the_whole_part", LR * GAMMA ** (iterations / STEPSIZE), "the rate stays the same for stepsize "
                "iterations: take the whole part of i / stepsize"),
        Mistake("one_iteration_early", LR * GAMMA ** ((iterations + 1) // STEPSIZE), "the rate falls one iteration "
                "too early: iterations 0 to stepsize − 1 have the rate lr"),
        Mistake("each_iteration", LR * GAMMA ** iterations, "the rate falls with every iteration, and not after every "
                "stepsize of them"),
        Mistake("remainder", LR * GAMMA ** (iterations % STEPSIZE), "% gives the remainder. // gives the whole part "
                "of the quotient."),
        Mistake("rounded", LR * GAMMA ** np.round(iterations / STEPSIZE), "the whole part, which is not the nearest "
                "whole number: ⌊2 / 3⌋ is 0"),
        Mistake("no_power", LR * GAMMA * (iterations // STEPSIZE), "gamma to the power ⌊i / stepsize⌋, in Python **"),
        Mistake("no_lr", GAMMA ** (iterations // STEPSIZE), "the factor lr is missing")])


def check_step(my: Student, draw: Draw) -> None:
    """A step changes each weight to w − lr · dw, in its array."""
    blobs, data, diffs = _params(my, draw)
    held = [blob.data for blob in blobs]
    my.sgd.SGD(blobs, LR).step()
    for i, (blob, w, dw) in enumerate(zip(blobs, data, diffs, strict=True)):
        called = f"SGD(params, {LR}).step() → params[{i}].data"
        compare(called, blob.data, w - LR * dw, [
            Mistake("uphill", w + LR * dw, "dw points to where the loss grows. The step goes the other way."),
            Mistake("no_rate", w - dw, "dw must be multiplied by the rate"),
            Mistake("rate_divides", w - dw / LR, "dw is multiplied by the rate"),
            Mistake("rate_twice", w - LR * LR * dw, "dw is multiplied by the rate twice"),
            Mistake("step_for_weight", -LR * dw, "the step is taken from where w is: w − rate · dw"),
            Mistake("weight_scaled", w - LR * w, "w is taken where dw should be: the step is rate · dw"),
            Mistake("weight_scaled", w * (1 - LR * dw), "w is multiplied, where the step should be subtracted"),
            Mistake("first_param_alone" if i else "nothing_done", w, "these weights are as they were before. " + (
                "Each blob of params takes its step." if i else "`w = w − …` makes a local name: write into "
                                                                "blob.data[...]."))])
        expect(blob.data is held[i], called, "another array", "the same array, with new numbers", "data_replaced", GONE)


def check_clear_diffs(my: Student, draw: Draw) -> None:
    """After clear_diffs all diffs are 0, in their arrays, and the weights are as they were."""
    blobs, data, diffs = _params(my, draw)
    held = [blob.diff for blob in blobs]
    my.sgd.SGD(blobs, LR).clear_diffs()
    for i, (blob, w, dw) in enumerate(zip(blobs, data, diffs, strict=True)):
        called = f"SGD(params, {LR}).clear_diffs() → params[{i}]"
        compare(f"{called}.diff", blob.diff, 0 * dw, [
            Mistake("not_cleared", dw, "this diff is as it was before: clear the diff of each blob")])
        expect(blob.diff is held[i], f"{called}.diff", "another array", "the same array, full of zeros",
               "diff_replaced", GONE)
        compare(f"{called}.data", blob.data, w, [
            Mistake("data_cleared", 0 * w, "the weights are what was learned: only the diffs become 0")])


def check_steps_with_their_rates(my: Student, draw: Draw) -> None:
    """Each step has the rate of its own iteration, and is counted."""
    blobs, data, diffs = _params(my, draw)
    solver = my.sgd.SGD(blobs, LR, gamma=GAMMA, stepsize=STEPSIZE)
    w, dw = blobs[0], diffs[0]
    before, rates = data[0], []
    for _ in range(2 * STEPSIZE + 1):
        w.diff[...] = dw
        solver.step()
        rates.append(float(((before - w.data) / dw).flat[0]))
        before = np.array(w.data)
    counts = np.arange(len(rates))
    called = f"SGD(params, {LR}, gamma={GAMMA}, stepsize={STEPSIZE}), {len(rates)} times step()"
    once = "one call of step is one iteration, however many blobs there are"
    compare(f"{called} → the rates of these steps", rates, LR * GAMMA ** (counts // STEPSIZE), [
        Mistake("not_counted" if solver.iteration == 0 else "rate_not_asked", np.full(len(rates), LR), "all steps have "
                "the rate lr. " + ("Is each step counted in iteration?" if solver.iteration == 0 else "Does step take "
                                   "the rate that rate() returns?")),
        Mistake("counted_before_the_step", LR * GAMMA ** ((counts + 1) // STEPSIZE), "the rate falls one step too "
                "early: count the step when it is done"),
        Mistake("steps_and_params", LR * GAMMA ** (len(blobs) * counts // STEPSIZE), once)], tolerance=1e-6)
    expect(solver.iteration == len(rates), f"{called} → iteration", solver.iteration, len(rates), "steps_and_params",
           once)


# --- train --------------------------------------------------------------------------------------------------------


class _Problem:
    """Logistic regression: weights w and b to begin with, and some batches, each of another size."""

    def __init__(self, draw: Draw) -> None:
        self.D, self.K = draw.sizes(2)
        self.w, self.b = draw.numbers(self.K, self.D), draw.numbers(self.K)
        sizes = draw.sizes(4)
        self.batches = [(draw.numbers(N, self.D), draw.rng.integers(0, 2, (N, self.K)).astype(float)) for N in sizes]

    def trained(self, my: Student) -> tuple[Any, Any, Any]:
        """Let the student's `train` run; return what it returned, the net, and the solver."""
        net = my.chain.Chain([my.inner_product.InnerProductLayer(num_output=self.K),
                              my.sigmoid_cross_entropy_loss.SigmoidCrossEntropyLossLayer()])
        net.setup(*self.batches[0])
        for blob, values in zip(net.params, (self.w, self.b), strict=True):
            blob.data[...] = values
            blob.diff[...] = LEFT
        solver = my.sgd.SGD(net.params, LR, gamma=GAMMA, stepsize=2)
        return my.sgd.train(net, solver, [(x.copy(), t.copy()) for x, t in self.batches]), net, solver

    def run(self, order: str, batches: list[tuple[np.ndarray, np.ndarray]] | None = None,
            left: float = LEFT) -> tuple[np.ndarray, list[float]]:
        """Return w and the losses where c(lear), f(orward), b(ackward) and s(tep) run in this order for each batch.

        'B' is a backward that begins with the loss.
        """
        w, b, losses = self.w.copy(), self.b.copy(), []
        dw, db = np.full_like(w, left), np.full_like(b, left)
        for i, (x, t) in enumerate(self.batches if batches is None else batches):
            rate = LR * GAMMA ** (i // 2)
            for what in order:
                if what == "c":
                    dw, db = 0 * dw, 0 * db
                elif what == "f":
                    p = 1 / (1 + np.exp(-(x @ w.T + b)))
                    loss = float(-(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / len(x))
                elif what in "bB":
                    scale = loss if what == "B" else 1.0
                    dw, db = dw + scale * (p - t).T @ x / len(x), db + scale * (p - t).sum(0) / len(x)
                else:
                    w, b = w - rate * dw, b - rate * db
            losses.append(loss)
        return w, losses

    def one_step(self) -> np.ndarray:
        """Return w where the gradients of all batches are added up, before the first step is taken."""
        dw = np.zeros_like(self.w)
        for x, t in self.batches:
            dw += (1 / (1 + np.exp(-(x @ self.w.T + self.b))) - t).T @ x / len(x)
        return self.w - LR * dw


CALLED = "train(net, SGD(net.params, …), 4 batches)"


def check_trained_weights(my: Student, draw: Draw) -> None:
    """What train makes of the weights is one step down the gradient of each batch."""
    problem = _Problem(draw)
    _, net, solver = problem.trained(my)
    right, _ = problem.run("cfbs")
    first = problem.batches[0]
    compare(f"{CALLED} → w of the net", net.params[0].data, right, [
        Mistake("not_cleared", problem.run("fbs")[0], "the diffs are never cleared, so each step repeats the gradients "
                "of all batches before"),
        Mistake("not_cleared", problem.run("fbs", left=0)[0], "the diffs are cleared once only, so each step repeats "
                "the gradients of all batches before"),
        Mistake("first_not_cleared", problem.run("fbsc")[0], "the first step had something in the diffs that was there "
                "before: clear them before each batch, not behind it"),
        Mistake("nothing_learned", problem.w, "the weights are as they were before. When step runs, the gradients "
                "must be there: backward comes before it, and nothing clears them in between."),
        Mistake("one_batch_late", problem.run("fscb")[0], "each step takes the gradient of the batch before: step "
                "comes after backward"),
        Mistake("backward_twice", problem.run("cfbbs")[0], "the gradient was added twice: call backward once for each "
                "batch"),
        Mistake("one_step_for_all", problem.one_step(), "all gradients were added up, and one step was taken: take a "
                "step for each batch"),
        Mistake("loss_for_weight", problem.run("cfBs")[0], "backward has begun with the loss. It begins with the "
                "loss's weight, which is 1: net.backward()"),
        Mistake("one_batch_alone", problem.run("cfbs", [first])[0], "one batch was trained on, the first one. Is the "
                "`return` inside of the loop?"),
        Mistake("first_batch_alone", problem.run("cfbs", [first] * len(problem.batches))[0], "each step has taken the "
                "first batch"),
        Mistake("set_up_again", 0 * right, "setup has made new weights: the net is set up already")])
    expect(solver.iteration == len(problem.batches), f"{CALLED} → solver.iteration", solver.iteration,
           len(problem.batches), "a_step_for_each_batch", "each batch is one iteration")


def check_losses(my: Student, draw: Draw) -> None:
    """What train returns is the loss of each batch, before the step."""
    problem = _Problem(draw)
    got, _, _ = problem.trained(my)
    right = problem.run("cfbs")[1]
    after = problem.run("cfbsf")[1]
    compare(CALLED, got, right, [
        Mistake("same_array_in_list", np.full(len(right), right[-1]), "all losses are the last one: forward returns "
                "the array that it writes into each time. Keep float(…) of it."),
        Mistake("loss_after_the_step", after, "that is the loss of each batch after its step: take what forward has "
                "returned before backward"),
        Mistake("last_loss_alone", right[-1], "return a list with the loss of each batch"),
        Mistake("sum_of_losses", sum(right), "return a list with the loss of each batch"),
        Mistake("sum_of_losses", np.cumsum(right), "each loss stands for itself: add none to the next one"),
        Mistake("mean_of_losses", float(np.mean(right)), "return a list with the loss of each batch")])
    expect(isinstance(got, list) and all(isinstance(loss, float) for loss in got), CALLED,
           f"{type(got).__name__} of {', '.join(sorted({type(loss).__name__ for loss in got}))}", "a list of floats",
           "no_floats", "float(array) makes a number of an array of shape ()")
