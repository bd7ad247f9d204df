"""Blobs of a forward-only net share memory: results stay, no two use it at one time, and how much it takes."""

from itertools import pairwise

import numpy as np
import pytest
from net_tools import convolution, fully_connected, inputs, layer, make

from minicaffe import TEST, TRAIN, Net, rng
from minicaffe.analysis.cost import cost
from minicaffe.errors import NetError
from minicaffe.layer import Layer
from minicaffe.net import memory_plan
from minicaffe.net.memory_plan import Interval
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

RESIDUAL = (inputs(x=(3, 4, 6, 5)) + convolution("x", "a", 4, 3) + layer("ReLU", "a", "a", name="ra")
            + convolution("a", "b", 4, 3) + layer("Eltwise", "b x", "s") + layer("ReLU", "s", "s", name="rs")
            + convolution("s", "c", 4, 3) + layer("Eltwise", "c s", "t") + convolution("t", "d", 7, 1))
TOPOLOGIES = {
    "chain": inputs(x=(3, 4)) + fully_connected("x", "a", 9) + layer("Sigmoid", "a", "b")
             + fully_connected("b", "c", 8) + layer("TanH", "c", "d") + fully_connected("d", "e", 5)
             + layer("Softmax", "e", "p"),
    "in-place chain": inputs(x=(3, 2, 4, 5)) + convolution("x", "a", 6, 3)
                      + "".join(layer(kind, "a", "a", name=kind) for kind in ("BatchNorm", "Scale", "ReLU", "Dropout"))
                      + convolution("a", "b", 2, 3) + layer("ELU", "b", "b", name="elu") + convolution("b", "c", 5, 3)
                      + layer("AbsVal", "c", "c", name="abs") + fully_connected("c", "d", 4),
    "residual sums": RESIDUAL,
    "branches": inputs(x=(3, 2, 4, 5)) + convolution("x", "a", 3, 3) + convolution("a", "b", 4, 1)
                + convolution("a", "c", 6, 3) + layer("Pooling", "a", "d", "pooling_param { kernel_size: 3 stride: 1 "
                                                      "pad: 1 }")
                + layer("Concat", "b c d", "e") + layer("Slice", "e", "f g h", "slice_param { slice_point: [2, 7] }")
                + convolution("f", "i", 3, 3) + layer("Eltwise", "i i", "j") + layer("Concat", "h j g", "k"),
    "views": inputs(x=(3, 2, 4, 5)) + convolution("x", "a", 6, 3) + layer("Flatten", "a", "f")
             + fully_connected("f", "b", 8)
             + layer("Reshape", "f", "r", "reshape_param { shape { dim: 0 dim: 4 dim: -1 } }")
             + layer("Split", "r", "r1 r2") + layer("Power", "r1", "q", "power_param { scale: 2 }")
             + layer("Eltwise", "q r2", "s") + fully_connected("s", "t", 8) + layer("Eltwise", "b t", "u"),
    "losses": inputs(x=(3, 4), y=(3, 2), z=(3, 2)) + fully_connected("x", "a", 6) + layer("ReLU", "a", "a", name="r")
              + fully_connected("a", "b", 2) + layer("EuclideanLoss", "b y", "one") + fully_connected("a", "c", 2)
              + layer("EuclideanLoss", "c z", "two", "loss_weight: 0.5") + layer("Sigmoid", "c", "s")
              + layer("Reduction", "s", "three", "loss_weight: 2"),
    "recurrent": inputs(x=(4, 2, 3), go=(4, 2)) + layer("TanH", "x", "a")
                 + layer("LSTM", "a go", "h", 'recurrent_param { num_output: 5 weight_filler { type: "gaussian" } }')
                 + layer("RNN", "h go", "o", 'recurrent_param { num_output: 3 weight_filler { type: "gaussian" } }')
                 + layer("Power", "o", "y", "power_param { power: 2 }") + layer("TanH", "y", "z"),
    "late input": inputs(x=(3, 4), late=(3, 9)) + fully_connected("x", "a", 9) + fully_connected("a", "b", 9)
                  + fully_connected("b", "c", 9) + layer("Eltwise", "c late", "d") + layer("TanH", "d", "e"),
    "constant source": inputs(x=(3, 4)) + layer("DummyData", "", "one", "dummy_data_param { shape { dim: 3 dim: 4 } "
                       "data_filler { value: 3 } }") + layer("TanH", "x", "a") + layer("Eltwise", "a one", "b")
                       + layer("TanH", "b", "c") + layer("TanH", "c", "d"),
    "learned top": inputs(x=(3, 4)) + layer("Parameter", "", "w", "parameter_param { shape { dim: 3 dim: 4 } }")
                   + layer("Power", "w", "v", "power_param { shift: 1 }") + layer("Eltwise", "x v", "a")
                   + layer("TanH", "a", "b") + layer("TanH", "b", "c"),
    "LRN": inputs(x=(2, 6, 4, 5)) + layer("LRN", "x", "a") + layer("LRN", "a", "a", name="again")
           + convolution("a", "b", 7, 3) + layer("PReLU", "b", "b", name="p") + layer("LRN", "b", "c")
           + layer("Pooling", "c", "d", "pooling_param { kernel_size: 2 stride: 2 }") + layer("TanH", "d", "e"),
}
TOPOLOGIES["constant source"] = TOPOLOGIES["constant source"].replace(' bottom: ""', "")


