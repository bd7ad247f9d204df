"""The gradients of several ranks are added up in the tree of halves, whatever the time of each rank and the buckets."""

import numpy as np
import pytest
from net_tools import fully_connected, inputs, layer, make
from thread_engine import World
from thread_group import total

from minicaffe.ranks import buckets
from minicaffe.ranks.exchange import AllReduce
from minicaffe.ranks.group import Ranks

SHARED = 'param { name: "w" } param { name: "b" }'
# no size is a multiple of another; two layers share their parameters, two layers below the first learn nothing
DEEP = (inputs(x=[3, 5], t=[3, 4])
        + fully_connected("x", "fixed", 6, "param { lr_mult: 0 } param { lr_mult: 0 }")
        + fully_connected("fixed", "a", 11)
        + fully_connected("a", "b", 11, SHARED)
        + layer("TanH", "b", "b", name="tanh")
        + fully_connected("b", "c", 11, SHARED)
        + fully_connected("c", "y", 4)
        + layer("EuclideanLoss", "y t", "loss"))


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch):
    """Buckets of some twenty numbers, so that these nets have many."""
    monkeypatch.setattr(buckets, "BUCKET", 80)
    monkeypatch.setattr(buckets, "CHUNK", 4)


def twins(count, dtype=np.float32):
    """Nets with the same weights."""
    made = [make(DEEP, dtype=dtype) for _ in range(count)]
    for net in made[1:]:
        net.share_trained_layers_with(made[0])
    return made


def feed(net, rank, update):
    draw = np.random.default_rng([rank, update])
    for name in net.inputs:
        net.blobs[name].data[...] = draw.standard_normal(net.blobs[name].shape)


def pass_of(net, rank, update):
    """One pass, as a solver makes it. Return the diffs."""
    net.clear_param_diffs()
    feed(net, rank, update)
    net.forward()
    net.backward()
    return [param.blob.diff.copy() for param in net.learnable_params]


def exchanged(net, engine, updates, overlap):
    """The diffs after each update, what `before` was told, and the bytes sent when backward and `finish` were over."""
    group = Ranks(engine)
    exchange = group.exchange(net, net.learnable_params, overlap)
    found, told, sent = [], [], []
    for update in range(updates):
        exchange.begin(lambda numbers: told.append(list(numbers)))
        pass_of(net, engine.rank, update)
        sent.append(exchange.bytes_sent)
        exchange.finish()
        sent.append(exchange.bytes_sent)
        found.append([param.blob.diff.copy() for param in net.learnable_params])
    return found, told, sent, exchange


def same_bits(a, b):
    return [x.tobytes() for x in a] == [x.tobytes() for x in b]


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_sums_are_those_of_the_tree(ranks, dtype, overlap):
    """However fast each rank is, all have the sums of the tree, in passes in Python and in replayed ones."""
    updates = 4
    plain, *nets = twins(1 + ranks, dtype)

    results = World(ranks, most_delay=5).run(lambda engine: exchanged(nets[engine.rank], engine, updates, overlap))

    for update in range(updates):
        gradients = [pass_of(plain, rank, update) for rank in range(ranks)]
        wanted = [total(list(of_one)) for of_one in zip(*gradients, strict=True)]
        assert all(same_bits(wanted, found[update]) for found, *_ in results)
    for _, told, sent, exchange in results:
        count = len(plain.learnable_params)
        assert sorted(i for numbers in told for i in numbers) == sorted(list(range(count)) * updates)
        assert (sent[0::2] == sent[1::2]) is overlap  # all is sent during backward, or nothing
        assert sent[-1] == updates * sent[1] > 0
        assert exchange.seconds_waited > 0
        assert (exchange.seconds_in_hooks > 0) is overlap


def test_what_was_computed_before_is_sent_with_it():
    """What `before` adds to the diffs is in the sums; it is told of gradients that are complete, and of each once."""
    plain, *nets = twins(3)

    def work(engine):
        net = nets[engine.rank]
        params = net.learnable_params
        exchange = Ranks(engine).exchange(net, params, True)
        seen = {}

        def before(numbers):
            for i in numbers:
                seen[i] = params[i].blob.diff.copy()
                params[i].blob.diff[...] += 100 * (i + 1)

        exchange.begin(before)
        pass_of(net, engine.rank, 0)
        exchange.finish()
        return seen, [param.blob.diff.copy() for param in params]

    results = World(2).run(work)

    own = [pass_of(plain, rank, 0) for rank in range(2)]
    for rank, (seen, _) in enumerate(results):
        assert same_bits(own[rank], [seen[i] for i in range(len(seen))])
    learning = range(2, len(own[0]))  # the first two parameters are computed nowhere, so nobody sends them
    wanted = [(own[0][i] + np.float32(100 * (i + 1))) + (own[1][i] + np.float32(100 * (i + 1))) for i in learning]
    assert all(same_bits(wanted, diffs[2:]) for _, diffs in results)


