"""The checks of step 17: an RNN forward and backward through time, and from one batch to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw
from minicaffe.course.steps.s17_rnn import recurrent
from minicaffe.course.steps.s17_rnn.recurrent import Case, Kind
from minicaffe.course.student import Student
from minicaffe.layers.recurrent.rnn import RNNLayer

Arrays = Sequence[np.ndarray]

FORWARD = {
    "no_feedback": "the state of the step before has no part in it. Is w_h (δ_t · h_{t−1}) missing, or does each step "
                   "read the state from which the batch began?",
    "always_the_first_state": "each step reads h_0. It must read what the step before has made.",
    "output_fed_back": "what is fed back is y. It must be the state h, from which y is made.",
    "indicator_ignored": "where δ is 0, a new sequence begins, and the state before it does not count",
    "indicator_inverted": "δ is 1 where a sequence goes on, and 0 where one begins; not the other way round",
    "indicator_on_the_input": "δ belongs to the state of the step before alone: the input counts in every step",
    "indicator_of_the_step_before": "the state is multiplied by δ_t of the step that reads it",
    "wh_transposed": "w_h has the wrong side: w_h h of a column is h · w_hᵀ of a row. It is square, so no shape tells.",
    "wo_transposed": "w_o has the wrong side: w_o h of a column is h · w_oᵀ of a row. It is square, so no shape tells.",
    "state_for_output": "that is h. The top gets y, one more matrix and one more tanh.",
    "no_tanh_of_output": "the tanh of y is missing",
    "no_tanh_of_state": "the tanh of h is missing",
    "no_bias": "the bias b is missing",
    "no_output_bias": "the bias b_o is missing",
}
BACKWARD = {
    "not_through_time": "h_t enters the step after it as well, so dh_t has the summand δ_{t+1} · w_hᵀ dz_{t+1}",
    "time_alone": "h_t enters y_t as well, so dh_t has the summand w_oᵀ do_t",
    "from_first_to_last": "dz_t needs dz of the step after it: run the steps from the last to the first",
    "no_indicator_backward": "where a sequence begins, nothing flows back into the step before: dz_{t+1} counts with "
                             "δ_{t+1}",
    "indicator_of_this_step": "what comes back from step t + 1 counts with the δ of step t + 1, not of step t",
    "slope_of_sigmoid": "the slope of tanh is 1 − h². That of σ would be h (1 − h).",
    "no_slope_of_state": "dz_t is dh_t times the slope of tanh, 1 − h_t²",
    "no_slope_of_output": "do_t is dy_t times the slope of tanh, 1 − y_t²",
    "slope_at_the_state": "the slope of the tanh of y is 1 − y²; you have taken h",
    "slope_at_the_output": "the slope of the tanh of h is 1 − h²; you have taken y",
    "wh_not_transposed": "dz_{t+1} comes back through w_hᵀ: with rows, dz · w_h",
    "wo_not_transposed": "do_t comes back through w_oᵀ: with rows, do · w_o",
    "state_of_this_step": "in step t, w_h was multiplied by the state of the step before, δ_t · h_{t−1}, not by h_t",
    "no_indicator_in_dwh": "w_h was multiplied by δ_t · h_{t−1}: where a sequence begins, by 0",
    "first_state_forgotten": "in the first step, w_h was multiplied by the state that the batch before has left",
    "last_state_for_first": "in the first step, w_h was multiplied by h_0. You have the last state there: was the "
                            "array of the state kept, and overwritten at the end of forward?",
    "dwh_transposed": "dw_h has a row for each number of dz, and a column for each of h: dzᵀ · h with rows",
    "dwo_transposed": "dw_o has a row for each number of do, and a column for each of h: doᵀ · h with rows",
    "output_in_dwo": "w_o was multiplied by h_t, not by y_t",
    "state_diff_for_dz": "w_x, w_h and b stand inside the tanh: their gradients have dz, not dh",
    "last_step_alone": "the weights were used in each step: add up over t",
    "first_step_alone": "the weights were used in each step: add up over t; you have the share of the first alone",
}


def _forward(x: np.ndarray, cont: np.ndarray, states: Arrays, weights: Arrays,
             slip: str) -> tuple[np.ndarray, Arrays]:
    h, y = _steps(x, cont, states[0], weights, slip)
    return np.array(y), [h[-1]]


def _steps(x: np.ndarray, cont: np.ndarray, h_0: np.ndarray, weights: Arrays,
           slip: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the states after each step, and the outputs, of one stream."""
    w_x, b, w_h, w_o, b_o = weights
    b, b_o = b * (slip != "no_bias"), b_o * (slip != "no_output_bias")
    w_h = {"wh_transposed": w_h.T, "no_feedback": 0 * w_h}.get(slip, w_h)
    w_o = w_o.T if slip == "wo_transposed" else w_o
    h, y = h_0, h_0
    hs, ys = [], []
    for t in range(len(x)):
        delta = {"indicator_ignored": 1.0, "indicator_inverted": 1 - cont[t], "indicator_of_the_step_before":
                 cont[t - 1] if t else 1.0}.get(slip, cont[t])
        before = {"output_fed_back": y, "always_the_first_state": h_0}.get(slip, h)
        z = w_x @ x[t] + b + w_h @ (delta * before)
        if slip == "indicator_on_the_input":
            z = delta * (w_x @ x[t] + w_h @ before) + b
        h = z if slip == "no_tanh_of_state" else np.tanh(z)
        o = w_o @ h + b_o
        y = o if slip == "no_tanh_of_output" else h if slip == "state_for_output" else np.tanh(o)
        hs.append(h)
        ys.append(y)
    return hs, ys


