"""Errors of the student's code, told as mistakes: where they arose, and what they mean here."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from types import TracebackType

from minicaffe.course.checking import Wrong
from minicaffe.course.step import PACKAGE

NAMES = "Keep the names of the file that `minicaffe course start` wrote"
INSIDE = [  # for errors in a line of the student's: kind, what its message matches, name of the hint, hint
    (ValueError, "broadcast|shape|dimension|matmul", "shapes_do_not_fit",
     "print the shape of each array in this line, and write them below the formula"),
    (AttributeError, "'list' object", "list_for_blob", "bottom and top are lists of blobs: the first one is bottom[0]"),
    (AttributeError, "'Blob' object", "blob_for_array", "a blob is no array: its numbers are in blob.data and "
     "blob.diff"),
    (TypeError, "'Blob'", "blob_for_array", "a blob is no array: its numbers are in blob.data and blob.diff"),
    (AttributeError, "'NoneType' object", "none", "something is None here: a function without `return` gives None"),
    (AttributeError, "object has no attribute", "attribute_not_set", "this attribute was never set: setup runs first, "
     "and "
     "then reshape, forward and backward"),
    (KeyError, "", "missing_key", "this key is not in the dict. A parameter that is not given has a default."),
    (NameError, "", "unknown_name", "Python does not know this name. An attribute of an object is self.name inside its "
     "methods, and a module must be imported."),
    (RecursionError, "", "recursion", "a function calls itself without an end"),
]
OUTSIDE = [  # for errors in a line of the check
    (AttributeError, "", "missing_name", f"the check asks for this name. {NAMES}, and let __init__ or setup set every "
     "attribute."),
    (TypeError, "", "arguments", "the check called a function with other arguments than it takes, or used what it "
     f"returned as something else. {NAMES} and the arguments; the first one of a method is self."),
    (Exception, "", "unusable", "the check could not go on with what the code has made"),
]


def told(error: BaseException, folder: Path) -> Wrong:
    """Return an error of the student's code as what is wrong."""
    called, (place, function) = _called(error.__traceback__), _place(error.__traceback__, folder)
    words = f"{type(error).__name__}: {error}".removesuffix(": ")
    if isinstance(error, NotImplementedError) and place:
        return Wrong(called, f"{function} is not written yet ({place.partition(': ')[0]})", "no error", "unfinished",
                     "its docstring says what it must do; `minicaffe course show` prints the page of the step")
    if isinstance(error, SystemExit):
        return Wrong(called, "the code ended the program", "no error", "exit", "a module is used by others: it never "
                     "calls sys.exit")
    for kind, pattern, name, hint in INSIDE if place else OUTSIDE:
        if isinstance(error, kind) and re.search(pattern, words):
            return Wrong(called, words, "no error", name, f"{hint} (in {place})" if place else hint)
    return Wrong(called, words, "no error", "error", f"the error arose in {place}")


def shown(file: str, line: int, folder: Path) -> str:
    """Return 'my_caffe/blob.py:12' for a file of the student's, '' for all others."""
    inside = Path(file).is_relative_to(folder / PACKAGE)
    return f"{Path(file).relative_to(folder).as_posix()}:{line}" if inside else ""


def _place(trace: TracebackType | None, folder: Path) -> tuple[str, str]:
    """Return the last line of the student's that led to an error, and the name of its function; '' if there is none."""
    for frame in reversed(traceback.extract_tb(trace)):
        if found := shown(frame.filename, frame.lineno or 0, folder):
            return f"{found}: {frame.line}" if frame.line else found, frame.name
    return "", ""


def _called(trace: TracebackType | None) -> str:
    """Return the line of ours that called the student's code."""
    ours = str(Path(__file__).parent)
    lines = [frame.line for frame in traceback.extract_tb(trace)
             if frame.filename.startswith(ours) and Path(frame.filename).name not in ("child.py", "student.py")]
    return str(lines[-1]) if lines else f"import {PACKAGE}"
