"""The checks of step 7: Split sums what comes back, Eltwise hands out what it gets, and both make a residual block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw, Mistake, compare, expect, slopes
from minicaffe.course.layer_checks import GARBAGE, Run
from minicaffe.course.student import Student

P, S, B = 3.0, 0.8, 0.3  # of the Power layer in a residual block


# --- Split --------------------------------------------------------------------------------------------------------


TWO_ALONE = "that is the sum of two tops, and there may be more"


def _split(my: Student, draw: Draw, tops: int) -> tuple[Run, np.ndarray, list[np.ndarray]]:
    """Return a Split with this many tops, x, and a dy for each top."""
    x = draw.numbers(*draw.sizes(3))
    return Run(my, my.split.SplitLayer(), [x], tops), x, [draw.numbers(*x.shape) for _ in range(tops)]


def _split_backward(run: Run, dys: Sequence[np.ndarray]) -> np.ndarray:
    """Run the student's layer backward from these diffs of the tops, and see that they stay; return a copy of dx."""
    run.forward()
    for blob, dy in zip(run.top, dys, strict=True):
        blob.diff[...] = dy
    run.bottom[0].diff[...] = GARBAGE
    run.layer.backward(run.top, [True], run.bottom)
    for i, (blob, dy) in enumerate(zip(run.top, dys, strict=True)):
        compare(f"SplitLayer: layer.backward(top, [True], bottom) → top[{i}].diff", blob.diff, dy, [Mistake(
            "backward_changes_inputs", np.array(blob.diff), "backward only reads this. `dx = top[0].diff` gives the "
                                                            "array a second name, and dx += … changes it.")])
    return np.array(run.bottom[0].diff)


def check_split_forward(my: Student, draw: Draw) -> None:
    """Split gives each of its tops the shape and the numbers of x, in an array of its own."""
    for tops in (2, 4, 1):
        run, x, _ = _split(my, draw, tops)
        run.layer.reshape(run.bottom, run.top)
        for i, blob in enumerate(run.top):
            expect(blob.shape == x.shape, f"SplitLayer with {tops} tops: layer.reshape(bottom, top) → top[{i}].shape",
                   blob.shape, x.shape, "not_all_tops_shaped", "every top has the shape of the bottom")
        layer_checks.forward_writes_the_top_alone(run)
        run.forward()
        for i, blob in enumerate(run.top):
            compare(f"SplitLayer with {tops} tops: layer.forward(bottom, top) → top[{i}].data", blob.data, x, [
                Mistake("not_all_tops_written", 0 * x, "this top still holds zeros: write x into each top"),
                Mistake("divided_among_tops", x / tops, "each top is x itself: nothing is divided")])
            expect(not np.shares_memory(blob.data, run.bottom[0].data), "SplitLayer: layer.forward(bottom, top) → "
                   f"top[{i}].data", "the array of the bottom", "an array of its own, with the same numbers",
                   "tops_share_memory", "a reader may work in place, and would change x for all others: copy the "
                   "numbers into the array of the top")


def check_split_backward(my: Student, draw: Draw) -> None:
    """Split sums the diffs of all its tops, and overwrites the diff of the bottom."""
    for tops in (3, 4, 1):
        run, x, dys = _split(my, draw, tops)
        dx = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            dx[place] = sum(float(dy[place]) for dy in dys)
        compare(f"SplitLayer with {tops} tops: layer.backward(top, [True], bottom) → bottom[0].diff",
                _split_backward(run, dys), dx, [
            Mistake("last_reader_wins", dys[-1], "that is the diff of the last top: each one has overwritten those "
                    "before. Add them up first."),
            Mistake("first_top_alone", dys[0], "that is the diff of the first top: all ways from x to the loss count"),
            Mistake("two_tops_alone", sum(dys[:2]), TWO_ALONE),
            Mistake("two_tops_alone", dys[0] + dys[-1], TWO_ALONE),
            Mistake("sum_over_numbers", np.full_like(dx, dx.sum()), "each number of x has a sum of its own: add the "
                    "arrays, and not the numbers in them"),
            Mistake("mean_of_tops", dx / tops, "a sum, not a mean: where x moves, every copy of it moves"),
            Mistake("data_for_diff", tops * x, "that is the sum of the tops' data: take their diffs"),
            Mistake("product", np.prod(dys, axis=0), "a sum, not a product: the ways lie side by side"),
            *layer_checks.known_of_dx(dx)])


