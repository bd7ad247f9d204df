"""Layers that are wrong on purpose: check_layer must notice each, and say what kind of mistake it is."""

import numpy as np
import pytest
from run_layer import filled, normal

from minicaffe.blob import Blob
from minicaffe.layer import Layer, LossLayer
from minicaffe.testing import GradientError, check_gradient, check_layer

N, D, K = 3, 7, 5


class Dense(Layer):
    """y = x · wᵀ + b, of zeros for weights, as a layer without a filler has them."""

    K = K

    def setup(self, bottom, top):
        self.add_blob((self.K, bottom[0].shape[1]))
        self.add_blob((self.K,))

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape[0], self.K)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data @ self.blobs[0].data.T + self.blobs[1].data

    def backward(self, top, propagate_down, bottom):
        w, b = self.blobs
        self.add(w, self.dw(bottom[0].data, top[0].diff))
        self.add(b, self.db(top[0].diff))
        if propagate_down[0]:
            bottom[0].diff[...] = self.dx(w.data, top[0].diff)

    def add(self, blob, gradient):
        blob.diff[...] += gradient

    def dw(self, x, dy):
        return dy.T @ x

    def db(self, dy):
        return dy.sum(axis=0)

    def dx(self, w, dy):
        return dy @ w


class Scaling(Layer):
    """y = s · x, a factor a column, of ones as Scale begins."""

    def setup(self, bottom, top):
        self.add_blob(bottom[0].shape[1:]).data[...] = 1

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = self.blobs[0].data * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += self.ds(bottom[0].data, top[0].diff)
        if propagate_down[0]:
            bottom[0].diff[...] = self.dx(self.blobs[0].data, top[0].diff)

    def ds(self, x, dy):
        return (dy * x).sum(axis=0)

    def dx(self, s, dy):
        return dy * s


class Distance(LossLayer):
    """L = Σ (x − t)² / 2N."""

    def reshape(self, bottom, top):
        top[0].reshape(())

    def forward(self, bottom, top):
        d = bottom[0].data - bottom[1].data
        top[0].data[...] = (d * d).sum() / 2 / len(d)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            d = bottom[0].data - bottom[1].data
            bottom[0].diff[...] = self.slope(d, float(top[0].diff))

    def slope(self, d, weight):
        return d * weight / len(d)


class Product(Layer):
    """y = a · b, of two bottoms."""

    bottoms = 2

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data * bottom[1].data

    def backward(self, top, propagate_down, bottom):
        for i in (0, 1):
            if propagate_down[i]:
                bottom[i].diff[...] = top[0].diff * bottom[1 - i].data


class Kernel(Layer):
    """y = Σ x · w over C × A × B, for each of K outputs: a convolution of one window."""

    def setup(self, bottom, top):
        self.add_blob((K, *bottom[0].shape[1:]))

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape[0], K)

    def forward(self, bottom, top):
        top[0].data[...] = np.einsum("ncab,kcab->nk", bottom[0].data, self.blobs[0].data)

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += self.dw(np.einsum("ncab,nk->kcab", bottom[0].data, top[0].diff))
        if propagate_down[0]:
            bottom[0].diff[...] = np.einsum("nk,kcab->ncab", top[0].diff, self.blobs[0].data)

    def dw(self, right):
        return right


def wrong(base, **methods):
    """A child of a right layer with some methods replaced."""
    return type(base)("Wrong", (base,), methods)


def overwrite(self, blob, gradient):
    blob.diff[...] = gradient


def add_samples(self, top, propagate_down, bottom):
    """The gradient of w as a sum over samples, of which each overwrites the one before."""
    for x, dy in zip(bottom[0].data, top[0].diff, strict=True):
        self.blobs[0].diff[...] = np.outer(dy, x)
    self.blobs[1].diff[...] += top[0].diff.sum(axis=0)
    if propagate_down[0]:
        bottom[0].diff[...] = self.dx(self.blobs[0].data, top[0].diff)


