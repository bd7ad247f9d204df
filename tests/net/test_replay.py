"""Replayed forward passes give the bits of a pass layer by layer, whatever happens between passes."""

import copy
import gc
import os
import threading
import warnings
import weakref

import numpy as np
import pytest
from extras import needs, needs_tiles
from net_tools import convolution, fully_connected, inputs, layer, make

from minicaffe import TEST, TRAIN, blob, kernels, pycaffe
from minicaffe.layer import Layer, layer_class
from minicaffe.layers.activation.relu import ReLULayer

IMAGE = (2, 3, 11, 9)
BODY = (convolution("x", "a", 5, 3) + layer("ReLU", "a", "a", name="r") + layer("Split", "a", "left right", name="s")
        + convolution("left", "l", 4, 1) + layer("TanH", "l", "t") + layer("Concat", "t right", "c")
        + layer("Flatten", "c", "flat") + layer("Softmax", "flat", "p"))
ALEX = (inputs(x=IMAGE) + convolution("x", "a", 8, 5, name="conv1") + layer("ReLU", "a", "a", name="relu1")
        + layer("Pooling", "a", "p", "pooling_param { kernel_size: 3 stride: 2 }")
        + convolution("p", "b", 6, 3, name="conv2") + layer("ReLU", "b", "b", name="relu2")
        + fully_connected("b", "f", 7) + layer("Dropout", "f", "f", name="drop") + fully_connected("f", "g", 5)
        + layer("Softmax", "g", "prob"))
DETECTOR = (inputs(x=IMAGE) + convolution("x", "a", 10, 3) + layer("PReLU", "a", "a", name="pa")
            + convolution("a", "b", 16, 3) + layer("PReLU", "b", "b", name="pb") + convolution("b", "cls", 2, 1)
            + convolution("b", "box", 4, 1) + layer("Softmax", "cls", "prob"))
RESIDUAL = (inputs(x=IMAGE) + convolution("x", "a", 4, 1) + layer("BatchNorm", "a", "a", name="bn")
            + layer("Scale", "a", "a", "scale_param { bias_term: true }", name="sc")
            + layer("ReLU", "a", "a", name="r") + convolution("a", "b", 4, 3)
            + layer("Eltwise", "a b", "e") + layer("ReLU", "e", "e", name="re")
            + layer("Slice", "e", "u v", "slice_param { axis: 1 }") + layer("Silence", "v", "", name="quiet"))
IN_PLACE = (inputs(x=IMAGE) + convolution("x", "a", 6, 3) + layer("BatchNorm", "a", "a", name="bn")
            + layer("Scale", "a", "a", "scale_param { bias_term: true }", name="sc")
            + layer("ReLU", "a", "a", "relu_param { negative_slope: 0.125 }", name="r1") + layer("TanH", "a", "read")
            + layer("ReLU", "a", "rectified", name="r2") + layer("Pooling", "rectified", "p",
                                                                 "pooling_param { kernel_size: 2 }")
            + layer("ReLU", "p", "p", name="r3") + layer("Scale", "p", "p", name="sp"))
NETS = {"parts": inputs(x=IMAGE) + BODY, "alexnet": ALEX, "detector": DETECTOR, "residual": RESIDUAL,
        "in place": IN_PLACE}


@pytest.fixture(autouse=True)
def numba():
    """Use the engine that can be recorded; afterwards the process has its own engine again."""
    needs("numba")
    engine, threads = kernels.engine(), kernels.threads()
    kernels.use_engine("numba")
    yield
    kernels.use_engine(engine)
    kernels.set_threads(threads)


class Pair:
    """A net that replays and one that does not, with the same weights and inputs."""

    def __init__(self, text, phase=TEST, **options):
        self.played, self.plain = (make(text, phase, dtype=np.float32, **options) for _ in range(2))
        self.plain.replay = False
        self.plain.share_trained_layers_with(self.played)
        self.draw = np.random.default_rng(3)

    def feed(self, *shape):
        """New numbers in the inputs, of new sizes if given."""
        for name in self.played.inputs:
            for net in (self.played, self.plain):
                if shape:
                    net.blobs[name].reshape(shape)
            values = self.draw.standard_normal(net.blobs[name].shape)
            for net in (self.played, self.plain):
                net.blobs[name].data[...] = values

    def check(self, *shape, **ranges):
        """Feed both, run both, and compare every bit of every blob and the loss."""
        self.feed(*shape)
        want, got = (net.forward(**ranges) for net in (self.plain, self.played))

        assert want == got
        for name, one in self.plain.blobs.items():
            np.testing.assert_array_equal(one.data, self.played.blobs[name].data, name)

    def warm(self, times=3):
        """Pass a few times; after three there is a recording."""
        for _ in range(times):
            self.check()


