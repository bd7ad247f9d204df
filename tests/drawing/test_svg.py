"""Drawings as SVG and as graphviz's language: what is in them, and that names cannot break them."""

import re
import xml.etree.ElementTree as ET

import pytest
from drawing_nets import SIAMESE, googlenet, resnet
from net_tools import fully_connected, inputs, layer, make

from minicaffe.drawing import draw

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ['<b>&\\"\'', "a\\nb", "</svg><script>alert(1)</script>", "x" * 500, "\\\\", '\\"]; rm', "层" * 60, "{|}<p>",
           "\\001\\t", "]]>", "-->", " ", "\u202eabc"]


def drawn(text, **options):
    return draw(make(text, shapes_only=True), **options)


def groups(root):
    return [g for g in root.iter(f"{SVG}g") if "layer" in g.get("class", "").split()]


def texts(root):
    return [text.text for text in root.iter(f"{SVG}text")]


SMALL = inputs(data=(4, 3, 9, 8), t=(4, 5)) + layer(
    "Convolution", "data", "conv", "convolution_param { num_output: 6 kernel_size: 2 stride: 3 }") + layer(
    "ReLU", "conv", "conv", name="relu") + fully_connected("conv", "ip", 5) + layer(
    "EuclideanLoss", "ip t", "loss") + layer("Softmax", "ip", "prob")


def test_a_notebook_shows_it():
    """The last line of a cell may be a drawing."""
    drawing = drawn(SMALL)

    assert drawing._repr_svg_() == drawing.svg()


def test_each_layer_is_a_group():
    """Every layer of the net has a group with its number, in-place layers and Splits too."""
    net = make(SMALL, shapes_only=True)
    root = ET.fromstring(draw(net).svg())
    numbers = sorted(int(g.get("data-layer")) for g in groups(root))

    assert list(range(len(net.layers))) == numbers
    assert {f"layer-{n}" for n in numbers} == {g.get("id") for g in groups(root)}
    titles = {int(g.get("data-layer")): g.find(f"{SVG}title").text for g in groups(root)}
    assert all(titles[i].startswith(f"{name}, ") for i, name in enumerate(net.layer_names))


def test_what_is_written():
    """Names, types, settings, costs and shapes; the net's outputs at the end of their lines."""
    said = texts(ET.fromstring(drawn(SMALL).svg()))

    assert {"conv", "Convolution", "num_output 6, kernel_size 2", "stride 3", "ReLU  relu", "4×6×3×3", "4×5",
            "78 params, 648 mult-adds", "loss scalar", "prob 4×5", "data", "vision", "loss"} <= set(said)
    assert "7 layers and 1 Split, 353 params, 918 mult-adds a sample" in said


def test_as_an_image():
    """A screen reader gets a title and a description; the colours are the page's, with others to fall back on."""
    root = ET.fromstring(drawn('name: "My net" ' + SMALL).svg())

    assert "img" == root.get("role")
    ids = root.get("aria-labelledby").split()
    assert ids == [root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")]
    assert "My net" == root.find(f"{SVG}title").text
    style = root.find(f"{SVG}style").text
    assert "var(--page, #ffffff)" in style
    assert "var(--page, #14181f)" in style


def test_shared_parameters_are_joined():
    """Layers that share parameters have a line between them, and the second says whose they are."""
    root = ET.fromstring(drawn(SIAMESE).svg())
    lines = [path.find(f"{SVG}title").text for path in root.iter(f"{SVG}path") if path.get("class") == "shares"]

    assert ["conv_p has parameters of conv: conv_w, conv_b"] == lines
    assert "parameters of conv" in texts(root)


def test_a_fold_is_drawn_once():
    """Its group names the layers that it stands for, so that each layer is found; what differs is given as a range."""
    net = make(googlenet(4, 5, 6, 7, 8), shapes_only=True)
    root = ET.fromstring(draw(net, fold=None).svg())
    found = sorted(int(n) for g in groups(root) for n in g.get("data-layers").split())

    assert list(range(len(net.layers))) == found
    assert len(groups(root)) < len(net.layers) / 3
    said = texts(root)
    assert {"× 5", "inception_a … inception_e", "num_output 4…8"} <= {part for text in said for part in
                                                                       text.split(", ")}
    assert "2×17…29×9×7" in said  # of the Concat: 3·n + 2 + 3


def test_a_small_net_is_not_folded_unless_asked():
    """LeNet's two convolutions and poolings stay what they are."""
    text = inputs(x=(2, 3)) + "".join(fully_connected("x" if n == 0 else f"f{n}", f"f{n + 1}", 3) for n in range(6))

    assert 0 == drawn(text, fold=None).folds
    assert 1 == drawn(text, fold=True).folds
    assert 0 == drawn(resnet(3, 4), fold=False).folds


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name):
    """Whatever a name holds, the files can be parsed, and hold no more elements than with a plain one."""
    text = f'name: "{name}" ' + inputs(x=(2, 3)) + 'layer { name: "NAME" type: "InnerProduct" bottom: "x" top: ' \
        '"NAME" inner_product_param { num_output: 3 } }'
    plain = [e.tag for e in ET.fromstring(drawn(text.replace(f'name: "{name}" ', "")).svg()).iter()]
    hostile = drawn(text.replace("NAME", name))

    assert plain == [e.tag for e in ET.fromstring(hostile.svg()).iter()]
    assert 4 + 2 + 1 == sum(1 for line in hostile.dot().splitlines() if line)
    assert 1 == hostile.html().count("</svg>")
    assert hostile.html().count("<script") == drawn(text).html().count("<script") == 2


