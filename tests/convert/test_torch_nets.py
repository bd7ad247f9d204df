"""Nets in PyTorch: what several layers have in common, training, and what differs between the phases."""

import numpy as np
import pytest
from extras import needs_torch
from torch_tools import LABEL, LENET, LOSS, PROB, assert_same, body, compare, images, nets_of, written

from minicaffe.convert.torch_out import proof
from minicaffe.errors import LayerError, NetError

pytestmark = pytest.mark.slow  # hundreds of small conversions

CONV = "layer {{ name: '{0}' type: 'Convolution' bottom: '{1}' top: '{0}' {2} convolution_param {{ num_output: 3 " \
       "kernel_size: 2 }} }}\n"
IP = "layer {{ name: '{0}' type: 'InnerProduct' bottom: '{1}' top: '{0}' {2} inner_product_param {{ " \
     "num_output: 5 }} }}\n"


def test_lenet_in_training():
    """The loss and its gradients are Caffe's."""
    _, step = assert_same(LENET + PROB, LOSS)
    assert step.loss is not None
    assert len(step.gradients) == 8


def test_layers_that_share_all_parameters_are_one_module():
    """The second branch of a siamese net calls the modules of the first."""
    named = "param { name: 'w' } param { name: 'b' }"
    net = images() + "layer { name: 'cut' type: 'Slice' bottom: 'data' top: 'one' top: 'two' }\n" \
        + CONV.format("left", "one", named) + CONV.format("right", "two", named)
    module, step = assert_same(net)
    assert body(module)[1:] == ["left = self.left(one)", "right = self.left(two)", "return left, right"]
    assert [one.name for one in step.gradients] == ["left.weight", "left.bias"]


def test_layers_that_share_one_parameter():
    """Both modules have the same nn.Parameter, in the file of weights too."""
    net = images() + CONV.format("a", "data", "param { name: 'w' }") \
        + "layer { name: 'cut' type: 'Slice' bottom: 'a' top: 'one' top: 'two' top: 'three' }\n" \
        + IP.format("left", "one", "param { name: 'ip' }") + IP.format("right", "two", "param { name: 'ip' }")
    module, _ = assert_same(net)
    assert "self.right.weight = self.left.weight" in module.text


def test_a_decoder_with_the_weights_of_its_encoder():
    """An InnerProduct with transpose that shares its weights reads them the other way round."""
    net = "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 4 dim: 7 } } }\n" \
        + IP.format("encode", "data", "param { name: 'w' }") + """layer { name: 'decode' type: 'InnerProduct'
          bottom: 'encode' top: 'decode' param { name: 'w' } inner_product_param { num_output: 7 transpose: true } }"""
    module, _ = assert_same(net)
    assert body(module)[-1] == "return F.linear(encode, self.decode_weight.t(), self.decode_bias)"


def test_parameters_of_one_count_that_are_shared():
    """PyTorch cannot give one tensor two shapes."""
    net = images() + """
        layer { name: 'a' type: 'Scale' bottom: 'data' top: 'a' scale_param { num_axes: 2 } param { name: 'w' } }
        layer { name: 'turn' type: 'Permute' bottom: 'a' top: 'turn' permute_param { order: 0 order: 2 } }
        layer { name: 'b' type: 'Scale' bottom: 'turn' top: 'b' scale_param { num_axes: 2 }
          param { name: 'w' share_mode: PERMISSIVE } }"""
    with pytest.raises(LayerError, match=r"layer 'b' \(Scale\) shares blobs\[0\] with 'a_weight' in another shape"):
        written(net)


def test_a_gradient_that_is_stopped():
    """propagate_down: false lets no gradient through."""
    net = images() + CONV.format("a", "data", "") + CONV.format("b", "a", "propagate_down: false")
    module, _ = assert_same(net)
    assert body(module)[-1] == "return self.b(a.detach())"


def test_losses_with_weights():
    """The loss is their sum; a loss with the weight 0 is left out, and a blob with a weight is summed up."""
    net = images() + CONV.format("c", "data", "") + IP.format("ip", "c", "") + IP.format("other", "c", "")
    losses = LABEL + """
        layer { name: 'l1' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'l1' loss_weight: 0.5 }
        layer { name: 'l2' type: 'HingeLoss' bottom: 'other' bottom: 'label' top: 'l2' }
        layer { name: 'l3' type: 'HingeLoss' bottom: 'ip' bottom: 'label' top: 'l3' loss_weight: 0 }
        layer { name: 'size' type: 'Reduction' bottom: 'ip' top: 'size' reduction_param { operation: SUMSQ axis: 1 }
          loss_weight: 0.125 }"""
    module, _ = assert_same(net, losses)
    assert body(module, "loss")[-1] == "return 0.5 * l1 + l2 + 0.125 * size.sum()"
    assert "l3" not in module.text


def test_labels_that_other_layers_read():
    """What is computed from labels stands in the method loss."""
    net = images() + CONV.format("c", "data", "")
    losses = """layer { name: 'both' type: 'Input' top: 'both' input_param { shape { dim: 2 dim: 6 dim: 6 dim: 8 } } }
        layer { name: 'cut' type: 'Slice' bottom: 'both' top: 'one' top: 'two' slice_param { axis: 1 } }
        layer { name: 'l' type: 'EuclideanLoss' bottom: 'c' bottom: 'two' top: 'l' }"""
    module, _ = assert_same(net, losses)
    assert body(module, "loss") == ["c = self(data)", "one, two = both.split([3, 3], dim=1)",
                                    "return (c - two).pow(2).sum() / 2 / len(c)"]


