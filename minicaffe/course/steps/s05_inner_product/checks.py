"""The checks of step 5: InnerProduct forward, its three gradients, and which of them are added to."""

from __future__ import annotations

from typing import Any

import numpy as np

from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw, Mistake, compare, expect
from minicaffe.course.layer_checks import Run
from minicaffe.course.student import Student

LEFT = 0.5  # what other passes have left in the diffs of the weights


class _Case:
    """A layer of the student's with weights, and x, dy, w and b as arrays; `axes` is the number of axes of x."""

    def __init__(self, my: Student, draw: Draw, axes: int = 2, bias: bool = True) -> None:
        *shape, self.K = draw.sizes(axes + 1)
        self.x = draw.numbers(*shape)
        self.N, self.D = shape[0], self.x[0].size
        param: dict[str, Any] = {"num_output": self.K, **({} if bias else {"bias_term": False})}
        self.run = Run(my, my.inner_product.InnerProductLayer(**param), [self.x])
        self.w, self.b = draw.numbers(self.K, self.D), draw.numbers(self.K) if bias else np.zeros(self.K)
        self.dy = draw.numbers(self.N, self.K)
        self.blobs = self.run.layer.blobs
        expect(len(self.blobs) == 1 + bias, f"InnerProductLayer({_words(param)}).setup(bottom, top) → len(layer.blobs)",
               len(self.blobs), 1 + bias, "blobs_in_the_list", "self.blobs is the list in which the solver finds the "
               "weights: w, and then b. Without the bias term there is w alone.")
        for blob, values in zip(self.blobs, (self.w, self.b), strict=False):
            called = f"InnerProductLayer({_words(param)}).setup(bottom, top) with x {tuple(shape)} → a blob's shape"
            known = {values.shape[::-1]: ("weights_transposed", "w has a row for each output and a column for each "
                                          "feature, (K, D): files of weights have it in this order"),
                     (self.K, shape[1]): ("one_axis_alone", "D is the product of all sizes after the first"),
                     (self.K, self.x.size): ("batch_in_the_weights", "the size of the batch has no part in the "
                                             "weights")}
            found = tuple(np.shape(blob.data))
            expect(found == values.shape, called, found, values.shape, *known.get(found, (
                "blob_shape", "w has the shape (K, D), and b has (K,)")))
            blob.data[...] = values
            blob.diff[...] = LEFT

    @property
    def rows(self) -> np.ndarray:
        """x as a matrix (N, D)."""
        return self.x.reshape(self.N, self.D)

    def y(self) -> np.ndarray:
        """The definition, number by number."""
        return np.array([[sum(self.rows[n, d] * self.w[k, d] for d in range(self.D)) + self.b[k]
                          for k in range(self.K)] for n in range(self.N)])

    def backward(self) -> np.ndarray:
        """Run the student's layer forward and backward; return dx."""
        self.run.forward()
        return self.run.backward(self.dy)


def _words(param: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in param.items())


def check_weights(my: Student, draw: Draw) -> None:
    """The layer makes w (K, D) and b (K,) in setup; both hold zeros."""
    K, N, D = draw.sizes(3)
    layer = Run(my, my.inner_product.InnerProductLayer(num_output=K), [np.ones((N, D))]).layer
    for blob in layer.blobs:
        compare("layer.blobs after setup, data", blob.data, np.zeros(blob.shape), [
            Mistake("not_zeros", np.ones(blob.shape), "weights are zeros until they are filled or loaded")])
    _Case(my, draw)
    _Case(my, draw, axes=4)
    _Case(my, draw, bias=False)


def check_forward(my: Student, draw: Draw) -> None:
    """Forward computes y = x · wᵀ + b."""
    case = _Case(my, draw)
    layer_checks.shapes_the_top(case.run, (case.N, case.K))
    product = case.rows @ case.w.T
    compare("layer.forward(bottom, top) → top[0].data", case.run.forward(), case.y(), [
        Mistake("no_bias", product, "the bias b is missing"),
        Mistake("bias_subtracted", product - case.b, "the bias is added"),
        Mistake("reshaped_not_transposed", case.rows @ case.w.reshape(case.D, case.K) + case.b, "a reshape to (D, K) "
                "keeps the numbers in their order. w.T exchanges rows and columns."),
        Mistake("added_to_top", 2 * product + 2 * case.b, "forward overwrites the data of the top"),
        Mistake("nothing_written", np.zeros_like(product), "the top still holds zeros: write into top[0].data[...]")])
    layer_checks.forward_writes_the_top_alone(case.run)


def check_dx(my: Student, draw: Draw) -> None:
    """Backward computes dx = dy · w, and overwrites the diff of the bottom."""
    case = _Case(my, draw)
    dx = np.array([[sum(case.dy[n, k] * case.w[k, d] for k in range(case.K)) for d in range(case.D)]
                   for n in range(case.N)])
    compare("layer.backward(top, [True], bottom) → bottom[0].diff", case.backward(), dx, [
        Mistake("data_for_diff", case.y() @ case.w, "that is y · w: take the diff of the top, not its data"),
        Mistake("dx_divided_by_n", dx / case.N, "the division by N is done in the loss, and nowhere else"),
        *layer_checks.known_of_dx(dx)])
    layer_checks.backward_writes_dx_alone(case.run, case.dy)


