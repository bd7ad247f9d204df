"""Functions and classes that a written module may need. What it needs is copied into its file, as it stands here.

This is the only module that imports torch. It is read as text for the copies, and imported for the proof alone.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - as PyTorch's users write it
from torch import nn


def read_safetensors(path):
    """Return the tensors of a .safetensors file by name, as safetensors.torch.load_file does."""
    content = bytearray(Path(path).read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    types = {"F32": torch.float32, "I64": torch.int64}
    tensors = {}
    for name, entry in header.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        tensors[name] = torch.frombuffer(content[begin:end], dtype=types[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class FrozenBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm with use_global_stats: the stored statistics count in training, too, and stay as they are."""

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm with use_global_stats: the stored statistics count in training, too, and stay as they are."""

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class FrozenBatchNorm3d(nn.BatchNorm3d):
    """BatchNorm with use_global_stats: the stored statistics count in training, too, and stay as they are."""

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


def pad_for_pooling(x, kernel, stride, pad, ceil, value):
    """Pad images as Caffe's pooling sees them, so that all its windows lie inside.

    Caffe rounds the number of windows up, and leaves out a last window that would begin behind the image.
    """
    pads = []
    for n, k, s, p in zip(x.shape[2:], *map(pair, (kernel, stride, pad)), strict=True):
        windows = (n + 2 * p - k + (s - 1 if ceil else 0)) // s + 1
        if any(pair(pad)) and (windows - 1) * s >= n + p:
            windows -= 1
        pads = [p, (windows - 1) * s + k - n - p, *pads]
    return F.pad(x, pads, value=value)


def pair(size):
    """Return (height, width) for one size or for two."""
    return size if isinstance(size, tuple) else (size, size)


def wide_max_pool(x, kernel, stride, pad, ceil):
    """Caffe's MAX pooling with a padding above half of the window, which F.max_pool2d refuses."""
    return F.max_pool2d(pad_for_pooling(x, kernel, stride, pad, ceil, float("-inf")), kernel, stride)


def wide_avg_pool(x, kernel, stride, pad, ceil):
    """Caffe's AVE pooling with a padding above half of the window, which F.avg_pool2d refuses.

    A mean counts the places in the padding, but not those behind it.
    """
    total = F.avg_pool2d(pad_for_pooling(x, kernel, stride, pad, ceil, 0.0), kernel, stride, divisor_override=1)
    h, w = pair(pad)
    places = F.pad(torch.ones_like(x[:1, :1]), (w, w, h, h), value=1.0)
    extra = pad_for_pooling(x[:1, :1], kernel, stride, pad, ceil, 0.0).shape
    places = F.pad(places, (0, extra[3] - places.shape[3], 0, extra[2] - places.shape[2]))
    return total / F.avg_pool2d(places, kernel, stride, divisor_override=1)


def stochastic_pool(x, kernel, stride, ceil, training):
    """Caffe's STOCHASTIC pooling: in training one number of each window, drawn by its size; else the mean draw."""
    padded = pad_for_pooling(x, kernel, stride, 0, ceil, 0.0)
    total = F.avg_pool2d(padded, kernel, stride, divisor_override=1)
    if not training:
        squares = F.avg_pool2d(padded * padded, kernel, stride, divisor_override=1)
        return torch.where(total > 0, squares / torch.where(total > 0, total, 1.0), 0.0)
    windows = F.unfold(padded.flatten(0, 1)[:, None], kernel, stride=stride).transpose(1, 2)
    shares = torch.where(windows.sum(2, keepdim=True) > 0, windows, 1.0).flatten(0, 1).clamp(min=0)
    return windows.flatten(0, 1).gather(1, torch.multinomial(shares, 1)).reshape(total.shape)


def unpool(x, places, size):
    """Put each number at its place h * width + w in an image of the given size, with 0 everywhere else."""
    y = x.new_zeros(*x.shape[:2], size[0] * size[1])
    return y.scatter(2, places.flatten(2).long(), x.flatten(2)).unflatten(2, size)


def reorg(x, s, reverse=False):
    """Move blocks of s by s pixels to channels, in darknet's order, which reads the channels in another shape first."""
    N, C, H, W = x.shape
    if reverse:
        return x.reshape(N, s, s, C // (s * s), H, W).permute(0, 3, 4, 1, 5, 2).reshape(N, C // (s * s), H * s, W * s)
    return x.reshape(N, C // (s * s), H, s, W, s).permute(0, 3, 5, 1, 2, 4).reshape(N, C * s * s, H // s, W // s)


def largest(x, k, dim):
    """Return the k largest numbers along an axis, and their places; of equal numbers the last one comes first."""
    values, places = torch.sort(x.flip(dim), dim=dim, descending=True, stable=True)
    return values.narrow(dim, 0, k), (x.shape[dim] - 1 - places.narrow(dim, 0, k)).to(x.dtype)


def lstm_step(z, c, cont):
    """Return the output and the cells of an LSTM after one step.

    z       the inputs of the gates, in Caffe's order: input, forget, output, and what is taken in
    c       the cells before
    cont    1 where a sequence goes on, 0 where one begins
    """
    i, f, o, g = z.chunk(4, dim=-1)
    c = cont * torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def caffe_lstm(x, cont, w_x, b, w_h, static=0, first=None):
    """Run Caffe's LSTM over time. Return its outputs (T, N, D), and the output and the cells after the last step.

    x       (T, N, ...), the steps of N sequences
    cont    (T, N): 0 where a sequence begins, 1 where it goes on; None where all begin at the first step
    static  (N, 4 D), what an input that is the same in all steps adds to the gates
    first   the output and the cells before the first step, which are 0 unless they are given
    """
    z = F.linear(x.flatten(2), w_x, b) + static
    if cont is None:
        cont = torch.ones(x.shape[:2], dtype=x.dtype, device=x.device)
    h, c = first or (x.new_zeros(x.shape[1], w_h.shape[1]),) * 2
    y = []
    for t in range(len(x)):
        go_on = cont[t][:, None]
        h, c = lstm_step(z[t] + F.linear(go_on * h, w_h), c, go_on)
        y.append(h)
    return torch.stack(y), (h, c)


def caffe_rnn(x, cont, w_x, b, w_h, w_o, b_o, static=0, first=None):
    """Run Caffe's RNN over time. Return its outputs (T, N, D), and the state after the last step.

    x, cont, static, first      as for caffe_lstm, with one state
    """
    z = F.linear(x.flatten(2), w_x, b) + static
    h = first[0] if first else x.new_zeros(x.shape[1], w_h.shape[1])
    y = []
    for t in range(len(x)):
        h = torch.tanh(z[t] + F.linear(cont[t][:, None] * h, w_h))
        y.append(torch.tanh(F.linear(h, w_o, b_o)))
    return torch.stack(y), (h,)
