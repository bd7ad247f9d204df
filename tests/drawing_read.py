"""Read drawings back: which layer stands in which box and what the lines join. And nets to try that on."""

import random
import re
import xml.etree.ElementTree as ET
from collections import Counter

from net_tools import inputs, layer

SVG = "{http://www.w3.org/2000/svg}"


def random_net(seed):
    """A net of layers that keep the shape (2, 6, 3, 4), so that blobs fork, join, end, and are changed in place."""
    choose = random.Random(seed)
    text, blobs, read = inputs(a=(2, 6, 3, 4), b=(2, 6, 3, 4)), ["a", "b"], {"a", "b"}

    def some():
        blob = choose.choice(blobs[-5:])
        read.add(blob)
        return blob

    for n in range(choose.randrange(3, 40)):
        kind = choose.choice(["TanH", "Eltwise", "Concat", "Slice", "Silence", "in place", "in place"])
        made = []
        if kind == "in place":
            blob = choose.choice(blobs[-5:])
            if blob not in read:  # Caffe refuses what changes a blob that another layer has read
                text += layer(choose.choice(["ReLU", "Dropout", "Power"]), blob, blob, name=f"in{n}")
        elif kind == "Silence":
            text += layer("Silence", f"{some()} {some()}", "", name=f"end{n}")
        elif kind == "Slice":
            text += layer("Slice", some(), f"s{n} u{n}", "slice_param { axis: 1 }", name=f"slice{n}")
            text += layer("Concat", f"u{n} s{n}", f"j{n}")
            made = [f"j{n}"]
        elif kind == "Concat":
            text += layer("Concat", f"{some()} {some()}", f"c{n}")
            made = [f"x{n}", f"y{n}"]
            text += layer("Slice", f"c{n}", " ".join(made), "slice_param { axis: 1 }", name=f"cut{n}")
        else:
            text += layer(kind, f"{some()} {some()}" if kind == "Eltwise" else some(), f"v{n}")
            made = [f"v{n}"]
        blobs += made
    return text


def ways(net, is_split):
    """From which layer to which each blob goes, by the names in the net's definition; a Split is looked through."""
    found, maker = set(), {}
    for i, one in enumerate(net.param.layer):
        if is_split(i):
            maker.update((top, maker[one.bottom[0]]) for top in one.top)
            continue
        found |= {(*maker[name], i) for name in one.bottom}
        maker.update((top, (i, top)) for top in one.top)
    return found


class Picture:
    """What can be read from the SVG: which layer stands in which box, and what the lines join."""

    def __init__(self, net, svg):
        root = ET.fromstring(svg)
        self.splits, self.box, self.shown, self.place = set(), {}, {}, {}
        first = None
        for group in root.iter(f"{SVG}g"):
            classes = group.get("class", "").split()
            if "layer" not in classes:
                continue
            layers = [int(n) for n in group.get("data-layers").split()]
            assert int(group.get("data-layer")) == layers[0]
            assert not self.shown.keys() & set(layers), "a layer is drawn twice"
            self.shown.update((n, layers[0]) for n in layers)
            if "split" in classes:
                self.splits.update(layers)
                continue
            first = first if "in-place" in classes else layers[0]
            self.box.update((n, first) for n in layers)
            rect = group.find(f"{SVG}rect[@class='box']")
            x, y, w, h = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
            old = self.place.get(first, (x, y, x + w, y))
            self.place[first] = (old[0], old[1], old[2], y + h)
        assert set(self.shown) == set(range(len(net.layers)))
        self.lines = [(line.get("data-from"), line.get("data-to"), end(line.get("d")))
                      for line in root.iter(f"{SVG}path") if "wire" in line.get("class", "").split()]
        self.joined = Counter((int(a), int(b)) for a, b, _ in self.lines if a and b)


def assert_drawn(net, picture):
    """Each way of a blob has a line that ends at its reader's upper edge, and every line is such a way.

    No box covers another.
    """
    assert real(net, picture) == picture.joined
    for _, reader, (x, y) in picture.lines:
        if reader:
            left, top, right, _ = picture.place[int(reader)]
            assert left <= x <= right
            assert y == top
    boxes = list(picture.place.values())
    for n, (left, top, right, bottom) in enumerate(boxes):
        assert not any(left < r and x < right and top < b and y < bottom for x, y, r, b in boxes[:n])


def end(path):
    """The point at which a path ends."""
    x = y = 0.0
    for command, given in re.findall(r"([A-Z])([^A-Z]*)", path):
        *_, last = values = [float(value) for value in given.split()]
        x, y = {"V": (x, last), "H": (last, y)}.get(command) or (values[-2], last)
    return x, y


def real(net, picture):
    """How many blobs go from box to box, each box given by its first layer."""
    found = {(picture.box[a], top, picture.box[b]) for a, top, b in ways(net, picture.splits.__contains__)}
    return Counter((a, b) for a, _, b in found if a != b)