def count_runs(net, monkeypatch):
    """A list to which each layer that runs in Python adds its index."""
    ran, before = [], net.run_layer

    def run_layer(i):
        ran.append(i)
        return before(i)

    monkeypatch.setattr(net, "run_layer", run_layer)
    return ran


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("threads", [1, 3])
def test_same_bits(name, threads):
    """Passes from the first to the fifth, on new inputs each, give every blob the same bits."""
    kernels.set_threads(threads)
    Pair(NETS[name]).warm(5)


def test_same_bits_around_a_layer_in_python(monkeypatch):
    """A replayed pass equals a computed one, too, where a layer between two recordings runs in Python."""
    monkeypatch.setattr(layer_class("TanH"), "recordable", False)
    Pair(NETS["parts"]).warm(5)


@pytest.mark.parametrize("region", ["norm_region: WITHIN_CHANNEL", "beta: 0.5"])
def test_an_lrn_that_numpy_computes(region, monkeypatch):
    """No compiled task computes this LRN, so it runs in Python between the recordings, and gives the same bits."""
    pair = Pair(inputs(x=IMAGE) + layer("ReLU", "x", "a") + layer("LRN", "a", "b", f"lrn_param {{ {region} }}")
                + layer("ReLU", "b", "c"))
    pair.warm(3)
    ran = count_runs(pair.played, monkeypatch)
    pair.check()

    assert ran == [pair.played.layer_index("b")]


def test_what_runs_in_python(monkeypatch):
    """The first two passes run each layer, and later ones only those that are in no recording."""
    needs_tiles()
    monkeypatch.setattr(layer_class("TanH"), "recordable", False)
    net = make(NETS["parts"], TEST, dtype=np.float32)
    ran, every = count_runs(net, monkeypatch), list(range(len(net.layers)))
    for want in (every, every, [net.layer_index("t")], [net.layer_index("t")]):
        net.forward()

        assert want == ran
        ran.clear()


def test_weights_may_change():
    """New weights, written in place, copied or by an update, count in the next pass."""
    pair = Pair(DETECTOR)
    pair.warm()
    for blobs in pair.played.params.values():
        for one in blobs:
            one.data[...] = pair.draw.standard_normal(one.shape)
    pair.check()
    pair.played.copy_trained_from(make(DETECTOR, TEST, dtype=np.float32).to_proto())
    pair.check()
    for param in pair.played.learnable_params:
        param.blob.diff[...] = 0.25
    pair.played.update()
    pair.check()


def test_held_views():
    """What a script writes into views of weights, statistics and scales that it holds counts in the next pass."""
    pair = Pair(IN_PLACE)
    views = [one.data for blobs in pair.played.params.values() for one in blobs]
    pair.warm()
    for view in views:
        view[...] = pair.draw.uniform(0.5, 2, view.shape)
        pair.check()