def test_an_input_that_is_its_own_target():
    """An autoencoder's loss reads the data again."""
    net = "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 4 dim: 5 } } }\n" \
        + IP.format("ip", "data", "")
    module, _ = assert_same(net, "layer { name: 'l' type: 'EuclideanLoss' bottom: 'ip' bottom: 'data' top: 'l' }")
    assert module.labels == []
    assert "def loss(self, data):" in module.text


def norm(fields="", rules=""):
    return f"layer {{ name: 'n' type: 'BatchNorm' bottom: 'c' top: 'n' batch_norm_param {{ {fields} }} {rules} }}\n" \
           "layer { name: 's' type: 'Scale' bottom: 'n' top: 's' scale_param { bias_term: true } }\n"


def test_batch_norm_of_both_phases():
    """Two layers of one name, one for each phase: PyTorch's BatchNorm does both."""
    net = images() + CONV.format("c", "data", "") \
        + norm("use_global_stats: false", "include { phase: TRAIN }").split("\n")[0] + "\n" \
        + norm("use_global_stats: true", "include { phase: TEST }")
    module, _ = assert_same(net + IP.format("ip", "s", ""),
                            LABEL + "layer { name: 'l' type: 'HingeLoss' bottom: 'ip' bottom: 'label' top: 'l' }")
    assert "self.n = nn.BatchNorm2d(3, momentum=0.001)" in module.text


def test_batch_norm_without_a_batch_yet():
    """With the factor 0 the mean and the variance are 0."""
    def fill(net):
        for k in range(3):
            net.params["n"][k].data[...] = k and 0
    module, _ = assert_same(images() + CONV.format("c", "data", "") + norm(), fill=fill)
    values = {entry.name: entry.values for entry in module.entries}
    assert not values["n.running_mean"].any()
    assert not values["n.running_var"].any()


def test_the_weights_of_batch_norm():
    """The mean and the variance are divided by the factor; the tensors are those that PyTorch itself names."""
    def fill(net):
        for k, number in enumerate((3, 8, 4)):
            net.params["n"][k].data[...] = number
    module = written(images() + CONV.format("c", "data", "") + norm(), fill=fill)
    values = {entry.name: entry.values for entry in module.entries}
    assert np.array_equal(values["n.running_mean"], np.full(3, 0.75, np.float32))
    assert np.array_equal(values["n.running_var"], np.full(3, 2, np.float32))
    assert values["n.num_batches_tracked"].dtype == np.int64
    assert values["n.num_batches_tracked"].shape == ()


def test_a_module_that_is_wrong_is_found():
    """The comparison sees a mistake in forward and one in a gradient."""
    needs_torch()
    net = images() + CONV.format("c", "data", "") + "layer { name: 'r' type: 'ReLU' bottom: 'c' top: 'r' }"
    made, _ = nets_of(net)
    module = written(net)
    module.text = module.text.replace("F.relu(c)", "F.leaky_relu(c, 0.001)")
    with pytest.raises(AssertionError, match="the largest difference"):
        compare(module, made)
    module.text = module.text.replace("F.leaky_relu(c, 0.001)", "F.relu(c.detach())")
    with proof.imported(module) as found:
        assert not proof.step(found, module, made, None).holds


def test_a_module_that_pytorch_cannot_run():
    """The error says what PyTorch says."""
    needs_torch()
    net = images() + CONV.format("c", "data", "")
    made, _ = nets_of(net)
    module = written(net)
    module.text = module.text.replace("self.c(data)", "self.c(data[0, 0])")
    with pytest.raises(NetError, match="PyTorch cannot run the module: "):
        compare(module, made)


def test_dropout_is_off_in_the_comparison():
    """Both sides take the mean of what Dropout would draw, with Fast R-CNN's rule too."""
    net = images() + CONV.format("c", "data", "") \
        + "layer { name: 'd' type: 'Dropout' bottom: 'c' top: 'c' dropout_param { dropout_ratio: 0.25 } }\n" \
        + "layer { name: 'e' type: 'Dropout' bottom: 'c' top: 'c' dropout_param { dropout_ratio: 0.75 " \
          "scale_train: false } }"
    module, _ = assert_same(net)
    assert body(module)[1:] == ["c = self.d(c)", "return self.e(c) * 0.25"]


def test_stochastic_pooling_in_training():
    """It draws pixels of its windows."""
    needs_torch()
    import torch

    from minicaffe.convert.torch_out import helpers

    x = torch.rand(2, 3, 7, 5)
    y = helpers.stochastic_pool(x, (3, 2), 2, True, True)
    windows = helpers.pad_for_pooling(x, (3, 2), 2, 0, True, 0.0).unfold(2, 3, 2).unfold(3, 2, 2)
    assert y.shape == windows.shape[:4]
    assert (windows == y[..., None, None]).flatten(4).any(-1).all()