STRING = r'"(?:[^"\\\n]|\\.)*"'


def test_dot():
    """Each line is a statement of graphviz's language: a setting, a node, an edge, or the begin or end of a cluster."""
    statement = re.compile(rf"""\s*(?:digraph\ {STRING}\ \{{ | subgraph\ cluster_\d+\ \{{ | \}} | label={STRING};
        | (?:node|edge|b\d+|b\d+\ ->\ b\d+)\ \[\w+=(?:{STRING}|\w+)(?:,\ \w+=(?:{STRING}|\w+))*\];)""", re.VERBOSE)
    text = drawn(resnet(3, 8), fold=True).dot()
    lines = text.splitlines()

    assert [] == [line for line in lines if not statement.fullmatch(line)]
    assert text.count("{") - text.count("}") == 0
    assert 'label="× 7: res3b1_branch2a … res3b7_branch2a";' in text
    nodes = set(re.findall(r"^ *(b\d+) \[", text, re.MULTILINE))
    ends = {end for pair in re.findall(r"(b\d+) -> (b\d+)", text) for end in pair}
    assert ends == nodes
    assert 'label=" 2×4…8×9×7 "' in drawn(googlenet(4, 5, 6, 7, 8), fold=True).dot()  # of all blocks
    assert {" image 3×1×9×8 ", " image_p 3×1×9×8 "} <= set(re.findall('label="([^"]*)"', drawn(SIAMESE).dot()))


def test_a_net_of_a_thousand_layers():
    """Folded, the drawing of a very deep net is a short one."""
    net = make(resnet(15, 30, 45, 15), shapes_only=True)
    text = draw(net, fold=None).svg()

    assert len(net.layers) > 1000
    assert len(text) < 200_000
    assert float(re.search(r'height="(\d+)', text)[1]) < 10_000


def test_many_outputs():
    """Of a thousand tops that no layer reads, a few are written."""
    tops = " ".join(f"s{n}" for n in range(1000))
    root = ET.fromstring(drawn(inputs(x=(2, 1000)) + layer("Slice", "x", tops, name="slice")).svg())

    assert {"s0 2×1", "s7 2×1", "992 more"} <= set(texts(root))
    assert "s8 2×1" not in texts(root)
    assert float(root.get("width")) < 1280


def test_blocks_side_by_side():
    """Blocks that read the same blob, and not each other, are said to stand side by side."""
    text = inputs(x=(2, 3)) + "".join(fully_connected("x", f"f{n}", 3) + layer("TanH", f"f{n}", f"t{n}")
                                      for n in range(5))
    chain = googlenet(4, 5, 6)

    assert {"× 5", "side by side"} <= set(texts(ET.fromstring(drawn(text, fold=True).svg())))
    assert "side by side" not in texts(ET.fromstring(drawn(chain, fold=True).svg()))
