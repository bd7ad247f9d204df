"""Forward and backward through a net: ranges, losses, which layers run backward, in place or not, number types."""

import numpy as np
import pytest
from net_tools import convolution, fully_connected, inputs, layer, make

from minicaffe import TEST, TRAIN, LayerError, NetError

FORCE = "force_backward: true\n"
CHAIN = (inputs(x=(2, 3)) + layer("Power", "x", "a", "power_param { shift: 1 }")
         + layer("Power", "a", "b", "power_param { scale: 2 }") + layer("Power", "b", "c", "power_param { shift: -5 }"))


def constant_net(**options):
    """x = 2 → f = 3x + 1 = 7 → loss ½·(7 − 1)² = 18 a row, over one row."""
    net = make(inputs(x=(1, 1), y=(1, 1)) + layer(
        "InnerProduct", "x", "f", 'inner_product_param { num_output: 1 weight_filler { type: "constant" value: 3 } '
                                  'bias_filler { type: "constant" value: 1 } }')
        + layer("EuclideanLoss", "f y", "loss", **options))
    net.blobs["x"].data[...], net.blobs["y"].data[...] = 2, 1
    return net


def test_by_hand():
    """The numbers of one forward and one backward pass that can be computed by hand."""
    net = constant_net()

    assert 18.0 == net.forward()
    net.backward()
    assert [7.0, 6.0] == [net.blobs["f"].data.item(), net.blobs["f"].diff.item()]
    assert [12.0, 6.0] == [blob.diff.item() for blob in net.params["f"]]
    net.update()
    assert [-9.0, -5.0] == [blob.data.item() for blob in net.params["f"]]


def test_loss_weight():
    """loss_weight scales the loss that forward returns, and the gradients, but not the blob."""
    net = constant_net(more="loss_weight: 0.5")

    assert 9.0 == net.forward_backward()
    assert 18.0 == net.blobs["loss"].data.item()
    assert 3.0 == net.blobs["f"].diff.item()


def test_any_top_may_be_a_loss():
    """loss_weight makes a loss of any layer's top, which may have many elements."""
    net = make(inputs(x=(2, 3)) + fully_connected("x", "f", 5, "loss_weight: 0.25"))
    loss = net.forward_backward()

    assert loss == pytest.approx(0.25 * net.blobs["f"].data.sum())
    np.testing.assert_array_equal(np.full((2, 5), 0.25), net.blobs["f"].diff)
    np.testing.assert_allclose(np.full(5, 0.5), net.params["f"][1].diff)


def test_parameter_gradients_add_up_and_are_cleared():
    """Two backward passes add up, as iter_size needs, until clear_param_diffs."""
    net = constant_net()
    for _ in range(2):
        net.forward_backward()

    assert [24.0, 12.0] == [blob.diff.item() for blob in net.params["f"]]
    net.clear_param_diffs()
    assert [0.0, 0.0] == [blob.diff.item() for blob in net.params["f"]]


@pytest.mark.parametrize(("start", "stop", "want"), [
    (None, None, [1, 2, -3]), ("b", None, [100, 200, 195]), ("b", "b", [100, 200, 9]), (None, "a", [1, 9, 9]),
    (2, 2, [100, 200, 9]), (0, 1, [1, 9, 9])])
def test_forward_from_and_to(start, stop, want):
    """Start and stop, by name or number, both run, and nothing else is touched."""
    net = make(CHAIN)
    for name, value in (("x", 0), ("a", 100), ("b", 9), ("c", 9)):
        net.blobs[name].data[...] = value
    net.forward(start, stop)

    assert want == [net.blobs[name].data.flat[0] for name in "abc"]


@pytest.mark.parametrize(("start", "stop", "want"), [
    (None, None, [2, 2, 1]), ("b", None, [18, 18, 9]), ("b", "b", [7, 18, 9]), (None, "c", [7, 7, 1])])
def test_backward_from_and_to(start, stop, want):
    """Backward starts at the later layer and stops at the earlier, both included."""
    net = make(FORCE + CHAIN)
    net.forward()
    for name, value in (("x", 7), ("a", 7), ("b", 9), ("c", 1)):
        net.blobs[name].diff[...] = value
    net.backward(start, stop)

    assert want == [net.blobs[name].diff.flat[0] for name in "xab"]


@pytest.mark.parametrize(("place", "words"), [
    ("d", "no layer 'd'"), ("conv1", "no layer 'conv1'"), (4, "0 to 3, got 4"), (-1, "0 to 3, got -1")])
def test_unknown_layers(place, words):
    """A start that is no layer is an error which says what there is."""
    with pytest.raises(NetError, match=words):
        make(CHAIN).forward(place)


