"""Mistakes of step 1, blob and diff."""

from course_tools import Variant

FILE = "my_caffe/blob.py"
WRONG = [
    Variant("a step uphill", FILE, "self.data -= self.diff", "self.data += self.diff", "uphill"),
    Variant("update makes another array", FILE, "self.data -= self.diff", "self.data = self.data - self.diff",
            "data_replaced"),
    Variant("update writes into a local name", FILE, "self.data -= self.diff", "data = self.data - self.diff  # noqa",
            "nothing_done"),
    Variant("update clears the diff", FILE, "self.data -= self.diff", "self.data -= self.diff; self.diff[...] = 0",
            "diff_cleared"),
    Variant("clear_diff makes another array", FILE, "self.diff[...] = 0", "self.diff = np.zeros(self.shape)",
            "diff_replaced"),
    Variant("clear_diff clears the data too", FILE, "self.diff[...] = 0", "self.diff[...] = 0; self.data[...] = 0",
            "data_cleared"),
    Variant("a list is compared with a tuple", FILE, "tuple(shape) != self.shape", "shape != self.shape",
            "list_is_not_tuple"),
    Variant("reshape always clears", FILE, "if self.data is None or tuple(shape) != self.shape:", "if True:",
            "same_shape_cleared"),
    Variant("one array with two names", FILE, "self.diff = np.zeros(tuple(shape))", "self.diff = self.data",
            "one_array"),
    Variant("reshape forgets the diff", FILE, "            self.diff = np.zeros(tuple(shape))",
            "            self.diff = np.zeros(tuple(shape)) if self.diff is None else self.diff", "one_array_reshaped"),
    Variant("float32", FILE, "self.data = np.zeros(tuple(shape))", "self.data = np.zeros(tuple(shape), np.float32)",
            "number_type"),
    Variant("count is the length", FILE, "math.prod(self.shape)", "len(self.data) if self.shape else 1", "first_size"),
    Variant("count adds the sizes", FILE, "math.prod(self.shape)", "sum(self.shape)", "sum_of_sizes"),
    Variant("sums without absolute values", FILE, "np.abs(self.data).sum()", "self.data.sum()", "plain_sum"),
    Variant("the absolute value of the sum", FILE, "np.abs(self.diff).sum()", "abs(self.diff.sum())", "absolute_sum"),
]
