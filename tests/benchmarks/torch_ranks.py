"""PyTorch's side of training by several processes: DistributedDataParallel with gloo, and one process beside it."""

from __future__ import annotations

import contextlib
import os
import time

import numpy as np
import torch
from problem import Problem
from sides import END
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch_twin import Twin, vectors


def alone(folder, parts):
    """The side of one process, which trains on the batches of all ranks at once."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    problem = Problem(folder)
    inputs = {name: np.concatenate([values] * parts) for name, values in problem.inputs.items()}
    return Twin(problem.definition, problem.weights, inputs).step, {"vectors": vectors()}


def ranks(folder, overlap):
    """The side of one of several processes. Without `overlap` one all_reduce adds all gradients after backward."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    rank, size = int(os.environ["OMPI_COMM_WORLD_RANK"]), int(os.environ["OMPI_COMM_WORLD_SIZE"])
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("gloo", f"file://{folder}/meeting_{overlap}", rank=rank, world_size=size)
    problem = Problem(folder)
    twin = Twin(problem.definition, problem.weights, problem.inputs)
    net = DistributedDataParallel(Module(twin), gradient_as_bucket_view=True)
    last = [0.0]  # when the latest gradient was ready
    for one in net.parameters():
        one.register_post_accumulate_grad_hook(lambda _: last.__setitem__(0, time.perf_counter()))
    facts = {"vectors": vectors(), "waits": []}

    def step():
        with contextlib.nullcontext() if overlap else net.no_sync():
            twin.optimizer.zero_grad(set_to_none=overlap)
            net().backward()
        if not overlap:
            add([one.grad for one in net.parameters()], size)
        facts["waits"].append(time.perf_counter() - last[0])
        twin.optimizer.step()

    return step, facts, told


class Module(torch.nn.Module):
    """A Twin as a module, which DistributedDataParallel asks for."""

    def __init__(self, twin):
        super().__init__()
        self.learned = torch.nn.ParameterList(one for group in twin.learned.values() for one in group)
        self.loss = twin.forward

    def forward(self):
        """The weighted sum of the losses."""
        return self.loss()


def add(grads, size):
    """The mean over all processes of these gradients, in place."""
    flat = torch.cat([grad.flatten() for grad in grads])
    distributed.all_reduce(flat)
    flat /= size
    for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
        grad.copy_(part.view_as(grad))


def told(lines):
    """Each line of rank 0, in all processes."""
    lines = iter(lines)
    while True:
        times = torch.tensor([int(next(lines, END)) if distributed.get_rank() == 0 else 0])
        distributed.broadcast(times, 0)
        if times == END:
            distributed.destroy_process_group()
            return
        yield str(times.item())
