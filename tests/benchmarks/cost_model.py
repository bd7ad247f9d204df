"""The cost model of training on many ranks, and the tables that docs/scale.md shows of it.

    python tests/benchmarks/cost_model.py              the tables, from the times in recorded_backward.json
    python tests/benchmarks/cost_model.py --record     measure these times anew on this machine, and write the file

An exchange of b bytes over K ranks is an alltoall and an allgather of chunks of b / K bytes. In each of them a rank
sends K − 1 messages, one after the other:

    exchange(b) = 2 (K − 1) (α + β b / K) + γ b (K − 1) / K

    α    seconds that a message takes, however short it is
    β    seconds a byte takes on the network
    γ    seconds a byte takes to be added to another

The buckets of an update are exchanged one after the other, each from the moment when backward has completed it. What
has not arrived when backward ends is waited for. Besides, the small values of an update travel, in one broadcast and
two gathers of s bytes from each rank:

    small = α log2 K + 2 (K − 1) (α + β s)

Efficiency is the time that a rank would take alone for its parts of the update, divided by the time that it takes in
the group. MPI libraries send the K − 1 messages at the same time where they can, so α counts for more here than it does
in truth. The model leaves out what the exchange takes from the processor while backward goes on, and ranks that are not
equally fast.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

RECORDED = Path(__file__).parent / "recorded_backward.json"
BUCKET, CHUNK = 4 << 20, 64 << 10  # as in minicaffe/ranks/buckets.py
SMALL = 512                        # bytes of small values that each rank sends in a gather
RANKS = (2, 4, 8, 16, 64, 256, 1024)
FASTER = 16                        # a machine of 32 such cores, if its threads share the work without loss
TITLES = {"lenet": "LeNet", "caffenet": "CaffeNet", "googlenet": "GoogLeNet"}


@dataclass(frozen=True)
class Network:
    """What carries the bytes. `per_machine` ranks of one machine share its connection, and so the bytes per second."""

    name: str
    latency: float
    per_byte: float
    per_machine: int = 1


ETHERNET = Network("10 Gb/s Ethernet", 40e-6, 1 / 1.25e9)
RDMA = Network("RDMA, 100 Gb/s", 2e-6, 1 / 12.5e9)


@dataclass(frozen=True)
class Timed:
    """The times of one net on one machine, in seconds.

    layers    (bytes of its gradients, when they were complete) of each layer in the order of backward. The time is
              counted from the beginning of the part's forward pass
    part      a part: a forward and a backward pass
    update    the update of the weights
    add       γ
    """

    layers: tuple[tuple[int, float], ...]
    part: float
    update: float
    add: float

    def faster(self, times):
        """The same net on a machine that computes so many times as fast."""
        layers = tuple((size, done / times) for size, done in self.layers)
        return Timed(layers, self.part / times, self.update / times, self.add / times)


def buckets(layers, ranks):
    """(bytes, when they are complete) of the buckets into which the layers' gradients are put in this order."""
    full, made = max(BUCKET, ranks * CHUNK), []
    size, done = 0, 0.0
    for left, done in layers:
        while size + left >= full:
            made.append((full, done))
            left, size = left - (full - size), 0
        size += left
    return [*made, (size, done)] if size else made


def exchange(size, ranks, network, add=0.0):
    """Seconds in which `size` bytes of each rank are added up over all ranks."""
    if ranks == 1:
        return 0.0
    beside = min(network.per_machine, ranks)
    others = ranks - beside  # those on other machines; the ranks of one machine share its connection
    sent = network.per_byte * beside * others * size / ranks
    return 2 * (others * network.latency + sent) + add * size * (ranks - 1) / ranks


def small_values(ranks, network):
    """Seconds in which the small values of an update travel."""
    return math.log2(ranks) * network.latency + 2 * (ranks - 1) * (network.latency + SMALL * network.per_byte)


def waiting(timed, ranks, network, overlap=True):
    """Seconds for which backward is over and gradients are still under way."""
    free = 0.0 if overlap else timed.part
    for size, done in buckets(timed.layers, ranks):
        free = max(free, done) + exchange(size, ranks, network, timed.add)
    return max(0.0, free - timed.part)


def efficiency(timed, ranks, network, parts=1):
    """The share of an update's time for which a rank computes, where it has so many parts of the update."""
    computes = parts * timed.part + timed.update
    return computes / (computes + waiting(timed, ranks, network) + small_values(ranks, network))


