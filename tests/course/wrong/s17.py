"""Mistakes of step 17, an RNN through time."""

from course_tools import Variant

FILE = "my_caffe/rnn.py"
FED = "self.fed_back.append(cont[t][:, None] * h)"
Z = "h = np.tanh(x[t] @ w_x.T + b + self.fed_back[t] @ w_h.T)"
Y = "top[0].data[t] = np.tanh(h @ w_o.T + b_o)"
LATER = "dh += cont[t + 1][:, None] * (dz @ w_h)"
DWH = "dw_h += dz.T @ self.fed_back[t]"
BEGIN = f"""        h = self.state.data.copy()
        self.h, self.fed_back = [], []
        for t in range(len(x)):
            {FED}
"""
WRONG = [
    Variant("b_o is forgotten", FILE, "(D, D), (D, D), (D,)]]", "(D, D), (D, D)]]", "blobs_in_the_list"),
    Variant("w_x (F, D)", FILE, "[(D, F), (D,)", "[(F, D), (D,)", "weights_transposed"),
    Variant("b behind w_h", FILE, "[(D, F), (D,), (D, D), (D, D), (D,)]", "[(D, F), (D, D), (D,), (D, D), (D,)]",
            "order_of_blobs"),
    Variant("the state for the output", FILE, Y, "top[0].data[t] = h", "state_for_output"),
    Variant("a linear output", FILE, Y, "top[0].data[t] = h @ w_o.T + b_o", "no_tanh_of_output"),
    Variant("w_o is not transposed", FILE, Y, Y.replace(".T", ""), "wo_transposed"),
    Variant("no b_o", FILE, Y, Y.replace(" + b_o", ""), "no_output_bias"),
    Variant("w_h is not transposed", FILE, "self.fed_back[t] @ w_h.T", "self.fed_back[t] @ w_h", "wh_transposed"),
    Variant("δ is ignored", FILE, FED, "self.fed_back.append(h)", "indicator_ignored"),
    Variant("δ the other way round", FILE, FED, FED.replace("cont[t][:, None]", "(1 - cont[t][:, None])"),
            "indicator_inverted"),
    Variant("δ of the step before", FILE, FED, FED.replace("cont[t]", "cont[max(t - 1, 0)]"),
            "indicator_of_the_step_before"),
    Variant("δ on the input too", FILE, Z, "h = np.tanh(cont[t][:, None] * (x[t] @ w_x.T + h @ w_h.T) + b)",
            "indicator_on_the_input"),
    Variant("each step reads h_0", FILE, FED, FED.replace(" h)", " self.state.data)"), "no_feedback"),
    Variant("y is fed back", FILE, FED, FED.replace(" h)", " (top[0].data[t - 1] if t else h))"), "output_fed_back"),
    Variant("the state begins at 0", FILE, "h = self.state.data.copy()", "h = np.zeros_like(self.state.data)",
            "state_lost"),
    Variant("the state is not kept", FILE, "self.state.data[...] = h", "pass", "state_lost"),
    Variant("the state becomes y", FILE, "self.state.data[...] = h", "self.state.data[...] = top[0].data[-1]",
            "output_kept_as_state"),
    Variant("the first state is overwritten", FILE, BEGIN, BEGIN.replace(".copy()", " * cont[0][:, None]").replace(
        "        self.h,", "        self.state.data[...] = h\n        h = self.state.data\n        self.h,").replace(
        "cont[t][:, None] * h", "cont[t][:, None] * h if t else h"), "last_state_for_first"),
    Variant("not through time", FILE, LATER, "pass", "not_through_time"),
    Variant("no δ backward", FILE, LATER, "dh += dz @ w_h", "no_indicator_backward"),
    Variant("δ of this step", FILE, LATER, LATER.replace("t + 1", "t"), "indicator_of_this_step"),
    Variant("w_h is transposed backward", FILE, LATER, LATER.replace("w_h", "w_h.T"), "wh_not_transposed"),
    Variant("from the first to the last", FILE, "for t in reversed(range(T)):\n", "for t in range(T):\n",
            "from_first_to_last"),
    Variant("the slope of σ", FILE, "dh * (1 - self.h[t] ** 2)", "dh * self.h[t] * (1 - self.h[t])",
            "slope_of_sigmoid"),
    Variant("no slope of the output", FILE, "do = dy[t] * (1 - y[t] ** 2)", "do = dy[t]", "no_slope_of_output"),
    Variant("the slope at y", FILE, "dh * (1 - self.h[t] ** 2)", "dh * (1 - y[t] ** 2)", "slope_at_the_output"),
    Variant("dw_h with the state of this step", FILE, DWH, "dw_h += dz.T @ self.h[t]", "state_of_this_step"),
    Variant("dw_h without δ", FILE, DWH, "dw_h += dz.T @ self.h[t - 1] if t else dz.T @ self.fed_back[0]",
            "no_indicator_in_dwh"),
    Variant("dw_h without h_0", FILE, DWH, "dw_h += dz.T @ self.fed_back[t] if t else 0", "first_state_forgotten"),
    Variant("dw_h is transposed", FILE, DWH, "dw_h += self.fed_back[t].T @ dz", "dwh_transposed"),
    Variant("dw_o with y", FILE, "dw_o += do.T @ self.h[t]", "dw_o += do.T @ y[t]", "output_in_dwo"),
    Variant("dw_x is overwritten in each step", FILE, "dw_x += dz.T @ x[t]", "dw_x[...] = dz.T @ x[t]",
            "last_written_alone"),
    Variant("db with dh", FILE, "db += dz.sum(axis=0)", "db += dh.sum(axis=0)", "state_diff_for_dz"),
    Variant("db is a mean", FILE, "db += dz.sum(axis=0)", "db += dz.mean(axis=0)", "mean_over_streams"),
    Variant("dx is added to", FILE, "bottom[0].diff[t] = dz", "bottom[0].diff[t] += dz", "bottom_diff_added"),
    Variant("propagate_down is ignored", FILE, "if propagate_down[0]:", "if True:", "propagate_down_ignored"),
    Variant("the weights need propagate_down", FILE, "        T = len(x)\n",
            "        T = len(x)\n        if not propagate_down[0]:\n            return\n",
            "weights_depend_on_propagate_down"),
]
