"""The stub by which editors and type checkers know the messages, against the messages themselves."""

import ast
import importlib.util
import keyword
import re
import subprocess
import sys
from pathlib import Path

import pytest
from extras import needs

import minicaffe
from minicaffe import proto

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stub():
    spec = importlib.util.spec_from_file_location("stub", ROOT / "protos" / "stub.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_stub_is_that_of_the_descriptor(stub):
    """`make proto` writes it anew where the descriptor or a comment has changed."""
    assert stub.generate() == stub.TARGET.read_text(encoding="utf-8")


def test_every_message_has_the_fields_and_enums_of_the_stub(stub):
    """Each name that the stub declares is there when it runs, and nothing else is."""
    for node in ast.parse(stub.TARGET.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            message = getattr(proto, node.name)
            declared = {part.target.id if isinstance(part, ast.AnnAssign) else part.name for part in node.body
                        if isinstance(part, (ast.AnnAssign, ast.FunctionDef))} - {"__init__"}
            constants = {value.name for enum in message.DESCRIPTOR.enum_types for value in enum.values}

            fields = {name for name in message.DESCRIPTOR.fields_by_name if not keyword.iskeyword(name)}

            assert declared == {*fields, *message.DESCRIPTOR.enum_types_by_name, *constants}
            assert all(hasattr(message(), name) for name in declared)


@pytest.mark.slow
def test_a_type_checker_knows_the_messages(tmp_path):
    """Fields and values of enums have types; a misspelt field, message or argument is an error with its line."""
    needs("mypy")
    code = """from minicaffe.proto import LRNParameter, NetParameter, SolverParameter
net = NetParameter(name="n", layer=[{"name": "a"}])
reveal_type(net.layer[0].lrn_param.alpha)
reveal_type(LRNParameter().WITHIN_CHANNEL)
net.layers_
NetParameter(nam="n")
SolverParameter().max_iter = "three"
net.state = None
from minicaffe.proto import NetParam
"""
    (tmp_path / "user.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", tmp_path / "user.py"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout

    found = {int(line): words for line, words in re.findall(r"user\.py:(\d+): (?:error|note): (.*)", said)
             if "defined in" not in words}
    assert [3, 4, 5, 6, 7, 8, 9] == sorted(found), said
    assert ('Revealed type is "float"', 'Revealed type is "int"') == (found[3].replace("builtins.", ""),
                                                                     found[4].replace("builtins.", ""))


@pytest.mark.slow
def test_a_type_checker_knows_that_there_are_layer_classes(tmp_path):
    """The classes get into `minicaffe.layers` by a loop over the files, which no type checker can follow."""
    needs("mypy")
    (tmp_path / "user.py").write_text("""from minicaffe import layers
from minicaffe.layers import ReLULayer
class OwnLayer(ReLULayer):
    pass
print(layers.SoftmaxLayer(softmax_param={"axis": 2}))
""")
    command = [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache", tmp_path / "user.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert 0 == ran.returncode, ran.stdout + ran.stderr


def test_public_names_can_be_listed():
    """A prompt completes the names of minicaffe and of its messages before they are first used."""
    assert {*minicaffe.__all__} <= {*dir(minicaffe)}
    assert {"NetParameter", "LRNParameter", "TRAIN"} <= {*dir(proto)}
    assert (ROOT / "minicaffe" / "py.typed").is_file()
