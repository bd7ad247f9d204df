"""Hunt 4: shifted labels."""

import numpy as np
from traced import blob_of_page

PLACES = {"feed.py": ["            self.at = (self.at + 1) % len(self.order)",
                      "            top[1].data[n] = self.labels[self.order[self.at]]"]}
EXPLANATION = """self.at moves on between the sample and its label, so each sample gets the label of the next one in
the order. The labels are shifted by one. The order is random, so they say nothing of the samples, and nothing can be
learned. The last two lines of the loop belong in the other order."""
NEAR = {("feed.py", "            top[0].data[n] = self.samples[self.order[self.at]]"):
            "This line is right. Follow self.at from here to the end of the loop.",
        ("feed.py", "        self.labels = self.samples.argmax(axis=1)"):
            "These labels are right: each has the place of the sample that it belongs to. What happens to them later?"}
MENDED = [("feed.py", "            self.at = (self.at + 1) % len(self.order)\n"
           "            top[1].data[n] = self.labels[self.order[self.at]]\n",
           "            top[1].data[n] = self.labels[self.order[self.at]]\n"
           "            self.at = (self.at + 1) % len(self.order)\n")]
GRADIENTS_ARE_RIGHT = True


def points(run):
    """In the trace, labels of the first batch are not the places of the largest numbers."""
    page = run("minicaffe trace bug_4/net.prototxt --out bug_4/trace.html")
    samples, labels = blob_of_page(page, "feed", "x"), blob_of_page(page, "feed", "label")
    return not np.array_equal(samples.argmax(axis=1), labels)
