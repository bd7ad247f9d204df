"""Round trips: a layer is written as ONNX, read back, and is the same layer with the same numbers."""

import numpy as np
import pytest
from onnx_rounds import X, Z, assert_comes_back, layer, named, round_trip

from minicaffe.convert.onnx_out.given import WRITERS
from minicaffe.errors import MinicaffeError
from minicaffe.layers.datasheet import sample
from minicaffe.proto import NetParameter, text

pytestmark = pytest.mark.slow  # hundreds of small conversions

# Layers of forks that come back as they were with --dialect, and as other layers with the same numbers without it.
WITH_DIALECT = {"Clip": "bvlc", "Swish": "bvlc", "ReLU6": "ncnn", "Permute": "ssd", "ShuffleChannel": "ncnn",
                "Interp": "pspnet", "Reverse": "ctpn", "Transpose": "ctpn"}

# Types that come back as other layers with the same numbers, and the reason.
OTHER_LAYERS = {
    "Dropout": "left out, because it changes nothing in the phase TEST",
    "Split": "left out: the net adds one itself where a blob is read several times",
    "Silence": "left out, and another one is added for what nothing reads",
    "Im2col": "a Convolution whose filters each hold a single 1",
    "Crop": "Slice layers: in ONNX the sizes are numbers, and the blob that they came from is not known any more",
    "CropCenter": "Slice layers: the layer of a fork is a Crop without a reference",
    "ConvolutionDepthwise": "Convolution with as many groups as channels, which is the same",
    "DepthwiseConvolution": "Convolution with as many groups as channels, which is the same",
    "DepthwiseConv": "Convolution with as many groups as channels, which is the same",
    "BN": "BatchNorm and Scale, which is the same",
    "Axpy": "Scale with two bottoms and Eltwise, which BVLC's Caffe has",
    "Reorg": "Reshape, Slice and Concat, which BVLC's Caffe has",
    "Normalize": "Eltwise, Pooling, Power, Tile and Scale, which BVLC's Caffe has",
    "DecodeBBox": "Slice, Eltwise, Power and Exp, which BVLC's Caffe has",
}

# Types that cannot come back, and what is said.
ONE_WAY = {
    "PriorBox": "output 'prior' is constant",
    "ContinuationIndicator": "output 'cont' is constant",
    "DetectionOutput": "NonMaxSuppression",
    "YoloDetectionOutput": "NonMaxSuppression",
    "Yolov3DetectionOutput": "NonMaxSuppression",
    "Proposal": "NonMaxSuppression",
    "ROIPooling": "MaxRoiPool",
    "ROIAlign": "RoiAlign",
    "PSROIPooling": "Floor",
    "ScaleRoute": "GreaterOrEqual",
    "Upsample": "ScatterElements",
}

# Types whose sample is no net that can be written by itself, or not for a free batch. All but Python have a case below.
NO_SAMPLE = {"DummyData", "Parameter", "Python", "BoxGroupOutput", "Lstm", "LSTMUnit"}


def sample_net(type):
    """The sample of a type. A layer that runs in place on an Input gets a blob of its own, as it must in ONNX."""
    net = text.parse(sample(type), NetParameter())
    inputs = {top for one in net.layer if one.type == "Input" for top in one.top}
    for one in net.layer:
        if one.type != "Input":
            one.top[:] = [f"{top}_2" if top in inputs else top for top in one.top]
    return net


# --- all types -------------------------------------------------------------------------------------------------------

def test_every_type_that_is_written_is_sorted():
    """Each type comes back, or stands in one of the tables with its reason, or has no sample."""
    tables = [WITH_DIALECT, OTHER_LAYERS, ONE_WAY, NO_SAMPLE]

    assert set().union(*tables) <= set(WRITERS)
    assert sum(map(len, tables)) == len(set().union(*tables))


@pytest.mark.parametrize("type", sorted({*WRITERS} - {*WITH_DIALECT, *OTHER_LAYERS, *ONE_WAY, *NO_SAMPLE}))
def test_sample_comes_back(type):
    assert_comes_back(sample_net(type))


@pytest.mark.parametrize(("type", "dialect"), WITH_DIALECT.items())
def test_sample_comes_back_with_a_dialect(type, dialect):
    assert_comes_back(sample_net(type), dialect=dialect)


