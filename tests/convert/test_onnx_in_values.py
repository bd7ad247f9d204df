"""Activations, arithmetic, reductions and normalizations of ONNX as layers, compared with onnxruntime."""

import itertools

import numpy as np
import pytest
from onnx_models import assert_reads, model_of, node, read_one, refusal

pytestmark = pytest.mark.slow  # hundreds of small conversions

DRAW = np.random.default_rng(6)
IMAGES = (2, 3, 5, 7)


def floats(*shape):
    return DRAW.standard_normal(shape).astype(np.float32)


def number(value):
    return np.array(value, np.float32)


@pytest.mark.parametrize(("op", "given", "types"), [
    ("Relu", {}, ["ReLU"]), ("LeakyRelu", {"alpha": 0.3}, ["ReLU"]), ("LeakyRelu", {}, ["ReLU"]),
    ("Sigmoid", {}, ["Sigmoid"]), ("Tanh", {}, ["TanH"]), ("Softplus", {}, ["BNLL"]),
    ("Elu", {"alpha": 0.7}, ["ELU"]), ("Selu", {}, ["ELU", "Power"]),
    ("Selu", {"alpha": 1.2, "gamma": 1.4}, ["ELU", "Power"]),
    ("Celu", {"alpha": 0.7}, ["Power", "ELU", "Power"]),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, ["Power", "ReLU", "Power", "ReLU", "Power"]),
    ("HardSwish", {}, ["Power", "ReLU", "Power", "ReLU", "Power", "Power", "Eltwise"]),
    ("Mish", {}, ["BNLL", "TanH", "Eltwise"]), ("Softsign", {}, ["AbsVal", "Power", "Eltwise"]),
    ("ThresholdedRelu", {"alpha": 0.4}, ["Threshold", "Eltwise"]),
    ("Abs", {}, ["AbsVal"]), ("Exp", {}, ["Exp"]), ("Neg", {}, ["Power"]), ("Reciprocal", {}, ["Power"]),
    ("Identity", {}, ["Power"]),
])
def test_one_input(op, given, types):
    assert read_one(op, IMAGES, **given) == types


def test_gelu():
    """The one that is approximated by tanh can be said, and the error of the other names it."""
    assert read_one("Gelu", IMAGES, opset=20, approximate="tanh") == ["Power", "Eltwise", "TanH", "Power", "Eltwise"]
    assert "torch.nn.GELU(approximate='tanh')" in refusal("Gelu", IMAGES, opset=20)


def test_roots_and_logarithms():
    given = {"x": np.abs(floats(*IMAGES)) + 0.1}
    for op, type in (("Sqrt", "Power"), ("Log", "Log")):
        assert assert_reads(model_of([node(op, ["x"])], {"x": IMAGES}), inputs=given) == [type]


CLIPS = [(0, None, ["ReLU"]), (-0.5, None, ["Power", "ReLU", "Power"]), (None, 0.75, ["Power", "ReLU", "Power"]),
         (0, 6, ["ReLU", "Power", "ReLU", "Power"]), (-0.25, 0.5, ["Power", "ReLU", "Power", "ReLU", "Power"])]
CROSSED = (0.5, 0.25, ["Power"])  # onnxruntime refuses such limits where they are attributes


@pytest.mark.parametrize(("opset", "low", "high", "types"),
                         [*((9, *clip) for clip in CLIPS), *((18, *clip) for clip in (*CLIPS, CROSSED))])
def test_clip(opset, low, high, types):
    """Older opsets have the limits as attributes."""
    limits = {"min": low, "max": high}
    if opset == 9:
        given = {"opset": 9, **{name: float(limit) for name, limit in limits.items() if limit is not None}}
    else:
        given = {"constants": [None if limit is None else number(limit) for limit in limits.values()]}

    assert read_one("Clip", IMAGES, **given) == types


