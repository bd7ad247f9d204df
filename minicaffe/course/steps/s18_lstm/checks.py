"""The checks of step 18: an LSTM forward and backward through time, and from one batch to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minicaffe.course import layer_checks
from minicaffe.course.checking import Draw
from minicaffe.course.steps.s17_rnn import recurrent
from minicaffe.course.steps.s17_rnn.recurrent import Case, Kind
from minicaffe.course.student import Student
from minicaffe.layers.recurrent.lstm import LSTMLayer

Arrays = Sequence[np.ndarray]

FORWARD = {
    "other_order_of_gates": "the rows of z are i, f, o, g, in this order. Others have i, f, g, o.",
    "gates_interleaved": "the first D of the 4D numbers of z belong to i, the next D to f. You have taken each fourth.",
    "sigmoid_for_tanh": "g is what may be written, with a sign: tanh, not σ",
    "gates_swapped": "f is multiplied by the old cell, and i by g",
    "no_input_gate": "g is multiplied by the gate i before it is added to the cell",
    "no_output_gate": "h is tanh(c) times the gate o",
    "no_tanh_of_cell": "h is o times tanh(c), not times c",
    "cell_for_output": "that is the cell. The top gets h = o · tanh(c).",
    "no_forget_gate": "the old cell is multiplied by the gate f",
    "cell_forgotten": "the cell of the step before has no part in the new one: f · c_{t−1} is missing",
    "no_feedback": "the state of the step before has no part in z. Is w_h (δ_t · h_{t−1}) missing, or does each step "
                   "read the state from which the batch began?",
    "cell_fed_back": "w_h is multiplied by the state h, not by the cell",
    "indicator_ignored": "where δ is 0, a new sequence begins: neither h nor c of the step before counts",
    "cell_not_cut": "where δ is 0, the old cell does not count either: f is δ_t · σ(z_f)",
    "state_not_cut": "where δ is 0, the old h does not count either: w_h is multiplied by δ_t · h_{t−1}",
    "indicator_inverted": "δ is 1 where a sequence goes on, and 0 where one begins; not the other way round",
    "no_bias": "the bias b is missing",
}
BACKWARD = {
    "not_through_time": "step t + 1 has read h_t and c_t, so both get a share from there",
    "not_through_the_state": "step t + 1 has read h_t, so dh_t has the summand δ_{t+1} · w_hᵀ dz_{t+1}",
    "not_through_the_cell": "step t + 1 has read c_t, so dc_t has the summand dc_{t+1} · f_{t+1}",
    "from_first_to_last": "each step needs the diffs of the step after it: run the steps from the last to the first",
    "no_indicator_backward": "where a sequence begins, nothing flows back into the state before: dz_{t+1} counts with "
                             "δ_{t+1}",
    "indicator_of_this_step": "what comes back from step t + 1 counts with the δ of step t + 1, not of step t",
    "no_forget_gate_backward": "the cell was multiplied by f_{t+1}, so its diff is too",
    "forget_gate_of_this_step": "dc_{t+1} comes back through the gate f of step t + 1, not of step t",
    "cell_without_output": "c_t enters h_t, so dc_t has the summand dh_t · o · (1 − tanh² c_t)",
    "no_slope_of_cell": "h is o · tanh(c): on the way to c stands the slope of tanh, 1 − tanh² c",
    "slope_at_the_cell": "the slope of tanh at c is 1 − tanh² c; 1 − c² has forgotten the tanh",
    "no_output_gate_backward": "h is o · tanh(c): on the way to c stands the factor o",
    "cell_for_tanh_of_cell": "o was multiplied by tanh(c), not by c: so is dz_o",
    "cell_of_this_step": "f was multiplied by the cell of the step before, so dz_f has c_{t−1}, not c_t",
    "first_cell_forgotten": "in the first step, f was multiplied by the cell that the batch before has left",
    "new_and_input_swapped": "i was multiplied by g, so dz_i has the factor g, and dz_g the factor i",
    "slopes_of_tanh": "i, f and o are σ of something: their slopes are i (1 − i) and so on, not 1 − i²",
    "slope_of_sigmoid_for_new": "g is tanh of something: its slope is 1 − g², not g (1 − g)",
    "no_slopes": "i, f, o and g are σ or tanh of z: the slopes of these are missing",
    "other_order_of_diffs": "the rows of dz are i, f, o, g, as those of z",
    "state_of_this_step": "in step t, w_h was multiplied by the state of the step before, δ_t · h_{t−1}, not by h_t",
    "no_indicator_in_dwh": "w_h was multiplied by δ_t · h_{t−1}: where a sequence begins, by 0",
    "first_state_forgotten": "in the first step, w_h was multiplied by the state that the batch before has left",
    "last_step_alone": "the weights were used in each step: add up over t",
    "first_step_alone": "the weights were used in each step: add up over t; you have the share of the first alone",
}


class _Step(NamedTuple):
    """What one stream has computed in one step, and from which."""

    i: np.ndarray
    f: np.ndarray
    o: np.ndarray
    g: np.ndarray
    c: np.ndarray
    h: np.ndarray
    c_before: np.ndarray
    h_before: np.ndarray


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-z)))


def _forward(x: np.ndarray, cont: np.ndarray, states: Arrays, weights: Arrays,
             slip: str) -> tuple[np.ndarray, Arrays]:
    done = _steps(x, cont, states, weights, slip)
    y = [step.c if slip == "cell_for_output" else step.h for step in done]
    return np.array(y), [done[-1].h, done[-1].c]


def _steps(x: np.ndarray, cont: np.ndarray, states: Arrays, weights: Arrays, slip: str) -> list[_Step]:
    w_x, b, w_h = weights
    D = w_h.shape[1]
    h, c = states
    done = []
    for t in range(len(x)):
        delta_h = delta_c = {"indicator_ignored": 1.0, "indicator_inverted": 1 - cont[t]}.get(slip, cont[t])
        delta_h = 1.0 if slip == "state_not_cut" else delta_h
        delta_c = 1.0 if slip == "cell_not_cut" else delta_c
        h_before, c_before = h, c
        fed_back = {"cell_fed_back": c, "no_feedback": 0 * h}.get(slip, h)
        z = w_x @ x[t] + b * (slip != "no_bias") + w_h @ (delta_h * fed_back)
        z_i, z_f, z_o, z_g = z.reshape(D, 4).T if slip == "gates_interleaved" else z.reshape(4, D)
        if slip == "other_order_of_gates":
            z_o, z_g = z_g, z_o
        i, f, o = _sigmoid(z_i), delta_c * _sigmoid(z_f), _sigmoid(z_o)
        g = _sigmoid(z_g) if slip == "sigmoid_for_tanh" else np.tanh(z_g)
        if slip == "gates_swapped":
            c = i * c + f * g
        else:
            keep = {"no_forget_gate": delta_c, "cell_forgotten": 0.0}.get(slip, f)
            c = keep * c + (g if slip == "no_input_gate" else i * g)
        shown = c if slip == "no_tanh_of_cell" else np.tanh(c)
        h = shown if slip == "no_output_gate" else o * shown
        done.append(_Step(i, f, o, g, c, h, c_before, h_before))
    return done


def _backward(x: np.ndarray, cont: np.ndarray, states: Arrays, weights: Arrays, dy: np.ndarray, slip: str) -> Arrays:
    done = _steps(x, cont, states, weights, "")
    w_x, _, w_h = weights
    T, dx, (dw_x, db, dw_h) = len(x), np.zeros(x.shape), [np.zeros(w.shape) for w in weights]
    dz, dc = np.zeros(len(w_x)), np.zeros(w_h.shape[1])
    for t in range(T) if slip == "from_first_to_last" else reversed(range(T)):
        i, f, o, g, c, h, c_before, h_before = done[t]
        tanh_c, fed_back = np.tanh(c), cont[t] * h_before
        if t == 0 and slip == "first_cell_forgotten":
            c_before = 0 * c_before
        if t == 0 and slip == "first_state_forgotten":
            fed_back = 0 * fed_back
        delta, forget = (cont[t + 1], done[t + 1].f) if t + 1 < T else (0.0, 0 * f)
        if slip == "from_first_to_last" and t:
            delta, forget = cont[t - 1], done[t - 1].f
        delta = {"no_indicator_backward": 1.0, "indicator_of_this_step": cont[t]}.get(slip, delta)
        forget = {"no_forget_gate_backward": 1.0 + 0 * f, "forget_gate_of_this_step": f}.get(slip, forget)
        if slip in ("not_through_time", "not_through_the_state"):
            delta = 0.0
        if slip in ("not_through_time", "not_through_the_cell"):
            forget = 0 * f
        dh = dy[t] + delta * (w_h.T @ dz)
        slope = {"no_slope_of_cell": 1 + 0 * c, "slope_at_the_cell": 1 - c ** 2}.get(slip, 1 - tanh_c ** 2)
        shown = {"no_output_gate_backward": 1 + 0 * o, "cell_without_output": 0 * o}.get(slip, o)
        dc = dh * shown * slope + dc * forget
        from_i, from_g = (i, g) if slip == "new_and_input_swapped" else (g, i)
        s_i, s_f, s_o, s_g = i * (1 - i), f * (1 - f), o * (1 - o), 1 - g ** 2
        if slip == "slopes_of_tanh":
            s_i, s_f, s_o = 1 - i ** 2, 1 - f ** 2, 1 - o ** 2
        elif slip == "slope_of_sigmoid_for_new":
            s_g = g * (1 - g)
        elif slip == "no_slopes":
            s_i, s_f, s_o, s_g = (np.ones(len(i)) for _ in range(4))
        parts = [dc * from_i * s_i, dc * (c if slip == "cell_of_this_step" else c_before) * s_f,
                 dh * (c if slip == "cell_for_tanh_of_cell" else tanh_c) * s_o, dc * from_g * s_g]
        dz = np.concatenate([parts[k] for k in ((0, 1, 3, 2) if slip == "other_order_of_diffs" else range(4))])
        dx[t] = w_x.T @ dz
        if (slip == "last_step_alone" and t < T - 1) or (slip == "first_step_alone" and t):
            continue
        dw_x += np.outer(dz, x[t])
        db += dz
        dw_h += np.outer(dz, {"state_of_this_step": h, "no_indicator_in_dwh": h_before}.get(slip, fed_back))
    return [dx, dw_x, db, dw_h]


def _kept(y: np.ndarray, states: Arrays) -> list[tuple[str, Arrays, str]]:
    h, c = states
    return [("cell_not_kept", [h, 0 * c], "the next batch goes on with the last cell too: keep c beside h"),
            ("state_not_kept", [0 * h, c], "the next batch goes on with the last h too: keep it beside c"),
            ("state_and_cell_swapped", [c, h], "h and c have changed places from one batch to the next")]


KIND = Kind(LSTMLayer, 4, 2, ("w_x", "b", "w_h"), lambda D: [], _forward, _backward, FORWARD, BACKWARD, _kept)


def _case(my: Student, draw: Draw, begin: float = 0.0, steps: int = 6) -> Case:
    return Case(my, draw, KIND, lambda D: my.lstm.LSTMLayer(num_output=D), begin, steps)


def check_weights(my: Student, draw: Draw) -> None:
    """The layer makes w_x (4D, F), b (4D,) and w_h (4D, D) in setup; all hold zeros."""
    _case(my, draw)


def check_first_step(my: Student, draw: Draw) -> None:
    """One step at the beginning of a sequence: c is i · g, and y is o · tanh(c)."""
    recurrent.check_first_step(_case(my, draw))


def check_steps(my: Student, draw: Draw) -> None:
    """Each step reads the state and the cell of the step before, but where a sequence begins."""
    recurrent.check_steps(_case(my, draw))


def check_next_batch(my: Student, draw: Draw) -> None:
    """A batch goes on with the state and the cell that the batch before has left, where δ says so."""
    recurrent.check_next_batch(_case(my, draw), draw)


def check_other_streams(my: Student, draw: Draw) -> None:
    """A batch with another number of streams begins with zeros, and T may be another one too."""
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
    """Backward of a batch that goes on with another one counts the state and the cell that were left."""
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
