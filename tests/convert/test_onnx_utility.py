"""Layers that rearrange numbers as ONNX, compared with onnxruntime."""

import numpy as np
import pytest
from onnx_tools import assert_same, exported, ops

from minicaffe.errors import LayerError

pytestmark = pytest.mark.slow  # hundreds of small conversions

SIZES = (2, 4, 3, 7)
TWICE = """
from minicaffe.layer import Layer

class Twice(Layer):
    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = 2 * bottom[0].data
"""


def put_in(name="x", *sizes):
    dims = " ".join(f"dim: {size}" for size in sizes or SIZES)
    return f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ {dims} }} }} }}\n"


def net(type_, param="", bottoms="x", tops="y"):
    blobs = " ".join([*(f"bottom: '{name}'" for name in bottoms), *(f"top: '{name}'" for name in tops)])
    return f"layer {{ name: 'l' type: '{type_}' {blobs} {param} }}\n"


def written(*given, **kw):
    return ops(assert_same("".join(given), **kw))


@pytest.mark.filterwarnings("ignore:layer 'l'.*concat_dim is deprecated")
@pytest.mark.parametrize(("param", "other"), [
    ("", (2, 6, 3, 7)), ("axis: -1", (2, 4, 3, 8)), ("axis: 0", (2, 4, 3, 7)), ("concat_dim: 2", (2, 4, 6, 7))])
def test_concat(param, other):
    assert written(put_in(), put_in("z", *other), net("Concat", f"concat_param {{ {param} }}", "xzx")) == ["Concat"]


def test_concat_of_one():
    written(put_in(), net("Concat"))


@pytest.mark.parametrize(("param", "bottoms", "nodes"), [
    ("", "xz", ["Add"]), ("", "xzw", ["Add", "Add"]),
    ("operation: PROD", "xz", ["Mul"]), ("operation: PROD stable_prod_grad: false", "xzwx", ["Mul", "Mul", "Mul"]),
    ("operation: MAX", "xz", ["Max"]), ("operation: MAX", "xzw", ["Max", "Max"]),
    ("coeff: 1 coeff: -1", "xz", ["Mul", "Add"]),
    ("coeff: 0.5 coeff: 1 coeff: 0", "xzw", ["Mul", "Mul", "Add", "Add"])])
def test_eltwise(param, bottoms, nodes):
    ins = [put_in(name) for name in sorted(set(bottoms))]
    assert written(*ins, net("Eltwise", f"eltwise_param {{ {param} }}", bottoms)) == nodes


@pytest.mark.parametrize(("factors", "x", "first"), [
    ((2, 4), SIZES, "Unsqueeze"), ((2, 4, 1, 1), SIZES, "Mul"), ((2, 4, 1), SIZES, "Unsqueeze"),
    ((2, 4, 1, 1), (2, 4), "Squeeze"), ((2, 4), (2, 4), "Mul")])
def test_axpy(factors, x, first):
    assert written(put_in("a", *factors), put_in("x", *x), put_in("z", *x), net("Axpy", "", "axz"))[0] == first


def test_batch_reindex():
    assert written(put_in(), put_in("i", 2), net("BatchReindex", "", "xi")) == ["Cast", "Gather"]
    written(put_in(), put_in("i", 6), net("BatchReindex", "", "xi"), inputs={"i": [1, 0, 0, 1.9, 1, 0]}, larger=False)


@pytest.mark.parametrize("selector", [(4,), (4, 1, 1)])
@pytest.mark.parametrize("larger", [True, False])
def test_filter(selector, larger):
    """How many samples go on is known only when the model runs, also where the batch size is fixed."""
    ins = put_in("x", 4, 3, 7), put_in("w", 4, 6), put_in("s", *selector)
    behind = "layer { name: 'f' type: 'Flatten' bottom: 'y' top: 'f' }"
    nodes = written(*ins, net("Filter", "", "xws", "yv"), behind, larger=larger)
    assert nodes == [*["Reshape"] * (len(selector) - 1), "Cast", "Compress", "Compress", "Flatten"][-5:]


@pytest.mark.parametrize("chosen", [[0, 0, 0, 0], [1, 0.5, -1, 0], [1, 1, 1, 1]])
def test_filter_chooses_what_is_not_0(chosen):
    assert_same(put_in("x", 4, 3) + put_in("s", 4) + net("Filter", "", "xs"), inputs={"s": chosen})


@pytest.mark.parametrize("behind", [
    "type: 'Reshape' reshape_param { shape { dim: 0 dim: 7 dim: 3 } }",
    "type: 'Reshape' reshape_param { shape { dim: -1 } }",
    "type: 'InnerProduct' inner_product_param { num_output: 6 }", "type: 'Tile' tile_param { tiles: 3 }",
    "type: 'ArgMax'", "type: 'Reduction' reduction_param { axis: 1 }"])
def test_layers_behind_a_filter(behind):
    text = put_in("x", 4, 3, 7) + put_in("s", 4) + net("Filter", "", "xs") \
        + f"layer {{ name: 'b' bottom: 'y' top: 'z' {behind} }}"
    assert_same(text, larger=False)