def add_to_bottom(self, top, propagate_down, bottom):
    if propagate_down[0]:
        bottom[0].diff[...] += top[0].diff * self.blobs[0].data
    self.blobs[0].diff[...] += self.ds(bottom[0].data, top[0].diff)


def centre_bottom(self, bottom, top):
    """A forward that takes the mean out of its bottom."""
    bottom[0].data[...] -= bottom[0].data.mean(axis=0)
    Scaling.forward(self, bottom, top)


def grow_weights(self, bottom, top):
    Scaling.forward(self, bottom, top)
    self.blobs[0].data[...] *= 1.1


def clear_diff(self, bottom, top):
    Scaling.forward(self, bottom, top)
    bottom[0].diff[...] = 0


def scale_top_diff(self, top, propagate_down, bottom):
    top[0].diff[...] *= self.blobs[0].data
    self.blobs[0].diff[...] += (top[0].diff / self.blobs[0].data * bottom[0].data).sum(axis=0)
    if propagate_down[0]:
        bottom[0].diff[...] = top[0].diff


def clear_top(self, top, propagate_down, bottom):
    Scaling.backward(self, top, propagate_down, bottom)
    top[0].data[...] = 0


def keep_bottom(self, bottom, top):
    self.x = {"now": [bottom[0].data[1:]]}
    Scaling.forward(self, bottom, top)


def every_other_pass(self, top, propagate_down, bottom):
    Scaling.backward(self, top, propagate_down, bottom)
    self.odd = not getattr(self, "odd", False)
    if propagate_down[0] and self.odd:
        bottom[0].diff[...] *= 2


def first_alone(self, top, propagate_down, bottom):
    if propagate_down[0]:
        bottom[0].diff[...] = top[0].diff * bottom[1].data


def second_from_first(self, top, propagate_down, bottom):
    """Of use only where both are asked for: the second gradient is made from the first."""
    first_alone(self, top, propagate_down, bottom)
    if propagate_down[1]:
        bottom[1].diff[...] = bottom[0].diff / bottom[1].data * bottom[0].data


