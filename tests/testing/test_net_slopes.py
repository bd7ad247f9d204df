"""The slopes of a whole net, against what backward computes and against numbers known by hand."""

import numpy as np
import pytest
from net_tools import TRAINABLE, fully_connected, inputs, layer, make

from minicaffe import TEST, TRAIN, Net, rng
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text
from minicaffe.testing.net_slopes import NetSlopes, sources
from minicaffe.testing.twin import is_statistic, pass_start

# Layers that run in place, a Split, a shared parameter, random numbers and statistics that move.
KNOTTED = inputs(x=(3, 5), t=(3, 2)) + "".join([
    fully_connected("x", "a", 4), layer("TanH", "a", "a", name="tanh"), layer("Dropout", "a", "a", name="drop"),
    layer("BatchNorm", "a", "n"), layer("Flatten", "a", "f"), layer("Sigmoid", "f", "f", name="sigmoid"),
    layer("Eltwise", "n f", "e"), fully_connected("e", "g", 4, 'param { name: "w" } param { name: "b" }'),
    layer("ELU", "g", "g", name="elu"), fully_connected("g", "h", 4, 'param { name: "w" } param { name: "b" }'),
    fully_connected("h", "y", 2), layer("EuclideanLoss", "y t", "loss", "loss_weight: 3")])


def slopes_and_net(text, phase=TRAIN, **options):
    """The slopes of a float64 twin of a float32 net, and the twin."""
    net = make(text, phase, np.float32, **options)
    with net.draws.during(5, 7), pass_start(net) as start:
        net.forward()
    slopes = NetSlopes(start.twin(), draws=(5, 7))
    assert slopes.loss == pytest.approx(sum(float(net.blobs[name].data) for name in ["loss"]) * 3, rel=1e-5)
    return slopes, slopes.net


def backward_of(slopes):
    """Run backward and return the diff of each top when its layer begins backward, by (layer, top)."""
    net, found = slopes.net, {}
    read = sources(net)
    net.clear_param_diffs()
    slopes.set_loss_diffs()
    net.after_backward.append(lambda i: found.update(
        (top, blob.diff.copy()) for top, blob, flag in zip(read[i], net.bottoms[i], net.plan.bottoms[i], strict=True)
        if flag))
    net.backward()
    return found


def test_each_blob_has_the_slopes_that_backward_computes():
    """Also where layers run in place, tops share memory, numbers are random and statistics move."""
    slopes, net = slopes_and_net(KNOTTED)
    found = backward_of(slopes)

    assert len(found) == 13
    for (i, t), diff in found.items():
        measured = [slopes.slope_of_blob(i, t, index).central for index in np.ndindex(diff.shape)]
        np.testing.assert_allclose(diff.ravel(), measured, rtol=0, atol=1e-7 * np.abs(measured).max(),
                                   err_msg=f"{net.layer_names[i]}")


def test_each_parameter_has_the_slopes_that_backward_computes():
    """Those of a shared parameter are the whole sum in the first layer, and the later layer's part in the later one."""
    slopes, net = slopes_and_net(KNOTTED)
    partial = {}
    net.after_backward.append(lambda i: partial.update({(i, k): b.diff.copy() for k, b in enumerate(net.layers[i].blobs)
                                                        if not is_statistic(net.layers[i], k)}))
    backward_of(slopes)

    assert len(partial) == 8
    for (i, k), diff in partial.items():
        measured = [slopes.slope_of_param(i, k, index).central for index in np.ndindex(diff.shape)]
        np.testing.assert_allclose(diff.ravel(), measured, rtol=0, atol=1e-7 * np.abs(measured).max())
    first, second = (net.layer_index(name) for name in "gh")
    alone = slopes.slope_of_param(first, 0, (1, 2), alone=True).central
    assert alone == pytest.approx(partial[first, 0][1, 2] - partial[second, 0][1, 2], rel=1e-6)


