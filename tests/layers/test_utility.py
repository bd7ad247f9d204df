"""The utility family: layers that move, join, split and reduce blobs, and the user's own."""

import itertools
import sys

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import Net, kernels
from minicaffe.blob import Blob
from minicaffe.errors import LayerError
from minicaffe.io.binary import array_to_blob
from minicaffe.layer import Layer, create
from minicaffe.layers.utility.arg_max import ArgMaxLayer
from minicaffe.layers.utility.batch_reindex import BatchReindexLayer
from minicaffe.layers.utility.concat import ConcatLayer
from minicaffe.layers.utility.eltwise import EltwiseLayer
from minicaffe.layers.utility.filter import FilterLayer
from minicaffe.layers.utility.flatten import FlattenLayer
from minicaffe.layers.utility.parameter import ParameterLayer
from minicaffe.layers.utility.permute import PermuteLayer
from minicaffe.layers.utility.python import PythonLayer
from minicaffe.layers.utility.reduction import ReductionLayer
from minicaffe.layers.utility.reshape import ReshapeLayer
from minicaffe.layers.utility.silence import SilenceLayer
from minicaffe.layers.utility.slice import SliceLayer
from minicaffe.layers.utility.split import SplitLayer
from minicaffe.layers.utility.tile import TileLayer
from minicaffe.proto import TEST, TRAIN, LayerParameter, NetParameter
from minicaffe.proto import text as proto_text
from minicaffe.testing import check_gradient, check_layer

SHAPE = (2, 7, 5, 3)
OPERATIONS = {"SUM": 1, "ASUM": 2, "SUMSQ": 3, "MEAN": 4}
PROD, SUM, MAX = 0, 1, 2


def make(cls, dtype=np.float64, **param):
    """A layer with these fields in its own message."""
    return cls(dtype=dtype, **({cls.message: param} if cls.message else {}))


def set_up(layer, *shapes, tops=1):
    """SetUp on zero bottoms of these shapes: (bottom, top)."""
    bottom, top = [Blob(shape, layer.dtype) for shape in shapes], [Blob((), layer.dtype) for _ in range(tops)]
    layer.SetUp(bottom, top)
    return bottom, top


# --- ArgMax ---------------------------------------------------------------------------------------


def naive_arg_max(row, k):
    """Caffe's rule: pairs (value, place), the largest pair first."""
    return [place for _, place in sorted(((v, i) for i, v in enumerate(row)), reverse=True)[:k]]


def test_arg_max_by_hand():
    """The two largest of each sample: places first, then, if wanted, their values."""
    x = np.array([[1, 7, 5, 3.0], [9, 2, 4, 8]])

    np.testing.assert_array_equal(run_forward(make(ArgMaxLayer), x)[1][0].data, [[[1]], [[0]]])
    np.testing.assert_array_equal(run_forward(make(ArgMaxLayer, top_k=2), x)[1][0].data, [[[1, 2]], [[0, 3]]])
    np.testing.assert_array_equal(run_forward(make(ArgMaxLayer, top_k=2, out_max_val=True), x)[1][0].data,
                                  [[[1, 2], [7, 5]], [[0, 3], [9, 8]]])


@pytest.mark.parametrize("k", [1, 2, 4])
def test_arg_max_tie(k):
    """Of equal values the last comes first, as in Caffe."""
    x = np.array([[5, 5, 3, 5.0]])

    np.testing.assert_array_equal(run_forward(make(ArgMaxLayer, top_k=k), x)[1][0].data.ravel(), [3, 1, 0, 2][:k])


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -4])
@pytest.mark.parametrize("k", [1, 2])
def test_arg_max_along_an_axis(axis, k):
    """With an axis, that axis holds the places, or with out_max_val the values alone."""
    x = np.round(normal(*SHAPE), 1)  # rounding makes ties
    rows = np.moveaxis(x, axis, -1)
    places = np.empty((*rows.shape[:-1], k))
    for index in np.ndindex(rows.shape[:-1]):
        places[index] = naive_arg_max(rows[index], k)
    expected = np.moveaxis(places, -1, axis)

    np.testing.assert_array_equal(run_forward(make(ArgMaxLayer, axis=axis, top_k=k), x)[1][0].data, expected)
    np.testing.assert_array_equal(
        run_forward(make(ArgMaxLayer, axis=axis, top_k=k, out_max_val=True), x)[1][0].data,
        np.take_along_axis(x, expected.astype(int), axis))


@pytest.mark.parametrize(("shape", "top"), [
    ((2,), (2, 1, 1)), ((2, 7), (2, 1, 1)), ((2, 7, 5), (2, 1, 1)), (SHAPE, (2, 1, 1, 1)),
    ((2, 7, 1, 3, 4), (2, 1, 1, 1, 1)),
])
def test_arg_max_without_axis(shape, top):
    """All values of a sample are one row; the top has at least three axes."""
    x = normal(*shape)
    _, [y] = run_forward(make(ArgMaxLayer, out_max_val=True), x)
    rows = x.reshape(shape[0], -1)

    assert y.shape == (top[0], 2, *top[2:])
    np.testing.assert_array_equal(y.data.reshape(-1, 2), np.stack([rows.argmax(1), rows.max(1)], axis=1))
    assert top == run_forward(make(ArgMaxLayer), x)[1][0].shape


@pytest.mark.parametrize(("param", "shape", "message"), [
    ({"axis": 4}, SHAPE, r"argmax_param\.axis must name an axis of bottom\[0\] \(2, 7, 5, 3\), from -4 to 3, got 4"),
    ({"axis": 1, "top_k": 8}, SHAPE, r"argmax_param\.top_k must lie between 1 and 7.*got 8"),
    ({"top_k": 0}, SHAPE, r"top_k must lie between 1 and 105.*got 0"),
    ({"top_k": 106}, SHAPE, r"top_k must lie between 1 and 105.*got 106"),
    ({}, (), r"bottom\[0\] must have at least one axis.*got a scalar"),
])
def test_arg_max_errors(param, shape, message):
    """What does not fit the bottom is named with the numbers."""
    with pytest.raises(LayerError, match=r"layer 'ArgMax' \(ArgMax\): .*" + message):
        set_up(make(ArgMaxLayer, **param), shape)


def test_arg_max_has_no_gradient():
    """A gradient that is asked for is refused."""
    layer = make(ArgMaxLayer)
    bottom, top = run_forward(layer, normal(2, 7))
    run_backward(layer, bottom, top, 1.0, asked=[False])
    with pytest.raises(LayerError, match=r"has no gradient for bottom\[0\]"):
        run_backward(layer, bottom, top, 1.0)


# --- BatchReindex ---------------------------------------------------------------------------------


