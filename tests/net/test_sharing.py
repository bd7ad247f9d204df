"""One learnable blob for several layers: `param { name }`, and a test net that follows the training net."""

import numpy as np
import pytest
from net_tools import convolution, fully_connected, inputs, layer, make

from minicaffe import TEST, NetError, rng


def two(first, second, outputs=(4, 4), sizes=(4, 4)):
    """Layers a and b, each on an input of its own, with these `param`s."""
    return (inputs(x=(2, sizes[0]), z=(3, sizes[1])) + fully_connected("x", "a", outputs[0], f"loss_weight: 1 {first}")
            + fully_connected("z", "b", outputs[1], f"loss_weight: 1 {second}"))


def test_data_and_diff_are_one():
    """The blobs use one memory, the owner alone is learned, and gradients add up."""
    net = make(two('param { name: "w" }', 'param { name: "w" }'))
    net.forward_backward()
    (a, _), (b, _) = net.params["a"], net.params["b"]

    assert np.shares_memory(a.data, b.data)
    assert np.shares_memory(a.diff, b.diff)
    assert [("a", 0), ("a", 1), ("b", 1)] == [(p.layer, p.index) for p in net.learnable_params]
    want = np.ones((4, 2)) @ net.blobs["x"].data + np.ones((4, 3)) @ net.blobs["z"].data
    np.testing.assert_allclose(want, a.diff, rtol=1e-12)


def test_first_layer_owns():
    """The first layer's filler decides the values."""
    net = make(two('param { name: "w" }', 'param { name: "w" }'))
    rng.seed(1701)
    alone = make(two("", ""))

    np.testing.assert_array_equal(alone.params["a"][0].data, net.params["b"][0].data)


def test_within_one_layer():
    """Two blobs of one layer may be tied."""
    net = make(inputs(x=(2, 1)) + fully_connected(
        "x", "f", 3, 'param { name: "w" } param { name: "w" share_mode: PERMISSIVE }'))

    assert 1 == len(net.learnable_params)


def test_shapes_must_agree():
    """Strict sharing names both shapes, both layers and the way out."""
    words = r"layer 'b': the shared parameter 'w' has the shape \(4, 6\) here and \(8, 3\) in layer 'a'.*shapes differ"
    with pytest.raises(NetError, match=rf"{words}(.|\n)*PERMISSIVE"):
        make(two('param { name: "w" }', 'param { name: "w" }', (8, 4), (3, 6)))


def test_permissive_needs_equal_counts():
    """PERMISSIVE ties shapes of one count, (8, 3) and (4, 6), and refuses other counts."""
    permissive = 'param { name: "w" share_mode: PERMISSIVE }'
    net = make(two('param { name: "w" }', permissive, (8, 4), (3, 6)))

    assert [(8, 3), (4, 6)] == [net.params[name][0].shape for name in "ab"]
    assert np.shares_memory(net.params["a"][0].data, net.params["b"][0].data)
    with pytest.raises(NetError, match=r"\(4, 5\) here and \(8, 3\).*the counts differ$"):
        make(two('param { name: "w" }', permissive, (8, 4), (3, 5)))


@pytest.mark.parametrize("multiplier", ["lr_mult", "decay_mult"])
def test_multipliers_are_reconciled(multiplier):
    """The multiplier may be given by any of the layers, but by all of them alike."""
    def made(first, second):
        values = [f"{multiplier}: {v}" if v is not None else "" for v in (first, second)]
        net = make(two(*(f'param {{ name: "w" {v} }}' for v in values)))
        return getattr(net.learnable_params[0], multiplier)

    assert [2, 2, 2, 1] == [made(2, None), made(None, 2), made(2, 2), made(None, None)]
    with pytest.raises(NetError, match=f"layer 'b': {multiplier} of the shared parameter 'w' is 3 here, but 2 in"):
        made(2, 3)


def test_three_layers_are_reconciled():
    """The second layer's multiplier binds the third."""
    text = two('param { name: "w" }', 'param { name: "w" lr_mult: 2 }')
    with pytest.raises(NetError, match="layer 'c': lr_mult .* is 1 here, but 2"):
        make(text + inputs(q=(2, 4)) + fully_connected("q", "c", 4, 'param { name: "w" lr_mult: 1 }'))


def test_more_params_than_blobs():
    """A `param` without a blob is an error with both counts."""
    with pytest.raises(NetError, match="layer 'b' .InnerProduct. has 2 learnable blobs, but param is given 3 times"):
        make(two("", "param { } param { } param { }"))


def test_test_net_follows_training_net():
    """A test net sees each update at once, by layer name, and keeps its own batch size."""
    body = convolution("x", "c", 2, 3) + layer("ReLU", "c", "c", name="r") + fully_connected("c", "f", 3)
    train = make(inputs(x=(5, 3, 4, 4)) + body)
    test = make(inputs(x=(2, 3, 4, 4)) + body + layer("Softmax", "f", "p"), phase=TEST)
    test.share_trained_layers_with(train)
    train.params["c"][0].data[...] = 7

    assert 7.0 == test.params["c"][0].data.min()
    assert not np.shares_memory(train.params["c"][0].diff, test.params["c"][0].diff)
    test.forward()


