"""Line numbers of a definition, for both of its forms, prototxt and YAML."""

from __future__ import annotations

FieldLine = tuple[str, int, str]  # a field's path with an index at every step, its line, the text of a scalar
DEEPEST = 50  # messages within messages that are read; Caffe's own have seven


def excerpt(text: str, line: int, column: int) -> str:
    """Return the line (counted from 1) with a caret under the column (from 1), cut to the part that matters."""
    lines = text.split("\n")
    if not 1 <= line <= len(lines):
        return ""
    shown = lines[line - 1].rstrip("\r").expandtabs(1)
    column = min(max(column, 1), len(shown) + 1)
    if len(shown) > 120:
        start = max(0, column - 60)
        shown, column = shown[start : start + 100], column - start
    return f"    {shown}\n    {' ' * (column - 1)}^"