def test_batch_reindex_by_hand():
    """Samples are repeated, left out and reordered; the gradients of copies add up."""
    layer = make(BatchReindexLayer)
    bottom, top = run_forward(layer, np.array([[1, 2], [3, 4], [5, 6.0]]), np.array([2, 0, 2, 2.0]))
    dx, _ = run_backward(layer, bottom, top, np.array([[1, 2], [3, 4], [5, 6], [7, 8.0]]), asked=[True, False])

    np.testing.assert_array_equal(top[0].data, [[5, 6], [1, 2], [5, 6], [5, 6]])
    np.testing.assert_array_equal(dx, [[3, 4], [0, 0], [13, 16]])


@pytest.mark.parametrize("places", [[1, 0, 1, 1, 0], [], [1.9]])
def test_batch_reindex_gradient(places):
    """The gradient is right for any number of places; fractions are cut off, as in Caffe."""
    places = np.array(places, float)
    zeros = [] if places.size else [0]
    assert check_layer(make(BatchReindexLayer), [filled(normal(*SHAPE)), filled(places)], zeros=zeros) < 1e-6
    x = normal(*SHAPE)

    np.testing.assert_array_equal(run_forward(make(BatchReindexLayer), x, places)[1][0].data, x[places.astype(int)])


@pytest.mark.parametrize(("x", "i", "message"), [
    ((), (3,), r"takes samples .* got bottom\[0\] \(\) and bottom\[1\] \(3,\)"),
    ((2, 7), (3, 1), r"got bottom\[0\] \(2, 7\) and bottom\[1\] \(3, 1\)"),
])
def test_batch_reindex_shape_errors(x, i, message):
    """Shapes that are no batch and no list of places are named."""
    with pytest.raises(LayerError, match=message):
        set_up(make(BatchReindexLayer), x, i)


@pytest.mark.parametrize("bad", [-1, 2, np.nan])
def test_batch_reindex_place_errors(bad):
    """A place outside the batch is named, with where it stands."""
    with pytest.raises(LayerError, match=rf"places from 0 to 1 in bottom\[0\] \(2, 7\), got {bad:g} at 3"):
        run_forward(make(BatchReindexLayer), normal(2, 7), np.array([0, 1, 0, bad]))


def test_batch_reindex_places_have_no_gradient():
    """A gradient for the places is refused, and force_backward does not ask for it."""
    layer = make(BatchReindexLayer)
    bottom, top = run_forward(layer, normal(2, 7), np.zeros(3))

    assert [True, False] == [layer.allow_force_backward(i) for i in (0, 1)]
    with pytest.raises(LayerError, match=r"has no gradient for bottom\[1\]"):
        run_backward(layer, bottom, top, 1.0)


# --- Concat and Slice -----------------------------------------------------------------------------


def test_concat_by_hand():
    """Channels of two blobs stand behind each other, sample by sample; the gradient is cut at the same place."""
    layer = make(ConcatLayer)
    bottom, top = run_forward(layer, np.array([[1, 2.0], [3, 4]]), np.array([[5.0], [6]]))
    dx = run_backward(layer, bottom, top, np.array([[1, 2, 3], [4, 5, 6.0]]))

    np.testing.assert_array_equal(top[0].data, [[1, 2, 5], [3, 4, 6]])
    np.testing.assert_array_equal(dx[0], [[1, 2], [4, 5]])
    np.testing.assert_array_equal(dx[1], [[3], [6]])


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("sizes", [[3, 1, 4], [2]])
def test_concat_then_slice(axis, sizes):
    """Along any axis, Slice undoes Concat, backward too; and one blob alone passes."""
    shapes = [tuple(size if i == axis % 4 else n for i, n in enumerate(SHAPE)) for size in sizes]
    xs = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    concat = make(ConcatLayer, axis=axis)
    bottom, [joined] = run_forward(concat, *xs)
    layer = make(SliceLayer, axis=axis, slice_point=list(itertools.accumulate(sizes))[:-1])
    cut, parts = run_forward(layer, joined.data, tops=len(sizes))
    dys = [normal(*shape, seed=10 + i) for i, shape in enumerate(shapes)]
    dx, = run_backward(layer, cut, parts, *dys)

    np.testing.assert_array_equal(joined.data, np.concatenate(xs, axis))
    for expected, part in zip(xs, parts, strict=True):
        np.testing.assert_array_equal(part.data, expected)
    for expected, got in zip(dys, run_backward(concat, bottom, [joined], dx), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert check_layer(make(ConcatLayer, axis=axis), [filled(x) for x in xs]) < 1e-6
    assert check_layer(make(SliceLayer, axis=axis, slice_point=layer.param.slice_point), [filled(joined.data)],
                       len(sizes)) < 1e-6


def test_concat_of_empty_blobs():
    """A blob without samples adds nothing."""
    x = normal(2, 7)

    np.testing.assert_array_equal(run_forward(make(ConcatLayer, axis=0), np.zeros((0, 7)), x)[1][0].data, x)


def test_concat_dim_is_an_axis():
    """The deprecated names still work, and the warning says what to write instead."""
    x = normal(2, 7, 4)
    with pytest.warns(UserWarning, match=r"layer 'Concat' .*concat_dim is deprecated; write axis: 2"):
        top = run_forward(make(ConcatLayer, concat_dim=2), x, x)[1]
    with pytest.warns(UserWarning, match=r"layer 'Slice' .*slice_dim is deprecated; write axis: 2"):
        parts = run_forward(make(SliceLayer, slice_dim=2), x, tops=2)[1]

    np.testing.assert_array_equal(top[0].data, np.concatenate([x, x], 2))
    np.testing.assert_array_equal(parts[1].data, x[:, :, 2:])


@pytest.mark.parametrize(("param", "shapes", "message"), [
    ({"axis": 1, "concat_dim": 1}, [(2, 7)], r"concat_param\.concat_dim cannot be set beside axis, got 1"),
    ({"axis": 2}, [(2, 7)], r"concat_param\.axis must name an axis of bottom\[0\] \(2, 7\), from -2 to 1, got 2"),
    ({"axis": -3}, [(2, 7)], r"axis must name an axis of .*from -2 to 1, got -3"),
    ({}, [(2, 7), (2, 5), (3, 7)], r"must agree but for axis 1: bottom\[0\] is \(2, 7\), bottom\[2\] \(3, 7\)"),
    ({}, [(2, 7), (2, 7, 1)], r"bottom\[0\] is \(2, 7\), bottom\[1\] \(2, 7, 1\)"),
])
def test_concat_errors(param, shapes, message):
    """Axes and shapes that do not fit are named."""
    with pytest.raises(LayerError, match=message):
        set_up(make(ConcatLayer, **param), *shapes)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("cls", "field"), [(ConcatLayer, "concat_dim"), (SliceLayer, "slice_dim")])
