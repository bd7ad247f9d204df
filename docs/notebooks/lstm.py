# %% [markdown]
# # An LSTM over time
#
# An LSTM reads a sequence step by step. It has a memory, the cells $c$, and gates that decide what enters, what stays
# and what is shown. This notebook runs one by hand, forward and backward, beside minicaffe's layer.
# The letters are those of `minicaffe explain LSTM`. A batch has T time steps of N streams, and there are D cells.
#
# First a helper: it makes a layer with random weights.

# %%
import numpy as np

from minicaffe import Blob
from minicaffe.layers import LSTMLayer, RNNLayer
from minicaffe.testing import check_gradient

draw = np.random.default_rng(5)


def made(kind, x, cont, D, size=1.0):
    """Return a layer with random weights, its bottoms and its tops, in float64."""
    layer = kind(recurrent_param={"num_output": D}, dtype=np.float64)
    bottom, top = [Blob(x.shape, np.float64), Blob(cont.shape, np.float64)], [Blob((), np.float64)]
    bottom[0].data[...], bottom[1].data[...] = x, cont
    layer.SetUp(bottom, top)
    for blob in layer.blobs:
        blob.data[...] = size * draw.standard_normal(blob.shape)
    return layer, bottom, top

# %% [markdown]
# A sequence has a beginning. `cont` says where: it is 0 there, and 1 where a sequence goes on.

# %%
T, N, D, features = 6, 2, 4, 3
x, cont = draw.standard_normal((T, N, features)), np.ones((T, N))
cont[0] = 0  # both streams begin a sequence at the first step
cont[3, 1] = 0  # the second stream begins another one at step 3
layer, bottom, top = made(LSTMLayer, x, cont, D)
layer.Forward(bottom, top)
print("x", x.shape, " cont", cont.shape, " y", top[0].shape)
print("w_x, b, w_h:", [blob.shape for blob in layer.blobs])
#> x (6, 2, 3)  cont (6, 2)  y (6, 2, 4)
#> w_x, b, w_h: [(16, 3), (16,), (16, 4)]

# %% [markdown]
# ## One step
#
# All four parts of $z_t$ are one sum. The first three become gates between 0 and 1, and the last one what may enter:
#
# $$ z_t = w_x x_t + b + w_h (\delta_t h_{t-1}), \qquad
#    i = \sigma(z_i), \quad f = \delta_t\, \sigma(z_f), \quad o = \sigma(z_o), \quad g = \tanh(z_g) $$
#
# $$ c_t = f \odot c_{t-1} + i \odot g, \qquad h_t = o \odot \tanh(c_t) $$
#
# $\delta_t$ is the number in `cont`: 0 where a sequence begins, and 1 where it goes on.

# %%
w_x, b, w_h = (blob.data for blob in layer.blobs)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def step(x_t, delta, h, c):
    """Return h_t, c_t and the gates of one step of all streams. Each stream is a row."""
    delta = delta[:, None]
    z_i, z_f, z_o, z_g = np.split(x_t @ w_x.T + b + (delta * h) @ w_h.T, 4, axis=1)
    i, f, o, g = sigma(z_i), delta * sigma(z_f), sigma(z_o), np.tanh(z_g)
    c = f * c + i * g
    return o * np.tanh(c), c, (i, f, o, g)


h, c, _ = step(x[0], cont[0], np.zeros((N, D)), np.zeros((N, D)))
print("the first step, ours and the layer's agree:", np.allclose(h, top[0].data[0]))
#> the first step, ours and the layer's agree: True

# %% [markdown]
# Now all steps. What the backward pass will need is kept: the states before and after each step, and the gates.

# %%
h = c = np.zeros((N, D))
hs, cs, gates = [h], [c], []
for t in range(T):
    h, c, opened = step(x[t], cont[t], h, c)
    hs.append(h)
    cs.append(c)
    gates.append(opened)
print("ours and the layer's agree:", np.allclose(hs[1:], top[0].data))
for t in range(T):
    print(f"t = {t}  first stream: f {gates[t][1][0].round(2)}  c {cs[t + 1][0].round(2)}")
#> ours and the layer's agree: True
#> t = 0  first stream: f [0. 0. 0. 0.]  c [ 0.36  0.44 -0.28  0.07]
#> t = 1  first stream: f [0.75 0.24 0.86 0.39]  c [ 0.7   0.59 -0.48 -0.07]
#> t = 2  first stream: f [0.51 0.85 0.29 0.99]  c [ 0.29 -0.17 -0.87  0.21]
#> t = 3  first stream: f [0.38 0.74 0.39 0.32]  c [-0.26  0.33 -0.52  0.44]
#> t = 4  first stream: f [0.15 0.77 0.04 0.93]  c [-0.07  0.49  0.4   1.11]
#> t = 5  first stream: f [0.65 0.66 0.55 0.68]  c [-0.3   1.16 -0.58  1.02]