def parts_for(timed, ranks, network, wanted=0.9):
    """The least power of two of parts for each rank with which the efficiency is as wanted."""
    return next(parts for parts in (2 ** i for i in range(21)) if efficiency(timed, ranks, network, parts) >= wanted)


def breaks(timed, network, wanted=0.5):
    """The least number of ranks at which the efficiency is below `wanted`; None where it never is, up to 1,024."""
    return next((k for k in (2 ** i for i in range(1, 11)) if efficiency(timed, k, network) < wanted), None)


def timed(known):
    """The times of one net as they stand in the file."""
    return Timed(tuple((size, done) for size, done in known["layers"]), known["part"], known["update"], known["add"])


def tables(nets):
    """The tables as Markdown. `nets` has the times of each net by its name, for one thread and for two."""
    return "\n".join([*_efficiencies(nets, 1), "", *_efficiencies(nets, FASTER), "", *_breaks(nets), "",
                      *_per_machine(nets)])


def _efficiencies(nets, times):
    yield _row(f"efficiency, {'this machine' if times == 1 else f'{times} times as fast'}", *(f"{k:,}" for k in RANKS))
    yield _row(*["---"] * (1 + len(RANKS)))
    for network in (ETHERNET, RDMA):
        for name in nets:
            net = timed(nets[name]["2"]).faster(times)
            yield _row(f"{TITLES[name]}, {network.name}",
                       *(f"{100 * efficiency(net, k, network):.0f} %" for k in RANKS))


def _breaks(nets):
    yield _row("", "below 90 % from", "below 50 % from", "iter_size for 90 % at 64 ranks", "at 1,024 ranks")
    yield _row(*["---"] * 5)
    for times in (1, FASTER):
        for network in (ETHERNET, RDMA):
            for name in nets:
                net = timed(nets[name]["2"]).faster(times)
                at = [breaks(net, network, wanted) for wanted in (0.9, 0.5)]
                yield _row(f"{TITLES[name]}, {network.name}" + (f", {times} times as fast" if times > 1 else ""),
                           *(f"{k:,} ranks" if k else "never" for k in at),
                           *(f"{parts_for(net, k, network):,}" for k in (64, RANKS[-1])))


def _per_machine(nets, machines=64):
    """Images per second of so many machines, with the same effective batch of one shard for each core."""
    cores = 2 * FASTER
    yield _row(f"images/s, {machines} machines of {cores} cores", f"a rank with {cores} threads on each",
               f"{cores} ranks with 1 thread on each")
    yield _row("---", "---", "---")
    for network in (ETHERNET, RDMA):
        for name in nets:
            one, many = timed(nets[name]["2"]).faster(FASTER), timed(nets[name]["1"])
            shared = Network(network.name, network.latency, network.per_byte, cores)
            seconds = ((cores * one.part + one.update) / efficiency(one, machines, network, cores),
                       (many.part + many.update) / efficiency(many, machines * cores, shared))
            yield _row(f"{TITLES[name]}, {network.name}",
                       *(f"{machines * cores * nets[name]['batch'] / one:,.0f}" for one in seconds))


def _row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def fitted(exchanges, add, ranks=2):
    """The network of which two exchanges have been timed: their seconds by the bytes. `add` is γ."""
    (small, first), (large, second) = sorted((int(size), seconds) for size, seconds in exchanges.items())
    share = (ranks - 1) / ranks
    slope = (second - first) / (large - small)
    per_byte = (slope / share - add) / 2
    return Network("shared memory", (first - slope * small) / (2 * (ranks - 1)), per_byte)


def record(names, engine="auto"):
    """Measure all times and write them into the file."""
    import machine
    from backward_times import recorded
    from timed_nets import NETS
    from transport import measured

    found = {name: {"batch": NETS[name][1], **{threads: recorded(name, threads, engine) for threads in (1, 2)}}
             for name in names}
    text = json.dumps({"machine": machine.machine(), "exchanges": measured(), "nets": found}, indent=1)
    RECORDED.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    if parser.parse_args().record:
        record(TITLES)
    known = json.loads(RECORDED.read_text(encoding="utf-8"))
    print(tables(known["nets"]))
    found = fitted(known["exchanges"], known["nets"]["lenet"]["2"]["add"])
    print(f"\ntwo ranks of one machine: α {1e6 * found.latency:.1f} µs, 1 / β {1e-9 / found.per_byte:.1f} GB/s")
