"""Fields and enum values that the schema does not know: refused together, and harmless in layers that are left out."""

import pytest

from minicaffe import TEST, TRAIN, Net
from minicaffe.errors import ProtoError
from minicaffe.proto import NetParameter, SolverParameter, foreign, text

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 5] } } }\n'
RELU = 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }\n'
TRAINED = ('layer { name: "t" type: "Odd" bottom: "data" top: "t" include { phase: TRAIN }\n'
           'odd_param < list: [1, 2] text: "a" \'b\' inner { x: -1 } > pooling_param { pool: ODD } }\n')
YAML = """\
layer:
- {name: data, type: Input, top: data, input_param: {shape: {dim: [2, 3, 5]}}}
- {name: t, type: Odd, bottom: data, top: t, include: {phase: TRAIN}, odd_param: {x: 1}, pooling_param: {pool: ODD}}
- {name: r, type: ReLU, bottom: data, top: r}
"""


def error_of(source, filename="net.prototxt", message=NetParameter):
    with pytest.raises(ProtoError) as caught:
        text.parse(source, message(), filename)
    return str(caught.value)


def test_all_are_named_in_one_error():
    """The first one is shown with its line, each other name once, in the order of the file."""
    said = error_of(DATA + TRAINED + RELU.replace("top:", "odd_param { } pooling_param { kernel: 3 } top:"))

    assert said.splitlines() == [
        "net.prototxt:3:1: LayerParameter has no field 'odd_param'",
        "    odd_param < list: [1, 2] text: \"a\" 'b' inner { x: -1 } > pooling_param { pool: ODD } }",
        "    ^",
        "net.prototxt:3: PoolMethod has no value 'ODD'",
        "net.prototxt:4: PoolingParameter has no field 'kernel'",
    ]


def test_all_are_named_in_yaml():
    """A YAML file is read to its end, too."""
    said = error_of(YAML.replace("top: r}", "top: r, odd: [{a: 1}], nmae: b}"), "net.yaml")

    assert "net.yaml:3:71: LayerParameter has no field 'odd_param'" in said
    assert said.splitlines()[3:] == ["net.yaml:3: PoolMethod has no value 'ODD'",
                                     "net.yaml:4: LayerParameter has no field 'odd'",
                                     "net.yaml:4: LayerParameter has no field 'nmae'"]


def test_a_long_list_is_cut():
    """After twenty further names, a number stands for the rest."""
    said = error_of("layer { " + " ".join(f"odd{i}: {i}" for i in range(30)) + " }")

    assert len(said.splitlines()) == 3 + foreign.MOST_NAMED + 1
    assert said.endswith("\nand 9 more")


def test_a_file_of_another_kind_is_one_error():
    """A solver that is read as a net has many unknown fields, and one sentence says why."""
    said = error_of("base_lr: 1\nmax_iter: 2\nmomentum: 0.5")

    assert len(said.splitlines()) == 4
    assert said.endswith("it is a solver's field: was the other file meant?")


def test_a_solver_names_all():
    """The same for a solver."""
    assert error_of("base_lr: 1\nodd: 2\nodder: 3", "s.prototxt", SolverParameter).endswith(
        "s.prototxt:3: SolverParameter has no field 'odder'")


@pytest.mark.parametrize(("source", "name"), [(DATA + TRAINED + RELU, "net.prototxt"), (YAML, "net.yaml")])
def test_no_harm_in_a_layer_that_is_left_out(tmp_path, source, name):
    """In the other phase the net is made as if the layer were not there; in its own phase it is refused."""
    path = tmp_path / name
    path.write_text(source)

    assert Net(str(path), TEST).layer_names == ["data", "r"]
    with pytest.raises(ProtoError, match="odd_param"):
        Net(str(path), TRAIN)


def test_no_harm_in_an_old_layer_that_is_left_out(tmp_path):
    """The same for `layers`, where the type is an enum's value that may be unknown."""
    path = tmp_path / "net.prototxt"
    path.write_text('input: "data" input_shape { dim: [2, 3, 5] }\n'
                    'layers { name: "o" type: ODD bottom: "data" top: "o" include { stage: "s" } }\n'
                    'layers { name: "r" type: RELU bottom: "data" top: "r" }\n')

    assert Net(str(path), TEST).layer_names == ["input", "r"]
    with pytest.raises(ProtoError, match="net.prototxt:2:26: LayerType has no value 'ODD'"):
        Net(str(path), TEST, stages=["s"])


def test_what_stands_around_keeps_its_line(tmp_path):
    """A mistake further down is shown with its own line, whatever was passed over before."""
    path = tmp_path / "net.prototxt"
    path.write_text(DATA + TRAINED + RELU.replace("top:", "tops:"))

    with pytest.raises(ProtoError, match=r"net.prototxt:4:47: LayerParameter has no field 'tops'"):
        Net(str(path), TEST)
