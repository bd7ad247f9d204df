"""The checks of step 9: velocities are kept, decay is a part of the gradient, and the rate is inside the velocity."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.layer_checks import blob_of
from minicaffe.course.student import Student

LR, M, DECAY, GAMMA, STEPSIZE = 0.3, 0.6, 0.25, 0.5, 2
STEPS = 5
MADE = f"Momentum(params, {LR}, {M}, {DECAY})"


class _Case:
    """Blobs of the student's with weights, a solver of the student's, and the gradients of some steps."""

    def __init__(self, my: Student, draw: Draw, momentum: float = M, decay: float = DECAY,
                 falling: bool = False) -> None:
        K, D, J = draw.sizes(3)
        self.w = [draw.numbers(*shape) for shape in ((K, D), (K,), (J, K))]
        self.dw = [[draw.numbers(*w.shape) for w in self.w] for _ in range(STEPS)]
        self.blobs = [blob_of(my, w) for w in self.w]
        self.gamma = GAMMA if falling else 1.0
        policy: dict[str, Any] = {"gamma": GAMMA, "stepsize": STEPSIZE} if falling else {}
        self.solver = my.momentum.Momentum(self.blobs, LR, momentum, decay, **policy)

    def step(self, number: int = 0) -> None:
        """Let the student's solver clear the diffs, and take a step with the gradients of this number."""
        self.solver.clear_diffs()
        for blob, dw in zip(self.blobs, self.dw[number], strict=True):
            blob.diff[...] = dw
        self.solver.step()

    def after(self, i: int, rule: str, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
        """Return w and v of blob i after some steps by the right rule, or by a wrong one."""
        w, v = self.w[i].copy(), np.zeros_like(self.w[i])
        for n in range(steps):
            count = {"fixed rate": 0, "counted first": n + 1, "counted each": n * len(self.w),
                     "asked and counted each": n * len(self.w) + i}.get(rule, n)
            rate = LR * self.gamma ** (count // STEPSIZE)
            g = self.dw[n][i] + (0 if rule == "decay outside" else DECAY) * w
            before = v
            if rule == "no history":
                v = rate * g
            elif rule == "rate outside":
                v = M * v + g
            elif rule == "dampened":
                v = M * v + (1 - M) * rate * g
            elif rule == "1 - m":
                v = (1 - M) * v + rate * g
            elif rule == "all of v":
                v = v + rate * g
            elif rule == "rate for both":
                v = rate * (M * v + g)
            else:
                v = M * v + rate * g
            if rule == "rate outside":
                w = w - rate * v
            elif rule == "nesterov":
                w = w - ((1 + M) * v - M * before)
            elif rule == "decay outside":
                w = w - v - rate * DECAY * w
            else:
                w = w - v
            if rule == "last step":
                v = rate * g
        return w, v


def check_history(my: Student, draw: Draw) -> None:
    """The velocities begin with zeros, one array for each blob, and nobody else uses these arrays."""
    case = _Case(my, draw)
    history = case.solver.history
    expect(len(history) == len(case.blobs), f"{MADE}.history", f"{len(history)} arrays", f"{len(case.blobs)} arrays",
           "velocity_for_each_blob", "each blob of params has a velocity of its own")
    for i, (v, w) in enumerate(zip(history, case.w, strict=True)):
        compare(f"{MADE}.history[{i}]", v, 0 * w, [
            Mistake("velocity_for_each_blob", 0 * case.w[0], "that is an array for params[0], several times: each "
                    "blob of params has a velocity of its own shape"),
            Mistake("begins_with_the_weights", w, "before the first step nothing moves: the velocity is 0"),
            Mistake("one_number_for_all", 0.0, "each number of w has a velocity of its own: an array of the shape of "
                    "w")])
    case.step()
    for i, (v, blob) in enumerate(zip(case.solver.history, case.blobs, strict=True)):
        expect(not np.shares_memory(v, blob.diff), f"{MADE}.step() → history[{i}]", "the array of the diff",
               "an array of its own", "history_is_the_diff", "clear_diffs would clear the velocity too: write the "
               "numbers into an array of its own")


def check_plain_step(my: Student, draw: Draw) -> None:
    """Without momentum and decay a step is that of SGD, w − rate · dw."""
    case = _Case(my, draw, momentum=0.0, decay=0.0)
    held = [blob.data for blob in case.blobs]
    case.step()
    for i, (blob, w, dw) in enumerate(zip(case.blobs, case.w, case.dw[0], strict=True)):
        called = f"Momentum(params, {LR}, 0, 0).step() → params[{i}].data"
        compare(called, blob.data, w - LR * dw, [
            Mistake("uphill", w + LR * dw, "dw points to where the loss grows, and so does v: subtract it"),
            Mistake("no_rate", w - dw, "dw must be multiplied by the rate"),
            Mistake("rate_twice", w - LR * LR * dw, "the rate is inside v already"),
            Mistake("stepped_twice", w - 2 * LR * dw, "the step was taken twice. Does step call the step of SGD, too?"),
            Mistake("velocity_for_weight", LR * dw, "that is v. The step is taken from where w is: w − v."),
            Mistake("velocity_for_weight", -LR * dw, "that is −v. The step is taken from where w is: w − v."),
            Mistake("one_step_late", w, "the weights are as they were before. Is v computed first, from dw, and then "
                    "the weight from the new v?")])
        expect(blob.data is held[i], called, "another array", "the same array, with new numbers", "data_replaced",
               "the layers of the net hold the old array: write into the array that is there")


def check_decay(my: Student, draw: Draw) -> None:
    """In the first step decay adds weight_decay · w to the gradient."""
    case = _Case(my, draw)
    case.step()
    for i, (blob, w, dw) in enumerate(zip(case.blobs, case.w, case.dw[0], strict=True)):
        compare(f"{MADE}.step() → params[{i}].data", blob.data, w - LR * (dw + DECAY * w), [
            Mistake("no_decay", w - LR * dw, "there is no decay: weight_decay · w is added to dw"),
            Mistake("decay_without_rate", w - LR * dw - DECAY * w, "decay is a part of the gradient, so it is "
                    "multiplied by the rate, too. Where are the parentheses?"),
            Mistake("decay_has_wrong_sign", w - LR * (dw - DECAY * w), "this decay makes the weights grow: it is added "
                    "to dw, and the minus of the step pulls to 0"),
            Mistake("decay_without_half", w - LR * (dw + 2 * DECAY * w), "the decay is twice as large: the slope of "
                    "½ · decay · w² is decay · w"),
            Mistake("half_the_decay", w - LR * (dw + DECAY / 2 * w), "the ½ is gone from the slope of ½ · decay · w²"),
            Mistake("decay_of_the_sign", w - LR * (dw + DECAY * np.sign(w)), "the slope of w² grows with w. Only that "
                    "of |w| has one size for all weights."),
            Mistake("decay_of_the_gradient", w - LR * (dw + DECAY * dw), "decay pulls at the weight: weight_decay · w"),
            Mistake("decay_of_the_new_weight", (w - LR * dw) * (1 - LR * DECAY), "decay reads the weight before the "
                    "step: it belongs into the gradient"),
            Mistake("decay_for_momentum", w - LR * (dw + M * w), "that is momentum · w: weight_decay is the fourth "
                    "argument"),
            Mistake("nesterov", w - (1 + M) * LR * (dw + DECAY * w), AHEAD),
            Mistake("dampened", w - (1 - M) * LR * (dw + DECAY * w), DAMPENED)])


ONCE = "one call of step is one iteration, however many blobs there are"
AHEAD = "the step looks ahead, which is Nesterov's rule. Here the step is v itself."
DAMPENED = "v is no mean: the new gradient counts whole, and not times 1 − momentum"


def _fixed(case: _Case) -> tuple[str, str, str]:
    """Return name, rule and hint of the mistake by which all steps have one rate."""
    if case.solver.iteration == 0:
        return "not_counted", "fixed rate", "all steps have the rate lr: count each step in iteration"
    if case.solver.gamma != GAMMA:
        return "policy_lost", "fixed rate", "all steps have the rate lr: hand gamma and stepsize on to SGD's __init__"
    return "rate_not_asked", "fixed rate", "all steps have the rate lr: take the rate that rate() returns"


def check_momentum(my: Student, draw: Draw) -> None:
    """Each step keeps the part momentum of the velocity before, while the rate falls."""
    case = _Case(my, draw, falling=True)
    for number in range(STEPS):
        case.step(number)
    rates = f"rates {LR}, {LR}, {LR * GAMMA}, …"
    for i, blob in enumerate(case.blobs):
        right, v = case.after(i, "")

        def wrong(name: str, rule: str, hint: str, i: int = i) -> Mistake:
            return Mistake(name, case.after(i, rule)[0], hint)

        compare(f"{STEPS} steps of {MADE} with {rates} → params[{i}].data", blob.data, right, [
            wrong("nothing_kept", "no history", "every step was taken from a velocity of 0: v must be there in the "
                  "next step. `v = …` makes a local name: write into the array by v[...]."),
            wrong("last_step_alone", "last step", "a step keeps only a part of the one before it: what history keeps "
                  "is v, with all that is in it, and not rate · dw"),
            wrong("rate_outside", "rate outside", "the rate is outside of v, as in some other programs. In Caffe the "
                  "velocity has the rate of its time in it."),
            wrong("rate_for_the_velocity", "rate for both", "the old velocity has its rate already: the rate is for "
                  "the gradient alone"),
            wrong("momentum_is_one", "all of v", "the whole of the old velocity is kept: multiply it by momentum"),
            wrong("momentum_reversed", "1 - m", "momentum says how much of the old velocity is kept, not how much is "
                  "lost"),
            wrong("dampened", "dampened", DAMPENED),
            wrong("nesterov", "nesterov", AHEAD),
            wrong("decay_outside", "decay outside", "decay is not in the velocity: add it to dw, before v is computed"),
            wrong(*_fixed(case)),
            wrong("counted_before_the_step", "counted first", "the rate falls one step too early: count the step when "
                  "it is done"),
            wrong("steps_counted", "counted each", ONCE), wrong("steps_counted", "asked and counted each", ONCE)])
        compare(f"{STEPS} steps of {MADE} with {rates} → history[{i}]", case.solver.history[i], v, [
            Mistake("velocity_has_other_sign", -v, "w ← w − v: this history has −v. Files of Caffe's hold v."),
            Mistake("nothing_in_history", 0 * v, "history must hold the velocities, since a file takes them from "
                    "there")])
    expect(case.solver.iteration == STEPS, f"{STEPS} steps of {MADE} → iteration", case.solver.iteration, STEPS,
           "steps_counted", ONCE)


def check_training(my: Student, draw: Draw) -> None:
    """Your train from step 8 trains a net with this solver."""
    N, D, K = draw.sizes(3)
    x, t = draw.numbers(N, D), draw.rng.integers(0, 2, (N, K)).astype(float)
    net = my.chain.Chain([my.inner_product.InnerProductLayer(num_output=K, bias_term=False),
                          my.sigmoid_cross_entropy_loss.SigmoidCrossEntropyLossLayer()])
    net.setup(x, t)
    w, v = draw.numbers(K, D), np.zeros((K, D))
    net.params[0].data[...] = w
    losses = my.sgd.train(net, my.momentum.Momentum(net.params, LR, M, DECAY), [(x, t)] * STEPS)
    for _ in range(STEPS):
        g = np.zeros_like(w)
        for n, k, d in np.ndindex(N, K, D):
            g[k, d] += (1 / (1 + np.exp(-x[n] @ w[k])) - t[n, k]) * x[n, d] / N
        v = M * v + LR * (g + DECAY * w)
        w = w - v
    compare(f"train(net, {MADE.replace('params', 'net.params')}, {STEPS} batches) → w of the net",
            net.params[0].data, w)
    expect(len(losses) == STEPS, f"train(net, Momentum(…), {STEPS} batches)", f"{len(losses)} losses",
           f"{STEPS} losses", "own_train_fails", "is step 8 passed?")
