"""Hunt 9: statistics at the wrong phase."""

from traced import data_of, steps_of_layer

PLACES = {"norm.py": ["        if len(x) > 1:"]}
EXPLANATION = """The phase decides which statistics count, not the size of the batch: if self.phase == TRAIN, with
TRAIN from minicaffe.proto. In a test this layer took the mean of the batch. Where all points are of one cloud, that
mean lies within the cloud, and half of the points end up on the other side. It also changed the running statistics
during the test."""
NEAR = {("norm.py", "            mean, var = x.mean(axis=0), x.var(axis=0)"):
            "These are right in training. Who decides that they are also used in a test?",
        ("norm.py", "            mean, var = self.blobs[0].data, self.blobs[1].data"):
            "That is what a test should use. Why does it not come here?",
        ("norm.py", "                running.data[...] = KEPT * running.data + (1 - KEPT) * new"):
            "That should not run in a test, but this is where it shows, not where it comes from.",
        ("net.prototxt", '  name: "norm"'): "That is the right layer. Which line of its code is wrong?"}
MENDED = [("norm.py", "if len(x) > 1:", "if self.phase == TRAIN:"),
          ("norm.py", "from minicaffe.layer import Layer\n",
           "from minicaffe.layer import Layer\nfrom minicaffe.proto import TRAIN\n")]
GRADIENTS_ARE_RIGHT = True


def points(run):
    """In the trace of the phase TEST, the layer measures the batch."""
    page = data_of(run("minicaffe trace bug_9/net.prototxt --phase TEST --out bug_9/trace.html"))
    return any("x.mean(axis=0)" in text for text, _ in steps_of_layer(page, "norm", "forward"))
