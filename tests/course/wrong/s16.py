"""Mistakes of step 16, BatchNorm."""

from course_tools import Variant

FILE = "my_caffe/batch_norm.py"
BLOBS = "self.blobs = [Blob((C,)), Blob((C,)), Blob((1,))]"
AXES = "        return tuple(axis for axis in range(x.ndim) if axis != 1)"
MU = "            mu = x.mean(axis=axes, keepdims=True)\n"
V = "            v = ((x - mu) ** 2).mean(axis=axes, keepdims=True)\n"
MEAN = "mean[...] = self.fraction * mean + mu.ravel()"
VARIANCE = "variance[...] = self.fraction * variance + v.ravel() * m / max(m - 1, 1)"
FACTOR = "            factor[...] = self.fraction * factor + 1\n"
SCALE = "scale = 1 / factor[0] if factor[0] else 0"
GLOBAL = "            mu, v = self.for_x(mean * scale, x), self.for_x(variance * scale, x)\n"
STD = "        self.std = np.sqrt(v + self.eps)\n"
HAT = "        self.normalized = (x - mu) / self.std\n"
ALONG = "along = hat * (dy * hat).mean(axis=axes, keepdims=True)"
PARTS = "dy = dy - dy.mean(axis=axes, keepdims=True) - along"
DX = "        bottom[0].diff[...] = dy / self.std"
WRONG = [
    Variant("no factor", FILE, BLOBS, "self.blobs = [Blob((C,)), Blob((C,))]", "blobs"),
    Variant("a factor for each channel", FILE, BLOBS, "self.blobs = [Blob((C,)), Blob((C,)), Blob((C,))]", "blobs"),
    Variant("the variance begins at 1", FILE, BLOBS, BLOBS + "\n        self.blobs[1].data[...] = 1",
            "statistics_begin_at_1"),
    Variant("each image by itself", FILE, AXES, "        return tuple(range(2, x.ndim))", "shapes_do_not_fit"),
    Variant("each image by itself, and the blobs of all", FILE, HAT, """        mu = x.mean(axis=(2, 3), keepdims=True)
        v = x.var(axis=(2, 3), keepdims=True)
        self.normalized = (x - mu) / np.sqrt(v + self.eps)
""", "each_image_by_itself"),
    Variant("all channels together", FILE, AXES, "        return tuple(range(x.ndim))", "all_channels_together"),
    Variant("ε is forgotten", FILE, STD, "        self.std = np.sqrt(v)\n", "eps_left_out"),
    Variant("ε outside the root", FILE, STD, "        self.std = np.sqrt(v) + self.eps\n", "eps_outside_the_root"),
    Variant("ε is not read", FILE, 'self.param.get("eps", 1e-5)', "1e-5", "eps_not_read"),
    Variant("divided by the variance", FILE, STD, "        self.std = v + self.eps\n", "no_root"),
    Variant("the mean is not taken away", FILE, HAT, "        self.normalized = x / self.std\n", "not_centred"),
    Variant("the variance of statisticians", FILE, STD, "        unbiased = 1 if self.global_stats else m / "
            "max(m - 1, 1)\n        self.std = np.sqrt(v * unbiased + self.eps)\n", "divided_by_m_minus_1"),
    Variant("the mean of x²", FILE, V, "            v = (x ** 2).mean(axis=axes, keepdims=True)\n", "mean_of_squares"),
    Variant("the batch is normalized by the blobs", FILE, FACTOR, FACTOR + "            mu, v = self.for_x(mean / "
            "factor, x), self.for_x(variance / factor, x)\n", "statistics_of_the_blobs"),
    Variant("another default of λ", FILE, '("moving_average_fraction", 0.999)', '("moving_average_fraction", 0.9)',
            "other_default"),
    Variant("1 − λ", FILE, MEAN, "mean[...] = self.fraction * mean + (1 - self.fraction) * mu.ravel()",
            "moving_average_of_parts"),
    Variant("the mean of the last batch", FILE, MEAN, "mean[...] = mu.ravel()", "last_batch_alone"),
    Variant("nothing is forgotten", FILE, MEAN, "mean += mu.ravel()", "nothing_forgotten"),
    Variant("a local name for the mean", FILE, MEAN, "mean = self.fraction * mean + mu.ravel()", "nothing_remembered"),
    Variant("another array for the mean", FILE, MEAN, "self.blobs[0].data = self.fraction * mean + mu.ravel()",
            "blob_replaced"),
    Variant("v is remembered", FILE, VARIANCE, "variance[...] = self.fraction * variance + v.ravel()",
            "variance_of_the_batch_kept"),
    Variant("(m − 1) / m", FILE, VARIANCE, "variance[...] = self.fraction * variance + v.ravel() * (m - 1) / m",
            "variance_turned_around"),
    Variant("a division by m − 1 = 0", FILE, "max(m - 1, 1)", "(m - 1)", "division_by_m_minus_1"),
    Variant("the factor is forgotten", FILE, FACTOR, "", "factor_forgotten"),
    Variant("the factor counts", FILE, FACTOR, "            factor += 1\n", "factor_counts_passes"),
    Variant("the factor is 1", FILE, FACTOR, "            factor[...] = 1\n", "factor_is_one"),
    Variant("sums are taken for means", FILE, SCALE, "scale = 1", "not_divided_by_the_factor"),
    Variant("the variance is not divided", FILE, GLOBAL, GLOBAL.replace("variance * scale", "variance"),
            "variance_not_divided"),
    Variant("use_global_stats is not read", FILE, 'self.param.get("use_global_stats", False)', "False",
            "statistics_of_the_batch"),
    Variant("0 / 0", FILE, SCALE, "scale = 1 / factor[0]", "division_by_a_factor_of_0"),
    Variant("0 / 0 in Python", FILE, SCALE, "scale = 1 / float(factor[0])", "division_by_a_factor_of_0"),
    Variant("the blobs are averaged in place", FILE, GLOBAL, "            mean *= scale\n            variance *= "
            "scale\n            mu, v = self.for_x(mean, x), self.for_x(variance, x)\n", "bottom_changed"),
    Variant("x is centred in place", FILE, HAT, "        x -= mu\n        self.normalized = x / self.std\n",
            "bottom_changed"),
    Variant("another array for the top", FILE, "top[0].data[...] = self.normalized", "top[0].data = self.normalized",
            "top_replaced"),
    Variant("μ and v are constants", FILE, "        if not self.global_stats:\n            axes, hat",
            "        if False:\n            axes, hat", "statistics_as_constants"),
    Variant("no way through the mean", FILE, PARTS, "dy = dy - along", "way_through_the_mean_missing"),
    Variant("no way through the variance", FILE, PARTS, "dy = dy - dy.mean(axis=axes, keepdims=True)",
            "way_through_the_variance_missing"),
    Variant("a sign in backward", FILE, PARTS, "dy = dy + dy.mean(axis=axes, keepdims=True) + along",
            "added_not_subtracted"),
    Variant("sums for means", FILE, PARTS, "m = dy.size // dy.shape[1]\n            dy = dy - m * dy.mean(axis=axes, "
            "keepdims=True) - m * along", "sums_for_means"),
    Variant("x for x̂", FILE, "hat = self.axes(dy), self.normalized", "hat = self.axes(dy), bottom[0].data",
            "x_for_normalized"),
    Variant("backward without the root", FILE, DX, "        bottom[0].diff[...] = dy", "not_divided_by_the_root"),
    Variant("dx is added to", FILE, DX, "        bottom[0].diff[...] += dy / self.std", "bottom_diff_added"),
    Variant("the data of the top for its diff", FILE, "dy = top[0].diff", "dy = top[0].data", "data_for_diff"),
    Variant("the mean gets a gradient", FILE, DX, "        self.blobs[0].diff -= (top[0].diff / self.std).sum(axis="
            "self.axes(dy))\n" + DX, "gradient_of_a_statistic"),
    Variant("the ways through constants", FILE, "        if not self.global_stats:\n            axes, hat",
            "        if True:\n            axes, hat", "statistics_are_constants"),
    Variant("x̂ is read from the top", FILE, "hat = self.axes(dy), self.normalized", "hat = self.axes(dy), top[0].data",
            "overwritten_data_read"),
    Variant("x̂ is the array of the top", FILE, "        top[0].data[...] = self.normalized",
            "        top[0].data[...] = self.normalized\n        self.normalized = top[0].data",
            "overwritten_data_read"),
    Variant("dx is written in two goes", FILE, PARTS + "\n" + DX, """bottom[0].diff[...] = dy / self.std
            bottom[0].diff[...] -= (dy.mean(axis=axes, keepdims=True) + along) / self.std
            return
""" + DX, "dy_read_after_dx"),
    Variant("propagate_down is ignored", FILE, "        if not propagate_down[0]:\n            return\n", "",
            "propagate_down_ignored"),
    Variant("axes of images alone", FILE, AXES, "        return 0, 2, 3", "shapes_do_not_fit"),
]