def test_deprecated_axis_out_of_range(cls, field):
    """An unsigned axis that is out of range is named under the name it was given."""
    with pytest.raises(LayerError, match=rf"{field} must name an axis of .*from -2 to 1, got 4294967295"):
        set_up(make(cls, **{field: 2 ** 32 - 1}), (2, 7))


def test_slice_equal_parts():
    """Without slice_point the parts are equal."""
    x = normal(2, 6, 5)
    _, top = run_forward(make(SliceLayer), x, tops=3)

    for i, y in enumerate(top):
        np.testing.assert_array_equal(y.data, x[:, 2 * i:2 * i + 2])


@pytest.mark.parametrize(("param", "tops", "message"), [
    ({"axis": 1, "slice_dim": 1}, 1, r"slice_param\.slice_dim cannot be set beside axis, got 1"),
    ({"axis": -5}, 1, r"slice_param\.axis must name an axis of bottom\[0\] \(2, 7, 5, 3\), from -4 to 3, got -5"),
    ({"slice_point": [1, 2]}, 2, r"slice_point must be given once less than the 2 tops, got \[1, 2\]"),
    ({"slice_point": [3, 3]}, 3, r"slice_point must increase and stay between 0 and 7.*got \[3, 3\]"),
    ({"slice_point": [0]}, 2, r"slice_point must increase and stay between 0 and 7, the size of axis 1.*got \[0\]"),
    ({"slice_point": [8]}, 2, r"slice_point must increase and stay between 0 and 7.*got \[8\]"),
    ({}, 2, r"axis 1 of bottom\[0\] \(2, 7, 5, 3\) cannot be cut into 2 equal parts of 7"),
])
def test_slice_errors(param, tops, message):
    """Places that are no places in the axis are named."""
    with pytest.raises(LayerError, match=message):
        set_up(make(SliceLayer, **param), SHAPE, tops=tops)


# --- Eltwise --------------------------------------------------------------------------------------


def three(shape=SHAPE):
    return [normal(*shape, seed=i) for i in range(3)]


def test_eltwise_by_hand():
    """Sum with coefficients, product and maximum of two pairs, with their gradients."""
    x0, x1, dy = np.array([2, -3.0]), np.array([5, 7.0]), np.array([10, 100.0])
    for param, y, dx0, dx1 in [
        ({}, [7, 4], [10, 100], [10, 100]),
        ({"coeff": [1, -2]}, [-8, -17], [10, 100], [-20, -200]),
        ({"operation": PROD}, [10, -21], [50, 700], [20, -300]),
        ({"operation": PROD, "stable_prod_grad": False}, [10, -21], [50, 700], [20, -300]),
        ({"operation": MAX}, [5, 7], [0, 0], [10, 100]),
    ]:
        layer = make(EltwiseLayer, **param)
        bottom, top = run_forward(layer, x0, x1)
        got = run_backward(layer, bottom, top, dy)

        np.testing.assert_array_equal(top[0].data, y)
        np.testing.assert_allclose(got, [dx0, dx1], rtol=1e-15)


@pytest.mark.parametrize(("param", "naive"), [
    ({}, lambda a, b, c: a + b + c),
    ({"coeff": [1, -0.5, 3]}, lambda a, b, c: a - 0.5 * b + 3 * c),
    ({"operation": PROD}, lambda a, b, c: a * b * c),
    ({"operation": PROD, "stable_prod_grad": False}, lambda a, b, c: a * b * c),
    ({"operation": MAX}, max),
])
def test_eltwise_against_the_formula(param, naive):
    """Three bottoms are combined number by number, and all gradients are right."""
    xs = three()
    _, top = run_forward(make(EltwiseLayer, **param), *xs)
    expected = [naive(*values) for values in zip(*[x.ravel() for x in xs], strict=True)]

    np.testing.assert_allclose(top[0].data.ravel(), expected, rtol=1e-14, atol=1e-15)
    assert check_layer(make(EltwiseLayer, **param), [filled(x) for x in xs]) < 1e-6


@pytest.mark.parametrize("param", [{}, {"operation": PROD}, {"operation": MAX}])
def test_eltwise_single_gradient(param):
    """A bottom that was not asked for keeps its diff, whatever the operation."""
    layer = make(EltwiseLayer, **param)
    bottom, top = run_forward(layer, *three())
    for blob in bottom:
        blob.diff.fill(7)
    dx = run_backward(layer, bottom, top, 1.0, asked=[False, True, False])

    np.testing.assert_array_equal(dx[0], 7)
    np.testing.assert_array_equal(dx[2], 7)
    assert (dx[1] != 7).any()


def test_eltwise_max_tie():
    """Between bottoms 0 and 1 the second takes the gradient of equal numbers, after that the earlier, as in Caffe."""
    layer = make(EltwiseLayer, operation=MAX)
    bottom, top = run_forward(layer, np.array([1, 1, 2.0]), np.array([1, 0, 1.0]), np.array([1, 1, 2.0]))
    dx = run_backward(layer, bottom, top, np.array([5, 6, 7.0]))

    np.testing.assert_array_equal(dx, [[0, 6, 7], [5, 0, 0], [0, 0, 0]])


def test_eltwise_product_with_zero():
    """Where a factor is 0, the stable gradient is right and the quick one is no number, as in Caffe."""
    for stable, expected in [(True, 3), (False, np.nan)]:
        layer = make(EltwiseLayer, operation=PROD, stable_prod_grad=stable)
        bottom, top = run_forward(layer, np.array([0.0]), np.array([3.0]))
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(run_backward(layer, bottom, top, 1.0)[0], [expected])


@pytest.mark.parametrize(("param", "shapes", "message"), [
    ({"coeff": [1]}, [(2, 7)] * 2, r"eltwise_param\.coeff must be given once for each of the 2 bottoms, got \[1\.0\]"),
    ({"coeff": [1, 2], "operation": PROD}, [(2, 7)] * 2, r"coeff is read by operation SUM, not by PROD, got \[1.0, 2"),
    ({}, [(2, 7), (2, 7), (7, 2)], r"one shape: bottom\[0\] is \(2, 7\), bottom\[2\] \(7, 2\)"),
    ({}, [(2, 7)], r"takes at least 2 bottom blobs, got 1"),
])
def test_eltwise_errors(param, shapes, message):
    """Coefficients and shapes that do not fit are named."""
    with pytest.raises(LayerError, match=message):
        set_up(make(EltwiseLayer, **param), *shapes)


def test_eltwise_max_ignores_coeff(caplog):
    """Caffe ignores coeff for MAX, so it is no error, but it is warned of."""
    with caplog.at_level("WARNING", "minicaffe"):
        top = run_forward(make(EltwiseLayer, operation=MAX, coeff=[1, -1]), np.array([2.0]), np.array([3.0]))[1]

    np.testing.assert_array_equal(top[0].data, [3])
    assert "layer 'Eltwise' (Eltwise): eltwise_param.coeff has no effect: the operation is MAX" in caplog.text


