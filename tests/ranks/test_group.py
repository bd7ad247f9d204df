"""Small values travel between ranks, and what must be equal on all of them is checked."""

import logging

import numpy as np
import pytest
from net_tools import fully_connected, inputs, make
from thread_engine import World

from minicaffe.errors import SolverError
from minicaffe.ranks import group as group_module
from minicaffe.ranks.group import HEAD, ROOM, Ranks


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("length", [0, ROOM - 20, ROOM, 3 * HEAD])
def test_gather(ranks, length):
    """Values of any kind and length come in the order of the ranks, also where one alone is long."""

    def work(engine):
        group = Ranks(engine)
        before = engine.counts["allgather"]
        short = {"rank": engine.rank, "loss": [0.5, float("inf")]}
        found = group.gather("x" * length if engine.rank == ranks - 1 else short)
        return found, engine.counts["allgather"] - before

    for found, calls in World(ranks).run(work):
        assert found[-1] == "x" * length
        assert found[:-1] == [{"rank": rank, "loss": [0.5, float("inf")]} for rank in range(ranks - 1)]
        assert calls == (1 if length < ROOM - 19 else 2)


def test_broadcast():
    """All ranks get what rank 0 has given: short and long values, and arrays, which can be written to."""
    given = {"seed": 7, "text": "y" * 2 * HEAD,
             "arrays": [np.arange(5.0), np.zeros((0, 3)), np.arange(6).reshape(2, 3).T],
             "column": np.arange(6.0).reshape(2, 3)[:, 1]}

    def work(engine):
        group = Ranks(engine)
        assert group.broadcast(engine.rank + 40) == 40
        return group.broadcast(given if engine.rank == 0 else None)

    for found in World(4).run(work):
        assert (found["seed"], found["text"]) == (7, "y" * 2 * HEAD)
        for wanted, array in zip([*given["arrays"], given["column"]], [*found["arrays"], found["column"]], strict=True):
            np.testing.assert_array_equal(wanted, array)
            assert array.flags.writeable


def test_short_values_need_one_call():
    """A gather of what an update has to say is one call, and so is a broadcast."""

    def work(engine):
        group = Ranks(engine)
        before = dict(engine.counts)
        group.gather({"losses": [2.5] * 8, "counts": [64.0] * 8, "action": 1})
        group.broadcast([64.0, 63.0])
        return {kind: engine.counts[kind] - before[kind] for kind in before}

    assert World(2).run(work) == [{"allgather": 1, "alltoall": 0, "broadcast": 1}] * 2


def test_other_versions(monkeypatch):
    """All ranks refuse to train with another minicaffe, and say which ranks have which."""
    own = group_module.__version__
    told = []

    class Other(Ranks):
        def agree(self, facts, cure):
            super().agree({**facts, "minicaffe's version": "0.0"} if self.rank == 2 else facts, cure)

    def work(engine):
        with pytest.raises(SolverError) as error:
            Other(engine)
        told.append(str(error.value))

    World(4).run(work)
    assert len(told) == 4
    assert set(told) == {f"minicaffe's version differs between the ranks: it is {own} on rank 0 and 0.0 on rank 2\n"
                         "  hint: install the same on all machines; MINICAFFE_ENGINE chooses the kernel engine"}


def test_other_engines(monkeypatch):
    """All ranks must compute with the same kernel engine."""
    engines = iter(["plain", "numba"])
    monkeypatch.setattr(group_module.kernels, "engine", lambda: next(engines))

    def work(engine):
        with pytest.raises(SolverError, match="the kernel engine differs between the ranks: it is "):
            Ranks(engine)

    World(2).run(work)


def test_other_nets():
    """All ranks must train the same net with the same number type."""

    def work(dtype_of, sizes):
        def one(engine):
            group = Ranks(engine)
            net = make(inputs(x=[2, 3]) + fully_connected("x", "y", sizes[engine.rank]), dtype=dtype_of[engine.rank])
            with pytest.raises(SolverError) as error:
                group.exchange(net, net.learnable_params, True)
            return error.value.message

        return World(2).run(one)

    assert work([np.float32, np.float64], [5, 5]) == ["the number type differs between the ranks: it is float32 on "
                                                      "rank 0 and float64 on rank 1"] * 2
    assert work([np.float32] * 2, [5, 7]) == ["the list of the parameters' shapes differs between the ranks: it is "
                                              "[(5, 3), (5,)] on rank 0 and [(7, 3), (7,)] on rank 1"] * 2


def test_other_processors(monkeypatch, caplog):
    """Rank 0 warns where another rank's processor may round differently, once."""
    registers = iter(["16 of 8 numbers", "32 of 16 numbers", "32 of 16 numbers", "16 of 8 numbers"])
    monkeypatch.setattr(group_module, "_what_rounds", lambda: {"the processor's vector registers": next(registers)})

    class Fixed(Ranks):
        def gather(self, mine):
            found = super().gather(mine)
            return found if "the byte order" in mine else sorted(found, key=str)

    with caplog.at_level(logging.WARNING):
        World(4).run(Fixed)

    assert [record.getMessage() for record in caplog.records] == [
        "the processor's vector registers is 16 of 8 numbers on rank 0 and 32 of 16 numbers on rank 2: the weights may "
        "have other bits than those of another number of ranks"]


def test_what_rounds(each_engine):
    """What is compared is text, and has the registers where compiled kernels run."""
    found = group_module._what_rounds()

    assert all(isinstance(value, str) and value for value in found.values())
    assert ("the processor's vector registers" in found) is (each_engine == "numba")


def test_no_gather_during_an_exchange():
    """Another call of the same kind must not come between those of an exchange, for it would be taken for one."""
    net = make(inputs(x=[2, 3]) + fully_connected("x", "y", 5), dtype=np.float32)

    def work(engine):
        group = Ranks(engine)
        exchange = group.exchange(net, [], True)
        exchange.begin(lambda numbers: None)
        with pytest.raises(AssertionError, match="between the calls of an exchange"):
            group.gather(1)

    World(1).run(work)
