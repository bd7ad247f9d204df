"""The checks of minicaffe.testing must fail where a layer is wrong, or they prove nothing."""

import numpy as np
import pytest
from run_layer import filled, normal

from minicaffe.blob import Blob
from minicaffe.layer import Layer
from minicaffe.layers.activation.relu import ReLULayer
from minicaffe.layers.common.inner_product import InnerProductLayer
from minicaffe.testing import GradientError, check_gradient, check_layer

SMALL, LARGE = (2, 7, 5), (5, 11, 13)  # every element is checked, or random directions


class CubeLayer(Layer):
    """y = w · x³ with one weight; right in all respects. Its children are wrong in one."""

    def setup(self, bottom, top):
        self.add_blob((1,)).data[...] = 2

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = self.blobs[0].data * bottom[0].data ** 3

    def backward(self, top, propagate_down, bottom):
        x, dy = bottom[0].data, top[0].diff
        self.blobs[0].diff[...] += self.dw(x, dy)
        if propagate_down[0]:
            bottom[0].diff[...] = self.dx(x, dy)

    def dx(self, x, dy):
        return dy * self.blobs[0].data * 3 * x ** 2

    def dw(self, x, dy):
        return (dy * x ** 3).sum()


class WrongFactor(CubeLayer):
    def dx(self, x, dy):
        return super().dx(x, dy) * 1.0001


class WrongSign(CubeLayer):
    def dx(self, x, dy):
        return -super().dx(x, dy)


class ForgetsTheWeight(CubeLayer):
    def dx(self, x, dy):
        return dy * 3 * x ** 2


class IgnoresTheTopDiff(CubeLayer):
    def dx(self, x, dy):
        return super().dx(x, np.ones_like(dy))


class OneElementWrong(CubeLayer):
    def dx(self, x, dy):
        dx = super().dx(x, dy)
        dx.flat[-1] += 0.1
        return dx


class NotANumber(CubeLayer):
    def dx(self, x, dy):
        dx = super().dx(x, dy)
        dx.flat[0] = np.nan
        return dx


class NoGradient(CubeLayer):
    def dx(self, x, dy):
        return 0


class WrongBlobGradient(CubeLayer):
    def dw(self, x, dy):
        return (dy * x ** 3).mean()


class Random(CubeLayer):
    """Draws from a generator that no seed reaches."""

    own = np.random.default_rng(1)

    def forward(self, bottom, top):
        super().forward(bottom, top)
        top[0].data[...] *= self.own.random(top[0].shape)


WRONG = [WrongFactor, WrongSign, ForgetsTheWeight, IgnoresTheTopDiff, OneElementWrong, NotANumber, NoGradient,
         WrongBlobGradient, Random]


def check(cls, shape, **options):
    """Check the gradient of a float64 layer on normal numbers."""
    layer = cls(dtype=np.float64)
    bottom, top = [filled(normal(*shape))], [Blob((), np.float64)]
    layer.SetUp(bottom, top)
    return check_gradient(layer, bottom, top, **options)


@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_right_layer_passes(shape):
    """A right gradient passes, element by element and along random directions."""
    assert check(CubeLayer, shape) < 1e-8


@pytest.mark.parametrize("shape", [SMALL, LARGE])
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_layer_fails(wrong, shape):
    """Each way to be wrong is noticed, in small and in large blobs."""
    with pytest.raises(GradientError, match="is wrong in"):
        check(wrong, shape)


def test_message_shows_both_numbers():
    """The error names the blob, the element, and both values."""
    class Doubled(CubeLayer):
        def dx(self, x, dy):
            return 2 * super().dx(x, dy)

    layer = Doubled(dtype=np.float64)
    bottom, top = [filled([3.0])], [Blob((), np.float64)]
    layer.SetUp(bottom, top)
    with pytest.raises(GradientError) as caught:
        check_gradient(layer, bottom, top)
    words = str(caught.value)

    assert "gradient of bottom[0] (1,) is wrong in 1 of 1 places, worst at element (0,)" in words
    backward, quotient = (float(words.split(f"{label} ")[-1].split(",")[0]) for label in ("says", "quotient"))
    assert backward == pytest.approx(2 * quotient)


