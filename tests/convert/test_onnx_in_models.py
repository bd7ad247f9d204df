"""Whole ONNX models as nets: files, number types, sizes that are open, names, errors, and the command."""

import numpy as np
import pytest
from extras import needs
from onnx_models import assert_reads, model_of, node, one
from onnx_tools import exported

from minicaffe.cli.__main__ import main
from minicaffe.convert.onnx_in import reading
from minicaffe.convert.onnx_in.given import READERS
from minicaffe.convert.onnx_in.net import net_of
from minicaffe.errors import MinicaffeError
from minicaffe.net import Net
from minicaffe.proto import TEST

pytestmark = pytest.mark.slow  # hundreds of small conversions

DRAW = np.random.default_rng(7)


def floats(*shape):
    return DRAW.standard_normal(shape).astype(np.float32)


def small(batch=2, opset=18):
    """Conv, Relu, GlobalAveragePool, Flatten and Gemm, named as PyTorch names them."""
    nodes = [node("Conv", ["image", "w", "b"], ["c"], "/layer1/layer1.0/conv1/Conv"),
             node("Relu", ["c"], ["r"], "/layer1/layer1.0/relu/Relu"),
             node("GlobalAveragePool", ["r"], ["p"], "/pool/GlobalAveragePool"),
             node("Flatten", ["p"], ["f"], "/Flatten"), node("Gemm", ["f", "v", "u"], ["scores"], "/fc/Gemm")]
    return model_of(nodes, {"image": (batch, 3, 6, 8)}, ["scores"],
                    {"w": floats(5, 3, 2, 3), "b": floats(5), "v": floats(5, 4), "u": floats(4)}, opset)


def saved(model, tmp_path, **given):
    path = tmp_path / "model.onnx"
    needs("onnx").save(model, path, **given)
    return str(path)


def draft_of(model, **given):
    return net_of(model, reading.input_shapes(model, given.pop("batch", None), given.pop("shapes", {})), **given)


# --- files and number types -----------------------------------------------------------------------------------------

def test_weights_among_the_inputs():
    """Models of old exporters list their weights as inputs, too."""
    model = small()
    helper = needs("onnx").helper
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))

    assert assert_reads(model) == ["Convolution", "ReLU", "Pooling", "Flatten", "InnerProduct"]


def test_data_beside_the_model(tmp_path):
    path = saved(small(), tmp_path, save_as_external_data=True, size_threshold=0, location="model.data")

    assert (tmp_path / "model.data").exists()
    assert_reads(reading.load(path))


def test_data_that_is_missing(tmp_path):
    path = saved(small(), tmp_path, save_as_external_data=True, size_threshold=0, location="model.data")
    (tmp_path / "model.data").unlink()
    with pytest.raises(MinicaffeError, match=r"its data in another file cannot be read: .*model\.data"):
        reading.load(path)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x08"])
def test_files_that_are_no_models(content, tmp_path):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(MinicaffeError, match="no ONNX model"):
        reading.load(str(tmp_path / "model.onnx"))


def test_half_numbers():
    """A model of float16 is read as one of float32, with the same weights."""
    numpy_helper = needs("onnx").numpy_helper
    model = small()
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    model.graph.input[0].type.tensor_type.elem_type = model.graph.output[0].type.tensor_type.elem_type = 10

    assert_reads(model)


@pytest.mark.parametrize(("kind", "shown"), [("float64", "double"), ("int64", "int64"), ("uint8", "uint8")])
def test_other_number_types_are_refused(kind, shown):
    model = model_of([node("Relu", ["x"])], {"x": (2, 3)}, kinds={"x": kind})
    with pytest.raises(MinicaffeError, match=f"input 'x' is {shown}, and Caffe computes in float32 alone"):
        draft_of(model)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 20, 22])
def test_opsets(opset):
    assert_reads(small(opset=opset))


@pytest.mark.parametrize("opset", [6, 99])
def test_unknown_opsets(opset, tmp_path):
    model = small()
    model.opset_import[0].version = opset
    with pytest.raises(MinicaffeError, match=f"the operators are those of opset {opset}"):
        reading.load(saved(model, tmp_path))


# --- sizes that are open --------------------------------------------------------------------------------------------

def test_open_batch():
    """It is 1, or what --batch says."""
    for batch in (None, 3):
        net = draft_of(small("N"), batch=batch).net
        assert list(net.layer[0].input_param.shape[0].dim) == [batch or 1, 3, 6, 8]
        assert_reads(small("N"), batch=batch)


def test_another_batch_size_than_the_models():
    assert_reads(model_of([node("Relu", ["x"])], {"x": (2, 3)}), batch=2)
    assert list(draft_of(small(), batch=5).net.layer[0].input_param.shape[0].dim) == [5, 3, 6, 8]


