"""Which formula of a datasheet a line of code computes.

A datasheet's Forward and Backward are lines such as `dx = dy · w`; a line may hold several equations. The rule by which
a statement finds its line, the first that answers:

    1. A comment beside the statement that is itself an equation, as `# dw += dyᵀ · x`: the line with that left side.
    2. The names that the statement computes: targets of assignments, `out=`, and arrays that a kernel has changed.
       Names that only get an array to look at (`dw = self.blobs[0].diff`) compute nothing.
    3. The blob that the statement has changed, by its letter in the datasheet: the data of the first top is y, the
       diff of the first bottom dx, that of the first learnable blob dw.
    4. In a function that a layer calls: the line of the calling statement.

Where several lines have that left side, those for another method or phase are left out (`MAX` in a layer that is set to
AVE), and of the others the one that has most names in common with the statement is taken.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from minicaffe.layers import datasheet
from minicaffe.proto import TEST
from minicaffe.trace.code import Statement, left_sides, plain

WORD = re.compile(r"[^\W\d_][^\W_′]*(?:_[a-z]\w*)?")
GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "cont", "ε": "eps", "λ": "scale", "σ": "sigmoid"}
# words that begin a remark in the list of blobs of a datasheet, where a letter might stand
NO_LETTERS = {"one", "with", "any", "the", "optional", "what", "as", "and", "or", "for", "not", "that", "which", "N",
              "else", "if", "in", "no", "always", "never", "so", "all", "without", "fractions", "missing", "at", "each"}
INDENT = 10  # of the formulas in a datasheet, below their label


class Formulas:
    """The formula lines of a layer for one pass, and the letters of its blobs."""

    def __init__(self, lines: Sequence[str], *, taken: Iterable[str] = (), others: Iterable[str] = ()) -> None:
        """Take the lines. `taken` are the words of the methods that are set, `others` those of methods that are not."""
        self.lines = list(lines)
        self._words = [_words(line) for line in self.lines]
        self._lefts: dict[str, list[int]] = {}
        taken, others = set(taken), set(others)
        for i, line in enumerate(self.lines):
            labels = set(re.findall(r"\b[A-Z][A-Z_]+\b", self._labelled(i)))
            if labels & others and not labels & taken:
                continue
            for name in left_sides(line):
                self._lefts.setdefault(name, []).append(i)

    def _labelled(self, i: int) -> str:
        """Return the text in which the label of line i stands: the line, or for one that continues, the one before."""
        return self.lines[i - 1] + self.lines[i] if i and self.lines[i].startswith("   ") else self.lines[i]

    def of(self, statement: Statement, written: Sequence[str]) -> int | None:
        """Return the number of the line that a statement computes; None where there is none.

        written   the names of what has changed, in the order of rule 2 and 3
        """
        for names in (left_sides(statement.comment), written):
            for name in names:
                found = self._lefts.get(plain(name))
                if found:
                    words = _words(statement.text) | _words(statement.comment)
                    return max(found, key=lambda i: (len(words & self._words[i]), -i))
        return None


def _words(text: str) -> set[str]:
    return {GREEK.get(word, word) for word in WORD.findall(text)}


def of_layer(layer: Any) -> dict[str, Formulas]:
    """Return {"forward": Formulas, "backward": Formulas} of a layer."""
    parts = datasheet.sections(datasheet.datasheet(layer.type)) if _has_datasheet(layer) else {}
    taken, others = _methods(layer)
    return {way: Formulas(_lines(parts.get(way.capitalize(), "")), taken=taken, others=others)
            for way in ("forward", "backward")}


def letters(layer: Any) -> dict[str, list[str]]:
    """Return {"bottom": letters, "top": letters, "param": letters} of a layer's datasheet, as far as it names them."""
    parts = datasheet.sections(datasheet.datasheet(layer.type)) if _has_datasheet(layer) else {}
    blobs = parts.get("Blobs", "")
    if len(_letters(blobs)) > len(layer.blobs):  # leave out what this one lacks, as w_s "if x_static is given"
        blobs = ", ".join(piece for piece in _pieces(blobs) if " if " not in piece)
    return {"bottom": _letters(parts.get("Bottom", "")), "top": _letters(parts.get("Top", "")),
            "param": _letters(blobs)}


def of_solver(solver: Any) -> list[str]:
    """Return the lines of a solver type's rule."""
    text = type(solver).__doc__ or ""
    found = re.search(r"Update  (.*?)\n\s*(?:Computed|Params|History)", text, re.DOTALL)
    return [" ".join(line.split()) for line in found[1].strip().split("\n")] if found else []


def _has_datasheet(layer: Any) -> bool:
    return bool(type(layer).type) and bool(type(layer).__doc__)


def _lines(text: str) -> list[str]:
    """Return the formulas of a section: its lines up to an empty one, or to a remark that begins at the margin."""
    first, *lines = text.strip("\n").split("\n\n")[0].rstrip().split("\n")
    if any(line.startswith(" " * INDENT) for line in lines):
        lines = [line[INDENT:] for line in itertools.takewhile(lambda line: line.startswith(" " * INDENT), lines)]
    return [line.rstrip() for line in (first, *lines) if line.strip()]


def _letters(text: str) -> list[str]:
    found = []
    for piece in _pieces(text):
        word = re.match(r"\s*(?:optionally |optional: )?([^\W\d]\w{0,8})(?=\s|:|$)", piece)
        if word and word[1] not in NO_LETTERS:
            found.append(word[1])
    return found


def _pieces(text: str) -> list[str]:
    """Return what commas and semicolons separate, without what stands in parentheses."""
    return re.split(r"[;,]", re.sub(r"\([^()]*\)", "", text))


def _methods(layer: Any) -> tuple[set[str], set[str]]:
    """Return the words of the enum values that are set in a layer's parameters, and all other words of these enums."""
    taken, others = {"TEST" if layer.phase == TEST else "TRAIN"}, {"TRAIN", "TEST"}
    if layer.param is not None:
        for field in layer.param.DESCRIPTOR.fields:
            if field.enum_type is not None and field.name != "engine":
                others |= {value.name for value in field.enum_type.values}
                taken.add(field.enum_type.values_by_number[getattr(layer.param, field.name)].name)
    return taken, others - taken