def test_split_is_left_out():
    text = put_in() + net("Split", "", "x", "yz") + "layer { name: 'a' type: 'AbsVal' bottom: 'y' top: 'a' }" \
        + "layer { name: 'b' type: 'BNLL' bottom: 'z' top: 'b' }"
    assert written(text) == ["Abs", "Softplus"]


def test_split_of_an_output():
    written(put_in(), "layer { name: 'a' type: 'AbsVal' bottom: 'x' top: 'a' }", net("Split", "", "a", "yz"))


@pytest.mark.filterwarnings("ignore:layer 'l'.*slice_dim is deprecated")
@pytest.mark.parametrize(("param", "tops", "nodes"), [
    ("", "yz", ["Split"]), ("slice_point: 1", "yz", ["Split"]),
    ("axis: -1 slice_point: 1 slice_point: 4", "yzw", ["Split"]),
    ("slice_dim: 1 slice_point: 3", "yz", ["Split"]), ("", "y", ["Identity"]),
    ("axis: 0 slice_point: 1", "yz", ["Slice", "Slice"])])
def test_slice(param, tops, nodes):
    assert written(put_in(), net("Slice", f"slice_param {{ {param} }}", "x", tops)) == nodes


def test_slice_of_the_batch_in_equal_parts():
    """As a siamese net does."""
    pair = "layer { name: 'c' type: 'Concat' bottom: 'x' bottom: 'z' bottom: 'z' top: 'c' concat_param { axis: 0 } }"
    nodes = written(put_in(), put_in("z"), pair, net("Slice", "slice_param { axis: 0 }", "c", "abd"))
    assert nodes == ["Concat", "Split"]


def test_silence_is_left_out():
    text = put_in() + "layer { name: 'a' type: 'AbsVal' bottom: 'x' top: 'a' }" + net("Silence", "", "x", "")
    assert written(text) == ["Abs"]


def test_refuses_a_python_layer(tmp_path, monkeypatch):
    (tmp_path / "twice_layers.py").write_text(TWICE)
    monkeypatch.syspath_prepend(tmp_path)
    text = put_in() + net("Python", "python_param { module: 'twice_layers' layer: 'Twice' }")
    with pytest.raises(LayerError, match=r"'l' \(Python\) runs the class Twice of .* twice_layers") as error:
        exported(text)
    assert "end the model before it" in error.value.hint


def test_parameter():
    p = "layer { name: 'p' type: 'Parameter' top: 'p' parameter_param { shape { dim: 3 dim: 7 } } }"
    model = assert_same(put_in() + p + net("Bias", "bias_param { axis: 2 }", "xp"))
    assert [(one.name, list(one.dims)) for one in model.graph.initializer] == [("p/blobs[0]", [3, 7])]


def test_parameter_as_an_output():
    p = "layer { name: 'p' type: 'Parameter' top: 'p' parameter_param { shape { dim: 3 dim: 7 } } }"
    written(put_in(), net("AbsVal"), p)


@pytest.mark.parametrize(("param", "nodes"), [
    ("", ["Flatten"]), ("axis: -3", ["Flatten"]), ("end_axis: 2", ["Reshape"]), ("axis: 2", ["Reshape"]),
    ("axis: 0 end_axis: 1", ["Reshape"]), ("axis: 0", ["Reshape"]), ("axis: 2 end_axis: 1", ["Reshape"]),
    ("axis: 3", ["Identity"])])
def test_flatten(param, nodes):
    assert written(put_in(), net("Flatten", f"flatten_param {{ {param} }}")) == nodes


@pytest.mark.parametrize("param", [
    "shape { dim: 0 dim: -1 }", "shape { dim: -1 dim: 84 }", "shape { dim: 0 dim: 7 dim: 0 dim: 4 }",
    "shape { dim: -1 }", "axis: 1 shape { dim: 12 dim: 7 }", "axis: -1 num_axes: 0 shape { dim: 1 }",
    "axis: 0 num_axes: 0 shape { dim: 1 }", "axis: 1 num_axes: 2 shape { dim: -1 }",
    "axis: 2 shape { dim: 1 dim: 0 dim: 3 }"])
def test_reshape(param):
    assert written(put_in(), net("Reshape", f"reshape_param {{ {param} }}")) == ["Reshape"]


def test_reshape_of_a_fixed_batch():
    assert written(put_in(), net("Reshape", "reshape_param { shape { dim: 8 dim: 21 } }"), larger=False) == ["Reshape"]


def test_reshape_to_a_scalar():
    written(put_in("x", 1), net("Reshape", "reshape_param { shape { } }"), larger=False)


def test_reshape_that_moves_the_open_axis():
    """Where the batch has the size of another axis, the shape alone does not show that it has moved."""
    assert written(put_in("x", 2, 2), net("Reshape", "reshape_param { shape { dim: 2 dim: -1 } }")) == ["Reshape"]


