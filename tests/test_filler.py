"""Fillers against their formulas, over many draws."""

import tracemalloc

import numpy as np
import pytest
from user_types import forgotten

from minicaffe import filler, register_filler
from minicaffe.errors import LayerError
from minicaffe.filler import fill, unread_fields
from minicaffe.proto import FillerParameter

SHAPE = (250, 400, 10)  # 1e6 values; fan_in = 4000, fan_out = 2500


def filled(shape=SHAPE, **fields):
    values = np.empty(shape)
    fill(values, FillerParameter(**fields), np.random.default_rng(7))
    return values


def check_moments(values, mean, variance):
    """Mean and variance within five standard errors of a million draws."""
    n = values.size
    fourth = np.mean((values - values.mean()) ** 4)

    assert abs(values.mean() - mean) < 5 * np.sqrt(variance / n) + 1e-12
    assert abs(values.var() - variance) < 5 * np.sqrt(max(fourth - variance ** 2, 0) / n) + 1e-12


@pytest.mark.parametrize(("fields", "message"), [
    ({"type": "gaussian", "std": -1}, "the filler's std must be above 0, got -1"),
    ({"type": "gaussian", "std": float("nan")}, "the filler's std must be a finite number, got nan"),
    ({"type": "gaussian", "mean": float("-inf")}, "the filler's mean must be a finite number, got -inf"),
    ({"type": "uniform", "max": float("inf")}, "the filler's max must be a finite number, got inf"),
    ({"type": "uniform", "min": 2}, "the filler's min must not lie above max, 1, got 2")])
def test_numbers_that_draw_nothing(fields, message):
    """What the generator would refuse, or make NaN of, is an error with the field's name."""
    with pytest.raises(LayerError, match=message):
        filled((2, 3), **fields)


@pytest.mark.parametrize(("fields", "mean", "variance"), [
    ({"type": "constant", "value": 0.25}, 0.25, 0.0),
    ({"type": "uniform", "min": -1, "max": 3}, 1.0, 16 / 12),
    ({"type": "gaussian", "mean": 2, "std": 0.5}, 2.0, 0.25),
    ({"type": "gaussian", "std": 2, "sparse": 50}, 0.0, 4 * 50 / 250),
    ({"type": "xavier"}, 0.0, 1 / 4000),
    ({"type": "xavier", "variance_norm": "FAN_IN"}, 0.0, 1 / 4000),
    ({"type": "xavier", "variance_norm": "FAN_OUT"}, 0.0, 1 / 2500),
    ({"type": "xavier", "variance_norm": "AVERAGE"}, 0.0, 1 / 3250),
    ({"type": "msra"}, 0.0, 2 / 4000),
    ({"type": "msra", "variance_norm": "FAN_OUT"}, 0.0, 2 / 2500),
    ({"type": "msra", "variance_norm": "AVERAGE"}, 0.0, 2 / 3250),
], ids=lambda v: "-".join(map(str, v.values())) if isinstance(v, dict) else "")
def test_moments(fields, mean, variance):
    """A filler's mean and variance over 1e6 draws are those of its formula."""
    check_moments(filled(**fields), mean, variance)


DRAWN = [{"type": "uniform", "min": -1, "max": 3}, {"type": "gaussian", "mean": 2, "std": 0.5}, {"type": "xavier"},
         {"type": "gaussian", "std": 2, "sparse": 3}, {"type": "msra", "variance_norm": "FAN_OUT"},
         {"type": "positive_unitball"}]


