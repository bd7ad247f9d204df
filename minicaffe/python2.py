"""Say what to write instead, where a script was written for Python 2 or for the packages of its time.

`hint(error)` says it in a sentence, for any error that such a script ends with. It only reads the script, and changes
nothing. Python 3's parser stops at the first line that it cannot read. So patterns find all lines of Python 2 here, and
the hint says how many there are.
"""

from __future__ import annotations

import io
import re
import shlex
import sysconfig
import tokenize
import traceback
from pathlib import Path

from minicaffe.errors import from_here
from minicaffe.removed_names import (
    ATTRIBUTES,
    MESSAGES,
    MODULES,
    NAMES,
    NEWER_ATTRIBUTES,
    NEWER_MODULES,
    PACKAGES,
    PYTHON_2,
)

_START = r"(?:^|[;:])[ \t]*"  # where a statement begins
_STATEMENTS = [(re.compile(pattern, re.MULTILINE), cure) for pattern, cure in (
    (_START + r"print[ \t]*>>", "print is a function now: write print(x, file=f)"),
    (_START + r"print(?:[ \t]*[\"'`{]|[ \t]+(?!(?:in|is|if|and|or|else|for|not[ \t]+in)\b)[\w\[])",
     "print is a function now: write print(x)"),
    (_START + r"exec(?:[ \t]*[\"']|[ \t]+(?!(?:in|is|if|and|or|else|for)\b)\w)",
     "exec is a function now: write exec(code) or exec(code, names)"),
    (r"^[ \t]*except\b[^:\n]*?(?:[\w.]|\([^()]*\))\s*,\s*(?:\w+|\([\w\s,]+\))\s*:", "write except X as e:"),
    (_START + r"raise[ \t]+[\w.\[\]]+[ \t]*,", "write raise E(\"x\")"),
    (r"`", "write repr(x) instead of `x`"),
    (r"<>", "write != instead of <>"),
    (r"(?<![\w.])(?<![eE][-+])0+[1-9]\d*[lL]?(?![\w.])", "a number in base 8 is written 0o777"),
    (r"(?<![\w.])(?:0[xX][\da-fA-F]+|\d+)[lL]\b", "every int may be long now: write 10 instead of 10L"),
    (r"\b[uU][rR][\"']", "write r\"...\" instead of ur\"...\""),
    (r"\bdef\s+\w+\s*\((?:[^()]*,)?\s*\(|\blambda\s+(?:[\w\s,]*,\s*)?\(",
     "a parameter is a name now, no tuple: take the tuple apart in the function"),
    (r"(?<!\w)async\s*(?:=(?!=)|[,)])", "async is a word of the language now: choose another name"),
)]
_EXCEPT = _STATEMENTS[3]
# A comment, or a string with its prefix. In strings only the quotes and the ends of lines count here.
_TEXTS = re.compile(r"#[^\n]*|(?P<triple>\"\"\"|''')(?:\\.|(?!(?P=triple))[^\\])*(?P=triple)"
                    r"|(?P<quote>[\"'])(?:\\.|(?!(?P=quote))[^\\\n])*(?P=quote)", re.DOTALL)
_CELL = re.compile(r"<ipython-input-|[/\\]ipykernel_\d+[/\\]\d+\.py$")  # what IPython and ipykernel call a cell
_TABS = "tabs and blanks are mixed in the indentation: replace each tab by blanks up to the next multiple of 8 " \
        "columns, as the program `expand` does"


def hint(error: BaseException) -> str:
    """Return FILE:LINE, what is out of date there, and what to write; '' where the error is no sign of an old script.

    For a SyntaxError the file is the one that cannot be read as Python 3, with the number of its lines of Python 2 and
    a converter. For other errors it is the line that failed.
    """
    if isinstance(error, SyntaxError):
        return _about_file(error)
    cure = _of_name(error) or _of_module(error) or _of_attribute(error) or _of_message(error)
    return f"{place}: {cure}" if cure and (place := _place(error)) else cure


# --- files that Python 3 cannot read -------------------------------------------------------------------------------

def _about_file(error: SyntaxError) -> str:
    text = _text_of(error.filename) if error.filename else ""
    known = bool(text)
    found = python2_lines(text or "\n" * ((error.lineno or 1) - 1) + (error.text or ""))
    if not found and isinstance(error, IndentationError):
        mixed = re.search(r"^ *\t", text, re.MULTILINE) and re.search(r"^ +[^\s#]", text, re.MULTILINE)
        found = {error.lineno or 1: _TABS} if mixed else {}
    if not found:
        return _of_line(error)
    line = error.lineno if error.lineno in found else min(found)
    file = from_here(error.filename) if error.filename else "<string>"
    others = len(found) - 1
    also = f", as {'are' if others > 1 else 'is'} {others} other line{'s' if others > 1 else ''}" if others else ""
    said = f"{_line_of(error.filename, line)}: {PYTHON_2}{also}: {found[line]}"
    if not known or found[line] == _TABS:
        return said
    # without -x sorted, fissix mistakes numpy.sort(x) for a list's sort with a function, and spoils it
    return f"{said}. To convert the file: pip install fissix, then python -m fissix -x sorted -w {shlex.quote(file)}"


