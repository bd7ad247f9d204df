"""What the layer types say of themselves: datasheets, fields, samples, and where the maths stands as code.

A datasheet is the docstring of a layer's class. `minicaffe layers`, `minicaffe explain` and docs/layers.md show what is
read here.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from minicaffe import kernels, plugins
from minicaffe.errors import LayerError
from minicaffe.layer import Elementwise, Layer, layer_class, registered_types, unknown_type_hint
from minicaffe.layers import FAMILIES
from minicaffe.proto import LayerParameter, is_repeated

LABELS = ("Forward", "Backward", "Computed", "Bottom", "Top", "Params", "Blobs", "In place", "Phase", "Errors",
          "Derived", "See")
PACKAGE = Path(__file__).parents[1]
# classes and functions outside a layer's file, not kernels, that hold a part of its formulas or make its numbers
SHARED = {"Elementwise", "RecurrentLayer", "PoolingBase", "NormalizedLoss", "Cells", "times", "focal_loss",
          "focal_slope", "Transformer", "WindowBatches", "fill"}
DEFINITIONS = "minicaffe.kernels.definitions"
COMPUTING = ("forward", "value", "pool", "unroll", "backward", "slope", "pool_grad", "unroll_back")
LINE = 116  # letters in a line of a datasheet, which stands four columns inside a file of 120


class Field(NamedTuple):
    """One line of the table of fields."""

    name: str
    type: str
    default: str
    comment: str


class Source(NamedTuple):
    """A function as code: its name as layers write it, the path of its file, its text without a margin."""

    name: str
    path: str
    text: str


# --- types and families -----------------------------------------------------------------------------------

def find(name: str) -> str:
    """The layer type of this name, whatever its capitals; LayerError with near names when there is none."""
    same = _same(name)
    if not same:
        plugins.load_installed()  # a package may bring it
        same = _same(name)
    if not same:
        raise LayerError(f"there is no layer type {name!r}", hint=unknown_type_hint(name))
    return same[0]


def _same(name: str) -> list[str]:
    """The known types with this name, else those that have it but for the capitals."""
    known = registered_types()
    return [t for t in known if t == name] or [t for t in known if t.lower() == name.lower().replace("_", "")]


def families() -> dict[str, list[str]]:
    """Family -> its types, both in the order of Caffe's own catalogue."""
    return {family: [name for name in registered_types() if family_of(name) == family] for family in FAMILIES}


def family_of(name: str) -> str:
    """The family that a type belongs to, from its module's place; empty for a type that is not of this package."""
    module = layer_class(name).__module__.split(".")
    return module[-2] if module[:2] == ["minicaffe", "layers"] else ""


def source_file(name: str) -> str:
    """The file that holds the type."""
    return inspect.getfile(layer_class(name))


# --- the datasheet ----------------------------------------------------------------------------------------

def datasheet(name: str) -> str:
    """The docstring of the type's class."""
    return inspect.cleandoc(layer_class(name).__doc__ or "")  # not a base's, which describes another type


