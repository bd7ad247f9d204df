"""Errors of the student's code, told as mistakes: where they arose, and what they mean here."""

from __future__ import annotations

import linecache
import re
import traceback
from pathlib import Path
from types import TracebackType

from minicaffe.course.checking import Wrong
from minicaffe.course.step import PACKAGE

NAMES = "Keep the names of the file that `minicaffe course start` wrote"
INSIDE = [  # for errors in a line of the student's: kind, what its message matches, name of the hint, hint
    (ValueError, "zero-size", "no_numbers_in_it", "an array has no numbers here: print its shape. A shape () has one "
     "number, a shape (0,) has none."),
    (ValueError, "truth value of an array", "if_of_an_array", "`if`, `and`, `or` and max() ask one question, and an "
     "array holds many numbers: np.where(condition, a, b) chooses for each of them, np.maximum(a, b) the larger one"),
    (ValueError, "broadcast|shape|dimension|matmul", "shapes_do_not_fit",
     "print the shape of each array in this line, and write them below the formula"),
    (AttributeError, "'list' object", "list_for_blob", "bottom and top are lists of blobs: the first one is bottom[0]"),
    (AttributeError, "no setter|can't set", "no_setter", "this is computed, so nothing can be assigned to it: a blob "
     "gets another shape by blob.reshape(shape)"),
    (AttributeError, "'Blob' object", "blob_for_array", "a blob is no array: its numbers are in blob.data and "
     "blob.diff"),
    (TypeError, "'Blob'", "blob_for_array", "a blob is no array: its numbers are in blob.data and blob.diff"),
    (AttributeError, "'NoneType' object", "none", "something is None here: a function without `return` gives None"),
    (TypeError, "'NoneType' object", "none", "something is None here: a function without `return` gives None, and an "
     "argument that was left out may be None"),
    (TypeError, "return arrays must be of ArrayType", "max_of_two", "np.max takes the largest number of one array; "
     "np.maximum(a, b) takes the larger of two at each place"),
    (TypeError, "'(tuple|list)' object cannot be interpreted as an integer", "sizes_not_shape", "this function takes "
     "the sizes one by one, and no shape: f(*shape) hands them over so"),
    (AttributeError, "object has no attribute", "attribute_not_set", "this attribute was never set: setup runs first, "
     "and then reshape, forward and backward"),
    (IndexError, "list index", "too_few_items", "the list has fewer items: they are counted from 0. Without the bias "
     "term, for instance, self.blobs holds one blob."),
    (IndexError, "out of bounds|too many indices", "outside_the_array", "print the shape of the array: an axis of size "
     "n is counted from 0 to n − 1, and each axis has an index of its own. x.size counts the numbers of all axes."),
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
    called, (place, function) = _called(error.__traceback__, folder), _place(error.__traceback__, folder)
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


def _called(trace: TracebackType | None, folder: Path) -> str:
    """Return the call of ours that led to the student's code."""
    ours, called = str(Path(__file__).parent), f"import {PACKAGE}"
    for frame in traceback.extract_tb(trace):
        if shown(frame.filename, 0, folder):
            break  # what follows may be a layer of ours again, which the student's code has called
        if frame.filename.startswith(ours) and Path(frame.filename).name not in ("child.py", "student.py"):
            called = _source(frame)
    return called


def _source(frame: traceback.FrameSummary) -> str:
    """Return the call in which a frame is; before Python 3.11 its whole line."""
    first, end, last = (getattr(frame, name, None) for name in ("colno", "end_lineno", "end_colno"))
    if first is None or end is None:
        return str(frame.line)
    lines = [linecache.getline(frame.filename, n).encode() for n in range(frame.lineno or 0, end + 1)]
    lines[-1] = lines[-1][:last]  # columns are counted in bytes
    lines[0] = lines[0][first:]
    return " ".join(line.decode().strip() for line in lines)
