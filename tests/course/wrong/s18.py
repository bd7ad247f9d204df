"""Mistakes of step 18, LSTM."""

from course_tools import Variant

FILE = "my_caffe/lstm.py"
SPLIT = "z_i, z_f, z_o, z_g = np.split(z, 4, axis=1)"
GATES = "i, f, o = sigmoid(z_i), cont[t] * sigmoid(z_f), sigmoid(z_o)"
FED = "fed_back, c_before = cont[t] * h, c"
C = "c = f * c_before + i * g"
H = "h = o * np.tanh(c)"
DC = "dc = from_cell + dh * o * (1 - np.tanh(c) ** 2)"
DZ = "np.concatenate([dz_i, dz_f, dz_o, dz_g], axis=1)"
FROM_STATE = "from_state = cont[t] * (dz @ w_h)"
FROM_CELL = "from_cell = dc * f"
KEEP = "self.steps.append((i, f, o, g, c, c_before, fed_back))"
FOUR = """            dz_i = dc * g * i * (1 - i)
            dz_f = dc * c_before * f * (1 - f)
            dz_o = dh * np.tanh(c) * o * (1 - o)
            dz_g = dc * i * (1 - g ** 2)
"""
WRONG = [
    Variant("w_h for one gate", FILE, "Blob((4 * self.D, self.D))]", "Blob((self.D, self.D))]", "shapes_of_blobs"),
    Variant("no bias blob", FILE, "Blob((4 * self.D,)), ", "", "blobs_in_the_list"),
    Variant("the order i, f, g, o", FILE, SPLIT, "z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)", "other_order_of_gates"),
    Variant("each fourth number", FILE, SPLIT, "z_i, z_f, z_o, z_g = (z[:, k::4] for k in range(4))",
            "gates_interleaved"),
    Variant("σ for g", FILE, "g = np.tanh(z_g)", "g = sigmoid(z_g)", "sigmoid_for_tanh"),
    Variant("h without tanh", FILE, H, "h = o * c", "no_tanh_of_cell"),
    Variant("h without its gate", FILE, H, "h = np.tanh(c)", "no_output_gate"),
    Variant("the cell for the output", FILE, "top[0].data[t] = h", "top[0].data[t] = c", "cell_for_output"),
    Variant("all of g is written", FILE, C, "c = f * c_before + g", "no_input_gate"),
    Variant("nothing is forgotten", FILE, C, "c = cont[t] * c_before + i * g", "no_forget_gate"),
    Variant("f for i", FILE, C, "c = i * c_before + f * g", "gates_swapped"),
    Variant("the cell is fed back", FILE, FED, "fed_back, c_before = cont[t] * c, c", "cell_fed_back"),
    Variant("δ is forgotten in f", FILE, GATES, GATES.replace("cont[t] * ", ""), "cell_not_cut"),
    Variant("δ is forgotten in h", FILE, FED, "fed_back, c_before = h, c", "state_not_cut"),
    Variant("the cell of a batch is lost", FILE, "self.cell.data[...] = c", "pass", "cell_not_kept"),
    Variant("the state of a batch is lost", FILE, "self.state.data[...] = h", "pass", "state_not_kept"),
    Variant("the cell is kept as state", FILE, "self.state.data[...] = h\n        self.cell.data[...] = c",
            "self.state.data[...] = c\n        self.cell.data[...] = h", "state_and_cell_swapped"),
    Variant("the cell is no part of the next", FILE, "from_cell = dc * f", "pass", "not_through_the_cell"),
    Variant("the state is no part of the next", FILE, FROM_STATE, "pass", "not_through_the_state"),
    Variant("no δ backward", FILE, FROM_STATE, "from_state = dz @ w_h", "no_indicator_backward"),
    Variant("δ of the step before", FILE, FROM_STATE, "from_state = cont[t - 1] * (dz @ w_h)",
            "indicator_of_this_step"),
    Variant("no f backward", FILE, FROM_CELL, "from_cell = dc", "no_forget_gate_backward"),
    Variant("f of the step before", FILE, FROM_CELL, "from_cell = dc * self.steps[t - 1][1]",
            "forget_gate_of_this_step"),
    Variant("the cell has no part in h", FILE, DC, "dc = from_cell + dh * 0", "cell_without_output"),
    Variant("no slope of the cell", FILE, DC, "dc = from_cell + dh * o", "no_slope_of_cell"),
    Variant("the slope at c", FILE, DC, "dc = from_cell + dh * o * (1 - c ** 2)", "slope_at_the_cell"),
    Variant("no gate before the cell", FILE, DC, "dc = from_cell + dh * (1 - np.tanh(c) ** 2)",
            "no_output_gate_backward"),
    Variant("dz_f with the new cell", FILE, "dz_f = dc * c_before", "dz_f = dc * c", "cell_of_this_step"),
    Variant("dz_o with c", FILE, "dz_o = dh * np.tanh(c)", "dz_o = dh * c", "cell_for_tanh_of_cell"),
    Variant("dz_i with i, dz_g with g", FILE, FOUR, FOUR.replace("dc * g", "dc * i").replace("dc * i * (1 - g",
            "dc * g * (1 - g"), "new_and_input_swapped"),
    Variant("the slope of tanh for the gates", FILE, FOUR, FOUR.replace("i * (1 - i)", "(1 - i ** 2)").replace(
            "f * (1 - f)", "(1 - f ** 2)").replace("o * (1 - o)", "(1 - o ** 2)"), "slopes_of_tanh"),
    Variant("the slope of σ for g", FILE, "(1 - g ** 2)", "g * (1 - g)", "slope_of_sigmoid_for_new"),
    Variant("dz in the order i, f, g, o", FILE, DZ, "np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)",
            "other_order_of_diffs"),
    Variant("dw_h with the state of this step", FILE, KEEP, "self.steps.append((i, f, o, g, c, c_before, h))",
            "state_of_this_step"),
    Variant("the cell begins at 0 in backward", FILE, KEEP,
            "self.steps.append((i, f, o, g, c, c_before if t else 0 * c, fed_back))", "first_cell_forgotten"),
    Variant("from the first to the last", FILE, "for t in reversed(range(len(x))):", "for t in list(range(len(x))):",
            "from_first_to_last"),
    Variant("dw_x is overwritten in each step", FILE, "dw_x += dz.T @ x[t]", "dw_x[...] = dz.T @ x[t]",
            "last_written_alone"),
    Variant("db is a mean", FILE, "dz.sum(axis=0)", "dz.mean(axis=0)", "mean_over_streams"),
    Variant("dx is added to", FILE, "bottom[0].diff[t] = dz", "bottom[0].diff[t] += dz", "bottom_diff_added"),
    Variant("propagate_down is ignored", FILE, "if propagate_down[0]:", "if True:", "propagate_down_ignored"),
]
