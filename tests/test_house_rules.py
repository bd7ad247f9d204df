"""Rules of style that a machine can read."""

import ast
import re
from inspect import getdoc  # Python 3.13 removes a docstring's margin, those before do not
from pathlib import Path

import pytest

from minicaffe.layer import layer_class, module_name, registered_types
from minicaffe.layers import FAMILIES
from minicaffe.proto import LayerParameter

ROOT = Path(__file__).parent.parent
LABELS = ["Forward", "Backward", "Bottom", "Top", "Params", "Blobs", "In place", "Phase", "Errors", "Derived", "See"]


def datasheet_labels(cls):
    return [m[1] for m in re.finditer(rf"^({'|'.join(LABELS)})(?=  |$)", getdoc(cls), re.MULTILINE)]


@pytest.mark.parametrize("type_name", registered_types())
def test_file_follows_from_type(type_name):
    """this test shows that a reader who knows a type's name knows its file."""
    family, module = layer_class(type_name).__module__.split(".")[-2:]

    assert family in FAMILIES
    assert module_name(type_name) == module


@pytest.mark.parametrize("type_name", registered_types())
def test_datasheet_is_in_order(type_name):
    """this test shows that each layer's docstring has the labels of a datasheet, in their order."""
    labels = datasheet_labels(layer_class(type_name))

    assert {"Top"} <= set(labels) or {"Bottom"} <= set(labels)
    assert sorted(labels, key=LABELS.index) == labels
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("type_name", registered_types())
def test_datasheet_names_every_field_it_reads(type_name):
    """this test shows that the Params of a datasheet and the fields of the layer's message cannot drift apart."""
    cls = layer_class(type_name)
    if cls.message is None:
        return
    fields = LayerParameter.DESCRIPTOR.fields_by_name[cls.message].message_type.fields_by_name
    read = set(fields) - set(cls.unread)
    missing = {name for name in read if not re.search(rf"\b{name}\b", cls.__doc__)}

    assert set() == missing
    assert cls.message in cls.__doc__


def test_no_layer_speaks_of_engines():
    """this test shows that no layer file holds an engine or a thread, or turns its blobs into another number type."""
    found = [f"{path.name}: {word}" for path in (ROOT / "minicaffe/layers").rglob("*.py")
             for word in re.findall(r"\b(numba|cupy|threading|astype\(np\.float\w*)", path.read_text())]

    assert [] == found


def test_tests_of_layers_repeat_no_dimension():
    """this test shows that no Case has a shape in which two sizes are the same: swapped axes could hide there."""
    cases = pytest.importorskip("cases")
    repeated = [(case.id, shape) for case in cases.CASES for shape in case.shapes()
                if len(set(shape) - {1}) < len([n for n in shape if n > 1])]

    assert [] == repeated


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