def check_split_rules(my: Student, draw: Draw) -> None:
    """Split writes into the arrays that are there, heeds propagate_down, and follows another batch."""
    run, x, dys = _split(my, draw, 2)
    layer_checks.backward_writes_dx_alone(run, dys[0])
    layer_checks.obeys_propagate_down(run, dys[0])
    x = draw.numbers(x.shape[0] + 7, *x.shape[1:])
    layer_checks.follows_another_batch(run, [x], x)
    dys = [draw.numbers(*x.shape) for _ in run.top]
    compare("SplitLayer: layer.backward(top, [True], bottom) after it → bottom[0].diff", _split_backward(run, dys),
            sum(dys))


# --- Eltwise ------------------------------------------------------------------------------------------------------


def _eltwise(my: Student, draw: Draw, bottoms: int, coeff: bool) -> tuple[Run, list[np.ndarray], list[float]]:
    """Return an Eltwise with this many bottoms, their values x, and c."""
    shape = draw.sizes(2)
    xs = [draw.numbers(*shape) for _ in range(bottoms)]
    c = [float(n) / 4 for n in draw.sizes(bottoms, 5, 12)] if coeff else [1.0] * bottoms
    c[-1] *= -1 if coeff else 1
    return Run(my, my.eltwise.EltwiseLayer(**({"coeff": c} if coeff else {})), xs), xs, c


def check_eltwise_forward(my: Student, draw: Draw) -> None:
    """Eltwise computes y = Σ c[i] · x[i] over all bottoms."""
    for bottoms, coeff in ((2, False), (3, True), (4, False)):
        run, xs, c = _eltwise(my, draw, bottoms, coeff)
        layer_checks.shapes_the_top(run, xs[0].shape)
        layer_checks.forward_writes_the_top_alone(run)
        y = np.zeros_like(xs[0])
        for place in np.ndindex(y.shape):
            y[place] = sum(c[i] * float(xs[i][place]) for i in range(bottoms))
        compare(f"EltwiseLayer({f'coeff={c}' if coeff else ''}) with {bottoms} bottoms: layer.forward(bottom, top) → "
                "top[0].data", run.forward(), y, [
            Mistake("coeff_ignored", sum(xs), "each bottom is multiplied by its number c[i], which param may give as "
                    "coeff"),
            Mistake("two_bottoms_alone", sum(c * x for c, x in list(zip(c, xs, strict=True))[:2]), "that is the sum "
                    "of two bottoms, and there may be more"),
            Mistake("product", np.prod(xs, axis=0), "a sum, not a product"),
            Mistake("added_to_top", 2 * y, "forward overwrites the data of the top, which holds the numbers of the "
                    "pass before"),
            Mistake("mean_of_bottoms", y / bottoms, "a sum, not a mean"),
            Mistake("last_bottom_alone", c[-1] * xs[-1], "each bottom has overwritten those before: add them up"),
            Mistake("nothing_written", 0 * y, "the top still holds zeros: write into top[0].data[...]")])


def check_eltwise_backward(my: Student, draw: Draw) -> None:
    """Eltwise gives each bottom dx[i] = c[i] · dy."""
    for bottoms, coeff in ((2, False), (3, True)):
        run, xs, c = _eltwise(my, draw, bottoms, coeff)
        dy = draw.numbers(*xs[0].shape)
        layer_checks.backward_writes_dx_alone(run, dy)
        run.backward(dy)
        for i, blob in enumerate(run.bottom):
            others = np.prod([x for j, x in enumerate(xs) if j != i], axis=0)
            compare(f"EltwiseLayer({f'coeff={c}' if coeff else ''}) with {bottoms} bottoms: layer.backward(top, "
                    f"[True, …], bottom) → bottom[{i}].diff", blob.diff, c[i] * dy, [
                Mistake("coeff_not_in_slope", dy, "y contains c[i] · x[i], so its slope at x[i] is c[i]"),
                Mistake("divided_among_bottoms", c[i] * dy / bottoms, "each bottom gets the whole of dy: nothing is "
                        "divided"),
                Mistake("data_for_diff", c[i] * run.top[0].data, "that is c[i] · y: take the diff of the top, not its "
                        "data"),
                Mistake("slope_of_a_product", dy * others, "that is the slope of a product"),
                Mistake("times_x", c[i] * dy * xs[i], "x[i] has no part in the slope of a sum"),
                *layer_checks.known_of_dx(c[i] * dy)])


