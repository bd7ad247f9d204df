"""Mistakes of step 4, σ and the loss in five versions."""

from course_tools import Variant

SIGMOID, VERSIONS, LOSS = (f"my_caffe/{name}.py" for name in ("sigmoid", "loss_versions", "sigmoid_cross_entropy_loss"))
STABLE = "    return np.where(x >= 0, 1, u) / (1 + u)"
FIRST = """def naive(x, t):
    p = sigmoid(x)
    return -t * np.log(p) - (1 - t) * np.log(1 - p)
"""
CAFFE = """    d = (x >= 0) - t
    return d * x + np.log(1 + np.exp(-np.abs(x)))"""
DX = "weight * (sigmoid(x) - t) / x.shape[0]"
WRONG = [
    Variant("the exponent without a minus", SIGMOID, "np.where(x >= 0, 1, u)", "np.where(x < 0, 1, u)", "mirrored"),
    Variant("σ by its definition", SIGMOID, STABLE, "    return 1 / (1 + np.exp(-x))", "overflow"),
    Variant("both halves are computed", SIGMOID, STABLE,
            "    return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))", "overflow"),
    Variant("one minus for negative x", SIGMOID, STABLE, "    return np.where(x >= 0, 1 / (1 + u), 1 - 1 / (1 + u))",
            "digits_lost"),
    Variant("one half for both", SIGMOID, STABLE, "    return 1 / (1 + u)", "mirrored_for_negative"),
    Variant("the slope at x", SIGMOID, "            y = top[0].data", "            y = bottom[0].data", "slope_at_x"),
    Variant("σ twice", SIGMOID, "            y = top[0].data", "            y = sigmoid(top[0].data)", "sigmoid_twice"),
    Variant("the slope without dy", SIGMOID, "top[0].diff * y * (1 - y)", "y * (1 - y)", "no_dy"),
    Variant("half of the slope", SIGMOID, "top[0].diff * y * (1 - y)", "top[0].diff * y", "half_a_slope"),
    Variant("naive with swapped targets", VERSIONS, FIRST, FIRST.replace("-t *", "-(1 - t) *").replace(
        "- (1 - t) * np.log(1", "- t * np.log(1"), "targets_swapped"),
    Variant("naive with a plus", VERSIONS, FIRST, FIRST.replace(") - (1", ") + (1"), "one_minus_is_missing"),
    Variant("naive is not naive", VERSIONS, FIRST, FIRST.replace("    return", "    p = np.clip(p, 1e-7, 1 - 1e-7)\n  "
    "  return"),
            "not_naive"),
    Variant("naive is a mean already", VERSIONS, FIRST, FIRST.replace("return ", "return np.mean(").rstrip() + ")\n",
            "already_a_mean"),
    Variant("clipped on one side", VERSIONS, "np.clip(sigmoid(x), 1e-7, 1 - 1e-7)", "np.maximum(sigmoid(x), 1e-7)",
            "one_side_clipped"),
    Variant("the exponent of version 3", VERSIONS, "(1 - t) * x + np.log(1 + np.exp(-x))",
            "(1 - t) * x + np.log(1 + np.exp(x))", "mirrored_exponent"),
    Variant("the factor of version 3", VERSIONS, "(1 - t) * x + np.log(1 + np.exp(-x))", "-t * x + np.log(1 + "
            "np.exp(-x))",
            "wrong_factor"),
    Variant("the sign of d", VERSIONS, CAFFE, CAFFE.replace("(x >= 0) - t", "t - (x >= 0)"), "d_has_wrong_sign"),
    Variant("d for positive x", VERSIONS, CAFFE, CAFFE.replace("(x >= 0) - t", "1 - t"), "d_for_positive_x_alone"),
    Variant("the size of x is forgotten", VERSIONS, CAFFE, CAFFE.replace("-np.abs(x)", "-x"), "exponent_without_size"),
    Variant("log of a sum with 1", VERSIONS, "np.log1p(np.exp(-np.abs(x)))", "np.log(1 + np.exp(-np.abs(x)))",
            "digits_lost"),
    Variant("zero times infinity", VERSIONS, "out=cost, where=d != 0", "out=cost", "nan_of_zero_times_infinity"),
    Variant("the loss is not divided", LOSS, "stable(x, t).sum() / x.shape[0]", "stable(x, t).sum()", "not_normalised"),
    Variant("the mean over cells", LOSS, "stable(x, t).sum() / x.shape[0]", "stable(x, t).mean()", "mean_over_cells"),
    Variant("scores and targets swapped", LOSS, "        x, t = bottom[0].data, bottom[1].data\n        top[0]",
            "        t, x = bottom[0].data, bottom[1].data\n        top[0]", "bottoms_swapped"),
    Variant("the sign of the seed", LOSS, DX, "weight * (t - sigmoid(x)) / x.shape[0]", "seed_slip"),
    Variant("loss_weight is forgotten", LOSS, DX, "(sigmoid(x) - t) / x.shape[0]", "no_loss_weight"),
    Variant("backward is not divided", LOSS, DX, "weight * (sigmoid(x) - t)", "gradient_not_normalised"),
    Variant("backward by the cells", LOSS, DX, "weight * (sigmoid(x) - t) / x.size", "gradient_mean_over_cells"),
    Variant("the squared error's slope", LOSS, DX,
            "weight * (sigmoid(x) - t) * sigmoid(x) * (1 - sigmoid(x)) / x.shape[0]", "slope_of_sigmoid_left"),
    Variant("the loss for its weight", LOSS, "bottom[1].data, top[0].diff", "bottom[1].data, top[0].data",
            "loss_for_weight"),
    Variant("a gradient for the targets", LOSS, f"            bottom[0].diff[...] = {DX}",
            f"            bottom[0].diff[...] = {DX}\n            bottom[1].diff[...] = "
            f"-{DX}", "targets_got_a_gradient"),
    Variant("propagate_down is ignored", LOSS, "if propagate_down[0]:", "if True:", "propagate_down_ignored"),
    Variant("the comparison last", VERSIONS, "(x >= 0) - t\n    return", "x >= 0 - t\n    return", "comparison_last"),
    Variant("t alone is divided", LOSS, DX, "weight * (sigmoid(x) - t / x.shape[0])", "targets_divided_alone"),
]
