"""Run a script, a module or a piece of code as Python's own command line does, with `caffe` to import.

What runs is the module __main__, not a copy of it. So pickle, inspect and multiprocessing find the script's classes.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import os
import pkgutil
import re
import sys
from importlib.machinery import BuiltinImporter, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

from minicaffe.errors import MinicaffeError, near_names
from minicaffe.plugins import NOT_THEIRS
from minicaffe.pycaffe import alias

PYTHONS_OPTIONS = "bBdEiIOPqsSuvWX"
USAGE = """\
usage: python -m minicaffe.pycaffe [-c CODE | -m MODULE | SCRIPT | -] ...

Runs a program that is written for Caffe's Python interface, as it is:
`import caffe` gives minicaffe, also in the Python programs that it starts.
Everything else is as with `python SCRIPT`, for instance the exit status.

  classify.py cat.jpg out   a script; also a folder or zip file with __main__.py
  -m unittest test_net      a module
  -m jupyter notebook       notebooks, all of which can import caffe
  -c "import caffe; ..."    a piece of code
  -                         what comes from a pipe
                            (nothing: the same; from a terminal, a prompt)

Python's own options stand before -m:
  python -u -W error -m minicaffe.pycaffe SCRIPT"""


def main() -> None:
    """Run what sys.argv names."""
    args = sys.argv[1:]
    if args[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return
    module = ModuleType("__main__")
    vars(module).update(__builtins__=builtins, __loader__=BuiltinImporter)  # as in Python where there is no file
    try:
        alias.install()
        code = _load(args, module)
    except MinicaffeError as error:
        raise SystemExit(f"minicaffe.pycaffe: error: {error}") from None
    except BaseException as error:
        _raise_as_python(error)
    sys.modules["__main__"] = module
    try:
        if code is None:
            _prompt(module)
        else:
            exec(code, vars(module))
    except SystemExit:
        raise
    except BaseException as error:
        _raise_as_python(error)


def _load(args: list[str], module: ModuleType) -> CodeType | None:
    """Return the code to run, and set sys.argv, sys.path and the module's attributes as Python does.

    Return None where there is a prompt to show instead.
    """
    first = args[0] if args else "-"
    if first.startswith(("-c", "-m")):
        rest = [first[2:], *args[1:]] if first[2:] else args[1:]  # also -cCODE
        if not rest:
            raise MinicaffeError(f"{first} expects {'a piece of code' if first == '-c' else 'the name of a module'}")
        return _given_code(rest) if first.startswith("-c") else _module(rest, module)
    if first == "-":
        sys.argv = args or [""]
        _begin_path_with("")
        if sys.stdin is None:  # closed
            return compile("", "<stdin>", "exec")
        if sys.stdin.isatty():
            return None
        vars(module)["__file__"] = "<stdin>"
        # bytes, because the text itself may name its encoding
        return compile(sys.stdin.buffer.read(), "<stdin>", "exec", dont_inherit=True)
    if first.startswith("-"):
        hint = f"Python's own options stand before -m: python {first} -m minicaffe.pycaffe SCRIPT"
        raise MinicaffeError(f"there is no option {first}",
                             hint=hint if first[1] in PYTHONS_OPTIONS else "--help lists what there is")
    sys.argv = args
    return _script(first, module)


def _given_code(rest: list[str]) -> CodeType:
    sys.argv = ["-c", *rest[1:]]
    _begin_path_with("")
    return compile(rest[0], "<string>", "exec", dont_inherit=True)


def _module(rest: list[str], module: ModuleType) -> CodeType:
    """Find a module for -m along sys.path, or the __main__ of a package."""
    name = rest[0]
    sys.argv = ["-m", *rest[1:]]
    spec = _find(name)
    if spec.submodule_search_locations is not None:
        spec = _find(f"{name}.__main__", f"the package {name!r} cannot be run: it has no module __main__")
    code = _code_of(spec)
    sys.argv[0] = spec.origin or name
    _describe(module, spec.origin, spec.loader, spec.parent, spec)
    return code


def _find(name: str, missing: str = "") -> ModuleSpec:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # one that a package imports
        spec = None
    except ValueError:  # what importlib says of names such as 'a..b'
        spec = None
    if spec is None:
        hint = f"-m takes a module's name; to run the file: python -m minicaffe.pycaffe {name}"
        raise MinicaffeError(missing or f"there is no module {name!r}", hint=hint if name.endswith(".py") else "")
    return spec


def _code_of(spec: ModuleSpec) -> CodeType:
    get_code = getattr(spec.loader, "get_code", None)
    code: CodeType | None = get_code(spec.name) if get_code else None
    if code is None:
        raise MinicaffeError(f"the module {spec.name!r} cannot be run: it has no Python code of its own")
    return code


def _script(path: str, module: ModuleType) -> CodeType:
    """Read a script, or the __main__ of a folder or zip file."""
    try:
        os.path.abspath(path)
    except OSError as error:
        raise MinicaffeError(f"the script {path!r} cannot be found from here: the current folder is gone") from error
    finder = pkgutil.get_importer(os.path.abspath(path))
    if finder is not None:
        spec = finder.find_spec("__main__")
        if spec is None:
            raise MinicaffeError(f"{path!r} holds no __main__.py", hint="name the script in it")
        _begin_path_with(os.path.abspath(path), always=True)
        _describe(module, spec.origin, spec.loader, "", spec)
        return _code_of(spec)
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        others = near_names(Path(path).name, _scripts_beside(path))
        raise MinicaffeError(f"the script {path!r} cannot be read: {error.strerror or error}", hint=others) from None
    if path.endswith(".ipynb"):
        raise MinicaffeError(f"{path!r} is a notebook, not a script", hint="python -m minicaffe.pycaffe -m jupyter "
                             f"notebook {path} opens it, and ... -m jupyter execute {path} runs it")
    full = os.path.abspath(path)
    _begin_path_with(os.path.dirname(os.path.realpath(path)))
    _describe(module, full, SourceFileLoader("__main__", full), None, None)
    return compile(text, full, "exec", dont_inherit=True)


def _scripts_beside(path: str) -> list[str]:
    try:
        return [entry.name for entry in Path(path).parent.iterdir() if entry.suffix == ".py"]
    except OSError:
        return []


def _begin_path_with(folder: str, *, always: bool = False) -> None:
    """Put a folder where `python -m` has put the current one. With Python's -P or -I, that has put none."""
    if not getattr(sys.flags, "safe_path", sys.flags.isolated):
        sys.path[0] = folder
    elif always:
        sys.path.insert(0, folder)


