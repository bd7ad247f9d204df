"""Mistakes of step 9, momentum and decay."""

from course_tools import Variant

FILE = "my_caffe/momentum.py"
V = "v[...] = self.momentum * v + rate * (blob.diff + self.weight_decay * blob.data)"
W = "blob.data[...] -= v"
BOTH = f"            {V}\n            {W}\n"
HISTORY = "[np.zeros_like(blob.data) for blob in params]"
LOOP = "for blob, v in zip(self.params, self.history, strict=True):"
BY_NUMBER = "        for i, (blob, v) in enumerate(zip(self.params, self.history)):\n"
LAST_STEP = """            step = rate * (blob.diff + self.weight_decay * blob.data)
            blob.data[...] -= self.momentum * v + step
            v[...] = step
"""
BODY = f"        rate = self.rate()\n        {LOOP}\n{BOTH}"
WRONG = [
    Variant("the velocities begin with the weights", FILE, HISTORY, "[blob.data.copy() for blob in params]",
            "begins_with_the_weights"),
    Variant("a velocity is one number", FILE, HISTORY, "[np.zeros(()) for blob in params]", "one_number_for_all"),
    Variant("one velocity", FILE, HISTORY, "[np.zeros_like(params[0].data)]", "velocity_for_each_blob"),
    Variant("the velocity of the first blob for all", FILE, HISTORY, "[np.zeros_like(params[0].data)] * len(params)",
            "velocity_for_each_blob"),
    Variant("the diff is the velocity", FILE, f"        {LOOP}\n{BOTH}", BY_NUMBER + f"            {V}\n"
            f"            blob.diff[...] = v\n            self.history[i] = blob.diff\n            {W}\n",
            "history_is_the_diff"),
    Variant("a step uphill", FILE, W, W.replace("-=", "+="), "uphill"),
    Variant("no rate", FILE, V, V.replace("rate * ", ""), "no_rate"),
    Variant("the rate in both lines", FILE, W, "blob.data[...] -= rate * v", "rate_twice"),
    Variant("SGD's step too", FILE, "        self.iteration += 1\n", "        super().step()\n", "stepped_twice"),
    Variant("the velocity becomes the weight", FILE, W, "blob.data[...] = -v", "velocity_for_weight"),
    Variant("the weight before the velocity", FILE, BOTH, f"            {W}\n            {V}\n", "one_step_late"),
    Variant("another array for the weights", FILE, W, "blob.data = blob.data - v", "data_replaced"),
    Variant("no decay", FILE, V, V.replace(" + self.weight_decay * blob.data", ""), "no_decay"),
    Variant("parentheses are missing", FILE, V, "v[...] = self.momentum * v + rate * blob.diff + self.weight_decay * "
            "blob.data", "decay_without_rate"),
    Variant("the sign of the decay", FILE, V, V.replace("diff + self", "diff - self"), "decay_has_wrong_sign"),
    Variant("the slope of w²", FILE, V, V.replace("self.weight_decay", "2 * self.weight_decay"), "decay_without_half"),
    Variant("the ½ of the loss", FILE, V, V.replace("self.weight_decay", "0.5 * self.weight_decay"), "half_the_decay"),
    Variant("decay by the sign", FILE, V, V.replace("blob.data", "np.sign(blob.data)"), "decay_of_the_sign"),
    Variant("decay of the gradient", FILE, V, V.replace("blob.data", "blob.diff"), "decay_of_the_gradient"),
    Variant("decay after the step", FILE, BOTH, BOTH.replace(" + self.weight_decay * blob.data", "")
            + "            blob.data[...] *= 1 - rate * self.weight_decay\n", "decay_of_the_new_weight"),
    Variant("momentum and decay exchanged", FILE, "momentum, weight_decay\n", "weight_decay, momentum\n",
            "decay_for_momentum"),
    Variant("a mean of the gradients", FILE, V, V.replace("rate * (", "(1 - self.momentum) * rate * ("), "dampened"),
    Variant("a local velocity", FILE, V, V.replace("v[...]", "v"), "nothing_kept"),
    Variant("only the last step is kept", FILE, BOTH, LAST_STEP, "last_step_alone"),
    Variant("the rate outside", FILE, BOTH, BOTH.replace("rate * (", "(").replace("-= v", "-= rate * v"),
            "rate_outside"),
    Variant("the rate for the velocity too", FILE, V, "v[...] = rate * (self.momentum * v + blob.diff + "
            "self.weight_decay * blob.data)", "rate_for_the_velocity"),
    Variant("nothing fades", FILE, V, V.replace("self.momentum * v", "v"), "momentum_is_one"),
    Variant("Nesterov's step", FILE, f"{V}\n            {W}", f"old = v.copy()\n            {V}\n"
            "            blob.data[...] -= (1 + self.momentum) * v - self.momentum * old\n", "nesterov"),
    Variant("decay outside", FILE, BOTH, "            w = blob.data.copy()\n" + BOTH.replace(
        " + self.weight_decay * blob.data", "") + "            blob.data[...] -= rate * self.weight_decay * w\n",
        "decay_outside"),
    Variant("gamma is not handed on", FILE, "__init__(params, lr, gamma, stepsize)", "__init__(params, lr)",
            "policy_lost"),
    Variant("momentum is what gets lost", FILE, V, V.replace("self.momentum", "(1 - self.momentum)"),
            "momentum_reversed"),
    Variant("the rate does not fall", FILE, "rate = self.rate()", "rate = self.lr", "rate_not_asked"),
    Variant("not counted", FILE, "        self.iteration += 1\n", "", "not_counted"),
    Variant("counted before the step", FILE, f"{BODY}        self.iteration += 1\n",
            f"        self.iteration += 1\n{BODY}", "counted_before_the_step"),
    Variant("counted for each blob", FILE, "        self.iteration += 1\n", "            self.iteration += 1\n",
            "steps_counted"),
    Variant("asked and counted for each blob", FILE, f"{BODY}        self.iteration += 1\n", f"        {LOOP}\n"
            f"            rate = self.rate()\n{BOTH}            self.iteration += 1\n", "steps_counted"),
    Variant("the velocity has the minus", FILE, BOTH, BOTH.replace("+ rate", "- rate").replace("-= v", "+= v"),
            "velocity_has_other_sign"),
]
