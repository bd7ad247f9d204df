"""Read the documentation of each layer type: its datasheet, its fields, a sample, and the code that computes it.

A datasheet is the docstring of a layer's class. `minicaffe layers`, `minicaffe explain` and docs/generate.py, which
writes docs/layers.md, show the result.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from minicaffe import kernels, plugins
from minicaffe.errors import LayerError, from_here
from minicaffe.layer import Elementwise, Layer, layer_class, registered_types, unknown_type_hint
from minicaffe.layers import FAMILIES
from minicaffe.proto import LayerParameter, describe, is_repeated
from minicaffe.proto.forks import FIRST_NUMBER, is_added

LABELS = ("Forward", "Backward", "Computed", "Bottom", "Top", "Params", "Blobs", "In place", "Phase", "Errors",
          "Derived", "See")
PACKAGE = Path(__file__).parents[1]
# classes and functions outside a layer's file, not kernels, that hold a part of its formulas or make its numbers
SHARED = {"Elementwise", "RecurrentLayer", "PoolingBase", "NormalizedLoss", "Cells", "times", "focal_loss",
          "focal_slope", "Transformer", "WindowBatches", "fill"}
DEFINITIONS = "minicaffe.kernels.definitions"
# the methods in which a layer computes, in the order in which they are shown
COMPUTING = ("forward", "value", "pool", "unroll", "backward", "slope", "pool_grad", "unroll_back")
LINE = 116  # the longest line of a datasheet: a file's lines have 120 letters, and a datasheet is indented by 4


class Field(NamedTuple):
    """A field of a message, as the table of fields shows it."""

    name: str
    type: str
    default: str
    comment: str


class Source(NamedTuple):
    """A function as text: its name as layers write it, the path of its file, its code without indentation."""

    name: str
    path: str
    text: str


# --- types and families -----------------------------------------------------------------------------------

def find(name: str) -> str:
    """Return the layer type of this name, in capitals or not. Raise a LayerError with near names for an unknown one."""
    same = _same(name)
    if not same:
        plugins.load_installed()  # an installed package may bring the type
        same = _same(name)
    if not same:
        raise LayerError(f"there is no layer type {name!r}", hint=unknown_type_hint(name))
    return same[0]


def _same(name: str) -> list[str]:
    """Return the types with exactly this name, or else those that differ from it only in capitals and underscores."""
    known = registered_types()
    return [t for t in known if t == name] or [t for t in known if t.lower() == name.lower().replace("_", "")]


def anchor(name: str) -> str:
    """Return by which name pages link to a type: its own in lower case, and lstm-1 for Lstm, because LSTM is lstm."""
    before = sum(t < name and t.lower() == name.lower() for t in registered_types())
    return name.lower() + (f"-{before}" if before else "")


def families() -> dict[str, list[str]]:
    """Return family -> its types; the families in the order of Caffe's own catalogue, the types by name."""
    return {family: [name for name in registered_types() if family_of(name) == family] for family in FAMILIES}


def family_of(name: str) -> str:
    """Return the family of a type, the folder of its file; empty for a type that is not of this package."""
    if name not in registered_types() or plugins.origin_of(plugins.LAYER, name):  # its class may not be asked for
        return ""
    module = layer_class(name).__module__.split(".")
    return module[-2] if module[:2] == ["minicaffe", "layers"] else ""


def source_file(name: str) -> str:
    """Return the file that holds the type."""
    return inspect.getfile(layer_class(name))


# --- the datasheet ----------------------------------------------------------------------------------------

def datasheet(name: str) -> str:
    """Return the docstring of the type's class."""
    # not inspect.getdoc: a class without a docstring would get that of its base, which describes another type
    return inspect.cleandoc(layer_class(name).__doc__ or "")