def check_eltwise_propagate_down(my: Student, draw: Draw) -> None:
    """Each flag of propagate_down decides about its own bottom."""
    for flags in ([True, False], [False, True], [False, False]):
        run, xs, _ = _eltwise(my, draw, 2, False)
        dy = draw.numbers(*xs[0].shape)
        run.forward()
        run.backward(dy, flags)
        for i, (blob, asked) in enumerate(zip(run.bottom, flags, strict=True)):
            called = f"EltwiseLayer: layer.backward(top, {flags}, bottom) → bottom[{i}].diff"
            if asked:
                compare(called, blob.diff, dy, [Mistake("first_flag_for_all", np.full_like(dy, GARBAGE),
                        f"propagate_down[{i}] is True, so this bottom needs its diff, whatever the other flag is")])
            else:
                compare(called, blob.diff, np.full_like(dy, GARBAGE), [Mistake("propagate_down_ignored", dy,
                        f"propagate_down[{i}] is False: leave this diff as it is")])


# --- the residual block -------------------------------------------------------------------------------------------


def _block(my: Student, draw: Draw) -> tuple[Run, np.ndarray]:
    """Return a block around a Power layer, and x."""
    x = draw.numbers(*draw.sizes(3))
    layer = my.power.PowerLayer(power=P, scale=S, shift=B)
    return Run(my, my.residual.ResidualLayer(layer=layer), [x]), x


def _learning_block(my: Student, draw: Draw) -> tuple[Run, np.ndarray, np.ndarray]:
    """Return a block around an InnerProduct with random weights, x, and w."""
    N, D = draw.sizes(2)
    x, w = draw.numbers(N, D), draw.numbers(D, D)
    run = Run(my, my.residual.ResidualLayer(layer=my.inner_product.InnerProductLayer(num_output=D)), [x])
    blobs = run.layer.param["layer"].blobs
    expect(len(blobs) == 2, "ResidualLayer(layer=InnerProductLayer(…)).setup(bottom, top)", "the InnerProduct has "
           "no weights", "setup of the InnerProduct has run", "inner_setup", "the setup of the block sets up the "
           "layers inside")
    compare("ResidualLayer(layer=InnerProductLayer(…)).setup(bottom, top) → shape of the InnerProduct's w",
            blobs[0].data.shape, w.shape, [Mistake(
                "shape_not_known_in_setup", (D, 1), "when setup of the InnerProduct ran, its bottom had no shape yet: "
                "set up and reshape one layer before you set up the next one")])
    blobs[0].data[...] = w
    return run, x, w


def check_block_forward(my: Student, draw: Draw) -> None:
    """The block computes y = x + f(x)."""
    run, x = _block(my, draw)
    layer_checks.shapes_the_top(run, x.shape)
    layer_checks.forward_writes_the_top_alone(run)
    f = np.array([(S * v + B) ** P for v in x.flat]).reshape(x.shape)
    compare(f"ResidualLayer(layer=f): layer.forward(bottom, top) with f = ({S} x + {B})^{P} → top[0].data",
            run.forward(), x + f, [
        Mistake("no_shortcut_forward", f, "that is f(x): x itself is missing"),
        Mistake("shortcut_alone", x, "that is x: f(x) is missing"),
        Mistake("shortcut_behind_f", 2 * f, "both bottoms of Eltwise come from f; one must be a top of the Split"),
        Mistake("f_has_not_run", 2 * x, "both bottoms of Eltwise are x; one must be the top of f"),
        Mistake("forward_in_backward_order", x + B ** P, "Eltwise has read blobs that were not written yet: forward "
                "begins with the Split"),
        Mistake("subtracted", x - f, "f(x) is added")])


