"""Operators of ONNX that move numbers, as layers, compared in numbers with onnxruntime."""

import itertools

import numpy as np
import pytest
from onnx_models import assert_reads, model_of, node, read_one, refusal

pytestmark = pytest.mark.slow  # hundreds of small conversions

IMAGES = (2, 3, 5, 7)


def ints(*values):
    return np.array(values, np.int64)


@pytest.mark.parametrize("axis", [1, -1])
def test_concat(axis):
    inputs = {"a": (2, 3, 5), "b": (2, 4, 5) if axis == 1 else (2, 3, 4)}

    assert assert_reads(model_of([node("Concat", "ab", axis=axis)], inputs)) == ["Concat"]


def test_concat_with_a_constant():
    """A constant, such as the class token of a transformer, is a layer of its own."""
    model = model_of([node("Concat", ["c", "x"], axis=1)], {"x": (2, 3, 5)},
                     constants={"c": np.ones((2, 1, 5), np.float32)})

    assert assert_reads(model) == ["Parameter", "Concat"]


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_split(opset):
    """The sizes are an attribute at first, then an input, and then may be a number of parts."""
    given = {11: {"split": [2, 4, 1]}, 13: {"constants": [ints(2, 4, 1)]}, 18: {"num_outputs": 3}}[opset]
    outputs = ["p", "q", "r"]

    assert read_one("Split", (2, 7, 5), outputs=outputs, opset=opset, axis=1, **given) == ["Slice"]


@pytest.mark.parametrize(("axes", "starts", "ends", "steps"), [
    ([1], [1], [3], [1]), ([2, -1], [0, -4], [2, -1], [1, 1]), ([2, 3], [0, 1], [2**40, 2**40], [2, 3]),
    ([1], [0], [3], [2]), ([3], [2], [7], [4]), ([0], [0], [2], [1])])
@pytest.mark.parametrize("opset", [9, 18])
def test_slice(axes, starts, ends, steps, opset):
    if opset == 9:
        if set(steps) != {1}:
            return
        given = {"opset": 9, "axes": axes, "starts": starts, "ends": ends}
    else:
        given = {"constants": [ints(*values) for values in (starts, ends, axes, steps)]}
    types = read_one("Slice", IMAGES, **given)

    assert ("Pooling" in types) == (max(steps) > 1)


def test_slice_backwards_is_refused():
    assert "reads the axis 3 backwards" in refusal("Slice", IMAGES, constants=[ints(-1), ints(-9), ints(3), ints(-1)])


@pytest.mark.parametrize("indices", [ints(2), np.array(1), ints(4, 0, 0, 1, -1), ints(1, 2, 3), ints(0, 1, 2, 3, 4)],
                         ids=str)
def test_gather(indices):
    read_one("Gather", IMAGES, constants=[indices], axis=2)


@pytest.mark.parametrize(("op", "given"), [
    ("Reshape", {"constants": [ints(0, -1, 7)]}), ("Reshape", {"constants": [ints(-1, 5)]}), ("Flatten", {}),
    ("Flatten", {"axis": 3}), ("Unsqueeze", {"constants": [ints(0, -1)]}), ("Unsqueeze", {"axes": [2], "opset": 11})])
def test_other_shapes(op, given):
    assert read_one(op, IMAGES, **given) in (["Reshape"], ["Flatten"])


@pytest.mark.parametrize("given", [{"constants": [ints(1, 3)]}, {"axes": [1], "opset": 11}, {}])
def test_squeeze(given):
    assert read_one("Squeeze", (2, 1, 5, 1), **given) == (["Reshape"] if given.get("axes") else ["Flatten"])


@pytest.mark.parametrize("axes", range(2, 5))
def test_transpose(axes):
    """Each order of the axes, by Permute or Transpose where a fork has it."""
    for order in itertools.permutations(range(axes)):
        for dialect in ("ssd", "ctpn"):
            read_one("Transpose", IMAGES[:axes], perm=order, dialect=dialect)


@pytest.mark.parametrize("axes", range(2, 6))
def test_transpose_by_layers_of_bvlc(axes):
    """Each order that leaves the batch in front, and the one that changes it with the axis behind it."""
    shape = (2, 3, 5, 4, 6)[:axes]
    orders = [(0, *rest) for rest in itertools.permutations(range(1, axes))]
    for order in [*orders[1:], (1, 0, *range(2, axes))]:
        assert set(read_one("Transpose", shape, perm=order)) <= {"Reshape", "Slice", "Concat"}