def test_other_passes_are_left_alone():
    """Only the passes between `begin` and `finish` are exchanged: a rank may run others before and after."""
    plain, *nets = twins(3)

    def work(engine):
        net = nets[engine.rank]
        exchange = Ranks(engine).exchange(net, net.learnable_params, True)
        before = pass_of(net, engine.rank, 0)
        exchange.begin(lambda numbers: None)
        pass_of(net, engine.rank, 1)
        exchange.finish()
        sent = exchange.bytes_sent
        after = pass_of(net, engine.rank, 2)
        return before, after, exchange.bytes_sent - sent

    for rank, (before, after, sent) in enumerate(World(2).run(work)):
        assert same_bits(pass_of(plain, rank, 0), before)
        assert same_bits(pass_of(plain, rank, 2), after)
        assert sent == 0


@pytest.mark.parametrize("ranks", [2, 4])
def test_diffs_without_a_number(ranks):
    """Parameters of no elements, and nets without any parameter, need no bucket and make no call."""
    net = make(inputs(x=[2, 3]) + layer("Sigmoid", "x", "y"), dtype=np.float32)

    def work(engine):
        exchange = Ranks(engine).exchange(net, [], True)
        exchange.begin(lambda numbers: pytest.fail("there is no parameter"))
        exchange.finish()
        return engine.counts["alltoall"], exchange.bytes_sent

    assert World(ranks).run(work) == [(0, 0)] * ranks


def test_buckets_follow_the_backward_pass():
    """Each bucket has gradients of the last layers first, is no larger than asked, and holds each number once."""
    net = make(DEEP, dtype=np.float32)
    params = net.learnable_params
    after = buckets.complete_after(net, params)
    made = buckets.in_buckets(net, params, after, 4)

    names = net.layer_names
    shared = [names.index("b")] * 2
    assert after == [names.index("fixed")] * 2 + [names.index("a")] * 2 + shared + [names.index("y")] * 2
    assert [bucket.layer for bucket in made] == sorted((bucket.layer for bucket in made), reverse=True)
    assert all(bucket.size <= 20 and bucket.size % 4 == 0 for bucket in made)
    held = {i: np.zeros(params[i].blob.count, int) for i in range(len(params))}
    for bucket in made:
        for piece in bucket.pieces:
            i = next(i for i, param in enumerate(params) if param is piece.param)
            held[i][piece.start:piece.stop] += 1
            assert after[i] >= bucket.layer
    assert all((held[i] == (i > 1)).all() for i in held)


def test_large_groups_have_large_buckets(monkeypatch):
    """With many ranks a bucket is larger, so that the chunk of each is not too small."""
    monkeypatch.setattr(buckets, "CHUNK", 16)
    net = make(DEEP, dtype=np.float64)
    made = buckets.in_buckets(net, net.learnable_params, buckets.complete_after(net, net.learnable_params), 64)

    assert max(bucket.size for bucket in made) == 128


def test_a_diff_that_has_moved():
    """A diff whose memory was replaced between two updates is sent from where it is then."""
    plain, *nets = twins(3)

    def work(engine):
        mine = nets[engine.rank]
        params = mine.learnable_params
        exchange = Ranks(engine).exchange(mine, params, True)
        for update in range(2):
            exchange.begin(lambda numbers: None)
            pass_of(mine, engine.rank, update)
            exchange.finish()
            found = [param.blob.diff.copy() for param in params]
            for param in params:
                param.blob.storages[1].buffer = None
        return found

    found = World(2).run(work)

    wanted = [total(list(pair)) for pair in zip(*(pass_of(plain, rank, 1) for rank in range(2)), strict=True)]
    assert all(same_bits(wanted, one) for one in found)


def test_hooks_are_few():
    """A hook cuts a recording, so there is one only where a bucket is complete, or where others may be under way."""
    net = make(DEEP, dtype=np.float32)
    before = len(net.after_backward)
    World(1).run(lambda engine: AllReduce(engine, net, net.learnable_params, False))
    assert len(net.after_backward) == before
    World(1).run(lambda engine: AllReduce(engine, net, net.learnable_params, True))
    hook = net.after_backward[-1]
    names = [net.layer_names[i] for i in sorted(hook.layers)]

    assert names == ["a", "b", "y"]
