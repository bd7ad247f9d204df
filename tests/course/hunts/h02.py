"""Hunt 2: a forgotten 1/N."""

PLACES = {"loss.py": ["        slope = loss_weight * np.tanh(self.d)"]}
EXPLANATION = """The loss is a mean over N samples, so its gradient has the factor 1/N: slope = loss_weight · tanh(d)
/ N. Forward divides by N, and backward has forgotten it. With one sample nobody sees that. With 100 samples each step
is 100 times too long."""
NEAR = {("loss.py", "        top[0].data[...] = cells.sum() / len(prediction)"):
            "This line is right: the loss is the mean over the batch. What follows from it for the gradient?",
        ("loss.py", "            bottom[0].diff[...] = slope"):
            "That is where it shows, not where it comes from: the slope is wrong already.",
        ("loss.py", "            bottom[1].diff[...] = -slope"):
            "The sign is right, because d = prediction − target. The slope is wrong already."}
MENDED = [("loss.py", "loss_weight * np.tanh(self.d)", "loss_weight * np.tanh(self.d) / len(self.d)")]


def points(run):
    """The command `check` names the loss, and a factor that is the size of the batch."""
    two, seven = run("minicaffe check bug_2/net.prototxt"), run("minicaffe check bug_2/net.prototxt --batch 7")
    return "layer 'loss'" in two and "2 times the right one" in two and "7 times the right one" in seven
