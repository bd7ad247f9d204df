"""Learned blobs from a file, by layer name, and the report of what became of each layer."""

import numpy as np
import pytest
from net_tools import convolution, fully_connected, inputs, layer, make

from minicaffe import DataError, Net
from minicaffe.io.binary import array_to_blob
from minicaffe.net.copy_weights import same_shape
from minicaffe.proto import NetParameter

BODY = inputs(x=(2, 3, 4, 5)) + convolution("x", "conv", 2, 3) + layer("ReLU", "conv", "conv", name="relu")
OLD, NEW = BODY + fully_connected("conv", "fc8", 6), BODY + fully_connected("conv", "fc8_b", 7)


def saved(net):
    """What a file of this net's weights holds."""
    param = net.to_proto()
    assert isinstance(param, NetParameter)
    return param


def test_round_trip():
    """A net's definition with its weights gives the weights back, without a loss."""
    first, second = make(OLD), make(OLD)
    report = second.copy_trained_from(saved(first), strict=True)

    assert (["conv", "fc8"], [], []) == (report.loaded, report.only_in_file, report.only_in_net)
    for name, blobs in first.params.items():
        for mine, theirs in zip(second.params[name], blobs, strict=True):
            np.testing.assert_array_equal(theirs.data, mine.data)
    first.forward()
    second.forward()
    np.testing.assert_allclose(first.blobs["fc8"].data, second.blobs["fc8"].data, rtol=1e-12)


def test_weights_in_the_definition():
    """A net made from a definition with blobs starts from them."""
    first = make(OLD)
    again = Net(saved(first), dtype=np.float64)

    np.testing.assert_array_equal(first.params["fc8"][0].data, again.params["fc8"][0].data)


def test_fine_tuning():
    """A layer with a new name keeps the values of its fillers, and the report says so."""
    source, net = make(OLD), make(NEW)
    before = net.params["fc8_b"][0].data.copy()
    report = net.copy_trained_from(saved(source))

    assert (["conv"], ["fc8"], ["fc8_b"]) == (report.loaded, report.only_in_file, report.only_in_net)
    np.testing.assert_array_equal(before, net.params["fc8_b"][0].data)
    assert ["weights from a NetParameter:",
            "  conv   loaded            (2, 3, 3, 3) (2,)",
            "  fc8_b  only in the net   (7, 40) (7,)  did you mean 'fc8'?",
            "  fc8    only in the file  (6, 40) (6,)  did you mean 'fc8_b'?"] == str(report).splitlines()


def test_strict():
    """Strict refuses layers that only one side has, and names them."""
    with pytest.raises(DataError, match=r"do not fit the net exactly(.|\n)*fc8 +only in the file"):
        make(NEW).copy_trained_from(saved(make(OLD)), strict=True)


def test_shapes_must_agree():
    """Another shape under the same name is an error with both shapes and the cure."""
    other = BODY + fully_connected("conv", "fc8", 7)
    with pytest.raises(DataError, match=r"layer 'fc8' do not fit(.|\n)*fc8 +shape differs +blob 0 is \(6, 40\) in the "
                                        r"file and \(7, 40\) in the net; blob 1(.|\n)*hint: .*another name"):
        make(other).copy_trained_from(saved(make(OLD)))


@pytest.mark.parametrize(("other", "words"), [
    (layer("InnerProduct", "conv", "fc8", "inner_product_param { num_output: 6 bias_term: false }"),
     "2 blobs in the file, 1 in"),
    (layer("TanH", "conv", "fc8"), "2 blobs in the file, none in")])
def test_counts_must_agree(other, words):
    """A layer with fewer blobs, or none, than its namesake in the file is an error."""
    with pytest.raises(DataError, match=f"fc8 +shape differs +{words} the net"):
        make(BODY + other).copy_trained_from(saved(make(OLD)))


def test_blobs_missing_in_the_file():
    """A file which has the layer but not its blobs is an error, as in Caffe."""
    param = saved(make(OLD))
    del param.layer[-1].blobs[:]
    with pytest.raises(DataError, match="fc8 +shape differs +0 blobs in the file, 2 in the net"):
        make(OLD).copy_trained_from(param)


@pytest.mark.parametrize(("stored", "wanted", "agree"), [
    ((2, 3, 4, 5), (2, 3, 4, 5), True), ((1, 1, 6, 40), (6, 40), True), ((1, 1, 1, 6), (6,), True),
    ((1, 1, 1, 1), (), True), ((6, 40), (1, 1, 6, 40), False), ((6, 40, 1, 1), (6, 40), False),
    ((40, 6), (6, 40), False), ((1, 6, 40), (6, 40), False), ((1, 1, 6, 40), (240,), False)])
def test_legacy_shapes(stored, wanted, agree):
    """Old files' four sizes fit fewer axes when they begin with ones, and in no other way."""
    assert agree == same_shape(stored, wanted)


def test_legacy_file():
    """Weights with num, channels, height and width load into today's shapes."""
    net, values = make(OLD), np.arange(240, dtype=np.float32).reshape(1, 1, 6, 40)
    param = saved(net)
    blob = param.layer[-1].blobs[0]
    blob.CopyFrom(array_to_blob(values))
    blob.ClearField("shape")
    blob.num, blob.channels, blob.height, blob.width = values.shape
    net.copy_trained_from(param)

    np.testing.assert_array_equal(values[0, 0], net.params["fc8"][0].data)


def test_diffs_are_saved_when_asked():
    """to_proto leaves the diffs out unless it is told to keep them."""
    net = make(OLD)
    net.params["fc8"][1].diff[...] = 3

    assert 0 == len(net.to_proto().layer[-1].blobs[1].diff) + len(net.to_proto().layer[-1].blobs[1].double_diff)
    kept = net.to_proto(write_diff=True).layer[-1].blobs[1]
    assert [3.0] * 6 == list(kept.diff or kept.double_diff)