def _of_line(error: SyntaxError) -> str:
    """Return what to write instead of a single line that is no Python for other reasons."""
    if "unicodeescape" in str(error.msg):
        cure = r'a backslash in a string begins an escape in Python 3: write r"C:\Users", or \\ for each'
    elif re.match(r"[ \t]*[%!][ \t]*\w", error.text or ""):
        cure = "this line is for IPython: delete it, or run the script with -m IPython"
    else:
        return ""
    return f"{_line_of(error.filename, error.lineno)}: {cure}"


def _text_of(file: str) -> str:
    """Return a source file's text in its own encoding; '' where it cannot be read."""
    try:
        raw = Path(file).read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        return io.TextIOWrapper(io.BytesIO(raw), encoding, errors="replace").read()
    except (OSError, SyntaxError, ValueError):
        return ""


def python2_lines(text: str) -> dict[int, str]:
    """Return the lines of a source text that are Python 2 and no Python 3: number from 1 -> what to write."""
    bare = _TEXTS.sub(_without_letters, text)
    found: dict[int, str] = {}
    for pattern, cure in _STATEMENTS:
        for match in pattern.finditer(bare):
            found.setdefault(bare.count("\n", 0, match.start()) + 1, cure)
    return found


def _without_letters(match: re.Match[str]) -> str:
    quote = match["triple"] or match["quote"]
    return quote + "\n" * match[0].count("\n") + quote if quote else ""


# --- names that are gone -------------------------------------------------------------------------------------------

def _of_name(error: BaseException) -> str:
    if not isinstance(error, NameError):
        return ""
    name = getattr(error, "name", None) or ""
    if name in NAMES:
        return f"{PYTHON_2}: there is no {name} now: write {NAMES[name]}"
    # from Python 3.14 on, `except X, e:` is another form of `except (X, e):`
    frames = traceback.extract_tb(error.__traceback__)
    written = frames[-1].line or "" if frames else ""
    return f"{PYTHON_2}: {_EXCEPT[1]}" if _EXCEPT[0].search(written) else ""


def _of_module(error: BaseException) -> str:
    if not isinstance(error, ImportError):
        return ""
    name = error.name or ""
    wanted = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", str(error))
    if wanted:
        return _gone(wanted[2], wanted[1])
    if not isinstance(error, ModuleNotFoundError):
        return ""
    if name in MODULES:
        return f"{PYTHON_2}: there is no module {name} now: write {MODULES[name]}"
    if name in NEWER_MODULES:
        return f"there is no module {name} now: write {NEWER_MODULES[name]}"
    if name in PACKAGES:
        return f"the script needs {name}: pip install {PACKAGES[name]}"
    if _in_the_same_package(name, _frames(error)):
        return f"{PYTHON_2}: a module of the same package is imported with a dot: write from . import {name}"
    return ""


def _in_the_same_package(name: str, frames: list[traceback.FrameSummary]) -> bool:
    if not frames or not name.isidentifier():
        return False
    folder = Path(frames[-1].filename).parent
    return (folder / "__init__.py").is_file() and ((folder / f"{name}.py").is_file() or (folder / name).is_dir())


def _of_attribute(error: BaseException) -> str:
    if not isinstance(error, AttributeError):
        return ""
    owner, name = getattr(error, "obj", None), getattr(error, "name", None) or ""
    if module := re.match(r"module '([\w.]+)' has no attribute '(\w+)'", str(error)):  # numpy gives no obj and name
        return _gone(module[1], module[2])
    found = [cure for kind in type(owner).__mro__ if (cure := _gone(kind.__name__, name))]
    if not found and name == "next" and hasattr(owner, "__next__"):
        return f"{PYTHON_2}: write next(x) instead of x.next()"
    return found[0] if found else ""


def _gone(owner: str, name: str) -> str:
    if cure := ATTRIBUTES.get(owner, {}).get(name):
        return f"{PYTHON_2}: there is no {owner}.{name} now: write {cure}"
    if cure := NEWER_ATTRIBUTES.get(owner, {}).get(name):
        return f"there is no {owner}.{name} now: write {cure}"
    return ""


def _of_message(error: BaseException) -> str:
    try:
        kind, said = type(error).__name__, str(error)
    except Exception:  # a class of the user's whose __str__ fails
        return ""
    fitting = (cure for kinds, pattern, cure in MESSAGES if re.fullmatch(kinds, kind) and re.match(pattern, said))
    return next(fitting, "")


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of a traceback, without those of Python's own frozen modules and of modules' __getattr__."""
    return [frame for frame in traceback.extract_tb(error.__traceback__)
            if frame.name != "__getattr__" and "importlib" not in frame.filename
            and not frame.filename.startswith("<frozen ")]


def _in_a_library(file: Path) -> bool:
    standard = (sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib"))
    return bool({"site-packages", "dist-packages"} & set(file.parts)) or any(map(file.is_relative_to, standard))


def _place(error: BaseException) -> str:
    """FILE:LINE of the line to change, or '' where it is not in a file.

    A name that is missing is missing where it stands. A wrong value comes from the user's innermost line, though it
    may fail in a library.
    """
    frames = _frames(error)
    if not isinstance(error, (NameError, ImportError, AttributeError)):
        frames = [frame for frame in frames if not _in_a_library(Path(frame.filename))] or frames
    return _line_of(frames[-1].filename, frames[-1].lineno) if frames else ""


def _line_of(file: str | None, line: int | None) -> str:
    """FILE:LINE, or the line of a notebook's cell, whose file is of no use to the reader."""
    return f"line {line} of the cell" if _CELL.search(file or "") else f"{from_here(file or '<string>')}:{line}"
