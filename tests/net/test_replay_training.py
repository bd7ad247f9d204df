"""Replayed passes at TRAIN, and replayed updates, give the bits of a step layer by layer."""

import copy

import numpy as np
import pytest
from extras import needs, needs_tiles
from net_tools import convolution, fully_connected, inputs, layer

from minicaffe import TEST, LayerError, Net, kernels
from minicaffe.layer import Layer, registry
from minicaffe.net import hooks
from minicaffe.proto import SolverParameter
from minicaffe.proto import text as proto_text
from minicaffe.solvers import get_solver

IMAGE, CLASSES = (9, 3, 12, 10), 5  # 9 images: a whole vector of them, and one beside it
LENET = (inputs(x=IMAGE, t=IMAGE[:1]) + convolution("x", "a", 6, 3)
         + layer("Pooling", "a", "p", "pooling_param { kernel_size: 2 stride: 2 }") + convolution("p", "b", 7, 3)
         + fully_connected("b", "f", 11) + layer("ReLU", "f", "f", name="r") + fully_connected("f", "g", CLASSES)
         + layer("SoftmaxWithLoss", "g t", "loss"))


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
    """A solver that replays and one that does not, with the same weights and inputs."""

    def __init__(self, net, fields="", **options):
        text = f'net_param {{ {net} }} base_lr: 1e-6 lr_policy: "inv" gamma: 0.1 power: 0.7 random_seed: 3 {fields}'
        self.played, self.plain = (get_solver(proto_text.parse(text, SolverParameter()), **options) for _ in range(2))
        self.plain.net.replay = False
        self.nets = self.played.net, self.plain.net
        self.draw = np.random.default_rng(3)

    def feed(self, batch=None):
        """New numbers in the inputs, of another batch size if given; those named t are labels."""
        for name in self.played.net.inputs:
            for net in self.nets:
                if batch:
                    net.blobs[name].reshape(batch, *net.blobs[name].shape[1:])
            shape = self.played.net.blobs[name].shape
            values = (self.draw.integers(CLASSES, size=shape) if name.startswith("t")
                      else self.draw.standard_normal(shape))
            for net in self.nets:
                net.blobs[name].data[...] = values

    def check(self, batch=None):
        """Feed both, make a step of both, and compare every bit of losses, blobs and diffs."""
        self.feed(batch)
        for solver in (self.plain, self.played):
            solver.step(1)
        self.compare()

    def compare(self):
        assert self.plain.loss == self.played.loss
        played, plain = self.nets
        for name, one in plain.blobs.items():
            np.testing.assert_array_equal(one.data, played.blobs[name].data, name)
            np.testing.assert_array_equal(one.diff, played.blobs[name].diff, name)
        for mine, theirs in zip(plain.all_params, played.all_params, strict=True):
            np.testing.assert_array_equal(mine.blob.data, theirs.blob.data)
            np.testing.assert_array_equal(mine.blob.diff, theirs.blob.diff)
        for mine, theirs in zip(self.plain.history, self.played.history, strict=True):
            np.testing.assert_array_equal(mine, theirs)

    def warm(self, steps=5):
        """Make some steps; after four there are recordings."""
        for _ in range(steps):
            self.check()


def count_runs(net, monkeypatch):
    """A list to which each layer that runs in Python adds its index: forward, or backward as −1 − index."""
    ran, forward, backward = [], net.run_layer, net.run_layer_backward
    monkeypatch.setattr(net, "run_layer", lambda i: (ran.append(i), forward(i))[1])
    monkeypatch.setattr(net, "run_layer_backward", lambda i: (ran.append(-1 - i), backward(i))[1])
    return ran


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_same_bits(threads):
    """Steps from the first to the sixth, on new inputs each, give every number the same bits."""
    kernels.set_threads(threads)
    Pair(LENET, "momentum: 0.9 weight_decay: 0.01").warm(6)


@pytest.mark.parametrize("iter_size", [1, 2])
def test_what_runs_in_python(iter_size, monkeypatch):
    """From the fifth step on nothing but recordings run, whether diffs are cleared before a pass or not."""
    needs_tiles()
    pair = Pair(LENET, f"iter_size: {iter_size}")
    pair.warm(4)
    ran = count_runs(pair.played.net, monkeypatch)
    pair.check()

    assert [] == ran