@pytest.mark.parametrize("type", [*OTHER_LAYERS, *sorted({*WITH_DIALECT} - {"Reverse", "Transpose"})])
def test_sample_comes_back_as_other_layers(type):
    nets, _, _ = round_trip(sample_net(type))

    assert nets[0] != nets[1]
    assert not any(":" in blob for one in nets[1] for blob in one[3])


@pytest.mark.parametrize(("type", "said"), ONE_WAY.items())
def test_sample_cannot_come_back(type, said):
    with pytest.raises(MinicaffeError, match=said):
        round_trip(sample_net(type))


@pytest.mark.parametrize("type", ["Lstm", "LSTMUnit"])
def test_sample_of_one_batch_size_comes_back_as_other_layers(type):
    round_trip(sample_net(type), larger=False)


def test_box_group_output_cannot_come_back():
    with pytest.raises(MinicaffeError, match="NonMaxSuppression"):
        round_trip(sample_net("BoxGroupOutput"), larger=False)


# --- all fields ------------------------------------------------------------------------------------------------------

def last_param(prototxt, message, **given):
    """The parameter message of the last layer, after it has come back."""
    return getattr(assert_comes_back(prototxt, **given).layer[-1], message)


@pytest.mark.parametrize("fields", [
    "power: 2 scale: 0.5 shift: 3", "scale: 0.5", "shift: 0.5", "power: 3", "power: 3 shift: 2", "power: 3 scale: 2",
    "scale: -1 shift: 0.25"])
def test_power(fields):
    found = last_param(X + layer("Power", f"power_param {{ {fields} }}"), "power_param")

    assert found == text.parse(f"name: 'n' layer {{ power_param {{ {fields} }} }}", NetParameter()).layer[0].power_param


@pytest.mark.parametrize("fields", ["", "base: 2 scale: 0.5 shift: 0.25", "shift: 0.25", "scale: 0.5"])
def test_exp(fields):
    assert_comes_back(X + layer("Exp", f"exp_param {{ {fields} }}"))


@pytest.mark.parametrize("fields", ["", "base: 2 scale: 0.5 shift: 1.25", "base: 10", "shift: 1.25"])
def test_log(fields):
    assert_comes_back(X + layer("AbsVal", name="a", tops="a") + layer("Log", f"log_param {{ {fields} }}", "a"))


@pytest.mark.parametrize(("type", "fields"), [
    ("Threshold", "threshold_param { threshold: 0.5 }"), ("PReLU", ""),
    ("PReLU", "prelu_param { channel_shared: true }"), ("ELU", "elu_param { alpha: 0.3 }"),
    ("Softmax", "softmax_param { axis: 2 }"), ("BNLL", ""), ("AbsVal", ""),
    ("ReLU", "relu_param { negative_slope: 0.1 }"), ("TanH", ""), ("Tile", "tile_param { axis: 2 tiles: 3 }"),
    ("Scale", "scale_param { bias_term: true }"), ("Scale", "scale_param { axis: 2 num_axes: 2 bias_term: true }"),
    ("Scale", "scale_param { num_axes: 2 }"), ("Bias", ""), ("Bias", "bias_param { axis: -2 num_axes: -1 }"),
    ("InnerProduct", "inner_product_param { num_output: 5 }"),
    ("InnerProduct", "inner_product_param { num_output: 5 bias_term: false }"),
    ("InnerProduct", "inner_product_param { num_output: 5 axis: 2 }"),
    ("InnerProduct", "inner_product_param { num_output: 5 axis: -1 bias_term: false transpose: true }"),
    ("InnerProduct", "inner_product_param { num_output: 5 transpose: true }"),
    ("Flatten", ""), ("Reshape", "reshape_param { shape { dim: 0 dim: 3 dim: -1 dim: 7 } }"),
    ("Reshape", "reshape_param { shape { dim: -1 dim: 7 } }"),
    ("MVN", ""), ("MVN", "mvn_param { across_channels: true eps: 0.001 }"),
    ("MVN", "mvn_param { normalize_variance: false }"),
    ("MVN", "mvn_param { normalize_variance: false across_channels: true }"),
    ("LRN", "lrn_param { local_size: 3 alpha: 0.1 beta: 0.6 k: 2 }"),
    ("LRN", "lrn_param { local_size: 3 alpha: 0.1 beta: 0.6 k: 0.5 }"),
    ("LRN", "lrn_param { local_size: 3 alpha: 0.1 beta: 0.6 norm_region: WITHIN_CHANNEL }"),
    ("BatchNorm", "batch_norm_param { eps: 0.01 }"),
    ("BatchNorm", "batch_norm_param { use_global_stats: false eps: 0.01 }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 pad_h: 1 pad_w: 0 stride_h: 2 "
                    "stride_w: 1 dilation: 1 dilation: 2 group: 2 }"),
    ("Deconvolution", "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 pad_h: 1 pad_w: 0 stride_h: 2 "
                      "stride_w: 3 group: 2 bias_term: false }")], ids=str)
