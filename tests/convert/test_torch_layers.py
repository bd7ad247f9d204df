"""Each layer type in PyTorch: the outputs and the gradients of the cases of cases.py, and of some parameters more.

A Bias before each bottom makes the gradient of that bottom one of the compared ones: it is learned, and has its shape.
"""

import numpy as np
import pytest
from cases import CASES, POSITIVE, Case, apart, given, labels, normal, uniform
from extras import needs_torch
from torch_tools import compare

from minicaffe.convert import proof
from minicaffe.convert.torch_out.given import WRITERS
from minicaffe.convert.torch_out.module import module_of
from minicaffe.errors import LayerError
from minicaffe.layer import LossLayer, layer_class
from minicaffe.net import Net
from minicaffe.proto import TEST, TRAIN, NetParameter, text

pytestmark = pytest.mark.slow  # hundreds of small conversions

X = (2, 7, 5, 3)
REFUSED = {"BN-segnet": "puts out the mean and the variance",
           "DummyData": "draws random numbers"}  # the others of cases.py can be said in PyTorch
MORE = [
    Case("Pooling", "pooling_param { kernel_h: 3 kernel_w: 4 stride_h: 2 stride_w: 1 pad_h: 2 pad_w: 3 }", [apart(*X)],
         name="wide_pad"),
    Case("Pooling", "pooling_param { pool: AVE kernel_h: 4 kernel_w: 2 stride_h: 3 stride_w: 1 pad_h: 3 pad_w: 1 }",
         [normal(2, 6, 9, 7)], name="wide_pad_average"),
    Case("Pooling", "pooling_param { pool: AVE kernel_h: 4 kernel_w: 3 stride_h: 3 stride_w: 2 pad_h: 3 pad_w: 1 "
         "round_mode: FLOOR }", [normal(2, 6, 9, 7)], name="wide_pad_floor"),
    Case("Pooling", "pooling_param { pool: AVE global_pooling: true }", name="global_average"),
    Case("Pooling", "pooling_param { global_pooling: true }", [apart(*X)], name="global"),
    Case("Pooling", "pooling_param { kernel_size: 2 stride: 3 }", [apart(2, 6, 8, 7)], name="gaps"),
    Case("SPP", "spp_param { pyramid_height: 3 pool: AVE }", [normal(2, 3, 9, 7)], name="average"),
    Case("SPP", "spp_param { pyramid_height: 1 }", [apart(2, 3, 9, 7)], name="one_level"),
    Case("Convolution", "convolution_param { num_output: 6 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 "
         "pad_w: 2 dilation: 2 dilation: 1 bias_term: false }", name="all_fields"),
    Case("Convolution", "convolution_param { axis: 2 num_output: 4 kernel_size: 3 }", [(2, 3, 7, 9)], name="axis_2"),
    Case("Convolution", "convolution_param { axis: 0 num_output: 4 kernel_size: 3 kernel_size: 2 }",
         [normal(2, 7, 9, batch=None)], name="axis_0"),
    Case("Convolution", "convolution_param { num_output: 4 kernel_size: 1 }", [(2, 7)], name="no_spatial_axis"),
    Case("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }", [(2, 7, 9)], name="one_spatial_axis"),
    Case("Deconvolution", "convolution_param { num_output: 6 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 "
         "pad_w: 0 group: 2 bias_term: false }", [(2, 4, 5, 3)], name="all_fields"),
    Case("InnerProduct", "inner_product_param { num_output: 4 axis: 2 }", name="axis_2"),
    Case("InnerProduct", "inner_product_param { num_output: 4 bias_term: false transpose: true }", name="transpose"),
    Case("Scale", "scale_param { axis: 1 num_axes: 2 bias_term: true }", name="two_axes"),
    Case("Scale", "scale_param { num_axes: 0 }", name="scalar"),
    Case("Scale", "scale_param { axis: 1 bias_term: true }", [X, normal(7, 5, batch=None)], name="given"),
    Case("Clip", "clip_param { min: 0.5 max: -0.25 }", name="crossed"),
    Case("ReLU6", "relu_param { negative_slope: 0.25 }", [uniform(-3, 9, *X)], name="of_relu"),
    Case("Exp", "exp_param { scale: -0.5 shift: -1 }", name="negative"),
    Case("Log", "log_param { base: 3 }", [uniform(0.5, 2, *X)], name="base_3"),
    Case("Log", "log_param { shift: 0.5 }", [uniform(0.5, 2, *X)], name="e"),
    Case("Power", "power_param { power: -2 scale: -1 shift: 3 }", [uniform(0.5, 2, *X)], name="negative"),
    Case("Power", "power_param { scale: 0.5 shift: -1 }", name="linear"),
    Case("Power", "power_param { scale: 0 shift: 2 power: 3 }", name="no_scale"),
    Case("LRN", "lrn_param { local_size: 9 alpha: 0.5 beta: 0.5 norm_region: WITHIN_CHANNEL }", name="wide_window"),
    Case("MVN", "mvn_param { across_channels: true eps: 0.001 }", [(4, 7, 5)], name="three_axes",
         gradient={"tolerance": 2e-3}),
    Case("BatchNorm", "batch_norm_param { use_global_stats: true }", blobs=POSITIVE, name="frozen"),
    Case("BatchNorm", "batch_norm_param { use_global_stats: false moving_average_fraction: 0.9 }", name="of_batch"),
    Case("BatchNorm", "", [(2, 7, 5, 3, 4)], name="five_axes"),
    Case("Normalize", "norm_param { across_spatial: true channel_shared: true eps: 0.1 }", name="eps"),
    Case("Normalize", "normalize_param { fix_gradient: true }", name="fixed_gradient"),
    Case("ArgMax", "argmax_param { top_k: 3 axis: 1 }", [given(np.arange(24).reshape(2, 4, 3) % 5)], gradients=(),
         name="ties"),
    Case("ArgMax", "argmax_param { out_max_val: true axis: -1 }", [apart(2, 7, 5)], gradients=(), name="values"),
    Case("ArgMax", "argmax_param { top_k: 2 }", [apart(4, 7)], gradients=(), name="rows"),
    Case("Eltwise", "eltwise_param { coeff: -1 coeff: 1 coeff: 0.5 }", [X, X, X], name="negative"),
    Case("Flatten", "flatten_param { axis: 2 end_axis: 1 }", name="new_axis"),
    Case("Flatten", "flatten_param { axis: 1 end_axis: 2 }", name="middle"),
    Case("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 5 } axis: 0 num_axes: 3 }", name="part"),
    Case("Reshape", "reshape_param { shape { dim: 1 dim: 1 } axis: -1 num_axes: 0 }", name="appended"),
    Case("Reduction", "reduction_param { operation: MEAN axis: 1 coeff: 3 }", name="mean"),
    Case("Slice", "slice_param { slice_point: 2 slice_point: 6 }", tops=3, name="points"),
    Case("Slice", "", tops=1, name="one_top"),
    Case("Crop", "crop_param { axis: 1 offset: 2 offset: 0 offset: 1 }", [(2, 7, 5, 9), (3, 4, 5, 8)], gradients=(0,),
         name="three_axes"),
    Case("CropCenter", "crop_center_param { crop_size: 0 crop_size: 2 crop_size: 1 crop_size: 0 }", name="some"),
    Case("Upsample", "upsample_param { upsample_h: 9 upsample_w: 7 }",
         [(2, 3, 4, 5), given(np.random.default_rng(2).permuted(np.tile(np.arange(63), (6, 1)), axis=1)[:, :20]
                              .reshape(2, 3, 4, 5))], gradients=(0,), name="any_size"),
    Case("Embed", "embed_param { num_output: 4 input_dim: 6 bias_term: false }", [labels(6, 2, 7)], name="no_bias"),
    Case("Lstm", "lstm_param { num_output: 2 }", [normal(5, 3, 4, batch=1)], name="whole"),
]
LOSSES = [
    *[Case("SoftmaxWithLoss", f"loss_param {{ normalization: {mode} ignore_label: 1 class_weight: [1, 2, 0.5, 3, 0] }}",
           [(2, 5, 3), labels(5, 2, 1, 3)], name=f"{mode}") for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE")],
    Case("SoftmaxWithLoss", "loss_param { focal_gamma: 2 class_weight: [1, 2, 0.5, 3, 0] } loss_weight: 0.25",
         [(2, 5, 3), labels(5, 2, 3)], name="focal"),
    Case("SoftmaxWithLoss", "loss_param { ignore_label: 1 normalization: FULL }",
         [(2, 5, 3), labels(5, 2, 3), uniform(0, 2, 2)], name="weights_of_samples"),
    *[Case("SigmoidCrossEntropyLoss", f"loss_param {{ normalization: {mode} ignore_label: -1 pos_weight: 2 }}",
           [(2, 3, 7), given(np.random.default_rng(1).integers(-1, 2, (2, 3, 7)))], name=mode)
      for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE")],
    Case("SigmoidCrossEntropyLoss", "loss_param { focal_gamma: 1.5 pos_weight: 2 class_weight: [1, 2, 0.5] }",
         [(2, 3, 7), labels(2, 2, 3, 7)], name="focal"),
    Case("SigmoidCrossEntropyLoss", "loss_param { pos_weight: 3 }", [(2, 21), labels(2, 2, 3, 7)], name="pos_weight"),
    Case("EuclideanLoss", "loss_param { normalization: FULL } loss_weight: 3", [X, (2, 105)], name="full"),
    Case("EuclideanLoss", "loss_param { normalization: VALID }", [X, X, uniform(0, 2, 2)], gradients=(0, 1),
         name="weights_of_samples"),
    Case("HingeLoss", "loss_param { ignore_label: -1 class_weight: [1, 2, 0.5, 3, 4] normalization: VALID }",
         [apart(7, 5), given([0, 1, -1, 2, 3, 4, -1])], name="ignored"),
    Case("MultinomialLogisticLoss", "loss_param { ignore_label: 0 class_weight: [1, 2, 0.5, 3, 4] }",
         [uniform(0.1, 0.9, 7, 5), labels(5, 7)], name="ignored"),
    Case("InfogainLoss", "infogain_loss_param { axis: -1 } loss_param { ignore_label: -1 normalization: BATCH_SIZE }",
         [(2, 3, 5), given([[0, 1, -1], [4, 2, 3]]), given(np.arange(25) / 25)], gradients=(0,), name="ignored"),
    Case("SmoothL1Loss", "smooth_l1_loss_param { sigma: 3 } loss_weight: 2",
         [(7, 4), (7, 4, 1, 1), uniform(0, 2, 7, 4)], gradients=(0, 1), name="inside"),
]


def is_loss(case):
    return issubclass(layer_class(case.type), LossLayer)


def nets_of(case):
    """(net, training, values): a case's layer behind Inputs and Biases; a loss is in the net for training alone."""
    draw = np.random.default_rng(5)
    values = [np.asarray(feed.draw(draw, feed.shape), np.float32) for feed in case.feeds]
    behind, bottoms = "", []
    for j, array in enumerate(values):
        dims = " ".join(f"dim: {n}" for n in array.shape)
        behind += f"layer {{ name: 'x{j}' type: 'Input' top: 'x{j}' input_param {{ shape {{ {dims} }} }} }}\n"
        bottoms.append(f"x{j}")
    layer = Net(text.parse(behind + _layer(case, bottoms), NetParameter()), TEST).layers[-1]
    wanted = case.gradients if case.gradients is not None else [
        j for j in range(len(values)) if layer.allow_force_backward(j) and layer.gradient_to(j)]
    for j in wanted:
        behind += f"layer {{ name: 'b{j}' type: 'Bias' bottom: 'x{j}' top: 'b{j}' " \
                  "bias_param { axis: 0 num_axes: -1 } }\n"
        bottoms[j] = f"b{j}"
    whole = behind + _layer(case, bottoms)
    if is_loss(case):
        return _net(behind, TEST, case, values), _net(whole, TRAIN, case, values), values
    return _net(whole, TEST, case, values), None, values


def _layer(case, bottoms):
    reads = " ".join(f"bottom: '{name}'" for name in bottoms)
    makes = " ".join(f"top: 'y{t}'" for t in range(case.tops)) if "top:" not in case.prototxt else ""
    return f"layer {{ name: 'the layer' type: '{case.type}' {reads} {makes} {case.prototxt} }}"


def _net(content, phase, case, values):
    net, draw = Net(text.parse(content, NetParameter()), phase), np.random.default_rng(7)
    for blob in net.params.get("the layer", []):
        blob.data[...] = case.blobs(draw, blob.shape)
    for name in net.inputs:
        net.blobs[name].data[...] = values[int(name[1:])]
    return net


LEFT_OUT = {"Silence", "Split"}  # they are no steps of a module
KNOWN = [case for case in [*CASES, *MORE, *LOSSES]
         if case.type in WRITERS and case.type not in LEFT_OUT and case.id not in REFUSED]


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case.id)
def test_the_numbers_and_gradients_of_a_layer(case, monkeypatch):
    """PyTorch computes what the layer does, forward and backward."""
    needs_torch()
    net, training, values = nets_of(case)

    def put_in(net, draw, keep=(), size=1.0):
        for name in net.inputs:
            net.blobs[name].data[...] = values[int(name[1:])]

    for module in ("minicaffe.convert.proof", "minicaffe.convert.torch_out.proof"):
        monkeypatch.setattr(f"{module}.random_inputs", put_in)
    module = module_of(net, training)
    runs = [proof.run_on(net, "the case's numbers", {}, module.outputs)]
    step = compare(module, net, training, runs, case.gradient.get("tolerance", 1e-5))
    learned = [layer for layer in (training or net).layers if layer.blobs and not layer.side_effects]
    assert len(step.gradients) >= sum(len(layer.blobs) for layer in learned) or step.remarks


@pytest.mark.parametrize("case", [case for case in CASES if case.id in REFUSED], ids=lambda case: case.id)
def test_what_pytorch_cannot_say_is_refused(case):
    """The error names the layer and the reason."""
    net, training, _ = nets_of(case)
    with pytest.raises(LayerError, match=f"layer 'the layer' .*{REFUSED[case.id]}"):
        module_of(net, training)


@pytest.mark.parametrize("kind", ["Convolution", "Im2col"])
def test_a_window_beyond_the_image_is_refused(kind):
    """Caffe lets a window reach over the far edge by less than a stride, and PyTorch does not."""
    fields = "convolution_param { kernel_h: 3 kernel_w: 2 stride: 2 dilation: 2 %s }"
    filters = "num_output: 3" if kind == "Convolution" else ""
    net, _, _ = nets_of(Case(kind, fields % filters, [(4, 5, 9, 2)]))
    with pytest.raises(LayerError, match=r"layer 'the layer' .* has a window that is larger than the padded image"):
        module_of(net)


def test_every_type_that_has_a_form_has_a_case():
    """No function of a type is without a test."""
    refused = {case.type for case in CASES if case.id in REFUSED}
    assert set(WRITERS) - LEFT_OUT == {case.type for case in KNOWN} | refused