def summary(name: str) -> str:
    """The datasheet's first sentence, on one line."""
    text = " ".join(datasheet(name).split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", text)[0]


def sections(sheet: str) -> dict[str, str]:
    """Label -> what stands behind it in a datasheet, without the margin."""
    parts = re.split(rf"^({'|'.join(LABELS)})(?=  |$)", sheet, flags=re.MULTILINE)[1:]
    return {label: inspect.cleandoc(" " * len(label) + body)
            for label, body in zip(parts[::2], parts[1::2], strict=True)}


# --- fields -----------------------------------------------------------------------------------------------

def fields(name: str) -> dict[str, list[Field]]:
    """Message -> the fields that the type reads, for each message that it reads."""
    return {message: [Field(field.name, _type(field), default(field) or "–", comment(field)) for field in found]
            for message, found in descriptors(name).items()}


def descriptors(name: str) -> dict[str, list[Any]]:
    """Message -> the descriptors of the fields that the type reads."""
    cls = layer_class(name)
    messages = ([cls.message] if cls.message else []) + list(cls.also_reads)
    return {message: read for message in messages if (read := _read(cls, message))}


def comment(field: Any) -> str:
    """What caffe.proto says of a field."""
    return _comments().get(field.containing_type.name, {}).get(field.name, "")


@cache
def _comments() -> dict[str, dict[str, str]]:
    text = resources.files("minicaffe.proto").joinpath("field_comments.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


def _read(cls: type[Layer], message: str) -> list[Any]:
    descriptor: Any = LayerParameter.DESCRIPTOR.fields_by_name[message].message_type
    read = [field for field in descriptor.fields if field.name not in cls.unread]
    if message == cls.message:
        return read
    # of a message that others own, what the datasheet names
    named = re.search(rf"\b{message}:(.*?)(?=\w+_param:|\n[A-Z]|\Z)", datasheet(cls.type), re.DOTALL)
    return [field for field in descriptor.fields if named and re.search(rf"\b{field.name}\b", named[1])]


def _type(field: Any) -> str:
    if field.message_type is not None:
        word = field.message_type.name
    elif field.enum_type is not None:
        word = " | ".join(value.name for value in field.enum_type.values)
    else:
        word = {field.TYPE_STRING: "string", field.TYPE_BOOL: "bool", field.TYPE_FLOAT: "float",
                field.TYPE_INT32: "int32", field.TYPE_UINT32: "uint32", field.TYPE_INT64: "int64"}[field.type]
    return f"{word}, repeated" if is_repeated(field) else word


def default(field: Any) -> str:
    """A field's default as a prototxt writes it; empty where it has none."""
    if not field.has_default_value:
        return ""
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[field.default_value].name)
    if isinstance(field.default_value, bool):
        return str(field.default_value).lower()
    if isinstance(field.default_value, float):
        return f"{field.default_value:.6g}"
    return str(field.default_value) or '""'


# --- samples ----------------------------------------------------------------------------------------------

@cache
def samples() -> dict[str, str]:
    """Type -> a net with one layer of it, from samples.prototxt."""
    return read_sections("samples.prototxt")


def sample(name: str) -> str:
    """A net with one layer of the type, that runs."""
    return samples()[name]


def read_sections(file: str) -> dict[str, str]:
    """Type -> what stands in a file of minicaffe/layers below the line '# TYPE'."""
    text = resources.files("minicaffe.layers").joinpath(file).read_text(encoding="utf-8")
    parts = re.split(r"^# (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


# --- the maths as code ------------------------------------------------------------------------------------

def kernels_called(name: str) -> list[str]:
    """The kernels that a type's file calls, and those of its family's base, in the order of the code."""
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
    """The label 'Computed' as it must stand in a type's datasheet; empty where all the maths is in the layer's file."""
    files: dict[str, list[str]] = {}
    for what, path in computed_by(name).items():
        files.setdefault(path, []).append(what)
    parts = ";\n".join(f"{', '.join(names)}: {path}" for path, names in files.items()).split("\n")
    lines = [line for part in parts if part
             for line in textwrap.wrap(part, LINE - 10, break_long_words=False, break_on_hyphens=False)]
    return "\n".join(f"{'' if i else 'Computed':10}{line}" for i, line in enumerate(lines))


def definition(kernel: str) -> Source:
    """A kernel's definition, the maths as a short function."""
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
    """The path of the type's file."""
    return _path(layer_class(name))


def own_code(name: str) -> list[Source]:
    """Return the methods in which a type and its bases compute, then what those call in its file and in its bases.

    Of a base's methods, only those whose result is used are shown: the others report or check.
    """
    found: dict[str, Any] = {}
    for cls in _own_classes(name):
        found = {method: (cls, vars(cls)[method]) for method in COMPUTING if method in vars(cls)} | found
    sources = [_source(f"{cls.__name__}.{method}", function) for method in COMPUTING if method in found
               for cls, function in [found[method]]]
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
    """Everything in the file of a class."""
    return ast.walk(ast.parse(inspect.getsource(sys.modules[cls.__module__])))


def _own_classes(name: str) -> list[type[Layer]]:
    """Return the type's class, its bases that belong to a family, and Elementwise, which multiplies dy by the slope."""
    cls = layer_class(name)
    return [base for base in cls.__mro__ if issubclass(base, Layer)
            and (base in (cls, Elementwise) or base.__module__.startswith("minicaffe.layers."))]


def _source(name: str, function: Any) -> Source:
    lines = textwrap.dedent(inspect.getsource(function)).rstrip().split("\n")
    while lines[0].startswith("@"):  # @kernel says nothing to a reader of the maths
        del lines[0]
    return Source(name, _path(function), "\n".join(lines))


def _path(thing: Any) -> str:
    """The file of a class or a function, from the folder of the repository on where it is ours."""
    file = Path(inspect.getfile(inspect.unwrap(thing)))
    return (Path("minicaffe") / file.relative_to(PACKAGE)).as_posix() if file.is_relative_to(PACKAGE) else str(file)


def _does_something(text: str) -> bool:
    """Whether a function computes anything: it has more than a docstring and does more than refuse."""
    body = ast.parse(text).body[0].body  # type: ignore[attr-defined]
    only = ast.unparse(body[0])
    return len(body) > 1 or not re.match(r"""['"]|(if .*:\s+)?self\.fail\(""", only)


def derivation(name: str) -> str:
    """Where the maths is derived, a file of the repository and a heading in it; empty where no derivation is."""
    found = re.search(r"docs/maths/\w+\.md#[\w-]+", datasheet(name))
    return found[0] if found else ""