def test_float32_is_refused():
    """Float32, in which no difference quotient is exact enough, is refused."""
    layer = CubeLayer()
    bottom, top = [filled(normal(*SMALL), np.float32)], [Blob()]
    layer.SetUp(bottom, top)
    with pytest.raises(TypeError, match="float64"):
        check_gradient(layer, bottom, top)


def test_parameters_and_bottoms_can_be_left_out():
    """Only what is asked for is checked."""
    check(WrongBlobGradient, SMALL, parameters=False)
    check(NoGradient, SMALL, bottoms=[])
    with pytest.raises(GradientError):
        check(WrongBlobGradient, SMALL, bottoms=[])


def test_kinks_are_skipped():
    """A ReLU at exactly 0 fails, unless 0 is declared a kink."""
    def relu(**options):
        layer = ReLULayer(dtype=np.float64)
        bottom, top = [filled([-1.5, 0, 2.5])], [Blob((), np.float64)]
        layer.SetUp(bottom, top)
        return check_gradient(layer, bottom, top, **options)

    assert relu(kinks=[0]) < 1e-8
    with pytest.raises(GradientError, match="worst at element \\(1,\\)"):
        relu()


def test_values_are_put_back():
    """A check leaves the bottoms and the blobs as they were."""
    layer = InnerProductLayer(dtype=np.float64, inner_product_param={"num_output": 4})
    bottom, top = [filled(normal(*SMALL))], [Blob((), np.float64)]
    layer.SetUp(bottom, top)
    layer.blobs[0].data[...] = normal(4, 35)
    before = [b.data.copy() for b in [*bottom, *layer.blobs]]
    check_gradient(layer, bottom, top)

    for want, blob in zip(before, [*bottom, *layer.blobs], strict=True):
        np.testing.assert_array_equal(blob.data, want)


# --- check_layer -----------------------------------------------------------------------------------


class AddsToTheBottom(CubeLayer):
    def backward(self, top, propagate_down, bottom):
        before = bottom[0].diff.copy()
        super().backward(top, propagate_down, bottom)
        bottom[0].diff[...] += before


class OverwritesTheBlob(CubeLayer):
    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff.fill(0)
        super().backward(top, propagate_down, bottom)


class WritesUnasked(CubeLayer):
    def backward(self, top, propagate_down, bottom):
        super().backward(top, [True], bottom)


class Grows(CubeLayer):
    """Its top becomes longer with each reshape."""

    def reshape(self, bottom, top):
        self.extra = getattr(self, "extra", -1) + 1
        top[0].reshape(bottom[0].count + self.extra)

    def forward(self, bottom, top):
        top[0].data[:bottom[0].count] = self.blobs[0].data * bottom[0].data.ravel() ** 3
        top[0].data[bottom[0].count:] = 0

    def backward(self, top, propagate_down, bottom):
        raise AssertionError("never reached")


def run_check_layer(cls):
    """check_layer on a float64 layer."""
    return check_layer(cls(dtype=np.float64), [filled(normal(*SMALL))])


def test_check_layer_passes():
    """A right layer passes the whole check."""
    assert run_check_layer(CubeLayer) < 1e-8


@pytest.mark.parametrize(("wrong", "words"), [
    (AddsToTheBottom, r"adds to the diff of bottom\[0\]"), (OverwritesTheBlob, r"overwrites the diff of blobs\[0\]"),
    (WritesUnasked, r"wrote the diff of bottom\[0\] without being asked"), (WrongSign, "is wrong in"),
    (Grows, r"second reshape gave tops \[\(71,\)\], the first \[\(70,\)\]")])
def test_check_layer_fails(wrong, words):
    """Each breach of the contract is named."""
    with pytest.raises(AssertionError, match=words):
        run_check_layer(wrong)