def test_float64_and_float32():
    """A net computes all its blobs in the type that it was asked for, and in no other."""
    text = inputs(x=(2, 3, 4, 5)) + convolution("x", "a", 2, 3) + layer("ReLU", "a", "a", name="r") + layer(
        "Pooling", "a", "p", "pooling_param { kernel_size: 2 }") + fully_connected("p", "f", 3, "loss_weight: 1")
    for dtype in (np.float64, np.float32, np.dtype("float64")):
        net = make(text, dtype=dtype)
        net.forward_backward()
        blobs = [*net.blobs.values(), *(p.blob for p in net.all_params)]

        assert {np.dtype(dtype)} == {a.dtype for b in blobs for a in (b.data, b.diff)}
    with pytest.raises(NetError, match="float32 or float64, not in .*float16"):
        make(text, dtype=np.float16)


def test_reshape_runs_through():
    """A new batch size of the input reaches every blob."""
    net = make(CHAIN)
    net.blobs["x"].reshape(7, 3)
    net.reshape()

    assert (7, 3) == net.blobs["c"].shape


# --- which layers run backward --------------------------------------------------------------------

PARTS = (inputs(x=(2, 3), y=(2, 5)) + fully_connected("x", "a", 4, "param { lr_mult: 0 } param { lr_mult: 0 }")
         + layer("TanH", "a", "t") + fully_connected("t", "b", 5) + layer("TanH", "b", "u")
         + layer("TanH", "t", "side") + layer("EuclideanLoss", "u y", "loss"))


def runs_backward(net):
    return {layer.name for layer, runs in zip(net.layers, net.plan.layers, strict=True) if runs}


def test_frozen_layers_do_not_run_backward():
    """Backward stops below the lowest blob that learns, and skips layers on which no loss depends."""
    net = make(PARTS)

    assert {"loss", "u", "b"} == runs_backward(net)
    net.forward_backward()
    assert [0.0, 0.0] == [net.blobs[name].asum_diff() for name in ("t", "a")]
    assert net.params["b"][0].asum_diff() > 0


def test_force_backward():
    """force_backward brings gradients to the inputs and to frozen weights, but not to labels."""
    net = make(FORCE + PARTS)
    net.forward_backward()

    assert all(net.blobs[name].asum_diff() > 0 for name in ("x", "a", "t", "b"))
    assert net.params["a"][0].asum_diff() > 0
    assert net.plan.bottoms[-1] == [True, True]  # the Euclidean loss has a gradient for both its bottoms
    labels = make(FORCE + inputs(x=(2, 5), y=(2,)) + layer("SoftmaxWithLoss", "x y", "loss"))
    assert [True, False] == labels.plan.bottoms[-1]


def test_frozen_bias_alone():
    """lr_mult 0 leaves one blob's diff alone while the other learns."""
    net = make(inputs(x=(2, 3)) + fully_connected("x", "f", 4, "loss_weight: 1 param { } param { lr_mult: 0 }"))
    net.forward_backward()

    assert net.params["f"][0].asum_diff() > 0
    assert net.params["f"][1].asum_diff() == 0


@pytest.mark.parametrize("asked", ["true", "false"])
def test_propagate_down(asked):
    """propagate_down asks for a gradient nobody needs, and keeps one away."""
    net = make(inputs(x=(2, 3), y=(2, 4)) + fully_connected("x", "f", 4, f"propagate_down: {asked}")
               + layer("EuclideanLoss", "f y", "loss"))
    net.forward_backward()

    assert (asked == "true") == bool(net.blobs["x"].asum_diff())
    assert net.params["f"][0].asum_diff() > 0


def test_propagate_down_false_stops_everything_below():
    """Layers whose tops all stay without a gradient do not run backward."""
    net = make(inputs(x=(2, 3), y=(2, 4)) + fully_connected("x", "a", 5)
               + fully_connected("a", "f", 4, "propagate_down: 0") + layer("EuclideanLoss", "f y", "loss"))

    assert {"loss", "f"} == runs_backward(net)


def test_propagate_down_to_labels():
    """A gradient asked of labels is an error when it is wanted, and names bottom and cure."""
    net = make(inputs(x=(2, 3), y=(2,)) + fully_connected("x", "f", 4)
               + layer("SoftmaxWithLoss", "f y", "loss", "propagate_down: 1 propagate_down: 1"))
    net.blobs["y"].data[...] = 1
    net.forward()

    with pytest.raises(LayerError, match=r"layer 'loss' \(SoftmaxWithLoss\).*bottom\[1\](.|\n)*propagate_down: false"):
        net.backward()


def test_silence_takes_no_gradient():
    """A branch that ends in Silence costs no backward."""
    net = make(inputs(x=(2, 3)) + fully_connected("x", "f", 4) + layer("TanH", "f", "t") + 'layer { name: "s" '
               'type: "Silence" bottom: "t" }' + layer("Power", "f", "p", "loss_weight: 1"))

    assert {"p", "f_f_0_split", "f"} == runs_backward(net)
    assert ["p"] == net.outputs


# --- in place, splits, outputs -----------------------------------------------------------------------

def in_place(net):
    return [layer.name for layer, yes in zip(net.layers, net.wiring.in_place, strict=True) if yes]