@pytest.mark.parametrize("taps", [3, 5])
def test_filters_may_change_in_any_pass(taps):
    """What a caller writes into the filters counts in the next pass: the first, the recorded and the replayed ones.

    These filters are transformed before they are multiplied. The caller holds the array from before the first pass.
    """
    text = inputs(x=(1, 16, 14, 9)) + convolution("x", "a", 32, taps) + convolution("a", "b", 16, taps)
    pair, source = Pair(text), make(text, TRAIN, dtype=np.float32)
    held = [pair.played.params[name][0].data for name in "ab"]
    for step in range(5):
        held[step % 2][-1, -1] += 0.5
        pair.check()
        held[step % 2][...] = held[step % 2][::-1].copy()
        pair.check()
    for net in (pair.played, pair.plain):
        net.copy_trained_from(source.to_proto())
    pair.check()
    for net in (pair.played, pair.plain):
        net.share_trained_layers_with(source)
    for _ in range(4):
        for param in source.learnable_params:
            param.blob.diff[...] = pair.draw.standard_normal(param.blob.shape)
        source.update()
        pair.check()
        want = np.empty_like(pair.plain.blobs["b"].data, np.float64)
        x, w, b = (a.astype(np.float64) for a in (
            pair.plain.blobs["a"].data, *(blob.data for blob in source.params["b"])))
        kernels.correlate.definition(x, w, b, (1, 1), (taps // 2, taps // 2), (1, 1), 1, want)

        np.testing.assert_allclose(pair.played.blobs["b"].data, want, rtol=0, atol=1e-5 * np.abs(want).max())


def test_statistics_may_change():
    """BatchNorm's statistics are read in each replay, also where their factor is 0."""
    pair = Pair(RESIDUAL)
    pair.warm()
    for values in ((0.5, 2.0, 4.0), (0.0, 0.0, 0.0)):
        for one, value in zip(pair.played.params["bn"], values, strict=True):
            one.data[...] = value
        pair.check()


@pytest.mark.parametrize("name", NETS)
def test_reshape_and_back(name):
    """Passes of a smaller and of a larger batch, and again of the first, are right."""
    if name == "alexnet":
        shapes = [(2, 3, 11, 9), (1, 3, 11, 9), (5, 3, 11, 9)]  # an InnerProduct fixes height and width
    else:
        shapes = [(2, 3, 11, 9), (1, 3, 5, 7), (5, 3, 13, 8)]
    pair = Pair(NETS[name])
    for i in (0, 0, 0, 1, 1, 1, 0, 2, 2, 2, 1, 0, 0, 1, 2, 0, 1, 2, 1, 1):
        pair.check(*shapes[i])


def test_sizes_in_turn(monkeypatch):
    """A net that sees the same sizes over and over replays a recording of each."""
    needs_tiles()
    sizes = [(1, 3, n, n - 2) for n in (12, 9, 7, 5)]
    pair = Pair(DETECTOR)
    for _ in range(3):
        for shape in sizes:
            pair.check(*shape)
    ran = count_runs(pair.played, monkeypatch)
    for shape in sizes:
        pair.check(*shape)

    assert [] == ran


def test_another_size_each_time(monkeypatch):
    """A net that is reshaped for each pass to a size that it has not seen records nothing."""
    pair = Pair(DETECTOR)
    ran = count_runs(pair.played, monkeypatch)
    for n in range(3, 12):
        pair.check(1, 3, n, n + 1)

    assert 9 * list(range(len(pair.played.layers))) == ran


def test_many_sizes(monkeypatch):
    """A net of more sizes than are remembered still computes, and remembers a bounded number."""
    monkeypatch.setattr("minicaffe.net.replay.MOST", 4)
    pair = Pair(DETECTOR)
    for n in [3, 3, *range(10, 3, -1), *range(10, 3, -1), 3, 4, 5, 3, 4, 5]:
        pair.check(1, 3, n, n + 1)

    assert len(pair.played._recorded[0]._states) <= 4


def test_shape_of_a_blob_within():
    """A top that the caller has reshaped gets its shape back."""
    pair = Pair(DETECTOR)
    pair.warm()
    pair.played.blobs["b"].reshape(1)
    pair.check()


def test_reshape_between():
    """Net.reshape, alone and after a larger shape that never ran, does no harm."""
    pair = Pair(NETS["residual"])
    pair.warm()
    pair.played.reshape()
    pair.check()
    pair.played.blobs["x"].reshape(7, 3, 21, 19)
    pair.played.reshape()
    pair.played.blobs["x"].reshape(*IMAGE)
    pair.check()
    pair.check()


def test_engine_may_change():
    """Each engine gives its own numbers, after a recording on the other too."""
    pair = Pair(ALEX)
    for name in ("numba", "numpy", "numba", "numpy", "numpy"):
        kernels.use_engine(name)
        pair.warm()


def test_numpy_records_nothing(monkeypatch):
    """An engine without compiled tasks runs every layer that computes, each time."""
    kernels.use_engine("numpy")
    net = make(DETECTOR, TEST, dtype=np.float32)
    for _ in range(3):
        net.forward()
    ran = count_runs(net, monkeypatch)
    net.forward()

    assert [i for i, one in enumerate(net.layers) if one.type not in ("Input", "Split")] == ran


def test_float64():
    """A float64 net, for which there are no compiled tasks, gives the same bits."""
    played, plain = (make(ALEX, TEST) for _ in range(2))
    plain.replay = False
    plain.share_trained_layers_with(played)
    for _ in range(4):
        for net in (played, plain):
            net.forward()

        np.testing.assert_array_equal(plain.blobs["prob"].data, played.blobs["prob"].data)


def run_in_thread(function):
    """Run a function in a thread of its own; its error is raised here."""
    errors = []

    def run():
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    if errors:
        raise errors[0]
    assert not thread.is_alive()


def test_from_another_thread():
    """A recording is replayed in the thread whose memory it uses; others make their own."""
    pair = Pair(DETECTOR)
    pair.warm()
    run_in_thread(pair.warm)
    pair.warm()


def test_two_nets_in_two_threads():
    """Nets replayed at the same time in two threads do not use the same borrowed memory."""
    pairs = [Pair(DETECTOR), Pair(ALEX)]
    for pair in pairs:
        pair.warm()

    other = threading.Thread(target=lambda: pairs[1].warm(40) or done.append(True), daemon=True)
    done = []
    other.start()
    pairs[0].warm(40)
    other.join(60)

    assert [True] == done


def test_hooks():
    """Hooks are called for every layer as soon as there are some, and no longer."""
    pair = Pair(DETECTOR)
    pair.warm()
    seen = []
    pair.played.after_layer.append(seen.append)
    pair.check()
    pair.check()
    pair.played.after_layer.clear()
    pair.check()

    assert 2 * list(range(len(pair.played.layers))) == seen


def test_switched_off(monkeypatch):
    """`replay = False` runs every layer, and then a change of a layer has its effect."""
    pair = Pair(NETS["parts"])
    pair.warm()
    for net in (pair.played, pair.plain):
        net.layers[net.layer_index("r")].alpha = 0.5
        net.replay = False
    ran = count_runs(pair.played, monkeypatch)
    pair.check()

    assert list(range(len(pair.played.layers))) == ran


def test_part_of_a_net():
    """A range of layers is replayed too, and touches nothing else."""
    pair = Pair(ALEX)
    for _ in range(4):
        pair.check(stop="conv2")
        pair.check(start="relu2")
        pair.check()


def test_loss():
    """Losses of a test net count, and the gradients after a replayed pass are right."""
    pair = Pair("force_backward: true\n" + inputs(y=(2, 5)) + ALEX
                + layer("EuclideanLoss", "prob y", "loss", "loss_weight: 3"))
    for _ in range(4):
        pair.check()
        for net in (pair.played, pair.plain):
            net.clear_param_diffs()
            net.backward()
        for mine, theirs in zip(pair.plain.all_params, pair.played.all_params, strict=True):
            np.testing.assert_array_equal(mine.blob.diff, theirs.blob.diff)
        np.testing.assert_array_equal(pair.plain.blobs["x"].diff, pair.played.blobs["x"].diff)


def test_test_net_follows_training_net(monkeypatch):
    """Training and testing in turn keeps the recording, and a replay sees each update."""
    needs_tiles()
    train = make(inputs(y=(2, 2, 11, 9)) + DETECTOR + layer("EuclideanLoss", "prob y", "loss"), TRAIN,
                 dtype=np.float32)
    pair = Pair(DETECTOR)
    for net in (pair.played, pair.plain):
        net.share_trained_layers_with(train)
    for step in range(6):
        train.clear_param_diffs()
        train.forward_backward()
        train.update()
        if step == 3:
            ran, before = count_runs(pair.played, monkeypatch), blob.changes
        pair.check()

    assert [] == ran
    assert before == blob.changes


def test_subclass_does_not_replay():
    """A subclass of a recordable layer runs in Python until it says itself that it is recordable."""
    class Loud(ReLULayer):
        def forward(self, bottom, top):
            super().forward(bottom, top)
            top[0].data[...] *= 2

    assert (True, False) == (ReLULayer.recordable, Loud.recordable)
    assert Layer.recordable is False


def test_a_forward_put_in_the_place_of_the_classes():
    """A layer whose `forward` a caller has wrapped runs in Python."""
    pair = Pair(NETS["parts"])
    for net in (pair.played, pair.plain):
        one = net.layers[net.layer_index("r")]
        one.forward = lambda bottom, top, forward=one.forward: forward(bottom, top) or top[0].data.__imul__(2)
    pair.warm(4)


@pytest.mark.parametrize("name", NETS)
def test_a_copy(name):
    """A deep copy computes as the original does, and in memory of its own."""
    pair = Pair(NETS[name])
    pair.warm()
    before = {key: one.data.copy() for key, one in pair.played.blobs.items()}
    copies = Pair.__new__(Pair)
    copies.played, copies.plain, copies.draw = copy.deepcopy(pair.played), copy.deepcopy(pair.plain), pair.draw
    for net in (copies.played, copies.plain):
        for blobs in net.params.values():
            blobs[0].data[...] *= 0.5
    copies.warm(5)

    for key, values in before.items():
        np.testing.assert_array_equal(values, pair.played.blobs[key].data)
    pair.warm()


def test_error_in_the_middle():
    """An error of a layer between recordings names the layer, and the next pass is right."""
    text = inputs(x=IMAGE, n=(2,)) + convolution("x", "a", 5, 3) + layer(
        "BatchReindex", "a n", "b") + layer("ReLU", "b", "c")
    net = make(text, TEST, dtype=np.float32)
    for i in range(5):
        net.blobs["n"].data[...] = [1, 0]
        net.forward()
        np.testing.assert_array_equal(np.maximum(net.blobs["a"].data[[1, 0]], 0), net.blobs["c"].data)
        net.blobs["n"].data[...] = [1, 2]
        if i in (0, 3):
            with pytest.raises(Exception, match="layer 'b'"):
                net.forward()


def test_shapes_that_depend_on_values():
    """Where a layer in the middle changes its top's shape, the layers behind it run in Python."""
    text = inputs(x=IMAGE, n=(2,)) + convolution("x", "a", 5, 3) + layer(
        "Filter", "a n", "b") + convolution("b", "c", 2, 1)
    pair = Pair(text)
    for chosen in ([1, 1], [1, 1], [1, 1], [0, 1], [1, 0], [1, 1], [0, 1], [0, 1], [1, 1], [1, 0]):
        for net in (pair.played, pair.plain):
            net.blobs["x"].data[...] = 0.5 + chosen[0]
            net.blobs["n"].data[...] = chosen
            net.forward()

        np.testing.assert_array_equal(pair.plain.blobs["c"].data, pair.played.blobs["c"].data)


def test_shared_weights_taken_later():
    """Sharing another net's memory after a recording is noticed."""
    pair, source = Pair(ALEX), make(ALEX, TEST, dtype=np.float32)
    pair.warm()
    for net in (pair.played, pair.plain):
        net.share_trained_layers_with(source)
    pair.check()
    source.params["conv1"][0].data[...] = 0.125
    pair.check()


def test_reused_memory():
    """A net whose blobs share memory is replayed with the same result."""
    plain = make(DETECTOR, TEST, dtype=np.float32)
    played = make(DETECTOR, TEST, dtype=np.float32, reuse_memory=True)
    played.share_trained_layers_with(plain)
    plain.replay = False
    for _ in range(4):
        for net in (plain, played):
            net.blobs["x"].data[...] = np.random.default_rng(5).standard_normal(IMAGE)
            net.forward()

        np.testing.assert_array_equal(plain.blobs["prob"].data, played.blobs["prob"].data)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork():
    """A child process replays what its parent recorded, on threads of its own."""
    kernels.set_threads(3)
    pair = Pair(ALEX)
    pair.warm()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            pair.warm(5)
            status = 0
        finally:
            os._exit(status)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    pair.check()


def test_a_net_that_is_gone_frees_its_memory():
    """No recording keeps a net alive, not even until the garbage collector comes."""
    net = make(DETECTOR, TEST, dtype=np.float32)
    for _ in range(3):
        net.forward()
    gone = weakref.ref(net)
    gc.disable()
    try:
        del net
    finally:
        gc.enable()

    assert gone() is None


def test_pycaffe_face():
    """The forward of pycaffe returns the outputs of a replayed pass."""
    nets = [pycaffe.Net(make(DETECTOR, TEST).param, TEST) for _ in range(2)]
    nets[1].replay = False
    nets[1].share_with(nets[0])
    for i in range(4):
        image = np.random.default_rng(i).standard_normal(IMAGE).astype(np.float32)
        got, want = (net.forward(blobs=["a"], x=image) for net in nets)

        assert set(want) == set(got)
        for name, values in want.items():
            np.testing.assert_array_equal(values, got[name])