def test_open_image_size():
    model = model_of([node("Relu", ["x"])], {"x": ("N", 3, "H", "W")})
    with pytest.raises(MinicaffeError, match="input 'x' has an open size: 3x\\?x\\?\n.*--shape x=3x224x224"):
        draft_of(model)
    for name in ("", "x"):
        assert list(draft_of(model, shapes={name: [3, 6, 8]}).net.layer[0].input_param.shape[0].dim) == [1, 3, 6, 8]


@pytest.mark.parametrize(("shapes", "message"), [
    ({"z": [3]}, "the model has no input 'z'; it has x"), ({"x": [3, 4]}, "--shape gives 2 sizes for input 'x'")])
def test_wrong_shapes(shapes, message):
    with pytest.raises(MinicaffeError, match=message):
        draft_of(model_of([node("Relu", ["x"])], {"x": ("N", 3)}), shapes=shapes)


def test_the_batch_stays_open():
    """The net that is written runs at other batch sizes: a Reshape keeps the first axis as it is."""
    nodes = [node("Reshape", ["x", "s"], ["r"]), node("Softmax", ["r"], axis=1)]
    for sizes, found in (([2, 15], (7, 15)), ([2, 5, 3], (7, 5, 3)), ([6, 5], (21, 5))):
        net = draft_of(model_of(nodes, {"x": (2, 3, 5)}, constants={"s": np.array(sizes)})).net
        net.layer[0].input_param.shape[0].dim[0] = 7
        assert Net(net, TEST).blobs["y"].shape == found


# --- what is constant -----------------------------------------------------------------------------------------------

def test_shapes_are_computed():
    """PyTorch's flatten and view: Shape, Gather, Unsqueeze and Concat of constants become the sizes of a Reshape."""
    nodes = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "0"], ["n"]), node("Unsqueeze", ["n", "axes"], ["n1"]),
             node("Concat", ["n1", "rest"], ["sizes"], axis=0), node("Reshape", ["x", "sizes"])]
    constants = {"0": np.array(0), "axes": np.array([0]), "rest": np.array([-1])}

    assert assert_reads(model_of(nodes, {"x": (2, 3, 5)}, constants=constants)) == ["Flatten"]


def test_parts_of_a_shape():
    """From opset 15 on, Shape may give some of the sizes alone."""
    nodes = [node("Shape", ["x"], ["s"], start=1, end=2), node("Concat", ["rest", "s"], ["sizes"], axis=0),
             node("Reshape", ["x", "sizes"])]

    assert assert_reads(model_of(nodes, {"x": (2, 3, 5)}, constants={"rest": np.array([2, 5])})) == ["Reshape"]


def test_branches_are_chosen():
    """An If of which the condition is constant is the branch that is taken."""
    helper, onnx = needs("onnx").helper, needs("onnx")
    branches = {}
    for name, op in (("then_branch", "Relu"), ("else_branch", "Sigmoid")):
        value = helper.make_tensor_value_info(f"{op}_out", onnx.TensorProto.FLOAT, None)
        branches[name] = helper.make_graph([node(op, ["x"], [f"{op}_out"])], name, [], [value])
    for condition, type in ((True, "ReLU"), (False, "Sigmoid")):
        nodes = [helper.make_node("If", ["c"], ["y"], **branches)]
        assert assert_reads(model_of(nodes, {"x": (2, 3)}, constants={"c": np.array(condition)})) == [type]


def test_constants_as_nodes_and_weights_that_are_computed():
    nodes = [node("Constant", [], ["w"], value=needs("onnx").numpy_helper.from_array(floats(4, 3))),
             node("Transpose", ["w"], ["v"], perm=[1, 0]), node("MatMul", ["x", "v"])]

    assert assert_reads(model_of(nodes, {"x": (2, 3)})) == ["InnerProduct"]


def test_nodes_that_nothing_reads_are_left_out():
    nodes = [node("Relu", ["x"]), node("NonZero", ["x"], ["unused"])]

    assert assert_reads(model_of(nodes, {"x": (2, 3)})) == ["ReLU"]


# --- names and outputs ----------------------------------------------------------------------------------------------

def test_names_are_those_of_the_modules():
    names = [layer.name for layer in draft_of(small()).net.layer]

    assert names == ["image", "layer1.0.conv1", "layer1.0.relu", "pool", "Flatten", "fc"]