# --- Filter ---------------------------------------------------------------------------------------


def test_filter_by_hand():
    """Samples whose selector is not 0 pass, from every bottom; the gradient of the others is 0."""
    layer = make(FilterLayer)
    bottom, top = run_forward(layer, np.array([[1, 2], [3, 4], [5, 6.0]]), np.array([7, 8, 9.0]),
                              np.array([1, 0, -0.5]), tops=2)
    dx, dz, _ = run_backward(layer, bottom, top, np.array([[1, 2], [3, 4.0]]), np.array([5, 6.0]),
                             asked=[True, True, False])

    np.testing.assert_array_equal(top[0].data, [[1, 2], [5, 6]])
    np.testing.assert_array_equal(top[1].data, [7, 9])
    np.testing.assert_array_equal(dx, [[1, 2], [0, 0], [3, 4]])
    np.testing.assert_array_equal(dz, [5, 0, 6])


def test_filter_follows_the_selector():
    """Before the first pass the top has the whole batch; after it, as many samples as were selected, even none."""
    layer = make(FilterLayer)
    bottom, top = set_up(layer, SHAPE, (2, 1, 1))
    assert SHAPE == top[0].shape

    for selected in ([0, 0], [1, 1], [0, 1]):
        bottom[1].data[...] = np.reshape(selected, (2, 1, 1))
        bottom[0].data[...] = normal(*SHAPE)
        layer.Forward(bottom, top)
        dx, _ = run_backward(layer, bottom, top, 1.0, asked=[True, False])

        np.testing.assert_array_equal(top[0].data, bottom[0].data[np.array(selected, bool)])
        np.testing.assert_array_equal(dx, np.ones(SHAPE) * np.reshape(selected, (2, 1, 1, 1)))


def test_filter_gradient():
    """Backward is the derivative of forward."""
    layer = make(FilterLayer)
    bottom, top = run_forward(layer, normal(4, 7, 3), np.array([1, 0, 1, 1.0]))

    assert check_gradient(layer, bottom, top) < 1e-6


@pytest.mark.parametrize(("shapes", "tops", "message"), [
    ([(2, 7), (2, 5), (2,)], 1, r"one top for each bottom but the last.*: 2, got 1"),
    ([(2, 7), (2, 3)], 1, r"the selector, bottom\[1\], must hold one number a sample, got the shape \(2, 3\)"),
    ([(2, 7), ()], 1, r"must hold one number a sample, got the shape \(\)"),
    ([(2, 7), (3, 5), (2,)], 2, r"as many samples as the selector \(2,\), got bottom\[1\] \(3, 5\)"),
    ([(), (2,)], 1, r"as many samples as the selector \(2,\), got bottom\[0\] \(\)"),
])
def test_filter_errors(shapes, tops, message):
    """Numbers of tops and samples that do not fit are named."""
    with pytest.raises(LayerError, match=message):
        set_up(make(FilterLayer), *shapes, tops=tops)


def test_filter_selector_has_no_gradient():
    """A gradient for the selector is refused, and force_backward does not ask for it."""
    layer = make(FilterLayer)
    bottom, top = run_forward(layer, normal(2, 7), np.ones(2))

    assert [True, False] == [layer.allow_force_backward(i) for i in (0, 1)]
    with pytest.raises(LayerError, match=r"no gradient for the selector\n.*propagate_down: false for bottom 1"):
        run_backward(layer, bottom, top, 1.0)


# --- Flatten and Reshape --------------------------------------------------------------------------


@pytest.mark.parametrize(("param", "shape"), [
    ({}, (2, 105)), ({"axis": 0}, (210,)), ({"axis": 2}, (2, 7, 15)), ({"axis": -2, "end_axis": -1}, (2, 7, 15)),
    ({"axis": 1, "end_axis": 2}, (2, 35, 3)), ({"axis": 0, "end_axis": 0}, SHAPE), ({"axis": 3}, SHAPE),
    ({"axis": 2, "end_axis": 1}, (2, 7, 1, 5, 3)),  # Caffe: nothing to join makes an axis of size 1
])
def test_flatten_shapes(param, shape):
    """The chosen axes become one, and the order of the numbers stays."""
    x = normal(*SHAPE)
    _, top = run_forward(make(FlattenLayer, **param), x)

    assert shape == top[0].shape
    np.testing.assert_array_equal(top[0].data.ravel(), x.ravel())


@pytest.mark.parametrize(("param", "shape"), [
    ({"shape": {"dim": [0, -1, 5]}}, (2, 21, 5)),
    ({"shape": {"dim": [210]}}, (210,)),
    ({"shape": {"dim": [-1]}}, (210,)),
    ({"shape": {"dim": [0, 0, 0, 0, 1]}}, (2, 7, 5, 3, 1)),
    ({"shape": {"dim": [5, 7]}, "axis": 1, "num_axes": 2}, (2, 5, 7, 3)),
    ({"shape": {"dim": [-1]}, "axis": -3}, (2, 7, 15)),
    ({"shape": {"dim": [1, 1]}, "axis": -1}, (2, 7, 5, 3, 1, 1)),
    ({"shape": {"dim": [1]}, "axis": 2, "num_axes": 0}, (2, 7, 1, 5, 3)),
    ({"shape": {"dim": [-1, 0]}, "axis": 0, "num_axes": 2}, (2, 7, 5, 3)),
    ({"shape": {"dim": [0, -1]}, "axis": 2}, (2, 7, 5, 3)),
])
def test_reshape_shapes(param, shape):
    """0 copies a size, −1 infers one, axis and num_axes choose what is replaced."""
    x = normal(*SHAPE)
    _, top = run_forward(make(ReshapeLayer, **param), x)

    assert shape == top[0].shape
    np.testing.assert_array_equal(top[0].data.ravel(), x.ravel())


def test_reshape_makes_a_scalar():
    """A shape of no axes fits a blob of one number."""
    assert run_forward(make(ReshapeLayer, shape={}), np.ones((1, 1)))[1][0].shape == ()


@pytest.mark.parametrize("layer", [make(FlattenLayer), make(ReshapeLayer, shape={"dim": [2, -1]})])
def test_flatten_and_reshape_share_memory(layer):
    """Top and bottom are one memory, data and diff, also when the batch has grown."""
    bottom, top = set_up(layer, SHAPE)
    for n in (2, 6):
        bottom[0].reshape(n, *SHAPE[1:])
        layer.Reshape(bottom, top)
        bottom[0].data[...] = normal(n, *SHAPE[1:])
        top[0].diff[...] = normal(*top[0].shape)
        layer.Backward(top, [True], bottom)

        assert np.shares_memory(bottom[0].data, top[0].data)
        np.testing.assert_array_equal(bottom[0].diff.ravel(), top[0].diff.ravel())
    assert layer.shares_data
    assert check_gradient(layer, bottom, top) < 1e-6


