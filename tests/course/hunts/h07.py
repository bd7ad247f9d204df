"""Hunt 7: dead ReLUs."""

PLACES = {"net.prototxt": ['    bias_filler { type: "constant" value: -10 }']}
EXPLANATION = """The bias of ip2 begins at −10, and the products that are added to it are much smaller. So ip2 is
negative for every x, relu2 puts out 0, and its slope there is 0: no gradient reaches ip2 or ip1, and the bias can
never come back. These rectifiers are dead. With a bias of 0, or a little above, they live."""
NEAR = {("net.prototxt", 'layer { name: "relu2" type: "ReLU" bottom: "ip2" top: "ip2" }'):
            "That is where it shows, not where it comes from: why is everything negative that reaches this layer?",
        ("net.prototxt", '  name: "ip2"'): "That is the right layer. Which line of it is wrong?"}
MENDED = [("net.prototxt", "value: -10", "value: 0.1")]


def points(run):
    """In the log of debug_info relu2 puts out 0 and hands back 0, and the bias of ip2 is 10 on average."""
    text = run("minicaffe train --solver bug_7/solver.prototxt --override debug_info=true,display=1,max_iter=2")
    assert "[Forward] Layer relu1, top blob ip1 data: 0\n" not in text
    return all(line + "\n" in text for line in (
        "[Forward] Layer relu2, top blob ip2 data: 0", "[Backward] Layer relu2, bottom blob ip2 diff: 0",
        "[Forward] Layer ip2, param blob 1 data: 10"))