def kind(fields):
    return "-".join(map(str, fields.values()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fields", DRAWN, ids=kind)
def test_pieces_change_no_bit(fields, dtype, monkeypatch):
    """Numbers drawn in pieces of any size are those of a single draw, and so is what is drawn after them."""
    results = []
    for piece in (1 << 30, 1, 7, 16):
        monkeypatch.setattr(filler, "PIECE", piece)
        values, draw = np.empty((5, 7, 3), dtype), np.random.default_rng(7)
        fill(values, FillerParameter(**fields), draw)
        results.append(np.append(values.ravel(), draw.random()))

    for got in results[1:]:
        np.testing.assert_array_equal(results[0], got)


@pytest.mark.parametrize(("fields", "first"), [
    ({"type": "uniform", "min": -1, "max": 3}, lambda draw: draw.uniform(-1, 3, (7, 11))),
    ({"type": "gaussian", "mean": 2, "std": 0.5}, lambda draw: draw.normal(2, 0.5, (7, 11))),
    ({"type": "gaussian", "std": 2, "sparse": 3},
     lambda draw: draw.normal(0, 2, (7, 11)) * (draw.random((7, 11)) < 3 / 7)),
    ({"type": "xavier"}, lambda draw: draw.uniform(-np.sqrt(3 / 11), np.sqrt(3 / 11), (7, 11))),
    ({"type": "msra"}, lambda draw: draw.normal(0, np.sqrt(2 / 11), (7, 11))),
], ids=lambda v: kind(v) if isinstance(v, dict) else "")
def test_which_numbers(fields, first):
    """A seed gives for ever the weights that it gives today: the numbers of one draw in float64, rounded."""
    values = np.empty((7, 11), np.float32)
    fill(values, FillerParameter(**fields), np.random.default_rng(7))

    np.testing.assert_array_equal(first(np.random.default_rng(7)).astype(np.float32), values)


@pytest.mark.parametrize("fields", DRAWN, ids=kind)
def test_no_array_beside_the_blob(fields):
    """A large blob is filled without an array of its own size beside it."""
    values = np.empty((500, 4000), np.float32)
    tracemalloc.start()
    fill(values, FillerParameter(**fields), np.random.default_rng(7))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < values.nbytes / 4


def test_uniform_stays_inside():
    """Uniform fills the whole of [min, max) and nothing outside."""
    values = filled(type="uniform", min=-1, max=3)

    assert -1 <= values.min() < -0.99
    assert 2.99 < values.max() <= 3


def test_positive_unitball():
    """Each output's weights are positive and sum to one."""
    values = filled((4, 7, 5), type="positive_unitball").reshape(4, 35)

    assert values.min() >= 0
    np.testing.assert_allclose(values.sum(axis=1), 1)


@pytest.mark.parametrize(("k", "row"), [(4, [0.25, 0.75, 0.75, 0.25]), (3, [0.5, 1, 0.5])])
def test_bilinear(k, row):
    """The upsampling kernels of factor 2, whose row is a tent."""
    values = filled((2, 1, k, k), type="bilinear")

    np.testing.assert_allclose(values[1, 0], np.outer(row, row))


@pytest.mark.parametrize(("fields", "shape", "message"), [
    ({"type": "xaver"}, (2, 3), r"type must be one of .*, got 'xaver'.*\n.*did you mean 'xavier'"),
    ({"type": "bilinear"}, (2, 3, 4, 5), r"square kernels, got \(2, 3, 4, 5\)"),
    ({"type": "xavier", "sparse": 3}, (2, 3), "gaussian filler alone, not by xavier, got 3"),
    ({"type": "msra"}, (), "needs at least one axis"),
])
def test_errors(fields, shape, message):
    """A wrong filler is named with what was seen and the near name."""
    with pytest.raises(LayerError, match=message):
        filled(shape, **fields)


def test_a_registered_filler():
    """It fills like any other, a scalar blob too, and a field that it does not read is named."""
    with forgotten():
        @register_filler("rising", reads=["max"])
        def rising(values, p, rng):
            values[...] = np.linspace(0, p.max, values.size).reshape(values.shape)

        np.testing.assert_allclose([[0, 1], [2, 3]], filled((2, 2), type="rising", max=3))
        assert filled((), type="rising", max=3) == 0
        assert ["min"] == unread_fields(FillerParameter(type="rising", min=1, max=2))
        with pytest.raises(LayerError, match="filler 'rising' is registered twice: in .*test_filler and in"):
            register_filler("rising")(rising)
    with pytest.raises(LayerError, match="type must be one of .*, got 'rising'\n  hint: --import MODULE makes"):
        filled((2, 2), type="rising")


def test_a_registered_filler_may_read_sparse():
    """The error for a field that only the gaussian filler reads is for those that do not say they read it."""
    with forgotten():
        register_filler("dense", reads=["sparse"])(lambda values, p, rng: values.fill(p.sparse))
        assert (filled((2, 2), type="dense", sparse=7) == 7).all()
        register_filler("other")(lambda values, p, rng: values.fill(0))
        with pytest.raises(LayerError, match="sparse is read by the gaussian and dense filler alone, not by other"):
            filled((2, 2), type="other", sparse=7)


def test_a_field_that_no_filler_has():
    """A misspelt field in `reads` is found when the filler is registered."""
    with pytest.raises(LayerError, match="filler 'mine' says that it reads 'maxi', which FillerParameter does not"):
        register_filler("mine", ["maxi"])
