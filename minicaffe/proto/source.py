"""Find the line of a field in the text of a definition. The text is searched only when an error has to name a line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from minicaffe.proto.lines import DEEPEST, FieldLine

TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*) | (?P<space>\s+) | (?P<string>"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)
      | (?P<word>[\w.+-]+) | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)


def is_yaml(filename: str) -> bool:
    """Return whether a file of this name holds YAML."""
    return filename.lower().endswith((".yaml", ".yml"))


class Source:
    """The text of a net or solver, which finds the line of a field by the field's path.

    No method raises an error: for a text that cannot be read it finds no lines.
    """

    def __init__(self, text: str, filename: str = "<string>") -> None:
        self.text, self.filename = text, filename
        self._entries: list[FieldLine] | None = None

    def where(self, path: str) -> str:
        """'net.prototxt:12' for a path such as 'layer[3].convolution_param.kernel_size[0]'.

        An index that is left out is 0. For a field that is not set, the line is that of the message around it.
        """
        places: dict[str, int] = {}
        for known, line, _ in self._all():
            places.setdefault(known, line)
        steps = [step if step.endswith("]") else f"{step}[0]" for step in path.strip().split(".") if step]
        while steps:  # if not the field, then the message around it, and so on outwards
            line = places.get(".".join(steps), 0)
            if line:
                return f"{self.filename}:{line}"
            steps.pop()
        return self.filename

    def layer_lines(self) -> list[tuple[int, str, int]]:
        """(index, name, line) of each top-level `layer`, or `layers` in an old file."""
        names: dict[str, str] = {}
        starts: list[tuple[str, int]] = []
        for path, line, value in self._all():
            if re.fullmatch(r"layers?\[\d+\]", path):
                starts.append((path, line))
            elif re.fullmatch(r"layers?\[\d+\](\.layer\[0\])?\.name\[0\]", path):
                names.setdefault(path.split(".")[0], value)
        return [(index, names.get(path, ""), line) for index, (path, line) in enumerate(starts)]

    def layers_where(self, name: str, ranks: Sequence[int]) -> list[str]:
        """'net.prototxt:12' for some of the layers of this name: the k-th one, from 0, for each k in `ranks`.

        Where the line is not known, it is the file's name alone."""
        lines = [line for _, known, line in self.layer_lines() if known == name]
        return [f"{self.filename}:{(lines[rank:] or lines)[0]}" if lines else self.filename for rank in ranks]

    def _all(self) -> list[FieldLine]:
        if self._entries is None:
            try:
                if is_yaml(self.filename):
                    from minicaffe.proto import yaml_text  # only here: a prototxt needs no PyYAML

                    self._entries = list(yaml_text.entries(self.text))
                else:
                    self._entries = list(_prototxt_entries(self.text))
            except Exception:  # a text too broken to be walked: the error that asked matters more
                self._entries = []
        return self._entries


def _prototxt_entries(text: str) -> Iterator[FieldLine]:
    """Yield each field set in a prototxt, in order: 'layer[0]', 'layer[0].name[0]', ..."""
    # For each message around the present one: its prefix, its counts, and the name of the list that it stands in.
    outer: list[tuple[str, Counter[str], str]] = []
    prefix, counts, name, in_list = "", Counter[str](), "", False
    line = name_line = 1
    for token in TOKEN.finditer(text):
        kind, word, start = token.lastgroup, token.group(), line
        line += word.count("\n")
        path = f"{prefix}{name}[{counts[name]}]"
        if kind in ("comment", "space") or word in ":,;":
            continue
        if word in "{<":
            yield path, start if in_list else name_line, ""
            counts[name] += 1
            outer.append((prefix, counts, name if in_list else ""))
            if len(outer) > DEEPEST:
                return
            prefix, counts, name, in_list = path + ".", Counter(), "", False
        elif word in "}>":
            if outer:
                prefix, counts, name = outer.pop()
                in_list = bool(name)
        elif word == "[":
            in_list = True
        elif word == "]":
            name, in_list = "", False
        elif name:
            yield path, start if in_list else name_line, word.strip("\"'")
            counts[name] += 1
            name = name if in_list else ""
        elif kind == "word":  # else the second part of a string in two parts
            name, name_line = word, start
