# %% [markdown]
# # Break a gradient
#
# A layer computes $y$ from $x$, and its backward pass says how the loss changes with $x$. Nothing forces the two to
# agree: a net with a wrong gradient runs, and often it even learns a little. Here we write a layer and break it in the
# ways in which layers are usually broken. We see how each fault is found.
#
# The layer is a bell curve:
#
# $$ y = e^{-x^2 / 2}, \qquad \frac{dy}{dx} = -x\, y, \qquad dx = dy \cdot (-x\, y) $$

# %%
import numpy as np

from minicaffe import Blob, Layer, Net
from minicaffe.proto import NetParameter
from minicaffe.proto.text import parse
from minicaffe.testing import GradientError, check_gradient, check_net


class BellLayer(Layer):
    """y = exp(−x² / 2)."""

    bottoms = tops = 1

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] = np.exp(-bottom[0].data ** 2 / 2)

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff * -bottom[0].data * top[0].data

# %% [markdown]
# ## The check by hand
#
# One number of $x$ goes up and down by a small $\varepsilon$, and the loss changes by
#
# $$ \frac{L(x + \varepsilon) - L(x - \varepsilon)}{2 \varepsilon} \approx \frac{\partial L}{\partial x}. $$
#
# This difference quotient needs the forward pass alone. So it does not share a mistake of the backward pass.
# The loss is a weighted sum of the outputs, $L = \sum r \cdot y$. Its diff is $dy = r$.

# %%
def blobs(layer, shape, seed=0):
    """Return a bottom with random numbers and a top, set up for a layer."""
    bottom, top = Blob(shape, np.float64), Blob((), np.float64)
    bottom.data[...] = np.random.default_rng(seed).standard_normal(shape)
    layer.SetUp([bottom], [top])
    return [bottom], [top]


layer = BellLayer(dtype=np.float64)
bottom, top = blobs(layer, (2, 3))
r = np.random.default_rng(1).standard_normal((2, 3))
layer.Forward(bottom, top)
top[0].diff[...] = r
layer.Backward(top, [True], bottom)
print("backward:\n", bottom[0].diff.round(6))

eps, quotient = 1e-5, np.zeros((2, 3))
for place in np.ndindex(2, 3):
    for sign in (1, -1):
        bottom[0].data[place] += sign * eps
        layer.Forward(bottom, top)
        quotient[place] += sign * (r * top[0].data).sum() / (2 * eps)
        bottom[0].data[place] -= sign * eps
print("quotient:\n", quotient.round(6))
#> backward:
#>  [[-0.043108  0.107597 -0.172383]
#>  [ 0.135951  0.420153 -0.151192]]
#> quotient:
#>  [[-0.043108  0.107597 -0.172383]
#>  [ 0.135951  0.420153 -0.151192]]

# %% [markdown]
# `check_gradient` does this for all bottoms and weights of a layer. It returns the largest error.

# %%
print("right:", check_gradient(layer, bottom, top) < 1e-8)
#> right: True

# %% [markdown]
# ## A wrong sign
#
# The minus is forgotten. A net with this layer climbs where it should go down.

# %%
class WrongSign(BellLayer):
    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff * bottom[0].data * top[0].data


def verdict(kind, shape=(3, 4)):
    """Print what the check says of a class of layers, each part of the message on a line of its own."""
    layer = kind(dtype=np.float64)
    try:
        check_gradient(layer, *blobs(layer, shape))
        print("the check finds nothing")
    except GradientError as error:
        print(str(error).replace(", worst", ",\n  worst").replace("; ", ";\n  "))


verdict(WrongSign)
#> <WrongSign ''>: the gradient of bottom[0] (3, 4) is wrong in 12 of 12 places,
#>   worst at element (1, 2): backward says 0.840342749, the difference quotient -0.840342749;
#>   it is -1 times the right one: the sign is wrong

# %% [markdown]
# All numbers are minus the right ones, so the message can name the mistake. One wrong number would tell less: it could
# be anything.
#
# ## Other ways to be wrong
#
# A factor that is left out, the top's diff that is forgotten, and a slope that is taken of the wrong number:

# %%
class WrongFactor(BellLayer):
    def backward(self, top, propagate_down, bottom):  # as if y were exp(−x²)
        bottom[0].diff[...] = top[0].diff * -2 * bottom[0].data * top[0].data