def test_one_bottom(type, fields):
    assert_comes_back(X + layer(type, fields))


@pytest.mark.parametrize("fields", [
    "operation: MEAN axis: 1 coeff: 2.5", "operation: MEAN axis: 2", "operation: SUM axis: 2 coeff: -1",
    "operation: ASUM axis: -1 coeff: 0.5", "operation: SUMSQ axis: 1"])
def test_reduction(fields):
    assert_comes_back(X + layer("Reduction", f"reduction_param {{ {fields} }}"))


@pytest.mark.parametrize("fields", [
    "", "axis: 1", "top_k: 3", "out_max_val: true", "top_k: 3 out_max_val: true", "axis: 2 top_k: 3",
    "axis: -1 top_k: 3 out_max_val: true"])
def test_arg_max(fields):
    assert_comes_back(X + layer("ArgMax", f"argmax_param {{ {fields} }}"))


def test_arg_max_of_rows():
    assert_comes_back(named("z", 2, 9) + layer("ArgMax", "argmax_param { top_k: 3 out_max_val: true }", "z"))


@pytest.mark.parametrize("fields", ["", "bias_term: false"])
def test_embed(fields):
    assert_comes_back(named("z", 2, 3) + layer("Embed", f"embed_param {{ num_output: 5 input_dim: 8 {fields} }}", "z"))


@pytest.mark.parametrize("fields", [
    "", "coeff: 1 coeff: -1", "operation: PROD", "operation: MAX"])
def test_eltwise(fields):
    assert_comes_back(X + Z + layer("Eltwise", f"eltwise_param {{ {fields} }}", "x z"))


@pytest.mark.parametrize("fields", ["", "coeff: 0.5 coeff: -1 coeff: 2", "operation: PROD", "operation: MAX"])
def test_eltwise_of_three(fields):
    t = layer("TanH", tops="t", name="t")
    found = last_param(X + Z + t + layer("Eltwise", f"eltwise_param {{ {fields} }}", "x z t"), "eltwise_param")

    assert list(found.coeff) == ([0.5, -1, 2] if "coeff" in fields else [])


@pytest.mark.parametrize(("type", "axis", "shape"), [
    ("Scale", 0, (2, 6)), ("Bias", 0, (2,)), ("Scale", 0, (2, 6, 9, 7)), ("Scale", 0, (2, 6, 9))], ids=str)
def test_two_bottoms(type, axis, shape):
    fields = f"{type.lower()}_param {{ axis: {axis} }}"
    nets, _, _ = round_trip(X + named("w", *shape) + layer(type, fields, "x w"))

    assert nets[1][-1][0] == (type if len(shape) < 4 else "Eltwise")  # of one shape the two are the same


def test_several_tops_and_bottoms():
    assert_comes_back(X + layer("Slice", "slice_param { slice_point: 1 slice_point: 4 }", tops="a b c"))
    assert_comes_back(X + layer("Slice", tops="a b c"))
    assert_comes_back(X + named("z", 2, 4, 9, 7) + layer("Concat", bottoms="x z"))
    assert_comes_back(X + named("z", 2, 6, 4, 7) + layer("Concat", "concat_param { axis: 2 }", "x z"))
    assert_comes_back(X + named("z", 5) + layer("BatchReindex", bottoms="x z"))


def test_filter():
    assert_comes_back(X + named("s", 2) + layer("Filter", bottoms="x s"), inputs={"s": [0, 1]})
    both = X + named("z", 2, 5) + named("s", 2) + layer("Filter", bottoms="x z s", tops="a b")
    assert_comes_back(both, inputs={"s": [0, 1]})


