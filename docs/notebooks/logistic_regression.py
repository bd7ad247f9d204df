# %% [markdown]
# # Logistic regression, from the formula to the layer
#
# This project began with one page: the sigmoid, the cross entropy, and why Caffe computes the two in one layer.
# The notebook goes the same way with 100 flowers. Each formula becomes a line of numpy, and each number is compared
# with the one of a layer. The letters are those of `minicaffe explain SigmoidCrossEntropyLoss`:
#
# | here | on many other pages | |
# |---|---|---|
# | $x$ | $\theta^T x$ | a score, any number |
# | $p = \sigma(x)$ | $h_\theta(x)$ | the probability of a yes |
# | $t$ | $y$ | the target, 1 for yes and 0 for no |
# | $l$, $L$ | $J$ | what one answer costs; the loss of a batch |

# %%
import sys

import numpy as np

from minicaffe import Blob
from minicaffe.layers import InnerProductLayer, SigmoidCrossEntropyLossLayer
from minicaffe.proto import SolverParameter
from minicaffe.solvers import get_solver

sys.path.append("../../examples/logistic_regression")  # iris.py, which reads iris.csv
from iris import read_table

cm, t = read_table()
F = (cm - cm.mean(axis=0)) / cm.std(axis=0)  # the four features, each with mean 0 and variance 1
N = len(t)
print("features", F.shape, " targets", t.shape, " yes:", int(t.sum()))
#> features (100, 4)  targets (100,)  yes: 50

# %% [markdown]
# ## From a score to a cost
#
# A score $x$ becomes a probability $p = \sigma(x) = 1 / (1 + e^{-x})$.
# The likelihood of a target is $p$ where $t = 1$, and $1 - p$ where $t = 0$.
# In one formula it is $p^t (1 - p)^{1 - t}$.
# The cost is its logarithm with the sign changed:
#
# $$ l = -t \log p - (1 - t) \log(1 - p) $$
#
# A good answer costs little. A bad one costs about as much as its score is large.

# %%
def sigma(x):
    return 1 / (1 + np.exp(-x))


def cost(x, t):
    p = sigma(x)
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


for x in (-4.0, 0.0, 4.0):
    print(f"x = {x:4.1f}   p = {sigma(x):.4f}   cost of t = 1: {cost(x, 1):.4f}   of t = 0: {cost(x, 0):.4f}")
#> x = -4.0   p = 0.0180   cost of t = 1: 4.0181   of t = 0: 0.0181
#> x =  0.0   p = 0.5000   cost of t = 1: 0.6931   of t = 0: 0.6931
#> x =  4.0   p = 0.9820   cost of t = 1: 0.0181   of t = 0: 4.0181

# %% [markdown]
# ## Where the formula fails
#
# The maths is right for every $x$. The program is not: above a score of about 37, the float64 number $p$ is exactly 1,
# so $\log(1 - p)$ is $-\infty$. And a right answer then costs $0 \cdot \infty$, which is no number at all.
# At $x = 30$ the cost should be 30, but the digits of $1 - p$ are nearly all lost.

# %%
with np.errstate(all="ignore"):
    for x in (30.0, 40.0, -800.0):
        print(f"x = {x:6.1f}   cost of t = 1: {cost(x, 1):.4f}   of t = 0: {cost(x, 0):.4f}")
#> x =   30.0   cost of t = 1: 0.0000   of t = 0: 30.0010
#> x =   40.0   cost of t = 1: nan   of t = 0: inf
#> x = -800.0   cost of t = 1: inf   of t = 0: nan

# %% [markdown]
# ## The same cost, in a form that holds
#
# Put $p$ into $l$. For $x \ge 0$ the terms become $l = (1 - t)\,x + \log(1 + e^{-x})$.
# For $x < 0$ they become $l = -t\,x + \log(1 + e^{x})$. Both are one formula:
#
# $$ l = d \cdot x + \log(1 + u), \qquad d = [x \ge 0] - t, \qquad u = e^{-|x|} $$
#
# The exponent is never above 0. So $u$ lies between 0 and 1, and nothing overflows.
#
# Caffe's source adds up $-l$, and writes $-|x|$ as $x - 2x\,[x \ge 0]$. The number is the same.

# %%
def stable_cost(x, t):
    d = (x >= 0) - t
    u = np.exp(-np.abs(x))
    return d * x + np.log1p(u)


for x in (-4.0, 4.0, 40.0, -800.0):
    print(f"x = {x:6.1f}   cost of t = 1: {stable_cost(x, 1):9.4f}   of t = 0: {stable_cost(x, 0):9.4f}")

x = np.linspace(-50, 50, 11)
caffe = x * (1 - (x >= 0)) - np.log(1 + np.exp(x - 2 * x * (x >= 0)))  # for t = 1
print("as Caffe writes it:", np.allclose(-caffe, stable_cost(x, 1)))
#> x =   -4.0   cost of t = 1:    4.0181   of t = 0:    0.0181
#> x =    4.0   cost of t = 1:    0.0181   of t = 0:    4.0181
#> x =   40.0   cost of t = 1:    0.0000   of t = 0:   40.0000
#> x = -800.0   cost of t = 1:  800.0000   of t = 0:    0.0000
#> as Caffe writes it: True

# %% [markdown]
# ## The slope
#
# With $dp/dx = p(1 - p)$ the chain rule gives
#
# $$ \frac{\partial l}{\partial x} = \Bigl(-\frac{t}{p} + \frac{1 - t}{1 - p}\Bigr)\, p (1 - p) = p - t. $$
#
# The logarithm and the sigmoid cancel. This is the reason for one layer instead of two.
# A difference quotient says whether the derivation is right: it knows the cost alone.

