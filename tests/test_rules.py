"""Rules of style that a machine can read."""

import ast
import re
from inspect import getdoc  # Python 3.13 removes a docstring's margin, those before do not
from pathlib import Path

import pytest

from minicaffe.kernels import kernels
from minicaffe.layer import layer_class, module_name, registered_types
from minicaffe.layers import FAMILIES, datasheet
from minicaffe.layers.datasheet import LABELS
from minicaffe.proto import LayerParameter, describe
from minicaffe.proto.forks import is_added

ROOT = Path(__file__).parent.parent


def datasheet_labels(cls):
    return [m[1] for m in re.finditer(rf"^({'|'.join(LABELS)})(?=  |$)", getdoc(cls), re.MULTILINE)]


@pytest.mark.parametrize("type_name", registered_types())
def test_file_follows_from_type(type_name):
    """A reader who knows a type's name knows its file."""
    family, module = layer_class(type_name).__module__.split(".")[-2:]

    assert family in FAMILIES
    assert module_name(type_name) == module


@pytest.mark.parametrize("type_name", registered_types())
def test_datasheet_is_in_order(type_name):
    """Each layer's docstring has the labels of a datasheet, in their order."""
    labels = datasheet_labels(layer_class(type_name))

    assert {"Top"} <= set(labels) or {"Bottom"} <= set(labels)
    assert sorted(labels, key=LABELS.index) == labels
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("type_name", registered_types())
def test_datasheet_names_every_field_it_reads(type_name):
    """The Params of a datasheet and the fields of the layer's message cannot drift apart.

    Of the fields that forks have added to a message of BVLC's, a layer reads those in its `fork_fields`.
    """
    cls = layer_class(type_name)
    if cls.message is None:
        return
    fields = LayerParameter.DESCRIPTOR.fields_by_name[cls.message].message_type.fields
    added = {field.name for field in fields if is_added(cls.message, field)}
    read = {field.name for field in fields} - set(cls.unread) - added | set(cls.fork_fields)

    assert set() == {name for name in read if not re.search(rf"\b{name}\b", cls.__doc__)}
    assert cls.message in cls.__doc__
    assert set(cls.fork_fields) <= added


@pytest.mark.parametrize("type_name", registered_types())
def test_datasheet_says_where_the_maths_is(type_name):
    """`Computed` names the kernels that the layer calls and what it shares with others, with the files, no more."""
    right = datasheet.computed(type_name)
    written = re.search(r"^Computed .*\n(?: {10}.*\n)*", getdoc(layer_class(type_name)) + "\n", re.MULTILINE)

    assert right == (written[0].rstrip("\n") if written else ""), f"`make docs` writes what is right here:\n{right}"


@pytest.mark.parametrize("type_name", registered_types())
def test_computed_has_every_kernel_of_the_file(type_name):
    """What `Computed` is made from misses no call in the layer's file, and names files that hold the functions."""
    source = Path(datasheet.source_file(type_name)).read_text(encoding="utf-8")
    called = {f"kernels.{word}" for word in re.findall(r"\bkernels\.(\w+)\(", source) if word in kernels()}
    computed = datasheet.computed_by(type_name)

    assert called <= set(computed)
    for name, path in computed.items():
        assert re.search(rf"^(def|class) {name.removeprefix('kernels.')}\b", (ROOT / path).read_text(), re.MULTILINE)


def _given(params, field):
    """What stands in the parentheses behind a field in the Params of a datasheet; None where there are none."""
    found = re.search(rf"(?<![\w.`]){field}\b(?:=[^\s,;(]+)?(?: \(([^()]*)\))?", params)
    assert found, f"{field} is not in {params}"
    return found[1]


def _same(shown, default):
    """Whether two values are the same as a prototxt reads them."""
    try:
        return float(shown) == float(default)
    except ValueError:
        return shown.strip('"') == default.strip('"')


@pytest.mark.parametrize("type_name", registered_types())
def test_datasheet_says_the_defaults(type_name):
    """Each field with a default has it as the last word of its parentheses; others say no other than 'unset: N'."""
    params = datasheet.sections(getdoc(layer_class(type_name))).get("Params", "")
    of = {message: " ".join(words.split()) for message, words in re.findall(
        r"(\w+_param): (.*?)(?=\w+_param: |\Z)", params, re.DOTALL)}
    for message, fields in datasheet.descriptors(type_name).items():
        for field in fields:
            given = _given(of[message], field.name)
            last = (given or "").split(", ")[-1]
            # Caffe: some losses take another default than caffe.proto says, and declare it
            default = getattr(layer_class(type_name), f"default_{field.name}", "") or describe.default(field)
            if default:
                assert _same(last, default), f"{message}.{field.name} ({given}), but the default is {default}"
            elif re.fullmatch(r"-?[\d.]+|true|false|absent: -?[\d.]+", last):
                assert f"unset: {last.removeprefix('absent: ')}" in datasheet.comment(field), f"{message}.{field.name}"


def test_no_layer_speaks_of_engines():
    """No layer file holds an engine or a thread, or turns its blobs into another number type."""
    found = [f"{path.name}: {word}" for path in (ROOT / "minicaffe/layers").rglob("*.py")
             for word in re.findall(r"\b(numba|cupy|threading|astype\(np\.float\w*)", path.read_text())]

    assert [] == found


def test_tests_of_layers_repeat_no_dimension():
    """No Case has a shape in which two sizes are the same: swapped axes could hide there."""
    cases = pytest.importorskip("cases")
    repeated = [(case.id, shape) for case in cases.CASES for shape in case.shapes()
                if len(set(shape) - {1}) < len([n for n in shape if n > 1])]

    assert [] == repeated


def test_values_of_enums_are_read_in_one_way():
    """A value is an attribute of the message that has the field, `p.MAX`; nobody looks it up by its name."""
    found = [f"{path.relative_to(ROOT)}: {call}" for path in (ROOT / "minicaffe").rglob("*.py")
             for call in re.findall(r"\w+\.Value\(\s*[\"']\w+[\"']\)", path.read_text(encoding="utf-8"))
             if path.parent.name != "proto"]

    assert [] == found


DEFINITIONS = sorted((ROOT / "minicaffe/kernels/definitions").glob("*.py"))


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_definitions_are_short(path):
    """A definition is for reading: no function's body has more than 25 lines, without its docstring."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef):
            body = function.body[ast.get_docstring(function) is not None:]

            assert body, f"{function.name} has a docstring alone"
            assert body[-1].end_lineno - body[0].lineno < 25, function.name


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_definitions_need_numpy_alone(path):
    """A definition has no threads, no borrowed memory and no tuning: it imports numpy and Python's own small helps."""
    allowed = {"__future__", "collections.abc", "functools", "typing", "numpy", "minicaffe.kernels.registry"}
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)

    assert {module for module in imported if not module.startswith("minicaffe.kernels.definitions.")} <= allowed


def test_places_in_caffe_stand_in_the_log_module_alone():
    """Where Caffe reports an event is written once, as a name of `At`."""
    found = [f"{path.relative_to(ROOT)}: {place}" for path in (ROOT / "minicaffe").rglob("*.py")
             if path != ROOT / "minicaffe/log.py"
             for place in re.findall(r'"[a-z_]+\.[ch]pp:\d+"', path.read_text(encoding="utf-8"))]

    assert [] == found
