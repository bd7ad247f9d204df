# %% [markdown]
# # LeNet, step by step
#
# Caffe's LeNet has two convolutions, two poolings, two inner products and one ReLU. Here it looks at photographs of
# clothes. The notebook goes through one forward pass, one backward pass and one update, and computes a number of each
# layer by hand. Then the net learns for 40 updates.

# %%
import numpy as np

from minicaffe.data.idx import read_pair
from minicaffe.io import prototxt
from minicaffe.proto import LayerParameter, NetParameter, SolverParameter
from minicaffe.solvers import get_solver

folder = "../../examples/fashion_mnist/"
images, labels = {}, {}
for part in ("train", "t10k"):
    files = [f"{folder}subset/{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
    pixels, labels[part] = read_pair(*files)
    images[part] = pixels[:, None] / 256.0  # (N, 1, 28, 28): one channel, numbers in [0, 1)
    print(part, images[part].shape, "labels of the first images:", labels[part][:5])
#> train (5000, 1, 28, 28) labels of the first images: [9 0 0 3 0]
#> t10k (1000, 1, 28, 28) labels of the first images: [9 2 1 1 6]

# %% [markdown]
# ## The net
#
# The definition is the file `lenet_train_test.prototxt`, as Caffe has it. Its first two layers read databases, one for
# training and one for tests. A layer of type MemoryData takes their place, because the images are here already.

# %%
definition = prototxt.read(folder + "lenet_train_test.prototxt", NetParameter())
del definition.layer[:2]
shape = {"batch_size": 50, "channels": 1, "height": 28, "width": 28}
definition.layer.insert(0, LayerParameter(name="images", type="MemoryData", top=["data", "label"],
                                          memory_data_param=shape))
solver = get_solver(SolverParameter(
    net_param=definition, test_iter=[20], test_interval=20, base_lr=0.01, lr_policy="fixed", momentum=0.9,
    weight_decay=0.0005, random_seed=1), dtype=np.float64)
for net, part in ((solver.net, "train"), (solver.test_nets[0], "t10k")):
    net.layers[0].reset(images[part], labels[part])
net = solver.net
for name, layer, tops in zip(net.layer_names, net.layers, net.tops, strict=True):
    learned = sum(blob.count for blob in net.params.get(name, []))
    print(f"{name:7} {layer.type:16} {tops[0].shape!s:18} {learned:7} numbers to learn")
#> images  MemoryData       (50, 1, 28, 28)          0 numbers to learn
#> conv1   Convolution      (50, 20, 24, 24)       520 numbers to learn
#> pool1   Pooling          (50, 20, 12, 12)         0 numbers to learn
#> conv2   Convolution      (50, 50, 8, 8)       25050 numbers to learn
#> pool2   Pooling          (50, 50, 4, 4)           0 numbers to learn
#> ip1     InnerProduct     (50, 500)           400500 numbers to learn
#> relu1   ReLU             (50, 500)                0 numbers to learn
#> ip2     InnerProduct     (50, 10)              5010 numbers to learn
#> loss    SoftmaxWithLoss  ()                       0 numbers to learn

# %% [markdown]
# ## Forward: a convolution
#
# Each of the 20 filters of conv1 looks at windows of 5×5 pixels. With the image $n$, the filter $k$ and the place
# $i, j$:
#
# $$ y[n, k, i, j] = b[k] + \sum_{c, u, v} x[n, c, i + u, j + v]\, w[k, c, u, v] $$

# %%
net.forward()
x, y = net.blobs["data"].data, net.blobs["conv1"].data
w, b = (blob.data for blob in net.params["conv1"])
n, k, i, j = 3, 7, 10, 14
by_hand = b[k] + (x[n, :, i:i + 5, j:j + 5] * w[k]).sum()
print(f"by hand {by_hand:.6f}, layer {y[n, k, i, j]:.6f}")
print("28 pixels have", 28 - 5 + 1, "places for a window of 5: the output is", y.shape[2:])
#> by hand -0.379030, layer -0.379030
#> 28 pixels have 24 places for a window of 5: the output is (24, 24)

# %% [markdown]
# ## Forward: pooling and ReLU
#
# pool1 takes the largest number of each window of 2×2, and the windows stand side by side.
# relu1 sets negative numbers to 0. It works in place, so the blob `ip1` holds only what came out.

# %%
window = y[n, k, 10:12, 14:16]
print(f"largest of the window {window.max():.6f}, layer {net.blobs['pool1'].data[n, k, 5, 7]:.6f}")
w, b = (blob.data for blob in net.params["ip1"])
before = net.blobs["pool2"].data.reshape(50, -1) @ w.T + b
print("ip1 is max(before, 0):", np.allclose(net.blobs["ip1"].data, np.maximum(before, 0)))
print(f"negative before: {np.mean(before < 0):.2f} of all")
#> largest of the window 0.016672, layer 0.016672
#> ip1 is max(before, 0): True
#> negative before: 0.48 of all

# %% [markdown]
# ## Forward: the loss
#
# The ten scores of an image become probabilities, $p[k] = e^{x[k]} / \sum_j e^{x[j]}$. The loss is the mean of
# $-\log p[\text{label}]$. The weights are random still, so it is not far from $\log 10 = 2.303$, a blind guess.

# %%
scores, label = net.blobs["ip2"].data, net.blobs["label"].data.reshape(-1).astype(int)
p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
rows = np.arange(50)
by_hand = -np.log(p[rows, label]).mean()
print(f"by hand {by_hand:.6f}, layer {float(net.blobs['loss'].data):.6f}")
#> by hand 2.310638, layer 2.310638

# %% [markdown]
# ## Backward
#
# The loss layer begins: $dx = (p - [k = \text{label}]) / N$. Then each layer turns the diff of its top into the diff of
# its bottom, and adds to the diffs of its weights. For ip2 with the input $x$ and the slopes $dy$ of its scores:
#
# $$ dw = dy^T x, \qquad db = \sum dy, \qquad dx = dy\, w $$

# %%
net.clear_param_diffs()
net.backward()
dy = p.copy()
dy[rows, label] -= 1
dy /= 50
w, b = net.params["ip2"]
print("the loss:", np.allclose(net.blobs["ip2"].diff, dy))
print("dw:      ", np.allclose(w.diff, dy.T @ net.blobs["ip1"].data))
print("db:      ", np.allclose(b.diff, dy.sum(axis=0)))
#> the loss: True
#> dw:       True
#> db:       True

# %% [markdown]
# The ReLU stands between ip2 and ip1, in the same blob. It lets a slope through where its output is positive.
# The diff of `ip1` has been through it:

# %%
dx = dy @ w.data
print("relu:", np.allclose(net.blobs["ip1"].diff, dx * (net.blobs["ip1"].data > 0)))
#> relu: True

# %% [markdown]
# A pooling hands each slope to the one pixel that was the largest of its window. So at least three of four slopes of
# conv1 are 0.

# %%
print(f"share of conv1's diff that is 0: {np.mean(net.blobs['conv1'].diff == 0):.4f}")
for name, blobs in net.params.items():
    print(f"{name:6} length of dw {np.sqrt((blobs[0].diff ** 2).sum()):.5f}")
#> share of conv1's diff that is 0: 0.7500
#> conv1  length of dw 0.34674
#> conv2  length of dw 1.26249
#> ip1    length of dw 1.63084
#> ip2    length of dw 1.27047

# %% [markdown]
# ## The update
#
# Weight decay $\lambda$ adds $\lambda w$ to each gradient. Then $v \leftarrow \mu v + \alpha\, dw$ and
# $w \leftarrow w - v$. Here $\alpha$ is the learning rate, and $\mu$ is the momentum. Before the first update $v$ is 0.
#
# A step of the solver reads a batch, runs both passes and updates. We set the data layer back to its first image, so
# that the step sees the batch that we have seen.

# %%
w = net.params["conv1"][0]
expected, before = 0.01 * (w.diff + 0.0005 * w.data), w.data.copy()
net.layers[0].reset(images["train"], labels["train"])
solver.step(1)
print("the step is the one by hand:", np.allclose(before - w.data, expected))
print(f"largest number of the step {expected.max():.5f}")
#> the step is the one by hand: True
#> largest number of the step 0.00040

# %% [markdown]
# ## Learning
#
# 39 updates more, each with the next 50 images. The loss of a single batch goes up and down. What counts is the share
# of the 1,000 test images that the net classifies correctly.

# %%
for updates in (1, 20, 40):
    solver.step(updates - solver.iter)
    result = dict(solver.test(0))
    print(f"after {updates:2} updates: loss {result['loss']:.3f}, accuracy {result['accuracy']:.2f}")
#> after  1 updates: loss 2.266, accuracy 0.12
#> after 20 updates: loss 1.037, accuracy 0.58
#> after 40 updates: loss 0.797, accuracy 0.71

# %% [markdown]
# Which clothes are hard? Each row is a kind, and the columns count what the net says of the last test batch of 50.

# %%
kinds = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
test = solver.test_nets[0]
said, right = test.blobs["ip2"].data.argmax(axis=1), test.blobs["label"].data.reshape(-1).astype(int)
for k, kind in enumerate(kinds):
    print(f"{kind:8}", " ".join(f"{np.count_nonzero((right == k) & (said == j)):2}" for j in range(10)))
#> T-shirt   5  0  1  0  0  0  0  0  0  0
#> trouser   0  2  0  0  0  0  0  0  0  0
#> pullover  0  0  1  0  2  0  0  0  1  0
#> dress     1  0  1  3  1  0  0  0  0  0
#> coat      0  0  1  0  4  0  0  0  1  0
#> sandal    0  0  0  0  0  3  0  2  0  0
#> shirt     3  0  4  0  0  1  0  0  0  0
#> sneaker   0  0  0  0  0  1  0  4  0  0
#> bag       0  0  0  0  0  0  0  0  3  0
#> boot      0  0  0  0  0  0  0  1  0  4

# %% [markdown]
# ## Go on
#
# - `minicaffe trace` writes a page on which one steps through these passes line by line; the README shows how.
# - `minicaffe demo` trains this net for 500 updates and draws what it has learned.
# - `docs/maths/backpropagation.md` says why the slopes of a net can be found layer by layer.
# - `minicaffe course start 13`: write the convolution yourself.