BATCH = rf"N = {N} is size 0 of bottom\[0\] \({N}, {D}\)"
SIGN, FACTOR = r"is -1 times the right one: the sign is wrong$", "times the right one: a constant factor$"
MISSING = rf"is {N} times the right one: a constant factor: is 1/N missing\? {BATCH}"
TOO_OFTEN = rf"is 0.333333 times the right one: a constant factor: is it divided by N once too often\? {BATCH}"
UNREAD = "is not multiplied by the top's diff"
WRONG = {
    "dense, dx has the other sign": (wrong(Dense, dx=lambda self, w, dy: -dy @ w), r"bottom\[0\].*" + SIGN),
    "dense, dw has the other sign": (wrong(Dense, dw=lambda self, x, dy: -dy.T @ x), r"blobs\[0\].*" + SIGN),
    "dense, db has the other sign": (wrong(Dense, db=lambda self, dy: -dy.sum(axis=0)), r"blobs\[1\].*" + SIGN),
    "dense, dw is a mean": (wrong(Dense, dw=lambda self, x, dy: dy.T @ x / len(x)), r"blobs\[0\].*" + TOO_OFTEN),
    "dense, db is a mean": (wrong(Dense, db=lambda self, dy: dy.mean(axis=0)), r"blobs\[1\].*" + TOO_OFTEN),
    "dense, dw is some percent too large": (
        wrong(Dense, dw=lambda self, x, dy: 1.01 * dy.T @ x), r"blobs\[0\].*is 1.01 " + FACTOR),
    "dense, dw is laid out as (D, K)": (
        wrong(Dense, dw=lambda self, x, dy: (x.T @ dy).reshape(K, D)), r"blobs\[0\].* axes 0 and 1 are transposed"),
    "dense, dw is (K, D) of a (D, K)": (
        wrong(Dense, dw=lambda self, x, dy: (dy.T @ x).reshape(D, K).T), r"blobs\[0\].* axes 0 and 1 are transposed"),
    "square dense, dw is transposed": (
        wrong(Dense, K=D, dw=lambda self, x, dy: x.T @ dy), r"blobs\[0\].* axes 0 and 1 are transposed"),
    "large dense, dw is transposed": (
        wrong(Dense, K=90, dw=lambda self, x, dy: (x.T @ dy).reshape(90, D)),
        r"blobs\[0\].* axes 0 and 1 are transposed"),
    "dense, dx forgets the weights": (wrong(Dense, dx=lambda self, w, dy: np.ones((N, D))), r"bottom\[0\].*" + UNREAD),
    "dense, db is left out": (wrong(Dense, db=lambda self, dy: 0), r"blobs\[1\].*backward leaves it 0"),
    "dense, dx is left out": (wrong(Dense, dx=lambda self, w, dy: 0), r"bottom\[0\].*backward leaves it 0"),
    "dense, = for += ": (wrong(Dense, add=overwrite), r"overwrites the diff of blobs\[0\].*\(= where \+= belongs\)"),
    "dense, = for += over samples": (
        wrong(Dense, backward=add_samples), r"overwrites the diff of blobs\[0\].*\(= where \+= belongs\)"),
    "scaling, ds has the other sign": (
        wrong(Scaling, ds=lambda self, x, dy: -(dy * x).sum(axis=0)), r"blobs\[0\].*" + SIGN),
    "scaling, ds is a mean": (
        wrong(Scaling, ds=lambda self, x, dy: (dy * x).mean(axis=0)), r"blobs\[0\].*" + TOO_OFTEN),
    "scaling, ds forgets dy": (wrong(Scaling, ds=lambda self, x, dy: x.sum(axis=0)), r"blobs\[0\].*" + UNREAD),
    "scaling, dx forgets s": (wrong(Scaling, dx=lambda self, s, dy: dy), r"bottom\[0\].*is wrong in 21 of 21 places"),
    "scaling, dx divides by s": (wrong(Scaling, dx=lambda self, s, dy: dy / s), r"bottom\[0\].*is wrong in 21 of 21"),
    "scaling, += for =": (
        wrong(Scaling, backward=add_to_bottom), r"adds to the diff of bottom\[0\].*\(\+= where = belongs\)"),
    "loss, 1/N is missing": (wrong(Distance, slope=lambda self, d, weight: d * weight), MISSING),
    "loss, 1/N twice": (wrong(Distance, slope=lambda self, d, weight: d * weight / len(d) ** 2), TOO_OFTEN),
    "loss, divided by all values": (
        wrong(Distance, slope=lambda self, d, weight: d * weight / d.size),
        rf"is 0.142857 times .*divided by N once too often\? N = {D} is the values beside axis 0 of bottom\[0\]"),
    "loss, a factor 2": (wrong(Distance, slope=lambda self, d, weight: 2 * d * weight / len(d)), "is 2 " + FACTOR),
    "loss, the other sign": (wrong(Distance, slope=lambda self, d, weight: -d * weight / len(d)), SIGN),
    "loss, the other sign and no 1/N": (
        wrong(Distance, slope=lambda self, d, weight: -d * weight),
        r"is -3 times the right one: the sign is wrong and a constant factor: is 1/N missing\?"),
    "loss, loss_weight is left out": (wrong(Distance, slope=lambda self, d, weight: d / len(d)), UNREAD),
    "loss, nothing at all": (wrong(Distance, slope=lambda self, d, weight: 0), "backward leaves it 0"),
    "loss, the weight squared": (
        wrong(Distance, slope=lambda self, d, weight: d * weight ** 2 / len(d)), "it is not proportional to the tops"),
    "loss, the weight without its sign": (
        wrong(Distance, slope=lambda self, d, weight: d * abs(weight) / len(d)), "not proportional to the tops' diffs"),
    "scaling, forward changes its bottom": (
        wrong(Scaling, forward=centre_bottom), r"forward changes the data of bottom\[0\], which it may only read"),
    "scaling, forward changes a blob": (
        wrong(Scaling, forward=grow_weights), r"forward changes the data of blobs\[0\]"),
    "scaling, forward clears a diff": (wrong(Scaling, forward=clear_diff), r"forward changes the diff of bottom\[0\]"),
    "scaling, backward uses the top's diff as scratch": (
        wrong(Scaling, backward=scale_top_diff), r"backward changes the diff of top\[0\]"),
    "scaling, backward changes the top": (
        wrong(Scaling, backward=clear_top), r"backward changes the data of top\[0\]"),
    "scaling, a bottom is kept": (
        wrong(Scaling, forward=keep_bottom), r"self.x keeps the memory of bottom\[0\] between two calls"),
    "scaling, another dx every other pass": (
        wrong(Scaling, backward=every_other_pass), r"two passes with the same seed give bottom\[0\] different"),
    "product, one bottom alone": (
        wrong(Product, backward=first_alone), r"backward does not write the diff of bottom\[1\]"),
    "product, the second from the first": (
        wrong(Product, backward=second_from_first), r"gradient of bottom\[1\] is another one when bottom\[0\] is not"),
    "kernel, dw has its axes in another order": (
        wrong(Kernel, dw=lambda self, right: right.transpose(1, 2, 3, 0).reshape(right.shape)),
        r"blobs\[0\].* axes 0, 1, 2 and 3 are transposed"),
    "loss, NaN": (wrong(Distance, slope=lambda self, d, weight: d * np.nan), "in 21 of 21 .*backward says nan"),
}