def test_transpose_that_moves_nothing():
    assert read_one("Transpose", (2, 1, 5, 1), perm=[0, 3, 2, 1]) == ["Power"]
    assert read_one("Transpose", (2, 3, 1, 1), perm=[0, 2, 3, 1]) == ["Reshape"]


@pytest.mark.parametrize("shape", [(2, 3, 4, 7), (4, 7)], ids=str)
def test_expand(shape):
    assert read_one("Expand", (2, 1, 4, 1) if len(shape) == 4 else (4, 1), constants=[ints(*shape)])[-1] == "Tile"


def test_tile():
    assert read_one("Tile", (2, 3, 5), constants=[ints(1, 2, 3)]) == ["Tile", "Tile"]


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode):
    assert read_one("DepthToSpace", (2, 12, 3, 5), blocksize=2, mode=mode) == ["Deconvolution"]


def test_space_to_depth():
    assert read_one("SpaceToDepth", (2, 3, 4, 6), blocksize=2) == ["Convolution"]


# --- Resize ---------------------------------------------------------------------------------------------------------

SCALES = {"blocks": (2, 3), "one": (1, 2), "odd": (1.4, 2.3), "half": (0.5, 0.25)}
MODES = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric"]


@pytest.mark.parametrize("scales", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by", ["scales", "sizes"])
def test_resize(scales, mode, by):
    """Whatever the scale: what no single layer can do is a product with a matrix for each axis."""
    shape = (2, 3, 6, 8)
    sizes = ints(2, 3, *[int(n * s) for n, s in zip(shape[2:], scales, strict=True)])
    constants = [None, np.array([1, 1, *scales], np.float32)] if by == "scales" else [None, None, sizes]
    read_one("Resize", shape, constants=constants, coordinate_transformation_mode=mode, mode="linear")
    for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        read_one("Resize", shape, constants=constants, coordinate_transformation_mode=mode, mode="nearest",
                 nearest_mode=nearest)


@pytest.mark.parametrize(("given", "scales", "types"), [
    ({"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, (2, 3),
     ["Deconvolution"]),
    ({"mode": "linear"}, (2, 3), ["Slice", "Concat", "Slice", "Concat", "Deconvolution", "Slice", "Slice", "Silence"]),
    ({"mode": "linear"}, (0.5, 0.5), ["Pooling"]),
])
def test_resize_by_one_layer(given, scales, types):
    assert read_one("Resize", (2, 3, 6, 8), constants=[None, np.array([1, 1, *scales], np.float32)], **given) == types


def test_resize_in_a_dialect():
    scales = [None, np.array([1, 1, 2, 3], np.float32)]

    assert read_one("Resize", (2, 3, 5, 7), constants=scales, dialect="mobilenet-yolo") == ["Upsample"]


def test_resize_of_one_pixel():
    read_one("Resize", (2, 3, 1, 1), constants=[None, np.array([1, 1, 4, 3], np.float32)], mode="linear")


def test_resize_with_corners_in_a_dialect():
    given = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}

    assert read_one("Resize", (2, 3, 5, 7), constants=[None, None, ints(2, 3, 9, 16)], dialect="pspnet", **given) == [
        "Interp"]
    assert read_one("Resize", (2, 3, 5, 7), constants=[None, None, ints(2, 3, 9, 300)], **given) == [
        "Reshape", "Convolution", "Reshape", "InnerProduct"]


@pytest.mark.parametrize("opset", [9, 10])
def test_resize_of_old_opsets(opset):
    scales = [np.array([1, 1, 2, 3], np.float32)]

    assert read_one("Upsample" if opset == 9 else "Resize", (2, 3, 5, 7), constants=scales, opset=opset) == [
        "Deconvolution"]


def test_upsample_with_an_attribute():
    assert read_one("Upsample", (2, 3, 5, 7), opset=7, scales=[1.0, 1.0, 2.0, 3.0], mode="nearest") == ["Deconvolution"]


@pytest.mark.parametrize("scales", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("given", [{}, {"cubic_coeff_a": -0.5, "coordinate_transformation_mode": "align_corners"}])
def test_cubic(scales, given):
    read_one("Resize", (2, 3, 6, 8), constants=[None, np.array([1, 1, *scales], np.float32)], mode="cubic", **given)


def test_cubic_without_the_edge_is_refused():
    said = refusal("Resize", (2, 3, 5, 7), constants=[None, np.array([1, 1, 2, 3], np.float32)], mode="cubic",
                   exclude_outside=1)
    assert "exclude_outside" in said
