"""Mistakes of step 13, convolution as loops."""

from course_tools import Variant

FILE, WINDOW = "my_caffe/convolution.py", "my_caffe/window.py"
SIZE = "(size + 2 * pad - kernel) // stride + 1"
SUM = "            y[n, k, oy, ox] = (w[k] * x[n, :, rows, columns]).sum()"
SEVEN = """            y[n, k, oy, ox] {start}
            for c, iy, ix in np.ndindex(w[k].shape):
                {term}"""
PADDED = "x, y, w = self.padded(bottom[0].data)"
DW = "w.diff[k] += dy[n, k, oy, ox] * x[n, :, rows, columns]"
DX = "dx[n, :, rows, columns] += dy[n, k, oy, ox] * w.data[k]"
DB = "self.blobs[1].diff += dy.sum(axis=(0, 2, 3))"
CUT = "bottom[0].diff[...] = dx[:, :, ph:ph + H, pw:pw + W]"
WRONG = [
    Variant("the first place is not counted", WINDOW, SIZE, "(size + 2 * pad - kernel) // stride",
            "first_place_not_counted"),
    Variant("a size is rounded up", WINDOW, SIZE, "-(-(size + 2 * pad - kernel) // stride) + 1", "rounded_up"),
    Variant("a size is a float", WINDOW, SIZE, "(size + 2 * pad - kernel) / stride + 1", "not_rounded"),
    Variant("1 is added before the division", WINDOW, SIZE, "(size + 2 * pad - kernel + 1) // stride",
            "one_added_too_early"),
    Variant("padding on one side", WINDOW, SIZE, "(size + pad - kernel) // stride + 1", "padding_on_one_side"),
    Variant("the default of the stride", FILE, 'pair(self.param, "stride", 1)', 'pair(self.param, "stride", 0)',
            "parameters"),
    Variant("one size for both axes", FILE, 'pair(self.param, "kernel_size")',
            '(pair(self.param, "kernel_size")[0],) * 2', "one_size_for_both_axes"),
    Variant("filters of one channel", FILE, "(self.K, bottom[0].shape[1], *self.kernel)", "(self.K, *self.kernel)",
            "one_channel_filters"),
    Variant("channels before filters", FILE, "(self.K, bottom[0].shape[1], *self.kernel)",
            "(bottom[0].shape[1], self.K, *self.kernel)", "channels_first"),
    Variant("rows and columns of the top", FILE, "(N, self.K, oh, ow)", "(N, self.K, ow, oh)",
            "rows_and_columns_exchanged"),
    Variant("the channels of the bottom", FILE, "(N, self.K, oh, ow)", "(*bottom[0].shape[:2], oh, ow)",
            "channels_of_the_bottom"),
    Variant("the bias is forgotten", FILE, "            y += self.blobs[1].data.reshape(-1, 1, 1)\n",
            "            pass\n", "no_bias"),
    Variant("a filter turned around", FILE, "w[k] * x", "w[k, :, ::-1, ::-1] * x", "filter_turned"),
    Variant("a mean under the filter", FILE, "columns]).sum()", "columns]).mean()", "mean_under_the_filter"),
    Variant("one filter for all", FILE, "w[k] * x", "w[0] * x", "first_filter_for_all"),
    Variant("the sum begins anew for each channel", FILE, SUM, """            for c in range(x.shape[1]):
                y[n, k, oy, ox] = (w[k, c] * x[n, c, rows, columns]).sum()""", "one_channel_alone"),
    Variant("the bias at every weight", FILE, SUM, SEVEN.format(
        start="= -self.blobs[1].data[k] if len(self.blobs) == 2 else 0",
        term="y[n, k, oy, ox] += w[k, c, iy, ix] * x[n, c, rows, columns][iy, ix] + self.blobs[1].data[k]"),
            "bias_at_every_weight"),
    Variant("the window moves by 1", FILE, "slice(oy * sh, oy * sh + kh)", "slice(oy, oy + kh)",
            "stride_of_one_axis_ignored"),
    Variant("no stride at all", FILE, "slice(oy * sh, oy * sh + kh), slice(ox * sw, ox * sw + kw)",
            "slice(oy, oy + kh), slice(ox, ox + kw)", "stride_ignored"),
    Variant("a negative index", FILE, SUM, SEVEN.format(
        start="= 0", term="y[n, k, oy, ox] += w[k, c, iy, ix] * bottom[0].data[n, c, oy * self.stride[0] + iy - "
        "self.pad[0], ox * self.stride[1] + ix - self.pad[1]]"), "negative_index"),
    Variant("all padding at the end", FILE, "        wide[:, :, ph:ph + H, pw:pw + W] = x",
            "        wide[:, :, :H, :W] = x", "padding_does_not_move_the_window"),
    Variant("the pixels of the edge for padding", FILE, "        wide[:, :, ph:ph + H, pw:pw + W] = x",
            "        wide = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), mode='edge')", "edge_repeated"),
    Variant("forward adds to the top", FILE, "y[n, k, oy, ox] = (", "y[n, k, oy, ox] += (", "added_to_top"),
    Variant("dx of the last window", FILE, "dx[n, :, rows, columns] += dy", "dx[n, :, rows, columns] = dy",
            "last_window_alone"),
    Variant("the padding is cut at the end alone", FILE, CUT, "bottom[0].diff[...] = dx[:, :, :H, :W]",
            "padding_cut_at_the_end_alone"),
    Variant("cut to −p where p is 0", FILE, CUT, "bottom[0].diff[...] = dx[:, :, ph:-ph, pw:-pw]", "shapes_do_not_fit"),
    Variant("dx is not cut", FILE, CUT, "bottom[0].diff[...] = dx", "shapes_do_not_fit"),
    Variant("a filter turned around in backward", FILE, DX,
            "dx[n, :, rows, columns] += dy[n, k, oy, ox] * w.data[k, :, ::-1, ::-1]", "filter_turned"),
    Variant("dx is added to", FILE, "bottom[0].diff[...] = dx", "bottom[0].diff[...] += dx", "bottom_diff_added"),
    Variant("the data of the top for its diff", FILE, "self.padded(bottom[0].data), top[0].diff, self.blobs[0]\n",
            "self.padded(bottom[0].data), top[0].data, self.blobs[0]\n", "data_for_diff"),
    Variant("dw is overwritten", FILE, DW, "w.diff[k] = dy[n, k, oy, ox] * x[n, :, rows, columns]",
            "dw_of_the_last_place"),
    Variant("dw begins at 0", FILE, "        dx = np.zeros(x.shape)", "        dx = np.zeros(x.shape)\n        "
            "w.clear_diff()", "dw_overwritten"),
    Variant("dw is a mean", FILE, DW, "w.diff[k] += dy[n, k, oy, ox] * x[n, :, rows, columns] / len(x)",
            "mean_over_the_batch"),
    Variant("db is a mean over places", FILE, DB, "self.blobs[1].diff += dy.mean(axis=(0, 2, 3))", "mean_over_places"),
    Variant("db over the batch alone", FILE, DB, "self.blobs[1].diff += dy.sum(axis=0)", "shapes_do_not_fit"),
    Variant("db is overwritten", FILE, DB, "self.blobs[1].diff[...] = dy.sum(axis=(0, 2, 3))", "db_overwritten"),
    Variant("nothing learns without dx", FILE, "        dx = np.zeros(x.shape)", "        if not propagate_down[0]:\n"
            "            return\n        dx = np.zeros(x.shape)", "weights_depend_on_propagate_down"),
    Variant("propagate_down is ignored", FILE, "if propagate_down[0]:", "if True:", "propagate_down_ignored"),
    Variant("a step down in dw", FILE, DW, "w.diff[k] -= dy[n, k, oy, ox] * x[n, :, rows, columns]", "subtracted"),
    Variant("always a bias", FILE, 'if self.param.get("bias_term", True):', "if True:", "blobs_in_the_list"),
    Variant("the batch of setup", FILE, "        N, _, H, W = bottom[0].shape", "        self.shape = getattr(self, "
            "'shape', bottom[0].shape)\n        N, _, H, W = self.shape", "top_shape"),
]