def test_shared_weights_must_fit():
    """A test net with other shapes, or fewer blobs, is refused with both sides' shapes."""
    train = make('name: "train"' + inputs(x=(5, 3)) + fully_connected("x", "f", 4))
    for other, words in (("num_output: 6", r"\(6, 3\), \(6,\) here and \(4, 3\), \(4,\) in net 'train'"),
                         ("num_output: 4 bias_term: false", r"\(4, 3\) here and \(4, 3\), \(4,\)")):
        test = make(inputs(x=(5, 3)) + layer("InnerProduct", "x", "f", f"inner_product_param {{ {other} }}"))
        with pytest.raises(NetError, match=f"layer 'f': cannot share its weights: its blobs are {words}"):
            test.share_trained_layers_with(train)


W, PERMISSIVE = 'param { name: "w" }', 'param { name: "w" share_mode: PERMISSIVE }'
TEST_ONLY = "include { phase: TEST }"


@pytest.mark.parametrize("body", [
    fully_connected("x", "a", 4, W) + fully_connected("x", "b", 4, W + TEST_ONLY),
    fully_connected("x", "b", 4, W + TEST_ONLY) + fully_connected("x", "a", 4, W),
    fully_connected("x", "b", 4, W) + fully_connected("x", "a", 4, W) + fully_connected("x", "c", 4, W + TEST_ONLY),
    fully_connected("x", "a", 4, W + TEST_ONLY) + fully_connected("x", "b", 4, "include { phase: TRAIN }")
    + fully_connected("x", "b", 4, W + TEST_ONLY),
    fully_connected("x", "a", 4, "include { phase: TRAIN }") + fully_connected("x", "b", 4, "include { phase: TRAIN }")
    + fully_connected("x", "a", 4, W + TEST_ONLY) + fully_connected("x", "b", 4, W + TEST_ONLY),
    fully_connected("x", "a", 1, W + TEST_ONLY) + fully_connected("thin", "b", 3, PERMISSIVE),
    fully_connected("x", "a", 3, 'param { name: "w" } param { name: "v" }' + TEST_ONLY)
    + fully_connected("x", "b", 3, 'param { name: "w" } param { name: "v" }'),
    layer("RNN", "s cont", "r", W + TEST_ONLY + " recurrent_param { num_output: 3 weight_filler { type: 'gaussian' } }")
    + layer("RNN", "s cont", "q", W + " recurrent_param { num_output: 3 weight_filler { type: 'gaussian' } }"),
    fully_connected("x", "a", 4, name="twice") + fully_connected("x", "b", 4, name="twice"),
    fully_connected("x", "a", 4, "include { phase: TRAIN }", name="twice") + fully_connected("x", "b", 4, name="twice"),
], ids=["owner trained", "sharer trained", "two trained", "not shared in training", "each its own in training",
        "permissive", "both blobs", "recurrent", "one name", "one name, one more in training"])
def test_a_followed_net_is_what_its_snapshot_gives(body):
    """To follow a training net and to load its weights gives the same numbers in every blob."""
    text = inputs(x=(2, 3), thin=(2, 1), s=(2, 5, 3), cont=(2, 5)) + body
    train = make(text)
    following, loaded = make(text, phase=TEST), make(text, phase=TEST)
    following.share_trained_layers_with(train)
    for param in train.learnable_params:
        param.blob.data[...] += 1
    loaded.copy_trained_from(train.to_proto())

    trained = {layer.name for layer in train.layers if layer.blobs}
    for mine, theirs in zip(following.all_params, loaded.all_params, strict=True):
        if theirs.layer in trained or any(p.layer in trained for p in loaded.all_params
                                          if p.blob.shares_data_with(theirs.blob)):
            np.testing.assert_array_equal(theirs.blob.data, mine.blob.data)
        if mine.owner is not None:
            assert mine.blob.shares_data_with(mine.owner.blob)
            assert np.shares_memory(mine.blob.diff, mine.owner.blob.diff)
    assert not any(np.shares_memory(p.blob.diff, q.blob.diff) for p in train.all_params for q in following.all_params)


def test_a_net_that_cannot_follow_is_left_as_it_was():
    """Where one layer's shapes differ, no layer is tied to the other net."""
    train = make(inputs(x=(5, 3)) + fully_connected("x", "f", 4) + fully_connected("f", "g", 4))
    test = make(inputs(x=(5, 3)) + fully_connected("x", "f", 4) + fully_connected("f", "g", 5), phase=TEST)
    with pytest.raises(NetError, match="layer 'g': cannot share"):
        test.share_trained_layers_with(train)

    assert not test.params["f"][0].shares_data_with(train.params["f"][0])
