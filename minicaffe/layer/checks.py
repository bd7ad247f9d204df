"""Check the fields, the fillers and the number of blobs of a layer, with errors that name the layer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from minicaffe.blob import Blob
from minicaffe.errors import LayerError
from minicaffe.filler import refusal, unread_fields
from minicaffe.layer.registry import Arity, arity_words, limits
from minicaffe.log import At, warn
from minicaffe.proto.finite import not_finite
from minicaffe.proto.forks import FIRST_NUMBER, LEFT_ASIDE, added_fields, fork_hint

MOST_NAMED = 20  # further fields in one error
SWAPPED = "the first bottom is for the scores, the second for the labels: they seem to be the wrong way round"


def refuse_fields_of_forks(layers: Sequence[Any], classes: Sequence[Any]) -> None:
    """LayerError for the fields of forks that LayerParameters set and that their classes do not read, all at once.

    A single one is left to `check_fields`.
    """
    found = [(f"layer {layer.name!r} ({layer.type}): {path}", field) for layer, cls in zip(layers, classes, strict=True)
             for path, field in _unread_of_forks(layer, cls)]
    if found[1:]:
        (first, field), *others = found
        lines = [words for words, _ in others[:MOST_NAMED]] + [f"and {len(others) - MOST_NAMED} more"] * (
            len(others) > MOST_NAMED)
        raise LayerError(f"{first} is set, but this layer does not read it; nor do these:\n" + "\n".join(lines),
                         hint=fork_hint(field.name) or "remove the fields, or pass --permissive to go on without them")


def _unread_of_forks(layer: Any, cls: Any) -> list[tuple[str, Any]]:
    """Return what `added_fields` finds in a LayerParameter and its class neither reads nor ignores."""
    return [(path, field) for path, field in added_fields(layer)
            if field.name not in cls.fork_fields and path.split(".")[0] not in cls.ignores]


class Checks:
    """Gives a layer the calls with which it refuses or warns: `fail`, `check`, `check_effect`, `caution`, `axis_of`.

    The other methods are called by the code that makes a layer and sets it up.
    """

    type: ClassVar[str]
    message: ClassVar[str | None]
    also_reads: ClassVar[tuple[str, ...]]
    ignores: ClassVar[tuple[str, ...]]
    fork_fields: ClassVar[tuple[str, ...]]
    unread: ClassVar[tuple[str, ...]]
    in_place: ClassVar[bool]
    label_bottoms: ClassVar[tuple[int, ...]]
    name: str
    layer_param: Any
    param: Any

    # --- what a layer calls ------------------------------------------------------------------------

    def fail(self, message: str, hint: str = "", sample: int | None = None) -> NoReturn:
        """Raise a LayerError that begins with the layer's name and type; `sample` is a bad sample's index."""
        raise LayerError(f"layer {self.name!r} ({self.type}): {message}", hint=hint, sample=sample)

    def check(self, holds: bool, field: str, rule: str, hint: str = "") -> None:
        """LayerError unless `holds`: 'layer 'norm1' (LRN): lrn_param.local_size must be odd, got 4'.

        `field` names a field of the layer's own message, or of the LayerParameter when written with a
        leading dot.
        """
        if holds:
            return
        owner, name, shown = self._field(field)
        value = getattr(owner, name)
        if hasattr(value, "extend"):  # a repeated field; a message in it is shown on one line
            value = [" ".join(str(one).split()) if hasattr(one, "DESCRIPTOR") else one for one in value]
        self.fail(f"{shown} {rule}, got {value if value != '' else 'nothing'}", hint=hint)

    def check_effect(self, has_effect: bool, field: str, reason: str) -> None:
        """Warn of a field that is set, unless it `has_effect`: 'eltwise_param.coeff has no effect: REASON'."""
        owner, name, _ = self._field(field)
        # HasField knows no repeated fields; ListFields has all that are set.
        is_set = any(known.name == name for known, _ in owner.ListFields())
        self.caution(has_effect or not is_set, field, f"has no effect: {reason}")

    def caution(self, holds: bool, field: str, words: str) -> None:
        """Warn of a field's value, unless `holds`: 'layer 'norm1' (LRN): lrn_param.k WORDS'."""
        if not holds:
            warn(At.LAYER_PARAMETER, f"layer {self.name!r} ({self.type}): {self._field(field)[2]} {words}")

    def axis_of(self, blob: Blob, field: str = "axis") -> int:
        """The axis of bottom[0], `blob`, that a field names, counted from the front; `field` as `check` takes it.

        Raise LayerError where bottom[0] has no such axis.
        """
        # Many layers call this in each reshape, so the words of the error are made only where they are needed.
        axis: int = getattr(self.param, field) if "." not in field else getattr(*self._field(field)[:2])
        n = blob.num_axes
        if not -n <= axis < n:
            known = f"from {-n} to {n - 1}" if n else "a scalar, which has none"
            self.check(False, field, f"must name an axis of bottom[0] {blob.shape}, {known}")
        return axis % n

    def _field(self, field: str) -> tuple[Any, str, str]:
        """For a field as `check` takes it: the message that holds it, its name there, and its name in errors."""
        owner, path = (self.layer_param, field[1:]) if field.startswith(".") else (self.param, field)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        return owner, name, path if field.startswith(".") else f"{self.message}.{path}"

    # --- before the set-up: the definition ------------------------------------------------------------

    def check_fields(self, permissive: bool = False) -> None:
        """LayerError for a parameter that is NaN or infinite, or that is set but not read by this layer."""
        for path, number in not_finite(self.layer_param):
            self.fail(f"{path} must be a finite number, got {number}")
        known = {self.message, *self.also_reads, *self.ignores, *LEFT_ASIDE}
        for path, field in _unread_of_forks(self.layer_param, type(self)):  # no layer can go on without an enum's value
            self._unread_field(path, permissive and field.number >= FIRST_NUMBER, fork_hint(field.name))
        for field, value in self.layer_param.ListFields():
            if field.name.endswith("_param") and field.name not in known:
                self._unread_field(field.name, permissive)
            elif field.name in self.ignores:
                self.check_effect(False, f".{field.name}", f"{self.type} does not read it")
            elif field.name == self.message:
                for inner, content in value.ListFields():
                    if inner.name in self.unread:
                        self._unread_field(f"{field.name}.{inner.name}", permissive)
                    elif inner.name.endswith("filler"):
                        self._check_filler(f"{field.name}.{inner.name}", content, getattr(value, "bias_term", True))

    def _check_filler(self, field: str, content: Any, bias_term: bool) -> None:
        """LayerError for a value that a filler cannot use; a warning for a filler or a value that has no effect.
        """
        if field.endswith(".bias_filler"):
            self.check_effect(bias_term, f".{field}", "bias_term is false")
        for filler in content if hasattr(content, "extend") else [content]:
            if refused := refusal(filler):
                self.fail(f"{field}.{refused.field} {refused.words}", hint=refused.hint)
            if filler.sparse == 0 and filler.type == "gaussian":
                warn(At.FILLER, f"layer {self.name!r} ({self.type}): {field}.sparse is 0, so all weights are 0")
            for name in unread_fields(filler):
                warn(At.FILLER, f"layer {self.name!r} ({self.type}): {field}.{name} has no effect: "
                                f"the {filler.type} filler does not read it")

    def _unread_field(self, field: str, permissive: bool, cure: str = "") -> None:
        message = f"layer {self.name!r} ({self.type}): {field} is set, but this layer does not read it"
        if not permissive:
            raise LayerError(message, hint=cure or "remove the field, or pass --permissive to go on without it")
        warnings.warn(message, stacklevel=3)

    # --- at the set-up: the blobs ----------------------------------------------------------------------

    def _check_arity(self, what: str, arity: Arity, got: int) -> None:
        low, high = limits(arity)
        if got < low or (high is not None and got > high):
            plural = "" if low == 1 and high in (1, None) else "s"
            self.fail(f"takes {arity_words(arity)} {what} blob{plural}, got {got}")

    def _check_in_place(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not self.in_place and any(t is b for t in top for b in bottom):
            self.fail("cannot run in place: its backward pass needs the bottom that its top would overwrite",
                      hint="give the top a name of its own")

    def _hint_swapped(self, bottom: Sequence[Blob]) -> str:
        """Return a hint where the bottoms do not fit as they are, but would fit if scores and labels changed places.

        They would where bottom[0] has exactly as many values as there would be labels for bottom[1].
        """
        if 1 not in self.label_bottoms or len(bottom) < 2 or bottom[1].num_axes < 2:
            return ""
        label, scores = bottom[0], bottom[1].shape
        swapped = scores[1] > 1 and label.count * scores[1] == bottom[1].count and label.shape[:1] == scores[:1]
        return SWAPPED if swapped else ""
