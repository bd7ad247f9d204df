# %% [markdown]
# # BatchNorm: statistics in TRAIN and TEST
#
# BatchNorm gives each channel the mean 0 and the variance 1. In the phase TRAIN it measures both on the batch. In TEST
# it takes what it remembers of the training. Where the two are mixed up, a net learns well and then answers badly.
# The letters are those of `minicaffe explain BatchNorm`.
#
# First a helper: it makes a layer for a phase.

# %%
import numpy as np

from minicaffe import TEST, TRAIN, Blob
from minicaffe.layers import BatchNormLayer
from minicaffe.testing import GradientError, check_gradient


def made(phase, shape, **fields):
    """Return a layer with its bottom and top, in float64."""
    layer = BatchNormLayer(batch_norm_param=fields, phase=phase, dtype=np.float64)
    bottom, top = Blob(shape, np.float64), Blob((), np.float64)
    layer.SetUp([bottom], [top])
    return layer, bottom, top

# %% [markdown]
# The images are random. Their three channels have different means and spreads:

# %%
draw = np.random.default_rng(3)
spread, middle = np.array([2.0, 0.5, 1.0]), np.array([5.0, -1.0, 0.0])  # of three channels


def batch(N):
    """Return N images of three channels and 4×5 pixels."""
    return middle[:, None, None] + spread[:, None, None] * draw.standard_normal((N, 3, 4, 5))


x = batch(6)
print("means      ", x.mean(axis=(0, 2, 3)).round(3))
print("variances  ", x.var(axis=(0, 2, 3)).round(3))
#> means       [ 5.034 -0.996  0.077]
#> variances   [4.276 0.237 1.085]

# %% [markdown]
# ## TRAIN: measured on the batch
#
# A channel has $m$ values in the batch: here $6 \cdot 4 \cdot 5 = 120$. With sums over these,
#
# $$ \mu = \frac1m \sum x, \qquad v = \frac1m \sum (x - \mu)^2, \qquad
#    y = \hat x = \frac{x - \mu}{\sqrt{v + \varepsilon}}. $$

# %%
layer, bottom, top = made(TRAIN, (6, 3, 4, 5))
bottom.data[...] = x
layer.Forward([bottom], [top])

axes, m = (0, 2, 3), 120
mu, v = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
std = np.sqrt(v + 1e-5)  # 1e-5 is the default of eps
print("ours and the layer's agree:", np.allclose(top.data, (x - mu) / std))
print("means of y    ", np.abs(top.data.mean(axes)).round(3))
print("variances of y", top.data.var(axes).round(3))
#> ours and the layer's agree: True
#> means of y     [0. 0. 0.]
#> variances of y [1. 1. 1.]

# %% [markdown]
# An image is no longer judged alone: its output depends on the rest of the batch. Change the last image, and the output
# of the first one changes.

# %%
before = top.data[0, 0, 0, 0]
bottom.data[5] += 10
layer.Forward([bottom], [top])
print(f"first pixel of the first image: {before:.4f}, then {top.data[0, 0, 0, 0]:.4f}")
#> first pixel of the first image: 1.9574, then 0.5766

# %% [markdown]
# ## What is remembered
#
# Three blobs remember what was measured. The solver leaves them alone; the forward pass changes them in TRAIN:
#
# $$ \text{mean} \leftarrow \lambda\, \text{mean} + \mu, \qquad
#    \text{variance} \leftarrow \lambda\, \text{variance} + \frac{m}{m - 1} v, \qquad
#    \text{factor} \leftarrow \lambda\, \text{factor} + 1 $$
#
# $\lambda$ is `moving_average_fraction`, 0.999 unless it is set. The first two are sums; divided by `factor` they are
# means. A program that reads `mean` from a caffemodel and forgets to divide is wrong by a large factor.

# %%
layer, bottom, top = made(TRAIN, (6, 3, 4, 5), moving_average_fraction=0.9)
sums = np.zeros(3)
for count in range(1, 41):
    bottom.data[...] = batch(6)
    layer.Forward([bottom], [top])
    sums = 0.9 * sums + bottom.data.mean(axes)
    if count in (1, 5, 40):
        mean, variance, factor = (blob.data for blob in layer.blobs)
        print(f"{count:2} batches: factor {factor[0]:.4f}, mean {mean.round(2)}, divided {(mean / factor).round(2)}")
print("ours and the layer's agree:", np.allclose(mean, sums))
#>  1 batches: factor 1.0000, mean [ 5.24 -0.97  0.09], divided [ 5.24 -0.97  0.09]
#>  5 batches: factor 4.0951, mean [21.02 -4.14  0.25], divided [ 5.13 -1.01  0.06]
#> 40 batches: factor 9.8522, mean [50.6  -9.9  -0.31], divided [ 5.14 -1.   -0.03]
#> ours and the layer's agree: True

# %% [markdown]
# ## TEST: taken from memory
#
# Now $\mu$ and $v$ are mean / factor and variance / factor. They are constants: each image is judged alone, and no blob
# changes.

