"""Calls in place that become steps of the call before them: the bits are those of the calls one by one."""

import numpy as np
import pytest

from minicaffe import kernels
from minicaffe.kernels import recording

pytest.importorskip("numba", reason="needs the package 'numba': pip install 'minicaffe[fast]'")

from minicaffe.kernels.numba_engine import epilogue, task
from minicaffe.kernels.numba_engine.registers import MASKS, VECTOR

pytestmark = pytest.mark.skipif(not MASKS, reason="without masked vectors numpy computes the products")

CONVOLUTIONS = {  # shape of x, that of w, pad, group
    "rows": ((2, 3, 9, 21), (5, 3, 3, 2), (1, 0), 1),
    "short rows": ((3, 4, 8, 5), (6, 2, 2, 1), (1, 0), 2),
    "planes": ((2, 3, 5, VECTOR + 1), (4, 3, 3, 3), (0, 1), 1),
    "packed": ((2, 3, 16, 48), (17, 3, 1, 1), (0, 0), 1),
    "thin": ((2, 3, 6, 7), (3, 1, 5, 2), (2, 0), 3),
    "depthwise": ((2, 5, 7, 11), (5, 1, 3, 3), (1, 1), 5),
    "interleaved": ((2 * VECTOR, 3, 6, 7), (5, 3, 2, 3), (1, 0), 1),
}
draw = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _numba():
    kernels.use_engine("numba")


def numbers(*shape):
    """Random numbers, some of which are −0."""
    values = draw.standard_normal(shape).astype(np.float32)
    values[values < -1.5] = -0.0
    return values


def convolution(name):
    """A call that writes y, and y."""
    shape, filters, pad, group = CONVOLUTIONS[name]
    x, w, b = numbers(*shape), numbers(*filters), numbers(filters[0])
    sizes = (n + 2 * p - k + 1 for n, p, k in zip(shape[2:], pad, filters[2:], strict=True))
    y = np.empty((shape[0], filters[0], *sizes), np.float32)
    return lambda: kernels.correlate(x, w, b, (1, 1), pad, (1, 1), group, y), y


def check(body, y, calls):
    """Record the calls, run them joined, and compare y to what they wrote one by one; so many calls are left."""
    with recording.recording() as made:
        body()
    want = y.copy()
    y.fill(7)
    made.as_function()()
    left = epilogue.joined(made.calls, {one.compiled.address: one.fusing for one in task.tasks if one.is_compiled})

    assert want.tobytes() == y.tobytes()
    assert calls == len(left)


def steps(y):
    """Every kind of step, on channels of y."""
    a, s, b = (numbers(y.shape[1]) for _ in range(3))
    positive = np.empty(y.shape, bool)
    kernels.normalize_channels(y, a, s, y)
    kernels.relu(y, 0.25, positive, y)
    kernels.scale_channels(y, s, b, 1, y)
    kernels.prelu(y, a, y)
    kernels.add_bias(y, b, 1, y)
    kernels.relu(y, 0.0, None, y)


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_convolution_does_the_steps(name, threads):
    """Each piece of a correlation does all steps on its part, whichever way the correlation is computed."""
    kernels.set_threads(threads)
    run, y = convolution(name)
    with recording.recording() as alone:
        run()
    check(lambda: [run(), steps(y)], y, len(alone.calls))


@pytest.mark.parametrize(("M", "N", "D", "turned"), [(1, 37, 50, True), (5, 23, 40, True), (7, 30, 11, False)])
def test_a_product_does_the_steps(M, N, D, turned):
    """Bias and ReLU of an inner product of one row and of several, with b in either order."""
    a, b, y = numbers(M, D), numbers(N, D).T if turned else numbers(D, N), np.empty((M, N), np.float32)
    check(lambda: [kernels.matmul(a, b, y), steps(y)], y, 1)


@pytest.mark.parametrize("name", ["add_all", "weighted_sum", "max_pool"])
def test_number_by_number(name):
    """Sums of arrays and pooling know no channels. They do ReLU, and leave a step with channels to its own call."""
    x, bias = numbers(2, 3, 8, 6), numbers(3)
    y = np.empty((2, 3, 4, 3) if name == "max_pool" else x.shape, np.float32)
    run = {"add_all": lambda: kernels.add_all([x, x, x], y),
           "weighted_sum": lambda: kernels.weighted_sum([x, x], [0.5, -2.0], y),
           "max_pool": lambda: kernels.max_pool(x, (2, 2), (2, 2), (0, 0), y, None)}[name]
    check(lambda: [run(), kernels.relu(y, 0.0, None, y)], y, 1)
    check(lambda: [run(), kernels.add_bias(y, bias, 1, y)], y, 2)


@pytest.mark.parametrize("name", ["elsewhere", "a part", "another axis", "by itself", "read between"])
def test_what_is_left_alone(name):
    """No step: a call out of place, of a part of y, of other channels, with factors out of y, or behind a reader."""
    run, y = convolution("interleaved")
    other, part, of_y = np.empty_like(y), y[:1], y.reshape(-1)[:y.shape[1]]
    row = numbers(y.shape[-1])
    body = {"elsewhere": lambda: kernels.relu(y, 0.0, None, other),
            "a part": lambda: kernels.relu(part, 0.0, None, part),
            "another axis": lambda: kernels.add_bias(y, row, 3, y),
            "by itself": lambda: kernels.scale_channels(y, of_y, None, 1, y),
            "read between": lambda: [kernels.multiply(y, y, other), kernels.relu(y, 0.0, None, y)]}[name]
    with recording.recording() as alone:
        run()
        body()
    check(lambda: [run(), body()], y, len(alone.calls))


def test_statistics_are_prepared_before():
    """BatchNorm computes μ and 1/σ before the convolution begins, but not if another step still needs their memory."""
    run, y = convolution("depthwise")
    mean, variance = numbers(5), numbers(5) ** 2
    mu, inverse_std, factor = np.empty(5, np.float32), np.empty(5, np.float32), np.full(1, 3, np.float32)

    def normalize(mean):
        kernels.global_stats(mean, variance, factor, 1e-5, mu, inverse_std)
        kernels.normalize_channels(y, mu, inverse_std, y)

    check(lambda: [run(), normalize(mean), kernels.relu(y, 0.0, None, y)], y, 2)
    check(lambda: [run(), normalize(mean), normalize(variance)], y, 4)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_relu_of_special_numbers(alpha):
    """In place or not, ReLU keeps NaN and ∞, and makes −∞ and −0 what its definition does."""
    x = np.resize(np.array([-np.inf, np.nan, -0.0, 0.0, np.inf, -2.0, 3.0, -3e38, 1e-45], np.float32), 5 * VECTOR + 3)
    want, elsewhere, y = np.empty_like(x), np.empty_like(x), x.copy()
    kernels.relu.definition(x, alpha, None, want)
    kernels.relu(x, alpha, None, elsewhere)
    kernels.relu(y, alpha, None, y)

    np.testing.assert_array_equal(want, elsewhere)
    assert elsewhere.tobytes() == y.tobytes()
