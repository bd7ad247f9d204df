"""All errors that a user can cause, with one class for each kind of place where they happen."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Sequence

from minicaffe.log import one_line, visible


class MinicaffeError(RuntimeError):
    """The base of all errors that minicaffe raises for what a user did.

    It is a RuntimeError because Caffe raises those, and scripts written for Caffe catch them.

    The message is one sentence that names what was wrong, where, what was seen and what was expected.
    `where` is a place in a file ("lenet.prototxt:12:5"), `hint` the cure where it is known. `str(error)` contains both,
    and is what the command line shows. If the message begins with a layer's name, several layers of the net may have
    that name. `rank` then says which of them is meant, counted from 0 along the net.
    """

    rank = 0

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message, self.where, self.hint = message, where, hint

    def __str__(self) -> str:
        text = f"{one_line(self.where)}: {self.message}" if self.where else self.message
        return visible(f"{text}\n  hint: {self.hint}" if self.hint else text)

    def _render_traceback_(self) -> list[str]:
        """For IPython and notebooks: the message, and the user's lines that led here, instead of a whole traceback.

        The message says what failed. The lines inside minicaffe would push it out of sight. %debug still shows them.
        """
        frames = traceback.extract_tb(self.__traceback__)
        return [f"\x1b[31m{type(self).__name__}\x1b[0m: {self}", *_lines_of_user(frames)]


def _lines_of_user(frames: list[traceback.FrameSummary]) -> list[str]:
    """Return the lines of a cell, and of the user's files, from which minicaffe was called."""
    ours, lines, cell = os.path.join(os.path.dirname(__file__), ""), [], ""
    for frame in frames:
        if frame.filename.startswith(ours):
            break
        if "IPython" in frame.filename.split(os.sep):  # it runs the cell
            continue
        place = one_line(frame.filename)
        if "ipykernel" in place or place.startswith("<"):  # how IPython names the text of a cell
            cell = cell or place
            place = "this cell" if place == cell else "another cell"
        lines.append(f"  line {frame.lineno} of {place}: {visible(frame.line or '')}")
    return lines


class ProtoError(MinicaffeError):
    """A prototxt, YAML or binary message that cannot be read or written.

    `unknown` has a sentence for each field and enum value that the schema does not know, where these are what is wrong.
    """

    unknown: Sequence[str] = ()


class NetError(MinicaffeError):
    """Layers that do not fit together: an unknown bottom, a top made twice, tied shapes that differ.

    `missing` is the blob that no layer makes, where one is.
    """

    def __init__(self, message: str, *, where: str = "", hint: str = "", missing: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.missing = missing


class LayerError(MinicaffeError):
    """One layer's parameters, shapes or input values are wrong.

    `sample` is the index within the batch of the input that is to blame, where one is. `original` is the error that
    the code of a Python layer raised, where this error reports one. `unknown_type` is the layer's type in a net, where
    there is no such type.
    """

    unknown_type = ""

    def __init__(self, message: str, *, where: str = "", hint: str = "", sample: int | None = None,
                 original: BaseException | None = None) -> None:
        super().__init__(message, where=where, hint=hint)
        self.sample, self.original = sample, original


class SolverError(MinicaffeError):
    """A solver definition that contradicts itself, or a snapshot that does not fit it."""


class DataError(MinicaffeError):
    """A data source, weight file or image that is missing, damaged or of another kind."""


class EngineError(MinicaffeError):
    """An engine that is unknown or whose package is not installed."""


def from_here(file: str) -> str:
    """Return the path relative to the current folder if the file is inside that folder, else the path as it is."""
    return os.path.relpath(file) if file.startswith(os.getcwd() + os.sep) else file


def missing_extra(package: str, extra: str, purpose: str) -> MinicaffeError:
    """Return the error for an optional package that is not installed, with the extra that brings it."""
    return EngineError(f"{purpose} needs the package {package!r}, which is not installed",
                       hint=f"pip install 'minicaffe[{extra}]'")


def near_names(name: str, known: list[str]) -> str:
    """'did you mean ...?' for the known names that resemble `name`, or an empty string.

    First come those that begin with it ('conv'), then those that are spelt nearly alike. Where there are none, it is
    those that contain it ('rate') or that it contains ('ReLULayer').
    """
    import difflib  # only here: most runs end without an error, and need not wait for it

    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.lower(), candidate)
    low = name.lower()
    close = sorted((k for k in folded if k.startswith(low)), key=len) if len(low) > 1 else []
    close += difflib.get_close_matches(low, list(folded), n=3, cutoff=0.6)
    if not close and len(low) > 2:
        holding = (k for k in folded if low in k or (len(k) > 2 and k in low))
        close = sorted(holding, key=lambda k: abs(len(k) - len(low)))
    found = list(dict.fromkeys(close))[:3]
    return "did you mean " + " or ".join(repr(folded[c]) for c in found) + "?" if found else ""


def no_memory(error: MemoryError) -> str:
    """Say that memory has run out: numpy's own words, a size and a shape, do not."""
    return f"there is not enough memory: {error}".removesuffix(": ")


def out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that led to it, says that memory has run out."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM) \
                or (isinstance(error, RuntimeError) and "can't start new thread" in str(error)):  # for its stack
            return True
        # Python shows the context of an error only where `from` did not suppress it; the same holds here.
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False
