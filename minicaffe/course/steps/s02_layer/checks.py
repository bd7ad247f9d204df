"""The checks of step 2: Power forward and backward, and the rules that hold for every layer."""

from __future__ import annotations

import numpy as np

from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw, Mistake, compare, expect, slopes
from minicaffe.course.layer_checks import Run
from minicaffe.course.student import Student

P, S, B = 3.0, 1.5, 0.7


def _run(my: Student, draw: Draw) -> tuple[Run, np.ndarray, np.ndarray]:
    """Return a layer with p, s, b on random numbers x, and random diffs dy."""
    x = draw.numbers(*draw.sizes(3))
    return Run(my, my.power.PowerLayer(power=P, scale=S, shift=B), [x]), x, draw.numbers(*x.shape)


def check_parameters(my: Student, draw: Draw) -> None:
    """The parameters are read from self.param; without them p and s are 1, and b is 0."""
    for param, expected in (({}, (1, 1, 0)), ({"power": P, "shift": B}, (P, 1, B)), ({"scale": S}, (1, S, 0))):
        layer = Run(my, my.power.PowerLayer(**param), [draw.numbers(2, 3)]).layer
        got, words = (layer.p, layer.s, layer.b), ", ".join(f"{name}={value}" for name, value in param.items())
        expect(got == expected, f"PowerLayer({words}).setup(bottom, top) → (p, s, b)", got, expected, "parameters",
               "power is p, scale is s, shift is b. The defaults make the layer hand on x as it is: 1, 1 and 0.")


def check_reshape(my: Student, draw: Draw) -> None:
    """The top gets the shape of the bottom."""
    run, x, _ = _run(my, draw)
    layer_checks.shapes_the_top(run, x.shape)


def check_forward(my: Student, draw: Draw) -> None:
    """Forward computes y = (s · x + b)^p."""
    run, x, _ = _run(my, draw)
    y = np.array([(S * v + B) ** P for v in x.flat]).reshape(x.shape)
    compare(f"layer.forward(bottom, top) with p = {P}, s = {S}, b = {B} → top[0].data", run.forward(), y, [
        Mistake("shift_before_scale", (S * (x + B)) ** P, "t is s · x + b: scale first, then shift"),
        Mistake("shift_before_scale", S * (x + B) ** P, "the power is taken last, and t is s · x + b: write the "
                "parentheses, ** binds closer than *"),
        Mistake("power_first", S * x ** P + B, "the power is taken last, of s · x + b"),
        Mistake("power_of_x_scaled", (S * x) ** P + B, "the shift is inside the power: (s · x + b)^p"),
        Mistake("no_power", S * x + B, "that is t. y is t to the power p."),
        Mistake("no_shift", (S * x) ** P, "the shift b is missing"),
        Mistake("no_scale", (x + B) ** P, "the scale s is missing"),
        Mistake("power_multiplied", P * (S * x + B), "t^p is t to the power p, in Python t ** p; you have p · t"),
        Mistake("nothing_written", np.zeros_like(x), "the top still holds zeros. `y = …` makes a local name: write "
                "into top[0].data[...].")])


def check_forward_alone(my: Student, draw: Draw) -> None:
    """Forward writes the data of the top, in its array, and changes nothing else."""
    layer_checks.forward_writes_the_top_alone(_run(my, draw)[0])


def check_backward(my: Student, draw: Draw) -> None:
    """Backward computes dx = dy · p · t^(p − 1) · s, which is the difference quotient of Σ dy · y."""
    run, x, dy = _run(my, draw)
    run.forward()
    t = S * x + B
    dx = slopes(lambda moved: float(sum(d * (S * v + B) ** P for d, v in zip(dy.flat, moved.flat, strict=True))), x)
    compare(f"layer.backward(top, [True], bottom) with p = {P}, s = {S}, b = {B} → "
            "bottom[0].diff", run.backward(dy), dx, [
        Mistake("no_scale_in_slope", dy * P * t ** (P - 1), "the slope of t = s · x + b is s: a factor is missing"),
        Mistake("no_power_in_slope", dy * t ** (P - 1) * S, "the slope of t^p is p · t^(p − 1): the factor p is "
                "missing"),
        Mistake("exponent_kept", dy * P * t ** P * S, "the slope of t^p is p · t^(p − 1): the exponent goes down by 1"),
        Mistake("no_dy", P * t ** (P - 1) * S, "that is ∂y/∂x. Multiply it by dy, the diff of the top."),
        Mistake("x_for_t", dy * P * x ** (P - 1) * S, "the slope of t^p is taken at t, not at x"),
        Mistake("forward_again", dy * t ** P, "that is dy · y. Multiply dy by the slope of y, not by y itself."),
        Mistake("dy_alone", dy, "that is dy. It must be multiplied by the slope of y at x."),
        Mistake("data_for_diff", t ** P * P * t ** (P - 1) * S, "you have taken the data of the top for its diff"),
        *layer_checks.known_of_dx(dx)],
        tolerance=1e-6)


def check_backward_alone(my: Student, draw: Draw) -> None:
    """Backward writes the diff of the bottom, in its array; it only reads data and the diff of the top."""
    run, _, dy = _run(my, draw)
    layer_checks.backward_writes_dx_alone(run, dy)


def check_propagate_down(my: Student, draw: Draw) -> None:
    """Where propagate_down[0] is False, backward leaves the diff of the bottom alone."""
    run, _, dy = _run(my, draw)
    layer_checks.obeys_propagate_down(run, dy)


def check_another_batch(my: Student, draw: Draw) -> None:
    """The same layer works on a batch of another shape, also backward."""
    run, _, _ = _run(my, draw)
    x = draw.numbers(*draw.sizes(2))
    layer_checks.follows_another_batch(run, [x], (S * x + B) ** P)
    dy = draw.numbers(*x.shape)
    compare("layer.backward(top, [True], bottom) after it → bottom[0].diff", run.backward(dy),
            dy * P * (S * x + B) ** (P - 1) * S)


def check_power_of_zero(my: Student, draw: Draw) -> None:
    """Where t is 0, the slope of t² is 0, and not a number divided by 0."""
    run = Run(my, my.power.PowerLayer(power=2.0, scale=S, shift=3.0), [[-2.0, 1.0]])
    run.forward()
    dx = run.backward([1.0, 1.0])
    compare("layer.backward(top, [True], bottom) with p = 2, s = 1.5, b = 3, x = [−2, 1] → bottom[0].diff", dx,
            [0.0, 13.5], [
                Mistake("y_over_t", [np.nan, 13.5], "0 / 0 is no number: compute t^(p − 1), not y / t, which Caffe "
                        "does")])
