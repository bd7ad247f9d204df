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
    """this test shows that the blobs use one memory, that the owner alone is learned, and that gradients add up."""
    net = make(two('param { name: "w" }', 'param { name: "w" }'))
    net.forward_backward()
    (a, _), (b, _) = net.params["a"], net.params["b"]

    assert np.shares_memory(a.data, b.data)
    assert np.shares_memory(a.diff, b.diff)
    assert [("a", 0), ("a", 1), ("b", 1)] == [(p.layer, p.index) for p in net.learnable_params]
    want = np.ones((4, 2)) @ net.blobs["x"].data + np.ones((4, 3)) @ net.blobs["z"].data
    np.testing.assert_allclose(want, a.diff, rtol=1e-12)


def test_first_layer_owns():
    """this test shows that the first layer's filler decides the values."""
    net = make(two('param { name: "w" }', 'param { name: "w" }'))
    rng.seed(1701)
    alone = make(two("", ""))

    np.testing.assert_array_equal(alone.params["a"][0].data, net.params["b"][0].data)


def test_within_one_layer():
    """this test shows that two blobs of one layer may be tied."""
    net = make(inputs(x=(2, 1)) + fully_connected(
        "x", "f", 3, 'param { name: "w" } param { name: "w" share_mode: PERMISSIVE }'))

    assert 1 == len(net.learnable_params)


def test_shapes_must_agree():
    """this test shows that strict sharing names both shapes, both layers and the way out."""
    words = r"layer 'b': the shared parameter 'w' has the shape \(4, 6\) here and \(8, 3\) in layer 'a'.*shapes differ"
    with pytest.raises(NetError, match=rf"{words}(.|\n)*PERMISSIVE"):
        make(two('param { name: "w" }', 'param { name: "w" }', (8, 4), (3, 6)))


def test_permissive_needs_equal_counts():
    """this test shows that PERMISSIVE ties shapes of one count, (8, 3) and (4, 6), and refuses other counts."""
    permissive = 'param { name: "w" share_mode: PERMISSIVE }'
    net = make(two('param { name: "w" }', permissive, (8, 4), (3, 6)))

    assert [(8, 3), (4, 6)] == [net.params[name][0].shape for name in "ab"]
    assert np.shares_memory(net.params["a"][0].data, net.params["b"][0].data)
    with pytest.raises(NetError, match=r"\(4, 5\) here and \(8, 3\).*the counts differ$"):
        make(two('param { name: "w" }', permissive, (8, 4), (3, 5)))


@pytest.mark.parametrize("multiplier", ["lr_mult", "decay_mult"])
def test_multipliers_are_reconciled(multiplier):
    """this test shows that the multiplier may be given by any of the layers, but by all of them alike."""
    def made(first, second):
        values = [f"{multiplier}: {v}" if v is not None else "" for v in (first, second)]
        net = make(two(*(f'param {{ name: "w" {v} }}' for v in values)))
        return getattr(net.learnable_params[0], multiplier)

    assert [2, 2, 2, 1] == [made(2, None), made(None, 2), made(2, 2), made(None, None)]
    with pytest.raises(NetError, match=f"layer 'b': {multiplier} of the shared parameter 'w' is 3 here, but 2 in"):
        made(2, 3)


def test_three_layers_are_reconciled():
    """this test shows that the second layer's multiplier binds the third."""
    text = two('param { name: "w" }', 'param { name: "w" lr_mult: 2 }')
    with pytest.raises(NetError, match="layer 'c': lr_mult .* is 1 here, but 2"):
        make(text + inputs(q=(2, 4)) + fully_connected("q", "c", 4, 'param { name: "w" lr_mult: 1 }'))


def test_more_params_than_blobs():
    """this test shows that a `param` without a blob is an error with both counts."""
    with pytest.raises(NetError, match="layer 'b' .InnerProduct. has 2 learnable blobs, but param is given 3 times"):
        make(two("", "param { } param { } param { }"))


def test_test_net_follows_training_net():
    """this test shows that a test net sees each update at once, by layer name, and keeps its own batch size."""
    body = convolution("x", "c", 2, 3) + layer("ReLU", "c", "c", name="r") + fully_connected("c", "f", 3)
    train = make(inputs(x=(5, 3, 4, 4)) + body)
    test = make(inputs(x=(2, 3, 4, 4)) + body + layer("Softmax", "f", "p"), phase=TEST)
    test.share_trained_layers_with(train)
    train.params["c"][0].data[...] = 7

    assert 7.0 == test.params["c"][0].data.min()
    assert not np.shares_memory(train.params["c"][0].diff, test.params["c"][0].diff)
    test.forward()


def test_shared_weights_must_fit():
    """this test shows that a test net with other shapes, or fewer blobs, is refused with both sides' shapes."""
    train = make('name: "train"' + inputs(x=(5, 3)) + fully_connected("x", "f", 4))
    for other, words in (("num_output: 6", r"\(6, 3\), \(6,\) here and \(4, 3\), \(4,\) in net 'train'"),
                         ("num_output: 4 bias_term: false", r"\(4, 3\) here and \(4, 3\), \(4,\)")):
        test = make(inputs(x=(5, 3)) + layer("InnerProduct", "x", "f", f"inner_product_param {{ {other} }}"))
        with pytest.raises(NetError, match=f"layer 'f': cannot share its weights: its blobs are {words}"):
            test.share_trained_layers_with(train)
