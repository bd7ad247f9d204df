"""Hunt 5: softmax twice."""

import numpy as np
from traced import blob_of_page

PLACES = {"net.prototxt": ['layer { name: "p" type: "Softmax" bottom: "ip2" top: "p" }']}
EXPLANATION = """The loss takes the softmax of its input itself, so it wants scores, and this layer gives it
probabilities: the softmax is taken twice. Probabilities are at most 1, so the best that the loss can be given is (1,
0, 0), of which it makes −log(e / (e + 2)) = 0.5514. Take the layer out, and let the loss read ip2. A Softmax belongs
in the net that is deployed."""
NEAR = {("loss.py", "        p = e / e.sum(axis=1, keepdims=True)"):
            "This is the second softmax, and it belongs here: a loss that takes it itself is stable, and has a simple "
            "gradient. So which one is too many?",
        ("net.prototxt", '  bottom: "p"'):
            "That is where it shows. The layer that puts out this blob has no place in this net: name that one."}
MENDED = [("net.prototxt", 'layer { name: "p" type: "Softmax" bottom: "ip2" top: "p" }\n', ""),
          ("net.prototxt", '  bottom: "p"', '  bottom: "ip2"')]
GRADIENTS_ARE_RIGHT = True


def points(run):
    """In the trace, the loss is given probabilities: no number is negative, and those of each sample add up to 1."""
    given = blob_of_page(run("minicaffe trace bug_5/net.prototxt --out bug_5/trace.html"), "loss", 0)
    return given.min() >= 0 and np.allclose(given.sum(axis=1), 1)