@pytest.mark.parametrize(("param", "message"), [
    ({"axis": 4}, r"flatten_param\.axis must name an axis of bottom\[0\] \(2, 7, 5, 3\), from -4 to 3, got 4"),
    ({"end_axis": -5}, r"flatten_param\.end_axis must name an axis of .*from -4 to 3, got -5"),
    ({"axis": 3, "end_axis": 1}, r"flatten_param\.axis must not be above end_axis \+ 1 = 2 .*got 3"),
])
def test_flatten_errors(param, message):
    """Axes that are none, or in the wrong order, are named."""
    with pytest.raises(LayerError, match=message):
        set_up(make(FlattenLayer, **param), SHAPE)


@pytest.mark.parametrize(("param", "message"), [
    ({"shape": {"dim": [-1, 2, -1]}}, r"reshape_param\.shape\.dim may hold one -1.*got \[-1, 2, -1\]"),
    ({"shape": {"dim": [-2]}}, r"shape\.dim may hold sizes, 0 and one -1, got \[-2\]"),
    ({"shape": {"dim": [2, 7, 5, 3, 0]}}, r"has a 0 for axis 4, which x \(2, 7, 5, 3\) lacks"),
    ({"shape": {"dim": [4, -1]}}, r"cannot divide the 210 numbers of x \(2, 7, 5, 3\) into parts of 4"),
    ({"shape": {"dim": [2, 7]}}, r"must keep the 210 numbers of x \(2, 7, 5, 3\), but \(2, 7\) has 14"),
    ({"shape": {"dim": [210]}, "axis": 5}, r"axis must lie between -5 and 4 for x \(2, 7, 5, 3\), got 5"),
    ({"shape": {"dim": [210]}, "axis": -6}, r"axis must lie between -5 and 4.*got -6"),
    ({"shape": {"dim": [1]}, "num_axes": -2}, r"num_axes must lie between 0 and 4, or be -1 for all.*got -2"),
    ({"shape": {"dim": [1]}, "axis": 3, "num_axes": 2}, r"num_axes must lie between 0 and 1.*from axis 3 on, got 2"),
])
def test_reshape_errors(param, message):
    """Shapes that do not hold the same numbers are named, with the counts."""
    with pytest.raises(LayerError, match=message):
        set_up(make(ReshapeLayer, **param), SHAPE)


def test_reshape_cannot_infer_from_nothing():
    """For an empty blob, −1 beside a size 0 could be anything."""
    with pytest.raises(LayerError, match=r"cannot divide the 0 numbers of x \(0, 7\) into parts of 0"):
        set_up(make(ReshapeLayer, shape={"dim": [0, -1]}), (0, 7))


# --- Parameter ------------------------------------------------------------------------------------


def test_parameter_is_its_blob():
    """The top is the learned blob itself, data and diff, and follows it when it is tied to another one."""
    layer = make(ParameterLayer, shape={"dim": [2, 3]})
    _, [y] = set_up(layer)
    w = layer.blobs[0]
    w.data[...] = normal(2, 3)
    layer.Forward([], [y])
    y.diff[...] = normal(2, 3, seed=1)
    layer.Backward([y], [], [])

    np.testing.assert_array_equal(y.data, normal(2, 3))
    np.testing.assert_array_equal(w.diff, normal(2, 3, seed=1))
    other = filled(normal(2, 3, seed=2))
    w.share_data(other)
    layer.Forward([], [y])
    np.testing.assert_array_equal(y.data, other.data)


def test_parameter_takes_stored_values():
    """Stored blobs are loaded, and the gradient of a net's loss arrives at the parameter."""
    layer = create(LayerParameter(name="p", type="Parameter", parameter_param={"shape": {"dim": [3]}},
                                  blobs=[array_to_blob(np.array([5, 6, 7], np.float32))]))
    _, [y] = set_up(layer)
    np.testing.assert_array_equal(y.data, [5, 6, 7])

    net = Net(proto_text.parse("""
        layer { name: "w" type: "Parameter" top: "w" parameter_param { shape { dim: 3 } } }
        layer { name: "loss" type: "Reduction" bottom: "w" top: "loss" loss_weight: 2
                reduction_param { operation: SUMSQ } }""", NetParameter()), TRAIN)
    net.params["w"][0].data[...] = [1, -2, 3]
    assert net.forward_backward() == 28
    np.testing.assert_array_equal(net.params["w"][0].diff, [4, -8, 12])


def test_parameter_errors():
    """A negative size is named."""
    with pytest.raises(LayerError, match=r"parameter_param\.shape\.dim must not hold negative sizes, got \[2, -3\]"):
        set_up(make(ParameterLayer, shape={"dim": [2, -3]}))


# --- Permute --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "whole"), [
    ((), (0, 1, 2, 3)), ((0, 2, 3, 1), (0, 2, 3, 1)), ((2,), (2, 0, 1, 3)), ((3, 1), (3, 1, 0, 2)),
    ((0, 1), (0, 1, 2, 3)), ((3, 2, 1, 0), (3, 2, 1, 0)),
])
def test_permute(order, whole):
    """y at an index is x at the index whose places have changed; axes that order leaves out follow in their order."""
    x = normal(*SHAPE)
    _, (y,) = run_forward(make(PermuteLayer, order=order), x)

    assert y.shape == tuple(SHAPE[axis] for axis in whole)
    for index in np.ndindex(*y.shape):
        assert y.data[index] == x[tuple(index[whole.index(axis)] for axis in range(4))]


def test_permute_back():
    """The inverse order undoes it, and backward does the same to the gradient."""
    x, dy = normal(*SHAPE), normal(5, 2, 3, 7)
    layer = make(PermuteLayer, order=(2, 0, 3, 1))
    bottom, top = run_forward(layer, x)
    _, (again,) = run_forward(make(PermuteLayer, order=(1, 3, 0, 2)), top[0].data)

    np.testing.assert_array_equal(again.data, x)
    np.testing.assert_array_equal(run_backward(layer, bottom, top, dy)[0], dy.transpose(1, 3, 0, 2))


def test_permute_errors():
    """An axis that is named twice, or that x does not have."""
    with pytest.raises(LayerError, match=r"permute_param.order may name each axis once, got \[0, 2, 2\]"):
        run_forward(make(PermuteLayer, order=(0, 2, 2)), normal(*SHAPE))
    with pytest.raises(LayerError, match=r"order must name axes of bottom\[0\] \(2, 7, 5\), which has 3: they count "
                                         r"from 0, got \[0, 3\]"):
        run_forward(make(PermuteLayer, order=(0, 3)), normal(2, 7, 5))