def check(cls, **options):
    """check_layer on normal numbers; a loss gets targets."""
    shape = (N, D, 2, 3) if issubclass(cls, Kernel) else (N, D)
    bottom = [filled(normal(*shape, seed=i)) for i in range(cls.bottoms)]
    return check_layer(cls(dtype=np.float64), bottom, **options)


@pytest.mark.parametrize("right", [Dense, Scaling, Distance, Product, Kernel, wrong(Dense, K=D), wrong(Dense, K=90)])
def test_right_layers_pass(right):
    """A right layer passes, with weights of zeros and of ones, in small and in large blobs."""
    assert check(right) < 1e-6


@pytest.mark.parametrize("name", WRONG)
def test_wrong_layers_are_named(name):
    """A wrong layer fails, and the message says which blob is wrong and what kind of mistake it is."""
    layer, words = WRONG[name]
    with pytest.raises(AssertionError, match=words):
        check(layer)


def test_constant_blobs_come_back():
    """The random numbers that stand in for constant blobs are gone after a check, also after one that failed."""
    for name in ("dense, dx has the other sign", "scaling, dx forgets s"):
        base = WRONG[name][0]
        layer, bottom = base(dtype=np.float64), [filled(normal(N, D))]
        with pytest.raises(GradientError):
            check_layer(layer, bottom)

        for blob in layer.blobs:
            np.testing.assert_array_equal(blob.data, 1 if issubclass(base, Scaling) else 0)


def test_random_numbers_keep_the_sign_of_a_constant():
    """A blob of one positive number stays positive during the check, for a layer that takes its logarithm."""
    def forward(self, bottom, top):
        top[0].data[...] = np.log(self.blobs[0].data) * bottom[0].data

    logarithm = wrong(Scaling, forward=forward, ds=lambda self, x, dy: (dy * x).sum(axis=0) / self.blobs[0].data,
                      dx=lambda self, s, dy: dy * np.log(s))

    assert check(logarithm) < 1e-6


@pytest.mark.parametrize(("bottom", "words"), [
    (np.zeros((N, D)), r"blobs\[0\] \(5, 7\) was not checked: it is 0 in backward and in the difference quotient, in "
                       "all of 35 places"),
    (np.zeros((0, D)), r"bottom\[0\] \(0, 7\) was not checked: it has no element"),
])
def test_nothing_checked(bottom, words):
    """A gradient that is 0 on both sides, or has no elements, is no success: it would be so with any formula."""
    with pytest.raises(GradientError, match=words):
        check_layer(Dense(dtype=np.float64), [filled(bottom)])