TWO_LOSSES = (inputs(x=(7, 6), y=(7, 4), t=(7,)) + fully_connected("x", "a", 9) + layer("ReLU", "a", "b")
              + fully_connected("b", "c", CLASSES) + layer("SoftmaxWithLoss", "c t", "l", "loss_weight: 0.3")
              + fully_connected("b", "d", 4) + layer("EuclideanLoss", "d y", "m", "loss_weight: 2.5")
              + layer("InnerProduct", "b", "e", "inner_product_param { num_output: 3 } loss_weight: 0.7"))
SHARED = (inputs(x=(5, 6), t=(5,)) + "".join(
    layer("InnerProduct", bottom, top, 'param { name: "w" } param { name: "b" lr_mult: 2 decay_mult: 0 } '
          'inner_product_param { num_output: 6 weight_filler { type: "xavier" } }')
    + layer("ReLU", top, top, name=f"r{top}") for bottom, top in (("x", "a"), ("a", "b"), ("b", "c")))
    + fully_connected("c", "d", CLASSES) + layer("SoftmaxWithLoss", "d t", "loss"))
DROPOUT = (inputs(x=(6, 8), t=(6,)) + fully_connected("x", "a", 12) + layer("Dropout", "a", "a", name="drop")
           + layer("TanH", "a", "b") + fully_connected("b", "c", CLASSES) + layer("SoftmaxWithLoss", "c t", "loss"))
LSTM = (inputs(x=(4, 3, 5), cont=(4, 3), t=(4, 3)) + layer(
    "LSTM", "x cont", "h", 'recurrent_param { num_output: 6 weight_filler { type: "xavier" } }')
    + layer("InnerProduct", "h", "p", f"inner_product_param {{ num_output: {CLASSES} axis: 2 }}")
    + layer("SoftmaxWithLoss", "p t", "loss", "softmax_param { axis: 2 }"))
BRANCHES = (inputs(x=IMAGE, t=IMAGE[:1]) + convolution("x", "a", 4, 3) + layer("ReLU", "a", "a", name="r")
            + layer("LRN", "a", "n") + convolution("n", "u", 3, 3) + convolution("n", "v", 2, 3)
            + layer("Concat", "u v", "w") + layer("Eltwise", "w w", "e") + layer("Flatten", "e", "f")
            + fully_connected("f", "g", CLASSES) + layer("SoftmaxWithLoss", "g t", "loss"))
FROZEN = LENET.replace('name: "b"', 'name: "b" param { lr_mult: 0 } param { lr_mult: 0 }')


@pytest.mark.parametrize("net", [TWO_LOSSES, SHARED, DROPOUT, LSTM, BRANCHES, FROZEN],
                         ids=["two losses", "shared", "dropout", "lstm", "branches", "frozen"])
@pytest.mark.parametrize("fields", ["momentum: 0.9 weight_decay: 0.01", "iter_size: 2",
                                    'type: "Adam" iter_size: 3 regularization_type: "L1" weight_decay: 0.1',
                                    "clip_gradients: 0.01"])
def test_nets_and_solvers(net, fields):
    """Nets with shared weights, several losses, random draws and states; sums of passes, decays and clipping."""
    Pair(net, fields).warm(6)