def test_clip_in_dialects():
    limits = [number(0), number(6)]

    assert read_one("Clip", IMAGES, constants=limits, dialect="bvlc") == ["Clip"]
    assert read_one("Clip", IMAGES, constants=limits, dialect="mobilenet-yolo") == ["ReLU6"]


@pytest.mark.parametrize("slopes", [(3, 1, 1), (1, 3, 1, 1), (1,), ()])
def test_prelu(slopes):
    assert read_one("PRelu", IMAGES, constants=[floats(*slopes)]) == ["PReLU"]


def test_prelu_along_another_axis_is_refused():
    assert "has slopes of (5, 1), and Caffe one for each channel" in refusal("PRelu", IMAGES, constants=[floats(5, 1)])


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -2])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax(op, axis):
    assert read_one(op, IMAGES, axis=axis)[0] == "Softmax"


@pytest.mark.parametrize(("axis", "types"), [(1, ["Reshape", "Softmax", "Reshape"]), (3, ["Softmax"])])
def test_softmax_of_old_opsets(axis, types):
    """Before opset 13 it takes the axes from one on together."""
    assert read_one("Softmax", IMAGES, axis=axis, opset=11) == types


SHAPES = [(IMAGES, IMAGES), (IMAGES, (2, 3, 1, 1)), ((3, 1, 1), IMAGES), (IMAGES, (2, 1, 5, 7)), (IMAGES, (7,)),
          (IMAGES, (1,)), ((2, 3, 1, 7), (2, 1, 5, 1)), ((2, 3), (2, 1)), (IMAGES, (5, 1)), ((1, 3, 1), (1, 1, 5))]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean"])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("constant", ["", "a", "b"])
def test_two_inputs(op, shapes, constant):
    """One blob or constant may be repeated along axes of the other."""
    values = {name: np.abs(floats(*shape)) + 0.5 for name, shape in zip("ab", shapes, strict=True)}
    inputs = {name: array for name, array in values.items() if name != constant}
    constants = {name: array for name, array in values.items() if name == constant}

    assert_reads(model_of([node(op, ["a", "b"])], {name: array.shape for name, array in inputs.items()},
                          constants=constants), inputs=inputs)


@pytest.mark.parametrize(("op", "constant", "types"), [
    ("Add", floats(3, 1, 1), ["Bias"]), ("Mul", floats(3, 1, 1), ["Scale"]), ("Sub", floats(1), ["Power"]),
    ("Div", floats(5, 7), ["Scale"]), ("Add", floats(1, 3, 1, 7), ["Bias"]), ("Mul", number(2), ["Power"]),
    ("Max", number(0.2), ["Power", "ReLU", "Power"]), ("Pow", number(2), ["Power"]), ("Pow", number(1), ["Power"])])
def test_constants_become_weights(op, constant, types):
    assert read_one(op, IMAGES, constants=[constant]) == types


def test_constant_base():
    assert assert_reads(model_of([node("Pow", ["c", "x"])], {"x": IMAGES}, constants={"c": number(2.5)})) == ["Exp"]


def test_several_inputs():
    inputs = {name: IMAGES for name in "abc"}
    for op in ("Sum", "Max", "Min", "Mean"):
        assert "Eltwise" in assert_reads(model_of([node(op, "abc")], inputs))


REDUCTIONS = ["ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceMax", "ReduceMin",
              "ReduceLogSumExp"]


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("axes", [[2, 3], [-1], [1], [1, 2], [1, -1], [1, 2, 3], [0, 1, 2, 3]], ids=str)
def test_reductions(op, axes):
    """Along any axes but that of the batch, kept or not, by attribute or by input."""
    if axes == [0, 1, 2, 3] and op in ("ReduceMax", "ReduceMin", "ReduceLogSumExp"):
        assert "the axis of the batch" in refusal(op, IMAGES, constants=[np.array(axes)])
        return
    for keeps, opset in itertools.product((0, 1), (12, 18)):
        given = {"constants": [np.array(axes)]} if opset == 18 else {"axes": axes}
        read_one(op, IMAGES, opset=opset, keepdims=keeps, **given)