# --- Reduction ------------------------------------------------------------------------------------


def test_reduction_by_hand():
    """The four sums of (1, −2, 3) times 10, with their gradients for dy = 2."""
    x = np.array([1, -2, 3.0])
    for operation, y, dx in [("SUM", 20, [20, 20, 20]), ("ASUM", 60, [20, -20, 20]),
                             ("SUMSQ", 140, [40, -80, 120]), ("MEAN", 20 / 3, [20 / 3] * 3)]:
        layer = make(ReductionLayer, operation=OPERATIONS[operation], coeff=10)
        bottom, top = run_forward(layer, x)

        assert top[0].shape == ()
        np.testing.assert_allclose(top[0].data, y, rtol=1e-15)
        np.testing.assert_allclose(run_backward(layer, bottom, top, 2.0)[0], dx, rtol=1e-15)


@pytest.mark.parametrize("axis", [0, 1, 3, -1, -2])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_reduction_against_the_formula(operation, axis):
    """All axes from one on are reduced to one number, and the gradient is right."""
    x, c = normal(*SHAPE), -1.5
    term = {"ASUM": np.abs, "SUMSQ": np.square}.get(operation, lambda v: v)(x)
    axes = tuple(range(axis % 4, 4))
    expected = c * (term.mean(axes) if operation == "MEAN" else term.sum(axes))
    param = {"operation": OPERATIONS[operation], "axis": axis, "coeff": c}
    _, top = run_forward(make(ReductionLayer, **param), x)

    assert top[0].shape == SHAPE[:axis % 4]
    np.testing.assert_allclose(top[0].data, expected, rtol=1e-13)
    assert check_layer(make(ReductionLayer, **param), [filled(x)], kinks=[0]) < 1e-6


@pytest.mark.parametrize("operation", OPERATIONS)
def test_reduction_of_nothing(operation):
    """No numbers sum to 0, and their mean is taken as 0."""
    layer = make(ReductionLayer, operation=OPERATIONS[operation])
    bottom, top = run_forward(layer, np.zeros((0, 3)))

    assert float(top[0].data) == 0
    assert run_backward(layer, bottom, top, 1.0)[0].shape == (0, 3)


@pytest.mark.parametrize("shape", [SHAPE, ()])
def test_reduction_errors(shape):
    """An axis that is none is named."""
    n = len(shape)
    known = f"from {-n} to {n - 1}" if n else "a scalar, which has none"
    with pytest.raises(LayerError, match=rf"reduction_param\.axis must name an axis of .*, {known}, got {n}"):
        set_up(make(ReductionLayer, axis=n), shape)


@pytest.mark.parametrize("engine", kernels.available_engines())
def test_row_sum_keeps_the_last_digits(engine):
    """A million float32 values add up to float32 precision, whatever the engine."""
    x = np.full((2, 1_000_000), 0.1, np.float32)
    before = kernels.engine()
    kernels.use_engine(engine)
    try:
        out = kernels.row_sum(x, out=np.empty(2, np.float32))
    finally:
        kernels.use_engine(before)

    np.testing.assert_allclose(out, float(np.float32(0.1)) * 1e6, rtol=1e-7)


# --- Silence, Split, Tile -------------------------------------------------------------------------


def test_silence():
    """Silence reads any number of blobs, and gives those that ask a gradient of 0."""
    layer = make(SilenceLayer)
    bottom, top = run_forward(layer, normal(2, 7), normal(5), tops=0)
    for blob in bottom:
        blob.diff.fill(7)
    dx = run_backward(layer, bottom, top, asked=[True, False])

    np.testing.assert_array_equal(dx[0], 0)
    np.testing.assert_array_equal(dx[1], 7)


@pytest.mark.parametrize("tops", [1, 2, 3])
def test_split(tops):
    """All tops are the bottom's memory, and their gradients add up."""
    layer = make(SplitLayer)
    bottom, top = run_forward(layer, normal(*SHAPE), tops=tops)
    dys = [normal(*SHAPE, seed=i) for i in range(tops)]

    assert all(np.shares_memory(y.data, bottom[0].data) for y in top)
    np.testing.assert_allclose(run_backward(layer, bottom, top, *dys)[0], sum(dys), rtol=1e-14)
    assert check_layer(make(SplitLayer), [filled(normal(*SHAPE))], tops) < 1e-6


def test_tile_by_hand():
    """Each row is repeated as a whole, and the gradients of the copies add up."""
    layer = make(TileLayer, tiles=2)
    bottom, top = run_forward(layer, np.array([[1, 2.0], [3, 4]]))

    np.testing.assert_array_equal(top[0].data, [[1, 2, 1, 2], [3, 4, 3, 4]])
    np.testing.assert_array_equal(run_backward(layer, bottom, top, np.array([[1, 2, 3, 4], [5, 6, 7, 8.0]]))[0],
                                  [[4, 6], [12, 14]])


@pytest.mark.parametrize("axis", [0, 1, 3, -1, -2])
@pytest.mark.parametrize("tiles", [1, 4])
def test_tile_is_concat_of_copies(axis, tiles):
    """Tiling is joining copies, and the gradient is right."""
    x = normal(*SHAPE)

    np.testing.assert_array_equal(run_forward(make(TileLayer, axis=axis, tiles=tiles), x)[1][0].data,
                                  np.concatenate([x] * tiles, axis))
    assert check_layer(make(TileLayer, axis=axis, tiles=tiles), [filled(x)]) < 1e-6


@pytest.mark.parametrize(("param", "message"), [
    ({}, r"tile_param\.tiles must be set to the number of copies, at least 1, got 0"),
    ({"tiles": -1}, r"tiles must be set.*got -1"),
    ({"tiles": 2, "axis": 4}, r"tile_param\.axis must name an axis of bottom\[0\] \(2, 7, 5, 3\), from -4 to 3, got 4"),
])
def test_tile_errors(param, message):
    """A missing number of tiles and a wrong axis are named."""
    with pytest.raises(LayerError, match=message):
        set_up(make(TileLayer, **param), SHAPE)


# --- no layer of this family runs in place --------------------------------------------------------


@pytest.mark.parametrize("layer", [
    make(ArgMaxLayer), make(ConcatLayer), make(FlattenLayer), make(ReductionLayer), make(SliceLayer),
    make(SplitLayer), make(ReshapeLayer, shape={"dim": [0, -1]}), make(TileLayer, tiles=1),
], ids=repr)
def test_not_in_place(layer):
    """A top that is the bottom itself is refused by name."""
    with pytest.raises(LayerError, match=rf"layer '{layer.type}' .*cannot run in place"):
        run_forward(layer, normal(2, 7), in_place=True)


