"""Mistakes of step 8, SGD."""

from course_tools import Variant

FILE = "my_caffe/sgd.py"
STEP = "blob.data[...] -= self.rate() * blob.diff"
COUNTED = f"        for blob in self.params:\n            {STEP}\n        self.iteration += 1\n"
RATE = "self.lr * self.gamma ** (self.iteration // self.stepsize)"
CLEAR = "            blob.clear_diff()"
FIRST = "        solver.clear_diffs()\n        loss = net.forward(x, t)\n        losses.append(float(loss))\n"
LAST = "        net.backward()\n        solver.step()\n"
WRONG = [
    Variant("a step uphill", FILE, STEP, STEP.replace("-=", "+="), "uphill"),
    Variant("a rate of 1", FILE, STEP, "blob.update()", "no_rate"),
    Variant("the rate divides", FILE, STEP, "blob.data[...] -= blob.diff / self.rate()", "rate_divides"),
    Variant("the rate twice", FILE, STEP, "blob.diff[...] *= self.rate(); blob.data[...] -= self.rate() * blob.diff",
            "rate_twice"),
    Variant("the step becomes the weight", FILE, STEP, "blob.data[...] = -self.rate() * blob.diff", "step_for_weight"),
    Variant("the weight for its diff", FILE, STEP, "blob.data[...] -= self.rate() * blob.data", "weight_scaled"),
    Variant("another array for the weights", FILE, STEP, "blob.data = blob.data - self.rate() * blob.diff",
            "data_replaced"),
    Variant("a local name for the weights", FILE, STEP, "w = blob.data; w = w - self.rate() * blob.diff",
            "nothing_done"),
    Variant("a return inside the loop", FILE, COUNTED, f"        for blob in self.params:\n            {STEP}\n"
            "            self.iteration += 1\n            return\n", "first_param_alone"),
    Variant("each blob is counted", FILE, COUNTED, f"        for blob in self.params:\n            {STEP}\n"
            "            self.iteration += 1\n", "steps_and_params"),
    Variant("counted before the step", FILE, COUNTED, "        self.iteration += 1\n        for blob in self.params:\n"
            f"            {STEP}\n", "counted_before_the_step"),
    Variant("not counted", FILE, "        self.iteration += 1\n", "", "not_counted"),
    Variant("step takes lr", FILE, STEP, "blob.data[...] -= self.lr * blob.diff", "rate_not_asked"),
    Variant("the diffs are other arrays", FILE, CLEAR, "            blob.diff = 0 * blob.diff", "diff_replaced"),
    Variant("one diff is cleared", FILE, f"        for blob in self.params:\n{CLEAR}",
            "        self.params[0].clear_diff()", "not_cleared"),
    Variant("the weights are cleared", FILE, CLEAR, "            blob.diff[...] = blob.data[...] = 0", "data_cleared"),
    Variant("a rate between", FILE, RATE, "self.lr * self.gamma ** (self.iteration / self.stepsize)",
            "not_the_whole_part"),
    Variant("the rate falls one iteration early", FILE, RATE, "self.lr * self.gamma ** ((self.iteration + 1) // "
            "self.stepsize)", "one_iteration_early"),
    Variant("the rate falls at each iteration", FILE, RATE, "self.lr * self.gamma ** self.iteration", "each_iteration"),
    Variant("the remainder", FILE, RATE, "self.lr * self.gamma ** (self.iteration % self.stepsize)", "remainder"),
    Variant("gamma times the quotient", FILE, RATE, "self.lr * self.gamma * (self.iteration // self.stepsize)",
            "no_power"),
    Variant("rate returns nothing", FILE, f"        return {RATE}", f"        {RATE}", "no_return"),
    Variant("lr itself falls", FILE, f"        return {RATE}", "        if self.iteration % self.stepsize == 0:\n"
            "            self.lr *= self.gamma\n        return self.lr", "rate_compounds"),
    Variant("the diffs are not cleared", FILE, "        solver.clear_diffs()\n", "", "not_cleared"),
    Variant("the diffs are cleared once", FILE, "    for x, t in batches:\n        solver.clear_diffs()\n",
            "    solver.clear_diffs()\n    for x, t in batches:\n", "not_cleared"),
    Variant("cleared behind the step", FILE, FIRST + LAST, FIRST.replace("        solver.clear_diffs()\n", "") + LAST
            + "        solver.clear_diffs()\n", "first_not_cleared"),
    Variant("cleared before the step", FILE, LAST, "        net.backward()\n        solver.clear_diffs()\n"
            "        solver.step()\n", "nothing_learned"),
    Variant("backward is forgotten", FILE, LAST, "        solver.step()\n", "nothing_learned"),
    Variant("step before backward", FILE, FIRST + LAST, FIRST.replace("        solver.clear_diffs()\n", "")
            + "        solver.step()\n        solver.clear_diffs()\n        net.backward()\n", "one_batch_late"),
    Variant("backward begins with the loss", FILE, "net.backward()", "net.backward(loss)", "loss_for_weight"),
    Variant("a return inside of train's loop", FILE, "    return losses", "        return losses", "one_batch_alone"),
    Variant("the losses are added up", FILE, "losses.append(float(loss))", "losses.append(float(loss) + sum("
            "losses[-1:]))", "sum_of_losses"),
    Variant("one step for all batches", FILE, FIRST + LAST + "    return", "        loss = net.forward(x, t)\n"
            "        losses.append(float(loss))\n        if len(losses) == 1:\n            solver.clear_diffs()\n"
            "        net.backward()\n    solver.step()\n    return", "one_step_for_all"),
    Variant("the net is set up in each iteration", FILE, FIRST, "        net.setup(x, t)\n" + FIRST, "set_up_again"),
    Variant("the array of the loss is kept", FILE, "losses.append(float(loss))", "losses.append(loss)",
            "same_array_in_list"),
    Variant("the loss after the step", FILE, FIRST + LAST, "        solver.clear_diffs()\n        net.forward(x, t)\n"
            + LAST + "        losses.append(float(net.forward(x, t)))\n", "loss_after_the_step"),
    Variant("only the last loss", FILE, "    return losses", "    return losses[-1]", "last_loss_alone"),
    Variant("losses are arrays", FILE, "losses.append(float(loss))", "losses.append(loss.copy())", "no_floats"),
]