def check_dw_and_db(my: Student, draw: Draw) -> None:
    """Backward adds dyᵀ · x to the diff of w, and Σ dy[n] to the diff of b."""
    case = _Case(my, draw)
    case.backward()
    dw = np.array([[sum(case.dy[n, k] * case.x[n, d] for n in range(case.N)) for d in range(case.D)]
                   for k in range(case.K)])
    db = np.array([sum(case.dy[n, k] for n in range(case.N)) for k in range(case.K)])
    y = case.y()
    for name, blob, diff, other in (("w", case.blobs[0], dw, y.T @ case.x), ("b", case.blobs[1], db, y.sum(0))):
        compare(f"layer.backward(top, [True], bottom), {name}'s diff full of {LEFT} before → {name}'s diff", blob.diff,
                LEFT + diff, [
            Mistake(f"d{name}_overwritten", diff, "what was in the diff is gone. The gradient of a weight is the sum "
                    "over all its uses, so add to the diff."),
            Mistake("mean_over_the_batch", LEFT + diff / case.N, "a sum over n, not a mean: the loss has divided by N "
                    "already"),
            Mistake("mean_and_overwritten", diff / case.N, "a sum over n that is added to the diff, not a mean"),
            Mistake(f"d{name}_forgotten", np.full_like(diff, LEFT), f"the diff of {name} is as it was before"),
            Mistake("data_for_diff", LEFT + other, "take the diff of the top, not its data"),
            Mistake("sum_over_outputs", np.full_like(diff, LEFT + diff.sum()), "the sum runs over n alone"),
            Mistake("subtracted", LEFT - diff, "the gradient is added to the diff. The minus of the step down comes "
                    "with the solver.")])


def check_two_passes(my: Student, draw: Draw) -> None:
    """After two passes the diffs of the weights hold the sum of both gradients, in the same arrays."""
    case = _Case(my, draw)
    held = [blob.diff for blob in case.blobs]
    case.backward()
    once = [np.array(blob.diff) - LEFT for blob in case.blobs]
    case.backward()
    for name, blob, array, diff in zip("wb", case.blobs, held, once, strict=True):
        expect(blob.diff is array, f"layer.backward → {name}'s diff", "another array", "the same array, with new "
               "numbers",
               "diff_replaced", "the solver may hold the old array: add in place")
        compare(f"layer.backward(top, [True], bottom) twice → {name}'s diff", blob.diff, LEFT + 2 * diff, [
            Mistake("last_pass_alone", LEFT + diff, "that is the gradient of one pass")])


def check_propagate_down(my: Student, draw: Draw) -> None:
    """Where propagate_down[0] is False, dx is left alone, and w and b still get their gradients."""
    case = _Case(my, draw)
    layer_checks.obeys_propagate_down(case.run, case.dy)
    dw, db = case.dy.T @ case.x, case.dy.sum(0)
    for name, blob, diff in (("w", case.blobs[0], dw), ("b", case.blobs[1], db)):
        compare(f"layer.backward(top, [False], bottom) → {name}'s diff", blob.diff, LEFT + diff, [
            Mistake("weights_depend_on_propagate_down", np.full_like(diff, LEFT), "propagate_down speaks of the "
                    "bottoms. The first layer of a net has no diff to hand down, and must still learn.")])


def check_images(my: Student, draw: Draw) -> None:
    """A bottom (N, C, H, W) is seen as (N, D), and dx has its shape."""
    case = _Case(my, draw, axes=4)
    layer_checks.shapes_the_top(case.run, (case.N, case.K))
    compare(f"layer.forward(bottom, top) with x {case.x.shape} → top[0].data", case.run.forward(), case.y(), [
        Mistake("other_order_of_features", case.x.transpose(0, 2, 3, 1).reshape(case.N, -1) @ case.w.T + case.b,
                "the features of a sample stay in the order in which they lie in memory")])
    dx = (case.dy @ case.w).reshape(case.x.shape)
    compare("layer.backward(top, [True], bottom) → bottom[0].diff", case.backward(), dx)
    compare("layer.backward(top, [True], bottom) → w's diff", case.blobs[0].diff - LEFT, case.dy.T @ case.rows)


def check_without_bias(my: Student, draw: Draw) -> None:
    """With bias_term=False there is no b, forward or backward."""
    case = _Case(my, draw, bias=False)
    compare("layer.forward(bottom, top) without bias → top[0].data", case.run.forward(), case.y())
    compare("layer.backward(top, [True], bottom) without bias → bottom[0].diff", case.backward(), case.dy @ case.w)
    compare("layer.backward(top, [True], bottom) without bias → w's diff", case.blobs[0].diff,
            LEFT + case.dy.T @ case.x)


def check_another_batch(my: Student, draw: Draw) -> None:
    """The same weights serve a batch of another size."""
    case = _Case(my, draw)
    x = draw.numbers(case.N + 7, case.D)
    layer_checks.follows_another_batch(case.run, [x], x @ case.w.T + case.b)


def check_by_your_own_difference_quotient(my: Student, draw: Draw) -> None:
    """Your own check_gradient finds the layer right."""
    run = _Case(my, draw, axes=3).run
    error = float(my.gradient.check_gradient(run.layer, run.bottom, run.top))
    expect(error < 1e-6, "check_gradient(InnerProductLayer(…), bottom, top)", f"{error:.3g}", "less than 1e-06",
           "own_check_fails", "the numbers above are right, so look at check_gradient: is step 3 passed?")
