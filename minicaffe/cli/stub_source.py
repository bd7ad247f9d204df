"""The text of the module that `minicaffe stub` writes: a layer class that runs and puts out zeros."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from minicaffe.cli.stub_shapes import Around
from minicaffe.proto import LayerParameter

Shape = tuple[int, ...]
WIDTH = 100  # of comments, in letters

METHODS = """
    def reshape(self, bottom, top):
        for blob, shape in zip(top, SHAPES[self.name], strict=True):
            blob.reshape(*shape)

    def forward(self, bottom, top):
        for blob in top:
            blob.data[...] = 0

    def backward(self, top, propagate_down, bottom):
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff[...] = 0
"""


def source(name: str, layers: Sequence[Any], found: dict[str, Around], blobs: dict[str, list[Shape]],
           left_out: Sequence[str]) -> str:
    """Return the text of the module.

    layers      those of the net that have the type
    found       layer name -> what is known of the shapes around it
    blobs       layer name -> the shapes of its learnable blobs
    left_out    sentences about fields of the net that the schema does not know
    """
    lines = [f'"""{name}: a layer to fill in. It puts out zeros."""', "", "from minicaffe import Layer, register", ""]
    lines += _comment("", "The net has fields that minicaffe does not know. They were left out to write this file, and "
                          "the net cannot be used before you take them out of it:", *left_out) if left_out else []
    lines += ["SHAPES = {  # of the tops of each layer of this type", *_tables(layers, found), "}"]
    if any(blobs.values()):
        lines += ["BLOBS = {  # the shapes of the learnable blobs of each layer, in the order of the weight file",
                  *(["    # (1,) stands where the shape is not known: write the right one"]
                    if any((1,) in shapes for shapes in blobs.values()) else []),
                  *(f"    {layer!r}: {shapes!r}," for layer, shapes in blobs.items()), "}"]
    messages = _messages(layers)
    counts = [len(layer.bottom) for layer in layers], [len(layer.top) for layer in layers]
    lines += ["", "", f'@register("{name}")', f"class {name}Layer(Layer):",
              *([f"    message = {messages[0]!r}  # its fields are those of self.param"] if messages else []),
              *([f"    also_reads = {tuple(messages[1:])!r}"] if messages[1:] else []),
              f"    bottoms = ({min(counts[0])}, {max(counts[0])})", f"    tops = ({min(counts[1])}, {max(counts[1])})",
              *(["    in_place = True"] if any(set(one.top) & set(one.bottom) for one in layers) else []),
              "", "    def setup(self, bottom, top):", '        """Check the parameters, and make learnable blobs."""']
    for layer in layers:
        for outer, value in layer.ListFields():
            if outer.name in messages:
                text = " ".join(str(value).split())
                lines += _comment("        ", f"{layer.name!r}: {outer.name} {{ {text} }}")
    if any(blobs.values()):
        lines += ["        for shape in BLOBS[self.name]:", "            self.add_blob(shape)"]
    return "\n".join(lines) + "\n" + METHODS


def _tables(layers: Sequence[Any], found: dict[str, Around]) -> list[str]:
    lines = []
    for layer in layers:
        around = found[layer.name]
        if layer.bottom:
            shapes = (f"{name!r} {shape}" for name, shape in zip(layer.bottom, around.bottoms, strict=True))
            lines += _comment("    ", f"bottoms: {', '.join(shapes)}", *around.remarks)
        for top, (_, why) in zip(layer.top, around.tops, strict=True):
            lines += _comment("    ", f"{top!r}: {why}")
        lines.append(f"    {layer.name!r}: {[shape for shape, _ in around.tops]!r},")
    return lines


def _comment(indent: str, *paragraphs: str) -> list[str]:
    return [f"{indent}# {line}" for text in paragraphs for line in wrap(text, WIDTH)]


def _messages(layers: Sequence[Any]) -> list[str]:
    """Return the parameter messages that the layers have, those that only forks know first."""
    bvlc = {field.name for field in LayerParameter.DESCRIPTOR.fields if field.number <= 99}
    set_ = dict.fromkeys(field.name for layer in layers for field, _ in layer.ListFields()
                         if field.name.endswith("_param"))
    return sorted(set_, key=lambda name: name in bvlc)