@pytest.mark.parametrize("method", ["MAX", "AVE", "STOCHASTIC"])
@pytest.mark.parametrize("window", [
    "kernel_size: 3 stride: 2", "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3", "global_pooling: true",
    "kernel_h: 3 kernel_w: 4 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 2", "kernel_size: 5 stride: 3 pad: 2"])
def test_pooling(method, window):
    """Sizes are rounded up, and windows that reach over the padding divide by less."""
    if method != "STOCHASTIC" or "pad" not in window:  # which may not stand together
        assert_comes_back(X + layer("Pooling", f"pooling_param {{ pool: {method} {window} }}"))


def test_mask_of_pooling():
    assert_comes_back(X + layer("Pooling", "pooling_param { kernel_size: 3 stride: 2 pad: 1 }", tops="y mask"))


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("levels", [2, 3])
def test_spp(method, levels):
    assert_comes_back(X + layer("SPP", f"spp_param {{ pool: {method} pyramid_height: {levels} }}"))


def sequence(T=5):
    return named("x", T, 3, 4) + named("c", T, 3)


@pytest.mark.parametrize("T", [1, 5])
@pytest.mark.parametrize(("type", "states"), [("LSTM", 2), ("RNN", 1)])
def test_states_of_recurrent_layers(type, states, T):
    """The states before and after are inputs and outputs; cont is 0 in the middle, where a sequence begins anew."""
    given, tops = [f"h{k}" for k in range(states)], [f"o{k}" for k in range(states)]
    inputs = "".join(named(name, 1, 3, 7) for name in given)
    fields = "recurrent_param { num_output: 7 expose_hidden: true }"
    cont = np.array([[1, 0, 1]] + [[1, 1, 0]] * (T - 1))
    assert_comes_back(sequence(T) + inputs + layer(type, fields, " ".join(["x c", *given]), " ".join(["y", *tops])),
                      inputs={"c": cont})


@pytest.mark.parametrize("type", ["LSTM", "RNN"])
def test_recurrent_layers(type):
    assert_comes_back(sequence() + layer(type, "recurrent_param { num_output: 7 }", "x c"),
                      inputs={"c": np.array([[0, 0, 0], [1, 0, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1]])})


@pytest.mark.parametrize("type", ["LSTM", "RNN"])
def test_recurrent_layers_whose_sequences_begin_at_the_first_step(type):
    """The constant cont is in no model, so that it is made of x again."""
    cont = layer("ContinuationIndicator", "continuation_indicator_param { time_step: 5 batch_size: 3 }", "", "c", "c")
    nets, _, _ = round_trip(named("x", 5, 3, 4) + cont + layer(type, "recurrent_param { num_output: 7 }", "x c"))

    assert [one[0] for one in nets[1]] == ["Input", "Reduction", "Bias", type]
    assert nets[1][-1][1:2] + nets[1][-1][3:] == ("l", ["y"])


@pytest.mark.parametrize("type", ["LSTM", "RNN"])
def test_static_input_of_recurrent_layers(type):
    """What is the same in every step becomes a part of x."""
    nets, _, _ = round_trip(sequence() + named("s", 3, 6) + layer(type, "recurrent_param { num_output: 7 }", "x c s"))

    assert [one[0] for one in nets[1]][-4:] == ["Reshape", "Tile", "Concat", type]


def test_forms_that_become_other_layers():
    """Where ONNX says no more which of two layers it was, the plainer one comes back."""
    def last(*args, **given):
        return round_trip(X + layer(*args), **given)[0][1][-1][0]

    assert last("Flatten", "flatten_param { axis: 2 }") == "Reshape"
    assert last("SPP", "spp_param { pyramid_height: 1 }") == "Pooling"
    assert last("Scale", "scale_param { num_axes: 0 bias_term: true }") == "Power"
    constant = layer("DummyData", "dummy_data_param { shape { dim: 2 dim: 6 dim: 9 dim: 7 } "
                                  "data_filler { type: 'constant' value: 2 } }", "", "d", "d")
    assert round_trip(X + constant + layer("Eltwise", bottoms="x d"))[0][1][-1][0] == "Power"
    learned = layer("Parameter", "parameter_param { shape { dim: 2 dim: 6 dim: 9 dim: 7 } }", "", "d", "d")
    assert round_trip(X + learned + layer("Eltwise", bottoms="x d"), larger=False)[0][1][-1][0] == "Bias"