def test_names_of_torch_export():
    """The newer exporter stores the modules beside the node."""
    first, second = node("Conv", ["x", "w"], ["c"], "node_conv2d"), node("Relu", ["c"], ["y"], "node_relu")
    for one_node, scopes in ((first, ["", "layer1", "layer1.0", "conv2d"]), (second, ["", "layer1", "relu"])):
        one_node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=str(scopes))
    net = draft_of(model_of([first, second], {"x": (2, 3, 6, 8)}, constants={"w": floats(5, 3, 2, 3)})).net

    assert [layer.name for layer in net.layer] == ["x", "layer1.0", "layer1.Relu"]


def test_names_are_legal_and_different():
    nodes = [node("Relu", ["x"], ["a"], "odd name:0"), node("Sigmoid", ["a"], ["b"], "odd name:0"),
             node("Tanh", ["b"], ["y"], "y")]
    net = draft_of(model_of(nodes, {"x": (2, 3)})).net

    assert [layer.name for layer in net.layer] == ["x", "odd.name.0", "odd.name.0_2", "y"]
    assert net.layer[-1].top[0] == "y"


def test_outputs_that_are_read_inside():
    """In Caffe only a blob that nothing reads is an output, so one that is read is copied."""
    nodes = [node("Relu", ["x"], ["a"]), node("Sigmoid", ["a"], ["y"]), node("Identity", ["a"], ["z"])]

    assert assert_reads(model_of(nodes, {"x": (2, 3)}, ["a", "y", "z"])) == ["ReLU", "Sigmoid", "Power", "Power"]


def test_two_outputs_of_one_blob():
    nodes = [node("Relu", ["x"], ["y"]), node("Identity", ["y"], ["z"])]

    assert assert_reads(model_of(nodes, {"x": (2, 3)}, ["y", "z"])) == ["ReLU", "Power", "Power"]


def test_an_output_that_is_an_input():
    assert assert_reads(model_of([node("Identity", ["x"])], {"x": (2, 3)})) == ["Power"]


def test_a_constant_output_is_refused():
    model = model_of([node("Relu", ["x"])], {"x": (2, 3)}, ["y", "c"], {"c": floats(2)})
    with pytest.raises(MinicaffeError, match="output 'c' is constant"):
        draft_of(model)


def test_layers_run_in_place_where_nothing_else_reads():
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["r"]), node("Sigmoid", ["r"], ["a"]),
             node("Add", ["r", "a"])]
    net = draft_of(model_of(nodes, {"x": (2, 3, 6, 8)}, constants={"w": floats(5, 3, 2, 3)})).net

    assert [list(layer.bottom) == list(layer.top) for layer in net.layer[1:]] == [False, True, False, False]


def test_no_layer_runs_in_place_on_memory_that_others_read():
    """In Caffe the top of a Reshape has the memory of its bottom."""
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Reshape", ["c", "s"], ["r"]), node("Relu", ["r"], ["y"]),
             node("Sigmoid", ["c"], ["z"])]
    constants = {"w": floats(5, 3, 2, 3), "s": np.array([2, 10, 15])}

    assert "Sigmoid" in assert_reads(model_of(nodes, {"x": (2, 3, 6, 8)}, ["y", "z"], constants))


# --- errors ---------------------------------------------------------------------------------------------------------

def test_all_nodes_that_cannot_be_said_are_named():
    nodes = [node("NonZero", ["x"], ["a"], "first"), node("Floor", ["x"], ["b"], "second"),
             node("Ceil", ["x"], ["c"], "third")]
    with pytest.raises(MinicaffeError) as caught:
        draft_of(model_of(nodes, {"x": (2, 3)}, ["a", "b", "c"]))

    lines = str(caught.value).splitlines()
    assert "Caffe cannot say 3 nodes of this model" in lines[0]
    assert [line.split(")")[0].strip() for line in lines if "node '" in line] == [
        "node 'first' (NonZero", "node 'second' (Floor", "node 'third' (Ceil"]


def test_the_error_names_the_flag():
    with pytest.raises(MinicaffeError, match="--dialect ssd"):
        draft_of(one("Transpose", (2, 130, 150), perm=[0, 2, 1]))


def test_operators_of_others_are_refused():
    custom = node("Special", ["x"])
    custom.domain = "com.example"
    with pytest.raises(MinicaffeError, match="node 'Special of y' .Special. .* of the domain 'com.example'"):
        draft_of(model_of([custom], {"x": (2, 3)}))


# --- LSTM -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("outputs", [["y"], ["", "h"], ["y", "h", "c"]], ids=len)
@pytest.mark.parametrize("begins", [False, True])
def test_lstm(direction, outputs, begins):
    directions = 2 if direction == "bidirectional" else 1
    constants = [floats(directions, 20, 4), floats(directions, 20, 5), floats(directions, 40)]
    constants += [None, floats(directions, 2, 5), floats(directions, 2, 5)] if begins else []
    model = one("LSTM", (3, 2, 4), constants=constants, outputs=outputs, hidden_size=5, direction=direction)
    made = [value for value in model.graph.output if value.name]
    del model.graph.output[:]
    model.graph.output.extend(made)

    assert assert_reads(model).count("LSTM") == directions