def test_no_call_changes_the_next():
    """The slopes of one number are the same to the bit before and after those of others, in any order."""
    slopes, net = slopes_and_net(KNOTTED)
    asked = [("slope_of_blob", i, 0, 1) for i in range(2, len(net.layers) - 1)]
    asked += [("slope_of_param", net.layer_index(name), 0, 1) for name in ("a", "g", "h", "y")]

    def ask(order):
        return {one: getattr(slopes, one[0])(*one[1:]) for one in order}

    assert ask(asked) == ask(asked[::-1])
    before = slopes.loss
    statistics = [blob.data.copy() for blob in net.params["n"]]
    assert slopes.base_pass() == before
    for kept, blob in zip(statistics, net.params["n"], strict=True):
        np.testing.assert_array_equal(kept, blob.data)


@pytest.mark.parametrize(("value", "left", "right", "kink"), [
    (0.0, 0, 2, True), (1e-10, 0, 2, True), (2.0, 2, 2, False), (-3.0, 0, 0, False), (2e-6, 2, 2, False)])
def test_kink_of_relu(value, left, right, kink):
    """At 0 the two sides differ. Beside it the step shrinks until it no longer reaches the kink."""
    net = make(inputs(x=(2,)) + layer("ReLU", "x", "y", "loss_weight: 2"))
    net.blobs["x"].data[...] = [value, 1]
    slopes = NetSlopes(make_forced(net))

    slope = slopes.slope_of_blob(0, 0, 0)

    assert slope.kink == kink
    assert [slope.left, slope.right] == pytest.approx([left, right], rel=0.05, abs=0.05)


def make_forced(net):
    """A float64 twin of a net that computes the gradients of all bottoms."""
    with pass_start(net) as start:
        net.forward()
    return start.twin(force_backward=True)


def test_curvature_is_no_kink():
    """A steep curve has other slopes on both sides, but the difference goes with the step."""
    net = make(inputs(x=(1,)) + layer("Exp", "x", "y", "exp_param { scale: 3000 } loss_weight: 1"))
    net.blobs["x"].data[...] = 1e-3
    slope = NetSlopes(make_forced(net)).slope_of_blob(0, 0, 0)

    assert not slope.kink
    assert slope.central == pytest.approx(3000 * np.exp(3), rel=1e-5)


def test_a_bottom_without_gradient_keeps_its_numbers():
    """Backward leaves out what flows through propagate_down: false, and so do the slopes."""
    text = (inputs(x=(3, 5), t=(3, 2)) + fully_connected("x", "a", 2)
            + layer("Eltwise", "a a", "e", "eltwise_param { operation: PROD } propagate_down: true "
                                           "propagate_down: false")
            + layer("EuclideanLoss", "e t", "loss", "loss_weight: 3"))
    slopes, net = slopes_and_net(text)
    found = backward_of(slopes)
    made = net.layer_index("a"), 0

    measured = [slopes.slope_of_blob(*made, index).central for index in np.ndindex(3, 2)]

    np.testing.assert_allclose(found[made].ravel(), measured, atol=1e-7)


def test_twin_reads_no_source_and_leaves_the_random_numbers_alone():
    """Its data layers are Inputs with the batch of the pass, and a Dropout after it draws as before."""
    net = Net(proto_text.parse(TRAINABLE, NetParameter()), TRAIN)
    with pass_start(net) as start:
        net.forward()
    before = rng.state()
    twin = start.twin()

    assert rng.state() == before
    assert twin.layers[0].is_input
    assert not net.after_layer
    np.testing.assert_array_equal(twin.blobs["x"].data, net.blobs["x"].data)
    assert NetSlopes(twin).loss == pytest.approx(float(net.blobs["loss"].data), rel=1e-5)


def test_recurrent_state_is_that_before_the_pass():
    """A recurrent net goes on from the states that the pass began with, also in the twin."""
    text = inputs(x=(4, 2, 3), c=(4, 2)) + layer("LSTM", "x c", "y", 'loss_weight: 1 recurrent_param { num_output: 5 '
                                                 'weight_filler { type: "gaussian" std: 0.5 } }')
    net = make(text, TEST)
    net.blobs["c"].data[...] = 1
    net.forward()
    with pass_start(net) as start:
        loss = net.forward()

    assert NetSlopes(start.twin()).loss == pytest.approx(loss, rel=1e-12)
    assert net.forward() != pytest.approx(loss, rel=1e-3)


def test_float32_is_refused():
    """In float32 no difference quotient is exact enough."""
    with pytest.raises(TypeError, match="float64"):
        NetSlopes(make(TRAINABLE, dtype=np.float32))