# %% [markdown]
# ## cont: where a sequence begins
#
# The second stream begins anew at step 3. With $\delta_3 = 0$ neither $h_2$ nor $c_2$ can come in. So the same three
# inputs give the same outputs when they stand alone:

# %%
alone, bottom_alone, top_alone = made(LSTMLayer, x[3:], cont[3:] * [[0], [1], [1]], D)
for mine, other in zip(alone.blobs, layer.blobs, strict=True):
    mine.data[...] = other.data
alone.Forward(bottom_alone, top_alone)
for stream in range(N):
    print(f"stream {stream}: steps 3 to 5 do not depend on those before:",
          np.allclose(top_alone[0].data[:, stream], top[0].data[3:, stream]))
#> stream 0: steps 3 to 5 do not depend on those before: False
#> stream 1: steps 3 to 5 do not depend on those before: True

# %% [markdown]
# With $\delta_0 = 1$ a batch goes on where the batch before has ended. Caffe does so even if the two have nothing to do
# with each other. A data layer that forgets the 0 at the start lets one sequence leak into the next.

# %%
bottom[1].data[0] = 1
layer.Forward(bottom, top)
print("the first step is as before:", np.allclose(top[0].data[0], hs[1]))
h, _, _ = step(x[0], np.ones(N), hs[-1], cs[-1])
print("it goes on from the last one:", np.allclose(top[0].data[0], h))
#> the first step is as before: False
#> it goes on from the last one: True

# %% [markdown]
# ## Backward through time
#
# Backward begins at the last step. $h_t$ reaches the loss in two ways, through $y_t$ and through $z_{t+1}$. So does the
# cell, through $h_t$ and through $c_{t+1}$:
#
# $$ dh_t = dy_t + \delta_{t+1} w_h^T dz_{t+1}, \qquad e = dc_t + dh_t \odot o \odot (1 - \tanh^2 c_t), \qquad
#    dc_{t-1} = e \odot f $$
#
# $$ dz_t = [\; e\, g\, i(1 - i),\;\; e\, c_{t-1}\, f(1 - f),\;\; dh_t \tanh(c_t)\, o(1 - o),\;\;
#    e\, i\, (1 - g^2)\; ] $$
#
# Each step uses the same weights. So the gradient of a weight is a sum over all steps.

# %%
bottom[1].data[0] = 0
layer.Forward(bottom, top)
dy = draw.standard_normal((T, N, D))
dz, from_next, dc = np.zeros((T, N, 4 * D)), np.zeros((N, D)), np.zeros((N, D))
for t in reversed(range(T)):
    i, f, o, g = gates[t]
    tanh_c = np.tanh(cs[t + 1])
    dh = dy[t] + from_next
    e = dc + dh * o * (1 - tanh_c ** 2)
    dz[t] = np.hstack([e * g * i * (1 - i), e * cs[t] * f * (1 - f), dh * tanh_c * o * (1 - o), e * i * (1 - g ** 2)])
    dc, from_next = e * f, cont[t][:, None] * (dz[t] @ w_h)

top[0].diff[...] = dy
layer.Backward(top, [True, False], bottom)
fed_back = cont[:, :, None] * hs[:-1]  # δ_t · h_{t−1}
print("dx:  ", np.allclose(bottom[0].diff, dz @ w_x))
print("dw_x:", np.allclose(layer.blobs[0].diff, np.einsum("tnk,tnj->kj", dz, x)))
print("db:  ", np.allclose(layer.blobs[1].diff, dz.sum(axis=(0, 1))))
print("dw_h:", np.allclose(layer.blobs[2].diff, np.einsum("tnk,tnj->kj", dz, fed_back)))
#> dx:   True
#> dw_x: True
#> db:   True
#> dw_h: True

# %% [markdown]
# Difference quotients agree, too. They know the forward pass alone:

# %%
print("right by difference quotients:", check_gradient(layer, bottom, top, bottoms=[0]) < 1e-6)
#> right by difference quotients: True

# %% [markdown]
# ## How far a slope goes back
#
# Let the loss look at the last step alone. How much does it depend on each input? In the second stream no slope goes
# back beyond step 3, where its sequence begins:

# %%
def lengths(layer, bottom, top):
    """Return the length of dx at each step of each stream, for a loss that is the sum of the last outputs."""
    layer.Forward(bottom, top)
    top[0].diff[...] = 0
    top[0].diff[-1] = 1
    layer.Backward(top, [True, False], bottom)
    return np.sqrt((bottom[0].diff ** 2).sum(axis=2))


for t, row in enumerate(lengths(layer, bottom, top)):
    print(f"t = {t}   first stream {row[0]:.5f}   second stream {row[1]:.5f}")
#> t = 0   first stream 0.00878   second stream 0.00000
#> t = 1   first stream 0.01544   second stream 0.00000
#> t = 2   first stream 0.02705   second stream 0.00000
#> t = 3   first stream 0.08240   second stream 0.02455
#> t = 4   first stream 0.08780   second stream 0.09070
#> t = 5   first stream 0.22307   second stream 0.42043

# %% [markdown]
# ## Why there are gates
#
# From cell to cell a slope is only multiplied by $f$. Where the forget gate is open, with $f$ near 1, it survives. An
# RNN multiplies by $w_h$ and by the slope of tanh at each step, and there it fades.
#
# Here are 30 steps, small random weights, and three layers: an RNN, an LSTM with biases of 0, and the same with a bias
# of 3 at the forget gate, $\sigma(3) = 0.95$. The numbers are relative to those of the last step.

# %%
long_x, long_cont = draw.standard_normal((30, 1, features)), np.ones((30, 1))
long_cont[0] = 0
rnn = made(RNNLayer, long_x, long_cont, D, size=0.3)
lstm = made(LSTMLayer, long_x, long_cont, D, size=0.3)
lstm[0].blobs[1].data[...] = 0
found = {"RNN": lengths(*rnn), "LSTM": lengths(*lstm)}
lstm[0].blobs[1].data[D:2 * D] = 3  # the second of four parts is that of f
found["LSTM, forget gate open"] = lengths(*lstm)
for name, sizes in found.items():
    print(f"{name:22}", *(f"{back} steps back {sizes[-1 - back, 0] / sizes[-1, 0]:.1e}  " for back in (5, 10, 20)))
#> RNN                    5 steps back 3.2e-02   10 steps back 2.7e-03   20 steps back 8.2e-06
#> LSTM                   5 steps back 5.0e-02   10 steps back 1.6e-03   20 steps back 3.3e-06
#> LSTM, forget gate open 5 steps back 2.1e+00   10 steps back 1.5e+00   20 steps back 6.8e-01

# %% [markdown]
# With biases of 0 the forget gate is half closed, $\sigma(0) = 0.5$, and the LSTM forgets as fast as the RNN. It is the
# open gate that remembers. This is why many nets begin with a positive bias there.
#
# ## A cell that remembers
#
# This LSTM has one cell, and its weights are set by hand. The input gate opens where the second feature is 1, and the
# forget gate is always open. So the cell takes the first feature once and keeps it.

# %%
seen = np.array([[[0.5, 1.0]], [[-0.9, 0.0]], [[0.8, 0.0]], [[-0.3, 0.0]], [[0.1, 0.0]]])
keeper, bottom, top = made(LSTMLayer, seen, np.array([[0.0], [1], [1], [1], [1]]), 1, size=0)
w_x, b = (blob.data for blob in keeper.blobs[:2])
w_x[0, 1], b[0] = 20, -10  # i: open with the second feature, else closed
b[1], b[2] = 10, 10        # f and o: open
w_x[3, 0] = 1              # g = tanh of the first feature
keeper.Forward(bottom, top)
for t in range(5):
    print(f"t = {t}   input {seen[t, 0]}   output {top[0].data[t, 0, 0]:.3f}")
print(f"tanh(tanh(0.5)) = {np.tanh(np.tanh(0.5)):.3f}")
#> t = 0   input [0.5 1. ]   output 0.432
#> t = 1   input [-0.9  0. ]   output 0.432
#> t = 2   input [0.8 0. ]   output 0.432
#> t = 3   input [-0.3  0. ]   output 0.432
#> t = 4   input [0.1 0. ]   output 0.432
#> tanh(tanh(0.5)) = 0.432

# %% [markdown]
# ## Go on
#
# - `docs/maths/recurrent.md` derives the formulas.
# - The layer's files are `minicaffe/layers/recurrent/lstm.py` and `_unrolled.py` beside it.
# - `minicaffe course start 17` and `start 18`: write an RNN and an LSTM yourself.
