"""Mistakes of step 7, Split."""

from course_tools import Variant

SPLIT, ELTWISE, RESIDUAL = (f"my_caffe/{name}.py" for name in ("split", "eltwise", "residual"))
COPY = "y.data[...] = bottom[0].data"
SUM = "bottom[0].diff[...] = sum(y.diff for y in top)"
EACH = "for c, x, asked in zip(self.c, bottom, propagate_down, strict=True):\n            if asked:"
DX = "x.diff[...] = c * top[0].diff"
ADD = "sum(c * x.data for c, x in zip(self.c, bottom, strict=True))"
INPUTS = "[self.result, self.shortcut]"
BACKWARD = """        self.add.backward(top, [True, True], [self.result, self.shortcut])
        self.f.backward([self.result], [True], [self.branch])
        self.split.backward([self.branch, self.shortcut], propagate_down, bottom)
"""
ROWS = BACKWARD.splitlines(keepends=True)
WRONG = [
    Variant("one top is shaped", SPLIT, "        for y in top:\n            y.reshape(bottom[0].shape)",
            "        top[0].reshape(bottom[0].shape)", "not_all_tops_shaped"),
    Variant("one top is written", SPLIT, f"for y in top:\n            {COPY}", "top[0].data[...] = bottom[0].data",
            "not_all_tops_written"),
    Variant("x is divided among the tops", SPLIT, COPY, f"{COPY} / len(top)", "divided_among_tops"),
    Variant("the tops take the array of x", SPLIT, COPY, "y.data = bottom[0].data", "top_replaced"),
    Variant("the other tops take the array of x", SPLIT, f"for y in top:\n            {COPY}",
            "top[0].data[...] = bottom[0].data\n        for y in top[1:]:\n            y.data = bottom[0].data",
            "tops_share_memory"),
    Variant("the last reader wins", SPLIT, SUM, "for y in top:\n                bottom[0].diff[...] = y.diff",
            "last_reader_wins"),
    Variant("the first top alone", SPLIT, SUM, "bottom[0].diff[...] = top[0].diff", "first_top_alone"),
    Variant("two tops alone", SPLIT, SUM, "bottom[0].diff[...] = top[0].diff + top[1].diff", "two_tops_alone"),
    Variant("the first and the last top", SPLIT, SUM, "bottom[0].diff[...] = top[0].diff + top[-1].diff",
            "two_tops_alone"),
    Variant("all numbers are added up", SPLIT, SUM, "bottom[0].diff[...] = sum(y.diff.sum() for y in top)",
            "sum_over_numbers"),
    Variant("the mean of the tops", SPLIT, SUM, f"{SUM} / len(top)", "mean_of_tops"),
    Variant("the data of the tops", SPLIT, SUM, "bottom[0].diff[...] = sum(y.data for y in top)", "data_for_diff"),
    Variant("added to what stands there", SPLIT, SUM, "for y in top:\n                bottom[0].diff[...] += y.diff",
            "bottom_diff_added"),
    Variant("summed in the first top", SPLIT, SUM, "dx = top[0].diff\n            for y in top[1:]:\n"
            "                dx += y.diff\n            bottom[0].diff[...] = dx", "backward_changes_inputs"),
    Variant("Split ignores propagate_down", SPLIT, "if propagate_down[0]:", "if propagate_down:",
            "propagate_down_ignored"),
    Variant("coeff is not read", ELTWISE, 'self.param.get("coeff", [1.0] * len(bottom))', "[1.0] * len(bottom)",
            "coeff_ignored"),
    Variant("summed in the first bottom", ELTWISE, f"        top[0].data[...] = {ADD}", "        y = bottom[0].data\n"
            "        for x in bottom[1:]:\n            y += x.data\n        top[0].data[...] = y", "bottom_changed"),
    Variant("two bottoms", ELTWISE, ADD, "self.c[0] * bottom[0].data + self.c[1] * bottom[1].data",
            "two_bottoms_alone"),
    Variant("the last bottom", ELTWISE, f"top[0].data[...] = {ADD}",
            "for c, x in zip(self.c, bottom):\n            top[0].data[...] = c * x.data", "last_bottom_alone"),
    Variant("added to the top", ELTWISE, f"top[0].data[...] = {ADD}",
            "for c, x in zip(self.c, bottom):\n            top[0].data[...] += c * x.data", "added_to_top"),
    Variant("the slope without c", ELTWISE, DX, "x.diff[...] = top[0].diff", "coeff_not_in_slope"),
    Variant("y for dy", ELTWISE, DX, "x.diff[...] = c * top[0].data", "data_for_diff"),
    Variant("dy is divided among the bottoms", ELTWISE, DX, f"{DX} / len(bottom)", "divided_among_bottoms"),
    Variant("the bottoms' diffs are added to", ELTWISE, DX, "x.diff[...] += c * top[0].diff", "bottom_diff_added"),
    Variant("the bottoms take the array of dy", ELTWISE, DX, "x.diff = c * top[0].diff", "diff_replaced"),
    Variant("the first flag for all", ELTWISE, EACH, "for c, x in zip(self.c, bottom):\n"
            "            if propagate_down[0]:", "propagate_down_ignored"),
    Variant("a flag stops the loop", ELTWISE, EACH, "for c, x, asked in zip(self.c, bottom, propagate_down):\n"
            "            if not asked:\n                return\n            else:", "first_flag_for_all"),
    Variant("all layers are set up before the first reshape", RESIDUAL,
            "layer.setup(bottoms, tops)\n            layer.reshape", "layer.setup(bottoms, tops)\n"
            "        for layer, bottoms, tops in self._rows(bottom, top):\n            layer.reshape",
            "shape_not_known_in_setup"),
    Variant("the shortcut is the result of f", RESIDUAL, f"(self.add, {INPUTS}, top)",
            "(self.add, [self.result, self.result], top)", "shortcut_behind_f"),
    Variant("f is around itself", RESIDUAL, f"(self.add, {INPUTS}, top)",
            "(self.add, [self.branch, self.shortcut], top)", "f_has_not_run"),
    Variant("forward in backward order", RESIDUAL, "in self._rows(bottom, top):\n            layer.forward",
            "in reversed(self._rows(bottom, top)):\n            layer.forward", "forward_in_backward_order"),
    Variant("backward in forward order", RESIDUAL, BACKWARD, "".join(reversed(ROWS)), "backward_in_forward_order"),
    Variant("f runs after the Split", RESIDUAL, BACKWARD, ROWS[0] + ROWS[2] + ROWS[1], "layer_lost"),
    Variant("f writes into the bottom", RESIDUAL, BACKWARD, ROWS[0]
            + "        self.f.backward([self.result], propagate_down, bottom)\n", "shortcut_lost"),
    Variant("the Split before f, which overwrites", RESIDUAL, BACKWARD, ROWS[0] + ROWS[2] + ROWS[1].replace(
        "[True], [self.branch]", "propagate_down, bottom"), "shortcut_lost"),
    Variant("the weights are not shown", RESIDUAL, "        self.blobs = self.f.blobs\n", "", "weights_not_found"),
    Variant("f does not learn without dx", RESIDUAL, BACKWARD, "        if not propagate_down[0]:\n            return\n"
            + BACKWARD, "weights_depend_on_propagate_down"),
    Variant("the block ignores propagate_down", RESIDUAL, "propagate_down, bottom)\n\n", "[True], bottom)\n\n",
            "propagate_down_ignored"),
    Variant("the block shapes its top alone", RESIDUAL, """    def reshape(self, bottom, top):
        for layer, bottoms, tops in self._rows(bottom, top):
            layer.reshape(bottoms, tops)
""", """    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)
""", "shapes_do_not_fit"),
]