def test_all_kinks():
    """A bottom that lies on a kink with all of its elements is not passed as checked."""
    with pytest.raises(GradientError, match=r"bottom\[0\] \(3, 7\) was not checked: it has no element away"):
        check_layer(Dense(dtype=np.float64), [filled(np.ones((N, D)))], kinks=[1])


def test_zeros():
    """A bottom on which no top depends is named in `zeros`; then its gradient must be 0, and backward must say so."""
    class First(Layer):
        bottoms = 2

        def reshape(self, bottom, top):
            top[0].reshape_like(bottom[0])

        def forward(self, bottom, top):
            top[0].data[...] = bottom[0].data

        def backward(self, top, propagate_down, bottom):
            for i, factor in enumerate((1, self.factor)):
                if propagate_down[i]:
                    bottom[i].diff[...] = top[0].diff * factor

    def check_with(factor, **options):
        layer = First(dtype=np.float64)
        layer.factor = factor
        return check_layer(layer, [filled(normal(N, D)), filled(normal(N, D, seed=1))], **options)

    assert check_with(0, zeros=[1]) < 1e-6
    with pytest.raises(GradientError, match=r"bottom\[1\] .* was not checked: it is 0"):
        check_with(0)
    with pytest.raises(GradientError, match=r"bottom\[1\] .* must be 0, for `zeros` names it"):
        check_with(0.5, zeros=[1])
    with pytest.raises(GradientError, match=r"bottom\[0\] .* must be 0, for `zeros` names it"):
        check_with(0, zeros=[0, 1])


def test_one_number_proves_no_factor():
    """Any wrong single number is the right one times a factor: only a sign and a count are named."""
    def loss(slope):
        layer = wrong(Distance, slope=slope)(dtype=np.float64)
        with pytest.raises(GradientError) as caught:
            check_layer(layer, [filled([[2.0]]), filled([[0.5]])])
        return str(caught.value)

    assert "times the right one" not in loss(lambda self, d, weight: 1.3 * d * weight)
    assert "the sign is wrong" in loss(lambda self, d, weight: -d * weight)


def test_random_numbers_of_ones_own():
    """Chance that no seed reaches is named as such, and not taken for a diff that is added to."""
    draw = np.random.default_rng(0)
    layer = wrong(Scaling, dx=lambda self, s, dy: dy * s * draw.random(dy.shape))
    with pytest.raises(AssertionError, match=r"two passes with the same seed give bottom\[0\] different gradients"):
        check(layer)


def test_one_of_two_unasked():
    """A layer that writes the second bottom's diff whenever it writes the first's is noticed."""
    class Sum(Layer):
        bottoms = 2

        def reshape(self, bottom, top):
            top[0].reshape_like(bottom[0])

        def forward(self, bottom, top):
            top[0].data[...] = bottom[0].data + bottom[1].data

        def backward(self, top, propagate_down, bottom):
            if any(propagate_down):
                for blob in bottom:
                    blob.diff[...] = top[0].diff

    with pytest.raises(AssertionError, match=r"wrote the diff of bottom\[0\] without being asked"):
        check_layer(Sum(dtype=np.float64), [filled(normal(N, D)), filled(normal(N, D, seed=1))])


def test_memory_that_bottom_and_top_share():
    """A layer whose top shares the bottom's diff neither adds to it nor writes it unasked."""
    class View(Layer):
        shares_data = True

        def reshape(self, bottom, top):
            top[0].reshape(bottom[0].count)
            top[0].share_data(bottom[0])
            top[0].share_diff(bottom[0])

        def forward(self, bottom, top):
            pass

        def backward(self, top, propagate_down, bottom):
            pass

    assert check_layer(View(dtype=np.float64), [filled(normal(N, D))]) < 1e-6


def test_check_gradient_replaces_constants_too():
    """check_gradient by itself sees a wrong layer whose weights are zeros."""
    layer = WRONG["dense, dx has the other sign"][0](dtype=np.float64)
    bottom, top = [filled(normal(N, D))], [Blob((), np.float64)]
    layer.SetUp(bottom, top)
    with pytest.raises(GradientError, match="the sign is wrong"):
        check_gradient(layer, bottom, top)
