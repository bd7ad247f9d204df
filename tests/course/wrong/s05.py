"""Mistakes of step 5, InnerProduct."""

from course_tools import Variant

FILE = "my_caffe/inner_product.py"
DW = "        self.blobs[0].diff += dy.T @ x"
DB = "self.blobs[1].diff += dy.sum(axis=0)"
WRONG = [
    Variant("weights (D, K)", FILE, "Blob((self.K, self.D))", "Blob((self.D, self.K))", "weights_transposed"),
    Variant("one axis for D", FILE, "math.prod(bottom[0].shape[1:])", "bottom[0].shape[1]", "one_axis_alone"),
    Variant("the batch in D", FILE, "math.prod(bottom[0].shape[1:])", "bottom[0].count", "batch_in_the_weights"),
    Variant("always a bias", FILE, 'if self.param.get("bias_term", True):', "if True:", "blobs_in_the_list"),
    Variant("the bias is forgotten", FILE, "            y += self.blobs[1].data\n", "            pass\n", "no_bias"),
    Variant("a reshape for a transpose", FILE, "self.blobs[0].data.T", "self.blobs[0].data.reshape(self.D, self.K)",
            "reshaped_not_transposed"),
    Variant("no transpose", FILE, "self.blobs[0].data.T", "self.blobs[0].data", "shapes_do_not_fit"),
    Variant("dw is overwritten", FILE, DW, "        self.blobs[0].diff[...] = dy.T @ x", "dw_overwritten"),
    Variant("db is overwritten", FILE, DB, "self.blobs[1].diff[...] = dy.sum(axis=0)", "db_overwritten"),
    Variant("dw is another array", FILE, DW, "        self.blobs[0].diff = self.blobs[0].diff + dy.T @ x",
            "diff_replaced"),
    Variant("dw is a mean", FILE, DW, "        self.blobs[0].diff += dy.T @ x / len(x)", "mean_over_the_batch"),
    Variant("db is a mean", FILE, DB, "self.blobs[1].diff += dy.mean(axis=0)", "mean_over_the_batch"),
    Variant("db over all axes", FILE, DB, "self.blobs[1].diff += dy.sum()", "sum_over_outputs"),
    Variant("db is forgotten", FILE, DB, "pass", "db_forgotten"),
    Variant("a step down in dw", FILE, DW, "        self.blobs[0].diff -= dy.T @ x", "subtracted"),
    Variant("the data of the top for its diff", FILE, "bottom[0].data.reshape(-1, self.D), top[0].diff",
            "bottom[0].data.reshape(-1, self.D), top[0].data", "data_for_diff"),
    Variant("dx is added to", FILE, "bottom[0].diff[...] = dx", "bottom[0].diff[...] += dx", "bottom_diff_added"),
    Variant("nothing learns without dx", FILE, DW, "        if not propagate_down[0]:\n            return\n" + DW,
            "weights_depend_on_propagate_down"),
    Variant("propagate_down is ignored", FILE, "if propagate_down[0]:", "if True:", "propagate_down_ignored"),
    Variant("dx without the axes of an image", FILE, "dx.reshape(bottom[0].shape)", "dx", "shapes_do_not_fit"),
]