def test_in_place_shares_the_blob():
    """AlexNet's ReLU and Dropout, and ResNet's BatchNorm, Scale and ReLU, cost no memory."""
    net = make(inputs(x=(2, 3)) + fully_connected("x", "f", 4) + layer("ReLU", "f", "f", name="relu")
               + layer("Dropout", "f", "f", name="drop") + fully_connected("f", "g", 5)
               + "".join(layer(kind, "g", "g", name=kind) for kind in ("BatchNorm", "Scale", "ReLU")))

    assert ["relu", "drop", "BatchNorm", "Scale", "ReLU"] == in_place(net)
    assert ["x", "f", "g"] == list(net.blobs)
    assert ["g"] == net.outputs


def test_in_place_guard_keeps_what_backward_reads():
    """ReLU after Sigmoid gets a blob of its own, under the same name."""
    net = make(inputs(x=(2, 3)) + layer("Sigmoid", "x", "s") + layer("ReLU", "s", "s", name="relu"))
    net.forward()

    assert [] == in_place(net)
    assert net.blobs["s"] is net.tops[2][0]
    assert net.tops[1][0] is not net.tops[2][0]
    assert ["s"] == net.outputs


def test_layers_that_cannot_run_in_place_get_a_blob():
    """A Convolution whose top has its bottom's name works, except on an input of the net."""
    net = make(inputs(x=(1, 2, 4, 5)) + convolution("x", "a", 2, 3) + convolution("a", "a", 3, 3, name="again"))
    net.forward()

    assert (1, 3, 4, 5) == net.blobs["a"].shape
    with pytest.raises(NetError, match=r"'c' \(Convolution\) does not run in place.*input 'x'(.|\n)*a name of its own"):
        make(inputs(x=(1, 2, 4, 5)) + convolution("x", "x", 2, 3, name="c"))


def test_three_readers():
    """A split's gradients add up: d(2x + 3x + 5x) = 10."""
    net = make(FORCE + inputs(x=(2, 3)) + "".join(
        layer("Power", "x", f"p{k}", f"loss_weight: 1 power_param {{ scale: {k} }}") for k in (2, 3, 5)))
    net.forward_backward()

    np.testing.assert_array_equal(np.full((2, 3), 10.0), net.blobs["x"].diff)
    assert net.blobs["x_x_0_split_0"].shares_data_with(net.blobs["x"])


def test_a_loss_that_is_read_on():
    """A loss with a reader counts once in the loss, and both gradients reach it."""
    text = inputs(x=(1, 1), y=(1, 1)) + layer("EuclideanLoss", "x y", "l", "loss_weight: 3") + layer(
        "Power", "l", "p", "loss_weight: 1 power_param { scale: 10 }")
    net = make(FORCE + text)
    net.blobs["x"].data[...], net.blobs["y"].data[...] = 3, 1

    assert 3 * 2 + 10 * 2 == net.forward_backward()
    assert 13 * 2 == net.blobs["x"].diff.item()


def test_automatic_tops():
    """A loss without a top gets one, which is no output that others could read."""
    net = make(inputs(x=(2, 5), y=(2,)) + 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "y" }')
    net.blobs["y"].data[...] = 1

    assert net.forward() > 0
    assert ["(automatic)"] == [name for name in net.blobs if name not in "xy"]
    assert [] == net.outputs


# --- which layers take part ------------------------------------------------------------------------------

STATES = (inputs(x=(2, 3)) + layer("TanH", "x", "train", "include { phase: TRAIN }")
          + layer("TanH", "x", "test", "exclude { phase: TRAIN }")
          + layer("TanH", "x", "deep", "include { min_level: 2 }")
          + layer("TanH", "x", "staged", 'include { stage: "a" stage: "b" }')
          + layer("TanH", "x", "plain", 'exclude { stage: "a" }'))


@pytest.mark.parametrize(("state", "want"), [
    ({"phase": TRAIN}, {"train", "plain"}), ({"phase": TEST}, {"test", "plain"}),
    ({"phase": TEST, "level": 2}, {"test", "deep", "plain"}), ({"stages": ["a"]}, {"train"}),
    ({"stages": ["a", "b", "c"]}, {"train", "staged"})])
def test_states(state, want):
    """Phase, level and stages choose the layers."""
    assert want == set(make(STATES, **state).outputs)


def test_the_definition_s_own_state():
    """Stages in the definition count too, and its level counts where no phase is given."""
    text = 'state { stage: "a" level: 2 phase: TEST }' + STATES

    assert {"train"} == set(make(text).outputs)
    assert {"train", "staged"} == set(make(text, stages=["b"]).outputs)
    assert {"test", "deep"} == set(make(text, phase=None).outputs)


def test_layers_inherit_the_phase():
    """A layer computes as the net's phase says, unless it names one."""
    net = make(inputs(x=(2, 3)) + layer("Dropout", "x", "a") + layer("Dropout", "x", "b", "phase: TEST"))

    assert [TRAIN, TEST] == [net.layers[net.layer_index(name)].phase for name in "ab"]
