"""Hunt 1: a sign."""

PLACES = {"layers.py": ["            slope = sigma - x * sigma * (1 - sigma)"]}
EXPLANATION = """Swish is a product, y = x · σ(x), so its slope is a sum: σ(x) + x · σ'(x), with σ' = σ · (1 − σ). A
minus stood where the plus belongs. For x near 0 the second term is small, so the net did learn, but badly."""
NEAR = {("net.prototxt", '  name: "bend2"'): "That is the right layer. Which line of its code is wrong?",
        ("layers.py", "class Swish(Layer):"): "That is the right class. Which line of it is wrong?",
        ("layers.py", "            bottom[0].diff[...] = dy * slope"):
            "This line is right: by the chain rule dx is dy times the slope. Is the slope right?"}
MENDED = [("layers.py", "sigma - x * sigma", "sigma + x * sigma")]


def points(run):
    """The command `check` names the layer bend2, which is of the class Swish."""
    return "the first layer that is wrong: layer 'bend2'" in run("minicaffe check bug_1/net.prototxt")
