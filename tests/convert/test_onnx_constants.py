"""Layers without bottoms as constants in ONNX, compared with onnxruntime."""

import pytest
from onnx_tools import assert_same, exported, ops

from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

X = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 4 dim: 3 dim: 7 } } }\n"
BOTH = "layer { name: 'c' type: 'Concat' bottom: 'x' bottom: 'd' top: 'y' }"


def made_up(param, tops="top: 'd'"):
    return f"layer {{ name: 'd' type: 'DummyData' {tops} dummy_data_param {{ {param} }} }}\n"


@pytest.mark.parametrize("param", [
    "shape { dim: 2 dim: 6 dim: 3 dim: 7 }",
    "shape { dim: 2 dim: 6 dim: 3 dim: 7 } data_filler { type: 'constant' value: -1.5 }"])
def test_dummy_data(param):
    assert ops(assert_same(X + made_up(param) + BOTH)) == ["Shape", "Concat", "Expand", "Concat"]
    assert ops(assert_same(X + made_up(param) + BOTH, larger=False)) == ["Concat"]


def test_dummy_data_by_its_old_fields():
    """These do not grow with the batch."""
    text = X + made_up("num: 2 channels: 6 height: 3 width: 7 data_filler { type: 'constant' value: 2 }") + BOTH
    assert ops(assert_same(text, larger=False)) == ["Concat"]


def test_dummy_data_with_several_tops():
    text = X + made_up("""shape { dim: 2 dim: 6 dim: 3 dim: 7 } shape { dim: 2 }
                          data_filler { type: 'constant' value: 2 } data_filler { type: 'constant' value: -3 }""",
                       "top: 'd' top: 'e'") + BOTH
    assert_same(text)


def test_dummy_data_behind_the_first_axis():
    """A blob (T, N) for a recurrent layer has its batch in the second axis."""
    text = """layer {{ name: 'x' type: 'Input' top: 'x' input_param {{ shape {{ dim: 3 dim: {0} dim: 7 }} }} }}
    layer {{ name: 'd' type: 'DummyData' top: 'd' dummy_data_param {{ shape {{ dim: 3 dim: {0} dim: 7 }}
             data_filler {{ type: 'constant' value: 2 }} }} }}
    layer {{ name: 'c' type: 'Eltwise' bottom: 'x' bottom: 'd' top: 'y' }}"""
    assert ops(assert_same(text.format(2), larger=text.format(5))) == ["Shape", "Concat", "Expand", "Add"]


def test_refuses_random_numbers():
    with pytest.raises(LayerError, match=r"'d' \(DummyData\) fills 'd' with random.* type gaussian\)") as error:
        exported(X + made_up("shape { dim: 2 dim: 6 dim: 3 dim: 7 } data_filler { type: 'gaussian' std: 1 }") + BOTH)
    assert "constant" in error.value.hint


def test_refuses_a_constant_that_grows_in_another_way():
    text = "layer {{ name: 'x' type: 'Input' top: 'x' input_param {{ shape {{ dim: {} dim: 4 }} }} }}" \
        "layer {{ name: 'd' type: 'DummyData' top: 'd' dummy_data_param {{ shape {{ dim: {} }} }} }}" \
        "layer {{ name: 'a' type: 'AbsVal' bottom: 'x' top: 'y' }}"
    with pytest.raises(LayerError, match="makes 'd', which grows with the batch in another way") as error:
        exported(text.format(2, 3), larger=text.format(5, 6))
    assert "--batch N" in error.value.hint