# --- Python ---------------------------------------------------------------------------------------

USERS = '''
from minicaffe.layer import Elementwise, Layer, LossLayer
import helper_of_users


class Times(Layer):
    """Multiply by a learned number."""

    def setup(self, bottom, top):
        self.blobs.add_blob(1)
        self.blobs.add_blob(2, 3)
        self.param_propagate_down = [True, False]  # nothing is computed of the second
        self.blobs[0].data[...] = float(self.param_str)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.blobs[0].data * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += (top[0].diff * bottom[0].data).sum()
        if propagate_down[0]:
            bottom[0].diff[...] = self.blobs[0].data * top[0].diff


class Phase(Layer):
    def reshape(self, bottom, top):
        top[0].reshape()

    def forward(self, bottom, top):
        top[0].data[...] = self.phase


class Cube(Elementwise):
    slope_from = "x"

    def value(self, x, y):
        y[...] = x ** 3

    def slope(self, x):
        return 3 * x ** 2


class Pair(Layer):
    bottoms = 2

    def reshape(self, bottom, top):
        self.fail("its bottoms do not match")


class Broken(Times):
    def forward(self, bottom, top):
        return helper_of_users.divide(1, 0)


class Shapeless(Times):
    def reshape(self, bottom, top):
        top[0].reshape(2, -3)


class NoBackward(Layer):
    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data


class NoLayer:
    pass


class Told(Layer):
    """Does what param_str says in each of its methods."""

    def setup(self, bottom, top):
        self.do("setup", bottom, top)

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)
        self.do("reshape", bottom, top)

    def forward(self, bottom, top):
        self.do("forward", bottom, top)
        return "nonsense"

    def do(self, method, bottom, top):
        when, _, what = self.param_str.partition(": ")
        if when == method:
            exec(what, globals(), {"self": self, "bottom": bottom, "top": top})


class OwnInit(Layer):
    def __init__(self):
        pass


class LateInit(Layer):
    def __init__(self, *args, **more):
        pass


class ManyTops(Layer):
    tops = "many"


def __getattr__(name):
    if name == "Asked":
        raise RuntimeError("not today")
    raise AttributeError(name)
'''


@pytest.fixture
def users(tmp_path, monkeypatch):
    """A current directory with a user's module in it, as a function that makes its layers."""
    (tmp_path / "layers_of_users.py").write_text(USERS)
    (tmp_path / "helper_of_users.py").write_text("def divide(a, b):\n    return a / b\n")
    (tmp_path / "needs_caffe.py").write_text("import caffe\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt\n")
    (tmp_path / "forgets_path.py").write_text("import os, sys\nsys.path.remove(os.getcwd())\n")
    (tmp_path / "bad_syntax.py").write_text("class Oops(:\n")
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)

    def layer(name, module="layers_of_users", phase=TRAIN, **param):
        return create(LayerParameter(name="mine", type="Python", phase=phase,
                                     python_param={"module": module, "layer": name, **param}), dtype=np.float64)

    yield layer
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_python_runs_the_users_class(users):
    """The class is found in the current directory; param_str, blobs and gradients work as in pycaffe."""
    path = list(sys.path)
    layer = users("Times", param_str="10")
    bottom, top = run_forward(layer, normal(2, 7))
    dx, = run_backward(layer, bottom, top, 1.0)

    np.testing.assert_array_equal(top[0].data, 10 * normal(2, 7))
    np.testing.assert_array_equal(dx, np.full((2, 7), 10.0))
    np.testing.assert_allclose(layer.blobs[0].diff, normal(2, 7).sum())
    assert [(1,), (2, 3)] == [blob.shape for blob in layer.blobs]
    assert type(layer).__name__ == "Times"
    assert isinstance(layer, sys.modules["layers_of_users"].Times)
    assert ("mine", "Python", "10") == (layer.name, layer.type, layer.param_str)
    assert path == sys.path
    assert check_layer(users("Times", param_str="2"), [filled(normal(2, 7))]) < 1e-6


def test_python_layers_are_separate(users):
    """Two layers of one class share nothing but the class."""
    first, second = users("Times", param_str="1"), users("Times", param_str="2")
    run_forward(first, normal(5))
    run_forward(second, normal(5))

    assert first.blobs[0].data[0] == 1
    assert second.blobs[0].data[0] == 2


@pytest.mark.parametrize("phase", [TRAIN, TEST])
def test_python_phase(users, phase):
    """The phase is an attribute, and a layer needs neither bottoms nor setup nor backward."""
    assert phase == float(run_forward(users("Phase", phase=phase))[1][0].data)


def test_python_takes_the_bases(users):
    """A user's layer may rest on Elementwise, in place too, and declare its arity."""
    assert check_layer(users("Cube"), [filled(normal(*SHAPE))]) < 1e-6
    in_place = users("Cube")
    bottom, top = run_forward(in_place, np.array([2.0]), in_place=True)
    assert run_backward(in_place, bottom, top, 1.0)[0] == [12]
    with pytest.raises(LayerError, match=r"layer 'mine' \(Python\): takes 2 bottom blobs, got 1"):
        set_up(users("Pair"), (5,))


def test_python_in_a_net(users):
    """A net trains through a user's layer, saves its blobs and loads them."""
    net = Net(proto_text.parse("""
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 } } }
        layer { name: "mine" type: "Python" bottom: "x" top: "y"
                python_param { module: "layers_of_users" layer: "Times" param_str: "4" } }
        layer { name: "loss" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1 }""", NetParameter()), TRAIN)
    net.blobs["x"].data[...] = [1, 2, 3]

    assert net.forward_backward() == 24
    assert net.params["mine"][0].diff[0] == 6
    stored = net.layers[1].to_proto()
    stored.blobs[0].data[0] = 5
    again = create(stored)
    set_up(again, (3,))
    assert len(again.blobs) == 2


def test_python_alone(users):
    """The layer can be made from field values, without a net."""
    layer = PythonLayer(python_param={"module": "layers_of_users", "layer": "Times", "param_str": "3"})

    assert layer.param_str == "3"
    assert isinstance(layer, Layer)


def test_python_errors_show_the_users_traceback(users):
    """An error in the user's code names the layer, the error and the user's own lines, and nothing of ours."""
    with pytest.raises(LayerError) as caught:
        run_forward(users("Broken", param_str="1"), normal(5))

    message = caught.value.message
    assert message.startswith("layer 'mine' (Python): Broken.forward raised ZeroDivisionError: ")
    assert "layers_of_users.py" in message
    assert "return helper_of_users.divide(1, 0)" in message
    assert "helper_of_users.py\", line 2, in divide" in message
    assert "minicaffe/layer" not in message
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_python_errors_of_blobs_name_the_layer(users):
    """An error of our own that the user's line caused names the layer and that line too."""
    with pytest.raises(LayerError, match=r"(?s)layer 'mine'.*Shapeless\.reshape raised .*negative.*top\[0\]\.reshape"):
        set_up(users("Shapeless", param_str="1"), (5,))


