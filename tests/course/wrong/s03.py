"""Mistakes of step 3, the difference quotient."""

from course_tools import Variant

FILE = "my_caffe/gradient.py"
WRONG = [
    Variant("a step on one side", FILE, "(up - down) / (2 * h)", "(up - f()) / h", "one_sided"),
    Variant("divided by h", FILE, "(up - down) / (2 * h)", "(up - down) / h", "divided_by_h"),
    Variant("parentheses", FILE, "(up - down) / (2 * h)", "(up - down) / 2 * h", "multiplied_by_h"),
    Variant("a copy is moved", FILE, "    gradient = np.zeros(x.shape)", "    x = x.copy()\n    gradient = "
            "np.zeros(x.shape)",
            "copy_moved"),
    Variant("x is left moved", FILE, "        x[i] = old\n", "", "not_put_back"),
    Variant("x is put back by arithmetic", FILE, "        x[i] = old\n", "        x[i] += "
            "h\n", "put_back_by_arithmetic"),
    Variant("h is not taken", FILE, "        old = x[i]", "        old, h = x[i], 1e-5", "h_not_used"),
    Variant("an absolute error", FILE, "np.abs(a - b) / size", "np.abs(a - b)", "absolute"),
    Variant("no floor", FILE, "np.maximum(np.maximum(np.abs(a), np.abs(b)), 1)", "np.maximum(np.abs(a), np.abs(b))",
            "no_floor"),
    Variant("no absolute value", FILE, "np.abs(a - b) / size", "(a - b) / size", "no_absolute_value"),
    Variant("relative to one of the two", FILE, "np.maximum(np.maximum(np.abs(a), np.abs(b)), 1)",
            "np.maximum(np.abs(a), 1)", "divided_by_one"),
    Variant("the mean error", FILE, "return np.max(np.abs(a - b)", "return np.mean(np.abs(a - b)", "mean"),
    Variant("NaN is dropped", FILE, "return np.max(np.abs(a - b)", "return np.nanmax(np.abs(a - b)", "nan_hidden"),
    Variant("NaN is dropped by Python's max", FILE, "return np.max([largest_error",
            "return max([0.0] + [largest_error", "nan_hidden"),
    Variant("weights are not cleared", FILE, "        blob.clear_diff()", "        pass", "weights_not_cleared"),
    Variant("weights are not compared", FILE, " if down] + layer.blobs", " if down]", "weights_not_checked"),
    Variant("dy are all 1", FILE, "draw.standard_normal(blob.shape)", "np.ones(blob.shape)", "dy_of_ones"),
    Variant("only the first bottom", FILE, "zip(bottom, propagate_down, strict=True) if down]",
            "zip(bottom[:1], propagate_down) if down]", "first_bottom_only"),
    Variant("only the first top", FILE, "for blob, dy in zip(top, dys, strict=True):", "for blob, dy in zip(top[:1], "
            "dys):",
            "a_top_without_dy"),
    Variant("forward is not run again", FILE, "    def loss():\n        layer.forward(bottom, top)", "    def loss():",
            "forward_not_run"),
    Variant("the loss without dy", FILE, "(dy * blob.data).sum()", "blob.data.sum()", "loss_does_not_fit_dy"),
    Variant("propagate_down is ignored", FILE, " if down] + layer.blobs", "] + layer.blobs", "unasked_bottom_compared"),
]