def _describe(module: ModuleType, file: str | None, loader: object, package: str | None,
              spec: ModuleSpec | None) -> None:
    """Set what Python sets in __main__. A script has no spec: by that, multiprocessing knows to run its file again."""
    vars(module).update(__file__=file, __cached__=spec.cached if spec else None, __loader__=loader,
                        __package__=package, __spec__=spec)


def _prompt(module: ModuleType) -> None:
    import code

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - with it, the prompt's lines can be edited
    code.interact(f"Python {sys.version}\n`import caffe` gives minicaffe.", local=vars(module), exitmsg="")


# --- errors of the script ------------------------------------------------------------------------------------------

def _raise_as_python(error: BaseException) -> NoReturn:
    """Raise a script's error again, to be shown with the script's own lines by the hook that the script uses.

    Python itself does what follows: status 1, or the signal after Ctrl-C, or a prompt after `python -i`.
    """
    shown_by, lines = sys.excepthook, _users_lines(error)

    def show(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        if value is error:
            value.__traceback__ = trace = lines
            if isinstance(error, MinicaffeError):  # its message says it all
                value.__cause__ = None
        shown_by(kind, value, trace)
        if value is error and (advice := cure(error)):
            print(advice, file=sys.stderr)

    sys.excepthook = show
    raise error


def cure(error: BaseException) -> str:
    """Return what to write instead, where a script fails because it is old, or which fork of Caffe it was written for.

    Return '' for other errors, and where a note of the error already says it, as after an error in a Python layer.
    """
    from minicaffe import python2  # not above: to compile its patterns takes longer than all else that runs first

    try:
        found = python2.hint(error) or _of_fork(error)
    except Exception:  # a class of the script's, whose __str__ raises an error itself
        return ""
    return "" if any(found in str(note) for note in getattr(error, "__notes__", None) or ()) else found


def print_cure_of_cell(result: Any) -> None:
    """Print the cure below the error with which a notebook's cell has ended, if there is one."""
    error = result.error_before_exec or result.error_in_exec
    if error is not None and (advice := cure(error)):
        print(advice, file=sys.stderr)


def _of_fork(error: BaseException) -> str:
    """Return the hint that names the fork of a field or message which protobuf does not know; else ''."""
    said, owner = str(error), getattr(error, "obj", None)
    if not (re.search("Message type|Protocol message|caffe_pb2", said) or hasattr(owner, "DESCRIPTOR")):
        return ""
    from minicaffe.proto.forks import FORK_FIELDS, fork_hint  # protobuf loads slowly, and other scripts may not need it

    names = {field.replace("_", ""): field for field in FORK_FIELDS}
    fields = (names.get(word.replace("_", "").lower().removesuffix("eter")) for word in re.findall(r"\w+", said))
    return next((fork_hint(field) for field in fields if field), "")


def _users_lines(error: BaseException) -> TracebackType | None:
    """Return an error's traceback without the lines that run the script.

    Where the error is ours, it says what the user did wrong, and no line of minicaffe's is shown. In other errors such
    lines stay, for the mistake may be there.
    """
    steps, step = [], error.__traceback__
    while step is not None:
        steps.append(step)
        step = step.tb_next
    ours = [step.tb_frame.f_code.co_filename.startswith(NOT_THEIRS) for step in steps]
    begin = ours.index(False) if False in ours else len(steps)
    kept = [step for step, own in list(zip(steps, ours, strict=True))[begin:]
            if not (own and isinstance(error, MinicaffeError))]
    trace = None
    for step in reversed(kept):
        trace = TracebackType(trace, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return trace