@pytest.mark.parametrize("solver", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
def test_every_rule(solver):
    """The numbers of a rule change from update to update, and recorded steps see them."""
    Pair(SHARED, f'type: "{solver}" delta: 1e-4' + ' rms_decay: 0.9' * (solver == "RMSProp")).warm(5)


@pytest.mark.parametrize("name", ["weight_decay", "gamma"])
def test_a_field_of_the_solver_may_change(name):
    """A program may change a number of the solver's definition between two steps."""
    pair = Pair(SHARED, "weight_decay: 0.1")
    pair.warm()
    for solver in (pair.played, pair.plain):
        setattr(solver.param, name, 0.25)
    pair.warm(2)


def test_batch_size_in_the_middle():
    """Other batch sizes, and the first again."""
    pair = Pair(LENET)
    for batch in (9, 9, 9, 9, 4, 9, 9, 9, 17, 17, 17, 17, 17, 4, 4, 4, 4, 9):
        pair.check(batch)


def test_views_written_between_steps():
    """Weights, diffs and inputs may be written by views that were taken long before."""
    pair = Pair(LENET)
    views = [(net.params["a"][0].data, net.params["f"][1].data, net.blobs["x"].data) for net in pair.nets]
    pair.warm()
    for k in range(3):
        for mine in views:
            mine[0][1] *= 1.5
            mine[1][...] = k
        pair.check()
    for mine in views:
        mine[2][...] = 0.25
    for solver in (pair.plain, pair.played):
        solver.step(1)
    pair.compare()


def passes(pair, *steps):
    """Run the same steps on both nets: each is a function of a net. Compare then."""
    for net in pair.nets:
        for step in steps:
            step(net)
    pair.compare()


def test_passes_by_hand():
    """A diff set by hand, backward twice, parts of a net, and diffs that are not cleared."""
    pair = Pair(TWO_LOSSES)
    pair.warm()
    for _ in range(5):
        pair.feed()
        passes(pair, lambda n: n.clear_param_diffs(), lambda n: n.forward(), lambda n: n.backward())
        passes(pair, lambda n: n.backward())
        passes(pair, lambda n: n.forward(), lambda n: n.blobs["l"].diff.fill(-0.5), lambda n: n.backward())
        passes(pair, lambda n: n.blobs["c"].diff.fill(0.125), lambda n: n.clear_param_diffs(),
               lambda n: n.backward("c", "a"))
        passes(pair, lambda n: n.forward("b", "c"), lambda n: n.params["a"][0].diff.fill(3), lambda n: n.backward())
        passes(pair, lambda n: n.clear_param_diffs(), lambda n: n.blobs["b"].clear_diff(), lambda n: n.backward("b"))
        passes(pair, lambda n: n.update(), lambda n: n.forward_backward())


def test_a_diff_that_counts_as_zeros_now_and_then():
    """A program may clear the diff of any blob before some passes; a later look at it shows what the pass wrote."""
    pair = Pair(LENET)
    for step in range(9):
        pair.feed()
        passes(pair, lambda n: n.clear_param_diffs(), lambda n: n.forward(),
               lambda n, step=step: n.blobs["b"].clear_diff() if step % 4 == 0 else None,
               lambda n, step=step: n.params["f"][0].clear_diff() if step % 3 else n.params["f"][0].diff.fill(1),
               lambda n: n.backward())


def test_a_loss_weight_may_change():
    """The weight of a loss counts as it is in each pass."""
    pair = Pair(TWO_LOSSES)
    pair.warm()
    for net in pair.nets:
        net.layers[net.layer_index("l")].loss_weights[0] = 4.0
    pair.warm(2)


@pytest.mark.parametrize("label", [CLASSES, -1, np.nan, np.inf])
def test_a_wrong_label(label):
    """A label that is no class is refused in a replayed pass as in any other, and the next pass is right."""
    pair = Pair(LENET)
    for _ in range(6):
        pair.check()
        messages = []
        for net in pair.nets:
            before = net.blobs["loss"].data.copy(), net.blobs["t"].data[4]
            net.blobs["t"].data[4] = label
            with pytest.raises(LayerError, match=r"layer 'loss' .* index \(4,\) .* none of the 5 classes") as caught:
                net.forward()
            messages.append(str(caught.value))
            np.testing.assert_array_equal(before[0], net.blobs["loss"].data)
            net.blobs["t"].data[4] = before[1]
        assert messages[0] == messages[1]


def test_a_test_net_that_shares_weights():
    """A net of TEST follows the weights that replayed steps change."""
    pair = Pair(LENET, "momentum: 0.9")
    nets = [Net(solver.net.param, TEST) for solver in (pair.played, pair.plain)]
    nets[1].replay = False
    for _ in range(6):
        pair.check()
        losses = []
        for net, solver in zip(nets, (pair.played, pair.plain), strict=True):
            net.share_trained_layers_with(solver.net)
            for name in ("x", "t"):
                net.blobs[name].data[...] = solver.net.blobs[name].data
            losses.append(net.forward())
        assert losses[0] == losses[1]


class Doubled(Layer):
    """A user's layer, which keeps something from forward to backward and may fail."""

    fails = False

    def reshape(self, bottom, top):
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top):
        if self.fails:
            raise ValueError("as asked")
        self.kept = bottom[0].data * 2
        top[0].data[...] = self.kept

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff * 2 + self.kept


@pytest.fixture
def doubled(monkeypatch):
    """The type Doubled, for one test."""
    monkeypatch.setattr(Doubled, "type", "Doubled")
    monkeypatch.setitem(registry._types, "Doubled", Doubled)