def outputs(net, passes=4):
    """The outputs of some passes over changing inputs; the later ones are replayed."""
    rng.seed(11)
    draw, found = np.random.default_rng(5), []
    for _ in range(passes):
        for name in net.inputs:
            net.blobs[name].data[...] = draw.standard_normal(net.blobs[name].shape)
        found.append([net.forward(), *(net.blobs[name].data.copy() for name in net.outputs)])
    return found


def both(text, dtype=np.float32, phase=TEST, **options):
    """A net without and one with reuse, of the same weights."""
    plain = make(text, phase, dtype)
    reusing = make(text, phase, dtype, reuse_memory=True, **options)
    for mine, theirs in zip(plain.all_params, reusing.all_params, strict=True):
        theirs.blob.data[...] = mine.blob.data
    return plain, reusing


def assert_same(expected, found):
    """Bit for bit."""
    for one, other in zip(expected, found, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("phase", [TEST, TRAIN])
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_same_bits(name, phase, dtype):
    """Sharing memory changes no bit of any output, in passes over different inputs."""
    plain, reusing = both(TOPOLOGIES[name], dtype, phase)

    assert_same(outputs(plain), outputs(reusing))
    assert cost(reusing).activations < cost(plain).activations


def random_net(draw):
    """A net of 12 layers on random earlier blobs of one shape: sums, splits, views, in-place and other functions."""
    text, made = inputs(x0=(3, 4, 2), x1=(3, 4, 2)), ["x0", "x1"]
    for i in range(12):
        a, b = draw.choice(made, 2)
        kind = draw.choice(["Eltwise", "TanH", "Sigmoid", "ReLU", "Concat", "Reshape", "in place"])
        if kind == "in place":
            text += layer("TanH", a, f"t{i}") + layer("Power", f"t{i}", f"t{i}", "power_param { shift: 1 }", f"p{i}")
        elif kind == "Concat":
            text += layer("Concat", f"{a} {b}", f"c{i}") + layer("Slice", f"c{i}", f"t{i} u{i}", name=f"s{i}")
            made.append(f"u{i}")
        elif kind == "Reshape":
            text += layer("Flatten", a, f"f{i}") + layer(
                "Reshape", f"f{i}", f"t{i}", "reshape_param { shape { dim: 0 dim: 4 dim: 2 } }")
        else:
            text += layer(kind, f"{a} {b}" if kind == "Eltwise" else a, f"t{i}")
        made.append(f"t{i}")
    return text


@pytest.mark.parametrize("seed", range(25))
def test_random_nets(seed):
    """In random nets no two blobs in use at one time share memory, by a count that knows nothing
    of the plan: the last writer of every byte that a layer reads is the one that the wiring names."""
    plain, reusing = both(random_net(np.random.default_rng(seed)))
    writer = {}
    for i in range(len(reusing.layers)):
        for blob, other in zip(reusing.bottoms[i], plain.bottoms[i], strict=True):
            assert other.storages[0] is writer[blob.storages[0]]
        for blob, other in zip(reusing.tops[i], plain.tops[i], strict=True):
            writer[blob.storages[0]] = other.storages[0]

    assert_same(outputs(plain), outputs(reusing))


def most_in_use(intervals):
    """The most elements in use at one layer, without those that are kept. No plan can do with fewer."""
    moving = [one for one in intervals if not one.kept]
    return max((sum(one.count for one in moving if one.first <= i <= one.last)
                for i in {one.first for one in moving}), default=0)


@pytest.mark.parametrize("seed", range(25))
def test_buffers(seed):
    """A plan of random live intervals gives each one buffer, in which none overlaps another, and no
    buffer is smaller than what it holds. And the plan never needs less than is in use at one time."""
    draw = np.random.default_rng(seed)
    intervals = []
    for first in draw.integers(0, 20, 30):
        blobs = [make(inputs(x=(int(draw.integers(1, 50)),)))._blobs[0]]
        intervals.append(Interval(blobs, int(first), int(first + draw.integers(0, 6)), bool(draw.random() < 0.2)))
    buffers = memory_plan.assign(intervals)
    size = sum(buffer[0].count for buffer in buffers)

    assert sorted(id(one) for one in intervals if not one.kept) == sorted(id(one) for buffer in buffers
                                                                          for one in buffer)
    for buffer in buffers:
        assert max(one.count for one in buffer) == buffer[0].count
        times = sorted((one.first, one.last) for one in buffer)
        assert all(before[1] < after[0] for before, after in pairwise(times))
    assert most_in_use(intervals) <= size <= 1.35 * most_in_use(intervals)


CHAIN = inputs(x=(2, 4)) + "".join(fully_connected(*pair) for pair in (
    ("x", "a", 8), ("a", "b", 3), ("b", "c", 9), ("c", "d", 5), ("d", "e", 2)))


def groups(net):
    """The names of blobs that share memory, the largest group's first."""
    found = {}
    for name, blob in zip(net.wiring.blob_names, net._blobs, strict=True):
        found.setdefault(blob.storages[0], []).append(name)
    return sorted(found.values())


def test_a_chain_takes_two():
    """The plan of a chain by hand: its blobs take turns in two memories, each as large as its largest,
    and input and output have their own."""
    net = make(CHAIN, TEST, np.float32, reuse_memory=True)

    assert [["a", "c"], ["b", "d"], ["e"], ["x"]] == groups(net)
    assert 2 * 4 * (9 + 5 + 4 + 2) == cost(net).activations


def test_keep():
    """A blob named in keep has memory of its own and can be asked for, with all its views."""
    plain, reusing = both(CHAIN, keep=["b"])
    outputs(plain)
    outputs(reusing)

    assert ["x", "b", "e"] == list(reusing.blobs)
    np.testing.assert_array_equal(plain.blobs["b"].data, reusing.blobs["b"].data)
    held = make(TOPOLOGIES["views"], TEST, reuse_memory=True, keep=["a"]).blobs
    assert {"a", "f", "r", "r1", "r2"} <= set(held)


@pytest.mark.parametrize(("ask", "message"), [
    (lambda net: net.blobs["c"], "blob 'c' does not hold its values.*\n.*keep=\\['c'\\]"),
    (lambda net: net.backward(), "net '' was made with reuse_memory: it keeps nothing"),
    (lambda net: make(CHAIN, TEST, reuse_memory=True, keep=["bb"]), "has no blob 'bb' to keep\n.*'b'"),
], ids=["reused blob", "backward", "unknown name"])
def test_errors(ask, message):
    """What a net that reuses its memory cannot give is an error that names the cure."""
    net = make(CHAIN, TEST, reuse_memory=True)

    with pytest.raises(NetError, match=message):
        ask(net)
    with pytest.raises(KeyError):
        net.blobs["nobody"]


@pytest.mark.parametrize("name", ["branches", "residual sums", "views", "LRN"])
def test_other_sizes(name):
    """Larger and then smaller inputs give what a net without reuse gives."""
    plain, reusing = both(TOPOLOGIES[name])
    for batch in (3, 7, 2, 5):
        for net in (plain, reusing):
            net.blobs["x"].reshape(batch, *net.blobs["x"].shape[1:])
            net.reshape()

        assert_same(outputs(plain), outputs(reusing))


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_forecast_is_what_a_run_takes(name):
    """The forecast for shapes alone is what the net then holds in data and scratch."""
    text = TOPOLOGIES[name]
    forecast = cost(Net(proto_text.parse(text, NetParameter()), TEST, shapes_only=True, reuse_memory=True))
    net = make(text, TEST, np.float32, reuse_memory=True)
    learned = {param.blob.storages[0] for param in net.all_params}
    outputs(net)
    taken = {blob.storages[0] for blob in net._blobs} - learned

    assert forecast.activations == sum(storage.buffer.nbytes for storage in taken)
    assert forecast.own == sum({id(a): a.nbytes for made in net.layers for a in made.scratch_arrays}.values())


def test_scratch_is_shared():
    """Layers which keep nothing for backward use one scratch memory, of the largest one's size."""
    text = inputs(x=(2, 3, 8, 6)) + layer("ReLU", "x", "a") + layer(
        "Pooling", "a", "b", "pooling_param { kernel_size: 2 stride: 2 }") + layer("ReLU", "b", "c")
    net = make(text, TEST, np.float32)

    assert not any(net.plan.layers)
    assert 1 >= len({id(array) for made in net.layers for array in made.scratch_arrays})
    assert 2 * 3 * 8 * 6 >= cost(net).own


class KeepsItsTop(Layer):
    """A user's layer that adds each bottom to what its top holds already."""

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        top[0].data[...] += bottom[0].data


def test_python_layers_keep_their_tops():
    """A Python layer, of which nobody knows what it expects of its top, has memory of its own."""
    text = CHAIN.replace('bottom: "c"', 'bottom: "sum"') + layer(
        "Python", "c", "sum", f'python_param {{ module: "{__name__}" layer: "KeepsItsTop" }}')
    first, python, last = text.split('layer { name: "d"')[0], text[text.index('layer { name: "sum"'):], text[
        text.index('layer { name: "d"'):text.index('layer { name: "sum"')]
    plain, reusing = both(first + python + last)

    assert_same(outputs(plain), outputs(reusing))
    assert "sum" in reusing.blobs
