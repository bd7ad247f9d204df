"""Old formats become today's, field by field."""

import pytest

from minicaffe import passes
from minicaffe.errors import NetError
from minicaffe.proto import NetParameter
from minicaffe.proto import text as proto_text

V0 = """
name: "old"
input: "data" input_dim: 3 input_dim: 2 input_dim: 9 input_dim: 7
layers { layer { name: "pad1" type: "padding" pad: 4 } bottom: "data" top: "pad1" }
layers { layer { name: "conv1" type: "conv" num_output: 5 kernelsize: 6 stride: 2 biasterm: false group: 1
         weight_filler { type: "gaussian" std: 0.01 } blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 }
         bottom: "pad1" top: "conv1" }
layers { layer { name: "pool1" type: "pool" pool: AVE kernelsize: 3 stride: 2 } bottom: "conv1" top: "pool1" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.25 } bottom: "pool1" top: "pool1" }
layers { layer { name: "ip" type: "innerproduct" num_output: 10 } bottom: "pool1" top: "ip" }
"""
TODAY = """
name: "old"
layer { name: "input" type: "Input" top: "data" input_param { shape { dim: 3 dim: 2 dim: 9 dim: 7 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
        convolution_param { num_output: 5 kernel_size: 6 stride: 2 bias_term: false group: 1 pad: 4
                            weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
        pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "pool1" top: "pool1" dropout_param { dropout_ratio: 0.25 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool1" top: "ip" inner_product_param { num_output: 10 } }
"""
V1 = """
layers { name: "data" type: DATA top: "data" top: "label" include { phase: TEST }
         data_param { source: "db" batch_size: 3 scale: 0.5 crop_size: 7 mean_file: "m" mirror: true } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "data" bottom: "label" top: "loss" loss_weight: 2
         param: "shared" blob_share_mode: PERMISSIVE }
"""
V2 = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
        transform_param { scale: 0.5 crop_size: 7 mean_file: "m" mirror: true }
        data_param { source: "db" batch_size: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "data" bottom: "label" top: "loss" loss_weight: 2
        param { name: "shared" share_mode: PERMISSIVE } }
"""


INSIDE = """
layers { name: "data" type: DATA top: "data" top: "label" include { phase: TEST }
         data_param { source: "db" batch_size: 3
                      transform_param { scale: 0.5 crop_size: 7 mean_file: "m" mirror: true } } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "data" bottom: "label" top: "loss" loss_weight: 2
         param: "shared" blob_share_mode: PERMISSIVE }
"""


def net(text):
    return proto_text.parse(text, NetParameter())


@pytest.mark.parametrize(("old", "today"), [(V0, TODAY), (V1, V2), (INSIDE, V2)], ids=["V0", "V1", "inside"])
def test_old_formats_become_todays(old, today):
    """A V0 net (with its padding layer) and a V1 net say the same in today's format."""
    assert net(today) == passes.upgrade(net(old))


@pytest.mark.parametrize("text", [V0, V1, V2])
def test_upgrading_twice_changes_nothing(text):
    """The upgrades leave an upgraded net alone, and their argument always."""
    given = net(text)
    once = passes.upgrade(given)

    assert net(text) == given
    assert once == passes.upgrade(once)


def test_every_v1_type_has_a_layer():
    """Each V1 enum value names a layer type that exists today, or one that is known to be a fork's."""
    from minicaffe.layer import registered_types
    from minicaffe.passes.upgrade_v1 import type_name
    from minicaffe.proto import V1LayerParameter
    from minicaffe.proto.forks import FORK_OF_TYPE

    names = {type_name(number) for number in V1LayerParameter.LayerType.values()} - {""}

    assert set() == names - set(registered_types()) - set(FORK_OF_TYPE)


def test_mixed_formats_are_refused():
    """`layer` beside `layers` is an error that shows both forms."""
    with pytest.raises(NetError, match="mixes `layer` and the older `layers`"):
        passes.upgrade(net('layer { name: "a" type: "ReLU" } layers { name: "b" type: RELU }'))


def test_unknown_v0_type_names_the_near_one():
    """A misspelt V0 type is named with its neighbour."""
    with pytest.raises(NetError, match=r"unknown V0 type 'convv'\n  hint: did you mean 'conv'"):
        passes.upgrade(net('layers { layer { name: "a" type: "convv" } }'))


def test_input_shapes_must_match_inputs():
    """Three input_dim for one input are refused with the counts."""
    with pytest.raises(NetError, match="1 input, but 0 input_shape and 3 input_dim"):
        passes.upgrade(net('input: "x" input_dim: 1 input_dim: 2 input_dim: 3'))


def test_batch_norm_with_three_params_stops_learning():
    """An old BatchNorm with three params gets lr_mult and decay_mult 0 for each."""
    upgraded = passes.upgrade(net('layer { name: "bn" type: "BatchNorm" param { lr_mult: 1 } param {} param {} }'))

    assert [(0, 0)] * 3 == [(p.lr_mult, p.decay_mult) for p in upgraded.layer[0].param]


def test_padding_for_a_layer_that_takes_none():
    """A V0 padding layer in front of neither a conv nor a pool layer is an error that names both layers."""
    text = V0.replace('name: "conv1" type: "conv"', 'name: "conv1" type: "innerproduct"')
    words = r"layer 'conv1' \(innerproduct\) reads the padding layer 'pad1': only a conv or pool layer"
    with pytest.raises(NetError, match=words):
        passes.apply(proto_text.parse(text, NetParameter()))


def test_what_stands_beside_a_v0_layer(caplog):
    """Fields of the later form beside a V0 layer, its rules among them, are dropped with a warning each."""
    net = proto_text.parse('layers { include { phase: TEST } relu_param { negative_slope: 1 } bottom: "x" top: "y" '
                           'layer { name: "r" type: "relu" } }', NetParameter())
    with caplog.at_level("WARNING", "minicaffe"):
        passes.apply(net, after="upgrade_v0")

    assert {words.split(" stands")[0] for words in caplog.messages} == {"layer 'r': include", "layer 'r': relu_param"}
