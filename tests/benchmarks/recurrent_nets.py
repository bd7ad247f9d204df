"""Recurrent nets that are timed, and the same nets in PyTorch.

    .venv/bin/python tests/benchmarks/recurrent_nets.py ours LSTM 20 32 512
    .venv/bin/python tests/benchmarks/recurrent_nets.py torch LSTM 20 32 512

Each prints the median time of an update (forward, backward and the step of the weights) for T steps of N streams with
D features and D units. Run the two sides in processes of their own, in turn: the threads of one would disturb those of
the other.
`both` runs the two in one process and compares their losses, which are equal up to rounding.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from minicaffe.proto import NetParameter, SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

SIZES = {"small": (12, 6, 32), "large": (20, 32, 512), "one stream": (80, 1, 256)}  # T, N, D
RATE, MOMENTUM, DECAY = 1e-3, 0.9, 5e-4


def net_of(kind, T, N, D):
    """A net of one layer of the type `kind` (LSTM or RNN), whose outputs are compared with a target."""
    return proto_text.parse(f"""
        name: "{kind} {T}x{N}x{D}"
        layer {{ name: "input" type: "Input" top: "data" top: "cont" top: "label" input_param {{
            shape {{ dim: {T} dim: {N} dim: {D} }} shape {{ dim: {T} dim: {N} }}
            shape {{ dim: {T} dim: {N} dim: {D} }} }} }}
        layer {{ name: "recurrent" type: "{kind}" bottom: "data" bottom: "cont" top: "y" recurrent_param {{
            num_output: {D} weight_filler {{ type: "uniform" min: -0.08 max: 0.08 }} }} }}
        layer {{ name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "label" top: "loss" }}
        """, NetParameter())


def make_solver(net):
    """An SGD solver on such a net. Its inputs are filled once, and every stream begins at the first step."""
    definition = SolverParameter(base_lr=RATE, lr_policy="fixed", momentum=MOMENTUM, weight_decay=DECAY,
                                 max_iter=1 << 30)
    definition.net_param.CopyFrom(net)
    solver = get_solver(definition)
    draw, blobs = np.random.default_rng(5), solver.net.blobs
    for name in ("data", "label"):
        blobs[name].data[...] = draw.uniform(-1, 1, blobs[name].shape)
    blobs["cont"].data[...] = 1
    blobs["cont"].data[0] = 0
    return solver


class Twin:
    """An update of the same net by torch.nn.LSTM or torch.nn.RNN, with copies of the weights and inputs of a solver.

    PyTorch has a second bias, which is 0 here and does not learn, so that both sides compute the same.
    Caffe's layers always compute the gradient of x. With `dx` PyTorch does so, too.
    """

    def __init__(self, kind, solver, dx=False):
        import torch

        self.torch, blobs = torch, solver.net.blobs
        self.x, self.target = (torch.from_numpy(blobs[name].data.copy()) for name in ("data", "label"))
        self.x.requires_grad_(dx)
        learned = [torch.from_numpy(blob.data.copy()) for blob in solver.net.params["recurrent"]]
        D = self.x.shape[2]
        self.cell = (torch.nn.LSTM if kind == "LSTM" else torch.nn.RNN)(D, D)
        w_x, b, w_h, *out = [self._in_order(kind, w) for w in learned[:3]] + learned[3:]
        with torch.no_grad():
            for name, values in (("weight_ih_l0", w_x), ("bias_ih_l0", b), ("weight_hh_l0", w_h),
                                 ("bias_hh_l0", torch.zeros_like(b))):
                getattr(self.cell, name).copy_(values)
        self.cell.bias_hh_l0.requires_grad_(False)
        self.out = [values.clone().requires_grad_() for values in out]
        self.optimizer = torch.optim.SGD([p for p in self.cell.parameters() if p.requires_grad] + self.out, lr=RATE,
                                         momentum=MOMENTUM, weight_decay=DECAY)
        self.forward = self._forward

    def _in_order(self, kind, w):
        """Return weights with the gates in PyTorch's order i, f, g, o; Caffe's is i, f, o, g."""
        if kind != "LSTM":
            return w
        i, f, o, g = w.chunk(4)
        return self.torch.cat([i, f, g, o])

    def _forward(self):
        y, _ = self.cell(self.x)
        if self.out:  # an RNN of Caffe's has a second layer
            w_o, b_o = self.out
            y = self.torch.tanh(self.torch.nn.functional.linear(y, w_o, b_o))
        return ((y - self.target) ** 2).sum() / (2 * len(y))

    def step(self):
        """One update; the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        self.x.grad = None
        loss = self.forward()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def milliseconds(step, seconds=3.0):
    """The median time of a step, over so many seconds and at least nine steps."""
    for _ in range(3):
        step()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 9 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description="time one side of a recurrent net")
    parser.add_argument("side", choices=["ours", "torch", "compile", "both"])
    parser.add_argument("kind", choices=["LSTM", "RNN"])
    parser.add_argument("sizes", type=int, nargs=3, metavar=("T", "N", "D"))
    parser.add_argument("--dx", action="store_true", help="let PyTorch compute the gradient of x, as Caffe does")
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    T, N, D = args.sizes
    solver = make_solver(net_of(args.kind, T, N, D))
    if args.side == "ours":
        ms = milliseconds(lambda: solver.step(1), args.seconds)
    else:
        twin = Twin(args.kind, solver, args.dx)
        if args.side == "both":
            for _ in range(5):
                solver.step(1)
                print(f"loss: ours {float(solver.net.blobs['loss'].data):.6f}, PyTorch {twin.step():.6f}")
            return
        if args.side == "compile":
            twin.forward = twin.torch.compile(twin.forward)
        ms = milliseconds(twin.step, args.seconds)
    print(f"{args.kind} T {T} N {N} D {D}, {args.side}: {ms:.3f} ms an update")


if __name__ == "__main__":
    main()
