"""Hunt 6: a rate too high."""

import re

PLACES = {"net.prototxt": ["  param { lr_mult: 100 }"]}
EXPLANATION = """The rate of these weights is base_lr · lr_mult = 10, and that of all others is 0.1 or 0.2. The first
step makes them four times as large as they were, the scores run away, and after some more steps the rectifiers behind
them put out 0 for every point. Then no gradient comes back, and the net guesses for ever. With lr_mult: 1 it
learns."""
NEAR = {("solver.prototxt", "base_lr: 0.1"):
            "This rate is right for all weights but one. Where is that one's own rate?",
        ("net.prototxt", '  name: "ip2"'): "That is the right layer. Which line of it is wrong?",
        ("net.prototxt", 'layer { name: "relu2" type: "ReLU" bottom: "ip2" top: "ip2" }'):
            "It puts out 0 at last, but that is where it shows, not where it comes from."}
MENDED = [("net.prototxt", "lr_mult: 100", "lr_mult: 1")]
GRADIENTS_ARE_RIGHT = True


def points(run):
    """In the log of debug_info, one step makes the weights of ip2 much larger, and changes no other weights as much."""
    text = run("minicaffe train --solver bug_6/solver.prototxt --override debug_info=true,display=1,max_iter=2")
    sizes = {}
    for layer, size in re.findall(r"\[Forward\] Layer (\w+), param blob 0 data: (\S+)", text):
        sizes.setdefault(layer, []).append(float(size))
    assert {"ip1", "ip2", "ip3"} == set(sizes)
    return ["ip2"] == [layer for layer, (before, after, *_) in sizes.items() if abs(after / before - 1) > 0.1]