# %%
step = 1e-6
for x, target in ((-2.0, 1), (0.5, 0), (3.0, 1)):
    quotient = (stable_cost(x + step, target) - stable_cost(x - step, target)) / (2 * step)
    print(f"x = {x:4.1f}  t = {target}   p - t = {sigma(x) - target:8.5f}   quotient = {quotient:8.5f}")
#> x = -2.0  t = 1   p - t = -0.88080   quotient = -0.88080
#> x =  0.5  t = 0   p - t =  0.62246   quotient =  0.62246
#> x =  3.0  t = 1   p - t = -0.04743   quotient = -0.04743

# %% [markdown]
# ## The layer
#
# A batch has $N$ answers, and $L = \frac1N \sum l$. So each slope is divided by $N$, too: $dx = (p - t) / N$.
# `loss_weight` is one more factor, $\lambda$. Caffe multiplies by $\lambda / N$ at the end of its backward pass.
#
# The layer has these lines and no others. Here are some scores, and the layer beside our own functions.

# %%
scores = F @ np.array([0.3, -0.2, 0.5, 0.4])  # any numbers will do
x, target, L = Blob((N, 1), np.float64), Blob((N, 1), np.float64), Blob((), np.float64)
x.data[:, 0] = scores
target.data[:, 0] = t
loss = SigmoidCrossEntropyLossLayer(dtype=np.float64)
loss.SetUp([x, target], [L])
loss.Forward([x, target], [L])
loss.Backward([L], [True, False], [x, target])
print(f"L: layer {float(L.data):.6f}, ours {stable_cost(scores, t).mean():.6f}")
print("dx is (p - t) / N:", np.allclose(x.diff[:, 0], (sigma(scores) - t) / N))
#> L: layer 0.402430, ours 0.402430
#> dx is (p - t) / N: True

# %% [markdown]
# ## From the score back to the weights
#
# The score is a weighted sum, $x = F w + b$, which is the layer InnerProduct. Its backward pass hands the slopes on:
#
# $$ dw = dx^T F, \qquad db = \sum dx $$

# %%
features = Blob((N, 4), np.float64)
features.data[...] = F
score = InnerProductLayer(inner_product_param={"num_output": 1}, dtype=np.float64)
score.SetUp([features], [x])
w, b = score.blobs
w.data[...] = [[0.3, -0.2, 0.5, 0.4]]
score.Forward([features], [x])
loss.Forward([x, target], [L])
loss.Backward([L], [True, False], [x, target])
score.Backward([x], [False], [features])
print("the scores are ours:", np.allclose(x.data[:, 0], scores))
print("dw, layer:", w.diff[0].round(4))
print("dw, ours: ", ((sigma(scores) - t) @ F / N).round(4))
#> the scores are ours: True
#> dw, layer: [-0.0711 -0.0564 -0.1865 -0.2233]
#> dw, ours:  [-0.0711 -0.0564 -0.1865 -0.2233]

# %% [markdown]
# ## Learning
#
# The solver keeps an array $v$ beside the weights: $v \leftarrow \mu v + \alpha\, dw$, then $w \leftarrow w - v$.
# Here $\alpha$ is the learning rate, and $\mu$ is the momentum. Ten lines do it, from weights that are 0:

# %%
rate, momentum = 2.0, 0.9
w_b, v = np.zeros(5), np.zeros(5)  # four weights, and b
F1 = np.column_stack([F, np.ones(N)])
for update in range(101):
    scores = F1 @ w_b
    if update in (0, 1, 10, 100):
        print(f"after {update:3} updates   L = {stable_cost(scores, t).mean():.5f}")
    dx = (sigma(scores) - t) / N
    v = momentum * v + rate * (dx @ F1)
    w_b = w_b - v
#> after   0 updates   L = 0.69315
#> after   1 updates   L = 0.30083
#> after  10 updates   L = 0.08335
#> after 100 updates   L = 0.06177

# %% [markdown]
# The first loss is $\log 2 = 0.69315$: with the score 0, each answer has the probability one half.
#
# Now the same by a net and a solver. The net is the one in `examples/logistic_regression`: a data layer, an
# InnerProduct and the loss. It says in Caffe's language what the cell above says in numpy.

# %%
solver = get_solver(SolverParameter(
    net="../../examples/logistic_regression/net.prototxt", type="SGD", base_lr=rate, lr_policy="fixed",
    momentum=momentum), dtype=np.float64)
solver.step(101)
w, b = solver.net.params["score"]
print("net: ", np.append(w.data[0], b.data).round(4))
print("ours:", w_b.round(4))
#> net:  [-1.7156 -3.057  10.028  10.6648 -0.528 ]
#> ours: [-1.7156 -3.057  10.028  10.6648 -0.528 ]

# %% [markdown]
# ## The answers
#
# A flower is a yes where $p > 1/2$, which is where $x > 0$.

# %%
wrong = np.count_nonzero((F1 @ w_b > 0) != (t == 1))
print(wrong, "of", N, "flowers are on the wrong side")
#> 2 of 100 flowers are on the wrong side

# %% [markdown]
# ## Go on
#
# - `docs/maths/loss.md` derives the formulas again, for weights, ignored answers and other divisors, too.
# - In `docs/loss.html`, sliders show where four of five ways to write this loss fail.
# - The layer's file is `minicaffe/layers/loss/sigmoid_cross_entropy_loss.py`.
# - `minicaffe course start 4`: write this layer yourself.
