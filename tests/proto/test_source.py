"""Finding the line of a field in a text."""

import random

import pytest

from minicaffe.proto import yaml_text
from minicaffe.proto.source import Source

PROTOTXT = """name: "n"  # layer { name: "no" }
layer {
  name: "a"
  loss_weight: [1,
                2]
}
layer: [{ name: "b" }, {
  name: "c" top: "x"
  "y" top: "z"
  convolution_param <
    pad: 1 pad: 2 >
}]
"""
YAML = """name: n
layer:
- name: a
  loss_weight: [1, 2]
- {name: b, top: x}
- name: c
  convolution_param:
    pad:
    - 1
    - 2
"""


@pytest.mark.parametrize(
    ("text", "name", "lines"),
    [(PROTOTXT, "net.prototxt", (2, 5, 7, 7, 11, 10)), (YAML, "net.yaml", (3, 4, 5, 6, 10, 7))],
)
def test_where_finds_the_line_of_a_field(text, name, lines):
    """Layers, list items and nested fields are placed, and a missing one at its message."""
    source = Source(text, name)
    paths = ("layer[0]", "layer[0].loss_weight[1]", "layer[1].name", "layer[2]",
             "layer[2].convolution_param.pad[1]", "layer[2].convolution_param.stride")

    assert [source.where(path) for path in paths] == [f"{name}:{line}" for line in lines]
    assert source.where("layer[9]") == name
    assert source.layer_lines() == [(0, "a", lines[0]), (1, "b", lines[2]), (2, "c", lines[3])]
    assert source.layers_where("c", [0]) == [f"{name}:{lines[3]}"]


def test_old_layers_are_found_too():
    """V1 and V0 layers are listed by their names."""
    source = Source('layers { name: "a" }\nlayers { layer { name: "b" } }', "old.prototxt")

    assert source.layer_lines() == [(0, "a", 1), (1, "b", 2)]


def test_source_never_raises(random_message):
    """Broken texts have no places, and cost no exception."""
    rng = random.Random(1701)
    for seed in range(3):
        whole = yaml_text.format(random_message("LayerParameter", seed))
        for text in (PROTOTXT, whole):
            for _ in range(40):
                at = rng.randrange(len(text))
                broken = text[:at] + rng.choice(["}", "{", '"', "[", "\0", "]", ""]) + text[at + rng.randrange(3) :]
                for name in ("a.yaml", "a.prototxt"):
                    source = Source(broken, name)
                    assert source.where("layer[0].name").startswith(name)
                    assert isinstance(source.layer_lines(), list)
    assert Source("[" * 9000, "a.yaml").where("x[0].y") == "a.yaml"
