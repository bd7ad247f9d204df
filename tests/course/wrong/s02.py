"""Mistakes of step 2, a layer by hand."""

from course_tools import Variant

FILE = "my_caffe/power.py"
FORWARD = """        t = self.s * bottom[0].data + self.b
        top[0].data[...] = t ** self.p"""
BACKWARD = "bottom[0].diff[...] = top[0].diff * self.p * t ** (self.p - 1) * self.s"
WRONG = [
    Variant("shift before scale", FILE, FORWARD, "        top[0].data[...] = (self.s * (bottom[0].data + self.b)) ** "
            "self.p",
            "shift_before_scale"),
    Variant("the power before s", FILE, FORWARD, "        top[0].data[...] = self.s * (bottom[0].data + self.b) ** "
            "self.p", "shift_before_scale"),
    Variant("the power of x", FILE, FORWARD, "        top[0].data[...] = self.s * bottom[0].data ** self.p + self.b",
            "power_first"),
    Variant("p times t", FILE, "t ** self.p\n", "t * self.p\n", "power_multiplied"),
    Variant("t without the power", FILE, "top[0].data[...] = t ** self.p", "top[0].data[...] = t", "no_power"),
    Variant("another array for the top", FILE, "top[0].data[...] = t", "top[0].data = t", "top_replaced"),
    Variant("a local name for the top", FILE, "top[0].data[...] = t", "y = t", "nothing_written"),
    Variant("the bottom is scaled in place", FILE, FORWARD, """        t = bottom[0].data
        t *= self.s
        t += self.b
        top[0].data[...] = t ** self.p""", "bottom_changed"),
    Variant("the slope without s", FILE, " ** (self.p - 1) * self.s", " ** (self.p - 1)", "no_scale_in_slope"),
    Variant("the slope without p", FILE, "top[0].diff * self.p * t", "top[0].diff * t", "no_power_in_slope"),
    Variant("the exponent is kept", FILE, "** (self.p - 1)", "** self.p", "exponent_kept"),
    Variant("the diff of the top is forgotten", FILE, "top[0].diff * self.p", "self.p", "no_dy"),
    Variant("the data of the top for its diff", FILE, "top[0].diff * self.p", "top[0].data * self.p", "data_for_diff"),
    Variant("the slope at x", FILE, "self.p * t ** (", "self.p * bottom[0].data ** (", "x_for_t"),
    Variant("backward adds", FILE, "bottom[0].diff[...] = top", "bottom[0].diff[...] += top", "bottom_diff_added"),
    Variant("another array for the diff", FILE, "bottom[0].diff[...] = top", "bottom[0].diff = top", "diff_replaced"),
    Variant("propagate_down is ignored", FILE, "if propagate_down[0]:", "if propagate_down:", "propagate_down_ignored"),
    Variant("the diff of the top is multiplied in place", FILE, BACKWARD, """dy = top[0].diff
            dy *= self.p * t ** (self.p - 1) * self.s
            bottom[0].diff[...] = dy""", "backward_changes_inputs"),
    Variant("y divided by t", FILE, "t ** (self.p - 1) * self.s", "t ** self.p / t * self.s", "y_over_t"),
    Variant("the shape is set once", FILE, """    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)""", """        top[0].reshape(bottom[0].shape)

    def reshape(self, bottom, top):
        pass""", "top_shape"),
    Variant("the default of s", FILE, 'self.param.get("scale", 1.0)', 'self.param.get("scale", 0.0)', "parameters"),
]