def test_means_of_images_are_global_poolings():
    assert read_one("ReduceMean", IMAGES, constants=[np.array([2, 3])]) == ["Pooling"]
    assert read_one("ReduceSum", IMAGES, constants=[np.array([3])], keepdims=0) == ["Reduction"]


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keeps", [0, 1])
@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_arg_max(op, axis, keeps):
    model = model_of([node(op, ["x"], axis=axis, keepdims=keeps)], {"x": IMAGES})
    model.graph.output[0].type.tensor_type.elem_type = 7  # int64

    assert "ArgMax" in assert_reads(model)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5), IMAGES, (2, 3, 5, 7, 4)], ids=len)
def test_batch_normalization(shape):
    constants = [floats(3), floats(3), floats(3), np.abs(floats(3)) + 0.2]

    assert read_one("BatchNormalization", shape, constants=constants, epsilon=0.01) == ["BatchNorm", "Scale"]


def test_batch_normalization_of_a_training_is_refused():
    model = model_of([node("BatchNormalization", ["x", *"abcd"], ["y", "m", "v"], training_mode=1)], {"x": IMAGES},
                     constants=dict.fromkeys("abcd", floats(3)))
    with pytest.raises(Exception, match=r"is exported for training"):
        assert_reads(model)


NORMALIZED = ["Reduction", "Bias", "Reduction", "Power", "Scale"]


@pytest.mark.parametrize(("op", "constants", "given", "types"), [
    ("InstanceNormalization", [floats(3), floats(3)], {"epsilon": 0.2}, [*NORMALIZED, "Scale"]),
    ("LayerNormalization", [floats(7), floats(7)], {"epsilon": 0.2}, [*NORMALIZED, "Scale", "Bias"]),
    ("LayerNormalization", [floats(3, 5, 7)], {"axis": 1}, [*NORMALIZED, "Scale"]),
    ("LpNormalization", [], {"axis": 1}, ["Power", "Reshape", "Pooling", "Reshape", "Power", "Reshape", "Scale"]),
    ("LRN", [], {"size": 3, "alpha": 0.3, "beta": 0.6, "bias": 2.0}, ["LRN"]),
], ids=str)
def test_normalizations(op, constants, given, types):
    found = read_one(op, IMAGES, constants=constants, **given)

    assert found == types or op == "LpNormalization"


def test_lp_normalization():
    for p, axis in itertools.product((1, 2), (1, 2, -1)):
        assert read_one("LpNormalization", IMAGES, axis=axis, p=p)[-1] == "Scale"


def test_group_normalization():
    read_one("GroupNormalization", (2, 6, 5, 7), constants=[floats(6), floats(6)], opset=21, num_groups=3, epsilon=0.2)


def test_lrn_of_an_even_number_of_channels_is_refused():
    assert "has a window of 4 channels" in refusal("LRN", IMAGES, size=4)


@pytest.mark.parametrize("bias", [(7,), (1, 7), (1,), ()])
@pytest.mark.parametrize("turned", [0, 1])
def test_gemm(bias, turned):
    constants = [floats(7, 5) if turned else floats(5, 7), floats(*bias)]

    assert read_one("Gemm", (2, 5), constants=constants, transB=turned, alpha=0.5, beta=2.0) == ["InnerProduct"]


def test_gemm_without_bias():
    assert read_one("Gemm", (2, 5), constants=[floats(5, 7)]) == ["InnerProduct"]


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5), (2, 3, 4, 5)], ids=len)
def test_matmul(shape):
    assert read_one("MatMul", shape, constants=[floats(5, 7)]) == ["InnerProduct"]
    assert read_one("MatMul", shape, constants=[floats(5)])[0] == "InnerProduct"


def test_matmul_of_two_blobs_is_refused():
    assert "which is not constant" in refusal("MatMul", (2, 5), (5, 3))