def test_python_layers_own_messages_stay(users):
    """What a layer says itself with `fail` is passed on as it is."""
    with pytest.raises(LayerError) as caught:
        set_up(users("Pair"), (5,), (5,))

    assert caught.value.message == "layer 'mine' (Python): its bottoms do not match"


def test_python_missing_method(users):
    """A gradient through a layer without backward is refused, with the cure."""
    layer = users("NoBackward")
    bottom, top = run_forward(layer, normal(5))
    with pytest.raises(LayerError, match=r"NoBackward\.backward raised NotImplementedError.*\n.*must write"):
        run_backward(layer, bottom, top, 1.0)


@pytest.mark.parametrize(("name", "module", "message"), [
    ("Times", "", r"python_param\.module must be set"),
    ("", "layers_of_users", r"python_param\.layer must be set"),
    ("Times", "layers_of_nobody", r"there is no module 'layers_of_nobody'\n.*current directory or along PYTHONPATH"),
    ("Times", "layers_of_nobody.inner", r"there is no module 'layers_of_nobody\.inner'"),
    ("Timse", "layers_of_users", r"'layers_of_users' has no class 'Timse'\n.*did you mean .*'Times'"),
    ("Qqqq", "layers_of_users", r"has no class 'Qqqq'\n.*its layers are .*Times, Phase"),
    ("NoLayer", "layers_of_users", r"layers_of_users\.NoLayer must be a subclass of minicaffe\.layer\.Layer"),
    ("PythonLayer", "minicaffe.layers.utility.python", r"python\.PythonLayer is a base class for layers, not a layer"),
    ("Layer", "layers_of_users", r"Layer is a base class for layers, not a layer\n.*its layers are .*Times"),
    ("LossLayer", "layers_of_users", r"LossLayer is a base class for layers"),
    ("OwnInit", "layers_of_users", r"OwnInit\.__init__ raised TypeError"),
    ("LateInit", "layers_of_users", r"LateInit\.__init__ does not call super\(\)\.__init__"),
    ("ManyTops", "layers_of_users", r"ManyTops\.tops must be a number of blobs.*got 'many'"),
    ("Asked", "layers_of_users", r"looking for Asked in layers_of_users raised RuntimeError: not today"),
    ("Times", "exits", r"importing exits raised SystemExit: 3\n.*exits\.py\", line 1"),
    ("Times", "../layers_of_users", r"'\.\./layers_of_users' is no module's name\n.*write 'my_layers'"),
    ("Times", "layers_of_users.py", r"'layers_of_users\.py' is no module's name"),
    ("Times", ".layers_of_users", r"is no module's name"),
    ("Times", "folder\\layers_of_users", r"is no module's name"),
    ("Times", "forgets_path", r"has no class 'Times'"),
    ("Times", "bad_syntax", r"importing bad_syntax raised SyntaxError: .*bad_syntax\.py, line 1"),
    ("Times", "needs_caffe",
     r"importing needs_caffe raised ModuleNotFoundError.*import caffe.*from minicaffe import pycaffe as caffe"),
])
def test_python_loading_errors(users, name, module, message):
    """What cannot be imported or found is named, with the layer and the cure."""
    with pytest.raises(LayerError, match=r"(?s)layer 'mine' \(Python\): .*" + message):
        users(name, module)


@pytest.mark.parametrize(("name", "module", "kind"), [("Times", "layers_of_nobody", ImportError),
                                                      ("Timse", "layers_of_users", AttributeError)])
def test_python_loading_errors_of_pycaffes_kinds(users, name, module, kind):
    """Scripts catch what pycaffe raises."""
    with pytest.raises(kind, match="layer 'mine'") as caught:
        users(name, module)

    assert isinstance(caught.value, LayerError)


@pytest.mark.parametrize(("told", "message"), [
    ("setup: self.blobs = None", r"Told\.setup raised AttributeError: a layer's list of blobs cannot .*add_blob"),
    ("setup: self.blobs.append([1.0])", r"Told\.setup raised TypeError: a list of blobs holds Blobs alone, got list"),
    ("forward: self.blobs = {}", r"Told\.forward raised AttributeError: a layer's list of blobs cannot"),
    ("reshape: top[0] = None", r"Told\.reshape has put other objects in the place of .*: NoneType\n.*top\[0\]\.data"),
    ("forward: top[0] = bottom[0].data * 2", r"Told\.forward has put other objects in the place of .*: ndarray"),
    ("setup: top.clear()", r"Told\.setup has put other objects in the place of .*: none\n"),
    ("forward: bottom.append(3)", r"Told\.forward has put other objects in the place of .*: Blob, int"),
    ("reshape: top[0].shape = (3,)", r"Told\.reshape raised AttributeError: a blob's shape cannot .*blob\.reshape"),
    ("reshape: top[0].reshape(2.5)", r"Told\.reshape raised TypeError"),
    ("reshape: top[0].reshape(10**9, 10**9)", r"Told\.reshape raised LayerError: .*at most"),
    ("forward: top[0].data = 3", r"Told\.forward raised AttributeError: a blob's data cannot .*data\[\.\.\.\] = array"),
    ("forward: raise SystemExit", r"Told\.forward raised SystemExit"),
    ("forward: exit()", r"Told\.forward raised SystemExit"),
    ("forward: raise BaseException('of a kind of its own')", r"Told\.forward raised BaseException: of a kind"),
    ("forward: raise type('Mute', (Exception,), {'__str__': None})", r"Told\.forward raised Mute: \(its __str__"),
])
def test_python_layers_that_break_what_they_are_given(users, told, message):
    """Whatever a layer does to the blobs it is given or to its own ends in a message that names the layer."""
    with pytest.raises(LayerError, match=r"(?s)layer 'mine' \(Python\): .*" + message):
        run_forward(users("Told", param_str=told), normal(5))


def test_python_forward_may_return_anything(users):
    """As in Caffe, what `forward` returns is not looked at."""
    layer, bottom = users("Told", param_str="never"), [filled(normal(5))]
    top = set_up(layer, (5,))[1]

    assert layer.Forward(bottom, top) == 0.0


def test_python_layers_let_ctrl_c_pass(users):
    """A Ctrl-C in a user's code stops the program; it is no error of the layer."""
    with pytest.raises(KeyboardInterrupt):
        users("Times", "interrupted")
    with pytest.raises(KeyboardInterrupt):
        run_forward(users("Told", param_str="forward: raise KeyboardInterrupt"), normal(5))