PYTHON = LENET.replace(layer("ReLU", "f", "f", name="r"), layer("Doubled", "f", "h", name="r")).replace(
    'bottom: "f" top: "g"', 'bottom: "h" top: "g"')


def test_a_layer_of_a_user_in_the_middle(doubled, monkeypatch):
    """It runs in Python between recordings; its error leaves the net as it is without them."""
    needs_tiles()
    assert 'bottom: "h"' in PYTHON
    pair = Pair(PYTHON)
    pair.warm()
    for net in pair.nets:
        one = net.layers[net.layer_index("r")]
        one.fails = True
        with pytest.raises(ValueError, match="as asked"):
            net.forward()
        one.fails = False
    pair.check()
    ran = count_runs(pair.played.net, monkeypatch)
    pair.check()

    assert [pair.played.net.layer_index("r"), -1 - pair.played.net.layer_index("r")] == ran


def test_a_method_put_in_the_place_of_the_classes():
    """A wrapper that a program has put around `forward` or `backward` of a layer is called, also after recording."""
    pair = Pair(LENET)
    pair.warm()
    seen = []
    for net in pair.nets:
        one = net.layers[net.layer_index("r")]
        for plain in (one.forward, one.backward):
            def wrapped(*blobs, plain=plain):
                seen.append(plain)
                plain(*blobs)

            setattr(one, plain.__name__, wrapped)
        pair.warm(2)

    assert 12 == len(seen)


def test_resume(tmp_path):
    """A training that a snapshot continues gives the bits of the one that went on."""
    pair = Pair(DROPOUT, f'momentum: 0.9 snapshot_prefix: "{tmp_path}/s"')
    pair.warm()
    pair.played.snapshot()
    pair.warm(2)
    pair.draw = np.random.default_rng(3)
    for _ in range(5):
        pair.feed()
    pair.plain.restore(f"{tmp_path}/s_iter_5.solverstate")
    pair.played.restore(f"{tmp_path}/s_iter_5.solverstate")
    pair.warm(2)


def test_a_copy():
    """A deep copy of a solver trains in memory of its own."""
    pair = Pair(LENET, "momentum: 0.9")
    pair.warm()
    before = [param.blob.data.copy() for param in pair.played.net.learnable_params]
    copied = copy.deepcopy(pair.played)
    copied.step(4)

    for was, param in zip(before, pair.played.net.learnable_params, strict=True):
        np.testing.assert_array_equal(was, param.blob.data)
    assert not np.array_equal(before[0], copied.net.learnable_params[0].blob.data)


# --- hooks ----------------------------------------------------------------------------------------------------

def test_hooks_at_layers(monkeypatch):
    """Hooks at some layers are called there, between recordings, and may change what the next layers read."""
    needs_tiles()
    pair, seen = Pair(LENET), [[], []]
    for net, mine in zip(pair.nets, seen, strict=True):
        def note(i, net=net, mine=mine):
            mine.append((i, float(net.blobs["f"].data.sum()), float(net.blobs["f"].diff.sum())))

        def halve(i, net=net):
            net.blobs["p"].data[...] *= 0.5
            net.params["f"][0].diff[...] += 1

        net.before_layer.append(hooks.at([net.layer_index("f")], halve))
        net.after_layer.append(hooks.at([net.layer_index("r"), net.layer_index("loss")], note))
        net.before_backward.append(hooks.at([net.layer_index("g")], note))
        net.after_backward.append(hooks.at([net.layer_index("b")], note))
    pair.warm(6)
    ran = count_runs(pair.played.net, monkeypatch)
    pair.check()

    assert seen[0] == seen[1]
    assert 7 * 4 == len(seen[0])
    assert [] == ran


def test_a_plain_hook_sees_every_layer_run(monkeypatch):
    """With a plain function among the hooks no recording is played, and without it they are again."""
    needs_tiles()
    pair = Pair(LENET)
    pair.warm()
    net, seen = pair.played.net, []
    ran, count = count_runs(net, monkeypatch), len(net.layers)
    net.after_backward += [hooks.at([1], seen.append), seen.append]
    pair.check()
    forward_alone = list(ran)
    net.after_backward.clear()
    pair.check()

    assert [-1 - i for i in reversed(range(count))] == forward_alone == ran
    assert count + 1 == len(seen)
