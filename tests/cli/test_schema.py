"""`minicaffe schema`: what minicaffe reads as YAML is valid by it, and what it refuses is not."""

import json
from pathlib import Path

import pytest
import yaml

from minicaffe.cli.__main__ import main
from minicaffe.layer import registered_types
from minicaffe.layers.datasheet import samples
from minicaffe.proto import NetParameter, SolverParameter, message_class, text

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.prototxt"))
KINDS = {"object": dict, "array": list, "string": (str, bytes), "boolean": bool, "null": type(None)}


def is_of(value, kind):
    if kind in ("number", "integer"):
        return isinstance(value, (int, float) if kind == "number" else int) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


def faults(value, schema, whole, place=""):
    """The places of a value that break a schema, by the words of JSON Schema that ours are written with."""
    known = {"$ref", "$schema", "additionalProperties", "allOf", "anyOf", "definitions", "description", "enum",
             "items", "maximum", "minimum", "properties", "required", "title", "type"}
    assert known >= set(schema), set(schema) - known
    if "$ref" in schema:
        return faults(value, whole["definitions"][schema["$ref"].removeprefix("#/definitions/")], whole, place)
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    found = [place] if kinds and not any(is_of(value, kind) for kind in kinds) else []
    found += [place] if "enum" in schema and value not in schema["enum"] else []
    if is_of(value, "number"):
        found += [place] if not schema.get("minimum", value) <= value <= schema.get("maximum", value) else []
    for part in schema.get("allOf", []):
        found += faults(value, part, whole, place)
    choices = [faults(value, part, whole, place) for part in schema.get("anyOf", [])]
    found += max(choices, key=lambda places: max(map(len, places))) if choices and all(choices) else []
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        found += [f"{place}.{name}" for name in schema.get("required", []) if name not in value]
        for name, inner in value.items():
            if name in fields:
                found += faults(inner, fields[name], whole, f"{place}.{name}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{place}.{name}")
    for i, item in enumerate(value if isinstance(value, list) else []):
        found += faults(item, schema.get("items", {}), whole, f"{place}[{i}]")
    return found


@pytest.fixture(scope="module")
def schemas(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schemas")
    for kind in ("net", "solver"):
        assert 0 == main(["schema", kind, "-o", str(folder / kind)])
    return {kind: json.loads((folder / kind).read_text()) for kind in ("net", "solver")}


@pytest.mark.parametrize("name", registered_types())
def test_each_layer_types_sample_is_valid(name, schemas):
    """The nets of docs/layers.md as YAML, all types between them."""
    net = text.parse(samples()[name], NetParameter())

    assert [] == faults(yaml.safe_load(text.format_for("net.yaml", net)), schemas["net"], schemas["net"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_valid(path, schemas):
    """Nets and solvers; a net is no solver."""
    kind, other = ("solver", "net") if "solver" in path.name else ("net", "solver")
    message = text.parse(path.read_text(), (SolverParameter if kind == "solver" else NetParameter)())
    value = yaml.safe_load(text.format_for("a.yaml", message))

    assert [] == faults(value, schemas[kind], schemas[kind])
    assert faults(value, schemas[other], schemas[other])


@pytest.mark.parametrize(("kind", "source", "places"), [
    ("net", "{layer: {name: 1, type: Mine, bottom: [a, 2], relu_param: }}", []),
    ("net", "{name: yes, layer: [{type: ReLU, phase: TEST, loss_weight: 3}]}", []),
    ("net", "{layer: {type: ReLU, botom: a}}", [".layer.botom"]),
    ("net", "{layer: [{type: ReLU}, {pooling_param: {pool: MAXX}}]}", [".layer[1].pooling_param.pool"]),
    ("net", "{layer: {convolution_param: {num_output: -1}}}", [".layer.convolution_param.num_output"]),
    ("net", "{layer: {lrn_param: {alpha: much}}}", [".layer.lrn_param.alpha"]),
    ("net", "{layer: {clip_param: {min: 0}}}", [".layer.clip_param.max"]),
    ("net", "{layer: {type: {a: 1}}}", [".layer.type"]),
    ("net", "{force_backward: 1}", [".force_backward"]),
    ("solver", "{base_lr: 0.1, lr_policy: step, type: Adam, net_param: {layer: {nam: a}}}", [".net_param.layer.nam"]),
    ("solver", "{max_iter: 1.5}", [".max_iter"]),
])
def test_what_is_valid_and_what_is_not(kind, source, places, schemas):
    """A misspelt field, a wrong value and a missing one have their places."""
    assert places == faults(yaml.safe_load(source), schemas[kind], schemas[kind])


def test_what_an_editor_shows(schemas, capsys):
    """Types of layers are offered, fields have their comments, and stdout gets the same every time."""
    definitions = schemas["net"]["definitions"]
    layer = definitions["LayerParameter"]["properties"]

    assert registered_types() == layer["type"]["anyOf"][0]["enum"]
    assert {"MAX", "AVE", "STOCHASTIC"} == {*definitions["PoolingParameter"]["properties"]["pool"]["enum"]}
    assert "Default: 0.5" in definitions["DropoutParameter"]["properties"]["dropout_ratio"]["description"]
    for name, made in definitions.items():
        assert list(made["properties"]) == [field.name for field in message_class(name).DESCRIPTOR.fields]
    assert 0 == main(["schema"])
    assert schemas["net"] == json.loads(capsys.readouterr().out)


def test_a_file_that_cannot_be_written(tmp_path, capsys):
    """One message, and status 1."""
    assert 1 == main(["schema", "-o", str(tmp_path / "none" / "a.json")])
    assert "minicaffe: error: cannot write" in capsys.readouterr().err


def test_an_empty_file_name(capsys):
    """It is refused: a script whose variable is empty would otherwise get the schema on its screen."""
    with pytest.raises(SystemExit):
        main(["schema", "-o", ""])
    assert "expects a value, got ''" in capsys.readouterr().err