def check_block_backward(my: Student, draw: Draw) -> None:
    """What comes back along the shortcut and what comes back through f are added."""
    run, x = _block(my, draw)
    dy = draw.numbers(*x.shape)
    run.forward()
    dx = slopes(lambda moved: float(sum(d * (v + (S * v + B) ** P)
                                        for d, v in zip(dy.flat, moved.flat, strict=True))), x)
    got, through = run.backward(dy), dx - dy
    compare("ResidualLayer(layer=f): layer.backward(top, [True], bottom) → bottom[0].diff", got, dx, [
        Mistake("shortcut_lost", through, "that came back through f alone. The shortcut hands back dy, and Split adds "
                "both."),
        Mistake("layer_lost", dy, "that came back along the shortcut alone: has f run backward, and before the Split?"),
        Mistake("backward_in_forward_order", 0 * dx, "the diffs that Split reads were not there yet: backward begins "
                "with the last layer"),
        Mistake("shortcut_twice", 2 * dy, "that is the shortcut, twice: run f backward, too"),
        *layer_checks.known_of_dx(dx)], tolerance=1e-6)
    layer_checks.backward_writes_dx_alone(run, dy)
    second = -2 * dy
    compare("… and backward once more, from −2 · dy → bottom[0].diff", run.backward(second), -2 * dx, [
        Mistake("stale_diff", got, "that belongs to the dy of the pass before")], tolerance=1e-6)


def check_block_with_weights(my: Student, draw: Draw) -> None:
    """The blobs of the block are those of f, and f learns even where nobody needs dx."""
    run, x, w = _learning_block(my, draw)
    inner = run.layer.param["layer"].blobs
    called = "ResidualLayer(layer=InnerProductLayer(…)).setup(bottom, top) → layer.blobs"
    expect(len(run.layer.blobs) > 0, called, "an empty list", "the blobs w and b of f", "weights_not_found",
           "the solver asks the block for its weights, and knows nothing of what is inside: let self.blobs be the "
           "blobs of f, which are there once f is set up")
    expect(list(run.layer.blobs) == list(inner), called, "other blobs", "the blobs w and b of f", "other_weights",
           "the solver must change the blobs that f reads")
    dy = draw.numbers(*x.shape)
    compare("ResidualLayer(layer=InnerProductLayer(…)): layer.forward(bottom, top) → top[0].data", run.forward(),
            x + x @ w.T)
    layer_checks.obeys_propagate_down(run, dy)
    compare("ResidualLayer(layer=InnerProductLayer(…)): layer.backward(top, [False], bottom) → diff of w",
            inner[0].diff, dy.T @ x, [
        Mistake("weights_depend_on_propagate_down", 0 * w, "propagate_down speaks of the bottom of the block. f has "
                "weights to learn whether or not somebody needs dx.")])


def check_block_with_another_batch(my: Student, draw: Draw) -> None:
    """The block follows another batch, forward and backward."""
    run, x, w = _learning_block(my, draw)
    x = draw.numbers(x.shape[0] + 7, x.shape[1])
    layer_checks.follows_another_batch(run, [x], x + x @ w.T)
    dy = draw.numbers(*x.shape)
    compare("ResidualLayer: layer.backward(top, [True], bottom) after it → bottom[0].diff", run.backward(dy),
            dy + dy @ w)


def check_by_your_own_difference_quotient(my: Student, draw: Draw) -> None:
    """Your own check_gradient finds all three layers right."""
    runs = {"SplitLayer": _split(my, draw, 3)[0], "EltwiseLayer": _eltwise(my, draw, 3, True)[0],
            "ResidualLayer": _learning_block(my, draw)[0]}
    for name, run in runs.items():
        error = float(my.gradient.check_gradient(run.layer, run.bottom, run.top))
        expect(error < 1e-6, f"check_gradient({name}(…), bottom, top)", f"{error:.3g}", "less than 1e-06",
               "own_check_fails", "the numbers above are right, so look at check_gradient: is step 3 passed?")
