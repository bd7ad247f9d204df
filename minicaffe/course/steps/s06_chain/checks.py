"""The checks of step 6: the layers of a chain are called in order, with the right blobs and flags."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.course.checking import Draw, Mistake, compare, expect, slopes
from minicaffe.course.student import Student
from minicaffe.log import plural


class _Probe:
    """A layer that computes nothing, and writes down how it is called."""

    def __init__(self, number: int, calls: list[tuple[str, int]]) -> None:
        self.number, self.calls, self.blobs, self.param = number, calls, list[Any](), dict[str, Any]()
        self.bottom, self.top, self.flags = list[Any](), list[Any](), list[bool]()
        self.shape_at_setup: Any = None

    def setup(self, bottom: Any, top: Any) -> None:
        """Note the shape that the bottom has by now."""
        self.calls.append(("setup", self.number))
        self.shape_at_setup = tuple(bottom[0].shape)

    def reshape(self, bottom: Any, top: Any) -> None:
        """Make the top a row longer than the bottom, so that the shapes along the chain differ."""
        self.calls.append(("reshape", self.number))
        shape = bottom[0].shape
        top[0].reshape((shape[0] + 1, *shape[1:]) if shape else ())

    def forward(self, bottom: Any, top: Any) -> None:
        """Note the blobs."""
        self.calls.append(("forward", self.number))
        self.bottom, self.top = list(bottom), list(top)

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        """Note the flags."""
        self.calls.append(("backward", self.number))
        self.flags = [bool(flag) for flag in propagate_down]


def _probes(my: Student, draw: Draw, targets: bool = False,
            count: int = 3) -> tuple[Any, list[_Probe], list[tuple[str, int]], list[np.ndarray]]:
    """Return a chain of probes that is set up, the probes, what they have written down, and x (with t)."""
    calls: list[tuple[str, int]] = []
    probes = [_Probe(i, calls) for i in range(count)]
    chain, shape = my.chain.Chain(list(probes)), draw.sizes(2)
    blobs, called = len(chain.blobs), f"Chain(layers) with {plural(count, 'layer')} → chain.blobs"
    expect(blobs == count + 1, called, plural(blobs, "blob"), plural(count + 1, "blob"), "number_of_blobs",
           "__init__ makes the blobs: one before the first layer, one behind the last, and one between two layers")
    expect(len({id(blob) for blob in chain.blobs}) == blobs, called, "one blob several times", f"{blobs} blobs",
           "one_blob_for_all", "[Blob()] * n is a list that holds one blob n times. Each needs a Blob() of its own.")
    inputs = [draw.numbers(*shape) for _ in range(1 + targets)]
    chain.setup(*inputs)
    return chain, probes, calls, inputs


def _net(my: Student, draw: Draw) -> tuple[Any, np.ndarray, list[np.ndarray]]:
    """Return a chain InnerProduct, Sigmoid, InnerProduct with weights, x, and the weights w, b, w of both layers."""
    N, D, K, M = draw.sizes(4)
    hidden = my.inner_product.InnerProductLayer(num_output=K)
    last = my.inner_product.InnerProductLayer(num_output=M, bias_term=False)
    chain, x = my.chain.Chain([hidden, my.sigmoid.SigmoidLayer(), last]), draw.numbers(N, D)
    chain.setup(x)
    weights = [draw.numbers(K, D), draw.numbers(K), draw.numbers(M, K)]
    for blob, values, name in zip([*hidden.blobs, *last.blobs], weights, ("w of layers[0]", "b of layers[0]",
                                                                          "w of layers[2]"), strict=True):
        compare(f"Chain([InnerProduct, Sigmoid, InnerProduct]).setup(x), x {x.shape} → shape of {name}",
                blob.data.shape, values.shape, [
                    Mistake("shape_not_known_in_setup", (*values.shape[:-1], 1), SHAPE_IN_SETUP)])
        blob.data[...] = values
    return chain, x, weights


ONE_BLOB = "two neighbours meet in one blob: what is the top of the one is the bottom of the other"
SHAPE_IN_SETUP = ("when setup of this layer ran, its bottom had no shape yet. The layer before gives it in reshape, so "
                  "set up and reshape one layer before you set up the next one.")


def _y(x: np.ndarray, w: list[np.ndarray]) -> np.ndarray:
    """The definition of the chain of `_net`."""
    return np.asarray(1 / (1 + np.exp(-(x @ w[0].T + w[1]))) @ w[2].T)


def _slopes(x: np.ndarray, w: list[np.ndarray], i: int, dy: np.ndarray) -> np.ndarray:
    """Return the slopes of Σ dy · y over the weights number i."""
    return slopes(lambda moved: float((dy * _y(x, [*w[:i], moved, *w[i + 1:]])).sum()), w[i])


def check_setup(my: Student, draw: Draw) -> None:
    """The first call of setup sets up each layer once, when the shape of its bottom is known, and runs no forward."""
    _, probes, calls, (x,) = _probes(my, draw)
    done = [number for name, number in calls if name == "setup"]
    expect(done == [0, 1, 2], "chain.setup(x) → layers whose setup ran", done, [0, 1, 2], "setup_of_each_layer",
           "each layer is set up once, from the first to the last")
    for i, probe in enumerate(probes):
        right = (x.shape[0] + i, *x.shape[1:])
        called = f"chain.setup(x), x {x.shape} → bottom[0].shape in setup of layers[{i}]"
        expect(i > 0 or probe.shape_at_setup == right, called, probe.shape_at_setup, right, "input_without_shape",
               "blobs[0] gets the shape of x before the first layer is set up")
        early = i > 0 and calls.index(("setup", i)) < calls.index(("reshape", i - 1))
        expect(not early, called, probe.shape_at_setup, right, "shape_not_known_in_setup", SHAPE_IN_SETUP)
        expect(probe.shape_at_setup == right, called, probe.shape_at_setup, right, "other_blobs", ONE_BLOB)
    expect(("forward", 0) not in calls, "chain.setup(x)", "forward has run", "setup and reshape alone",
           "forward_in_setup", "the weights are filled between setup and the first forward")
    _net(my, draw)


def check_order(my: Student, draw: Draw) -> None:
    """Forward reshapes and runs the layers from first to last, and backward runs them from last to first."""
    chain, probes, calls, inputs = _probes(my, draw)
    calls.clear()
    chain.forward(*inputs)
    run = [number for name, number in calls if name == "forward"]
    expect(("setup", 0) not in calls, "chain.forward(x)", "setup has run again", "reshape and forward alone",
           "setup_in_forward", "setup makes new weights, so what was learned or loaded would be lost")
    expect(run == [0, 1, 2], "chain.forward(x) → layers whose forward ran", run, [0, 1, 2], "order_of_forward",
           "each layer runs once, and layer i + 1 reads what layer i has written")
    for i in range(len(probes)):
        shaped = ("reshape", i) in calls and calls.index(("reshape", i)) < calls.index(("forward", i))
        expect(shaped, f"chain.forward(x) → calls of layers[{i}]", "no reshape before forward", "reshape, forward",
               "reshape_missing", "x may have another batch size than before, so every forward begins with reshape")
    for i, probe in enumerate(probes):
        expect(probe.bottom == [chain.blobs[i]] and probe.top == [chain.blobs[i + 1]],
               f"chain.forward(x) → bottom and top of layers[{i}]", "other blobs",
               f"[chain.blobs[{i}]], [chain.blobs[{i + 1}]]", "other_blobs", ONE_BLOB)
    calls.clear()
    held = chain.blobs[-1].diff
    chain.backward(np.ones(chain.blobs[-1].shape))
    expect(chain.blobs[-1].diff is held, "chain.backward(dy) → diff of the last top", "another array",
           "the same array, with the numbers dy", "diff_replaced", "the last layer may hold the old array, and dy may "
           "be a number. Write into it: diff[...] = dy")
    run = [number for name, number in calls if name == "backward"]
    expect(run != [0, 1, 2], "chain.backward(dy) → layers whose backward ran", run, [2, 1, 0],
           "backward_in_forward_order", "a layer needs the diff of its top, and the layer behind it writes that: begin "
           "at the end")
    expect(run == [2, 1, 0], "chain.backward(dy) → layers whose backward ran", run, [2, 1, 0], "order_of_backward",
           "each layer runs once, from the last to the first, the first one too: it may have weights")


def check_flags(my: Student, draw: Draw) -> None:
    """Each layer but the first is asked for the diff of its bottom; nobody is asked for that of the targets."""
    for targets, count in ((False, 3), (True, 3), (True, 1)):
        chain, probes, _, inputs = _probes(my, draw, targets, count)
        chain.forward(*inputs)
        for i, probe in enumerate(probes):
            bottoms = 1 + (targets and i == count - 1)
            expect(len(probe.bottom) == bottoms, f"chain.forward({'x, t' if targets else 'x'}), {count} layers → "
                   f"len(bottom) of layers[{i}]", len(probe.bottom), bottoms, "bottoms_of_the_last_layer",
                   "the last layer has the targets as its second bottom, if there are targets; no other layer has them")
        chain.backward(1.0)
        for i, probe in enumerate(probes):
            flags = [i > 0] + [False] * (len(probe.bottom) - 1)
            called = (f"chain.backward(), {count} layers{' and targets' if targets else ''} → propagate_down of "
                      f"layers[{i}]")
            expect(len(probe.flags) == len(flags), called, probe.flags, flags, "a_flag_for_each_bottom",
                   "there is one flag for each bottom, in a list")
            expect(i > 0 or not probe.flags[0], called, probe.flags, flags, "first_layer_asked",
                   "nobody needs the diff of x, and to compute it may take as long as all of the rest")
            expect(i == 0 or probe.flags[0], called, probe.flags, flags, "nothing_handed_down",
                   "the layer before needs this diff, for it is the diff of its top")
            expect(probe.flags == flags, called, probe.flags, flags, "targets_asked",
                   "the targets are given: they have no gradient")


def check_forward(my: Student, draw: Draw) -> None:
    """Forward returns what the last layer computes; x itself is copied and left as it is."""
    chain, x, w = _net(my, draw)
    held, given = chain.blobs[0].data, x.copy()
    got = chain.forward(given)
    right = _y(x, w)
    compare("Chain([InnerProduct, Sigmoid, InnerProduct]).forward(x)", got, right, [
        Mistake("not_the_last_top", x @ w[0].T + w[1], "that is the top of the first layer: return that of the last"),
        Mistake("not_the_last_top", 1 / (1 + np.exp(-(x @ w[0].T + w[1]))), "that is the top of the last layer but "
                "one: blobs[i + 1] is the top of layers[i]"),
        Mistake("not_the_last_top", x, "that is x: return the data of the last top"),
        Mistake("x_not_written", _y(0 * x, w), "x has not arrived in blobs[0].data"),
        Mistake("weights_lost", 0 * right, "all weights are 0: has setup run again?")])
    expect(not np.shares_memory(chain.blobs[0].data, given), "chain.forward(x) → chain.blobs[0].data",
           "the array x itself", "its own array, with the numbers of x", "input_is_not_copied",
           "x is the caller's, who may write other numbers into it before backward runs. Write into "
           "blobs[0].data[...].")
    expect(chain.blobs[0].data is held, "chain.forward(x) → chain.blobs[0].data", "another array than after setup",
           "the same array, with new numbers", "input_replaced", "x has the shape that it had in setup, so nothing "
           "needs a new array: reshape the blob, and write into data[...]")
    x = draw.numbers(*x.shape)
    compare("chain.forward(x) with other numbers x", chain.forward(x), _y(x, w), [
        Mistake("first_x_kept", right, "that is the answer to the x before: write x in each forward")])


def check_backward(my: Student, draw: Draw) -> None:
    """Backward from dy gives each weight the slope of Σ dy · y, as a difference quotient measures it."""
    chain, x, w = _net(my, draw)
    dy = draw.numbers(x.shape[0], w[2].shape[0])
    chain.forward(x)
    chain.backward(dy)
    for i, (layer, name) in reversed([*enumerate(((0, "w"), (0, "b"), (2, "w")))]):
        dw, ones = _slopes(x, w, i, dy), _slopes(x, w, i, np.ones_like(dy))
        compare(f"chain.forward(x); chain.backward(dy) → diff of {name} of layers[{layer}]",
                chain.layers[layer].blobs["wb".index(name)].diff, dw, [
            Mistake("dy_not_written", 0 * dw, "the diff of the last top was 0 when the last layer ran backward: write "
                    "dy into it first"),
            Mistake("dy_not_taken", ones, "that is the slope of Σ y, so the diff of the last top was 1. Write dy into "
                    "it.")], tolerance=1e-6)


def check_another_batch(my: Student, draw: Draw) -> None:
    """After it has run on one batch, the chain runs on a larger one, forward and backward."""
    chain, x, w = _net(my, draw)
    chain.forward(x)
    x = draw.numbers(x.shape[0] + 9, x.shape[1])
    compare(f"chain.forward(x), now with x {x.shape}", chain.forward(x), _y(x, w))
    dy = draw.numbers(x.shape[0], w[2].shape[0])
    chain.backward(dy)
    compare("chain.backward(dy) after it → diff of the last w", chain.layers[2].blobs[0].diff,
            dy.T @ (1 / (1 + np.exp(-(x @ w[0].T + w[1])))))


def check_loss(my: Student, draw: Draw) -> None:
    """A chain that ends in a loss gets the targets, and backward() begins with λ = 1."""
    N, D, K = draw.sizes(3)
    layer = my.inner_product.InnerProductLayer(num_output=K)
    chain = my.chain.Chain([layer, my.sigmoid_cross_entropy_loss.SigmoidCrossEntropyLossLayer()])
    x, t, w = draw.numbers(N, D), draw.rng.integers(0, 2, (N, K)).astype(float), draw.numbers(K, D)
    chain.setup(x, 1 - t)
    layer.blobs[0].data[...] = w
    p = 1 / (1 + np.exp(-(x @ w.T)))

    def loss(t: np.ndarray) -> float:
        return float(-(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / N)

    compare("Chain([InnerProduct, SigmoidCrossEntropyLoss]).forward(x, t)", chain.forward(x, t), loss(t), [
        Mistake("targets_not_written", loss(0 * t), "the targets are all 0: write t into the data of targets"),
        Mistake("first_targets_kept", loss(1 - t), "these are the targets of setup: write t in each forward")])
    dw = (p - t).T @ x / N
    total = 0 * dw
    for weight, call in ((1.0, "chain.backward()"), (2.5, "chain.backward(2.5)")):
        chain.backward(*([] if weight == 1.0 else [weight]))
        total = total + weight * dw
        compare(f"{call} of a chain with a loss → diff of w", layer.blobs[0].diff, total, [
            Mistake("dy_not_written", total - weight * dw, "the diff of the loss was 0: write λ into it first"),
            Mistake("dy_added", total + dw, "the diff of the last top still had the λ of the pass before, and yours "
                    "was added: overwrite it"),
            Mistake("diffs_cleared", weight * dw, "the diffs of the pass before are gone. Backward adds to the diffs "
                    "of weights; they are cleared by whoever takes the step."),
            Mistake("dy_not_taken", total - weight * dw + dw, "λ is 2.5 here: write the argument into the diff of the "
                    "last top"),
            Mistake("loss_for_weight", total + (loss(t) - 1) * weight * dw, "the diff of the last top is λ, and not "
                    "the loss")])


def check_params(my: Student, draw: Draw) -> None:
    """The list params holds the blobs of all layers, in the order of the layers."""
    chain = _net(my, draw)[0]
    first, last = chain.layers[0].blobs, chain.layers[2].blobs
    got = chain.params
    called, right = "Chain([InnerProduct, Sigmoid, InnerProduct]).params", "[w, b, w], the layers' own blobs"
    kinds = ", ".join(type(one).__name__ for one in got)
    expect(len(got) > 0, called, "an empty list", right, "params_before_setup", "the layers make their blobs in setup: "
           "collect them when params is asked for, not before")
    expect(not any(isinstance(one, list | tuple) for one in got), called, f"[{kinds}]", right,
           "list_of_lists", "the solver needs one flat list of blobs: extend a list by a list, don't append it")
    expect(not any(isinstance(one, np.ndarray) for one in got), called, f"[{kinds}]", right, "arrays_for_blobs",
           "the solver needs data and diff, so it gets the blobs")
    expect(len(got) == 3, called, f"{len(got)} blobs", right, "params_missing", "each layer adds all of its blobs: "
           "here w and b, none, and w")
    expect(got == [*first, *last], called, "other blobs, or in another order", right, "order_of_params",
           "the blobs themselves, those of layers[0] first: files of weights have this order")


def check_by_your_own_difference_quotient(my: Student, draw: Draw) -> None:
    """Your own numeric_gradient finds the diffs of all weights of a chain right."""
    chain, x, _ = _net(my, draw)
    chain.forward(x)
    chain.backward(1.0)
    for blob in chain.params:
        got = my.gradient.numeric_gradient(lambda: float(np.sum(chain.forward(x))), blob.data)
        error = float(my.gradient.largest_error(blob.diff, got))
        expect(error < 1e-6, "largest_error(diff of a weight, numeric_gradient(Σ chain.forward(x), its data))",
               f"{error:.3g}", "less than 1e-06", "own_check_fails",
               "the numbers above are right, so look at your gradient.py: is step 3 passed?")
