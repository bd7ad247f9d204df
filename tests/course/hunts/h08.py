"""Hunt 8: an in-place overwrite."""

from traced import data_of, steps_of_layer

PLACES = {"layers.py": ["        y = bottom[0].data", "        y -= y.mean(axis=1, keepdims=True)"]}
EXPLANATION = """y is no copy: it is another name for bottom[0].data, and `y -= …` overwrites what the layer before
has put out. Center does not need it any more, but the backward pass of that layer does: Sigmoid computes dx = dy · y
· (1 − y) from its top, and finds other numbers there. With y = bottom[0].data − mean, a new array is made. A layer
may write its tops, and nothing else."""
NEAR = {("net.prototxt", 'layer { name: "sigmoid" type: "Sigmoid" bottom: "ip2" top: "sigmoid" }'):
            "That is where it shows, not where it comes from: who changes its top after it has run?",
        ("net.prototxt", '  name: "center"'): "That is the right layer. Which line of its code is wrong?",
        ("layers.py", "        top[0].data[...] = y"):
            "This line is right: the top gets the right numbers. And the bottom?"}
MENDED = [("layers.py", "        y = bottom[0].data\n        y -= y.mean(axis=1, keepdims=True)\n",
           "        x = bottom[0].data\n        y = x - x.mean(axis=1, keepdims=True)\n")]


def points(run):
    """The command `check` names the layer that reads the numbers, and the trace has the line that overwrites them."""
    page = data_of(run("minicaffe trace bug_8/net.prototxt --batch 2 --out bug_8/trace.html"))
    overwrites = [text for text, step in steps_of_layer(page, "center", "forward")
                  if "bottom[0].data" in step.get("also", [])]
    return "first layer that is wrong: layer 'sigmoid'" in run("minicaffe check bug_8/net.prototxt") and \
        ["y -= y.mean(axis=1, keepdims=True)"] == overwrites