def test_lstm_backwards_in_a_dialect():
    model = one("LSTM", (3, 2, 4), constants=[floats(1, 20, 4), floats(1, 20, 5)], hidden_size=5, direction="reverse")

    assert assert_reads(model, dialect="ctpn").count("Reverse") == 2


# --- there and back -------------------------------------------------------------------------------------------------

INPUT = "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 6 dim: 9 dim: 7 } } } "
BACK = {
    "Convolution": "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 }",
    "Deconvolution": "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 group: 2 }",
    "Pooling": "pooling_param { pool: AVE kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 0 }",
    "InnerProduct": "inner_product_param { num_output: 5 }", "BatchNorm": "",
    "Scale": "scale_param { bias_term: true }",
    "Bias": "", "PReLU": "", "ReLU": "relu_param { negative_slope: 0.1 }", "Sigmoid": "", "TanH": "", "BNLL": "",
    "AbsVal": "", "Power": "power_param { power: 2 scale: 0.5 shift: 0.25 }", "Exp": "",
    "ELU": "elu_param { alpha: 0.5 }",
    "Softmax": "", "LRN": "", "MVN": "", "Flatten": "", "Dropout": "", "Threshold": "", "Swish": "",
    "Reduction": "reduction_param { operation: SUMSQ axis: 2 }", "Tile": "tile_param { tiles: 2 axis: 2 }",
    "Reshape": "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }", "ArgMax": "argmax_param { axis: 1 }",
    "Clip": "clip_param { min: -0.5 max: 0.25 }", "SPP": "spp_param { pyramid_height: 2 }", "ReLU6": "",
    "Normalize": "", "ShuffleChannel": "shuffle_channel_param { group: 2 }",
}


@pytest.mark.parametrize("type", BACK)
def test_there_and_back(type):
    """A layer written as ONNX and read again gives the same numbers."""
    fields = BACK[type]
    model = exported(INPUT + f"layer {{ name: 'l' type: '{type}' bottom: 'x' top: 'y' {fields} }}", larger=False)[1]
    assert_reads(model, dialect="ncnn", inputs={"x": DRAW.standard_normal((2, 6, 9, 7))})


# --- the command ----------------------------------------------------------------------------------------------------

def test_the_command_writes_both_files(tmp_path, capsys):
    model, out = saved(small("N"), tmp_path), tmp_path / "net.prototxt"

    assert main(["convert", model, str(out)]) == 0
    said = capsys.readouterr().out
    assert "6 layers: 1 Input, 1 Convolution, 1 ReLU, 1 Pooling, 1 Flatten, 1 InnerProduct" in said
    assert "the batch size is 1; the net runs at others too" in said
    assert "proved in onnxruntime" in said
    assert "'scores': the largest difference is " in said
    net = Net(str(out), TEST, weights=str(tmp_path / "net.caffemodel"), strict=True)
    assert net.outputs == ["scores"]


def test_the_command_ends_the_model_where_it_is_told(tmp_path):
    model, out = saved(small(), tmp_path), tmp_path / "net.prototxt"

    assert main(["convert", model, str(out), "--outputs", "p,r", "--batch", "3"]) == 0
    assert sorted(Net(str(out), TEST).outputs) == ["p", "r"]


def test_the_command_writes_nothing_that_is_not_proved(tmp_path, capsys, monkeypatch):
    """A reader that is wrong is found out, and the files that are there stay as they are."""
    model, out = saved(small(), tmp_path), tmp_path / "net.prototxt"
    out.write_text("old")
    monkeypatch.setitem(READERS, "Relu", lambda g: g.give(g.power(g.bottom(), scale=1.001)))

    assert main(["convert", model, str(out)]) == 1
    assert "the net gives other numbers than the model in onnxruntime" in capsys.readouterr().err
    assert out.read_text() == "old"
    assert not (tmp_path / "net.caffemodel").exists()


@pytest.mark.parametrize(("args", "message"), [
    (["out.npz"], "is an ONNX model, which cannot be written as out.npz"),
    (["out.prototxt", "--outputs", "conv"], "--outputs conv: no node of the model makes a value of this name"),
    (["out.prototxt", "--shape", "z=3x4x5"], "the model has no input 'z'"),
    (["folder/out.prototxt"], "cannot write folder/out.prototxt")])
def test_mistakes_on_the_command_line(args, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert main(["convert", saved(small(), tmp_path), *args]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