def _backward(x: np.ndarray, cont: np.ndarray, states: Arrays, weights: Arrays, dy: np.ndarray, slip: str) -> Arrays:
    h, y = _steps(x, cont, states[0], weights, "")
    w_x, _, w_h, w_o, _ = weights
    dx, (dw_x, db, dw_h, dw_o, db_o) = np.zeros(x.shape), [np.zeros(w.shape) for w in weights]
    back_h = w_h if slip == "wh_not_transposed" else w_h.T
    back_o = w_o if slip == "wo_not_transposed" else w_o.T
    from_later = np.zeros(len(w_h))
    T = len(x)
    first = 0 * h[0] if slip == "first_state_forgotten" else states[0]
    for t in range(T) if slip == "from_first_to_last" else reversed(range(T)):
        slope = {"no_slope_of_output": 1 + 0 * y[t], "slope_at_the_state": 1 - h[t] ** 2}.get(slip, 1 - y[t] ** 2)
        do = dy[t] * slope
        later = cont[t + 1] if t + 1 < T else 0.0
        delta = {"no_indicator_backward": 1.0, "indicator_of_this_step": cont[t], "not_through_time": 0.0}.get(
            slip, later)
        dh = (slip != "time_alone") * back_o @ do + delta * (back_h @ from_later)
        slope = {"slope_of_sigmoid": h[t] * (1 - h[t]), "no_slope_of_state": 1 + 0 * h[t],
                 "slope_at_the_output": 1 - y[t] ** 2}.get(slip, 1 - h[t] ** 2)
        dz = from_later = dh * slope
        fed_back = cont[t] * (h[t - 1] if t else first)
        if slip == "no_indicator_in_dwh":
            fed_back = h[t - 1] if t else first
        if slip == "last_state_for_first" and t == 0:
            fed_back = h[-1]
        dx[t] = w_x.T @ dz
        if (slip == "last_step_alone" and t < T - 1) or (slip == "first_step_alone" and t):
            continue
        inside = dh if slip == "state_diff_for_dz" else dz
        dw_x += np.outer(inside, x[t])
        db += inside
        dw_h += np.outer(inside, h[t] if slip == "state_of_this_step" else fed_back)
        dw_o += np.outer(do, y[t] if slip == "output_in_dwo" else h[t])
        db_o += do
    return [dx, dw_x, db, dw_h.T if slip == "dwh_transposed" else dw_h, dw_o.T if slip == "dwo_transposed" else dw_o,
            db_o]


def _kept(y: np.ndarray, states: Arrays) -> list[tuple[str, Arrays, str]]:
    return [("output_kept_as_state", [y[-1]], "the next batch goes on from the state h, not from the output y")]


KIND = Kind(RNNLayer, 1, 1, ("w_x", "b", "w_h", "w_o", "b_o"), lambda D: [(D, D), (D,)], _forward, _backward, FORWARD,
            BACKWARD, _kept)


def _case(my: Student, draw: Draw, begin: float = 0.0, steps: int = 6) -> Case:
    return Case(my, draw, KIND, lambda D: my.rnn.RNNLayer(num_output=D), begin, steps)


def check_weights(my: Student, draw: Draw) -> None:
    """The layer makes w_x, b, w_h, w_o and b_o in setup, zeros of their shapes."""
    _case(my, draw)


def check_first_step(my: Student, draw: Draw) -> None:
    """One step at the beginning of a sequence: h is tanh(w_x x + b), and y is tanh(w_o h + b_o)."""
    recurrent.check_first_step(_case(my, draw))


def check_steps(my: Student, draw: Draw) -> None:
    """Each step reads the state of the step before, but where a sequence begins."""
    recurrent.check_steps(_case(my, draw))


def check_next_batch(my: Student, draw: Draw) -> None:
    """A batch goes on with the state that the batch before has left, where δ says so."""
    recurrent.check_next_batch(_case(my, draw), draw)


def check_other_streams(my: Student, draw: Draw) -> None:
    """A batch with another number of streams begins with a state of zeros, and T may be another one too."""
    recurrent.check_other_streams(_case(my, draw), draw)


def check_forward_alone(my: Student, draw: Draw) -> None:
    """Forward writes the data of the top, in its array, and changes nothing else."""
    layer_checks.forward_writes_the_top_alone(_case(my, draw).run)


def check_backward(my: Student, draw: Draw) -> None:
    """Backward gives x and each weight the gradient that minicaffe's own layer gives."""
    case = _case(my, draw)
    case.run.forward()
    case.check_diffs("layer.backward(top, [True, False], bottom)", case.zeros(), case.run.backward(case.dy))


def check_backward_of_the_next_batch(my: Student, draw: Draw) -> None:
    """Backward of a batch that goes on with another one counts the state that was left."""
    recurrent.check_next_batch_backward(_case(my, draw), draw)


def check_backward_alone(my: Student, draw: Draw) -> None:
    """Backward writes the diff of x, in its array; it only reads data and the diff of the top."""
    case = _case(my, draw)
    layer_checks.backward_writes_dx_alone(case.run, case.dy)


def check_propagate_down(my: Student, draw: Draw) -> None:
    """Where propagate_down[0] is False, dx is left alone, and the weights still get their gradients, in place."""
    case = _case(my, draw)
    layer_checks.obeys_propagate_down(case.run, case.dy)
    recurrent.check_two_passes(_case(my, draw))


def check_like_minicaffe(my: Student, draw: Draw) -> None:
    """Two batches give the numbers of minicaffe's own layer, forward and backward."""
    recurrent.check_like_minicaffe(_case(my, draw, begin=1.0), draw)


def check_by_your_own_difference_quotient(my: Student, draw: Draw) -> None:
    """Your own check_gradient finds the layer right."""
    recurrent.check_own(my, _case(my, draw, steps=3))