# %%
judge, one, answer = made(TEST, (1, 3, 4, 5))
for kept, blob in zip(layer.blobs, judge.blobs, strict=True):
    blob.data[...] = kept.data
one.data[...] = batch(1)
judge.Forward([one], [answer])
mu, v = ((blob.data / layer.blobs[2].data)[:, None, None] for blob in layer.blobs[:2])
print("ours and the layer's agree:", np.allclose(answer.data, (one.data - mu) / np.sqrt(v + 1e-5)))
print("means of y    ", answer.data.mean(axes).round(3))
print("variances of y", answer.data.var(axes).round(3))
#> ours and the layer's agree: True
#> means of y     [ 0.123 -0.01   0.022]
#> variances of y [1.102 1.234 0.418]

# %% [markdown]
# The mean of a single image need not be 0, nor the variance 1. The same image in TRAIN would be normalized by itself:
# what made it brighter or darker than others would be lost. This is the fault "statistics at the wrong phase".

# %%
alone, same, other = made(TRAIN, (1, 3, 4, 5))
bright = one.data + 4
for name, (each, b, t) in {"TEST ": (judge, one, answer), "TRAIN": (alone, same, other)}.items():
    outputs = []
    for image in (bright - 4, bright):
        b.data[...] = image
        each.Forward([b], [t])
        outputs.append(t.data.mean(axes))
    print(f"{name} a brighter image has outputs higher by", np.abs(outputs[1] - outputs[0]).round(3))
#> TEST  a brighter image has outputs higher by [2.009 8.14  4.043]
#> TRAIN a brighter image has outputs higher by [0. 0. 0.]

# %% [markdown]
# ## The gradient in TRAIN
#
# $\mu$ and $v$ depend on every $x$, so a slope goes three ways: through $x$ itself, through $\mu$ and through $v$.
#
# $$ dx = \frac{1}{\sqrt{v + \varepsilon}} \Bigl( dy - \frac1m \sum dy - \hat x\, \frac1m \sum dy\, \hat x \Bigr) $$
#
# It takes from $dy$ its mean and its part along $\hat x$, because a shift or a stretch of the channel changes nothing.

# %%
layer, bottom, top = made(TRAIN, (6, 3, 4, 5))
bottom.data[...] = x = batch(6)
layer.Forward([bottom], [top])
top.diff[...] = dy = draw.standard_normal(x.shape)
layer.Backward([top], [True], [bottom])

x_hat, std = top.data, np.sqrt(x.var(axes, keepdims=True) + 1e-5)
dx = (dy - dy.mean(axes, keepdims=True) - x_hat * (dy * x_hat).mean(axes, keepdims=True)) / std
print("ours and the layer's agree:", np.allclose(bottom.diff, dx))
print("sum of dx in each channel:    ", np.abs(dx.sum(axes)).round(6))
print("sum of dx · x̂ in each channel:", np.abs((dx * x_hat).sum(axes)).round(3))
print("right by difference quotients:", check_gradient(layer, [bottom], [top]) < 1e-6)
#> ours and the layer's agree: True
#> sum of dx in each channel:     [0. 0. 0.]
#> sum of dx · x̂ in each channel: [0. 0. 0.]
#> right by difference quotients: True

# %% [markdown]
# ## A mistake
#
# Who takes $\mu$ and $v$ for constants, as they are in TEST, writes $dx = dy / \sqrt{v + \varepsilon}$.
# In TRAIN this is wrong, and the check says so:

# %%
class TakenForConstants(BatchNormLayer):
    def backward(self, top, propagate_down, bottom):
        std = np.sqrt(bottom[0].data.var(axes, keepdims=True) + self.eps)
        bottom[0].diff[...] = top[0].diff / std


wrong = TakenForConstants(dtype=np.float64)
bottom, top = Blob((2, 3, 1, 2), np.float64), Blob((), np.float64)
bottom.data[...] = draw.standard_normal((2, 3, 1, 2))
wrong.SetUp([bottom], [top])
try:
    check_gradient(wrong, [bottom], [top])
except GradientError as error:
    print("the gradient", str(error).split("(2, 3, 1, 2) ")[1].split(", worst")[0])

judge, one, answer = made(TEST, (2, 3, 1, 2), use_global_stats=True)
for blob in judge.blobs:
    blob.data[...] = 2
one.data[...] = bottom.data
print("in TEST it is dy / √(v + ε), and the check agrees:", check_gradient(judge, [one], [answer]) < 1e-6)
#> the gradient is wrong in 12 of 12 places
#> in TEST it is dy / √(v + ε), and the check agrees: True

# %% [markdown]
# ## Go on
#
# - In Caffe a Scale layer with `bias_term: true` usually follows. It learns a factor and a shift for each channel.
# - `docs/maths/normalization.md` derives the gradient.
# - The layer's file is `minicaffe/layers/normalization/batch_norm.py`.
# - `minicaffe course start 16`: write it yourself.
