"""Mistakes of step 14, im2col and the convolution by a matrix product."""

from course_tools import Variant

FILE, LAYER = "my_caffe/im2col.py", "my_caffe/matrix_convolution.py"
RETURN = "    return columns.reshape(C * kh * kw, oh * ow)"
COPY = "        columns[:, iy, ix] = wide[:, iy:iy + sh * oh:sh, ix:ix + sw * ow:sw]"
ADD = "        wide[:, iy:iy + sh * oh:sh, ix:ix + sw * ow:sw] += parts[:, iy, ix]"
MADE = "    columns = np.zeros((C, kh, kw, oh, ow))"
CUT = "    return wide[:, ph:ph + H, pw:pw + W]"
INTO = "    wide[:, ph:ph + H, pw:pw + W] = x"
PRODUCT = "            product = w @ im2col(x, self.kernel, self.stride, self.pad)\n"
Y = "            y[...] = product.reshape(y.shape)"
ROWS = "self.blobs[0].data.reshape(self.K, -1)\n        for"
DW = "            w.diff += (dy @ columns.T).reshape(w.shape)"
DX = "dx = w.data.reshape(self.K, -1).T @ dy"
DB = "self.blobs[1].diff += dy.sum(axis=1)"
BACK = "bottom[0].diff[n] = col2im(dx, bottom[0].shape[1:], self.kernel, self.stride, self.pad)"
WRONG = [
    Variant("windows as rows", FILE, RETURN, RETURN + ".T", "transposed"),
    Variant("windows first, and a reshape", FILE, RETURN,
            "    return columns.transpose(3, 4, 0, 1, 2).reshape(C * kh * kw, oh * ow)", "reshaped_not_transposed"),
    Variant("channels last", FILE, RETURN, "    return columns.transpose(1, 2, 0, 3, 4).reshape(C * kh * kw, oh * ow)",
            "channels_last"),
    Variant("windows by columns", FILE, RETURN,
            "    return columns.transpose(0, 2, 1, 3, 4).reshape(C * kh * kw, oh * ow)", "window_by_columns"),
    Variant("places by columns", FILE, RETURN,
            "    return columns.transpose(0, 1, 2, 4, 3).reshape(C * kh * kw, oh * ow)", "places_by_columns"),
    Variant("slices without a step", FILE, COPY, "        columns[:, iy, ix] = wide[:, iy:iy + oh, ix:ix + ow]",
            "stride_ignored"),
    Variant("slices as long as the image", FILE, COPY, "        columns[:, iy, ix] = wide[:, iy:iy + H:sh, ix:ix + "
            "W:sw]", "shapes_do_not_fit"),
    Variant("all padding at the end", FILE, INTO, "    wide[:, :H, :W] = x", "padding_at_the_end_alone"),
    Variant("the pixels of the edge for padding", FILE, INTO,
            "    wide = np.pad(x, ((0, 0), (ph, ph), (pw, pw)), mode='edge')", "edge_repeated"),
    Variant("a window of one pixel is the image", FILE, MADE, "    if kernel == (1, 1) == stride and not any(pad):\n"
            "        return x.reshape(C, -1)\n" + MADE, "view_of_the_image"),
    Variant("a loop over windows", FILE, "    for iy, ix in np.ndindex(kh, kw):\n" + COPY,
            "    for oy, ox in np.ndindex(oh, ow):\n        columns[..., oy, ox] = wide[:, oy * sh:oy * sh + kh, ox * "
            "sw:ox * sw + kw]", "loop_over_pixels"),
    Variant("col2im overwrites", FILE, ADD, ADD.replace("+=", "="), "shares_lost"),
    Variant("col2im overwrites, window by window", FILE, "    for iy, ix in np.ndindex(kh, kw):\n" + ADD,
            "    for oy, ox in np.ndindex(oh, ow):\n        wide[:, oy * sh:oy * sh + kh, ox * sw:ox * sw + kw] = "
            "parts[..., oy, ox]", "shares_lost"),
    Variant("col2im with arrays of indices", FILE, "    for iy, ix in np.ndindex(kh, kw):\n" + ADD,
            "    c, iy, ix, oy, ox = np.indices(parts.shape)\n    wide[c, oy * sh + iy, ox * sw + ix] += parts",
            "shares_lost"),
    Variant("col2im averages", FILE, CUT, """    seen = np.zeros(wide.shape)
    for iy, ix in np.ndindex(kh, kw):
        seen[:, iy:iy + sh * oh:sh, ix:ix + sw * ow:sw] += 1
    wide /= np.maximum(seen, 1)
""" + CUT, "averaged"),
    Variant("the padding is cut at the end alone", FILE, CUT, "    return wide[:, :H, :W]",
            "padding_cut_at_the_end_alone"),
    Variant("cut to −p where p is 0", FILE, CUT, "    return wide[:, ph:-ph, pw:-pw]", "wrong_shape"),
    Variant("the transpose of Y, and a reshape", LAYER, Y, "            y[...] = product.T.reshape(y.shape)",
            "reshaped_not_transposed"),
    Variant("W by a reshape to (−1, K)", LAYER, ROWS, "self.blobs[0].data.reshape(-1, self.K).T\n        for",
            "weights_reshaped"),
    Variant("W of K columns", LAYER, ROWS, "self.blobs[0].data.reshape(-1, self.K)\n        for", "shapes_do_not_fit"),
    Variant("the columns of the first image for all", LAYER, PRODUCT, PRODUCT.replace("(x,", "(bottom[0].data[0],"),
            "images_mixed"),
    Variant("the bias is forgotten", LAYER, "                y += self.blobs[1].data.reshape(-1, 1, 1)",
            "                pass", "no_bias"),
    Variant("the loops of step 13", LAYER, ROWS, "self.blobs[0].data.reshape(self.K, -1)\n        super().forward("
            "bottom, top)\n        return\n        for", "loop_over_pixels"),
    Variant("dw is overwritten by each image", LAYER, DW, DW.replace("+=", "[...] ="), "dw_of_the_last_image"),
    Variant("dw is overwritten", LAYER, "        w = self.blobs[0]\n", "        w = self.blobs[0]\n"
            "        w.clear_diff()\n", "dw_overwritten"),
    Variant("the transpose of dW, and a reshape", LAYER, DW, "            w.diff += (columns @ dy.T).reshape(w.shape)",
            "reshaped_not_transposed"),
    Variant("dw is a mean", LAYER, DW, DW + " / len(bottom[0].data)", "mean_over_the_batch"),
    Variant("db over the filters", LAYER, DB, "self.blobs[1].diff += dy.sum()", "sum_over_filters"),
    Variant("db is a mean over places", LAYER, DB, "self.blobs[1].diff += dy.mean(axis=1)", "mean_over_places_alone"),
    Variant("W is not transposed", LAYER, DX, "dx = w.data.reshape(self.K, -1) @ dy", "shapes_do_not_fit"),
    Variant("dx is added to", LAYER, BACK, BACK.replace("] = ", "] += "), "bottom_diff_added"),
    Variant("propagate_down is ignored", LAYER, "if propagate_down[0]:", "if True:", "propagate_down_ignored"),
    Variant("dx is a reshape", LAYER, BACK, "bottom[0].diff[n] = dx.reshape(bottom[0].shape[1:])", "shapes_do_not_fit"),
    Variant("no stride in col2im", LAYER, BACK, BACK.replace("self.stride", "(1, 1)"), "shapes_do_not_fit"),
    Variant("nothing learns without dx", LAYER, "        w = self.blobs[0]\n", "        if not propagate_down[0]:\n"
            "            return\n        w = self.blobs[0]\n", "weights_depend_on_propagate_down"),
]
