"""Mistakes of step 15, pooling."""

from course_tools import Variant

FILE = "my_caffe/pooling.py"
UP = "    windows = -(-(size + 2 * pad - kernel) // stride) + 1\n"
LESS = "    if (windows - 1) * stride - pad >= size:\n        windows -= 1\n"
BEGIN = "            parts.append(slice(max(begin, 0), min(end, n)))"
AREA = "            area *= end - begin"
END = "            end = min(begin + k, n + p)\n"
MAX = "y[:, :, oy, ox] = seen.max(axis=(2, 3))"
AVE = "y[:, :, oy, ox] = seen.sum(axis=(2, 3)) / area"
CHOICE = "                m = np.unravel_index(seen[n, c].argmax(), seen.shape[2:])\n"
SHARE = "                share[n, c][m] += dy[n, c, oy, ox]\n"
MEAN = "                share += dy[:, :, oy, ox, None, None] / area"
CLEAR = "        dx[...] = 0\n"
WRONG = [
    Variant("the size of a convolution", FILE, UP, "    windows = (size + 2 * pad - kernel) // stride + 1\n",
            "rounded_down"),
    Variant("always one window more", FILE, UP, "    windows = (size + 2 * pad - kernel) // stride + 2\n",
            "always_one_more"),
    Variant("the first window is not counted", FILE, UP + LESS, UP + LESS + "    windows -= 1\n",
            "first_window_not_counted"),
    Variant("a window behind the image", FILE, LESS, "", "window_without_a_pixel"),
    Variant("a window that begins at H", FILE, "- pad >= size", "- pad > size", "window_without_a_pixel"),
    Variant("a window in the padding behind the image", FILE, "stride - pad >= size", "stride >= size + 2 * pad",
            "window_without_a_pixel"),
    Variant("a window too few with padding", FILE, "stride - pad >= size", "stride + pad >= size",
            "begin_without_padding"),
    Variant("a size is a float", FILE, UP, "    windows = float(-(-(size + 2 * pad - kernel) // stride) + 1)\n",
            "not_rounded"),
    Variant("rows and columns of the top", FILE, "reshape((N, C, oh, ow))", "reshape((N, C, ow, oh))",
            "rows_and_columns_exchanged"),
    Variant("AVE for a missing parameter", FILE, '("pool", "MAX")', '("pool", "AVE")', "mean_for_max"),
    Variant("the place and not the pixel", FILE, MAX, "y[:, :, oy, ox] = seen.reshape(*x.shape[:2], -1).argmax(-1)",
            "place_for_pixel"),
    Variant("the largest of all channels", FILE, MAX, "y[:, :, oy, ox] = seen.max(axis=(1, 2, 3))[:, None]",
            "channels_mixed"),
    Variant("the search begins with 0", FILE, MAX, "y[:, :, oy, ox] = np.maximum(seen.max(axis=(2, 3)), 0)",
            "zero_wins"),
    Variant("zeros around the image for MAX", FILE, MAX, "y[:, :, oy, ox] = seen.max(axis=(2, 3)) if seen[0, 0].size "
            "== area else np.maximum(seen.max(axis=(2, 3)), 0)", "padding_wins"),
    Variant("a negative slice", FILE, BEGIN, "            parts.append(slice(begin, min(end, n)))", "negative_slice"),
    Variant("AVE by the size of the kernel", FILE, AREA, "            area *= k", "always_divided_by_the_kernel"),
    Variant("AVE by the pixels of the image", FILE, AREA, "            area *= min(end, n) - max(begin, 0)",
            "padding_not_counted"),
    Variant("a window ends at H", FILE, END, "            end = min(begin + k, n)\n", "padding_behind_not_counted"),
    Variant("the sum", FILE, AVE, "y[:, :, oy, ox] = seen.sum(axis=(2, 3))", "sum_for_mean"),
    Variant("forward adds to the top", FILE, AVE, "y[:, :, oy, ox] += seen.sum(axis=(2, 3)) / area", "added_to_top"),
    Variant("all of the largest get dy", FILE, CHOICE, "                m = seen[n, c] == seen[n, c].max()\n",
            "all_of_the_largest"),
    Variant("the largest share dy", FILE, CHOICE + SHARE, "                m = seen[n, c] == seen[n, c].max()\n"
            "                share[n, c][m] += dy[n, c, oy, ox] / m.sum()\n", "shared_among_the_largest"),
    Variant("the last of the largest", FILE, CHOICE, "                m = np.unravel_index(seen[n, c].size - 1 - "
            "seen[n, c].ravel()[::-1].argmax(), seen.shape[2:])\n", "last_of_the_largest"),
    Variant("the first column by column", FILE, CHOICE, "                m = np.unravel_index(seen[n, c].T.argmax(), "
            "seen[n, c].T.shape)[::-1]\n", "column_by_column"),
    Variant("dx of the last window", FILE, SHARE, SHARE.replace("+=", "="), "last_window_alone"),
    Variant("dx of the last window, AVE", FILE, MEAN, MEAN.replace("+=", "[...] ="), "last_window_alone"),
    Variant("dx does not begin at 0", FILE, CLEAR, "", "bottom_diff_added"),
    Variant("all pixels of the window get dy", FILE, SHARE, "                share[n, c] += dy[n, c, oy, ox]\n",
            "whole_window_gets_dy"),
    Variant("dy times the pixel", FILE, SHARE, "                share[n, c][m] += dy[n, c, oy, ox] * seen[n, c][m]\n",
            "slope_is_the_pixel"),
    Variant("dy is not divided", FILE, MEAN, "                share += dy[:, :, oy, ox, None, None]",
            "whole_window_gets_dy"),
    Variant("dy by the size of the kernel", FILE, MEAN, "                share += dy[:, :, oy, ox, None, None] / "
            "(self.kernel[0] * self.kernel[1])", "always_divided_by_the_kernel"),
    Variant("dy by the pixels of the image", FILE, MEAN, "                share += dy[:, :, oy, ox, None, None] / "
            "seen[0, 0].size", "padding_not_counted"),
    Variant("the data of the top for its diff", FILE, "x, dy, dx = bottom[0].data, top[0].diff, bottom[0].diff",
            "x, dy, dx = bottom[0].data, top[0].data, bottom[0].diff", "data_for_diff"),
    Variant("propagate_down is ignored", FILE, "        if not propagate_down[0]:\n            return\n", "",
            "propagate_down_ignored"),
    Variant("the size of the first batch", FILE, "        N, C, H, W = bottom[0].shape", "        self.shape = getattr("
            "self, 'shape', bottom[0].shape)\n        N, C, H, W = self.shape", "top_shape"),
]