def summary(name: str) -> str:
    """Return the datasheet's first sentence, on one line."""
    text = " ".join(datasheet(name).split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", text)[0]


def introduction(sheet: str) -> str:
    """Return what stands before the first label of a datasheet."""
    return re.split(rf"^({'|'.join(LABELS)})(?=  |$)", sheet, maxsplit=1, flags=re.MULTILINE)[0].strip()


def sections(sheet: str) -> dict[str, str]:
    """Return label -> the text after it in a datasheet, without indentation."""
    return {label: "\n".join([*lines, note]).strip() for label, (lines, note) in with_notes(sheet).items()}


def with_notes(sheet: str) -> dict[str, tuple[list[str], str]]:
    """Return label -> the lines beside it in a datasheet, without indentation, and the note below them.

    The note is what begins at the margin again, and all that follows up to the next label.
    """
    parts = re.split(rf"^({'|'.join(LABELS)})(?=  |$)", sheet, flags=re.MULTILINE)[1:]
    return {label: _beside(len(label), body.rstrip().split("\n"))
            for label, body in zip(parts[::2], parts[1::2], strict=True)}


def _beside(width: int, lines: list[str]) -> tuple[list[str], str]:
    """Cut what follows a label of this width into its lines and its note."""
    first, below = lines[0].strip(), lines[1:]
    column = width + _indent(lines[0]) if first else min(map(_indent, filter(str.strip, below)), default=0)
    count = next((i for i, line in enumerate(below) if not line.startswith(" ")), len(below))
    beside = [line[min(column, _indent(line)):].rstrip() for line in below[:count]]
    return [first, *beside] if first else beside, "\n".join(below[count:])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


# --- fields -----------------------------------------------------------------------------------------------

def fields(name: str) -> dict[str, list[Field]]:
    """Return message -> the fields that the type reads, for each message that it reads."""
    return {message: [Field(field.name, _type(field), describe.default(field) or "–", comment(field))
                      for field in found] for message, found in descriptors(name).items()}


def descriptors(name: str) -> dict[str, list[Any]]:
    """Return message -> the descriptors of the fields that the type reads."""
    cls = layer_class(name)
    messages = ([cls.message] if cls.message else []) + list(cls.also_reads)
    return {message: read for message in messages if (read := _read(cls, message))}


def comment(field: Any) -> str:
    """Return the comment on a field in caffe.proto."""
    return describe.comments().get(field.containing_type.name, {}).get(field.name, "")


def _read(cls: type[Layer], message: str) -> list[Any]:
    """Return the descriptors of those fields of a message that a class reads."""
    descriptor: Any = LayerParameter.DESCRIPTOR.fields_by_name[message].message_type
    known = [field for field in descriptor.fields if not is_added(message, field) or field.name in cls.fork_fields]
    if message == cls.message:
        return [field for field in known if field.name not in cls.unread]
    # of a message that belongs to other types, such as loss_param, a layer reads the fields that its datasheet names
    named = re.search(rf"\b{message}:(.*?)(?=\w+_param:|\n[A-Z]|\Z)", datasheet(cls.type), re.DOTALL)
    return [field for field in known if named and re.search(rf"\b{field.name}\b", named[1])]


def _type(field: Any) -> str:
    """Return the type of a field in words, with all values of an enum."""
    if field.message_type is not None:
        word = field.message_type.name
    elif field.enum_type is not None:
        word = " | ".join(value.name for value in field.enum_type.values if value.number < FIRST_NUMBER)
    else:
        word = {field.TYPE_STRING: "string", field.TYPE_BOOL: "bool", field.TYPE_FLOAT: "float",
                field.TYPE_INT32: "int32", field.TYPE_UINT32: "uint32", field.TYPE_INT64: "int64"}[field.type]
    return f"{word}, repeated" if is_repeated(field) else word


# --- samples ----------------------------------------------------------------------------------------------

@cache
def samples() -> dict[str, str]:
    """Return type -> a net with one layer of it, from samples.prototxt."""
    return read_sections("samples.prototxt")


def sample(name: str) -> str:
    """Return a net with one layer of the type, which runs as it is."""
    return samples()[name]


def read_sections(file: str) -> dict[str, str]:
    """Return type -> the part of a file in minicaffe/layers below the line '# TYPE'."""
    text = resources.files("minicaffe.layers").joinpath(file).read_text(encoding="utf-8")
    parts = re.split(r"^# (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


# --- the maths as code ------------------------------------------------------------------------------------

def kernels_called(name: str) -> list[str]:
    """Return the kernels that a type's file and its family's base call, in the order of the code."""
    known, found = kernels.kernels(), []
    for i, cls in enumerate(_own_classes(name)):
        found += [(i, node.lineno, node.col_offset, node.attr) for node in _nodes(cls)
                  if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
                  and node.value.id == "kernels" and node.attr in known]
    return list(dict.fromkeys(kernel for *_, kernel in sorted(found)))


def computed_by(name: str) -> dict[str, str]:
    """Return name -> path of its file for what computes outside the type's file: kernels, and what it has of SHARED."""
    return {f"kernels.{kernel}": definition(kernel).path for kernel in kernels_called(name)} \
        | {shared: _path(thing) for shared, thing in _shared(name).items()}


def computed(name: str) -> str:
    """Return the label 'Computed' of a type's datasheet with its text; empty where the layer's file does all maths."""
    files: dict[str, list[str]] = {}
    for what, path in computed_by(name).items():
        files.setdefault(path, []).append(what)
    parts = ";\n".join(f"{', '.join(names)}: {path}" for path, names in files.items()).split("\n")
    lines = [line for part in parts if part
             for line in textwrap.wrap(part, LINE - 10, break_long_words=False, break_on_hyphens=False)]
    return "\n".join(f"{'' if i else 'Computed':10}{line}" for i, line in enumerate(lines))


def definition(kernel: str) -> Source:
    """Return a kernel's definition, the maths as a short function."""
    return _source(f"kernels.{kernel}", kernels.kernels()[kernel].definition)


def definitions(name: str) -> list[Source]:
    """Return the definitions of the kernels that a type calls, then the small functions that these call in turn."""
    made = {f"kernels.{kernel}": kernels.kernels()[kernel].definition for kernel in kernels_called(name)}
    todo = list(made.values())
    for function in todo:  # it grows, for what is called may call another function
        called = _called(inspect.getsource(function), inspect.unwrap(function).__globals__, DEFINITIONS)
        new = {helper: code for helper, code in called.items() if helper not in made}
        made |= new
        todo += new.values()
    return [_source(helper, function) for helper, function in made.items()]


def own_path(name: str) -> str:
    """Return the path of the type's file."""
    return _path(layer_class(name))


def own_code(name: str) -> list[Source]:
    """Return the methods in which a type and its bases compute, then what those call in its file and in its bases.

    Of a base's methods, only those whose result is used are shown: the others report or check.
    """
    found: dict[str, Any] = {}
    for cls in _own_classes(name):  # the type's own class comes first, and its methods replace those of a base
        found = {method: (cls, vars(cls)[method]) for method in COMPUTING if method in vars(cls)} | found
    sources = [_source(f"{cls.__name__}.{method}", function) for method in COMPUTING if method in found
               for cls, function in [found[method]] if _has_source(function)]
    sources = [source for source in sources if _does_something(source.text)]
    cls = layer_class(name)
    known = vars(sys.modules[cls.__module__]) | {helper: getattr(cls, helper) for helper in vars(cls)}
    known = {helper: function for helper, function in known.items() if helper.startswith("_")}  # x.reshape is numpy's
    known |= _functions_beside(name)
    called: dict[str, Any] = {}
    texts = [source.text for source in sources]
    for text in texts:  # it grows, for what is called may call another function
        new = _called(text, known, "minicaffe.") | _methods_of_others(name, text)
        new = {helper: function for helper, function in new.items() if helper not in called}
        called |= new
        texts += [inspect.getsource(function) for function in new.values()]
    return sources + [_source(f"{cls.__name__}.{helper}" if helper in vars(cls) else helper, function)
                      for helper, function in called.items()]


def _functions_beside(name: str) -> dict[str, Any]:
    """Return what a type imports of SHARED, and all functions of the modules that hold these and the type's bases."""
    shared = _shared(name)
    modules = [sys.modules[thing.__module__] for thing in [*shared.values(), *_own_classes(name)[1:]]]
    return shared | {word: thing for module in modules for word, thing in vars(module).items()
                     if inspect.isfunction(thing) and thing.__module__ == module.__name__}


def _methods_of_others(name: str, text: str) -> dict[str, Any]:
    """Return methods that a text calls of the type's bases, where it uses their result, and of classes of SHARED."""
    cls, bases = layer_class(name), _own_classes(name)[1:]
    returned = dict.fromkeys(re.findall(r"\S.*?\bself\.([a-z_]\w*)\(", text))
    found = {f"{base.__name__}.{method}": vars(base)[method] for base in bases for method in returned
             if method in vars(base) and method not in {*COMPUTING, *vars(cls)}}
    for thing in _shared(name).values():
        if inspect.isclass(thing) and not _is_layer(thing):
            found |= {f"{thing.__name__}.{method}": vars(thing)[method]
                      for method in dict.fromkeys(re.findall(r"\.([a-z_]\w*)\(", text)) if method in vars(thing)}
    return found


def _shared(name: str) -> dict[str, Any]:
    """Return the classes and functions of SHARED that the file of a type, or of a base in its family, imports."""
    classes = _own_classes(name)
    return {word: thing for cls in classes for word, thing in vars(sys.modules[cls.__module__]).items()
            if word in SHARED and (thing in classes or not _is_layer(thing))}


def _is_layer(thing: Any) -> bool:
    return inspect.isclass(thing) and issubclass(thing, Layer)


def _called(text: str, known: Mapping[str, Any], package: str) -> dict[str, Any]:
    """Return those of the `known` functions and definitions of kernels that a text calls and that are a package's."""
    found = {}
    for name, of_kernel in dict.fromkeys(re.findall(r"\b([a-z_]\w*)(\.definition)?\(", text)):
        function = known.get(name, len)
        if isinstance(function, kernels.Kernel):  # one definition calls another as `kernel.definition(...)`
            if not of_kernel:
                continue
            name, function = f"kernels.{name}", function.definition
        # a function that is cached is a function underneath
        if inspect.isfunction(inspect.unwrap(function)) and function.__module__.startswith(package):
            found[name] = function
    return found


def _nodes(cls: type[Layer]) -> Iterator[ast.AST]:
    """Everything in the file of a class; nothing where that cannot be read."""
    module = sys.modules[cls.__module__]
    return ast.walk(ast.parse(inspect.getsource(module))) if _has_source(module) else iter(())


def _own_classes(name: str) -> list[type[Layer]]:
    """Return the type's class, its bases that belong to a family, and Elementwise, which multiplies dy by the slope."""
    cls = layer_class(name)
    return [base for base in cls.__mro__ if issubclass(base, Layer)
            and (base in (cls, Elementwise) or base.__module__.startswith("minicaffe.layers."))]


def _has_source(thing: Any) -> bool:
    """Return whether Python code of a method or a module can be shown.

    A type from outside may take a method from a compiled module, or be made by exec.
    """
    try:
        return bool(inspect.getsource(thing))
    except (OSError, TypeError):
        return False


def _source(name: str, function: Any) -> Source:
    """Return a function as a Source of this name."""
    lines = textwrap.dedent(inspect.getsource(function)).rstrip().split("\n")
    while lines[0].startswith("@"):  # decorators such as @kernel say nothing to a reader of the maths
        del lines[0]
    return Source(name, _path(function), "\n".join(lines))


def _path(thing: Any) -> str:
    """The file of a class or a function: seen from the repository where it is ours, else from the current folder."""
    file = Path(inspect.getfile(inspect.unwrap(thing)))
    if file.is_relative_to(PACKAGE):
        return (Path("minicaffe") / file.relative_to(PACKAGE)).as_posix()
    return from_here(str(file))


def _does_something(text: str) -> bool:
    """Return whether a function computes anything: it has more than a docstring and does more than refuse."""
    if not text.startswith("def "):  # a lambda's text may end in the middle of an expression, and cannot be parsed
        return True
    body = ast.parse(text).body[0].body  # type: ignore[attr-defined]
    first = ast.unparse(body[0])
    return len(body) > 1 or not re.match(r"""['"]|(if .*:\s+)?self\.fail\(""", first)


def derivation(name: str) -> str:
    """Return where the maths is derived, FILE#HEADING in the repository; empty for a type without a derivation."""
    found = re.search(r"docs/maths/\w+\.md#[\w-]+", datasheet(name))
    return found[0] if found else ""
