"""The normalization family: layers that divide by a measured size."""

import itertools
import logging

import numpy as np
import pytest
from run_layer import filled, normal, run_backward, run_forward

from minicaffe import kernels
from minicaffe.errors import LayerError
from minicaffe.layers.normalization.batch_norm import BatchNormLayer
from minicaffe.layers.normalization.lrn import LRNLayer
from minicaffe.layers.normalization.mvn import MVNLayer
from minicaffe.layers.normalization.normalize import NormalizeLayer
from minicaffe.net import Net
from minicaffe.proto import TEST, TRAIN, LayerParameter, NetParameter, text
from minicaffe.testing import check_gradient, check_layer

SHAPE = (2, 7, 5, 3)


def make(cls, phase=0, dtype=np.float64, **param):
    """A layer with these fields in its own message."""
    return cls(dtype=dtype, phase=phase, **{cls.message: param})


@pytest.mark.parametrize("engine", kernels.available_engines())
@pytest.mark.parametrize("region", [0, 1])
def test_lrn_windows_beyond_the_blob(engine, region):
    """A window of billions sums what one sums that just covers the blob; alpha is divided by its own size."""
    before = kernels.engine()
    kernels.use_engine(engine)
    try:
        results = []
        for size in (2**32 - 1, 13):
            layer = make(LRNLayer, local_size=size, alpha=1e-3 * size ** (1 + region), norm_region=region)
            bottom, top = run_forward(layer, normal(*SHAPE))
            results.append((top[0].data.copy(), *run_backward(layer, bottom, top, normal(*SHAPE, seed=4))))
    finally:
        kernels.use_engine(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


# --- LRN -----------------------------------------------------------------------------------------


def lrn(x, axes, size, alpha, k, beta):
    """LRN by the kernel's definition."""
    y = np.empty_like(x)
    kernels.lrn.definition(x, axes, size, alpha, k, beta, None, y)
    return y


def test_lrn_by_hand():
    """Three channels of one pixel, n = 3, α = 3, β = 1, k = 1: y = x / (1 + the neighbours' squares)."""
    layer = make(LRNLayer, local_size=3, alpha=3, beta=1)
    bottom, top = run_forward(layer, np.array([1, 2, 3.]).reshape(1, 3, 1, 1))

    np.testing.assert_allclose(top[0].data.ravel(), [1 / 6, 2 / 15, 3 / 14], rtol=1e-14)
    # dy = (0, 1, 0): dx[1] = 1/15 − 2·2·2/15², dx[0] = −2·1·2/15², dx[2] = −2·3·2/15²
    dx, = run_backward(layer, bottom, top, np.array([0, 1, 0.]).reshape(1, 3, 1, 1))
    np.testing.assert_allclose(dx.ravel(), [-4 / 225, 7 / 225, -12 / 225], rtol=1e-14)


@pytest.mark.parametrize("n", [1, 3, 5, 11])
def test_lrn_across_channels(n):
    """The window runs over channels, k is honoured, and the border is cut off."""
    x = normal(2, 7, 3, 1)
    _, top = run_forward(make(LRNLayer, local_size=n, alpha=0.5, beta=0.6, k=2), x)

    np.testing.assert_allclose(top[0].data, lrn(x, [1], n, 0.5 / n, 2, float(np.float32(0.6))), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_lrn_within_channel(n):
    """The window is a square of one channel, divided by n² even at the border."""
    x = normal(2, 1, 5, 3)
    layer = make(LRNLayer, local_size=n, alpha=0.5, beta=0.75, norm_region="WITHIN_CHANNEL")

    np.testing.assert_allclose(run_forward(layer, x)[1][0].data, lrn(x, [2, 3], n, 0.5 / n**2, 1, 0.75), rtol=1e-12)


def test_lrn_within_channel_says_that_k_is_ignored(caplog):
    """k changes nothing within channels, as in Caffe, and a warning says so."""
    param = dict(local_size=3, norm_region="WITHIN_CHANNEL")
    _, plain = run_forward(make(LRNLayer, **param), normal(*SHAPE))
    with caplog.at_level(logging.WARNING, "minicaffe"):
        _, with_k = run_forward(make(LRNLayer, k=4, **param), normal(*SHAPE))

    assert np.array_equal(plain[0].data, with_k[0].data)
    assert "lrn_param.k has no effect: WITHIN_CHANNEL takes 1" in caplog.text


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
@pytest.mark.parametrize("n", [3, 9])
def test_lrn_gradient(region, n):
    """Backward is the derivative of forward in both regions, also for a window wider than the blob."""
    layer = make(LRNLayer, local_size=n, alpha=0.8, beta=0.75, norm_region=region)

    assert check_layer(layer, [filled(normal(*SHAPE))]) < 1e-6


def test_lrn_in_place():
    """In place gives the gradient that separate blobs give."""
    layers = [make(LRNLayer, alpha=0.8) for _ in range(2)]
    apart = run_forward(layers[0], normal(*SHAPE))
    placed = run_forward(layers[1], normal(*SHAPE), in_place=True)

    assert np.array_equal(apart[1][0].data, placed[1][0].data)
    dy = normal(*SHAPE, seed=1)
    np.testing.assert_array_equal(run_backward(layers[0], *apart, dy)[0], run_backward(layers[1], *placed, dy)[0])


def test_lrn_errors():
    """An even window and a blob without 4 axes are refused with what was seen."""
    with pytest.raises(LayerError, match=r"'LRN' \(LRN\): lrn_param\.local_size must be odd.*got 4"):
        run_forward(make(LRNLayer, local_size=4), normal(*SHAPE))
    with pytest.raises(LayerError, match=r"must have 4 axes \(N, C, H, W\), got 3: \(2, 7, 5\)"):
        run_forward(make(LRNLayer), normal(2, 7, 5))


# --- BatchNorm -----------------------------------------------------------------------------------


def test_batch_norm_by_hand():
    """Two channels of three values, normalized by their mean and √(variance), ε = 0."""
    layer = make(BatchNormLayer, eps=0)
    _, top = run_forward(layer, [[1, 10], [2, 10], [3, 40]])
    r = np.sqrt(1.5)  # 1 / √(2/3)

    np.testing.assert_allclose(top[0].data, [[-r, -np.sqrt(0.5)], [0, -np.sqrt(0.5)], [r, np.sqrt(2)]], atol=1e-14)


def test_batch_norm_statistics():
    """The blobs hold decaying sums of mean and unbiased variance, and how much they weigh in all."""
    layer = make(BatchNormLayer, moving_average_fraction=0.5)
    first, second = normal(*SHAPE), normal(*SHAPE, seed=1) * 3 + 2
    bottom, top = run_forward(layer, first)
    bottom[0].data[...] = second
    layer.Forward(bottom, top)

    mean, variance, factor = (b.data for b in layer.blobs)
    means, variances = ([f(v, axis=(0, 2, 3)) for v in (first, second)] for f in (np.mean, np.var))
    m = 2 * 5 * 3
    np.testing.assert_allclose(mean, 0.5 * means[0] + means[1], rtol=1e-12)
    np.testing.assert_allclose(variance, (0.5 * variances[0] + variances[1]) * m / (m - 1), rtol=1e-12)
    np.testing.assert_array_equal(factor, [1.5])


def test_batch_norm_single_value():
    """One value a channel has variance 0, which is remembered without a division by m − 1 = 0."""
    layer = make(BatchNormLayer)
    run_forward(layer, [[3, 4]])

    assert [b.data.tolist() for b in layer.blobs] == [[3, 4], [0, 0], [1]]


@pytest.mark.parametrize("options", [dict(phase=TEST), dict(use_global_stats=True)])
def test_batch_norm_global_statistics(options):
    """With global statistics the blobs, divided by their factor, are used and stay as they are."""
    layer = make(BatchNormLayer, eps=0.25, **options)
    bottom, top = run_forward(layer, normal(*SHAPE))
    np.testing.assert_allclose(top[0].data, bottom[0].data * 2, rtol=1e-12)  # as untrained
    kept = [normal(7), normal(7) ** 2, np.array([2.5])]
    for blob, values in zip(layer.blobs, kept, strict=True):
        blob.data[...] = values
    layer.Forward(bottom, top)

    per_channel = [v.reshape(7, 1, 1) / 2.5 for v in kept[:2]]
    want = (bottom[0].data - per_channel[0]) / np.sqrt(per_channel[1] + 0.25)
    np.testing.assert_allclose(top[0].data, want, rtol=1e-12)
    assert all(np.array_equal(v, b.data) for v, b in zip(kept, layer.blobs, strict=True))
    check_gradient(layer, bottom, top)


def test_batch_norm_use_global_stats_false_in_test():
    """use_global_stats: false measures the batch in TEST too."""
    layer = make(BatchNormLayer, phase=TEST, use_global_stats=False)
    _, top = run_forward(layer, normal(*SHAPE) + 5)

    np.testing.assert_allclose(top[0].data.mean(axis=(0, 2, 3)), 0, atol=1e-12)


@pytest.mark.parametrize("shape", [SHAPE, (5, 3), (11,), (2, 3, 7)])
def test_batch_norm_gradient(shape):
    """Backward is the derivative of forward for any number of axes; one axis is one channel."""
    layer = make(BatchNormLayer)

    assert check_layer(layer, [filled(normal(*shape))]) < 1e-6
    assert layer.blobs[0].shape == (shape[1] if len(shape) > 1 else 1,)


def test_batch_norm_in_place():
    """In place gives the same numbers, even when a later layer overwrites y before backward."""
    layers = [make(BatchNormLayer) for _ in range(2)]
    apart = run_forward(layers[0], normal(*SHAPE))
    placed = run_forward(layers[1], normal(*SHAPE), in_place=True)

    assert np.array_equal(apart[1][0].data, placed[1][0].data)
    placed[1][0].data.fill(0)
    dy = normal(*SHAPE, seed=1)
    np.testing.assert_array_equal(run_backward(layers[0], *apart, dy)[0], run_backward(layers[1], *placed, dy)[0])


def test_batch_norm_dx_sums_to_zero():
    """A constant added to a channel changes nothing, so its dx sums to 0, and so does dx · y for a factor."""
    layer = make(BatchNormLayer, eps=0)
    bottom, top = run_forward(layer, normal(*SHAPE))
    dx, = run_backward(layer, bottom, top, normal(*SHAPE, seed=1))

    np.testing.assert_allclose(dx.sum(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose((dx * top[0].data).sum(axis=(0, 2, 3)), 0, atol=1e-12)


def test_batch_norm_statistics_are_not_learnt():
    """All three blobs get lr_mult 0, once, and ask for no diff."""
    layer = make(BatchNormLayer)
    run_forward(layer, normal(*SHAPE))
    run_forward(make(BatchNormLayer), normal(*SHAPE))

    assert [spec.lr_mult for spec in layer.layer_param.param] == [0, 0, 0]
    assert not any(layer.param_propagate_down)


def test_batch_norm_in_a_net_leaves_the_definition_alone():
    """A net gives the statistics the learning rate 0, and does not write that into the definition it was made from."""
    definition = text.parse("""
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 dim: 3 } } }
        layer { name: "bn" type: "BatchNorm" bottom: "x" top: "x" }""", NetParameter())
    net = Net(definition, TRAIN)

    assert [p.lr_mult for p in net.learnable_params] == [0, 0, 0]
    assert not definition.layer[1].param


def test_batch_norm_errors():
    """A learning rate for statistics, a changed channel count and a scalar are refused with the numbers."""
    with pytest.raises(LayerError, match="param 1 has lr_mult 2,"):
        run_forward(BatchNormLayer(LayerParameter(param=[{"lr_mult": 0}, {"lr_mult": 2}])), normal(*SHAPE))
    layer = make(BatchNormLayer)
    bottom, top = run_forward(layer, normal(*SHAPE))
    bottom[0].reshape(2, 5, 7, 3)
    with pytest.raises(LayerError, match=r"\(2, 5, 7, 3\) has 5 channels, but the statistics are of 7"):
        layer.Forward(bottom, top)
    with pytest.raises(LayerError, match="at least one axis, got a scalar"):
        run_forward(make(BatchNormLayer), 3.0)


# --- MVN -----------------------------------------------------------------------------------------


def test_mvn_by_hand():
    """Values 1 and 3 have mean 2 and deviation 1; ε = 1 is added to the deviation, not to the variance."""
    _, top = run_forward(make(MVNLayer, eps=1), [[[[1, 3]]]])

    np.testing.assert_array_equal(top[0].data.ravel(), [-0.5, 0.5])


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("variance", [False, True])
def test_mvn_formula(across, variance):
    """Each group, a channel or an image, is normalized by itself, with the biased variance."""
    x = normal(*SHAPE) * 3 + 1
    layer = make(MVNLayer, across_channels=across, normalize_variance=variance, eps=0.5)
    y = run_forward(layer, x)[1][0].data

    for n, c in itertools.product(range(2), range(7)):
        group = x[n] if across else x[n, c]
        deviation = np.sqrt(((group - group.mean()) ** 2).sum() / group.size) + 0.5 if variance else 1
        np.testing.assert_allclose(y[n, c], (x[n, c] - group.mean()) / deviation, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("variance", [False, True])
def test_mvn_gradient(across, variance):
    """Backward is the derivative of forward, where ε is small against σ."""
    layer = make(MVNLayer, across_channels=across, normalize_variance=variance)

    assert check_layer(layer, [filled(normal(*SHAPE))]) < 1e-6


def test_mvn_gradient_takes_epsilon_as_small():
    """With a large ε the last term of dx lacks the factor (σ + ε) / σ, as in Caffe."""
    layer, dy = make(MVNLayer, eps=0.5), normal(1, 1, 5, 3, seed=1)
    bottom, top = run_forward(layer, normal(1, 1, 5, 3))
    dx, = run_backward(layer, bottom, top, dy)
    x, y = bottom[0].data, top[0].data
    std = np.sqrt(((x - x.mean()) ** 2).mean())

    np.testing.assert_allclose(dx, (dy - dy.mean() - y * (dy * y).mean()) / (std + 0.5), rtol=1e-12)


@pytest.mark.parametrize(("shape", "want"), [((), (1, 1, 1, 1)), ((5,), (5, 1, 1, 1)), ((2, 5), (2, 5, 1, 1)),
                                             ((2, 7, 5), (2, 7, 5, 1))])
def test_mvn_top_has_four_axes(shape, want):
    """Fewer axes are filled up with 1, in the top too."""
    layer = make(MVNLayer, across_channels=True)
    bottom, top = run_forward(layer, normal(*shape))
    run_backward(layer, bottom, top, np.ones(want))

    assert top[0].shape == want
    assert bottom[0].diff.shape == shape


@pytest.mark.parametrize("variance", [False, True])
def test_mvn_in_place(variance):
    """In place gives the same numbers, where Caffe's own gradient reads a diff that it has overwritten."""
    layers = [make(MVNLayer, normalize_variance=variance) for _ in range(2)]
    apart = run_forward(layers[0], normal(*SHAPE))
    placed = run_forward(layers[1], normal(*SHAPE), in_place=True)

    assert np.array_equal(apart[1][0].data, placed[1][0].data)
    dy = normal(*SHAPE, seed=1)
    np.testing.assert_array_equal(run_backward(layers[0], *apart, dy)[0], run_backward(layers[1], *placed, dy)[0])


def test_mvn_constant_image():
    """A group of equal values becomes 0, with finite gradients."""
    layer = make(MVNLayer)
    bottom, top = run_forward(layer, np.full(SHAPE, 3.0))
    dx, = run_backward(layer, bottom, top, normal(*SHAPE))

    assert not top[0].data.any()
    assert np.isfinite(dx).all()


def test_mvn_errors():
    """More than four axes are refused with the shape."""
    with pytest.raises(LayerError, match=r"at most 4 axes \(N, C, H, W\), got 5: \(2, 7, 5, 3, 4\)"):
        run_forward(make(MVNLayer), normal(2, 7, 5, 3, 4))


# --- Normalize -----------------------------------------------------------------------------------


def normalize(x, w, across_spatial, eps):
    """SSD's Normalize by its datasheet, one number at a time."""
    y = np.empty_like(x)
    for n, c, i, j in np.ndindex(*x.shape):
        vector = x[n] if across_spatial else x[n, :, i, j]
        y[n, c, i, j] = w[c if len(w) > 1 else 0] * x[n, c, i, j] / np.sqrt((vector ** 2).sum() + eps)
    return y


@pytest.mark.parametrize("across_spatial", [False, True])
@pytest.mark.parametrize("channel_shared", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_normalize(across_spatial, channel_shared, dtype):
    """The layer gives the naive numbers; w is a scalar, or one number for each channel."""
    x = normal(*SHAPE)
    layer = make(NormalizeLayer, dtype=dtype, across_spatial=across_spatial, channel_shared=channel_shared, eps=0.3,
                 scale_filler={"type": "uniform", "min": 1, "max": 3})
    _, (y,) = run_forward(layer, x)
    w, = layer.blobs

    assert w.shape == (() if channel_shared else (7,))
    want = normalize(x, w.data.reshape(-1).astype(float), across_spatial, np.float32(0.3))
    np.testing.assert_allclose(y.data, want, rtol=0, atol=1e-12 if dtype == np.float64 else 1e-6)


def test_normalize_by_hand():
    """The pixels (3, 4) and (0, 2), with the lengths 5 and 2, and channels that count 10 and 20 times."""
    layer = make(NormalizeLayer, across_spatial=False, channel_shared=False, eps=0)
    bottom, top = [filled([[[[3., 0]], [[4, 2]]]])], [filled(0.)]
    layer.SetUp(bottom, top)
    layer.blobs[0].data[...] = 10, 20
    layer.Forward(bottom, top)
    dx, = run_backward(layer, bottom, top, [[[[1, 0]], [[0, 0]]]])

    np.testing.assert_allclose(top[0].data, [[[[6, 0]], [[16, 20]]]], rtol=1e-14)
    np.testing.assert_allclose(dx, [[[[1.28, 0]], [[-0.96, 0]]]], rtol=1e-14)
    np.testing.assert_allclose(layer.blobs[0].diff, [0.6, 0], rtol=1e-14)


def test_normalize_does_not_see_the_size_of_its_input():
    """Without eps, ten times the input gives the same output; with w = 1 each pixel has the length 1."""
    outputs = [run_forward(make(NormalizeLayer, across_spatial=False, eps=0), factor * normal(*SHAPE))[1][0].data
               for factor in (1, 10)]

    np.testing.assert_allclose(*outputs, rtol=1e-12)
    np.testing.assert_allclose((outputs[0] ** 2).sum(axis=1), np.ones((2, 5, 3)), rtol=1e-12)


def faces(dtype=np.float64, **fields):
    """The Normalize of the forks for face recognition."""
    return NormalizeLayer(dtype=dtype, normalize_param=fields)


@pytest.mark.parametrize("kind", ["L2", "L1"])
def test_normalize_for_faces(kind):
    """It learns nothing; eps is 1e-6; a second top has the lengths; both tops have 4 axes."""
    x = normal(5, 7)
    layer = faces(normalize_type=kind)
    _, (y, r) = run_forward(layer, x, tops=2)
    length = np.sqrt((x ** 2).sum(axis=1) + 1e-6) if kind == "L2" else np.abs(x).sum(axis=1) + 1e-6

    assert not layer.blobs
    assert (y.shape, r.shape) == ((5, 7, 1, 1), (5, 1, 1, 1))
    np.testing.assert_allclose(r.data.ravel(), length, rtol=1e-12)
    np.testing.assert_allclose(y.data[..., 0, 0], x / length[:, None], rtol=1e-12)


def test_two_tops_mean_the_normalize_for_faces():
    """Only that one has a second top."""
    layer = NormalizeLayer(dtype=np.float64)
    _, tops = run_forward(layer, normal(*SHAPE), tops=2)

    assert not layer.blobs
    assert tops[1].shape == (2, 1, 5, 3)


@pytest.mark.parametrize("kind", ["L2", "L1"])
def test_normalize_for_faces_with_a_fixed_gradient(kind):
    """With fix_gradient the length counts as a constant, so dx = dy / r. Without bp_norm nothing comes from r."""
    layer, dy = faces(normalize_type=kind, fix_gradient=True), normal(*SHAPE, seed=2)
    bottom, top = run_forward(layer, normal(*SHAPE), tops=2)
    dx, = run_backward(layer, bottom, top, dy, normal(2, 1, 5, 3))

    np.testing.assert_allclose(dx, dy / top[1].data, rtol=1e-12)


@pytest.mark.parametrize("layer", [lambda: make(NormalizeLayer), faces])
def test_normalize_in_place(layer):
    """In place gives the same numbers, forward and backward."""
    layers, dy = [layer(), layer()], normal(*SHAPE, seed=1)
    apart = run_forward(layers[0], normal(*SHAPE))
    placed = run_forward(layers[1], normal(*SHAPE), in_place=True)

    np.testing.assert_array_equal(placed[1][0].data, apart[1][0].data)
    np.testing.assert_array_equal(run_backward(layers[1], *placed, dy)[0], run_backward(layers[0], *apart, dy)[0])


def test_normalize_errors():
    """One line for each."""
    with pytest.raises(LayerError, match=r"must have at least two axes \(N, C, ...\), got \(7,\)"):
        run_forward(make(NormalizeLayer), normal(7))
    with pytest.raises(LayerError, match=r"norm_param.eps must be at least 0, got -1"):
        run_forward(make(NormalizeLayer, eps=-1), normal(*SHAPE))
    with pytest.raises(LayerError, match='normalize_type must be "L2" or "L1", got \'L3\''):
        run_forward(faces(normalize_type="L3"), normal(*SHAPE))
    with pytest.raises(LayerError, match=r"has norm_param, which is SSD's, and normalize_param"):
        run_forward(NormalizeLayer(norm_param={"eps": 1}, normalize_param={}), normal(*SHAPE))
    with pytest.raises(LayerError, match=r"has norm_param, which is SSD's, and a second top"):
        run_forward(make(NormalizeLayer), normal(*SHAPE), tops=2)
    with pytest.raises(LayerError, match=r"at most 4 axes \(N, C, H, W\), got 5"):
        run_forward(faces(), normal(2, 7, 5, 3, 4))
    layer = make(NormalizeLayer, channel_shared=False)
    bottom, top = run_forward(layer, normal(*SHAPE))
    bottom[0].reshape((2, 3, 5, 7))
    with pytest.raises(LayerError, match=r"bottom\[0\] \(2, 3, 5, 7\) must have 7 channels, as at the set-up"):
        layer.Forward(bottom, top)


def test_normalize_without_effect(caplog):
    """An eps of 0, and a gradient of a top that is not there."""
    run_forward(make(NormalizeLayer, eps=0), normal(*SHAPE))
    run_forward(faces(bp_norm=True), normal(*SHAPE))

    assert "norm_param.eps is 0, so 0 is divided by 0 where a vector is all 0" in caplog.text
    assert "normalize_param.bp_norm has no effect: there is no second top" in caplog.text
