"""Write docs/layers.md from the layers' own datasheets (`make docs`)."""

from __future__ import annotations

from pathlib import Path

from minicaffe.cli import layers

TARGET = Path(__file__).resolve().parent / "layers.md"
HEAD = """\
# Layers

<!-- docs/generate.py writes this page (`make docs`); edit the datasheets in minicaffe/layers/ and the samples in
minicaffe/layers/samples.prototxt instead. -->

Every layer type: what it computes, the fields of its parameters, and a sample that runs.
`minicaffe layers NAME` prints the same.
"""


def generate() -> str:
    """The whole page."""
    parts = [HEAD, _contents()]
    for family, types in layers.families().items():
        parts.append(f"## {family.capitalize()} layers\n")
        parts += [_section(family, name) for name in types]
    return "\n".join(parts)


def _contents() -> str:
    lines = []
    for family, types in layers.families().items():
        lines += [f"**[{family.capitalize()}](#{family}-layers)**\n"]
        lines += [f"- [{name}](#{name.lower()}): {layers.summary(name)}" for name in types] + [""]
    return "\n".join(lines)


def _section(family: str, name: str) -> str:
    source = Path(layers.source_file(name))
    parts = [f"### {name}\n", f"[{source.name}](../minicaffe/layers/{family}/{source.name})\n",
             f"```text\n{layers.datasheet(name)}\n```\n"]
    for message, rows in layers.fields(name).items():
        parts += [f"| {message} | type | default | |", "|---|---|---|---|"]
        parts += [f"| `{row.name}` | {_cell(row.type)} | {_cell(row.default)} | {_cell(row.comment)} |" for row in rows]
        parts.append("")
    return "\n".join([*parts, f"```protobuf\n{layers.sample(name)}\n```\n"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(generate(), encoding="utf-8")
    print(f"wrote {TARGET}")