def test_reshape_with_two_open_axes():
    """Of two axes that grow, the front ones stay in their places."""
    text = put_in("x", 2, 4, 3, 7) + net("Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: -1 } }")
    assert written(text, larger=text.replace("dim: 2 dim: 4", "dim: 5 dim: 8")) == ["Reshape"]
    text = put_in("x", 2, 3, 4, 7) + net("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 7 dim: 3 } }")
    assert written(text, larger=text.replace("dim: 2 dim: 3 dim: 4", "dim: 5 dim: 3 dim: 8")) == ["Reshape"]


def test_refuses_a_reshape_that_moves_two_open_axes():
    turned = "layer { name: 'p' type: 'Permute' bottom: 'x' top: 'p' permute_param { order: 1 } }"
    text = put_in("x", 2, 3, 4, 7) + turned \
        + net("Reshape", "reshape_param { axis: 0 num_axes: 0 shape { dim: 1 } }", "p")
    with pytest.raises(LayerError, match="'l'.*more than one axis grows with the batch") as error:
        exported(text, larger=text.replace("dim: 2 dim: 3 dim: 4", "dim: 5 dim: 3 dim: 8"))
    assert "--batch N" in error.value.hint


@pytest.mark.parametrize(("type_", "param"), [
    ("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"), ("Permute", "permute_param { order: 3 }"),
    ("Permute", ""), ("Transpose", "transpose_param { dim: 3 dim: 0 dim: 2 dim: 1 }")])
def test_order_of_axes(type_, param):
    assert written(put_in(), net(type_, param)) == ["Transpose"]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_reverse(axis):
    assert written(put_in(), net("Reverse", f"reverse_param {{ axis: {axis} }}")) == ["Slice"]


@pytest.mark.parametrize("param", ["tiles: 3", "axis: 0 tiles: 2", "axis: -1 tiles: 5", "tiles: 1"])
def test_tile(param):
    assert written(put_in(), net("Tile", f"tile_param {{ {param} }}")) == ["Tile"]


@pytest.mark.parametrize("sizes", [(2, 6), (2, 6, 3), (2, 6, 4, 7), (2, 6, 4, 7, 3)])
def test_shuffle_channel(sizes):
    assert written(put_in("x", *sizes), net("ShuffleChannel", "shuffle_channel_param { group: 3 }")) \
        == ["Reshape", "Transpose", "Reshape"]


def test_refuses_to_shuffle_samples():
    turned = "layer { name: 'p' type: 'Permute' bottom: 'x' top: 'p' permute_param { order: 1 } }"
    with pytest.raises(LayerError, match="'l'.*has a new place for each place of an axis of 'p' that grows"):
        exported(put_in() + turned + net("ShuffleChannel", bottoms="p"))


@pytest.mark.parametrize(("param", "nodes"), [
    ("", ["Softmax"]), ("axis: -1", ["Softmax"]), ("axis: 0", ["Softmax"]),
    ("scaling_temperature: 2.5", ["Mul", "Softmax"])])
def test_softmax(param, nodes):
    assert written(put_in(), net("Softmax", f"softmax_param {{ {param} }}")) == nodes


@pytest.mark.parametrize(("operation", "node"), [
    ("SUM", "ReduceSum"), ("ASUM", "ReduceL1"), ("SUMSQ", "ReduceSumSquare"), ("MEAN", "ReduceMean")])
@pytest.mark.parametrize("param", ["", "axis: 1", "axis: -1", "axis: 2 coeff: -0.3", "coeff: 3"])
def test_reduction(operation, node, param):
    nodes = written(put_in(), net("Reduction", f"reduction_param {{ operation: {operation} {param} }}"))
    assert nodes == [node, *["Mul"] * ("coeff" in param)]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("param", "first"), [
    ("", "Flatten"), ("top_k: 3", "Flatten"), ("out_max_val: true", "Flatten"),
    ("top_k: 4 out_max_val: true", "Flatten"),
    ("axis: 1", "ArgMax"), ("axis: -1 top_k: 3", "Slice"), ("axis: 2 out_max_val: true", "TopK"),
    ("axis: 3 top_k: 2 out_max_val: true", "TopK"), ("axis: 0", "ArgMax"), ("axis: 0 top_k: 2", "Shape")])
def test_arg_max(param, first, ties):
    """Of equal values Caffe puts the last one first."""
    def numbers(one):
        return {"x": np.random.default_rng(0).integers(3, size=one.blobs["x"].shape)} if ties else {}

    nodes = written(put_in(), net("ArgMax", f"argmax_param {{ {param} }}"), inputs=numbers)
    assert first in nodes[:4]


@pytest.mark.parametrize("sizes", [(2,), (2, 4), (2, 4, 3), (2, 4, 3, 7, 6)])
@pytest.mark.parametrize("param", ["", "out_max_val: true"])
def test_arg_max_of_other_shapes(sizes, param):
    written(put_in("x", *sizes), net("ArgMax", f"argmax_param {{ {param} }}"))
