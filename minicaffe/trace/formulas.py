"""Which formula of a datasheet a line of code computes.

A datasheet's Forward and Backward are lines such as `dx = dy · w`; a line may hold several equations. The rule by which
a statement finds its line, the first that answers:

    1. A comment beside the statement that is itself an equation, as `# dw += dyᵀ · x`: the line with that left side.
    2. The names that the statement computes: targets of assignments, `out=`, and arrays that a kernel has changed.
       What writes into an array (`dx[...] = p`) computes it. Names that only get an array to look at
       (`dw = self.blobs[0].diff`) compute nothing.
    3. The blob that the statement has changed, by its letter in the datasheet: the data of the first top is y, the
       diff of the first bottom dx, that of the first learnable blob dw.
    4. In a function that a layer calls: the line of the calling statement.

Several lines may have that left side. Those for another method or phase are left out, such as `MAX` in a layer that is
set to AVE. Of the others, the one is taken of whose right side the statement has the largest part of the names.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

from minicaffe.layers import datasheet
from minicaffe.proto import TEST
from minicaffe.trace.code import Statement, equations, plain

LABEL = re.compile(r"[A-Z][A-Z_]+(?=  |:)")  # of a method, at the beginning of its line, or of a phase
WORD = re.compile(r"[^\W\d_][^\W_′]*(?:_[a-z]\w*)?")
GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "δ": "cont", "ε": "eps", "λ": "scale", "σ": "sigmoid"}
# words that begin a remark in the list of blobs of a datasheet, where a letter might stand
NO_LETTERS = {"one", "with", "any", "the", "optional", "what", "as", "and", "or", "for", "not", "that", "which", "N",
              "else", "of", "to", "only", "their", "two", "where", "before", "if", "in", "no", "always", "never", "so",
              "all", "without", "fractions", "missing", "at", "each"}


class Formulas:
    """The formula lines of a layer for one pass, and the letters of its blobs."""

    def __init__(self, lines: Sequence[str], *, taken: Iterable[str] = (), others: Iterable[str] = ()) -> None:
        """Take the lines. `taken` are the words of the methods that are set, `others` those of methods that are not."""
        self.lines = list(lines)
        self._lefts: dict[str, list[tuple[int, set[str]]]] = {}  # left side -> its lines, with the words on the right
        others, method = set(others) - set(taken), ""
        for i, line in enumerate(self.lines):
            label = LABEL.match(line.strip())
            if not line.startswith(" "):
                method = label[0] if label else ""
            if method in others or (label and label[0] in others):
                continue
            for name, right in equations(line):
                self._lefts.setdefault(name, []).append((i, _words(right)))

    def of(self, statement: Statement, written: Sequence[str]) -> int | None:
        """Return the number of the line that a statement computes; None where there is none.

        written   the names of what has changed, in the order of rule 2 and 3
        """
        words = _words(statement.text) | _words(statement.comment)
        for names in ([name for name, _ in equations(statement.comment)], written):
            found = [line for name in names for line in self._lefts.get(plain(name), ())]
            if found:
                return max(found, key=lambda line: len(words & line[1]) / max(len(line[1]), 1))[0]
        return None


def _words(text: str) -> set[str]:
    return {plain(GREEK.get(word, word)) for word in WORD.findall(re.sub(r"_\{[^}]*\}", "", text))}


def of_layer(layer: Any) -> dict[str, Formulas]:
    """Return {"forward": Formulas, "backward": Formulas} of a layer."""
    parts = datasheet.with_notes(_sheet(layer))
    taken, others = _methods(layer)
    return {way: Formulas(joined(parts.get(way.capitalize(), ([], ""))[0]), taken=taken, others=others)
            for way in ("forward", "backward")}


def letters(layer: Any) -> dict[str, list[str]]:
    """Return {"bottom": letters, "top": letters, "param": letters} of a layer's datasheet, as far as it names them.

    Without these labels, as in the docstring of a user's layer, the first bottom is x and the first top y.
    """
    parts = datasheet.sections(_sheet(layer))
    blobs = parts.get("Blobs", "")
    if len(_letters(blobs)) > len(layer.blobs):  # leave out what this one lacks, as w_s "if x_static is given"
        blobs = ", ".join(piece for piece in _pieces(blobs) if " if " not in piece)
    return {"bottom": _letters(parts.get("Bottom", "x")), "top": _letters(parts.get("Top", "y")),
            "param": _letters(blobs)}


def datasheets(layers: Iterable[Any]) -> dict[str, str]:
    """Return of all types among the layers, as far as they have formulas, what the letters in these mean."""
    sheets: dict[str, set[str]] = {}
    for layer in layers:
        if layer.layer_param.bottom:
            sheets.setdefault(layer.type, set()).add(_about(_sheet(layer)))
    # users' layers may share a type, each with a docstring of its own; then none of them is the type's
    return {name: next(iter(found)) for name, found in sheets.items() if len(found) == 1 and found != {""}}


def _about(sheet: str) -> str:
    """Return a datasheet without the labels that say nothing about the formulas."""
    parts = re.split(rf"^(?=(?:{'|'.join(datasheet.LABELS)})(?:  |$))", sheet, flags=re.MULTILINE)
    return "".join(part for part in parts if not part.startswith(("Computed", "In place", "Errors", "See"))).strip()


def of_solver(solver: Any) -> list[str]:
    """Return the lines of a solver type's rule."""
    text = type(solver).__doc__ or ""
    found = re.search(r"Update  (.*?)\n\s*(?:Computed|Params|History)", text, re.DOTALL)
    return [" ".join(line.split()) for line in found[1].strip().split("\n")] if found else []


def _sheet(layer: Any) -> str:
    """Return the datasheet of a layer's own class, which may be a user's; a base's describes another type."""
    return inspect.cleandoc(vars(type(layer)).get("__doc__") or "")


def joined(lines: Sequence[str]) -> list[str]:
    """Join each formula that goes on in the next line: that line is indented, or this one ends with a comma."""
    made: list[str] = []
    for line in lines:
        goes_on = made and (made[-1].endswith(",") or (line.startswith(" ") and not LABEL.match(line.strip())))
        made[-1:] = [f"{made[-1]}\n{line}"] if goes_on else [*made[-1:], line]
    return made


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
