"""Hunt 3: a missing sum in Split."""

PLACES = {"layers.py": ["            for blob in top:", "                bottom[0].diff[...] = blob.diff"]}
EXPLANATION = """The blob x reaches the loss on two ways, and its gradient is the sum over both: dx = dy₁ + dy₂. The
loop assigns where it should add up, so that each top overwrites the one before it, and only the last one is left.
minicaffe's own Split adds them. bottom[0].diff must be overwritten all the same: begin with the first top's diff, or
with 0."""
NEAR = {("layers.py", "class Fork(Layer):"): "That is the right class. Which line of it is wrong?",
        ("net.prototxt", '  name: "fork"'): "That is the right layer. Which line of its code is wrong?",
        ("net.prototxt", '  name: "ip"'): "That is where it shows, not where it comes from."}
MENDED = [("layers.py", "            for blob in top:\n                bottom[0].diff[...] = blob.diff",
           "            bottom[0].diff[...] = sum(blob.diff for blob in top)")]


def points(run):
    """The command `check` names the layer fork, and the top whose diff is all that it has."""
    text = run("minicaffe check bug_3/net.prototxt")
    return "first layer that is wrong: layer 'fork'" in text and "a sum is missing" in text