class WithoutTheTop(BellLayer):
    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = -bottom[0].data * top[0].data


class WrongPlace(BellLayer):
    def backward(self, top, propagate_down, bottom):  # y where x should stand
        bottom[0].diff[...] = top[0].diff * -top[0].data * top[0].data


for kind in (WrongFactor, WithoutTheTop, WrongPlace):
    verdict(kind)
#> <WrongFactor ''>: the gradient of bottom[0] (3, 4) is wrong in 12 of 12 places,
#>   worst at element (1, 2): backward says -1.6806855, the difference quotient -0.840342749;
#>   it is 2 times the right one: a constant factor
#> <WithoutTheTop ''>: the gradient of bottom[0] (3, 4) is wrong in 12 of 12 places,
#>   worst at element (1, 3): backward says -0.604803377, the difference quotient 0.740580806;
#>   it is not multiplied by the top's diff, as it must be (for a loss: by loss_weight)
#> <WrongPlace ''>: the gradient of bottom[0] (3, 4) is wrong in 12 of 12 places,
#>   worst at element (2, 0): backward says -0.747737624, the difference quotient 0.674061066

# %% [markdown]
# ## What must not be symmetric
#
# This layer turns a matrix, $y = x^T$. It has a mistake: it hands the diff back as it lies in memory, without turning
# it. With one row of numbers this makes no difference, and the check passes. So a check needs sizes above 1, and no
# two of them should be equal.

# %%
class Turn(Layer):
    bottoms = tops = 1

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape[::-1])

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data.T

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff.reshape(bottom[0].shape)


verdict(Turn, (1, 4))
verdict(Turn, (3, 4))
#> the check finds nothing
#> <Turn ''>: the gradient of bottom[0] (3, 4) is wrong in 10 of 12 places,
#>   worst at element (1, 2): backward says 1.50806312, the difference quotient -1.22449846;
#>   its axes 0 and 1 are transposed

# %% [markdown]
# ## The fault in a net
#
# In a net, a wrong layer spoils the diffs of all layers before it. `check_net` looks at the layers in the order of a
# backward pass. The first wrong one is to blame, and what follows from it is not counted as wrong.
#
# A net names a class of this notebook as a Python layer of the module `__main__`. For a file,
# `minicaffe check net.prototxt` does the same.

# %%
TEXT = """
  layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }
  layer { name: "target" type: "Input" top: "t" input_param { shape { dim: 4 dim: 2 } } }
  layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "a"
          inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
  layer { name: "bell" type: "Python" bottom: "a" top: "b"
          python_param { module: "__main__" layer: "CLASS" } }
  layer { name: "ip2" type: "InnerProduct" bottom: "b" top: "c"
          inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "c" bottom: "t" top: "loss" }"""

for kind in ("BellLayer", "WrongSign"):
    net = Net(parse(TEXT.replace("CLASS", kind), NetParameter()))
    try:
        report = check_net(net)
        print(f"{kind}: {report.count('right')} gradients are right")
    except GradientError as error:
        print(f"{kind}:", str(error)[:str(error).index(" is wrong")], "is wrong")
#> BellLayer: 7 gradients are right
#> WrongSign: layer 'bell' (Python): the gradient of bottom[0] a (4, 5) is wrong

# %% [markdown]
# ## What no check of gradients finds
#
# Here the forward pass has a mistake, and the backward pass has the same one: both are those of $e^{-x^2}$. The layer
# is not the one that we wanted, but its gradient is right. Only a number that comes from elsewhere can tell, such as
# one computed by hand. At $x = 1$, $y$ must be $e^{-1/2} = 0.6065$.

# %%
class AnotherBell(BellLayer):
    def forward(self, bottom, top):
        top[0].data[...] = np.exp(-bottom[0].data ** 2)

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff * -2 * bottom[0].data * top[0].data


verdict(AnotherBell)
layer = AnotherBell(dtype=np.float64)
bottom, top = blobs(layer, (1,))
bottom[0].data[...] = 1
layer.Forward(bottom, top)
print(f"y(1) = {top[0].data[0]:.4f}")
#> the check finds nothing
#> y(1) = 0.3679

# %% [markdown]
# ## Go on
#
# - `docs/maths/backpropagation.md` says why a difference quotient must agree with the backward pass.
# - `minicaffe course start 3`: write the check yourself.
# - `minicaffe course bug` has nets with a planted fault. Find them.
