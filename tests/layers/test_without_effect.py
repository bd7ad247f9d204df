"""A field that is set, and that this layer with these other fields does not read, is warned of by name."""

import pytest
from net_tools import inputs, layer, make

X = inputs(x=(2, 3, 7, 5))
W = inputs(w=(3,))
DETECTIONS = inputs(loc=(1, 20), conf=(1, 10), prior=(1, 2, 20))

CASES = [
    ("Scale", "x w", "scale_param { filler { value: 2 } }", "scale_param.filler has no effect: the scale is bottom[1]"),
    ("Scale", "x w", "scale_param { num_axes: 2 }", "scale_param.num_axes has no effect: the scale is bottom[1]"),
    ("Scale", "x", "scale_param { bias_filler { value: 2 } }",
     "scale_param.bias_filler has no effect: bias_term is false"),
    ("Bias", "x w", "bias_param { filler { value: 2 } }", "bias_param.filler has no effect: the bias is bottom[1]"),
    ("Bias", "x w", "bias_param { num_axes: 1 }", "bias_param.num_axes has no effect: the bias is bottom[1]"),
    ("Scale", "x", "scale_param { axis: 2 num_axes: 0 }",
     "scale_param.axis has no effect: num_axes is 0"),
    ("Bias", "x", "bias_param { axis: 2 num_axes: 0 }",
     "bias_param.axis has no effect: num_axes is 0"),
    ("Eltwise", "x x", "eltwise_param { operation: MAX coeff: 1 coeff: 2 }",
     "eltwise_param.coeff has no effect: the operation is MAX"),
    ("Eltwise", "x x", "eltwise_param { stable_prod_grad: false }",
     "eltwise_param.stable_prod_grad has no effect: the operation is not PROD"),
    ("MVN", "x", "mvn_param { normalize_variance: false eps: 0.1 }",
     "mvn_param.eps has no effect: normalize_variance is false"),
    ("LRN", "x", "lrn_param { norm_region: WITHIN_CHANNEL k: 2 }", "lrn_param.k has no effect: WITHIN_CHANNEL takes 1"),
    ("BatchNorm", "x", "batch_norm_param { use_global_stats: true moving_average_fraction: 0.9 }",
     "batch_norm_param.moving_average_fraction has no effect: use_global_stats is true"),
    ("Pooling", "x", "pooling_param { global_pooling: true round_mode: FLOOR }",
     "pooling_param.round_mode has no effect: global_pooling is true"),
    ("Pooling", "x", "pooling_param { global_pooling: true ceil_mode: false }",
     "pooling_param.ceil_mode has no effect: global_pooling is true"),
    ("Convolution", "x", "convolution_param { num_output: 2 kernel_size: 3 bias_term: false bias_filler { value: 1 } }",
     "convolution_param.bias_filler has no effect: bias_term is false"),
    ("InnerProduct", "x", "inner_product_param { num_output: 2 bias_term: false bias_filler { value: 1 } }",
     "inner_product_param.bias_filler has no effect: bias_term is false"),
    ("InnerProduct", "x", 'inner_product_param { num_output: 2 weight_filler { type: "xavier" std: 0.1 } }',
     "inner_product_param.weight_filler.std has no effect: the xavier filler does not read it"),
    ("Convolution", "x", 'convolution_param { num_output: 2 kernel_size: 3 bias_filler { value: 1 min: 0 } }',
     "convolution_param.bias_filler.min has no effect: the constant filler does not read it"),
    ("PReLU", "x", 'prelu_param { filler { type: "msra" value: 0.25 } }',
     "prelu_param.filler.value has no effect: the msra filler does not read it"),
    ("Embed", "w", "embed_param { num_output: 2 input_dim: 9 bias_term: false bias_filler { value: 1 } }",
     "embed_param.bias_filler has no effect: bias_term is false"),
    ("SigmoidCrossEntropyLoss", "x x", "loss_param { exact_ignore: true }",
     "loss_param.exact_ignore has no effect: there is no ignore_label"),
    ("Softmax", "x", "loss_param { ignore_label: -1 normalization: VALID }",
     "loss_param has no effect: Softmax does not read it"),
    ("DetectionOutput", "loc conf prior", "detection_output_param { num_classes: 2 visualize: true } "
     "transform_param { mean_value: 104 resize_param { height: 30 width: 40 resize_mode: WARP } }",
     "transform_param has no effect: DetectionOutput does not read it"),
]


@pytest.mark.parametrize(("kind", "bottoms", "message", "expected"), CASES)
def test_what_has_no_effect_is_warned_of(caplog, kind, bottoms, message, expected):
    """The warning names the layer, the field and the reason, and comes once."""
    with caplog.at_level("WARNING", "minicaffe"):
        make((DETECTIONS if kind == "DetectionOutput" else X + W) + layer(kind, bottoms, "y", message))

    assert [f"layer 'y' ({kind}): {expected}"] == caplog.messages


@pytest.mark.parametrize(("kind", "bottoms", "message"), [
    ("Scale", "x", "scale_param { filler { value: 2 } num_axes: 2 bias_term: true bias_filler { value: 1 } }"),
    ("Bias", "x", "bias_param { filler { value: 2 } num_axes: 1 }"),
    ("Eltwise", "x x", "eltwise_param { coeff: 1 coeff: 2 }"),
    ("Eltwise", "x x", "eltwise_param { operation: PROD stable_prod_grad: false }"),
    ("MVN", "x", "mvn_param { eps: 0.1 }"), ("LRN", "x", "lrn_param { k: 2 }"),
    ("LRN", "x", "lrn_param { norm_region: WITHIN_CHANNEL k: 1 }"),
    ("BatchNorm", "x", "batch_norm_param { moving_average_fraction: 0.9 }"),
    ("Pooling", "x", "pooling_param { kernel_size: 2 round_mode: FLOOR }"),
    ("InnerProduct", "x", 'inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.1 mean: 1 '
                          'sparse: 1 } bias_filler { type: "uniform" min: 0 max: 2 } }'),
    ("SigmoidCrossEntropyLoss", "x x", "loss_param { ignore_label: 1 exact_ignore: true }")])
def test_what_has_an_effect_is_not(caplog, kind, bottoms, message):
    """The same fields bring no warning where the layer reads them."""
    with caplog.at_level("WARNING", "minicaffe"):
        make(X + W + layer(kind, bottoms, "y", message))

    assert [] == caplog.messages
